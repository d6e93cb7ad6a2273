"""The chunked coding: cut anywhere, cut off, broken; against what urllib3 makes of it see test_logs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmtui.link.chunks import dechunked


def coded(*chunks: bytes, end: bytes = b"0\r\n\r\n", extension: bytes = b"") -> bytes:
    return b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks) + end


def taken(pieces: Sequence[bytes]) -> bytes:
    left = iter([*pieces, b""])
    return b"".join(dechunked(lambda: next(left)))


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=60), max_size=20), st.lists(st.integers(0, 2_000), max_size=20))
def test_where_it_is_cut_makes_no_difference(chunks: list[bytes], cuts: list[int]) -> None:
    data = coded(*chunks)
    places = [0, *sorted({cut % len(data) for cut in cuts} - {0}), len(data)]
    assert taken([data[begin:end] for begin, end in itertools.pairwise(places)]) == b"".join(chunks)


def test_every_byte_may_come_alone_and_chunks_may_have_extensions() -> None:
    data = coded(b"\r\n", b"0\r\n", b"x" * 300, extension=b" ; name=value")
    assert taken([data[at : at + 1] for at in range(len(data))]) == b"\r\n0\r\n" + b"x" * 300


@pytest.mark.parametrize("lost", range(1, 22))
def test_an_answer_that_is_cut_off_is_no_end(lost: int) -> None:
    data = coded(b"hello", b"world", end=b"0\r\n")
    with pytest.raises(ConnectionError):
        taken([data[:-lost]])


@pytest.mark.parametrize("broken", [b"-5\r\n", b"x\r\n", b"+5\r\n", b"5" + b";" * 2_000, b"123456789\r\n"])
def test_what_is_no_chunk_is_refused_after_what_came_before_it(broken: bytes) -> None:
    left = iter([coded(b"good", end=broken), b""])
    pieces = dechunked(lambda: next(left))
    assert next(pieces) == b"good"
    with pytest.raises(OSError):
        next(pieces)
