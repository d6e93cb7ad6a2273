"""Protobuf on the wire, driven by tables: which field of a JSON document goes into which field of a message."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Json = Mapping[str, Any]
Write = Callable[[int, Any], bytes]
"""Makes one field from its number and its value; nothing for what protobuf leaves out."""

_STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$")


def varint(value: int) -> bytes:
    """A base-128 number; a negative one is written as its 64-bit complement."""
    value &= (1 << 64) - 1
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def number(field: int, value: Any) -> bytes:
    """An integer or a boolean; zero is left out, as proto3 does."""
    return varint(field << 3) + varint(int(value)) if value else b""


def always(field: int, value: int) -> bytes:
    """An integer that is written also when it is zero, as proto2's required fields are."""
    return varint(field << 3) + varint(value)


def raw(field: int, value: bytes) -> bytes:
    """Bytes or a message, written also when they are empty."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def text(field: int, value: Any) -> bytes:
    """A string; the empty one is left out."""
    return raw(field, str(value).encode()) if value else b""


def blob(field: int, value: Any) -> bytes:
    """Bytes, given as base64."""
    return raw(field, base64.b64decode(value)) if value else b""


def real(field: int, value: Any) -> bytes:
    """A float of 32 bits."""
    return varint(field << 3 | 5) + struct.pack("<f", value) if value else b""


def texts(field: int, value: Iterable[str] | None) -> bytes:
    """Repeated strings."""
    return b"".join(raw(field, one.encode()) for one in value or ())


def mapping(field: int, value: Mapping[str, str] | None) -> bytes:
    """A map of strings."""
    return b"".join(raw(field, text(1, key) + text(2, one)) for key, one in (value or {}).items())


def duration(field: int, value: Any) -> bytes:
    """A duration given in nanoseconds."""
    if value is None:
        return b""
    return raw(field, number(1, int(value) // 10**9) + number(2, int(value) % 10**9))


def moment(field: int, value: Any) -> bytes:
    """A timestamp given in RFC 3339 (UTC), or in seconds since the epoch."""
    if not value:
        return b""
    if isinstance(value, int | float):
        return raw(field, number(1, int(value)) + number(2, int(value % 1 * 1e6) * 1000))
    found = _STAMP.match(value)
    if found is None:
        raise ValueError(f"not a time: {value!r}")
    seconds = int(datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp())
    return raw(field, number(1, seconds) + number(2, int((found[2] or "").ljust(9, "0"))))


def wrapped(field: int, value: Any) -> bytes:
    """A BoolValue or Int64Value, where "not given" and zero differ."""
    return b"" if value is None else raw(field, number(1, value))


def choice(*names: str, **numbers: int) -> Write:
    """An enum by the names the API has for it: numbered as they stand, or by number."""
    known = {**{name: at for at, name in enumerate(names)}, **numbers}
    return lambda field, value: number(field, known.get(value, 0))


@dataclass(frozen=True)
class Message:
    """A message: JSON key → field number and how it is written.

    Attributes:
        fields: a key may stand more than once, for different fields.
    """

    fields: tuple[tuple[str, int, Write], ...]

    def body(self, document: Json) -> bytes:
        """The message, without the field it stands in."""
        return b"".join(write(field, document.get(key)) for key, field, write in self.fields)

    def __call__(self, field: int, value: Json | None) -> bytes:
        return b"" if value is None else raw(field, self.body(value))

    def many(self, field: int, value: Iterable[Json] | None) -> bytes:
        """A repeated field of this message."""
        return b"".join(raw(field, self.body(one)) for one in value or ())


def message(*fields: tuple[str, int, Write]) -> Message:
    """A message with these fields."""
    return Message(fields)
