"""The table: cursor, marks, order, keys and mouse."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from textual.pilot import Pilot

from swarmtui.ui.cells import natural
from swarmtui.ui.rows import Made, RowStore
from swarmtui.ui.table import Cell, Column, Row, Table
from tests.ui.table_app import (
    COLUMNS,
    SMALL,
    TableApp,
    make_row,
    make_rows,
    opened,
    row,
    rows_of,
    screen,
    settle,
)

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
