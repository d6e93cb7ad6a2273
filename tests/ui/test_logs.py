"""The log screen, driven by keys, on a synthetic stream. On the simulated cluster: test_logs_console."""

from __future__ import annotations

import asyncio
import re
import stat
import time
from pathlib import Path

import pytest
from textual.binding import Binding

from swarmtui.errors import EngineError
from swarmtui.link.log_frames import STDERR, Assembler
from swarmtui.ui.log_buffer import MAX_LINES
from swarmtui.ui.log_keys import BINDINGS
from swarmtui.ui.screens.logs import LogScreen
from tests.link import log_bytes
from tests.ui.log_app import TWO, line, numbered, shown
from tests.ui.terminal import CountingDriver

# -- showing -------------------------------------------------------------------------------------------------------


async def test_lines_have_times_tasks_and_signs_in_words_and_not_in_colour_alone() -> None:
    async with shown() as person:
        await person.sees("connecting")
        person.give(line("GET / 200", 1), line("oops", 2, TWO, STDERR))
        await person.sees("oops")
        assert person.log[0] == "11-21 03:00:01.000 1@wrk1 | GET / 200"
        assert person.log[1] == "11-21 03:00:02.000 2@wrk2 ! oops"
        assert person.lines[0].strip() == "Log of service web"
        assert person.status.strip() == "following · 2 lines"


async def test_it_follows_until_somebody_goes_up_and_then_stays_where_it_is() -> None:
    async with shown() as person:
        person.give(*numbered(0, 100))
        await person.sees("line 99")
        await person.press("up")
        top = person.log[0]
        person.give(*numbered(100, 200))
        await person.sees("of 200")
        assert person.log[0] == top and "line 199" not in person.text
        await person.press("f")
        await person.sees("line 199", "following")
        await person.press("f")
        person.give(*numbered(200, 210))
        await person.sees("of 210")
        assert "line 199" in person.text and "line 209" not in person.text
        await person.press("g")
        await person.sees("line 1 of 210")
        assert person.log[0].endswith("line 0")
        await person.press("pagedown", "down", "j", "k", "pageup", "up", "ctrl+d", "ctrl+u", "home", "G")
        await person.sees("line 209", "following")


async def test_a_place_in_the_past_stays_while_older_lines_go() -> None:
    async with shown() as person:
        person.give(*numbered(0, 1_000))
        await person.sees("line 999")
        await person.press("pageup", "pageup")
        top = person.log[0]
        person.give(*numbered(1_000, MAX_LINES + 500))
        await person.sees("500 older gone")
        assert person.log[0] == top
        person.give(*numbered(MAX_LINES + 500, MAX_LINES + 2_000))
        await person.sees("2,000 older gone")
        assert person.log[0].endswith("line 2000") and f"line 1 of {MAX_LINES:,}" in person.status


async def test_long_lines_are_broken_or_moved_sideways() -> None:
    async with shown() as person:
        person.give(line("a" * 52 + "b" * 52 + "END", 1), line("second", 2))
        await person.sees("END", "second")
        assert person.log[0].endswith("| " + "a" * 52) and person.log[1].strip() == "| " + "b" * 52
        await person.press("w")
        await person.until(lambda: "END" not in person.text)
        assert person.log[1].endswith("| second")
        await person.press("right", "right", "right", "right")
        await person.sees("END")
        await person.press("left", "left", "left", "left", "left")
        assert person.log[1].endswith("| second")
        await person.press("w")
        await person.sees("END")


async def test_a_line_longer_than_the_screen_is_read_row_by_row() -> None:
    async with shown() as person:
        person.give(line("".join(f"[{number:05d}]" for number in range(2_000)), 1))
        await person.sees("[01999]")
        await person.press("g")
        await person.sees("[00000]")
        await person.press("pagedown")
        await person.until(lambda: "[00000]" not in person.text)
        first = re.search(r"\[(\d{5})\]", person.text)
        assert first is not None and 100 < int(first[1]) < 250
        await person.press("G", "up")
        await person.until(lambda: "line 1 of 1" in person.status)


async def test_times_go_and_come() -> None:
    async with shown() as person:
        person.give(line("text", 1))
        await person.sees("11-21 03:00:01")
        await person.press("t")
        await person.until(lambda: "11-21" not in person.text)
        assert person.log[0] == "1@wrk1 | text"
        await person.press("t")
        await person.sees("11-21 03:00:01")


async def test_wide_characters_and_hostile_names_keep_their_places() -> None:
    async with shown((40, 12)) as person:
        person.give(line("日本語" * 5, 1), line("[bold]x[/nothing]", 2))
        await person.sees("[bold]x[/not", "hing]")
        assert [text[28:].strip() for text in person.log[:3]] == ["日本語日本語", "日本語日本語", "日本語"]


