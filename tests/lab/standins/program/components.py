"""What a node of UCP is made of: images, containers, ports, volumes, services."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any

from standin.table import K8S, MKE, NEW, Version

PROGRAM = ["/py/bin/python3", "-S", "-B", "-m", "standin"]
IDLE = ["/bin/sh", "-c", "trap 'exit 0' TERM INT; sleep 2147483647 & wait"]
SECOND = 1_000_000_000

VOLUMES = [
    f"ucp-{name}"
    for name in (
        "auth-api-certs", "auth-store-certs", "auth-store-data", "auth-worker-certs", "auth-worker-data",
        "client-root-ca", "cluster-root-ca", "controller-client-certs", "controller-server-certs", "kv", "kv-certs",
        "metrics-data", "metrics-inventory", "node-certs",
    )
]  # fmt: skip
SERVER_CERTS = "ucp-controller-server-certs"
"""The volume that survives an uninstall."""
NODE_CERTS = "ucp-node-certs"
"""The one volume of a worker."""
IMAGES = ["agent", "auth", "auth-store", "cfssl", "controller", "dsinfo", "etcd", "hrm", "metrics", "proxy", "swarm"]
"""Of 2.2.5."""
K8S_IMAGES = ["hyperkube"]


@dataclass(frozen=True)
class Part:
    """One component container.

    Attributes:
        ports: on the host -> inside.
        program: what it runs of this package; "" only is there.
    """

    name: str
    image: str
    ports: dict[int, int]
    program: str = ""
    manager: bool = True
    since: Version = (2, 2)
    before: Version = (99, 0)


PARTS = [
    Part("ucp-auth-store", "auth-store", {12383: 12383, 12384: 12384}, "store"),
    Part("ucp-kv", "etcd", {12379: 2379, 12380: 12380}),
    Part("ucp-cluster-root-ca", "cfssl", {12381: 12381}),
    Part("ucp-client-root-ca", "cfssl", {12382: 12382}),
    Part("ucp-auth-api", "auth", {12385: 4443}, before=K8S),
    Part("ucp-auth-worker", "auth", {12386: 4443}, before=K8S),
    Part("ucp-metrics", "metrics", {12387: 12387}),
    Part("ucp-swarm-manager", "swarm", {2376: 2375}),
    Part("ucp-kube-apiserver", "hyperkube", {12388: 12388}, since=K8S),
    Part("ucp-kube-controller-manager", "hyperkube", {}, since=K8S),
    Part("ucp-kube-scheduler", "hyperkube", {}, since=K8S),
    Part("ucp-kubelet", "hyperkube", {}, manager=False, since=K8S),
    Part("ucp-kube-proxy", "hyperkube", {}, manager=False, since=K8S),
    Part("ucp-dsinfo", "dsinfo", {}, manager=False),
    Part("ucp-proxy", "proxy", {12376: 2376}, "proxy", manager=False),
    Part("ucp-controller", "controller", {443: 8080}, "controller"),
]


@dataclass(frozen=True)
class Ucp:
    """One installation, as its containers know it from their environment."""

    version: str
    instance: str
    key: str
    controller_port: int = 443
    swarm_port: int = 2376

    @classmethod
    def of_environment(cls) -> Ucp:
        e = os.environ
        ports = int(e["UCP_CONTROLLER_PORT"]), int(e["UCP_SWARM_PORT"])
        return cls(e["UCP_VERSION"], e["UCP_INSTANCE_ID"], e["UCP_NODE_KEY"], *ports)

    @property
    def number(self) -> Version:
        return number(self.version)

    @property
    def environment(self) -> list[str]:
        return [
            f"UCP_VERSION={self.version}",
            f"UCP_INSTANCE_ID={self.instance}",
            f"UCP_NODE_KEY={self.key}",
            f"UCP_CONTROLLER_PORT={self.controller_port}",
            f"UCP_SWARM_PORT={self.swarm_port}",
        ]

    @property
    def labels(self) -> dict[str, str]:
        mark = hashlib.sha256(self.key.encode()).hexdigest()[:12]
        return {
            "com.docker.ucp.InstanceID": self.instance,
            "com.docker.ucp.version": self.version,
            "com.docker.ucp.installation": mark,
        }

    def image(self, name: str) -> str:
        return image(self.version, f"ucp-{name}")

    @property
    def images(self) -> list[str]:
        names = IMAGES if self.number < K8S else [*(i for i in IMAGES if i != "hrm"), *K8S_IMAGES]
        return [self.image(name) for name in names]

    @property
    def agents(self) -> list[str]:
        """The services whose tasks reconcile a node: for managers, for workers (perhaps the same)."""
        return ["ucp-agent"] if self.number < NEW else ["ucp-manager-agent", "ucp-worker-agent"]

    def parts(self, manager: bool) -> list[Part]:
        ours = [part for part in PARTS if part.since <= self.number < part.before]
        return [part for part in ours if manager or not part.manager]

    def ports(self, part: Part) -> dict[int, int]:
        changed = {443: self.controller_port, 2376: self.swarm_port}
        found = {changed.get(outside, outside): inside for outside, inside in part.ports.items()}
        if part.name == "ucp-controller" and self.number >= K8S:
            found[6443] = 8081
        return found

    def spec(self, part: Part, alarm: bool = False) -> dict[str, Any]:
        """What to create its container from.

        Args:
            alarm: its health check fails, though nothing is wrong with it.
        """
        ports = self.ports(part)
        binds = ["/var/run/docker.sock:/var/run/docker.sock"] if part.program else []
        mounted = [NODE_CERTS] if part.program == "proxy" else VOLUMES if part.program else []
        binds += [f"{name}:/vol/{name}" for name in mounted]
        interval = 5 if part.program == "controller" else 10
        idle = ["CMD", "/bin/false" if alarm else "/bin/true"]
        test = ["CMD", "/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8079/"]
        return {
            "Image": self.image(part.image),
            "Entrypoint": [*PROGRAM, part.program] if part.program else IDLE,
            "Cmd": [],
            "Env": self.environment,
            "Labels": self.labels,
            "ExposedPorts": {f"{inside}/tcp": {} for inside in ports.values()},
            "Healthcheck": {
                "Test": test if part.program == "controller" else idle,
                "Interval": interval * SECOND, "Timeout": 10 * SECOND, "Retries": 3,
            },
            "HostConfig": {
                "Binds": binds,
                "PortBindings": {
                    f"{inside}/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(outside)}]
                    for outside, inside in ports.items()
                },
                "RestartPolicy": {"Name": "unless-stopped"},
            },
        }  # fmt: skip

    def services(self) -> list[dict[str, Any]]:
        """The Swarm services of this version."""
        managers, workers = "node.role == manager", "node.role == worker"
        if self.number < NEW:
            found = [
                self._service("ucp-agent", "agent", "agent", []),
                self._service("ucp-agent-win", "agent", "agent", ["node.platform.os == windows"]),
                self._service("ucp-agent-s390x", "agent", "agent", ["node.platform.arch == s390x"]),
            ]
        else:
            found = [
                self._service("ucp-manager-agent", "agent", "agent", [managers]),
                self._service("ucp-worker-agent", "agent", "agent", [workers, "node.platform.os == linux"]),
                self._service("ucp-worker-agent-win", "agent", "agent", [workers, "node.platform.os == windows"]),
                self._service("ucp-cluster-agent", "agent", "", [managers], replicas=1),
            ]
        if self.number >= K8S:
            found.append(self._service("ucp-auth-api", "auth", "", [managers], port=12385))
            found.append(self._service("ucp-auth-worker", "auth", "", [managers], port=12386))
        return found

    def uninstaller(self) -> dict[str, Any]:
        """The service that removes UCP from each node."""
        made = self._service("ucp-uninstall-agent", "agent", "uninstall", [])
        made["TaskTemplate"]["RestartPolicy"] = {"Condition": "on-failure", "Delay": 2 * SECOND, "MaxAttempts": 5}
        return made

    def _service(
        self, name: str, image: str, program: str, constraints: list[str], port: int = 0, replicas: int = 0
    ) -> dict[str, Any]:
        made: dict[str, Any] = {
            "Name": name,
            "Labels": self.labels,
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": self.image(image),
                    "Command": [*PROGRAM, program] if program else IDLE,
                    "Env": self.environment,
                    "Labels": {"com.docker.ucp.InstanceID": self.instance},
                    "Mounts": [{"Type": "bind", "Source": "/var/run/docker.sock", "Target": "/var/run/docker.sock"}],
                    "StopGracePeriod": 3 * SECOND,
                },
                "Placement": {"Constraints": constraints},
                "RestartPolicy": {"Condition": "any", "Delay": 2 * SECOND},
            },
            "Mode": {"Replicated": {"Replicas": replicas}} if replicas else {"Global": {}},
        }
        if port:
            bound = {"Protocol": "tcp", "TargetPort": 4443, "PublishedPort": port, "PublishMode": "host"}
            made["EndpointSpec"] = {"Mode": "dnsrr", "Ports": [bound]}
        return made

    def needed_ports(self) -> list[int]:
        """What must be free on a manager."""
        found = {outside for part in self.parts(True) for outside in self.ports(part)}
        return sorted(found | {12385, 12386})


def number(version: str) -> Version:
    """(2, 2) of "2.2.5"."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def image(version: str, name: str) -> str:
    """docker/NAME:VERSION, or mirantis/ from 3.3 on."""
    return f"{'docker' if number(version) < MKE else 'mirantis'}/{name}:{version}"
