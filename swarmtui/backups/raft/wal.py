"""Raft's write-ahead log in etcd's format, read as dockerd reads it, and stricter (swarm-dr.md §1)."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from swarmtui.backups.errors import BackupError
from swarmtui.backups.files import SwarmFiles
from swarmtui.backups.raft.contents import Member, Problem
from swarmtui.backups.raft.damage import problem
from swarmtui.backups.raft.wire import Field, Table, WireError, decode, fields, number, octets, text

FOLDER = "raft/wal-v3-encrypted/"
_LENGTH = struct.Struct("<q")
_NAME = re.compile(r"([0-9a-fA-F]{1,16})-([0-9a-fA-F]{1,16})\.wal")
_LARGEST = 256 << 20
"""Docker begins a new file after 64 MiB, and no entry comes near the rest."""
_MOST = 1 << 30
"""Of entries to keep in memory: Docker makes a snapshot every 10,000 entries."""
_SECTOR = 512
_BLOCK = 1 << 20
_METADATA, _ENTRY, _STATE, _CRC, _SNAPSHOT = 1, 2, 3, 4, 5

MEMBER: Table = {1: Field("raft_id", number), 2: Field("node_id", text), 3: Field("address", text)}
_STATE_TABLE: Table = {1: Field("term", number), 3: Field("commit", number)}
_SNAPSHOT_TABLE: Table = {1: Field("index", number), 2: Field("term", number)}


class Entry(Struct, frozen=True, gc=False):
    """One entry of the log.

    Attributes:
        kind: 0: changes of the store; 1: of the membership.
        data: still encrypted.
    """

    index: int
    term: int
    kind: int
    data: bytes


class Mark(Struct, frozen=True, gc=False):
    """Where a snapshot stands in the log."""

    index: int
    term: int


class Name(Struct, frozen=True, gc=False):
    """What a log file's name says: its number, and the first entry that may be in it."""

    sequence: int
    index: int
    name: str


class Log:
    """What was read from the log.

    Attributes:
        member: the node that wrote it.
        term, commit: the last hard state.
        entries: from the one after the snapshot on, without gaps; those that were overwritten are gone.
        marks: every snapshot that the log names.
        last: the index of the last entry.
    """

    def __init__(self, start: Mark) -> None:
        self.start = start
        self.member = Member(0, "", "")
        self.term = 0
        self.commit = 0
        self.entries: list[Entry] = []
        self.marks: list[Mark] = []
        self.last = start.index
        self.problems: list[Problem] = []
        self._metadata: bytes | None = None
        self._crc = 0
        self._held = 0

    def stop(self, id_: str, **said: object) -> bool:
        """Notes what ends the reading."""
        self.problems.append(problem(id_, **said))
        return False

    def read(self, name: str, data: bytes, *, last: bool) -> bool:
        """Reads one file.

        Returns:
            Whether to go on with the next.
        """
        from google_crc32c import extend

        at, size = 0, len(data)
        short = name.rpartition("/")[2]
        if not data[:8].strip(b"\0"):
            # Every file begins with a checksum record.
            return self.stop("wal-empty", name=short)
        while True:
            if size - at < 8:
                if size > at:
                    return self.stop("wal-truncated", name=short, at=at)
                if last:
                    self.problems.append(problem("wal-short", name=short, at=at))
                return True
            (length,) = _LENGTH.unpack_from(data, at)
            if not length:
                if (beyond := _not_zero(data, at)) and not self.problems:
                    self.problems.append(problem("wal-after-end", name=short, at=at, beyond=beyond))
                return True
            padding = (length >> 56) & 7 if length < 0 else 0
            length &= (1 << 56) - 1
            begin = at + 8
            end = begin + length
            if end + padding > size:
                return self.stop("wal-truncated", name=short, at=at)
            kind, crc, content = 0, 0, b""
            try:
                for field, raw in fields(data[begin:end]):
                    if field == 1:
                        kind = number(raw)
                    elif field == 2:
                        crc = number(raw)
                    elif field == 3:
                        content = octets(raw)
            except WireError:
                torn = last and _torn(data, begin, end + padding)
                return self.stop("wal-truncated" if torn else "wal-record", name=short, at=at)
            if kind == _CRC:
                # The first record of a file carries on the sum of the file before; the first file begins with 0.
                if self._crc and crc != self._crc:
                    return self.stop("wal-crc", name=short, at=at)
                self._crc = crc
            else:
                self._crc = extend(self._crc, content)
                if crc != self._crc:
                    torn = last and _torn(data, begin, end + padding)
                    return self.stop("wal-truncated" if torn else "wal-crc", name=short, at=at)
                try:
                    if not self._take(kind, content, short, at):
                        return False
                except WireError:
                    return self.stop("wal-record", name=short, at=at)
            at = end + padding

    def _take(self, kind: int, content: bytes, name: str, at: int) -> bool:
        if kind == _ENTRY:
            entry = _entry(content)
            if entry.index > self.start.index:
                place = entry.index - self.start.index - 1
                if place > len(self.entries):
                    return self.stop("wal-gap", index=self.start.index + len(self.entries) + 1, next=entry.index)
                self._held += len(entry.data)
                if self._held > _MOST:
                    return self.stop("too-large", name=name, size=self._held)
                del self.entries[place:]
                self.entries.append(entry)
            self.last = max(self.start.index, entry.index)
        elif kind == _STATE:
            found = decode(content, _STATE_TABLE)
            self.term, self.commit = found.get("term", 0), found.get("commit", 0)
        elif kind == _METADATA:
            if self._metadata not in (None, content):
                return self.stop("wal-metadata", name=name)
            self._metadata = content
            self.member = member(content)
        elif kind == _SNAPSHOT:
            found = decode(content, _SNAPSHOT_TABLE)
            mark = Mark(found.get("index", 0), found.get("term", 0))
            self.marks.append(mark)
            if mark.index == self.start.index and mark.term != self.start.term:
                return self.stop("snapshot-foreign", name=f"at entry {mark.index}")
        else:
            return self.stop("wal-record", name=name, at=at)
        return True


