"""What changing a service makes of its tasks: which stop, start or are replaced, how, and which have no place.

The rules are those of swarmkit's updater (orchestrator/update): so many workers as the parallelism says take the
outdated tasks one by one, and a worker waits without end for a task that can be placed nowhere. A task is outdated
when the template changed; when only constraints did, it is where its node does not satisfy them (IsTaskDirty).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from swarmtui.model.impact import Impact, ServiceImpact, local_data, no_suitable_node
from swarmtui.model.placement import Room, broken_constraints, generic_amounts, host_ports, place, reservations, rooms
from swarmtui.model.services import Service, ServiceSpec, Task, UpdateConfig
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Availability, Node, Resources

NO_CONFIG = UpdateConfig(parallelism=1)
"""How the engine replaces the tasks of a service that says nothing about it (swarmkit, api/defaults)."""
MONITOR_SECONDS = 5
"""How long the engine watches each new task where the service does not say."""


class Rollout(Struct, frozen=True, kw_only=True):
    """What one change makes of the tasks of one service.

    Attributes:
        running: its tasks that run now, on nodes that are ready.
        wanted: how many it shall have afterwards; of a global service, as far as the nodes are known.
        restarting: tasks that are replaced by new ones.
        starting: tasks that come in addition; stopping: tasks that go and are not replaced.
        stuck: new tasks that can be placed nowhere; stuck_why: the scheduler's reasons.
        held_up: outdated tasks that the rollout never comes to, because it waits for those.
        config: how tasks are replaced.
        to_zero: nothing of it will run any more.
        blinks: its only replica stops before the new one starts.
        all_at_once: all its tasks, more than one, stop at the same moment.
        local_data: volumes and host folders that a replacement on another node would miss.
        known: False when services, tasks or nodes could not be read: then nothing else counts.
    """

    service_id: str
    name: str
    running: int = 0
    wanted: int = 0
    restarting: int = 0
    starting: int = 0
    stopping: int = 0
    stuck: int = 0
    stuck_why: str = ""
    held_up: int = 0
    config: UpdateConfig = NO_CONFIG
    to_zero: bool = False
    blinks: bool = False
    all_at_once: bool = False
    local_data: tuple[str, ...] = ()
    known: bool = True

    @property
    def hurts(self) -> bool:
        """Whether a task that runs now stops, as far as anybody knows."""
        return bool(self.restarting or self.stopping) or not self.known

    @property
    def seconds(self) -> int:
        """The time its delays, and the engine's watch over new tasks, take at least."""
        if not self.restarting:
            return 0
        batches = -(-self.restarting // (self.config.parallelism or self.restarting))
        return (batches - 1) * -(-self.config.delay // 10**9) + monitor_seconds(self.config)


def monitor_seconds(config: UpdateConfig) -> int:
    """How long the engine watches each new task, in seconds."""
    return -(-config.monitor // 10**9) or MONITOR_SECONDS


def rollout_of(
    snapshot: Snapshot, service: Service, after: ServiceSpec, *, whole: bool, rollback: bool = False
) -> Rollout:
    """What happens to the tasks of a service when its Spec becomes `after`.

    Args:
        whole: the template changes in more than its constraints: every task is outdated.
        rollback: the engine goes back, by the rollback's own configuration.
    """
    config = (after.rollback_config if rollback else after.update_config) or NO_CONFIG
    if not snapshot.complete:
        return Rollout(service_id=service.id, name=service.name, config=config, known=False)
    changed = replace(service, spec=after)
    nodes = snapshot.nodes
    tasks = wanted_tasks(snapshot, service.id)
    if service.is_global:
        staying, stopping, new = _global(changed, nodes, tasks)
    else:
        staying, stopping, new = _replicated(changed, tasks)
    outdated = [
        task
        for task in staying
        if whole or (task.node_id in nodes and broken_constraints(after.task_template, nodes[task.node_id]))
    ]
    gone = frozenset(task.id for task in stopping)
    placing = _Placing(
        service, changed, rooms(nodes.values(), snapshot.tasks.values(), snapshot.services, without=gone)
    )
    started = sum(placing.start(task) for task in new)
    replaced, held_up = placing.replace(outdated, config)
    start_first = config.order == "start-first"
    not_reached = len(staying) - len(outdated) + held_up
    alive = not_reached + started + (len(outdated) - held_up if start_first else replaced)
    running = _running(snapshot, tasks)
    at_once = min(config.parallelism or len(outdated), len(outdated))
    movable = not service.is_global and sum(may_run(changed, node) for node in nodes.values()) > 1
    return Rollout(
        service_id=service.id,
        name=service.name,
        running=running,
        wanted=len(staying) + len(new),
        restarting=len(outdated),
        starting=len(new),
        stopping=len(stopping),
        stuck=placing.stuck,
        stuck_why=placing.why,
        held_up=held_up,
        config=config,
        to_zero=running > 0 and alive == 0,
        blinks=not start_first and not service.is_global and len(outdated) == len(tasks) == 1,
        all_at_once=not start_first and 1 < len(outdated) == at_once and len(outdated) == len(staying),
        local_data=local_data(outdated) if movable else (),
    )


def removal_of(snapshot: Snapshot, service: Service) -> Rollout:
    """What happens to the tasks of a service when it is removed."""
    if not snapshot.complete:
        return Rollout(service_id=service.id, name=service.name, known=False)
    tasks = wanted_tasks(snapshot, service.id)
    running = _running(snapshot, tasks)
    return Rollout(service_id=service.id, name=service.name, running=running, stopping=len(tasks), to_zero=running > 0)


def impact_of_rollouts(rollouts: Sequence[Rollout]) -> Impact | None:
    """What the changes break, in the form of all plans; None where they break nothing."""
    if not all(rollout.known for rollout in rollouts):
        return Impact(known=False)
    hurt = tuple(
        ServiceImpact(
            r.service_id,
            r.name,
            stuck=r.stuck,
            stuck_why=r.stuck_why,
            running_before=r.running,
            to_zero=r.to_zero,
            blinks=r.blinks,
            local_data=r.local_data,
        )
        for r in rollouts
        if r.stuck or r.to_zero or r.blinks or r.local_data
    )
    return Impact(hurt) if hurt else None


def wanted_tasks(snapshot: Snapshot, service_id: str) -> list[Task]:
    """The tasks of a service that the orchestrator wants to run; those that run first, then by slot."""
    tasks = [task for task in snapshot.tasks.values() if task.service_id == service_id and task.is_wanted]
    return sorted(tasks, key=lambda task: (not task.runs, task.slot, task.id))


def may_run(service: Service, node: Node) -> bool:
    """Whether a node takes tasks of a service at all, however much runs there already."""
    template = replace(service.spec.task_template, resources=None)
    return not Room.of(node).refusal(Task(service_id=service.id), service, template)


def _running(snapshot: Snapshot, tasks: Sequence[Task]) -> int:
    return sum(map(snapshot.is_live, tasks))


_Split = tuple[list[Task], list[Task], list[Task]]
"""Tasks that stay (or are replaced), tasks that go, and tasks that come."""


def _replicated(service: Service, tasks: Sequence[Task]) -> _Split:
    slots: dict[int, Task] = {}
    for task in tasks:
        slots.setdefault(task.slot, task)
    wanted = service.replicas or 0
    # What does not run goes first; among the others nobody but the orchestrator knows, and the highest slots will do.
    there = list(slots.values())
    new = [Task(id=f"new-{n}", service_id=service.id) for n in range(wanted - len(there))]
    return there[:wanted], there[wanted:], new


def _global(service: Service, nodes: Mapping[str, Node], tasks: Sequence[Task]) -> _Split:
    staying: list[Task] = []
    stopping: list[Task] = []
    for task in tasks:
        node = nodes.get(task.node_id)
        stays = (
            node is not None
            and node.spec.availability != Availability.DRAIN
            and not broken_constraints(service.spec.task_template, node)
        )
        (staying if stays else stopping).append(task)
    taken = {task.node_id for task in staying}
    new = [
        Task(id=f"new-{node.id}", service_id=service.id, node_id=node.id)
        for node in nodes.values()
        if node.id not in taken and may_run(service, node)
    ]
    return staying, stopping, new


class _Placing:
    """Finds room for new tasks, one after the other."""

    def __init__(self, before: Service, after: Service, left: Mapping[str, Room]) -> None:
        self._before = before
        self._after = after
        self._left = left
        self.stuck = 0
        self.why = ""

    def start(self, task: Task) -> bool:
        """Whether there is a place for a new task, which then is taken."""
        template = self._after.spec.task_template
        if self._after.is_global:
            room = self._left[task.node_id]
            refusal = room.refusal(task, self._after, template)
            refusals = Counter([refusal] if refusal else [])
            if not refusal:
                room.take(task, self._after, template)
        else:
            node, refusals = place(task, self._after, self._left)
            refusal = "" if node is not None else "nowhere"
        if refusal:
            self.stuck += 1
            self.why = no_suitable_node(refusals) + self._too_big(refusals)
        return not refusal

    def replace(self, tasks: Sequence[Task], config: UpdateConfig) -> tuple[int, int]:
        """Replaces tasks as the updater does; returns how many it replaced, and how many it never comes to."""
        workers = config.parallelism or len(tasks)
        replaced, at = 0, 0
        while at < len(tasks) and workers > 0:
            batch = tasks[at : at + workers]
            at += len(batch)
            start_first = config.order == "start-first"
            if not start_first:
                for task in batch:
                    self._release(task)
            for task in batch:
                if self.start(task):
                    replaced += 1
                    if start_first:
                        self._release(task)
                else:
                    workers -= 1
        return replaced, len(tasks) - at

    def _release(self, task: Task) -> None:
        """The room a task held is free again."""
        room = self._left.get(task.node_id)
        if room is None:
            return
        need = reservations(task.spec)
        room.cpus += need.nano_cpus
        room.memory += need.memory_bytes
        room.generic.update(generic_amounts(need.generic_resources))
        room.ports -= host_ports(self._before)
        room.of_service[task.service_id] -= 1
        room.tasks -= 1

    def _too_big(self, refusals: Counter[str]) -> str:
        if "insufficient resources" not in refusals:
            return ""
        need = reservations(self._after.spec.task_template)
        free = [room for room in self._left.values() if may_run(self._after, room.node)]
        most = Resources(max((r.cpus for r in free), default=0), max((r.memory for r in free), default=0))
        return f"; a task reserves {amounts(need)}, and the most that is free on a node is {amounts(most, need)}"


def amounts(resources: Resources, like: Resources | None = None) -> str:
    """CPU and memory for a person; only those kinds of which `like` has any."""
    like = like or resources
    parts = []
    if like.nano_cpus:
        parts.append(f"{max(resources.nano_cpus, 0) / 1e9:.3g} CPU")
    if like.memory_bytes:
        parts.append(f"{max(resources.memory_bytes, 0) / (1 << 20):,.0f} MiB")
    if like.generic_resources:
        parts.append("generic resources")
    return " and ".join(parts) or "nothing"
