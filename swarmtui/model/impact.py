"""What an action on nodes would move, stop or strand. Given a snapshot and the nodes as they would be afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from swarmtui.model.placement import broken_constraints, place, rooms
from swarmtui.model.services import Service, Task, TaskSpec
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Availability, Node


class ServiceImpact(Struct, frozen=True):
    """What happens to one service.

    Attributes:
        moving: its tasks that stop on their node and start on another.
        stuck: its tasks that stop and can be placed nowhere.
        stuck_why: the scheduler's reasons, in its own manner: "no suitable node (…)".
        leaving: tasks of a global service that stop; they come back when the node takes tasks again.
        running_before: its tasks that run now, on nodes that are ready.
        to_zero: nothing of it will run any more.
        blinks: its only replica stops and starts elsewhere: a short outage.
        local_data: volumes and host folders on the node that its tasks use; their replacements start without that data.
        targets: names of the nodes that could take the moving tasks, with how many each.
    """

    service_id: str
    name: str
    moving: int = 0
    stuck: int = 0
    stuck_why: str = ""
    leaving: int = 0
    is_job: bool = False
    running_before: int = 0
    to_zero: bool = False
    blinks: bool = False
    local_data: tuple[str, ...] = ()
    targets: tuple[tuple[str, int], ...] = ()


class Impact(Struct, frozen=True):
    """What an action does to the tasks of the cluster.

    Attributes:
        services: one entry for each service that is touched, the worst first.
        known: False when tasks, services or nodes could not be read now: then that is said, and nothing else.
    """

    services: tuple[ServiceImpact, ...] = ()
    known: bool = True

    @property
    def moving(self) -> int:
        return sum(s.moving for s in self.services)

    @property
    def stuck(self) -> int:
        return sum(s.stuck for s in self.services)

    @property
    def leaving(self) -> int:
        return sum(s.leaving for s in self.services)

    @property
    def to_zero(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.services if s.to_zero)

    @property
    def blinking(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.services if s.blinks)


def impact_of(snapshot: Snapshot, changed: Mapping[str, Node | None]) -> Impact:
    """What happens to the tasks when nodes become as given; None for a node that is gone.

    A drained, absent node loses all its tasks; a node whose labels or role change loses those whose constraints no
    longer hold (swarmkit's constraint enforcer evicts them).
    """
    if not snapshot.complete:
        return Impact(known=False)
    after: dict[str, Node] = {id_: node for id_, node in snapshot.nodes.items() if id_ not in changed}
    after |= {id_: node for id_, node in changed.items() if node is not None}
    evicted = [
        task
        for task in snapshot.tasks.values()
        if task.node_id in changed
        and task.is_wanted
        and _evicts(snapshot.nodes.get(task.node_id), changed[task.node_id], _spec_now(snapshot, task))
    ]
    if not evicted:
        return Impact()
    gone = frozenset(task.id for task in evicted)
    left = rooms(after.values(), snapshot.tasks.values(), snapshot.services, without=gone)
    by_service: dict[str, list[Task]] = {}
    for task in sorted(evicted, key=lambda t: (t.service_id, t.slot, t.id)):
        by_service.setdefault(task.service_id, []).append(task)
    live = [task for task in snapshot.tasks.values() if snapshot.is_live(task)]
    running = Counter(task.service_id for task in live)
    staying = Counter(task.service_id for task in live if task.id not in gone)

    impacts = []
    for service_id, tasks in by_service.items():
        service = snapshot.services.get(service_id)
        if service is None:
            # A task whose service is gone is not started again anywhere.
            impacts.append(ServiceImpact(service_id, f"(removed) {service_id[:12]}", leaving=len(tasks)))
        elif service.is_global:
            impacts.append(
                ServiceImpact(
                    service_id,
                    service.name,
                    leaving=len(tasks),
                    running_before=running[service_id],
                    to_zero=running[service_id] > 0 and staying[service_id] == 0,
                    local_data=local_data(tasks),
                )
            )
        else:
            targets: Counter[str] = Counter()
            refusals: Counter[str] = Counter()
            stuck = 0
            for task in tasks:
                node, why = place(task, service, left)
                if node is None:
                    stuck += 1
                    refusals = why
                else:
                    targets[node.name] += 1
            moving = len(tasks) - stuck
            impacts.append(
                ServiceImpact(
                    service_id,
                    service.name,
                    moving=moving,
                    stuck=stuck,
                    stuck_why=no_suitable_node(refusals) if stuck else "",
                    is_job=service.is_job,
                    running_before=running[service_id],
                    to_zero=running[service_id] > 0 and staying[service_id] == 0 and moving == 0,
                    blinks=_is_only_replica(service) and moving > 0,
                    local_data=local_data(tasks),
                    targets=tuple(sorted(targets.items())),
                )
            )
    impacts.sort(key=lambda s: (not s.to_zero, s.stuck == 0, not s.blinks, -s.moving, s.name))
    return Impact(tuple(impacts))


def _spec_now(snapshot: Snapshot, task: Task) -> TaskSpec:
    """What the service of a task says now: scheduler and constraint enforcer go by it, not by the task's own spec."""
    service = snapshot.services.get(task.service_id)
    return service.spec.task_template if service is not None else task.spec


def _evicts(before: Node | None, after: Node | None, spec: TaskSpec) -> bool:
    if after is None or after.spec.availability == Availability.DRAIN:
        return True
    # The enforcer looks at nodes that are ready and active only (swarmkit, constraint_enforcer.go).
    if before is None or not after.takes_tasks:
        return False
    broken = set(broken_constraints(spec, after))
    # A constraint that did not hold before either is this action's doing only if nobody looked at the node until now.
    return bool(broken - set(broken_constraints(spec, before)) if before.takes_tasks else broken)


def _is_only_replica(service: Service) -> bool:
    return service.replicas == 1


def no_suitable_node(refusals: Counter[str]) -> str:
    """Why a task can be placed nowhere, in the scheduler's manner, from how many nodes refused for which reason."""
    if not refusals:
        return "no suitable node (no node is left)"
    reasons = "; ".join(f"{why} on {n} {'node' if n == 1 else 'nodes'}" for why, n in refusals.most_common())
    return f"no suitable node ({reasons})"


def local_data(tasks: list[Task]) -> tuple[str, ...]:
    """Volumes kept by the node itself, and folders of the host, that these tasks use."""
    found: dict[str, None] = {}
    for task in tasks:
        container = task.spec.container_spec
        for mount in (container.mounts if container else None) or []:
            driver = mount.volume_options.driver_config if mount.volume_options else None
            if mount.type == "volume" and mount.source and (driver is None or driver.name in ("", "local")):
                found[f"volume {mount.source}"] = None
            elif mount.type == "bind":
                found[f"host folder {mount.source}"] = None
    return tuple(found)


def with_availability(node: Node, availability: Availability) -> Node:
    """The node as it would be with another availability."""
    return replace(node, spec=replace(node.spec, availability=availability))


def with_role(node: Node, role: str) -> Node:
    """The node as it would be with another role in its Spec."""
    return replace(node, spec=replace(node.spec, role=role))


def with_labels(node: Node, labels: Mapping[str, str]) -> Node:
    """The node as it would be with these labels instead of its own."""
    return replace(node, spec=replace(node.spec, labels=dict(labels)))
