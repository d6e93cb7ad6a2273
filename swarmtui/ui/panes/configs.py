"""The configs: who uses them. `y` shows what is in one, as the engine gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmtui.model.objects import Users, config_users
from swarmtui.model.swarm import Snapshot
from swarmtui.ui.describe import Lines, gone
from swarmtui.ui.panes.secrets import BlobRows, blob_lines, columns
from swarmtui.ui.panes.used import facets_of
from swarmtui.ui.views import NO_FACETS, Facets, Once, View

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived


def _users(snapshot: Snapshot) -> Users:
    return config_users(snapshot.services.values())


_users_of = Once(_users)


def _facets(snapshot: Snapshot, key: str) -> Facets:
    config = snapshot.configs.get(key)
    return facets_of(config.spec.labels, _users_of(snapshot).get(key, ())) if config is not None else NO_FACETS


def _describe(derived: Derived, key: str) -> Lines:
    config = derived.snapshot.configs.get(key)
    if config is None:
        return gone("config")
    return list(blob_lines(config, _users_of(derived.snapshot), derived, "y shows what is in it (base64)."))


VIEW = View(
    name="configs",
    one="config",
    columns=columns("CONFIG"),
    maker=lambda: BlobRows(lambda snapshot: snapshot.configs, _users_of),
    describe=_describe,
    reads=("configs", "services"),
    path=lambda snapshot, key: f"/configs/{key}",
    facets=_facets,
)
