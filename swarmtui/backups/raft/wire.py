"""Reads protobuf's wire format by tables: what a Swarm keeps is a handful of messages, and all of it is untrusted.

Whatever the bytes are, reading takes time and memory in proportion to their number: nothing is reserved for a length
that is only claimed, and nesting goes as deep as the tables do.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Raw = int | bytes
"""A value as it is on the wire: a varint as an unsigned number, everything else as its bytes."""
Convert = Callable[[Raw], Any]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_U64 = (1 << 64) - 1
_S64 = 1 << 63
_LONGEST = 70
"""Of a varint, in bits: ten bytes of seven."""
_NO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time, as the engine API shows it."""


class WireError(ValueError):
    """These bytes are no protobuf message."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Reads one varint.

    Returns:
        Its value as an unsigned number of 64 bits, and where it ends.

    Raises:
        WireError: it does not end, or is too long.
    """
    try:
        byte = data[at]
        value, shift = byte & 0x7F, 7
        while byte >= 0x80:
            at += 1
            byte = data[at]
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > _LONGEST:
                raise WireError("a number without an end")
    except IndexError:
        raise WireError("a number without an end") from None
    return value & _U64, at + 1


def fields(data: bytes) -> Iterator[tuple[int, Raw]]:
    """Every field of a message, in the order it was written: number and raw value.

    A log has some ten of them in every entry, so numbers of one byte are read without a call.

    Raises:
        WireError: these bytes are no message.
    """
    at, end = 0, len(data)
    while at < end:
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = varint(data, at - 1)
        kind = tag & 7
        if tag < 8:
            raise WireError("a field without a number")
        if kind in (_VARINT, _BYTES):
            if at == end:
                raise WireError("a field without a value")
            value = data[at]
            at += 1
            if value >= 0x80:
                value, at = varint(data, at - 1)
            if kind == _VARINT:
                yield tag >> 3, value
                continue
        elif kind == _FIXED32:
            value = 4
        elif kind == _FIXED64:
            value = 8
        else:
            raise WireError("a field of unknown kind")
        begin = at
        at += value
        if at > end:
            raise WireError("a field longer than its message")
        yield tag >> 3, data[begin:at]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        name: under which `decode` returns it.
        convert: from the raw value; a `WireError` if it is not of the right kind.
        how: "one" (the last one counts), "many" (a list), "map" (pairs of text).
    """

    name: str
    convert: Convert
    how: Literal["one", "many", "map"] = "one"


Table = Mapping[int, Field]
"""A message: its fields by number."""


def decode(data: bytes, table: Table) -> dict[str, Any]:
    """Reads a message by its table. Fields that are not in the message, and those not in the table, are left out.

    Raises:
        WireError: these bytes are no such message.
    """
    found: dict[str, Any] = {}
    for number, raw in fields(data):
        field = table.get(number)
        if field is None:
            continue
        if field.how == "one":
            found[field.name] = field.convert(raw)
        elif field.how == "many":
            found.setdefault(field.name, []).append(field.convert(raw))
        else:
            pair = decode(octets(raw), _PAIR)
            found.setdefault(field.name, {})[pair.get("key", "")] = pair.get("value", "")
    return found


def octets(raw: Raw) -> bytes:
    """Bytes as they are."""
    if isinstance(raw, int):
        raise WireError("a number where bytes belong")
    return raw


def text(raw: Raw) -> str:
    """UTF-8; what is none is replaced."""
    return octets(raw).decode("utf-8", "replace")


def number(raw: Raw) -> int:
    """An unsigned number."""
    if not isinstance(raw, int):
        raise WireError("bytes where a number belongs")
    return raw


def signed(raw: Raw) -> int:
    """A signed number of 64 bits (int32, int64)."""
    value = number(raw)
    return value - (1 << 64) if value >= _S64 else value


def flag(raw: Raw) -> bool:
    """A truth value."""
    return number(raw) != 0


def ratio(raw: Raw) -> float:
    """A float of 32 bits, as short as Go writes it."""
    data = octets(raw)
    if len(data) != 4:
        raise WireError("no float")
    value: float = struct.unpack("<f", data)[0]
    if value - value != 0:
        return 0.0  # infinite, or no number: there is no way to say so in JSON
    return next(
        (short for digits in range(1, 10) if struct.pack("<f", short := float(f"{value:.{digits}g}")) == data), value
    )


def one_of(*names: str) -> Convert:
    """An enumeration: the names of 0, 1, 2, …; a number that is not named is the first."""
    return lambda raw: names[value] if (value := number(raw)) < len(names) else names[0]


def message(table: Table) -> Convert:
    """A message inside a message."""
    return lambda raw: decode(octets(raw), table)


def duration(raw: Raw) -> int:
    """google.protobuf.Duration, in nanoseconds as the engine API has it."""
    parts = decode(octets(raw), _SECONDS)
    nanoseconds: int = parts.get("seconds", 0) * 10**9 + parts.get("nanos", 0)
    return nanoseconds if -_S64 <= nanoseconds < _S64 else 0


def moment(raw: Raw) -> str:
    """google.protobuf.Timestamp, as the engine API writes it: RFC 3339, up to nine digits, no zeros at the end."""
    parts = decode(octets(raw), _SECONDS)
    nanos = parts.get("nanos", 0)
    try:
        whole = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=parts.get("seconds", 0))
    except OverflowError:
        return _NO_TIME
    if not 0 <= nanos < 10**9:
        return _NO_TIME
    fraction = f".{nanos:09}".rstrip("0").rstrip(".")
    return f"{whole:%Y-%m-%dT%H:%M:%S}{fraction}Z" if whole.year >= 1000 else _NO_TIME


_PAIR: Table = {1: Field("key", text), 2: Field("value", text)}
_SECONDS: Table = {1: Field("seconds", signed), 2: Field("nanos", signed)}
