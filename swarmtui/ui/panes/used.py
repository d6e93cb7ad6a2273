"""What services use, and who uses it: the parts that networks, volumes, secrets and configs have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.cells import cell_len, set_cell_size

from swarmtui.model.objects import stack_of
from swarmtui.model.services import Service
from swarmtui.model.snapshot import Snapshot
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


def column(texts: Iterable[str]) -> list[str]:
    """Texts of a cluster as a column: harmless, and as wide as the widest of them."""
    shown = [one_line(text) for text in texts]
    width = max(map(cell_len, shown), default=0)
    return [set_cell_size(text, width) for text in shown]


def end_lines(
    labels: Mapping[str, str] | None, users: Sequence[Service], snapshot: Snapshot
) -> Iterator[tuple[str, str]]:
    """The end of a description: labels, and the services that use it."""
    yield from label_lines(labels)
    yield "heading", "Used by"
    numbers = counts(snapshot)
    for service, name in zip(users, column(service.name for service in users), strict=True):
        running, desired = numbers.of(service)
        yield "plain", f"  {name}  {running}/{desired}"
    if not users:
        yield "dim", "  no service"
