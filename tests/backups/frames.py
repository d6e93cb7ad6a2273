"""Etcd's write-ahead log, taken apart and put together again with its checksums right.

The tests' own: it shares nothing with the reader that is tested."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from google_crc32c import extend

METADATA, ENTRY, STATE, CRC, SNAPSHOT = 1, 2, 3, 4, 5


@dataclass(frozen=True)
class Frame:
    """One record.

    Attributes:
        at, end: its place in the file, padding included.
        begin: where its protobuf message begins.
        data_at: where the bytes of `data` begin; 0 where it has none.
    """

    at: int
    begin: int
    end: int
    kind: int
    crc: int
    data: bytes | None
    data_at: int


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def number(value: int) -> bytes:
    """A varint."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(found + bytes([value]))


def taken_apart(data: bytes) -> list[Frame]:
    """All records of a file that is whole."""
    frames: list[Frame] = []
    at = 0
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<q", data, at)
        if not length:
            break
        padding = (length >> 56) & 7 if length < 0 else 0
        begin, end = at + 8, at + 8 + (length & ((1 << 56) - 1))
        here, kind, crc, found, found_at = begin, 0, 0, None, 0
        while here < end:
            tag, here = varint(data, here)
            if tag == 0x08:
                kind, here = varint(data, here)
            elif tag == 0x10:
                crc, here = varint(data, here)
            else:
                assert tag == 0x1A, f"tag {tag:#x} at {here}"
                size, found_at = varint(data, here)
                here = found_at + size
                found = data[found_at:here]
        frames.append(Frame(at, begin, end + padding, kind, crc, found, found_at))
        at = end + padding
    return frames


def put_together(records: list[tuple[int, bytes | None]], size: int) -> bytes:
    """A file of these records (type and data), every checksum made anew, as long as it was before if they fit."""
    out = bytearray()
    crc = 0
    for kind, data in records:
        if kind != CRC and data is not None:
            crc = extend(crc, data)
        message = b"\x08" + number(kind) + b"\x10" + number(crc)
        if data is not None:
            message += b"\x1a" + number(len(data)) + data
        padding = -len(message) % 8
        length = len(message) | ((0x80 | padding) << 56 if padding else 0)
        out += struct.pack("<Q", length) + message + bytes(padding)
    return bytes(out) + bytes(max(0, size - len(out)))


def records(frames: list[Frame]) -> list[tuple[int, bytes | None]]:
    """What `put_together` takes."""
    return [(frame.kind, frame.data) for frame in frames]


def message(data: bytes) -> list[tuple[int, int | bytes]]:
    """A protobuf message of numbers and bytes, in its order."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
            found.append((tag >> 3, value))
        else:
            assert tag & 7 == 2, f"tag {tag:#x}"
            size, at = varint(data, at)
            found.append((tag >> 3, data[at : at + size]))
            at += size
    return found


def encoded(fields: list[tuple[int, int | bytes]]) -> bytes:
    """The bytes of a protobuf message."""
    out = b""
    for field, value in fields:
        if isinstance(value, int):
            out += number(field << 3) + number(value)
        else:
            out += number(field << 3 | 2) + number(len(value)) + value
    return out
