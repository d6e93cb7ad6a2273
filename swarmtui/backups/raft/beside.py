"""What lies beside the raft log in a Swarm's directory and is not the Swarm: Docker makes it anew where it is missing,
and does not start where it is damaged."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection

from swarmtui.backups.files import SwarmFiles
from swarmtui.backups.raft.contents import Problem
from swarmtui.backups.raft.damage import problem
from swarmtui.backups.raft.wal import load

TASKS, STATE, DOCKER_STATE = "worker/tasks.db", "state.json", "docker-state.json"
_LARGEST = 256 << 20
_PAGE = struct.Struct("<QHHI")
_META = struct.Struct("<IIIIQQQQQQ")
_MAGIC, _VERSION = 0xED0CDAED, 2
_FNV, _FNV_PRIME, _U64 = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def needless(name: str) -> bool:
    """Whether a restore is better off without this file of a Swarm's directory.

    docker-state.json makes Docker call the old peers (swarm-dr.md §3). The tasks that ran on the node and the addresses
    of managers are made anew; damaged, they keep Docker from starting. Seen on 20.10.24 and 26.1.5.
    """
    return name in (DOCKER_STATE, STATE) or name.startswith("worker/") or name.endswith(".tmp")


def look(files: SwarmFiles, names: Collection[str]) -> list[Problem]:
    """Damage that matters to whoever restores all of the directory, and not only what is needed."""
    found: list[Problem] = []
    if STATE in names and (data := load(files, STATE, 1 << 20, found)) is not None and not _is_peers(data):
        found.append(problem("state-json"))
    if TASKS in names and (data := load(files, TASKS, _LARGEST, found)) is not None and data and not _is_bolt(data):
        found.append(problem("tasks-db"))
    return found


def _is_peers(data: bytes) -> bool:
    """Whether Docker reads these bytes as managers' addresses."""
    try:
        # Go takes what is no UTF-8 inside a string.
        peers = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    if peers is None:
        return True
    return isinstance(peers, list) and all(
        isinstance(peer, dict) and all(isinstance(peer.get(key, ""), str) for key in ("node_id", "addr"))
        for peer in peers
    )


def _is_bolt(data: bytes) -> bool:
    """Whether one of the two heads of a bbolt database is whole, and so are all pages it counts, by their number."""
    for place in (0, 4096, 8192, 16384, 32768, 65536):
        at = place + _PAGE.size
        if at + _META.size > len(data):
            break
        magic, version, page, _, _, _, _, pages, _, checksum = _META.unpack_from(data, at)
        if magic == _MAGIC and version == _VERSION and _sum(data[at : at + _META.size - 8]) == checksum:
            return bool(page) and pages * page <= len(data)
    return False


def _sum(data: bytes) -> int:
    """FNV-1a, 64 bits."""
    total = _FNV
    for byte in data:
        total = ((total ^ byte) * _FNV_PRIME) & _U64
    return total
