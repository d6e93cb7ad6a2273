"""Which node a task goes to: the filters and the spread of SwarmKit's scheduler."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.constraints import Constraint, parse, satisfied
from swarmtui.demo.world.objects import Json, Node, Service, Task
from swarmtui.demo.world.specs import published

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_EXPLAIN = {
    "ready": ("1 node not available for new tasks", "{} nodes not available for new tasks"),
    "resources": ("insufficient resources on 1 node", "insufficient resources on {} nodes"),
    "constraints": (
        "scheduling constraints not satisfied on 1 node",
        "scheduling constraints not satisfied on {} nodes",
    ),
    "platform": ("unsupported platform on 1 node", "unsupported platform on {} nodes"),
    "ports": ("host-mode port already in use on 1 node", "host-mode port already in use on {} nodes"),
    "replicas": ("max replicas per node limit exceed", "max replicas per node limit exceed"),
}


@dataclass(slots=True)
class _Load:
    """What runs on a node already."""

    tasks: int = 0
    cpus: int = 0
    memory: int = 0
    services: Counter[str] = field(default_factory=Counter)
    ports: set[tuple[str, int]] = field(default_factory=set)


def reservations(template: Json) -> tuple[int, int]:
    """Reserved CPU (billionths) and memory (bytes) of a task template."""
    wanted = (template.get("Resources") or {}).get("Reservations") or {}
    return int(wanted.get("NanoCPUs") or 0), int(wanted.get("MemoryBytes") or 0)


class Scheduler:
    """Assigns tasks to nodes. Knows the load of every node and is told when it changes."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._loads: dict[str, _Load] = defaultdict(_Load)
        self._counted: dict[str, tuple[str, int, int, str, frozenset[tuple[str, int]]]] = {}
        self._constraints: dict[tuple[str, ...], tuple[Constraint, ...]] = {}

    def count(self, task: Task) -> None:
        """Take a task into account, or out of it: it counts on its node while it is or may be running."""
        counts = bool(task.node_id) and not task.over and task.desired != "remove"
        before = self._counted.get(task.id)
        if counts and before is None:
            service = self.cluster.services.get(task.service_id)
            ports = frozenset(published(service.ports, "host")) if service else frozenset()
            entry = (task.node_id, *reservations(task.spec), task.service_id, ports)
            self._counted[task.id] = entry
            self._apply(entry, 1)
        elif not counts and before is not None:
            del self._counted[task.id]
            self._apply(before, -1)

    def forget(self, task: Task) -> None:
        """The task is gone from the store."""
        before = self._counted.pop(task.id, None)
        if before is not None:
            self._apply(before, -1)

    def _apply(self, entry: tuple[str, int, int, str, frozenset[tuple[str, int]]], sign: int) -> None:
        node_id, cpus, memory, service, ports = entry
        load = self._loads[node_id]
        load.tasks += sign
        load.cpus += sign * cpus
        load.memory += sign * memory
        load.services[service] += sign
        if sign > 0:
            load.ports |= ports
        else:
            load.ports -= ports

    def place(self, service: Service, tasks: Iterable[Task]) -> tuple[list[Task], list[Task], str]:
        """Give tasks of one service and one spec a node each.

        Returns:
            The tasks that have a `node_id` now, those that fit nowhere, and why.
        """
        waiting = list(tasks)
        if not waiting:
            return [], [], ""
        checks = self._filters(service, waiting[0].spec)
        failures: Counter[str] = Counter()
        fitting: list[Node] = []
        for node in self.cluster.nodes.values():
            failed = next((name for name, check in checks if not check(node)), None)
            if failed is None:
                fitting.append(node)
            else:
                failures[failed] += 1
        branches = self._branches(service, fitting)
        heap = [(self._score(node, service, branches), node.id, node) for node in fitting]
        heapq.heapify(heap)
        placed: list[Task] = []
        while waiting and heap:
            score, _, node = heapq.heappop(heap)
            now = self._score(node, service, branches)
            if now != score:
                heapq.heappush(heap, (now, node.id, node))
                continue
            failed = next((name for name, check in checks if not check(node)), None)
            if failed is not None:
                failures[failed] += 1
                continue
            task = waiting.pop(0)
            task.node_id = node.id
            self.count(task)
            if node.id in branches:
                branches[node.id][1][branches[node.id][0]] += 1
            placed.append(task)
            heapq.heappush(heap, (self._score(node, service, branches), node.id, node))
        return placed, waiting, explain(failures)

    def fits(self, service: Service, template: Json, node: Node) -> bool:
        """May a global service's task run on this node?"""
        checks = self._filters(service, template)
        return all(check(node) for name, check in checks if name in ("constraints", "platform"))

    def check_one(self, service: Service, task: Task, node: Node) -> str:
        """Why a task that is bound to one node cannot start there now; empty when it can."""
        for name, check in self._filters(service, task.spec):
            if not check(node):
                return explain(Counter({name: 1}))
        return ""

    def _score(
        self, node: Node, service: Service, branches: dict[str, tuple[str, Counter[str]]]
    ) -> tuple[int, int, int]:
        load = self._loads[node.id]
        branch, counts = branches.get(node.id, ("", Counter()))
        return counts[branch], load.services[service.id], load.tasks

    def _branches(self, service: Service, nodes: list[Node]) -> dict[str, tuple[str, Counter[str]]]:
        preferences = (service.template.get("Placement") or {}).get("Preferences") or []
        if not preferences:
            return {}
        descriptor = str((preferences[0].get("Spread") or {}).get("SpreadDescriptor", ""))
        label = descriptor.removeprefix("node.labels.")
        counts: Counter[str] = Counter()
        result = {}
        for node in nodes:
            branch = node.labels.get(label, "")
            counts[branch] += self._loads[node.id].services[service.id]
            result[node.id] = (branch, counts)
        return result

    def _filters(self, service: Service, template: Json) -> list[tuple[str, Callable[[Node], bool]]]:
        checks: list[tuple[str, Callable[[Node], bool]]] = [
            ("ready", lambda node: node.state == "ready" and node.availability == "active")
        ]
        cpus, memory = reservations(template)
        if cpus or memory:
            checks.append(("resources", lambda node: self._room(node, cpus, memory)))
        placement = template.get("Placement") or {}
        texts = tuple(placement.get("Constraints") or ())
        if texts:
            if texts not in self._constraints:
                self._constraints[texts] = parse(texts)
            constraints = self._constraints[texts]
            checks.append(("constraints", lambda node: satisfied(constraints, node)))
        platforms = placement.get("Platforms") or []
        if platforms:
            checks.append(("platform", lambda node: any(_same_platform(p, node) for p in platforms)))
        ports = published(service.ports, "host")
        if ports:
            checks.append(("ports", lambda node: not ports & self._loads[node.id].ports))
        limit = int(placement.get("MaxReplicas") or 0)
        if limit:
            checks.append(("replicas", lambda node: self._loads[node.id].services[service.id] < limit))
        return checks

    def _room(self, node: Node, cpus: int, memory: int) -> bool:
        load = self._loads[node.id]
        return load.cpus + cpus <= node.cpus * 10**9 and load.memory + memory <= node.memory


def _same_platform(platform: Json, node: Node) -> bool:
    wanted = str(platform.get("Architecture") or "")
    wanted = _ARCHITECTURES.get(wanted, wanted)
    have = _ARCHITECTURES.get(node.architecture, node.architecture)
    return (not wanted or wanted == have) and (not platform.get("OS") or platform["OS"] == node.os)


def explain(failures: Counter[str]) -> str:
    """Why no node would do, in the scheduler's words, the commonest reason first."""
    parts = [
        _EXPLAIN[name][0] if number == 1 else _EXPLAIN[name][1].format(number)
        for name, number in sorted(failures.items(), key=lambda item: -item[1])
    ]
    return f"no suitable node ({'; '.join(parts)})" if parts else "no suitable node"
