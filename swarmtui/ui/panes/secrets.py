"""The secrets: who uses them. Their values are never given by a Swarm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

from swarmtui.model.objects import Config, Secret, Users, secret_users
from swarmtui.model.swarm import Service, Snapshot
from swarmtui.model.text import one_line
from swarmtui.ui.ages import age_of, moment
from swarmtui.ui.cells import Cell, Column, Row, Rows, labels_cell, natural
from swarmtui.ui.describe import Lines, fact_lines, gone
from swarmtui.ui.panes.used import end_lines, facets_of, stack_cell, users_cell
from swarmtui.ui.views import NO_FACETS, Env, Facets, Kept, Once, View

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

Blob: TypeAlias = Secret | Config


def columns(title: str) -> tuple[Column, ...]:
    """The columns of secrets, and of configs."""
    return (
        Column("name", title, min_width=12, max_width=64, flex=1),
        Column("users", "SERVICES", min_width=10, max_width=80, flex=1, priority=90),
        Column("stack", "STACK", max_width=30, priority=60),
        Column("age", "AGE", align="right", priority=80, quiet=True),
        Column("changed", "CHANGED", align="right", wide=True, priority=50, quiet=True),
        Column("labels", "LABELS", max_width=60, wide=True, priority=10),
        Column("id", "ID", width=25, wide=True, priority=5),
    )


class BlobRows:
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


def blob_lines(blob: Blob, users: Users, derived: Derived, note: str) -> Iterator[tuple[str, str]]:
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


def _users(snapshot: Snapshot) -> Users:
    return secret_users(snapshot.services.values())


_users_of = Once(_users)


def _facets(snapshot: Snapshot, key: str) -> Facets:
    secret = snapshot.secrets.get(key)
    return facets_of(secret.spec.labels, _users_of(snapshot).get(key, ())) if secret is not None else NO_FACETS


def _describe(derived: Derived, key: str) -> Lines:
    secret = derived.snapshot.secrets.get(key)
    if secret is None:
        return gone("secret")
    return list(blob_lines(secret, _users_of(derived.snapshot), derived, "A Swarm never gives the value of a secret."))


VIEW = View(
    name="secrets",
    one="secret",
    columns=columns("SECRET"),
    maker=lambda: BlobRows(lambda snapshot: snapshot.secrets, _users_of),
    describe=_describe,
    reads=("secrets", "services"),
    path=lambda snapshot, key: f"/secrets/{key}",
    facets=_facets,
)
