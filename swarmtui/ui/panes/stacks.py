"""The stacks: what `docker stack` made, by the label it leaves on everything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from swarmtui.model.objects import Config, Network, Secret, stack_of
from swarmtui.model.services import Service
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.ui.cells import Cell, Column, Row, Rows, natural
from swarmtui.ui.describe import Lines, fact_lines, gone
from swarmtui.ui.panes.services import counts
from swarmtui.ui.panes.used import column
from swarmtui.ui.views import Env, Facets, Kept, Once, View, known

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

COLUMNS = (
    Column("name", "STACK", min_width=10, max_width=40, flex=1),
    Column("services", "SERVICES", align="right", priority=90),
    Column("running", "RUNNING", align="right", priority=95),
    Column("short", "SHORT", min_width=8, max_width=60, flex=1, priority=80),
    Column("networks", "NETWORKS", min_width=8, max_width=60, flex=1, priority=70),
)


class StackRows:
    """Makes the rows of the stacks view."""

    def __init__(self) -> None:
        self._kept = Kept(_row)

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        counted = known(snapshot, "nodes", "tasks")
        numbers = counts(snapshot)
        bases: dict[str, tuple[str, int, int, int, tuple[str, ...], tuple[str, ...] | None, bool]] = {}
        networks = stack_names(snapshot.networks) if known(snapshot, "networks") else None
        for name, services in stacks(snapshot).items():
            each = [(service, *numbers.of(service)) for service in services]
            short = tuple(one_line(s.name) for s, running, desired in each if running < desired and not s.is_job)
            running, desired = sum(n for _, n, _ in each), sum(n for _, _, n in each)
            mine = None if networks is None else networks.get(name, ())
            bases[name] = (name, len(services), running, desired, short, mine, counted)
        return self._kept.rows(bases)


def stacks(snapshot: Snapshot) -> dict[str, list[Service]]:
    """Stack → its services, by name."""
    found: dict[str, list[Service]] = defaultdict(list)
    for service in snapshot.services.values():
        if name := stack_of(service.spec.labels):
            found[name].append(service)
    for services in found.values():
        services.sort(key=lambda service: natural(service.name))
    return found


def stack_names(objects: Mapping[str, Network | Secret | Config]) -> dict[str, tuple[str, ...]]:
    """Stack → the names of what belongs to it, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for each in objects.values():
        name = stack_of(each.labels if isinstance(each, Network) else each.spec.labels)
        if name:
            found[name].append(one_line(each.name))
    return {name: tuple(sorted(names, key=natural)) for name, names in found.items()}


def _row(
    name: str,
    services: int,
    running: int,
    desired: int,
    short: tuple[str, ...],
    networks: tuple[str, ...] | None,
    counted: bool,
) -> Row:
    shown = one_line(name)
    on = Cell("?" if networks is None else ", ".join(networks) or "-", "" if networks else "dim")
    style = "good" if not short else "bad" if not running else "warn"
    return (
        Cell(shown, "", natural(shown)),
        Cell(str(services), "", services),
        Cell(f"{running}/{desired}", style, running - desired) if counted else Cell("?", "dim", 0),
        Cell(", ".join(short) or "-", "warn" if short else "dim") if counted else Cell("?", "dim"),
        on,
    )


_stacks_of = Once(stacks)


def _facets(snapshot: Snapshot, key: str) -> Facets:
    services = _stacks_of(snapshot).get(key, [])
    return Facets(service=tuple(name for s in services for name in (s.name, s.id)), stack=(key,))


def _describe(derived: Derived, key: str) -> Lines:
    services = stacks(derived.snapshot).get(key)
    return list(_lines(key, services, derived)) if services else gone("stack")


def _lines(name: str, services: list[Service], derived: Derived) -> Iterator[tuple[str, str]]:
    numbers = counts(derived.snapshot)
    yield "title", one_line(name)
    belongs = {
        "networks": stack_names(derived.snapshot.networks),
        "secrets": stack_names(derived.snapshot.secrets),
        "configs": stack_names(derived.snapshot.configs),
    }
    for kind, names in belongs.items():
        told = ", ".join(names.get(name, ())) if known(derived.snapshot, kind) else "not known yet"
        yield from fact_lines({kind: told})
    yield "heading", "Services"
    called = column(service.name for service in services)
    running_of = [numbers.of(service) for service in services]
    shares = column(f"{running}/{desired}" for running, desired in running_of)
    for service, name, share, (running, desired) in zip(services, called, shares, running_of, strict=True):
        container = service.spec.task_template.container_spec
        image = one_line(container.image).partition("@")[0] if container is not None else "-"
        style = "plain" if running >= desired or service.is_job else "warn" if running else "bad"
        yield style, f"  {name}  {share}  {image}"


VIEW = View(
    name="stacks",
    one="stack",
    columns=COLUMNS,
    maker=StackRows,
    describe=_describe,
    reads=("services", "tasks", "networks"),
    details=("networks", "secrets", "configs"),
    facets=_facets,
)
