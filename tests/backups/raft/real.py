"""The real Swarm directories in tests/backups/data, and what the engine API said of them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from swarmtui.backups.raft import Contents, read
from swarmtui.model.inventory import Inventory
from swarmtui.vault.secret import Secret
from tests.backups.generations import DATA, LISTS

Files = dict[str, bytes]
NOW = 1795300000.0
"""When the certificates in there were valid: 2026-11-21."""
WAL = "raft/wal-v3-encrypted/0000000000000000-0000000000000000.wal"
SECRETS = (b"SECRET-DATA-OF-TLS-KEY", b"SECRET-DATA-OF-DB-PASSWORD")


@dataclass(frozen=True)
class Real:
    """One directory.

    Attributes:
        files: by name relative to the Swarm's directory.
        before, after: what the API said around the moment it was taken: "swarm" and `LISTS`.
        key: the unlock key; "" where none is needed.
    """

    files: Files
    before: dict[str, Any]
    after: dict[str, Any]
    key: str

    @property
    def keys(self) -> list[Secret]:
        return [Secret(self.key)] if self.key else []


class DictFiles:
    """Files in memory (`SwarmFiles`)."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def names(self) -> Iterable[str]:
        return list(self._files)

    def read(self, name: str) -> bytes:
        return self._files[name]

    def size(self, name: str) -> int:
        return len(self._files[name])


@cache
def real(name: str) -> Real:
    """One of them: "everything-20.10", "everything-26.1" (locked, with a snapshot), "worker-20.10"."""
    found: Files = {}
    with tarfile.open(DATA / f"{name}.tar.xz", "r:xz") as tar:
        for member in tar:
            stream = tar.extractfile(member)
            assert stream is not None
            found[member.name] = stream.read()
    api = json.loads(found["api.json"])
    files = {path.removeprefix("swarm/"): data for path, data in found.items() if path.startswith("swarm/")}
    return Real(files, api["before"], api["after"], found.get("key.txt", b"").decode())


def look(files: Files, keys: Iterable[Secret] = (), now: float = NOW) -> Contents:
    """Looks inside."""
    return read(DictFiles(files), list(keys), now=now)


def inventory(api: dict[str, Any]) -> Inventory:
    """What the API said, as an inventory."""
    lists = {name: api[name] for name in LISTS if name != "tasks"}
    return Inventory.from_api(api["swarm"], **lists, tasks=len(api["tasks"]))


def ids(contents: Contents) -> list[str]:
    """The problems' ids."""
    return [problem.id for problem in contents.problems]


def fatal(contents: Contents) -> list[str]:
    """The ids of what stands in the way of a restore."""
    return [problem.id for problem in contents.fatal]
