"""What the table costs the terminal, and how it looks in each."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from textual.screen import Screen

from swarmtui.ui import theme
from swarmtui.ui.cells import ASCII, GUTTER, Glyphs, glyphs_for
from swarmtui.ui.table import Cell, Column, Table
from tests.ui.table_app import (
    COLUMNS,
    SMALL,
    bytes_of,
    make_row,
    make_rows,
    opened,
    row,
    rows_of,
    screen,
    settle,
)

# ---------------------------------------------------------------------- what it costs the terminal


async def test_bytes_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Table, "FLASH_SECONDS", 0.3)
    table = Table(COLUMNS)
    async with opened(table, (160, 50)) as (app, pilot):
        table.set_sort("name")
        assert await bytes_of(app, pilot, lambda: table.set_rows(make_rows(1_000))) > 5_000, "the count counts"
        assert await bytes_of(app, pilot, lambda: None) == 0
        assert await bytes_of(app, pilot, lambda: table.set_rows(make_rows(1_000))) == 0
        far, near = table.visible_keys[900], table.visible_keys[20]
        assert await bytes_of(app, pilot, lambda: table.apply({}, {far: make_row(900, labels="x")}, ())) == 0
        change = {near: make_row(int(near[2:]), zone="zone-x")}
        assert 0 < await bytes_of(app, pilot, lambda: table.apply({}, change, ())) <= 400
        await asyncio.sleep(0.5)
        app.output.clear()
        await asyncio.sleep(0.5)
        assert app.output.bytes == 0, "no timer is left behind"
        assert 0 < await bytes_of(app, pilot, lambda: table.action_move(1)) <= 1_000
        table.set_filter(lambda key, _: key != far)
        await settle(pilot)
        assert await bytes_of(app, pilot, lambda: table.apply({}, {far: make_row(900)}, ())) == 0


async def test_news_has_a_sign_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Table, "FLASH_SECONDS", 0.4)
    table = Table(SMALL)
    async with opened(table) as (app, pilot):
        table.set_rows(rows_of("a", "b", "c"))
        await settle(pilot)
        assert {text[1] for text in screen(app)[1:]} == {" "}, "the first rows are no news"
        table.set_rows({"a": row("a"), "b": row("b", "Down"), "c": row("c"), "d": row("d")})
        await settle(pilot)
        assert [text[1] for text in screen(app)[1:5]] == [" ", "~", " ", "+"]
        down = table.render_line(2)
        styles = {segment.text.strip(): segment.style for segment in down if segment.text.strip()}
        assert styles["Down"] == styles["~"] != styles["b"]
        await asyncio.sleep(0.6)
        await settle(pilot)
        assert {text[1] for text in screen(app)[1:]} == {" "}
    async with opened(table := Table(SMALL)) as (app, pilot):
        table.set_rows(rows_of("a"))
        table.set_rows(rows_of("a", "b"), news=False)
        await settle(pilot)
        assert [text[:3] for text in screen(app)[1:3]] == ["  a", "  b"], "nobody looked for a while"
    ages = Table((SMALL[0], *(replace(column, quiet=True) for column in SMALL[1:])))
    async with opened(ages) as (app, pilot):
        ages.set_rows({"a": row("a")})
        ages.set_rows({"a": row("a", "Down")})
        await settle(pilot)
        assert screen(app)[1].startswith("  a") and "Down" in screen(app)[1], "an age that grew is no news"
    quiet = Table(SMALL, flash=False)
    async with opened(quiet) as (app, pilot):
        quiet.set_rows(rows_of("a"))
        quiet.set_rows(rows_of("a", "b"))
        await settle(pilot)
        assert [text[:3] for text in screen(app)[1:3]] == ["  a", "  b"]


async def painted(app: Any, pilot: Any) -> Any:
    """What is on the screen once nothing is painted any more."""
    before, now = None, app.output.screen.snapshot()
    while now != before:
        await pilot.pause(0.05)
        before, now = now, app.output.screen.snapshot()
    return now


@pytest.mark.parametrize("seed", [1, 2])
async def test_partial_repaints_end_in_the_same_screen_as_a_full_one(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Table, "FLASH_SECONDS", 60.0)
    rng = random.Random(seed)
    table = Table(COLUMNS)
    rows = make_rows(60)

    def mutate() -> None:
        new = dict(table.rows)
        for key in rng.sample(list(rows), rng.randint(1, 12)):
            change = rng.random()
            if change < 0.25:
                new.pop(key, None)
            else:
                new[key] = make_row(int(key[2:]), **{rng.choice(("zone", "status", "name")): f"日x{rng.random():.3}"})
        table.set_rows(new)

    moves: Sequence[Callable[[], object]] = (
        mutate, mutate, mutate,
        lambda: table.set_sort(rng.choice([None, "name", "zone", "tasks"]), rng.random() < 0.5),
        lambda: table.set_filter(rng.choice([None, lambda key, _: int(key[2:]) % 2 == 0, lambda *_: False])),
        lambda: table.action_move(rng.randint(-9, 9)),
        lambda: table.action_page(rng.choice([-1, 0.5, 1])),
        table.toggle_mark, table.mark_all_visible, table.clear_marks, table.action_wide,
        lambda: table.action_sideways(rng.choice([-1, 1])),
        lambda: setattr(table, "dim", not table.dim),
        lambda: table.scroll_to(y=rng.randint(0, 40), animate=False),
    )  # fmt: skip
    async with opened(table, (70, 16)) as (app, pilot):
        table.set_rows(rows)
        await settle(pilot)
        for step in range(50):
            rng.choice(moves)()
            await settle(pilot)
            width = table.scrollable_size.width
            expected = [table.render_line(y).text for y in range(16)]
            assert [app.output.screen.line(y, width) for y in range(16)] == expected, f"step {step}"
            if table.show_vertical_scrollbar:
                assert table.vertical_scrollbar.position == table.scroll_y
            if step % 5 == 0:
                partial = await painted(app, pilot)
                app.screen.refresh()
                table.refresh()
                await settle(pilot)
                assert await painted(app, pilot) == partial, f"styles, step {step}"
            assert table.cursor_key is None or table.cursor_key in table.visible_keys
            assert (table.cursor_key is None) == (not table.visible_keys)


async def test_what_changed_out_of_sight_is_there_when_the_table_is_back() -> None:
    table = Table(SMALL)
    async with opened(table, (40, 8)) as (app, pilot):
        table.set_rows(rows_of("a", "b"))
        await settle(pilot)
        app.push_screen(Cover())
        await settle(pilot)
        assert "  b" not in screen(app)[2]
        table.set_rows({"a": row("a", "Down"), "c": row("c")})
        await settle(pilot)
        app.pop_screen()
        await settle(pilot)
        assert [text[:14].split()[-1] for text in screen(app)[1:3]] == ["Down", "Ready"]
        table.display = False
        await settle(pilot)
        assert "".join(screen(app)).strip() == ""
        table.apply(rows_of("d"), {"a": row("a", "Gone")}, ("c",))
        await settle(pilot)
        table.display = True
        await settle(pilot)
        assert [text[2:14].split() for text in screen(app)[1:4]] == [["a", "Gone"], ["d", "Ready"], []]


class Cover(Screen[None]):
    """Hides the table."""


# ---------------------------------------------------------------------- terminals


async def test_header_tells_the_order_and_stale_rows_lose_their_colours() -> None:
    table = Table(COLUMNS, glyphs=ASCII)
    async with opened(table, (120, 8)) as (app, pilot):
        table.set_rows({"id3": make_row(3), "id4": make_row(4)})
        await pilot.press("greater_than_sign", "space")
        await settle(pilot)
        assert screen(app)[0].startswith("* NAME^ ")
        await pilot.press("r")
        await settle(pilot)
        assert screen(app)[0].startswith("* NAMEv ")
        await pilot.press("greater_than_sign")
        assert (table.sort_column, table.sort_reverse) == ("status", False)
        await pilot.press("less_than_sign", "less_than_sign")
        assert table.sort_column == "labels"
        colours = {segment.style.color for segment in table.render_line(1) if segment.style and segment.text.strip()}
        assert len(colours) > 1
        table.dim = True
        await settle(pilot)
        colours = {segment.style.color for segment in table.render_line(1) if segment.style and segment.text.strip()}
        assert len(colours) == 1


Light = tuple[int, int, int]


def contrast(one: Light, other: Light) -> float:
    """How well two colours are told apart, 1 to 21 (WCAG 2.1, contrast ratio)."""

    def luminance(colour: Light) -> float:
        parts = [part / 255 for part in colour]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", theme.THEMES)
@pytest.mark.parametrize("stale", [False, True])
async def test_the_row_under_the_cursor_can_be_read(name: str, stale: bool) -> None:
    styles = sorted(Table.STYLES)
    table = Table(tuple(Column(style, style) for style in styles))
    async with opened(table, (120, 6)) as (app, pilot):
        theme.use(app, name)
        table.set_rows({key: tuple(Cell(f"{style}-", style) for style in styles) for key in "ab"})
        table.toggle_mark("a")
        table.dim = stale
        for focus in (table, None):
            app.screen.set_focus(focus)
            await settle(pilot)
            row = [(s.text, s.style) for s in table.render_line(1) if s.text.strip() and s.style]
            assert "".join(text for text, _ in row).split() == ["●", *(f"{style}-" for style in styles)]
            for text, style in row:
                assert style.color and style.bgcolor
                told = contrast(style.color.get_truecolor(), style.bgcolor.get_truecolor())
                assert told >= 4.5, (text, focus, round(told, 1))
            below = next(s.style for s in table.render_line(2) if s.text.strip() and s.style)
            assert below.bgcolor != row[0][1].bgcolor, "the cursor itself is seen"


async def test_themes_apply() -> None:
    table = Table(SMALL)
    async with opened(table) as (app, pilot):
        table.set_rows({"a": row("a"), "b": (Cell("b", "no-such-style"), Cell("Down", "bad"))})
        await settle(pilot)
        dark = app.output.screen.snapshot()
        assert dark[2, 2][1] != dark[2, 4 + GUTTER][1], "a semantic style has its own colour"
        app.theme = "textual-light"
        await settle(pilot)
        light = app.output.screen.snapshot()
        assert all(dark[place][1] != light[place][1] for place in [(0, 2), (1, 2), (2, 2), (2, 8)])


async def test_without_colour_the_cursor_is_still_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    table = Table(SMALL)
    async with opened(table) as (app, pilot):
        table.set_rows(rows_of("a", "b"))
        app.output.clear()
        await pilot.press("down")
        await settle(pilot)
        codes = {code for codes in re.findall(r"\x1b\[([0-9;]*)m", app.output.text) for code in codes.split(";")}
        assert "7" in codes, "reverse video"
        table.set_rows({"a": (Cell("a", "strong"), Cell("Down", "bad")), "b": (Cell("b", "dim"), Cell("Down", "bad"))})
        await settle(pilot)
        looks = {(s.style.color, s.style.bgcolor, s.style.reverse) for s in table.render_line(2) if s.style}
        assert len(looks) == 1, "one bar: reversed, a colour of its own would be a patch behind its text"
        assert len({s.style.color for s in table.render_line(1) if s.style}) > 1


def test_signs_follow_the_terminal() -> None:
    assert glyphs_for({"LANG": "en_US.UTF-8", "TERM": "xterm-256color"}) == Glyphs()
    assert glyphs_for({}) == glyphs_for({"LC_ALL": "C"}) == Glyphs()
    assert glyphs_for({"LC_ALL": "en_US.ISO-8859-1", "LANG": "en_US.UTF-8"}) == ASCII
    assert glyphs_for({"LANG": "C.UTF-8", "TERM": "linux"}) == ASCII