def names(every: Sequence[str]) -> list[Name]:
    """The log's files in their order. Docker passes over everything else in the folder."""
    found: list[Name] = []
    for name in every:
        folder, _, short = name.rpartition("/")
        if folder + "/" == FOLDER and (match := _NAME.fullmatch(short)):
            found.append(Name(int(match[1], 16), int(match[2], 16), name))
    return sorted(found, key=lambda one: one.name)


def read(files: SwarmFiles, every: Sequence[Name], start: Mark) -> Log:
    """Reads the log from a snapshot on, as Docker does: from the last file that can hold the entry after it.

    Args:
        every: the log's files, at least one.
        start: the snapshot; index 0 for none.
    """
    log = Log(start)
    first = next((place for place in reversed(range(len(every))) if every[place].index <= start.index), None)
    if first is None:
        log.stop("wal-start-missing", index=start.index)
        return log
    wanted = every[first:]
    for before, after in pairwise(wanted):
        if after.sequence != before.sequence + 1:
            log.stop("wal-file-missing", name=after.name)
    if log.problems:
        return log
    for name in wanted:
        data = load(files, name.name, _LARGEST, log.problems)
        if data is None or not log.read(name.name, data, last=name is wanted[-1]):
            break
    return log


def load(files: SwarmFiles, name: str, largest: int, problems: list[Problem]) -> bytes | None:
    """One file, if it can be read and is no larger than it may be; else None, and why is in `problems`."""
    try:
        size = files.size(name)
        if size > largest:
            problems.append(problem("too-large", name=name, size=size))
            return None
        return files.read(name)
    except KeyError:
        problems.append(problem("unreadable", name=name, why="it is not there"))
    except (OSError, EOFError, BackupError) as error:
        problems.append(problem("unreadable", name=name, why=str(error) or type(error).__name__))
    return None


def member(data: bytes) -> Member:
    """A manager as raft writes it down.

    Raises:
        WireError: these bytes are none.
    """
    found = decode(data, MEMBER)
    return Member(found.get("raft_id", 0), found.get("node_id", ""), found.get("address", ""))


def _entry(content: bytes) -> Entry:
    """One entry; there are thousands, so this does without a table."""
    kind = term = index = 0
    data = b""
    for field, raw in fields(content):
        if isinstance(raw, bytes):
            if field == 4:
                data = raw
                continue
        elif field == 3:
            index = raw
            continue
        elif field == 2:
            term = raw
            continue
        elif field == 1:
            kind = raw
            continue
        if field <= 4:
            raise WireError("an entry's field of the wrong kind")
    return Entry(index, term, kind, data)


def _not_zero(data: bytes, at: int) -> int:
    """Where after the log's end there is something nevertheless; 0 if there is nothing."""
    empty = bytes(_BLOCK)
    for place in range(at, len(data), _BLOCK):
        block = data[place : place + _BLOCK]
        if block != (empty if len(block) == _BLOCK else bytes(len(block))):
            return place + len(block) - len(block.lstrip(b"\0"))
    return 0


def _torn(data: bytes, begin: int, end: int) -> bool:
    """etcd's rule for a record that a crash cut short: one of the disk's sectors in it is all zeros."""
    at = begin
    while at < end:
        stop = min(end, at - at % _SECTOR + _SECTOR)
        if not any(data[at:stop]):
            return True
        at = stop
    return False
