"""Which replicas DTR had when it last told, kept on this machine: without a quorum it tells nobody, and nodes that are
down cannot be asked either. Nothing in it is secret.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from swarmtui.model.dtr.facts import REPLICA_ID
from swarmtui.model.dtr.members import Noted
from swarmtui.model.dtr.seen import Place, Told
from swarmtui.model.text import one_line

LARGEST: Final = 64 << 10
_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")


def recall(folder: Path, cluster_id: str) -> dict[str, Place]:
    """Replica id → where it was; nothing where nothing was kept, or it cannot be read (blocking)."""
    if not _ID.fullmatch(cluster_id):
        return {}
    try:
        with (folder / f"{cluster_id}.json").open("rb") as stream:
            found = msgspec.json.decode(stream.read(LARGEST), type=dict[str, Place])
    except (OSError, msgspec.MsgspecError):
        return {}
    return {
        key: Place(one_line(place.node), place.http, place.https)
        for key, place in found.items()
        if REPLICA_ID.fullmatch(key)
    }


def noted(folder: Path, cluster_id: str) -> Noted:
    """The same with when it was written, for whoever counts them (blocking)."""
    nodes = {replica: place.node for replica, place in recall(folder, cluster_id).items()}
    with contextlib.suppress(OSError):
        return Noted(nodes, (folder / f"{cluster_id}.json").stat().st_mtime) if nodes else Noted()
    return Noted(nodes)


def remember_told(folder: Path, cluster_id: str, told: Told) -> None:
    """Writes down whom DTR counts in now, and so forgets all who left it (blocking)."""
    if not told.members:
        return
    before = recall(folder, cluster_id) if set(told.places) != told.members else {}
    remember(
        folder,
        cluster_id,
        {one: told.places.get(one) or before.get(one) or Place() for one in sorted(told.members)},
    )


def remember(folder: Path, cluster_id: str, places: Mapping[str, Place]) -> None:
    """Writes it down, in one rename (blocking). A full or read-only disk disturbs nobody."""
    if not _ID.fullmatch(cluster_id):
        return
    file = folder / f"{cluster_id}.json"
    beside = folder / f".{file.name}-{os.getpid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.write_bytes(msgspec.json.encode(dict(places)))
        beside.replace(file)
