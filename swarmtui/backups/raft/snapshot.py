"""Raft's snapshots: the whole store at one entry, in a file of etcd's format (swarm-dr.md §1)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from swarmtui.backups.files import SwarmFiles
from swarmtui.backups.raft.contents import Problem
from swarmtui.backups.raft.damage import problem
from swarmtui.backups.raft.wal import Mark, load
from swarmtui.backups.raft.wire import Field, Table, WireError, decode, message, number, octets

FOLDER = "raft/snap-v3-encrypted/"
_SUFFIX = ".snap"
_LARGEST = 512 << 20

_FILE: Table = {1: Field("crc", number), 2: Field("data", octets)}
_VOTERS: Table = {field: Field("members", number, "many") for field in (1, 2, 3, 4)} | {5: Field("leave", number)}
"""Raft's members by number. Nobody here asks for them, but Docker takes no snapshot in which they are damaged."""
_METADATA: Table = {1: Field("voters", message(_VOTERS)), 2: Field("index", number), 3: Field("term", number)}
_SNAPSHOT: Table = {1: Field("record", octets), 2: Field("metadata", message(_METADATA))}


class Snapshot(Struct, frozen=True):
    """A snapshot that was read.

    Attributes:
        mark: the last entry that is in it.
        record: the store, still encrypted.
    """

    name: str
    mark: Mark
    record: bytes


def names(every: Iterable[str]) -> list[str]:
    """The snapshots' files, the newest first."""
    return sorted(
        (name for name in every if name.rpartition("/")[0] + "/" == FOLDER and name.endswith(_SUFFIX)), reverse=True
    )


def newest(files: SwarmFiles, every: Iterable[str]) -> tuple[Snapshot | None, list[Problem]]:
    """The newest snapshot that can be read, as Docker takes it; and what was wrong with newer ones."""
    problems: list[Problem] = []
    for name in every:
        data = load(files, name, _LARGEST, problems)
        if data is None:
            continue
        try:
            return _parse(name, data), problems
        except WireError as damage:
            problems.append(problem("snapshot-damaged", name=name, why=str(damage)))
    return None, problems


def _parse(name: str, data: bytes) -> Snapshot:
    from google_crc32c import value

    file = decode(data, _FILE)
    inner = file.get("data", b"")
    if not inner or not file.get("crc", 0):
        raise WireError("it is empty")
    if value(inner) != file["crc"]:
        raise WireError("the checksum is wrong")
    found = decode(inner, _SNAPSHOT)
    metadata = found.get("metadata", {})
    return Snapshot(name, Mark(metadata.get("index", 0), metadata.get("term", 0)), found.get("record", b""))
