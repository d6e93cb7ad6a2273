"""The table's columns in any width, and its text, which is data."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from swarmtui.ui import lines
from swarmtui.ui.cells import GUTTER, fit_columns, fit_text, natural_widths
from swarmtui.ui.table import Cell, Column, Table
from tests.ui.table_app import (
    COLUMNS,
    SMALL,
    TableApp,
    make_row,
    make_rows,
    opened,
    row,
    screen,
    settle,
)

# ---------------------------------------------------------------------- columns


column_lists = st.lists(
    st.builds(
        lambda number, **rest: Column(f"c{number}", "T" * rest.pop("title"), **rest),
        st.integers(),
        title=st.integers(1, 12),
        min_width=st.integers(1, 8),
        max_width=st.integers(8, 40),
        flex=st.integers(0, 2),
        wide=st.booleans(),
        priority=st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
)


@given(column_lists, st.integers(4, 200), st.booleans(), st.lists(st.integers(0, 60), max_size=8))
def test_columns_share_any_line(columns: list[Column], width: int, wide: bool, lengths: list[int]) -> None:
    wanted = natural_widths(columns, [tuple(Cell("x" * length) for length in lengths)])
    layout = fit_columns(columns, wanted, width, wide)
    assert sorted((*layout.shown, *layout.hidden)) == list(range(len(columns)))
    assert layout.shown[0] == 0, "the identity of a row is always there"
    assert list(layout.shown) == sorted(layout.shown)
    ends = [GUTTER, *(span.start + span.width for span in layout.spans)]
    assert all(span.start >= end for span, end in zip(layout.spans, ends, strict=False))
    assert layout.total == max(width, ends[-1])
    if wide:
        assert not layout.hidden
        return
    assert ends[-1] <= width
    for index in layout.hidden:
        for other in layout.shown[1:]:
            if columns[index].wide == columns[other].wide:
                assert (columns[index].priority, -index) <= (columns[other].priority, -other) or columns[index].wide
            else:
                assert columns[index].wide, "a wide column is never shown instead of a normal one"
    for index, span in zip(layout.shown[1:], layout.spans[1:], strict=True):
        if not columns[index].flex:
            assert span.width == wanted[index], "a column without flex is whole or not there"
    if any(columns[index].flex for index in layout.shown):
        assert ends[-1] == width


async def test_dropped_columns_are_announced_and_can_be_reached() -> None:
    table = Table(COLUMNS)
    async with opened(table, (50, 8)) as (app, pilot):
        table.set_rows({"id1": make_row(1)})
        await settle(pilot)
        hidden = [column.key for column in table.hidden_columns]
        assert hidden == ["tasks", "zone", "engine", "address", "labels"]
        assert screen(app)[0].endswith(" +5›")
        assert "LABELS" not in screen(app)[0]
        seen = ""
        for _ in range(12):
            await pilot.press("right")
            await settle(pilot)
            assert screen(app)[1].startswith("  node-1.example"), "the name stays in place"
            seen += screen(app)[0] + screen(app)[1]
        assert table.hidden_columns == ()
        for column in COLUMNS:
            assert column.title in seen
        assert "disk=ssd rack=1" in seen
        assert screen(app)[0].endswith("‹ ")
        for _ in range(12):
            await pilot.press("left")
        await settle(pilot)
        assert [column.key for column in table.hidden_columns] == hidden
        assert screen(app)[0].endswith(" +5›")


async def test_a_scroll_bar_takes_its_column_from_the_line() -> None:
    table = Table(
        (Column("name", "NAME"), Column("hidden", "HIDDEN", wide=True), Column("end", "END", flex=1, align="right"))
    )
    async with opened(table, (20, 8)) as (app, pilot):

        def fill(count: int) -> None:
            table.set_rows({str(number): (Cell(f"n{number}"), Cell("x" * 20), Cell("last")) for number in range(count)})

        fill(3)
        await settle(pilot)
        assert screen(app)[0].endswith("END +1›")
        assert screen(app)[1].endswith("last    ")
        fill(30)
        await settle(pilot)
        assert [text[14:19] for text in screen(app)[:3]] == ["D +1›", "t    ", "t    "]
        assert [table.render_line(y).cell_length for y in range(8)] == [19] * 8
        fill(3)
        await settle(pilot)
        assert screen(app)[0].endswith("END +1›")
        assert screen(app)[1].endswith("last    ")


async def test_names_are_not_cut_for_what_says_that_there_are_more_columns() -> None:
    columns = (Column("name", "NAME", flex=1), *(Column(key, key.upper(), priority=9) for key in ("one", "two", "six")))
    table = Table((*columns, Column("wide", "WIDE", wide=True)))
    async with opened(table, (29, 8)) as (app, pilot):
        table.set_rows({"a": tuple(Cell(text) for text in ("same-as-prod", "1", "2", "6", "x" * 20))})
        await settle(pilot)
        # All but the wide one would just fit on 29 cells, with no room beside their headings.
        assert [column.key for column in table.hidden_columns] == ["six", "wide"]
        assert screen(app)[0].startswith("  NAME") and screen(app)[0].endswith("TWO  +2›")
        assert screen(app)[1].startswith("  same-as-prod ")
        await pilot.resize_terminal(33, 8)
        await settle(pilot)
        assert [column.key for column in table.hidden_columns] == ["wide"]
        assert screen(app)[0].endswith("SIX  +1›") and screen(app)[1].startswith("  same-as-prod ")


async def test_what_says_that_there_are_more_columns_covers_no_heading() -> None:
    right = replace(COLUMNS[4], key="age", title="CHANGED", priority=10)
    table = Table((*COLUMNS[:6], right, *COLUMNS[6:8]))
    rows = {key: (*row[:6], Cell("3 d"), *row[6:8]) for key, row in make_rows(5).items()}
    seen = set()
    async with opened(table, (24, 8)) as (_, pilot):
        table.set_rows(rows)
        for key in ("name", "age"):
            table.set_sort(key)
            for width in range(24, 126):
                await pilot.resize_terminal(width, 8)
                await pilot.pause()
                head = table.render_line(0).text
                shown = [column.title for column in table.columns if column not in table.hidden_columns]
                assert head.replace("▲", " ").split()[: len(shown)] == shown, (width, head)
                assert head.endswith(f" +{len(table.hidden_columns)}›") == bool(table.hidden_columns), (width, head)
                assert len(head) == width
                seen.add(len(shown))
    assert seen == set(range(1, 10))


async def test_a_cell_that_is_scrolled_into_view_is_repainted() -> None:
    table = Table(COLUMNS)
    async with opened(table, (50, 8)) as (app, pilot):
        table.set_rows(make_rows(3))
        table.wide = True
        table.scroll_to(x=1_000, animate=False, force=True)
        await settle(pilot)
        assert "rack=1" in "".join(screen(app))
        table.apply({}, {"id1": make_row(1, labels="disk=hdd rack=9", status="Down")}, ())
        await settle(pilot)
        assert "disk=hdd rack=9" in "".join(screen(app))
        assert "Down" not in "".join(screen(app))


async def test_resize_and_wide_mode() -> None:
    table = Table(COLUMNS)
    async with opened(table, (200, 20)) as (app, pilot):
        table.set_rows(make_rows(100))
        table.action_last()
        await settle(pilot)
        assert table.hidden_columns == ()
        await pilot.resize_terminal(60, 10)
        await settle(pilot)
        assert table.hidden_columns
        assert str(table.cursor_row[0].text if table.cursor_row else "") in "".join(screen(app))
        await pilot.press("w")
        await settle(pilot)
        assert table.hidden_columns == ()
        assert screen(app)[0].rstrip("█▁▂▃▄▅▆▇ ").endswith("›")


# ---------------------------------------------------------------------- text is data

HOSTILE = {
    "title": "\x1b]0;owned\x07",
    "clear": "\x1b[2J\x1b[H",
    "c1": "\x9b2J\x90q",
    "markup": "[red]x[/red] [/v] [@click=app.bell]y[/]",
    "bidi": "abc\u202etxt.exe",
    "lines": "one\ntwo\tthree\rfour",
    "wide": "日本語のノード名" * 4,
    "zero": "e\u0301\u200b\u200dz",
    "surrogate": "\ud800",
    "long": "9" * 2_000_000,
}


async def paint_hostile(app: TableApp, pilot: Pilot[None]) -> list[str]:
    app.table.set_rows({key: row(text, text) for key, text in HOSTILE.items()})
    app.table.apply({}, {key: row(text, text + "!") for key, text in HOSTILE.items()}, ())
    await settle(pilot)
    return screen(app)


async def test_hostile_text_is_shown_harmless() -> None:
    table = Table(SMALL, empty="\x1b[2J[/v]")
    async with opened(table) as (app, pilot):
        shown = await paint_hostile(app, pilot)
        assert app.output.screen.strange == []
        assert "[red]x[/red] [/v] [@click=app.bell]y[/]" in "\n".join(shown)
        assert "one two three�four" in "\n".join(shown)
        assert not re.search("[\u200b-\u200f\u202a-\u202e\ud800-\udfff]", app.output.text)
        assert {table.render_line(y).cell_length for y in range(24)} == {80}
        table.set_sort("name")
        table.set_filter(lambda *_: False)
        await settle(pilot)
        assert "None of 10 rows" in screen(app)[2]
        table.set_filter(None)
        table.set_rows({})
        await settle(pilot)
        assert app.output.screen.strange == []
        assert "[2J[/v]" in screen(app)[2]


async def test_the_check_for_hostile_text_catches_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "plain", lambda text: text.replace("\ud800", ""))
    async with opened(Table(SMALL)) as (app, pilot):
        await paint_hostile(app, pilot)
        assert "\x1b]0;owned\x07" in app.output.screen.strange
        assert "\x1b[2J" in app.output.screen.strange
        assert "\x9b" in app.output.screen.strange


@given(st.text(max_size=30), st.integers(1, 20), st.sampled_from(["left", "right"]), st.sampled_from(["end", "front"]))
def test_fitted_text_fills_its_cells(text: str, width: int, align: Any, cut: Any) -> None:
    from rich.cells import cell_len

    from swarmtui.ui.cells import plain

    assert cell_len(fit_text(plain(text), width, align, cut=cut)) == width


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("registry.example/shop/web:1.5.0", 14, "…hop/web:1.5.0"),
        ("web:1.5.0", 14, "web:1.5.0     "),
        ("例え/日本:1", 8, "…/日本:1"),
        ("例え/日本:1", 6, "…本:1 "),
        ("web:1.5.0", 1, "w"),
    ],
)
def test_text_is_cut_where_it_tells_least(text: str, width: int, shown: str) -> None:
    assert fit_text(text, width, cut="front") == shown
