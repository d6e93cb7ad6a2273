"""What is kept of a log: bounds, filter, search, and what a file of it looks like."""

from __future__ import annotations

import os
import re
import stat
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmtui.errors import UsageError
from swarmtui.link.log_frames import NOBODY, STDERR, STDOUT, SYSTEM, LogLine, Origin
from swarmtui.ui.log_buffer import LogBuffer, compiled
from swarmtui.ui.log_file import texts, write_private
from swarmtui.ui.log_view import matches_of, rows_of, slice_of
from swarmtui.ui.since import since


def lines(*found: str, stream: int = STDOUT) -> list[LogLine]:
    return [LogLine(f"2026-11-21T03:00:00.{number:09d}Z", NOBODY, stream, text) for number, text in enumerate(found)]


def said(buffer: LogBuffer) -> list[str]:
    return [buffer[buffer.at(index)].text for index in range(buffer.count)]


def sifted(buffer: LogBuffer) -> LogBuffer:
    while not buffer.work(0.0):
        pass
    return buffer


def searched(buffer: LogBuffer, text: str, start: int, step: int) -> int | None:
    return next((found for found in buffer.search(compiled(text), start, step) if found is not None), None)


# -- bounds --------------------------------------------------------------------------------------------------------


def test_it_keeps_so_many_lines_under_numbers_of_their_own() -> None:
    buffer = LogBuffer(max_lines=100)
    for begin in range(0, 1_000, 7):
        buffer.add(lines(*(str(number) for number in range(begin, begin + 7))))
    assert len(buffer) == 100 and buffer.end == 1_001 and buffer.first == 901 and buffer.gone == 901
    assert said(buffer) == [str(number) for number in range(901, 1_001)]
    assert buffer[901].text == "901"
    with pytest.raises(IndexError):
        buffer[900]


@pytest.mark.parametrize("letter", ["x", "é", "日", "😀"])
def test_it_keeps_so_many_bytes(letter: str) -> None:
    buffer = LogBuffer(max_bytes=100_000)
    for _ in range(50):
        buffer.add(lines(letter * 5_000))
    assert sum(sys.getsizeof(buffer[number].text) for number in range(buffer.first, buffer.end)) <= 100_000
    assert 0 < buffer.bytes <= 100_000 and len(buffer) >= 3
    assert buffer.bytes == sum(weight_alone(buffer[number]) for number in range(buffer.first, buffer.end))


def weight_alone(line: LogLine) -> int:
    alone = LogBuffer()
    alone.add([line])
    return alone.bytes


def test_a_line_larger_than_all_that_may_be_kept_is_kept_alone() -> None:
    buffer = LogBuffer(max_bytes=1_000)
    buffer.add(lines("a", "b", "x" * 5_000))
    assert said(buffer) == ["x" * 5_000]


def test_what_is_missing_is_said_where_it_is_missing() -> None:
    buffer = LogBuffer()
    buffer.add(lines("before"))
    buffer.missed(1_234)
    buffer.missed(1)
    buffer.add(lines("after"))
    assert said(buffer)[1].startswith("1,234 lines were dropped here")
    assert said(buffer)[2].startswith("1 line was dropped here")
    assert buffer.dropped == 1_235


def test_cleared_it_forgets_lines_and_goes_on_with_the_numbers() -> None:
    buffer = LogBuffer()
    buffer.set_filter(compiled("a"))
    buffer.add(lines("a", "b"))
    buffer.missed(3)
    sifted(buffer).clear()
    assert (len(buffer), buffer.count, buffer.dropped, buffer.bytes, buffer.end) == (0, 0, 0, 0, 3)
    buffer.add(lines("b", "a"))
    assert said(sifted(buffer)) == ["a"]


# -- filter and search ---------------------------------------------------------------------------------------------


def test_a_filter_shows_matches_and_what_is_said_about_the_log() -> None:
    buffer = LogBuffer()
    buffer.add(lines("GET /a", "POST /b", "get /c"))
    buffer.missed(5)
    buffer.set_filter(compiled("get"))
    assert said(sifted(buffer)) == ["GET /a", "get /c", buffer[3].text]
    buffer.add(lines("GET /d", "PUT /e"))
    assert said(sifted(buffer))[-1] == "GET /d"
    buffer.set_filter(compiled("GET"))
    assert said(sifted(buffer)) == ["GET /a", buffer[3].text, "GET /d"]
    buffer.set_filter(None)
    assert buffer.work() and buffer.count == 6


def test_the_filter_works_in_steps() -> None:
    buffer = LogBuffer()
    buffer.add(lines(*("y" * 100 for _ in range(20_000))))
    buffer.set_filter(compiled("x"))
    steps = 0
    while not buffer.work(0.0):
        steps += 1
    assert steps > 100


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=9), max_size=20), st.integers(1, 30))
def test_a_filter_and_the_bounds_together_are_what_a_list_would_be(batches: list[list[str]], most: int) -> None:
    buffer = LogBuffer(max_lines=most)
    buffer.set_filter(compiled("a"))
    everything: list[str] = []
    for batch in batches:
        buffer.add(lines(*batch))
        everything = (everything + batch)[-most:]
        assert said(sifted(buffer)) == [text for text in everything if "a" in text]
        assert [line.text for line in buffer.shown()] == said(buffer)


