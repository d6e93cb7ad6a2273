"""A service in words: what it runs, how it is replaced, what it uses, and its tasks."""

from __future__ import annotations

from collections.abc import Iterator

from swarmtui.model.objects import stack_of
from swarmtui.model.services import ContainerSpec, Service, Task, UpdateConfig
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Resources
from swarmtui.model.text import one_line
from swarmtui.ui.ages import age_of
from swarmtui.ui.cells import natural
from swarmtui.ui.describe import Lines, fact_lines, label_lines


def service_lines(service: Service, snapshot: Snapshot, now: float) -> Lines:
    """A service, its rollout and its tasks; `now` in seconds since the epoch."""
    return list(_lines(service, snapshot, now))


def _lines(service: Service, snapshot: Snapshot, now: float) -> Iterator[tuple[str, str]]:
    template, container = service.spec.task_template, service.spec.task_template.container_spec
    placement, needs = template.placement, template.resources
    yield "title", one_line(service.name)
    yield from _rollout(service, now)
    yield from fact_lines(
        {
            "id": service.id,
            "stack": stack_of(service.spec.labels),
            "image": container.image if container is not None else "",
            "replicas": _replicas(service),
            "updates": update_words(service.spec.update_config),
            "rollbacks": update_words(service.spec.rollback_config),
            "constraints": ", ".join((placement.constraints if placement is not None else None) or ()),
            "per node": f"at most {placement.max_replicas}" if placement is not None and placement.max_replicas else "",
            "reserves": _amount(needs.reservations if needs is not None else None),
            "limits": _amount(needs.limits if needs is not None else None),
            "ports": _ports(service),
            "networks": ", ".join(_networks(service, snapshot)),
            "secrets": ", ".join(each.secret_name for each in (container.secrets if container else None) or ()),
            "configs": ", ".join(each.config_name for each in (container.configs if container else None) or ()),
            "mounts": ", ".join(_mounts(container)),
            "made": age_of(service.created_at, now) + " ago",
            "last change": age_of(service.updated_at, now) + " ago",
            "version": str(service.version.index),
        }
    )
    yield from label_lines(service.spec.labels)
    yield from task_lines([task for task in snapshot.tasks.values() if task.service_id == service.id], snapshot, now)


def _rollout(service: Service, now: float) -> Iterator[tuple[str, str]]:
    status = service.update_status
    if status is None or not status.state:
        return
    style = {"completed": "good", "updating": "warn"}.get(status.state, "bad")
    since = status.completed_at if status.state.endswith("completed") else status.started_at
    at = f", {age_of(since, now)} ago" if age_of(since, now) != "-" else ""
    message = f": {one_line(status.message)}" if status.message else ""
    yield style, f"Last update {one_line(status.state).replace('_', ' ')}{at}{message}"


def _replicas(service: Service) -> str:
    words = "one on each node" if service.is_global else str(service.replicas)
    return f"{words} (a job)" if service.is_job else words


def update_words(config: UpdateConfig | None) -> str:
    """How tasks are replaced, in words; for a service that says nothing, what the engine does then."""
    if config is None:
        return "one at a time, stop-first; on failure: pause"
    many = f"{config.parallelism} at a time" if config.parallelism else "all at once"
    delay = f", {config.delay / 1e9:g} s apart" if config.delay else ""
    return f"{many}{delay}, {config.order}; on failure: {config.failure_action}"


def _amount(resources: Resources | None) -> str:
    if resources is None:
        return ""
    cpus = f"{resources.nano_cpus / 1e9:g} CPUs" if resources.nano_cpus else ""
    memory = f"{resources.memory_bytes / 2**20:g} MiB" if resources.memory_bytes else ""
    return ", ".join(part for part in (cpus, memory) if part)


def _ports(service: Service) -> str:
    ports = service.spec.endpoint_spec.ports if service.spec.endpoint_spec is not None else None
    return ", ".join(
        f"{port.published_port or '(any)'} -> {port.target_port}/{port.protocol} ({port.publish_mode})"
        for port in ports or ()
    )


def _networks(service: Service, snapshot: Snapshot) -> Iterator[str]:
    for attached in service.spec.task_template.networks or service.spec.networks or ():
        network = snapshot.networks.get(attached.target)
        yield network.name if network is not None else attached.target


def _mounts(container: ContainerSpec | None) -> Iterator[str]:
    for mount in (container.mounts if container is not None else None) or ():
        yield f"{mount.type} {mount.source or '(anonymous)'} at {mount.target}"


def task_lines(tasks: list[Task], snapshot: Snapshot, now: float) -> Iterator[tuple[str, str]]:
    """Tasks below each other, those that live first."""
    yield "heading", "Tasks"
    if not tasks:
        yield "dim", "  none"
    for task in sorted(tasks, key=lambda t: (t.is_terminal, t.slot, natural(t.node_id), t.created_at)):
        node = snapshot.nodes.get(task.node_id)
        where = one_line(node.name) if node is not None else task.node_id[:12] or "no node"
        gone = "" if node is None or node.is_ready else f" ({one_line(node.status.state)})"
        error = f"  {one_line(task.status.err)}" if task.status.err else ""
        slot = f".{task.slot}" if task.slot else ""
        state, aged = one_line(task.status.state), age_of(task.status.timestamp, now)
        line = f"  {slot:5} {state:10} {aged:>7}  {where}{gone}{error}"
        yield "dim" if task.is_terminal else "warn" if gone or error else "plain", line
