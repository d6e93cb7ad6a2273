"""Lines to read: broken so that words stay whole and columns stay columns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from swarmtui.ui.prose import broken
from tests.ui.test_console import opened


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  /       stack=NAME finds", ["  /       stack=NAME", "          finds"]),
        ("    on a manager$ docker node ls", ["    on a manager$", "    docker node ls"]),
        ("CRITICAL mgr2 is down now, really", ["CRITICAL mgr2 is down", "         now, really"]),
        ("SAFETY RULE x=y: not at all", ["SAFETY RULE x=y: not", "at all"]),
        ("  2. Wait until it is so now", ["  2. Wait until it is", "     so now"]),
        ("it takes at most about 600 s", ["it takes at most about", "600 s"]),
        ("it takes at most a long 60 s.", ["it takes at most a", "long 60 s."]),
        ("0123456789012345678901234567", ["0123456789012345678901", "234567"]),
        ("ab 0123456789012345678901234567", ["ab", "0123456789012345678901", "234567"]),
        ("  日本語日本語日本語日本語", ["  日本語日本語日本語日", "  本語"]),
        ("", [""]),
        ("fits", ["fits"]),
        ("a\tb\nnext", ["a       b", "next"]),
    ],
)
def test_a_long_line_goes_on_where_it_began(line: str, shown: list[str]) -> None:
    assert list(broken(line, 22)) == shown


@given(st.text(st.sampled_from("ab  日-=,"), max_size=120), st.integers(10, 60))
def test_nothing_is_lost_and_everything_fits(line: str, width: int) -> None:
    pieces = list(broken(line, width))
    assert all(cell_len(piece) <= width for piece in pieces) or cell_len(line) <= width
    assert re.sub(r"\s", "", "".join(pieces)) == re.sub(r"\s", "", line)


async def test_the_keys_are_read_on_a_small_screen(tmp_path: Path) -> None:
    async with opened(tmp_path, size=(80, 24)) as (_, console):
        await console.nodes().press("question_mark").at("reading").sees("Regex, !, label=KEY[=VALUE]")
        begin = next(at for at, line in enumerate(console.lines) if "Regex, !" in line)
        column = console.lines[begin].index("Regex")
        assert re.match(rf" {{{column}}}\S", console.lines[begin + 1]), console.text
        for word in ("label=KEY[=VALUE],", "node=NAME,", "service=NAME,", "stack=NAME"):
            assert any(word in line for line in console.lines[begin : begin + 2]), word