async def test_on_a_tiny_screen_nothing_breaks() -> None:
    async with shown((20, 5)) as person:
        person.give(*numbered(0, 50))
        await person.until(person.app.feed.empty)
        await person.press("up", "w", "right", "t", "w", "slash", "escape")
        await person.pilot.resize_terminal(24, 12)
        await person.press("up", "w", "right", "pageup", "w", "G")
        await person.pilot.resize_terminal(100, 30)
        await person.sees("line 49")


# -- search, filter, pause, since, save ----------------------------------------------------------------------------


async def test_search_finds_the_newest_first_and_goes_both_ways() -> None:
    async with shown() as person:
        found = [line(f"{'needle' if number % 300 == 7 else 'hay'} {number}", number) for number in range(1_000)]
        person.give(*found)
        await person.sees("hay 999")
        await person.press("slash")
        await person.type("NEEDLE")
        await person.press("enter")
        await person.pilot.pause()
        assert "needle" not in person.text
        await person.press("slash", "ctrl+u")
        await person.type("needle")
        await person.press("enter")
        await person.sees("needle 907", "/needle")
        await person.press("N")
        await person.sees("needle 607")
        await person.press("N", "N")
        await person.sees("needle 7")
        await person.press("N")
        await person.until(lambda: any("No line matches /needle/ towards the oldest" in t for t in person.app.told))
        await person.press("n")
        await person.sees("needle 307")
        assert "following" not in person.status
        bold = [segment for strip in person.app.screen._compositor.render_strips() for segment in strip]
        assert [s.text for s in bold if s.style is not None and s.style.reverse and "needle" in s.text] == ["needle"]


async def test_an_expression_that_is_none_stays_to_be_mended() -> None:
    async with shown() as person:
        person.give(line("a(b", 1))
        await person.press("slash")
        await person.type("a(")
        await person.press("enter")
        await person.until(lambda: any("is no regular expression" in told for told in person.app.told))
        await person.sees("a(")
        await person.press("backspace", "enter")
        await person.sees("/a")


async def test_only_lines_that_match() -> None:
    async with shown() as person:
        person.give(*numbered(0, 500))
        await person.sees("line 499")
        await person.press("ampersand")
        await person.type("7.$")
        await person.press("enter")
        await person.sees("only 50 that match 7.$", "line 479")
        assert "line 480" not in person.text
        person.give(line("another 78", 501), line("not this", 502))
        await person.sees("only 51 that match", "another 78")
        await person.press("g")
        assert person.log[0].endswith("line 70")
        await person.press("ampersand", "ctrl+u", "enter", "G")
        await person.sees("not this")


async def test_paused_everything_stands_still_and_nothing_is_lost() -> None:
    async with shown() as person:
        person.give(*numbered(0, 10))
        await person.sees("line 9")
        await person.press("p")
        await person.sees("PAUSED")
        person.give(*numbered(10, 20))
        person.give(*numbered(20, 30), dropped=1_234)
        before = person.log
        await asyncio.sleep(0.2)
        assert person.log == before
        await person.press("space")
        await person.sees("line 19", "line 29", "1,234 lines were dropped here", "1,234 dropped")


async def test_since_asks_anew() -> None:
    async with shown() as person:
        person.give(line("recent", 1))
        await person.sees("recent")
        assert person.app.opened == [None]
        await person.press("s")
        await person.type("5 minutes")
        await person.press("enter")
        await person.until(lambda: any("is no time to begin at" in told for told in person.app.told))
        await person.press("ctrl+u")
        await person.type("5m")
        await person.press("enter")
        await person.until(lambda: len(person.app.opened) == 2 and person.app.closed == 1)
        assert abs((person.app.opened[1] or 0) - (time.time() - 300)) < 30
        assert "recent" not in person.text
        person.give(line("all of it", 2))
        await person.sees("all of it", "since 5m")
        await person.press("s", "ctrl+u")
        await person.type("all")
        await person.press("enter")
        await person.until(lambda: person.app.opened[2:] == [0.0])


async def test_save_writes_what_is_shown_to_a_private_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with shown() as person:
        person.give(*numbered(0, 3), line("oops", 4, TWO, STDERR))
        await person.sees("oops")
        await person.press("ctrl+s", "enter")
        await person.until(lambda: any("4 lines are in" in told for told in person.app.told))
        (file,) = tmp_path.glob("*.log")
        assert re.fullmatch(r"Log-of-service-web-\d{8}T\d{6}Z\.log", file.name)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text().splitlines()[2:] == [
            "2026-11-21T03:00:02.000000002Z 1@wrk1 line 2",
            "2026-11-21T03:00:04.000000004Z 2@wrk2 ! oops",
        ]
        await person.press("ctrl+s", "ctrl+u")
        await person.type(str(file.name))
        await person.press("enter")
        await person.until(lambda: any("exists already" in told for told in person.app.told))
        await person.press("ctrl+s", "ctrl+u", "enter")
        await person.until(lambda: any("No file is named" in told for told in person.app.told))
        await person.press("escape", "escape")
        await person.until(lambda: not isinstance(person.app.screen, LogScreen))
        assert person.app.closed == 1


