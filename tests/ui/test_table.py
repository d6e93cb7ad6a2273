"""The table: cursor, marks, order, narrow screens, hostile text, and what it costs the terminal."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from textual.pilot import Pilot
from textual.screen import Screen

from swarmtui.ui import lines, theme
from swarmtui.ui.cells import ASCII, GUTTER, Glyphs, fit_columns, fit_text, glyphs_for, natural, natural_widths
from swarmtui.ui.rows import Made, RowStore
from swarmtui.ui.table import Cell, Column, Row, Table
from tests.ui.table_app import COLUMNS, TableApp, bytes_of, make_row, make_rows, settle

SMALL = (Column("name", "NAME"), Column("state", "STATE"))


def row(name: str, state: str = "Ready", sort: Any = None) -> Row:
    return (Cell(name, "", sort), Cell(state))


def rows_of(*names: str) -> dict[str, Row]:
    return {name: row(name) for name in names}


@asynccontextmanager
async def opened(table: Table, size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[TableApp, Pilot[None]]]:
    app = TableApp(table)
    async with app.run_test(headless=False, size=size) as pilot:
        await settle(pilot)
        yield app, pilot


def screen(app: TableApp) -> list[str]:
    """What the terminal shows, line by line."""
    return [app.output.screen.line(y, app.size.width) for y in range(app.size.height)]


# ---------------------------------------------------------------------- cursor


async def test_cursor_stays_on_its_object_when_rows_move() -> None:
    table = Table(SMALL)
    async with opened(table) as (app, pilot):
        table.set_sort("name")
        table.set_rows(rows_of("b", "d", "f"))
        await pilot.press("down")
        assert table.cursor_key == "d"
        table.apply(rows_of("a", "c", "e"), {}, ())
        assert table.cursor_key == "d"
        await pilot.press("r")
        assert (table.visible_keys, table.cursor_key) == (("f", "e", "d", "c", "b", "a"), "d")
        await settle(pilot)
        await pilot.press("down")
        assert table.cursor_key == "c"
        assert [message.key for message in app.seen] == ["b", "d", "c"]


@pytest.mark.parametrize(
    ("removed", "expected"),
    [("c", "d"), ("cd", "e"), ("cde", "b"), ("bcde", "a"), ("abcde", None), ("a", "c")],
)
async def test_cursor_goes_to_the_neighbour_of_a_removed_row(removed: str, expected: str | None) -> None:
    table = Table(SMALL)
    async with opened(table) as (app, pilot):
        table.set_rows(rows_of(*"abcde"))
        table.move_to("c")
        table.apply({}, {}, list(removed))
        await pilot.pause()
        assert table.cursor_key == expected
        assert app.seen[-1].key == (expected or None)
        assert table.cursor_row == (row(expected) if expected else None)


async def test_cursor_goes_to_the_neighbour_of_a_row_that_the_filter_hides() -> None:
    table = Table(SMALL)
    async with opened(table):
        table.set_rows(rows_of(*"abcde"))
        table.move_to("c")
        table.set_filter(lambda key, _: key not in "cd")
        assert table.cursor_key == "e"
        table.set_filter(None)
        assert table.cursor_key == "e"
        assert not table.move_to("nobody")


async def test_row_under_the_eyes_keeps_its_screen_line() -> None:
    table = Table(SMALL)
    names = [f"n{number:03}" for number in range(100)]
    async with opened(table, (40, 10)) as (app, pilot):
        table.set_sort("name")
        table.set_rows(rows_of(*names))
        table.move_to("n050")
        table.action_move(-3)
        await settle(pilot)
        line = next(y for y, text in enumerate(screen(app)) if "n047" in text)
        table.apply(rows_of("n000a", "n001a", "n099a"), {}, ("n020",))
        await settle(pilot)
        assert "n047" in screen(app)[line]
        assert table.cursor_key == "n047"


async def test_keys_move_and_select() -> None:
    table = Table(SMALL)
    names = [f"n{number:02}" for number in range(60)]
    async with opened(table, (40, 12)) as (app, pilot):
        await pilot.press("down", "enter", "space", "r", "greater_than_sign")  # harmless in an empty table
        assert (table.cursor_key, app.seen) == (None, [])
        table.set_rows(rows_of(*names))
        table.set_sort(None)
        page = 11
        for key, expected in [
            ("j", 1), ("down", 2), ("k", 1), ("G", 59), ("g", 0), ("end", 59), ("home", 0),
            ("pagedown", page), ("ctrl+d", page + round(page / 2)), ("ctrl+u", page), ("pageup", 0), ("up", 0),
        ]:  # fmt: skip
            await pilot.press(key)
            assert table.cursor_key == names[expected], key
            assert names[expected] in "".join(screen(app)) or await drawn(pilot, app, names[expected])
        await pilot.press("enter")
        assert isinstance(app.seen[-1], Table.Selected)
        assert app.seen[-1].key == "n00"


async def drawn(pilot: Pilot[None], app: TableApp, text: str) -> bool:
    await settle(pilot)
    return text in "".join(screen(app))


async def test_keys_can_be_remapped() -> None:
    assert all(binding.id and binding.tooltip for binding in Table.BINDINGS if not isinstance(binding, tuple))
    table = Table(SMALL)
    async with opened(table) as (app, pilot):
        app.set_keymap({"table.mark": "x"})
        table.set_rows(rows_of("a"))
        await pilot.press("space")
        assert not table.marks
        await pilot.press("x")
        assert table.marks == {"a"}


# ---------------------------------------------------------------------- marks


async def test_marks_belong_to_objects() -> None:
    table = Table(SMALL)
    async with opened(table) as (app, pilot):
        table.set_rows(rows_of(*"abcd"))
        await pilot.press("space", "down", "space")
        assert table.marks == {"a", "b"}
        await settle(pilot)
        assert [text[0] for text in screen(app)[:4]] == ["●", "●", "●", " "]
        table.set_filter(lambda key, _: key != "a")
        assert (table.marks, table.hidden_marks) == ({"a", "b"}, {"a"})
        table.apply({}, {}, ("a",))
        await pilot.pause()
        assert table.marks == {"b"}
        assert app.seen[-1].marks == {"b"}
        await pilot.press("asterisk")
        assert table.marks == {"b", "c", "d"}
        await pilot.press("backslash")
        await settle(pilot)
        assert not table.marks
        assert {text[0] for text in screen(app)} == {" "}
        table.toggle_mark("nobody")
        assert not table.marks


# ---------------------------------------------------------------------- order


def test_natural_order() -> None:
    texts = ["mgr10", "mgr2", "MGR1", "mgr1b", "mgr02c", "wrk", "", "mgr100000000000000000000", "9", "10", "mgr"]
    expected = ["", "9", "10", "mgr", "MGR1", "mgr1b", "mgr2", "mgr02c", "mgr10", "mgr100000000000000000000", "wrk"]
    assert sorted(texts, key=natural) == expected


def naive_key(value: Any) -> tuple[int, Any]:
    """Natural order without our encoding: alternating text and numbers."""
    if not isinstance(value, str):
        return (0, value)
    parts = re.split("([0-9]+)", value.casefold())
    return (1, [(1, "", int(part)) if part.isdigit() else (0, part, 0) for part in parts])


@given(st.lists(st.text("abA", max_size=2) | st.from_regex(r"[ab]{1,2}[0-9]{1,12}[ab]?[0-9]{0,3}", fullmatch=True)))
def test_natural_order_is_that_of_a_naive_model(texts: list[str]) -> None:
    assert sorted(texts, key=natural) == sorted(texts, key=naive_key)


async def test_numbers_come_before_words_and_ties_keep_their_order() -> None:
    table = Table(SMALL)
    async with opened(table):
        table.set_rows({"a": row("a", "10"), "b": row("b", "unknown"), "c": row("c", "9"), "d": (Cell("d"),)})
        table.set_sort("state")
        assert table.visible_keys == ("d", "c", "a", "b")
        table.set_rows(
            {key: (Cell(key), Cell(key, "", sort)) for key, sort in zip("abcd", (3, "?", 1, 3), strict=True)}
        )
        assert table.visible_keys == ("c", "a", "d", "b")
        table.set_sort("state", True)
        assert table.visible_keys == ("b", "a", "d", "c")
        table.apply({"e": (Cell("e"), Cell("e", "", 3))}, {}, ())
        assert table.visible_keys == ("b", "a", "d", "e", "c")
        with pytest.raises(ValueError, match="No column 'size'; there are name, state"):
            table.set_sort("size")


class StoreMachine(RuleBasedStateMachine):
    """The store against a naive model that sorts and filters everything each time."""

    def __init__(self) -> None:
        super().__init__()
        self.store = RowStore()
        self.rows: dict[str, Row] = {}
        self.made = Made(None, {})
        self.column: int | None = None
        self.reverse = False
        self.predicate: Callable[[str, Row], bool] | None = None

    keys = st.sampled_from("abcdefghij")
    cell = st.builds(
        Cell,
        st.sampled_from(["", "x", "x2", "x10", "Y1"]),
        st.just(""),
        st.none() | st.sampled_from([0, 1, 2.5, 10]) | st.sampled_from(["k", "l"]),
    )
    row = st.tuples(cell, cell) | st.tuples(cell)
    some = st.dictionaries(keys, row, max_size=10)

    @rule(new=some)
    def replace(self, new: dict[str, Row]) -> None:
        change = self.store.replace(new)
        old, expected = self.rows, new
        assert set(change.added) == expected.keys() - old.keys()
        assert set(change.removed) == old.keys() - expected.keys()
        assert change.updated == {key: old[key] for key in old.keys() & expected.keys() if old[key] != expected[key]}
        kept = {key: expected[key] for key in old if key in expected}
        self.rows = {**kept, **expected}

    @rule(new=some)
    def replace_by_what_a_maker_made(self, new: dict[str, Row]) -> None:
        changed = {key: row for key, row in new.items() if self.made.get(key) != row}
        self.made = Made(self.made, changed, self.made.keys() - new.keys())
        assert self.made == new
        self.replace(self.made)

    @rule(added=some, updated=some, removed=st.lists(keys, max_size=3))
    def apply(self, added: dict[str, Row], updated: dict[str, Row], removed: list[str]) -> None:
        self.store.apply(added, updated, removed)
        gone = set(removed) & self.rows.keys()
        self.rows = {key: row for key, row in {**self.rows, **added, **updated}.items() if key not in gone}

    @rule(column=st.sampled_from([None, 0, 1]), reverse=st.booleans())
    def sort(self, column: int | None, reverse: bool) -> None:
        self.store.sort(column, reverse)
        self.column, self.reverse = column, reverse

    @rule(letters=st.none() | st.sets(keys), text=st.sampled_from(["", "x", "1"]))
    def set_filter(self, letters: set[str] | None, text: str) -> None:
        self.predicate = None if letters is None else (lambda key, row: key in letters and text in row[0].text)
        self.store.set_filter(self.predicate)

    @invariant()
    def agrees(self) -> None:
        def by(key: str) -> Any:
            assert self.column is not None
            cells = self.rows[key]
            cell = cells[self.column] if self.column < len(cells) else Cell("")
            return naive_key(cell.text if cell.sort is None else cell.sort)

        if self.column is None:
            expected = list(self.rows)[:: -1 if self.reverse else 1]
        else:
            expected = sorted(self.rows, key=by, reverse=self.reverse)
        shown = [key for key in expected if self.predicate is None or self.predicate(key, self.rows[key])]
        assert self.store.visible == shown
        assert self.store.rows == self.rows
        assert {key for key in "abcdefghij" if self.store.shows(key)} == set(shown)


def test_rows_that_know_what_changed_are_not_compared_by_a_table_that_shows_those_before() -> None:
    first = Made(None, rows_of(*"abc"))
    then = Made(first, rows_of("d"), {"a"})
    assert then.follows(first) and not first.follows(then) and not then.follows(dict(first))
    store = RowStore()
    store.replace(first)
    change = store.replace(then)
    assert (store.rows is then, change.added, change.removed) == (True, ["d"], {"a"})
    assert not store.replace(then)
    store.apply(rows_of("e"), {}, ())
    assert (list(then), list(store.rows)) == (["b", "c", "d"], ["b", "c", "d", "e"]), "a maker's rows stay as they are"
    assert set(store.replace(Made(then, rows_of("f"))).removed) == {"e"}, "these do not follow what is shown"


StoreMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=20, deadline=None)
TestStore = StoreMachine.TestCase


async def test_big_tables_sort_and_filter_in_slices() -> None:
    table = Table(COLUMNS)
    rows = make_rows(5_000)
    async with opened(table) as (_, pilot):
        table.set_rows(rows)
        worker = table.request_sort("address")
        assert worker is not None
        await worker.wait()
        assert table.visible_keys == tuple(sorted(rows, key=lambda key: naive_key(rows[key][7].text)))
        late = table.request_sort("address", True)
        assert late is not None
        table.set_sort("tasks")
        await settle(pilot)
        assert (table.sort_column, late.is_cancelled) == ("tasks", True), "the last word counts"
        asked: list[str] = []

        def in_zone_a(key: str, row: Row) -> bool:
            asked.append(key)
            if len(asked) == 1_200:  # rows change while the filter is under way
                there = [asked_key for asked_key in asked[:500] if table.rows[asked_key][5].text == "zone-a"]
                table.apply({}, {key: make_row(int(key[2:]), zone="zone-b") for key in there[:3]}, there[3:6])
            return row[5].text == "zone-a"

        first = table.request_filter(lambda _, row: False)
        second = table.request_filter(in_zone_a)
        assert first is not None
        assert second is not None
        await second.wait()
        await pilot.pause()
        assert first.is_cancelled
        assert len(asked) > 1_200
        assert set(table.visible_keys) == {key for key, row in table.rows.items() if row[5].text == "zone-a"}
        assert table.request_filter(None) is None


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


async def test_mouse() -> None:
    table = Table(SMALL)
    async with opened(table, (40, 12)) as (app, pilot):
        table.set_rows(rows_of(*(f"n{number:02}" for number in range(40))))
        await settle(pilot)
        await pilot.click(table, offset=(5, 3))
        assert table.cursor_key == "n02"
        await pilot.click(table, offset=(0, 2))
        assert (table.cursor_key, table.marks) == ("n01", {"n01"})
        await pilot.click(table, offset=(4, 0))
        await pilot.click(table, offset=(4, 0))
        assert (table.sort_column, table.sort_reverse, table.visible_keys[0]) == ("name", True, "n39")
        await settle(pilot)
        table.action_first()
        table.post_message(scroll_down(table))
        await settle(pilot)
        assert table.scroll_offset.y > 0
        assert table.cursor_key == "n39", "the wheel does not move the cursor"
        await pilot.click(table, offset=(5, 1), times=2)
        assert isinstance(app.seen[-1], Table.Selected)
        assert app.seen[-1].key == table.cursor_key != "n39"


def scroll_down(table: Table) -> Any:
    from textual.events import MouseScrollDown

    return MouseScrollDown(table, 5, 5, 0, 0, 0, False, False, False)


def test_columns_must_differ() -> None:
    with pytest.raises(ValueError, match="different keys"):
        Table((Column("a", "A"), Column("a", "B")))
    with pytest.raises(ValueError, match="different keys"):
        Table(())


async def test_rows_may_come_before_the_screen() -> None:
    table = Table(SMALL, empty="Could not ask mgr1: connection refused. Check that sshd runs there.")
    table.set_sort("name")
    table.set_rows(rows_of("b", "a"))
    table.toggle_mark("a")
    assert table.cursor_key == "a"
    async with opened(table, (40, 6)) as (app, pilot):
        assert [message.key for message in app.seen] == ["a"]
        assert [text[:3] for text in screen(app)[:3]] == ["● N", "● a", "  b"]
        table.set_rows({})
        await settle(pilot)
        assert "".join(text.strip() + " " for text in screen(app)[2:5]).split() == table.empty.split()
