"""Where the Swarm's scheduler may put a task, and why not elsewhere.

The rules are those of swarmkit's scheduler filters (ready, resources, constraints, platform, host ports, max replicas)
and of its constraint language; the wording follows its own "no suitable node (…)" message.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from swarmtui.model.services import Service, Task, TaskSpec
from swarmtui.model.swarm import GenericResource, Node, Platform, Resources

_CONSTRAINT = re.compile(r"^\s*([A-Za-z][\w.\-]*)\s*(==|!=)\s*(.*?)\s*$")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def constraint_holds(constraint: str, node: Node) -> bool:
    """Whether a node satisfies one placement constraint such as "node.labels.zone==a".

    Values compare without case, label names with it; an unknown key never holds (swarmkit, constraint.NodeMatches).
    """
    match = _CONSTRAINT.match(constraint)
    if match is None:
        return False
    key, operator, wanted = match.groups()
    lower = key.lower()
    if lower == "node.ip":
        same = _ip_matches(wanted, node.status.addr)
        return same is not None and same == (operator == "==")
    actual: str
    if lower == "node.id":
        actual = node.id
    elif lower == "node.hostname":
        actual = node.hostname
    elif lower == "node.role":
        actual = node.spec.role
    elif lower == "node.platform.os":
        actual = node.description.platform.os
    elif lower == "node.platform.arch":
        actual = node.description.platform.architecture
    elif lower.startswith("node.labels.") and len(key) > len("node.labels."):
        actual = node.labels.get(key[len("node.labels.") :], "")
    elif lower.startswith("engine.labels.") and len(key) > len("engine.labels."):
        actual = node.engine_labels.get(key[len("engine.labels.") :], "")
    else:
        return False
    return (actual.lower() == wanted.lower()) == (operator == "==")


def _ip_matches(wanted: str, address: str) -> bool | None:
    """Whether an address is the wanted one or in the wanted network; None where the constraint is not an address."""
    try:
        network = ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return None
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False


def broken_constraints(spec: TaskSpec, node: Node) -> list[str]:
    """The constraints of a task that a node does not satisfy."""
    constraints = (spec.placement.constraints if spec.placement else None) or []
    return [constraint for constraint in constraints if not constraint_holds(constraint, node)]


def _platform_fits(platforms: Iterable[Platform], node: Node) -> bool:
    def same(wanted: str, actual: str) -> bool:
        return not wanted or _ARCHITECTURES.get(wanted, wanted) == _ARCHITECTURES.get(actual, actual)

    here = node.description.platform
    return any(same(p.architecture, here.architecture) and same(p.os, here.os) for p in platforms)


def host_ports(service: Service | None) -> frozenset[tuple[str, int]]:
    """(protocol, port) of every port the service's tasks take on their host itself."""
    ports = (service.spec.endpoint_spec.ports if service and service.spec.endpoint_spec else None) or []
    return frozenset((p.protocol, p.published_port) for p in ports if p.publish_mode == "host" and p.published_port)


def reservations(spec: TaskSpec) -> Resources:
    """CPU, memory and generic resources a task reserves."""
    return (spec.resources.reservations if spec.resources else None) or Resources()


def generic_amounts(resources: list[GenericResource] | None) -> Counter[str]:
    """Generic resources by kind: a discrete one counts its value, a named one counts one."""
    amounts: Counter[str] = Counter()
    for resource in resources or []:
        if resource.discrete_resource_spec is not None:
            amounts[resource.discrete_resource_spec.kind] += resource.discrete_resource_spec.value
        elif resource.named_resource_spec is not None:
            amounts[resource.named_resource_spec.kind] += 1
    return amounts


@dataclass(slots=True)
class Room:
    """What is left on one node while tasks are placed on it: CPU in billionths of a core, memory in bytes."""

    node: Node
    cpus: int = 0
    memory: int = 0
    generic: Counter[str] = field(default_factory=Counter)
    ports: set[tuple[str, int]] = field(default_factory=set)
    of_service: Counter[str] = field(default_factory=Counter)
    tasks: int = 0

    @classmethod
    def of(cls, node: Node) -> Room:
        resources = node.description.resources
        return cls(node, resources.nano_cpus, resources.memory_bytes, generic_amounts(resources.generic_resources))

    def take(self, task: Task, service: Service | None, spec: TaskSpec) -> None:
        need = reservations(spec)
        self.cpus -= need.nano_cpus
        self.memory -= need.memory_bytes
        self.generic.subtract(generic_amounts(need.generic_resources))
        self.ports |= host_ports(service)
        self.of_service[task.service_id] += 1
        self.tasks += 1

    def refusal(self, task: Task, service: Service | None, spec: TaskSpec) -> str:
        """Why this node may not take the task, in the scheduler's words for one node; "" when it may."""
        if not self.node.takes_tasks:
            return "not available for new tasks"
        need = reservations(spec)
        wanted = generic_amounts(need.generic_resources)
        if (
            (need.nano_cpus and need.nano_cpus > self.cpus)
            or (need.memory_bytes and need.memory_bytes > self.memory)
            or any(amount > self.generic[kind] for kind, amount in wanted.items())
        ):
            return "insufficient resources"
        if broken := broken_constraints(spec, self.node):
            return f"constraint {broken[0]} not satisfied"
        placement = spec.placement
        if placement and placement.platforms and not _platform_fits(placement.platforms, self.node):
            return "unsupported platform"
        if taken := host_ports(service) & self.ports:
            protocol, port = min(taken)
            return f"host port {port}/{protocol} already in use"
        if placement and placement.max_replicas and self.of_service[task.service_id] >= placement.max_replicas:
            return "max replicas per node reached"
        return ""


def rooms(
    nodes: Iterable[Node], tasks: Iterable[Task], services: Mapping[str, Service], *, without: frozenset[str]
) -> dict[str, Room]:
    """What is left on every node once all its live tasks are counted.

    Args:
        without: ids of tasks that are about to leave and hold nothing any more.
    """
    left = {node.id: Room.of(node) for node in nodes}
    for task in tasks:
        room = left.get(task.node_id)
        if room is not None and task.id not in without and task.is_wanted:
            room.take(task, services.get(task.service_id), task.spec)
    return left


def place(task: Task, service: Service | None, left: Mapping[str, Room]) -> tuple[Node | None, Counter[str]]:
    """Finds a node for a task as the scheduler's spread strategy would, and takes the room there.

    Returns:
        The node, or None; and how many nodes refused for which reason.
    """
    # The replacement is made from what the service says now.
    spec = service.spec.task_template if service is not None else task.spec
    refusals: Counter[str] = Counter()
    best: Room | None = None
    for room in left.values():
        if refusal := room.refusal(task, service, spec):
            refusals[refusal] += 1
        elif best is None or _load(room, task) < _load(best, task):
            best = room
    if best is None:
        return None, refusals
    best.take(task, service, spec)
    return best.node, refusals


def _load(room: Room, task: Task) -> tuple[int, int, str]:
    # Fewest tasks of the same service first, then fewest tasks; the id makes the preview the same each time.
    return room.of_service[task.service_id], room.tasks, room.node.id
