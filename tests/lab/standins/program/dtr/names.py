"""What a replica of DTR is made of: containers, images, volumes, ports."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from standin.components import PROGRAM, SECOND
from standin.table import Version

NETWORK = "dtr-ol"
PHASE2 = "dtr-phase2"
STORE_PORT = 28015
IDLE_PORT = 5000
"""Where the components listen that only are there."""
IMAGES = {
    "rethinkdb": "rethink", "api": "api", "garant": "garant", "jobrunner": "jobrunner", "registry": "registry",
    "notary-server": "notary-server", "notary-signer": "notary-signer", "scanningstore": "postgres", "nginx": "nginx",
}  # fmt: skip
"""The image of each component, in the order in which they start."""
PINGED = ("api", "garant", "notary-server", "notary-signer", "registry")
"""What `/_ping` looks at, beside rethinkdb."""
REPLICA_ID = re.compile(r"[0-9a-f]{12}")
CONTAINER = re.compile(rf"/(?P<node>[^/]+)/dtr-(?P<component>{'|'.join(IMAGES)})-(?P<id>[0-9a-f]{{12}})")
_IDLE = f"/bin/busybox httpd -f -p {IDLE_PORT} -h /tmp & trap 'exit 0' TERM INT; wait"


def number(version: str) -> Version:
    """(2, 4) of "2.4.1"."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def image(version: str, name: str = "") -> str:
    """docker/dtr-NAME:VERSION, or mirantis/ from 2.8 on; without a name: the bootstrapper's."""
    organisation = "docker" if number(version) < (2, 8) else "mirantis"
    return f"{organisation}/dtr{'-' + name if name else ''}:{version}"


def images(version: str) -> list[str]:
    """All images of a version, the bootstrapper's first."""
    return [image(version), *(image(version, name) for name in IMAGES.values())]


@dataclass(frozen=True)
class Replica:
    """One replica, as its containers know it from their environment."""

    version: str
    id: str
    key: str

    @classmethod
    def of_environment(cls) -> Replica:
        return cls(os.environ["DTR_VERSION"], os.environ["DTR_REPLICA_ID"], os.environ["DTR_KEY"])

    @property
    def volumes(self) -> list[str]:
        return [f"dtr-{name}-{self.id}" for name in ("ca", "notary", "postgres", "registry", "rethink")]

    @property
    def nfs_volume(self) -> str:
        return f"dtr-nfs-registry-{self.id}"

    def container(self, component: str) -> str:
        return f"dtr-{component}-{self.id}"

    def spec(self, component: str, node: str, ports: tuple[int, int], storage: str) -> dict[str, Any]:
        """What to create a component's container from.

        Args:
            ports: of nginx on the host, HTTP and HTTPS.
            storage: the volume that holds the images.
        """
        labels = {"com.docker.compose.project": f"Docker Trusted Registry {self.version} - (Replica {self.id})"}
        if component == "rethinkdb" and number(self.version) >= (2, 5):
            labels |= {"com.docker.dtr.version": self.version, "com.docker.dtr.replica": self.id}
        mounted = {"rethinkdb": "rethink", "nginx": "ca", "scanningstore": "postgres", "notary-server": "notary"}
        binds = [f"dtr-{mounted[component]}-{self.id}:/vol/data"] if component in mounted else []
        if component == "registry":
            binds = [f"{storage}:/storage"]
        works = component in ("rethinkdb", "nginx")
        host: dict[str, Any] = {
            "Binds": binds,
            "NetworkMode": NETWORK,
            "Dns": ["127.0.0.1"],  # nobody listens there: a name that is not on the network is unknown at once
            "RestartPolicy": {"Name": "unless-stopped"},
        }
        spec: dict[str, Any] = {
            "Image": image(self.version, IMAGES[component]),
            "Hostname": self.container(component),
            "Entrypoint": [*PROGRAM, component] if works else ["/bin/sh", "-c", _IDLE],
            "Cmd": [],
            "Env": [
                f"DTR_VERSION={self.version}", f"DTR_REPLICA_ID={self.id}", f"DTR_KEY={self.key}", f"DTR_NODE={node}",
            ],
            "Labels": labels,
            "HostConfig": host,
            "NetworkingConfig": {"EndpointsConfig": {NETWORK: {"Aliases": [f"{self.container(component)}.{NETWORK}"]}}},
        }  # fmt: skip
        if component == "nginx":
            inside = (80, 443)
            spec["ExposedPorts"] = {f"{port}/tcp": {} for port in inside}
            host["PortBindings"] = {
                f"{port}/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(outside)}]
                for port, outside in zip(inside, ports, strict=True)
            }
            test = ["CMD", "/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8079/"]
            spec["Healthcheck"] = {"Test": test, "Interval": 10 * SECOND, "Timeout": 10 * SECOND, "Retries": 3}
        return spec
