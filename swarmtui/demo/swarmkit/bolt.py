"""An empty bolt database, as worker/tasks.db is before a node has tasks: two meta pages, a free list, an empty leaf."""

from __future__ import annotations

import struct

PAGE = 4096
SIZE = 32_768
"""Bytes that the file has from its beginning."""
_MAGIC, _VERSION = 0xED0CDAED, 2
_LEAF, _META, _FREE_LIST = 0x02, 0x04, 0x10
_ROOT, _FREE, _END = 3, 2, 4


def _fnv(data: bytes) -> int:
    """FNV-1a of 64 bits, which guards a meta page."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def _page(number: int, flags: int, body: bytes = b"") -> bytes:
    return (struct.pack("<QHHI", number, flags, 0, 0) + body).ljust(PAGE, b"\0")


def _meta(number: int) -> bytes:
    body = struct.pack("<IIIIQQQQQ", _MAGIC, _VERSION, PAGE, 0, _ROOT, 0, _FREE, _END, number)
    return _page(number, _META, body + struct.pack("<Q", _fnv(body)))


def empty_database() -> bytes:
    """Its pages; the file is longer, and the rest of it zeros."""
    return _meta(0) + _meta(1) + _page(_FREE, _FREE_LIST) + _page(_ROOT, _LEAF)