def test_search_goes_both_ways_and_stops_at_the_ends() -> None:
    buffer = LogBuffer(max_lines=6)
    buffer.add(lines("gone", "gone", "hit", "miss", "hit", "miss", "hit", "miss"))
    assert buffer.first == 2
    assert searched(buffer, "HIT", buffer.end - 1, -1) is None
    assert searched(buffer, "hit", buffer.end - 1, -1) == 6
    assert searched(buffer, "hit", 5, -1) == 4
    assert searched(buffer, "hit", 1, -1) is None
    assert searched(buffer, "hit", 0, 1) == 2
    assert searched(buffer, "hit", 3, 1) == 4
    assert searched(buffer, "hit", 7, 1) is None
    buffer.set_filter(compiled("miss"))
    assert searched(sifted(buffer), "hit", 0, 1) is None
    assert searched(buffer, "miss", 4, -1) == 3
    assert searched(buffer, "miss", 4, 1) == 5


def test_search_lets_others_go_on_and_bears_lines_that_go_meanwhile() -> None:
    buffer = LogBuffer()
    buffer.add(lines(*("x" * 2_000 for _ in range(5_000)), "hit"))
    looking = buffer.search(compiled("hit|zzz"), 0, 1)
    assert next(looking) is None
    buffer.add(lines(*("y" for _ in range(16_000))))
    found = [found for found in looking if found is not None]
    assert found == [5_000]


def test_an_expression_that_is_none_is_told() -> None:
    with pytest.raises(UsageError, match=r'"a\(" is no regular expression'):
        compiled("a(")


@given(st.text(max_size=60), st.integers(8, 30))
def test_rows_are_all_of_a_text_and_none_is_too_wide(text: str, width: int) -> None:
    from rich.cells import cell_len

    rows = rows_of(text, width)
    assert "".join(text[begin:end] for begin, end in rows) == text
    assert all(end == begin for (_, end), (begin, _) in pairwise(rows))
    assert all(cell_len(text[begin:end]) <= width for begin, end in rows)


def test_accents_that_pile_up_do_not_make_a_row_of_a_thousand_characters() -> None:
    pile = "a" + "\u0301" * 10_000
    assert max(end - begin for begin, end in rows_of(pile, 20)) <= 80
    begin, end = slice_of(pile, 0, 20)
    assert end - begin <= 80


@pytest.mark.parametrize(
    ("text", "left", "shown"),
    [("abcdefgh", 2, "cdef"), ("日本語日本", 2, "本語"), ("ab", 5, ""), ("é" * 9, 6, "ééé"), ("日本", 9, "")],
)
def test_sideways_a_part_of_a_text_is_shown(text: str, left: int, shown: str) -> None:
    begin, end = slice_of(text, left, 4)
    assert text[begin:end] == shown


def test_matches_of_nothing_are_none_and_their_number_is_bounded() -> None:
    assert matches_of(re.compile("x*"), "axxa") == ((1, 3),)
    assert len(matches_of(re.compile("a"), "a" * 10_000)) == 200


# -- since, and files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("all", 0.0),
        ("", 0.0),
        ("30s", 999_970.0),
        (" 5m ", 999_700.0),
        ("1H30m", 994_600.0),
        ("999999999d", 1.0),
        ("1970-01-02T00:00", 86_400.0),
        ("1970-01-02T00:00:00+01:00", 82_800.0),
    ],
)
def test_since_as_people_type_it(text: str, begin: float) -> None:
    assert since(text, 1_000_000.0) == begin


@pytest.mark.parametrize("text", ["5", "m", "-5m", "5 minutes", "yesterday", "2026-13-01", "0001-01-01x"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="is no time to begin at"):
        since(text, 1_000_000.0)


def test_a_file_has_whole_lines_with_times_and_tasks() -> None:
    one = Origin("t1", "n1")
    found = [
        LogLine("2026-11-21T03:00:00.000000000Z", one, STDOUT, "begin "),
        LogLine("2026-11-21T03:00:00.000000000Z", one, STDOUT, "end", joined=True),
        LogLine("2026-11-21T03:00:01.000000000Z", Origin("t2", "n2"), STDERR, "oops"),
        LogLine("", NOBODY, SYSTEM, "3 lines were dropped here"),
    ]
    assert "".join(texts(found, {"t1": "1@wrk1"})) == (
        "2026-11-21T03:00:00.000000000Z 1@wrk1 begin end\n"
        "2026-11-21T03:00:01.000000000Z t2 ! oops\n"
        "# 3 lines were dropped here\n"
    )
    assert "".join(texts([], {})) == ""


def test_a_file_is_new_and_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "a.log", ["x\n", "é\n"])
    finally:
        os.umask(before)
    assert (tmp_path / "a.log").read_text("utf-8") == "x\né\n"
    assert stat.S_IMODE((tmp_path / "a.log").stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="exists already, and was left as it is"):
        write_private(tmp_path / "a.log", ["y"])
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="exists already"):
        write_private(tmp_path / "link", ["y"])
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        write_private(tmp_path / "no" / "a.log", ["y"])

    def full() -> object:
        yield "x" * 100_000
        raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match="No space left on device"):
        write_private(tmp_path / "b.log", full())  # type: ignore[arg-type]
    assert not (tmp_path / "b.log").exists()
    with pytest.raises(UsageError, match="cannot be written"):
        write_private(Path("/tmp/\0"), ["y"])
