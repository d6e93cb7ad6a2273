"""Makes worlds that look as if they had been running for a long time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from swarmtui.demo.world import membership
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.control import Control
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.objects import Json, Node, Service, StoreObject, Task
from swarmtui.demo.world.resources import Network
from swarmtui.demo.world.world import World

HOUR = 3600.0
DAY = 24 * HOUR
STACK = "com.docker.stack.namespace"


class Builder:
    """Builds one Swarm, step by step, in the past of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = world.kernel.now()
        self.cluster: Cluster
        self.control: Control

    def swarm(self, managers: Iterable[Host], workers: Iterable[Host], *, age: float, autolock: bool = False) -> None:
        """Form a Swarm that is `age` seconds old."""
        first, *others = managers
        membership.init(self.world, first, {"ListenAddr": "0.0.0.0:2377", "AutoLockManagers": autolock})
        self.cluster = self.world.clusters[-1]
        self.control = self.world.control(self.cluster)
        for host in others:
            membership.add_node(self.world, self.cluster, host, "manager", {})
        for host in workers:
            membership.add_node(self.world, self.cluster, host, "worker", {})
        self.world.update_remotes(self.cluster)
        self.cluster.created = self.now - age
        for node in self.cluster.nodes.values():
            self.backdate(node, age - self.world.ids.random.uniform(60, 600))

    def node(self, name: str) -> Node:
        """The node of a host."""
        swarm = self.world.hosts[name].swarm
        assert swarm is not None
        return self.cluster.nodes[swarm.node_id]

    def labels(self, name: str, **labels: str) -> None:
        """Label a node."""
        node = self.node(name)
        node.labels.update(labels)
        node.forget()

    def backdate(self, item: StoreObject, age: float) -> None:
        """Make an object as old as that."""
        item.created = item.updated = self.now - age
        item.forget()

    def network(self, name: str, stack: str, age: float, **more: Any) -> Network:
        """An overlay network of a stack."""
        request = {"Name": f"{stack}_{name}", "Driver": "overlay", "Labels": {STACK: stack}, **more}
        network = self.control.networks.create(request)
        self.backdate(network, age)
        return network

    def blob(self, name: str, stack: str, age: float, *, secret: bool) -> None:
        """A secret or a config of a stack."""
        spec = {"Name": f"{stack}_{name}", "Labels": {STACK: stack}, "Data": "c2ltdWxhdGVkCg=="}
        self.backdate(self.control.blobs.create(spec, secret=secret), age)

    def service(
        self,
        name: str,
        image: str,
        replicas: int | None,
        *,
        stack: str = "",
        age: float = 30 * DAY,
        networks: Iterable[Network] = (),
        constraints: Iterable[str] = (),
        cpus: float = 0,
        memory: int = 0,
        max_per_node: int = 0,
        spread: str = "",
        ports: Iterable[tuple[int, int]] = (),
        host_ports: Iterable[tuple[int, int]] = (),
        volumes: Iterable[tuple[str, str]] = (),
        update: Json | None = None,
        secrets: Iterable[str] = (),
        **container: Any,
    ) -> Service:
        """A service; `replicas` None makes it global. Memory is in MiB, CPUs in cores."""
        full = f"{stack}_{name}" if stack else name
        placement: Json = {}
        if constraints:
            placement["Constraints"] = list(constraints)
        if spread:
            placement["Preferences"] = [{"Spread": {"SpreadDescriptor": spread}}]
        if max_per_node:
            placement["MaxReplicas"] = max_per_node
        reserved = {k: v for k, v in (("NanoCPUs", int(cpus * 1e9)), ("MemoryBytes", memory << 20)) if v}
        spec: Json = {"Image": image, "Init": False, "DNSConfig": {}, **container}
        if volumes:
            spec["Mounts"] = [{"Type": "volume", "Source": f"{stack}_{v}", "Target": t} for v, t in volumes]
        if secrets:
            spec["Secrets"] = [self._secret(f"{stack}_{secret}", secret) for secret in secrets]
        if stack:
            spec["Labels"] = {STACK: stack}
        published = [(p, t, "ingress") for p, t in ports] + [(p, t, "host") for p, t in host_ports]
        service = self.control.create_service(
            {
                "Name": full,
                "Labels": {STACK: stack, "com.docker.stack.image": image} if stack else {},
                "TaskTemplate": {
                    "ContainerSpec": spec,
                    "Resources": {"Limits": {}, "Reservations": reserved},
                    "RestartPolicy": {"Condition": "any", "Delay": 5 * 10**9, "MaxAttempts": 0},
                    "Placement": placement,
                    "Networks": [{"Target": n.id, "Aliases": [name]} for n in networks],
                },
                "Mode": {"Global": {}} if replicas is None else {"Replicated": {"Replicas": replicas}},
                **({"UpdateConfig": update} if update else {}),
                "EndpointSpec": {
                    "Mode": "vip",
                    "Ports": [
                        {"Protocol": "tcp", "TargetPort": t, "PublishedPort": p, "PublishMode": mode}
                        for p, t, mode in published
                    ],
                },
            }
        )
        self.backdate(service, age)
        return service

    def _secret(self, name: str, target: str) -> Json:
        blob = next(s for s in self.cluster.secrets.values() if s.name == name)
        return {
            "File": {"Name": target, "UID": "0", "GID": "0", "Mode": 0o444},
            "SecretID": blob.id,
            "SecretName": name,
        }

    def settle(self) -> None:
        """Let every task that has a place run, since some time in the past."""
        orchestrator = self.control.orchestrator
        for service in list(self.cluster.services.values()):
            orchestrator.reconcile(service)
        orchestrator.schedule()
        for task in self.cluster.tasks.values():
            host = self.world.host_of(self.cluster, task.node_id) if task.node_id else None
            service = self.cluster.services[task.service_id]
            limit = self.now - service.created
            since = self.now - self.world.ids.random.uniform(min(limit, HOUR), limit)
            task.created, task.updated = since - 2, since
            if host is not None and task.state == "assigned":
                self.world.agents[host.name].adopt(task, since)
            task.forget()

    def settle_new(self) -> None:
        """Let what was added since `settle` start by itself, soon."""
        self.control.orchestrator.touch_all()

    def past(self, task: Task, age: float, state: str, *, image: str = "", error: str = "", code: int = 0) -> Task:
        """A predecessor of a running task, in its slot, that ended `age` seconds ago."""
        service = self.cluster.services[task.service_id]
        old = self.control.orchestrator.new_task(service, slot=task.slot, node=task.fixed_node)
        if image:
            old.spec = {**old.spec, "ContainerSpec": {**old.spec["ContainerSpec"], "Image": image}}
            old.spec_json = self.control.orchestrator.encode(old.spec)
        old.node_id, old.state, old.desired = task.node_id, state, "shutdown"
        old.message = "started" if state in ("failed", "rejected") else state
        old.error, old.exit_code, old.container = error, code, self.world.ids.container()
        self.control.orchestrator.pending.pop(old.id, None)
        self.cluster.commit(old)
        old.when = self.now - age
        old.created, old.updated = old.when - self.world.ids.random.uniform(HOUR, 20 * HOUR), old.when
        old.forget()
        if task.started < old.when:
            task.started = task.when = old.when + 6
            task.created, task.updated = old.when + 0.1, old.when + 6
            task.forget()
        return old
