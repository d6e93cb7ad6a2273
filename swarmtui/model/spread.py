"""How tasks are spread over the nodes, and what replacing them would make of it.

Swarm never moves a task that runs. A new node stays empty, and one that was away comes back empty, until something
restarts; and then the scheduler puts each new task where the service has the fewest, over the values of its placement
preferences first, then over the nodes, then where the fewest tasks are at all (swarmkit, scheduler/nodeset and
decision_tree). This works out what it would do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from swarmtui.model.impact import local_data
from swarmtui.model.placement import Room, generic_amounts, host_ports, reservations, rooms
from swarmtui.model.rollout import NO_CONFIG, may_run
from swarmtui.model.services import Service, Task, UpdateConfig
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node, Platform

NEARLY_EMPTY = 0.5
"""A node with less than this part of the mean number of tasks is worth filling, though every service is even."""


class ServiceSpread(Struct, frozen=True):
    """One service whose restart would even things out.

    Attributes:
        restarts: tasks that are replaced; moves: those of them that come to another node.
        now, after: node id → tasks of it, on nodes that have or get some.
        crowded: it is even in itself, but other nodes are nearly empty.
        local_data: what a task would not find on another node.
    """

    service_id: str
    name: str
    restarts: int
    moves: int
    now: dict[str, int]
    after: dict[str, int]
    crowded: bool = False
    local_data: tuple[str, ...] = ()

    @property
    def single(self) -> bool:
        return self.restarts == 1


class Spread(Struct, frozen=True):
    """What rebalancing would do.

    Attributes:
        services: those to restart, the least risky first: many replicas before few, a single one last.
        left: (service, why it is left alone), of those that are uneven, or were asked for.
        now, after: node id → tasks of all services, on nodes that take tasks.
    """

    services: tuple[ServiceSpread, ...]
    left: tuple[tuple[str, str], ...]
    now: dict[str, int]
    after: dict[str, int]


ORDERS = 5


@dataclass(slots=True)
class _Seat:
    """A node that may run the service. most: how many of its tasks fit; total: tasks of all services there."""

    node: Node
    now: int
    most: int
    total: int
    groups: tuple[str, ...]
    count: int = 0


def spread_of(snapshot: Snapshot, *, only: frozenset[str] | None = None, singles: bool = False) -> Spread:
    """Finds the services whose restart would spread tasks more evenly, in the order in which to restart them.

    Args:
        only: ids of the services to look at; None for all. What is named is moved although it keeps data on its nodes.
        singles: also services of one replica; each of them is down for a moment.
    """
    return _Balancing(snapshot, only, singles).result()


class _Balancing:
    """One look at a cluster, in which services are restarted in thought, one after the other."""

    def __init__(self, snapshot: Snapshot, only: frozenset[str] | None, singles: bool) -> None:
        self.snapshot = snapshot
        self.only = only
        self.singles = singles
        self.rooms = rooms(snapshot.nodes.values(), snapshot.tasks.values(), snapshot.services, without=frozenset())
        self.taking = [node.id for node in snapshot.nodes.values() if node.takes_tasks]
        self.mean = sum(self._totals().values()) / max(1, len(self.taking))
        self.suiting: dict[tuple[tuple[str, ...], tuple[Platform, ...]], list[Node]] = {}
        self.chosen: list[ServiceSpread] = []
        self.left: dict[str, str] = {}

    def result(self) -> Spread:
        now = self._totals()
        services = [
            service
            for service in self.snapshot.services.values()
            if (self.only is None or service.id in self.only) and not service.is_job and not service.is_global
        ]
        tasks: dict[str, list[Task]] = {service.id: [] for service in services}
        for task in self.snapshot.tasks.values():
            if task.service_id in tasks and task.is_wanted:
                tasks[task.service_id].append(task)
        services.sort(key=lambda s: (-len(tasks[s.id]), s.name))
        several = [service for service in services if len(tasks[service.id]) > 1]
        single = [service for service in services if len(tasks[service.id]) == 1]
        for crowded, group in ((False, several), (True, several), (True, single)):
            for service in group:
                if not self._is_chosen(service):
                    by_slot = sorted(tasks[service.id], key=lambda task: (task.slot, task.id))
                    self._consider(service, by_slot, crowded=crowded)
        if self.only is not None:
            for service_id in self.only:
                if (found := self.snapshot.services.get(service_id)) is not None:
                    self._explain(found)
        return Spread(tuple(self.chosen), tuple(sorted(self.left.items())), now, self._totals())

    def _totals(self) -> dict[str, int]:
        return {node_id: self.rooms[node_id].tasks for node_id in self.taking}

    def _explain(self, service: Service) -> None:
        """Why a service that was asked for is not among those that restart."""
        if self._is_chosen(service) or service.name in self.left:
            return
        what = "a global service: one task on each node" if service.is_global else "a job" if service.is_job else ""
        self.left[service.name] = what or "as even as it can be"

    def _is_chosen(self, service: Service) -> bool:
        return any(done.service_id == service.id for done in self.chosen)

    def _consider(self, service: Service, tasks: list[Task], *, crowded: bool) -> None:
        if not (self._least() < self.mean * NEARLY_EMPTY if crowded else self._may_be_uneven(service, tasks)):
            return
        seats = self._seats(service, tasks)
        if not (self._nearly_empty(seats) if crowded else surplus(seats)):
            return
        config = service.spec.update_config or NO_CONFIG
        placed = _usual_outcome(seats, tasks, config)
        if placed is None:
            self.left[service.name] = "there is no room to start its tasks anew"
            return
        now = {seat.node.id: seat.now for seat in seats}
        if not self._better(seats, now, placed, crowded=crowded):
            return
        if why := self._why_not(service, tasks):
            self.left[service.name] = why
            return
        here = _counted(task.node_id for task in tasks)
        after = {node_id: count for node_id, count in placed.items() if count}
        self.chosen.append(
            ServiceSpread(
                service.id,
                service.name,
                len(tasks),
                sum(max(0, count - after.get(node_id, 0)) for node_id, count in here.items()),
                here,
                after,
                crowded,
                local_data(tasks),
            )
        )
        self._settle(service, here, after)

    def _why_not(self, service: Service, tasks: list[Task]) -> str:
        state = service.update_status.state if service.update_status else ""
        if state in ("updating", "rollback_started") or state.endswith("paused"):
            return f"its rollout is not at its end ({state})"
        running = sum(map(self.snapshot.is_live, tasks))
        if running < (service.replicas or 0):
            return f"only {running} of {service.replicas} tasks run"
        volumes = [kept for kept in local_data(tasks) if kept.startswith("volume ")]
        if volumes and self.only is None:
            return f"its data is on its nodes: {', '.join(volumes)}"
        if len(tasks) == 1 and not self.singles:
            return "its only replica would restart"
        return ""

    def _eligible(self, service: Service) -> list[Node]:
        """The nodes whose labels and platform suit a service; many services ask for the same."""
        placement = service.spec.task_template.placement
        key = (
            tuple(placement.constraints or ()) if placement else (),
            tuple(placement.platforms or ()) if placement else (),
        )
        if key not in self.suiting:
            self.suiting[key] = [node for node in self.snapshot.nodes.values() if may_run(service, node)]
        return self.suiting[key]

    def _seats(self, service: Service, tasks: Sequence[Task]) -> list[_Seat]:
        """The nodes that matter: those with tasks of it, and as many of the emptiest others as could get some."""
        here = _counted(task.node_id for task in tasks)
        seats: list[_Seat] = []
        empty: dict[tuple[str, ...], int] = {}
        for node in sorted(self._eligible(service), key=lambda node: (self.rooms[node.id].tasks, node.id)):
            groups = _groups(service, node)
            own = here.get(node.id, 0)
            if not own and empty.get(groups, 0) >= len(tasks):
                continue
            most = _most(self.rooms[node.id], service, own, len(tasks))
            if most > 0:
                seats.append(_Seat(node, own, most, self.rooms[node.id].tasks, groups))
                empty[groups] = empty.get(groups, 0) + (not own)
        return seats

    def _may_be_uneven(self, service: Service, tasks: Sequence[Task]) -> bool:
        """Whether it is worth a closer look: without preferences, no service is that has one task on a node."""
        placement = service.spec.task_template.placement
        return bool(placement and placement.preferences) or len({task.node_id for task in tasks}) < len(tasks)

    def _least(self) -> int:
        """Tasks of the emptiest node."""
        return min((self.rooms[node_id].tasks for node_id in self.taking), default=0)

    def _nearly_empty(self, seats: Sequence[_Seat]) -> bool:
        """Whether a node that could run the service has far fewer tasks than the others, and one that does has more."""
        fullest = max((seat.total for seat in seats if seat.now), default=0)
        return any(
            seat.now < seat.most and seat.total < self.mean * NEARLY_EMPTY and fullest - seat.total >= 2
            for seat in seats
        )

    def _better(
        self, seats: Sequence[_Seat], now: Mapping[str, int], after: Mapping[str, int], *, crowded: bool
    ) -> bool:
        """Whether the restart would be worth it."""
        if not crowded:
            return surplus(seats, after) < surplus(seats)
        was = [seat.total for seat in seats]
        will = [seat.total - now[seat.node.id] + after[seat.node.id] for seat in seats]
        return sum(n * n for n in will) < sum(n * n for n in was)

    def _settle(self, service: Service, now: Mapping[str, int], after: Mapping[str, int]) -> None:
        """What is left on the nodes once the service was restarted."""
        need = reservations(service.spec.task_template)
        for node_id in {*now, *after} & self.rooms.keys():
            room = self.rooms[node_id]
            more = after.get(node_id, 0) - now.get(node_id, 0)
            room.tasks += more
            room.cpus -= more * need.nano_cpus
            room.memory -= more * need.memory_bytes
            for kind, amount in generic_amounts(need.generic_resources).items():
                room.generic[kind] -= more * amount
            if after.get(node_id):
                room.ports |= host_ports(service)
            elif now.get(node_id):
                room.ports -= host_ports(service)


def _counted(node_ids: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for node_id in node_ids:
        counts[node_id] = counts.get(node_id, 0) + 1
    return counts


def _groups(service: Service, node: Node) -> tuple[str, ...]:
    """The values of the labels over which the service spreads, the outermost first; a label that is not there is ""."""
    placement = service.spec.task_template.placement
    values = []
    for preference in (placement.preferences if placement else None) or []:
        key = preference.spread.spread_descriptor if preference.spread else ""
        kind, _, label = key.partition(".labels.")
        labels = node.labels if kind == "node" else node.engine_labels if kind == "engine" else {}
        values.append(labels.get(label, ""))
    return tuple(values)


def _most(room: Room, service: Service, own: int, wanted: int) -> int:
    """How many tasks of a service fit on a node that has `own` of them already, up to all that are wanted."""
    spec = service.spec.task_template
    need = reservations(spec)
    limits = [wanted]
    if need.nano_cpus:
        limits.append(own + room.cpus // need.nano_cpus)
    if need.memory_bytes:
        limits.append(own + room.memory // need.memory_bytes)
    limits += [own + room.generic[kind] // n for kind, n in generic_amounts(need.generic_resources).items() if n]
    if ports := host_ports(service):
        limits.append(1 if own or not ports & room.ports else 0)
    if spec.placement and spec.placement.max_replicas:
        limits.append(spec.placement.max_replicas)
    return max(0, min(limits))


def surplus(seats: Sequence[_Seat], counts: Mapping[str, int] | None = None) -> int:
    """How many tasks are on nodes that would not have them were the service as even as it can be.

    Only nodes that may run it count: tasks on a paused node are there on purpose.
    """
    have = {seat.node.id: seat.now if counts is None else counts[seat.node.id] for seat in seats}
    if not any(seat.groups for seat in seats):
        fewest = min((have[seat.node.id] for seat in seats if have[seat.node.id] < seat.most), default=None)
        if fewest is None or max(have.values()) - fewest <= 1:
            return 0
    for seat in seats:
        seat.count = 0
    for _ in range(sum(have.values())):
        best = _pick(seats, lambda seat: (-have[seat.node.id], 0))
        if best is None:
            break
        best.count += 1
    return sum(max(0, have[seat.node.id] - seat.count) for seat in seats)


def _usual_outcome(seats: Sequence[_Seat], tasks: Sequence[Task], config: UpdateConfig) -> dict[str, int] | None:
    """What a restart comes to, of several orders that the updater may take: it takes tasks in none that can be told."""
    outcomes = []
    for seed in range(ORDERS):
        order = list(tasks)
        random.Random(seed).shuffle(order)
        outcome = after_restart(seats, order, config)
        if outcome is None:
            return None
        outcomes.append(outcome)
    outcomes.sort(key=lambda outcome: surplus(seats, outcome))
    return outcomes[ORDERS // 2]


def after_restart(seats: Sequence[_Seat], tasks: Sequence[Task], config: UpdateConfig) -> dict[str, int] | None:
    """Node id → tasks once the updater has replaced all of them; None where one would find no place."""
    by_id = {seat.node.id: seat for seat in seats}
    total = {seat.node.id: seat.total for seat in seats}
    for seat in seats:
        seat.count = seat.now
    width = config.parallelism or len(tasks)

    def stop(task: Task) -> None:
        if task.node_id in by_id:
            by_id[task.node_id].count -= 1
            total[task.node_id] -= 1

    def start() -> bool:
        best = _pick(seats, lambda seat: (0, total[seat.node.id]))
        if best is None:
            return False
        best.count += 1
        total[best.node.id] += 1
        return True

    for at in range(0, len(tasks), width):
        batch = tasks[at : at + width]
        if config.order != "start-first":
            for task in batch:
                stop(task)
        if any(not start() for _ in batch):
            return None
        if config.order == "start-first":
            for task in batch:
                stop(task)
    return {seat.node.id: seat.count for seat in seats}


def _pick(seats: Sequence[_Seat], among_equals: Callable[[_Seat], tuple[int, int]]) -> _Seat | None:
    """Where the next task goes: the value of each preference that has the fewest, then the node that has the fewest."""
    levels = len(seats[0].groups) if seats else 0
    inside = list(seats)
    for level in range(levels):
        counts: dict[str, int] = {}
        first: dict[str, tuple[int, int]] = {}
        for seat in inside:
            group = seat.groups[level]
            counts[group] = counts.get(group, 0) + seat.count
            if seat.count < seat.most:
                first[group] = min(first.get(group, among_equals(seat)), among_equals(seat))
        if not first:
            return None
        chosen = min(first, key=lambda group: (counts[group], first[group], group))
        inside = [seat for seat in inside if seat.groups[level] == chosen]
    free = [seat for seat in inside if seat.count < seat.most]
    return min(free, key=lambda seat: (seat.count, among_equals(seat), seat.node.id)) if free else None