# -- trouble -------------------------------------------------------------------------------------------------------


async def test_a_lost_connection_is_said_and_the_last_lines_stay() -> None:
    async with shown() as person:
        person.give(line("before", 1))
        person.give(live=False, note="The connection to root@mgr1 was lost.")
        await person.sees("before", "The connection to root@mgr1 was lost.", "connection lost, waiting for it")
        person.give(note="Connected again.")
        person.give(line("after", 2))
        await person.sees("before", "Connected again.", "after")
        assert "waiting" not in person.status


async def test_a_refusal_is_one_sentence_and_the_end() -> None:
    async with shown() as person:
        person.app.feed.put_nowait(
            EngineError("The service web does not exist in this Swarm (any more).", "Look again.")
        )
        await person.sees("The service web does not exist in this Swarm (any more). Look again.", "ended")
        assert person.app.closed == 1
        await person.press("escape")
        await person.until(lambda: not isinstance(person.app.screen, LogScreen))


async def test_leaving_ends_the_stream() -> None:
    async with shown() as person:
        person.give(line("x", 1))
        await person.sees("x")
        await person.press("q")
        await person.until(lambda: person.app.closed == 1)


async def test_the_keys_are_told() -> None:
    async with shown((100, 40)) as person:
        await person.press("question_mark")
        await person.sees("Show only lines that match", "^s", "Stay at the newest line")
    bindings = [binding for binding in BINDINGS if isinstance(binding, Binding)]
    assert all(binding.id and binding.tooltip for binding in bindings)
    assert len({binding.id for binding in bindings}) == len(bindings)


# -- bytes to the terminal -----------------------------------------------------------------------------------------


async def test_when_nothing_is_new_nothing_is_painted() -> None:
    async with shown(counting=True) as person:
        person.give(*numbered(0, 100))
        driver = person.app._driver
        assert isinstance(driver, CountingDriver)
        await person.until(lambda: "line 99" in driver.screen.line(20, 80) + driver.screen.line(19, 80) + driver.text)
        await asyncio.sleep(0.5)
        driver.clear()
        await asyncio.sleep(1.0)
        assert driver.bytes == 0, driver.text
        person.give()
        await asyncio.sleep(0.3)
        assert driver.bytes == 0, driver.text
        await person.press("p")
        await person.until(lambda: driver.bytes > 0)
        await asyncio.sleep(0.2)
        driver.clear()
        person.give(*numbered(100, 200))
        await asyncio.sleep(0.3)
        assert driver.bytes == 0, driver.text


async def test_no_sequence_of_a_log_reaches_the_terminal() -> None:

    hostile = log_bytes.line("\x1b]0;owned\x07 \x1b[2J \u202e \x9b31m \x1b[31mred") + log_bytes.frame(
        "\x1b[2J\x1bc\n", 3
    )
    async with shown(counting=True) as person:
        driver = person.app._driver
        assert isinstance(driver, CountingDriver)
        await asyncio.sleep(0.3)
        driver.screen.strange.clear()
        person.give(*Assembler().feed(hostile))
        await person.until(lambda: "red" in driver.text)
        assert driver.screen.strange == []
        assert not any(sign in driver.text for sign in ("owned\x07", "\u202e", "\x9b", "\x1bc", "\x1b[2J"))
        # The check finds what it looks for.
        driver.write("\x1b]0;owned\x07")
        assert driver.screen.strange


async def test_a_flood_is_painted_a_few_times_a_second_and_keys_are_heard() -> None:
    async with shown(counting=True) as person:
        driver = person.app._driver
        assert isinstance(driver, CountingDriver)
        painted: list[float] = []
        view = person.app.log_screen.view
        changed = view.changed

        def count() -> None:
            painted.append(time.monotonic())
            changed()

        view.changed = count  # type: ignore[method-assign]
        number = 0
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            person.give(*numbered(number, number + 500))
            number += 500
            await asyncio.sleep(0.01)
        assert len(painted) <= 1.5 / 0.05 + 5
        await person.press("g")
        await person.until(lambda: "following" not in person.status)
        await person.until(lambda: person.app.feed.empty() and "line 1 of" in person.status)
        assert len(person.app.log_screen.buffer) == min(number, MAX_LINES)
