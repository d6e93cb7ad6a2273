"""What the views of secrets and of configs have in common: all but what is said of their content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

from swarmtui.model.objects import Config, Secret, Users
from swarmtui.model.services import Service
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.ui.ages import age_of, moment
from swarmtui.ui.cells import Cell, Column, Row, Rows, labels_cell, natural
from swarmtui.ui.describe import Lines, fact_lines, gone
from swarmtui.ui.panes.used import end_lines, facets_of, stack_cell, users_cell
from swarmtui.ui.views import NO_FACETS, Env, Facets, Kept, Once, View

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

Blob: TypeAlias = Secret | Config


def _columns(title: str) -> tuple[Column, ...]:
    return (
        Column("name", title, min_width=12, max_width=64, flex=1),
        Column("users", "SERVICES", min_width=10, max_width=80, flex=1, priority=90),
        Column("stack", "STACK", max_width=30, priority=60),
        Column("age", "AGE", align="right", priority=80, quiet=True),
        Column("changed", "CHANGED", align="right", wide=True, priority=50, quiet=True),
        Column("labels", "LABELS", max_width=60, wide=True, priority=10),
        Column("id", "ID", width=25, wide=True, priority=5),
    )


class _BlobRows:
    """Makes the rows of secrets or configs."""

    def __init__(self, blobs: Callable[[Snapshot], Mapping[str, Blob]], users: Callable[[Snapshot], Users]) -> None:
        self._kept = Kept(_row)
        self._blobs = blobs
        self._users = users

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        users, now = self._users(snapshot), env.now
        return self._kept.rows(
            {
                key: (blob, users.get(key, ()), age_of(blob.created_at, now), age_of(blob.updated_at, now))
                for key, blob in self._blobs(snapshot).items()
            }
        )


def _row(blob: Blob, users: tuple[Service, ...], made: str, changed: str) -> Row:
    name = one_line(blob.name)
    return (
        Cell(name, "", natural(name)),
        users_cell(users),
        stack_cell(blob.spec.labels),
        Cell(made, "", -moment(blob.created_at)),
        Cell(changed, "dim", -moment(blob.updated_at)),
        labels_cell(blob.spec.labels),
        Cell(one_line(blob.id), "dim"),
    )


def _lines(blob: Blob, users: Users, derived: Derived, note: str) -> Iterator[tuple[str, str]]:
    """A secret or config, and who uses it."""
    driver = blob.spec.driver.name if isinstance(blob, Secret) and blob.spec.driver is not None else ""
    template = blob.spec.templating.name if blob.spec.templating is not None else ""
    yield "title", one_line(blob.name)
    yield from fact_lines(
        {
            "id": blob.id,
            "kept by": driver or "the Swarm",
            "template": template or "no",
            "made": age_of(blob.created_at, derived.env.now) + " ago",
            "changed": age_of(blob.updated_at, derived.env.now) + " ago",
            "version": str(blob.version.index),
        }
    )
    yield "dim", f"  {note}"
    yield from end_lines(blob.spec.labels, users.get(blob.id, ()), derived.snapshot)


def blob_view(
    one: str,
    blobs: Callable[[Snapshot], Mapping[str, Blob]],
    users: Callable[[Iterable[Service]], Users],
    content: str,
) -> View:
    """The view of secrets or configs.

    Args:
        one: what one is called; the view, the collection and the engine's path are its plural.
        content: a sentence about what is in one.
    """
    name = f"{one}s"
    users_of = Once(lambda snapshot: users(snapshot.services.values()))

    def facets(snapshot: Snapshot, key: str) -> Facets:
        blob = blobs(snapshot).get(key)
        return facets_of(blob.spec.labels, users_of(snapshot).get(key, ())) if blob is not None else NO_FACETS

    def describe(derived: Derived, key: str) -> Lines:
        blob = blobs(derived.snapshot).get(key)
        if blob is None:
            return gone(one)
        return list(_lines(blob, users_of(derived.snapshot), derived, content))

    return View(
        name=name,
        one=one,
        columns=_columns(one.upper()),
        maker=lambda: _BlobRows(blobs, users_of),
        describe=describe,
        reads=(name, "services"),
        path=lambda snapshot, key: f"/{name}/{key}",
        facets=facets,
    )
