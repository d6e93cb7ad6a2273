"""What UCP runs on the nodes of a Swarm: placed, found again, and removed."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from swarmtui.demo.platform.releases import (
    COMPONENTS,
    PORTS,
    SERVICES,
    UNINSTALLER,
    VOLUMES,
    Release,
    is_component,
)
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.host import Container, File, Host
from swarmtui.demo.world.objects import Service

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World

INSTANCE = "com.docker.ucp.InstanceID"
VERSION = "com.docker.ucp.version"
_VOLUMES = "/var/lib/docker/volumes"
SURVIVES = "ucp-controller-server-certs"
"""The volume that an uninstallation leaves, as documented."""


def hosts(world: World, cluster: Cluster) -> list[Host]:
    """The hosts of a Swarm whose Docker runs."""
    found = (world.host_of(cluster, node_id) for node_id in cluster.nodes)
    return [host for host in found if host is not None and host.running]


def is_manager(host: Host) -> bool:
    """Is it a manager by what its own disk says?"""
    return host.swarm is not None and host.swarm.role == "manager"


def agents(cluster: Cluster) -> list[Service]:
    """UCP's own services on a Swarm."""
    return [one for one in cluster.services.values() if one.name in SERVICES or one.name == UNINSTALLER]


def instance_of(cluster: Cluster) -> tuple[str, str]:
    """Instance and version that the services of a Swarm tell of; empty where there are none."""
    for service in agents(cluster):
        labels = service.spec.get("Labels") or {}
        if labels.get(INSTANCE):
            return str(labels[INSTANCE]), str(labels.get(VERSION, ""))
    return "", ""


def leftovers(world: World, cluster: Cluster) -> list[str]:
    """Containers and services of UCP that are still on a Swarm, as `node/name`."""
    found = [f"{h.name}/{c.name}" for h in hosts(world, cluster) for c in h.containers.values() if is_component(c.name)]
    return found + [service.name for service in agents(cluster)]


def left_on(world: World, cluster: Cluster, but: frozenset[str]) -> bool:
    """Is a container of UCP on a node that runs, but for some of them?"""
    return any(
        is_component(one.name)
        for host in hosts(world, cluster)
        if host.name not in but
        for one in host.containers.values()
    )


def remove(world: World, cluster: Cluster, but: frozenset[str] = frozenset()) -> None:
    """Take UCP off every node that runs, but for some of them. One volume stays, as documented."""
    for service in agents(cluster):
        world.control(cluster).remove_service(service)
    for host in hosts(world, cluster):
        if host.name in but:
            continue
        for key in [key for key, one in host.containers.items() if is_component(one.name) and not one.task]:
            del host.containers[key]
        for name in [name for name in host.volumes if name in VOLUMES and name != SURVIVES]:
            del host.volumes[name]
            for path in [path for path in host.files if path.startswith(f"{_VOLUMES}/{name}/")]:
                del host.files[path]
    for blob in [one for one in cluster.configs.values() if one.name.startswith(("com.docker.ucp.", "com.docker.lic"))]:
        world.control(cluster).blobs.remove(blob)


def labels_of(release: Release, instance: str) -> dict[str, str]:
    """What every container and service of UCP carries."""
    return {INSTANCE: instance, VERSION: release.version}


def run(world: World, host: Host, release: Release, instance: str, name: str, *, fresh: bool = False) -> Container:
    """Run one component on a node. A fresh one is not healthy yet."""
    now = world.kernel.now()
    done = name == "ucp-reconcile"
    checked = name not in ("ucp-reconcile", "ucp-dsinfo")
    container = Container(
        id=world.ids.container(),
        name=name,
        image=release.component(name),
        command=[],
        created=now,
        labels=labels_of(release, instance),
        state="exited" if done else "running",
        started=now,
        finished=now if done else 0.0,
        pid=0 if done else host.next_pid(),
        restart=not done,
        health=("starting" if fresh else "healthy") if checked else "",
        ports=[
            {"Protocol": "tcp", "PublishedPort": outer, "TargetPort": inner} for outer, inner in PORTS.get(name, ())
        ],
    )
    host.containers[container.id] = container
    return container


def fill(world: World, host: Host, volume: str, content: dict[str, str]) -> None:
    """Put files into a volume."""
    for name, text in content.items():
        file = File(text.encode(), mode=0o600, mtime=world.kernel.now())
        host.files[f"{_VOLUMES}/{volume}/_data/{name}"] = file


_DATA = {
    "ucp-auth-store-data": ("rethinkdb_data", 48 << 20),
    "ucp-kv": ("member/snap/db", 25 << 20),
    "ucp-metrics-data": ("chunks", 120 << 20),
}


def fill_data(world: World, host: Host) -> None:
    """What takes the room in its volumes; nobody reads it."""
    for volume, (name, size) in _DATA.items():
        file = File(b"", size=size, mode=0o600, mtime=world.kernel.now())
        host.files.setdefault(f"{_VOLUMES}/{volume}/_data/{name}", file)


def components(host: Host) -> dict[str, Container]:
    """The component containers of a node, by name, whether they run or not."""
    return {one.name: one for one in host.containers.values() if one.name in COMPONENTS}


def agent_runs(host: Host) -> bool:
    """Does the agent's task run on this node? Draining a node ends it."""
    return any(
        one.task and one.state == "running" and one.name.partition(".")[0] in SERVICES
        for one in host.containers.values()
    )


def serve(world: World, cluster: Cluster, release: Release, instance: str) -> None:
    """The services of UCP, and its configuration where that is a config of the Swarm."""
    control = world.control(cluster)
    for name, constraint in release.agents.items():
        single = constraint.endswith("=1")
        control.create_service(
            {
                "Name": name,
                "Labels": labels_of(release, instance),
                "TaskTemplate": {
                    "ContainerSpec": {
                        "Image": release.component(name),
                        "Labels": labels_of(release, instance),
                    },
                    "Placement": {"Constraints": [constraint.removesuffix("=1")]},
                },
                "Mode": {"Replicated": {"Replicas": 1}} if single else {"Global": {}},
            }
        )
    configs = {"com.docker.ucp.config-1": "[auth]\n"} if not release.files else {}
    for name, text in {**configs, "com.docker.license-0": json.dumps({"key_id": "simulated"})}.items():
        data = base64.b64encode(text.encode()).decode()
        if not any(one.name == name for one in cluster.configs.values()):
            control.blobs.create({"Name": name, "Data": data, "Labels": {INSTANCE: instance}}, secret=False)
