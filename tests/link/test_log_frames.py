"""The engine's formats of logs, cut anywhere; and what in them is hostile."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmtui.link.log_frames import LINE_MAX, NOBODY, STDERR, STDOUT, SYSTEM, Assembler, LogLine, Origin
from swarmtui.link.logs import nanoseconds
from tests.link.log_bytes import ONE, TWO, details, frame, line, stamp


def assembled(*pieces: bytes, finish: bool = True) -> list[LogLine]:
    assembler = Assembler()
    found = [line for piece in pieces for line in assembler.feed(piece)]
    return found + (assembler.finish() if finish else [])


def said(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


# -- the formats ---------------------------------------------------------------------------------------------------


def test_a_framed_line_has_time_origin_stream_and_text() -> None:
    assert assembled(line("GET / 200", 1) + line("oops", 2, TWO, STDERR)) == [
        LogLine(stamp(1), ONE, STDOUT, "GET / 200"),
        LogLine(stamp(2), TWO, STDERR, "oops"),
    ]


def test_a_raw_answer_of_a_tty_has_the_same() -> None:
    data = f"{stamp(1)} {details(ONE)} $ ls\r\n{stamp(2)} {details(ONE)} a\tb\r\n{stamp(3)} {details(ONE)} $ ".encode()
    assert assembled(data) == [
        LogLine(stamp(1), ONE, STDOUT, "$ ls"),
        LogLine(stamp(2), ONE, STDOUT, "a       b"),
        LogLine(stamp(3), ONE, STDOUT, "$ "),
    ]


MIXED = b"".join(
    [
        line("first"),
        line("x" * 20_000, 1, end=""),
        line("of the other", 2, TWO),
        line("y" * 20_000, 3, end=""),
        line("on stderr", 3, ONE, STDERR),
        line("z", 4),
        line("é日本 " * 9_000, 5, TWO),
        line("", 6),
        frame("Error grabbing logs: context canceled\n", SYSTEM),
        line("last", 7),
    ]
)
RAW = "".join(f"{stamp(number)} {details(ONE)} línea {number} {'w' * number * 90}\n" for number in range(30)).encode()


@settings(deadline=None)
@given(st.lists(st.integers(1, len(MIXED) - 1), max_size=12), st.booleans())
def test_where_an_answer_is_cut_makes_no_difference(cuts: list[int], raw: bool) -> None:
    data = RAW if raw else MIXED
    places = [0, *sorted({cut % len(data) for cut in cuts}), len(data)]
    pieces = [data[begin:end] for begin, end in itertools.pairwise(places)]
    assert assembled(*pieces) == assembled(data)


def test_every_single_byte_may_come_alone() -> None:
    data = line("one", 1) + frame("Error grabbing logs: x\n", SYSTEM) + line("two", 2, TWO)
    assert assembled(*(data[at : at + 1] for at in range(len(data)))) == assembled(data)
    assert said(assembled(*(RAW[at : at + 1] for at in range(2_000)), finish=False))[0] == "línea 0 "


def test_a_line_in_pieces_is_put_together_although_others_write_in_between() -> None:
    data = line("be", 1, end="") + line("other", 2, TWO) + line("err", 2, ONE, STDERR) + line("gun", 3)
    assert assembled(data) == [
        LogLine(stamp(2), TWO, STDOUT, "other"),
        LogLine(stamp(2), ONE, STDERR, "err"),
        LogLine(stamp(1), ONE, STDOUT, "begun"),
    ]


def test_a_line_of_a_megabyte_comes_in_entries_of_a_bounded_size() -> None:
    text = "ab日" * 250_000
    for data in (
        line(text, 1),
        b"".join(line(text[at : at + 5_000], 1, end="") for at in range(0, len(text), 5_000)) + line("", 1),
        f"{stamp(1)} {details(ONE)} {text}\n".encode(),
    ):
        lines = assembled(*(data[at : at + 10_000] for at in range(0, len(data), 10_000)))
        assert "".join(said(lines)) == text
        assert [line.joined for line in lines] == [False] + [True] * (len(lines) - 1)
        assert max(len(line.text.encode()) for line in lines) <= LINE_MAX
        assert {(line.when, line.origin) for line in lines} == {(stamp(1), ONE)}


def test_a_line_without_an_end_costs_no_memory() -> None:
    assembler = Assembler()
    assembler.feed(line("", 1, end=""))
    endless = frame(b"e" * 60_000)
    kept = 0
    for _ in range(50):
        kept += len("".join(said(assembler.feed(endless))))
        assert len(assembler._rest) + sum(len(begun.text) for begun in assembler._begun.values()) <= 2 * LINE_MAX
    assert kept > 2_900_000


def test_what_a_cut_off_answer_had_begun_is_not_taken_for_a_line() -> None:
    assert said(assembled((line("whole", 1) + line("cut off", 2))[:-3], finish=False)) == ["whole"]
    assert said(assembled(RAW[:200], finish=False)) == ["línea 0 "]


def test_what_is_no_log_is_noticed_after_the_lines_before_it() -> None:
    assembler = Assembler()
    assert said(assembler.feed(line("fine"))) == ["fine"] and not assembler.broken
    assert said(assembler.feed(line("fine") + b"\x07garbage in the place of a header")) == ["fine"] and assembler.broken


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b]0;owned\x07title", "\ufffd]0;owned\ufffdtitle"),
        ("\x1b[2J\x1b[Hcleared", "\ufffd[2J\ufffd[Hcleared"),
        ("\x1b[1;31mred\x1b[0m, and plain", "red, and plain"),
        ("\x1b[31\x1b[0m;1mnested", "\ufffd[31;1mnested"),
        ("10 %\r20 %\r", "10 %\ufffd20 %"),
        ("\u202eevil\u2066\x9b2J\x00\x7f", "\ufffdevil\ufffd\ufffd2J\ufffd\ufffd"),
        ("a\tb", "a       b"),
        ("[bold red]no markup[/]", "[bold red]no markup[/]"),
    ],
)
def test_control_sequences_are_shown_harmless(hostile: str, shown: str) -> None:
    assert said(assembled(line(hostile))) == [shown]


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert said(assembled(frame(f"{stamp(1)} {details(ONE)} caf".encode() + b"\xe9 \xff\n"))) == ["caf\ufffd \ufffd"]


def test_times_and_ids_of_an_engine_that_lies_are_harmless_too() -> None:
    evil = Origin("%1b]0%3Bx%07" + "t" * 500, "n%E2%80%AE")
    (found,) = assembled(line("text", 1, evil))
    assert found.origin == Origin(("\ufffd]0;x\ufffd" + "t" * 500)[:64], "n\ufffd")
    (found,) = assembled(line("text", 1, Origin("\x1b[2J\u202e", "n")))
    assert found.origin == NOBODY and "\x1b" not in found.text and "\u202e" not in found.text
    (found,) = assembled(frame("2026-11-21T\x1b[2J:00:00Z x\n"))
    assert found.when == "" and "\x1b" not in found.text


def test_what_looks_like_details_in_a_line_is_text() -> None:
    assert assembled(frame(f"{stamp(1)} level=info msg=x\n")) == [LogLine(stamp(1), NOBODY, STDOUT, "level=info msg=x")]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "Error grabbing logs: rpc error: code = Unknown desc = warning: incomplete log stream. some logs could not "
            "be retrieved for the following reasons: node wrk1 is not available",
            "Some lines are missing: node wrk1 is not available.",
        ),
        (
            "Error grabbing logs: rpc error: code = Unknown desc = configured logging driver does not support reading",
            "The logging driver in use cannot be read back",
        ),
        ("Error grabbing logs: context canceled", "The engine says: context canceled"),
    ],
)
@pytest.mark.parametrize("kind", [SYSTEM, STDERR, 0])
def test_what_the_engine_says_about_the_log_is_told_in_plain_words(words: str, sentence: str, kind: int) -> None:
    data = frame(f"{words}\n", kind) if kind else f"{words}\n".encode()
    (found,) = assembled(data)
    assert found.stream == SYSTEM and found.text.startswith(sentence)


def test_times_of_the_engine() -> None:
    assert nanoseconds("1970-01-01T00:00:01.000000002Z") == 1_000_000_002
    assert nanoseconds("1970-01-01T01:00:01.5+01:00") == 1_500_000_000
    assert nanoseconds("1970-01-01T00:00:01Z") == 1_000_000_000
    assert nanoseconds("") == nanoseconds("never") == 0
