"""The raft log on disk as etcd writes it, and SwarmKit's snapshots: framing, checksums, encryption.

Formats: etcd's wal and snap packages (v3), SwarmKit's api/types.proto (MaybeEncryptedRecord).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import google_crc32c

from swarmtui.demo.swarmkit.wire import always, number, raw

METADATA, ENTRY, STATE, CRC, SNAPSHOT = 1, 2, 3, 4, 5
"""Types of records."""
NORMAL, MEMBERSHIP = 0, 1
"""Types of entries."""
PREALLOCATED = 64_000_000
"""Bytes that a file of the log takes on disk from its beginning."""
NONCE = 24


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the log, not yet encrypted."""

    term: int
    index: int
    data: bytes
    kind: int = NORMAL


def seal(data: bytes, key: bytes) -> bytes:
    """A record encrypted with NaCl's secretbox; without a key, one that is not encrypted."""
    if not key:
        return raw(2, data)
    from nacl.bindings import crypto_secretbox

    nonce = os.urandom(NONCE)
    return number(1, 1) + raw(2, crypto_secretbox(data, nonce, key)) + raw(3, nonce)


class Writer:
    """Writes the records of one file of the log, each with the checksum of everything up to it."""

    def __init__(self, checksum: int = 0) -> None:
        self.data = bytearray()
        self._checksum = checksum
        self._frame(number(1, CRC) + always(2, checksum))

    def record(self, kind: int, data: bytes) -> None:
        """Add a record."""
        self._checksum = google_crc32c.extend(self._checksum, data)
        self._frame(always(1, kind) + always(2, self._checksum) + raw(3, data))

    def _frame(self, record: bytes) -> None:
        padding = -len(record) % 8
        length = len(record) | ((0x80 | padding) << 56 if padding else 0)
        self.data += length.to_bytes(8, "little") + record + bytes(padding)


def wal(
    metadata: bytes, entries: Iterable[Entry], *, key: bytes, state: tuple[int, int, int], snapshot: tuple[int, int]
) -> bytes:
    """The content of one file of the log, without what is preallocated behind it.

    Args:
        state: term, vote and commit.
        snapshot: index and term of the snapshot that the log builds on; zeros for none.
    """
    writer = Writer()
    writer.record(METADATA, metadata)
    writer.record(SNAPSHOT, always(1, snapshot[0]) + always(2, snapshot[1]))
    for entry in entries:
        sealed = seal(entry.data, key)
        writer.record(ENTRY, always(1, entry.kind) + always(2, entry.term) + always(3, entry.index) + raw(4, sealed))
    term, vote, commit = state
    writer.record(STATE, always(1, term) + always(2, vote) + always(3, commit))
    return bytes(writer.data)


def snapshot_file(store: bytes, *, key: bytes, index: int, term: int, voters: Iterable[int]) -> bytes:
    """The content of a snapshot's file."""
    voting = b"".join(always(1, voter) for voter in voters)
    inner = raw(1, seal(store, key)) + raw(2, raw(1, voting) + always(2, index) + always(3, term))
    return always(1, google_crc32c.value(inner)) + raw(2, inner)


class DamagedError(Exception):
    """The log does not hold what it should, in the words of etcd."""


def last_index(data: bytes) -> int:
    """The index of the last whole entry in a file of the log.

    Raises:
        DamagedError: a checksum is wrong.
    """
    at, checksum, last = 0, 0, 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        size, padding = length & ((1 << 56) - 1), (length >> 56) & 7 if length >> 63 else 0
        if not size or at + 8 + size > len(data):
            break
        kind, expected, body = _record(data[at + 8 : at + 8 + size])
        at += 8 + size + padding
        if kind == CRC:
            checksum = expected
            continue
        checksum = google_crc32c.extend(checksum, body)
        if checksum != expected:
            raise DamagedError("irreparable WAL error: walpb: crc mismatch")
        if kind == ENTRY:
            last = dict(_numbers(body)).get(3, last)
        elif kind == SNAPSHOT:
            last = dict(_numbers(body)).get(1, last)
    return last


def _record(data: bytes) -> tuple[int, int, bytes]:
    found: dict[int, int] = {}
    body = b""
    for field, value in _fields(data):
        if isinstance(value, bytes):
            body = value
        else:
            found[field] = value
    return found.get(1, 0), found.get(2, 0), body


def _numbers(data: bytes) -> list[tuple[int, int]]:
    return [(field, value) for field, value in _fields(data) if not isinstance(value, bytes)]


def _fields(data: bytes) -> Iterable[tuple[int, int | bytes]]:
    """Fields of a message of numbers and bytes.

    Raises:
        DamagedError: it is none.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value, at = _varint(data, at)
        if tag & 7 == 0:
            yield tag >> 3, value
        elif tag & 7 == 2 and at + value <= len(data):
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            raise DamagedError("irreparable WAL error: proto: illegal wireType")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise DamagedError("irreparable WAL error: unexpected EOF")
