"""What is in the tar of a DTR backup, read front to back without unpacking it. Nothing in it is trusted.

Its layout is known from listings (ucp-dtr.md §2.7): dtr-backup-vVERSION/rethink/TABLE/NUMBER, with "-online" or
"-offline" behind the version from later ones. No page of the documentation says which tables a good one has.
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from typing import BinaryIO, Final

from swarmtui.backups.errors import ArchiveError
from swarmtui.backups.tarstream import clean, time_of, walk
from swarmtui.model.dtr.facts import Version
from swarmtui.model.text import one_line

_TOP: Final = re.compile(r"dtr-backup-v(?P<version>[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})(?:-(?P<how>[a-z]{1,20}))?")
_TABLES: Final = "rethink"
SETTINGS: Final = "properties"
"""The table with DTR's settings: the one that is in the listings of every version."""
REGISTRY: Final = frozenset({"repositories", "tags", "manifests"})
"""What is known of images; in the listings of 2.9, and 2.4's is abridged."""
_MOST_NAMES: Final = 500


class DamagedError(ArchiveError):
    """It is a backup of DTR, and cannot be read to its end."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What was found.

    Attributes:
        entries: how many members the tar has, folders included.
        versions: of DTR, by the names of its folders, sorted: one in a good archive.
        how: "online", "offline", or "" where its name does not tell.
        tables: names of RethinkDB's tables that have something in them.
        others: names at its top that are nothing of DTR's backups, the first few.
        newest: when the newest file was written to, unix seconds; 0.0 where none tells.
    """

    entries: int = 0
    versions: tuple[str, ...] = ()
    how: str = ""
    tables: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()
    newest: float = 0.0

    @property
    def version(self) -> str:
        """The one version that is in it; "" for none, or several."""
        return self.versions[0] if len(self.versions) == 1 else ""

    @property
    def is_dtr(self) -> bool:
        """Whether it is a backup of DTR at all."""
        return bool(self.versions)


def read(tar: BinaryIO) -> Contents:
    """Reads all of a tar, once.

    Raises:
        DamagedError: it is one of DTR, and cut off or damaged.
        ArchiveError: it is no tar, or what is in it cannot be.
    """
    found = _Reading()
    try:
        return found.contents(walk(tar, found.take, "DTR"))
    except ArchiveError as error:
        if found.contents(0).is_dtr:
            raise DamagedError(error.what, error.next_step) from None
        raise


class _Reading:
    def __init__(self) -> None:
        self._versions: set[str] = set()
        self._how = ""
        self._tables: set[str] = set()
        self._others: set[str] = set()
        self._newest = 0.0

    def take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = clean(member.name).split("/")
        told = _TOP.fullmatch(parts[0])
        if told is None:
            if parts[0] and len(self._others) < _MOST_NAMES:
                self._others.add(parts[0][:200])
            return
        if len(self._versions) < _MOST_NAMES:
            self._versions.add(told["version"])
        self._how = told["how"] or self._how
        if not member.isreg():
            return
        self._newest = max(self._newest, time_of(member))
        if len(parts) > 2 and parts[1] == _TABLES and member.size > 0 and len(self._tables) < _MOST_NAMES:
            self._tables.add(parts[2][:200])

    def contents(self, entries: int) -> Contents:
        return Contents(
            entries=entries,
            versions=tuple(sorted(self._versions)[:10]),
            how=self._how,
            tables=frozenset(self._tables),
            others=tuple(sorted(self._others)[:10]),
            newest=self._newest,
        )


def product(version: str) -> str:
    """What people call DTR of a version: "DTR 2.4.1", "MSR 2.9.4"."""
    try:
        return Version.parse(version).product
    except ValueError:
        return f"DTR {one_line(version)[:20]}"


def wrong(contents: Contents) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why it could not be restored, and what to look at; sentences. Only what every listing shows decides."""
    if not contents.is_dtr:
        return ("There is nothing of DTR in it: no folder dtr-backup-v….",), ()
    bad: list[str] = []
    told: list[str] = []
    if len(contents.versions) > 1:
        bad.append(f"It has folders of several versions of DTR: {', '.join(contents.versions)}.")
    if not contents.tables:
        bad.append("It has no table of DTR's database.")
    elif SETTINGS not in contents.tables:
        bad.append(f"It has no table {SETTINGS}, where DTR keeps its settings.")
    if contents.tables and not contents.tables & REGISTRY:
        told.append("It has no table of repositories, tags or manifests: was DTR empty then?")
    if contents.others:
        names = ", ".join(one_line(name)[:60] for name in contents.others[:6])
        told.append(f"Beside DTR's folder there is something else in it: {names}.")
    return tuple(bad), tuple(told)
