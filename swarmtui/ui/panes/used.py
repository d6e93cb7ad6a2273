"""What services use, and who uses it: the parts that networks, volumes, secrets and configs have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from swarmtui.model.objects import stack_of
from swarmtui.model.swarm import Service, Snapshot
from swarmtui.model.text import one_line
from swarmtui.ui.cells import Cell
from swarmtui.ui.describe import label_lines
from swarmtui.ui.panes.services import counts
from swarmtui.ui.views import Facets


def users_cell(users: Sequence[Service]) -> Cell:
    """The services that use something."""
    names = ", ".join(one_line(service.name) for service in users)
    return Cell(names or "nobody", "" if users else "dim", len(users))


def stack_cell(labels: Mapping[str, str] | None) -> Cell:
    return Cell(one_line(stack_of(labels)) or "-")


def facets_of(labels: Mapping[str, str] | None, users: Sequence[Service]) -> Facets:
    names = tuple(name for service in users for name in (service.name, service.id))
    return Facets((), names, (stack_of(labels),), labels or {})


def end_lines(
    labels: Mapping[str, str] | None, users: Sequence[Service], snapshot: Snapshot
) -> Iterator[tuple[str, str]]:
    """The end of a description: labels, and the services that use it."""
    yield from label_lines(labels)
    yield "heading", "Used by"
    numbers = counts(snapshot)
    for service in users:
        running, desired = numbers.of(service)
        yield "plain", f"  {one_line(service.name)}  {running}/{desired}"
    if not users:
        yield "dim", "  no service"
