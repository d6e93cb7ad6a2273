"""The archives of DTR's backups: a plain tar of the tables of its database. No image and no user is in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from swarmtui.demo.platform import archive
from swarmtui.demo.platform.certificates import Root
from swarmtui.demo.platform.dtr_releases import DtrRelease

if TYPE_CHECKING:
    from swarmtui.demo.platform.dtr import Dtr

_EMPTY = ("layers", "events", "manifests", "crons", "tuf_files", "namespace_team_access", "repository_team_access")


class DtrError(Exception):
    """A command of DTR failed; the text is its last words."""


def pack(dtr: Dtr, *, offline: bool = False, age: float = 0.0) -> bytes:
    """The metadata, as of `age` seconds ago. Those of MSR say whether the database ran meanwhile."""
    kind = ("-offline" if offline else "-online") if dtr.release.series >= (2, 9) else ""
    folder = f"{dtr.release.folder}{kind}/rethink"
    properties = {
        "external_url": dtr.external_url,
        "storage": dtr.storage,
        "ucp": dtr.world.ucp.instance if dtr.world.ucp is not None else "",
        "ca": dtr.root.pem,
        "logs": dtr.logs,
        "own": {name: text for name, text in dtr.own.items() if name != "key.pem"},
    }
    keys = {"ca": dtr.root.key_pem, "own": dtr.own.get("key.pem", "")}
    tables = {
        "properties": properties,
        "repositories": dtr.repositories,
        "tags": sorted(dtr.tags),
        "private_keys": keys,
        **{name: [] for name in _EMPTY},
    }
    files = {f"{folder}/{name}/0": json.dumps(content).encode() for name, content in tables.items()}
    return archive.pack(files, dtr.world.kernel.now() - age)


def load(data: bytes, release: DtrRelease, dtr: Dtr) -> None:
    """Take over what a backup has: all but where it runs and where its images lie.

    Raises:
        DtrError: it is none, is cut off, or is of another version.
    """
    files = archive.unpack(data)
    if not files:
        raise DtrError("Failed to read the backup from standard input: it is no tar archive")
    top = next(iter(files)).partition("/")[0]
    if top.partition("-v")[2].partition("-")[0] != release.version:
        raise DtrError(f"The backup {top} is not of version {release.version}")
    tables = {name.split("/")[2]: text for name, text in files.items() if name.count("/") == 3}
    missing = [name for name in ("properties", "repositories", "tags", "private_keys") if name not in tables]
    if missing:
        raise DtrError(f"Failed to restore the table {missing[0]}: unexpected EOF")
    properties, keys = json.loads(tables["properties"]), json.loads(tables["private_keys"])
    dtr.repositories = json.loads(tables["repositories"])
    dtr.tags = set(json.loads(tables["tags"]))
    dtr.logs = properties["logs"]
    dtr.external_url = dtr.external_url or properties["external_url"]
    dtr.root = Root.load(properties["ca"], keys["ca"], dtr.world.kernel.now())
    dtr.own = {**properties["own"], "key.pem": keys["own"]} if keys["own"] else {}
