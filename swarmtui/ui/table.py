"""The table of every pane, drawn line by line (Textual's Line API).

Textual's own DataTable repaints every visible row for one changed cell (26 KB) and stalls the loop for a second at ten
thousand rows. This one keeps what each screen line shows, compares, and repaints only the cells that differ: nothing
changed costs nothing. Measured figures: `python -m tests.ui.table_app`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import monotonic
from types import MappingProxyType
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.worker import Worker

from swarmtui.ui.cells import Cell, Column, Row, Rows, natural
from swarmtui.ui.rows import Change, Filter
from swarmtui.ui.table_keys import BINDINGS
from swarmtui.ui.table_view import TableView

__all__ = ["Cell", "Column", "Row", "Rows", "Table", "natural"]

_SLICE = 250
"""Rows of a long sort or filter between two looks at the clock: under 1 ms."""
_SLICE_SECONDS = 0.004
"""How long a sort or filter computes before others get their turn: each turn is one more to wait for the result."""
_SMALL = 2_000
"""Up to this many rows a sort or filter is done at once: under 8 ms."""


async def _breath(begun: float) -> float:
    """Lets others go on when it is time. Returns when the slice began that is under way (seconds, monotonic)."""
    if monotonic() - begun < _SLICE_SECONDS:
        return begun
    await asyncio.sleep(0)
    return monotonic()


class Table(TableView, can_focus=True, inherit_bindings=False):
    """Rows of cells by id, with a cursor, marks, sorting and filtering.

    The cursor and the marks belong to ids, not to lines: they stay with their object when rows move, and an object that
    is gone loses its mark. Texts are data: never markup, and without control characters.
    """

    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    class Highlighted(Message):
        """The cursor is on another row, or on none (key None)."""

        def __init__(self, table: Table, key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> Table:
            return self.table

    class Selected(Message):
        """Enter or a double click on a row."""

        def __init__(self, table: Table, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> Table:
            return self.table

    class Marked(Message):
        """Other rows are marked than before."""

        def __init__(self, table: Table, marks: frozenset[str]) -> None:
            super().__init__()
            self.table = table
            self.marks = marks

        @property
        def control(self) -> Table:
            return self.table

    def on_mount(self) -> None:
        """Rows may have come before anyone could listen."""
        if self._cursor is not None:
            self._highlighted()

    # ------------------------------------------------------------------ data

    @property
    def rows(self) -> Rows:
        """Every row by id as they are now, also those the filter hides; read only."""
        return MappingProxyType(self._store.rows)

    @property
    def visible_keys(self) -> Sequence[str]:
        """Ids after filter and sort, from top to bottom."""
        return tuple(self._store.visible)

    def set_rows(self, rows: Rows, *, news: bool = True) -> None:
        """Takes a whole new state; only lines that look different are painted again.

        Rows that are the same object as before are skipped fastest, so keep what did not change.

        Args:
            rows: every row by id. New ids keep the mapping's order where the sort has nothing to say.
            news: whether what differs happened a moment ago; not so where nobody looked for a while.
        """
        self._update(lambda: self._store.replace(rows), news=news)

    def apply(self, added: Rows, updated: Rows, removed: Iterable[str]) -> None:
        """Takes keyed changes."""
        self._update(lambda: self._store.apply(added, updated, removed))

    def _update(self, change_rows: Callable[[], Change], *, news: bool = True) -> None:
        first = not self._store.rows
        before = self._store.visible
        change = change_rows()
        if not change:
            return
        if self._flashes is not None and self.is_running and news and not first:
            self._flashes.add(monotonic(), change)
            self._arm_flash()
        if first:
            self._measure_anew()
        self._after(before)
        if change.removed and not self._marks.isdisjoint(change.removed):
            self._set_marks(self._marks.difference(change.removed))

    def _after(self, before: Sequence[str]) -> None:
        """Settles cursor, scroll offset and screen after rows or their order changed from `before`."""
        if self._store.visible is not before:
            was_key, was_at, top = self._cursor, self._cursor_at, self.scroll_offset.y
            in_view = top <= was_at < top + self._page
            self._keep_cursor(before)
            self._size_changed()
            if self._cursor is not None and in_view:
                # The row under the operator's eyes stays on its line; at the top, the top stays.
                moved = self._cursor_at - was_at if was_key is not None and top > 0 else 0
                self._scroll_rows(top + moved)
                self._show_cursor()
            if self._cursor != was_key:
                self._highlighted()
        self.sync_soon()

    def _keep_cursor(self, before: Sequence[str]) -> None:
        """Finds the cursor's row again or, when it is gone, its nearest neighbour that is still there."""
        store = self._store
        key = self._cursor
        if key is not None and not store.shows(key):
            at = self._cursor_at
            after = (other for other in before[at + 1 :] if store.shows(other))
            above = (other for other in reversed(before[:at]) if store.shows(other))
            key = next(after, None) or next(above, None)
        if key is None and store.visible:
            key = store.visible[0]
        self._cursor = key
        self._cursor_at = store.visible.index(key) if key is not None else 0

    # ------------------------------------------------------------------ cursor

    @property
    def cursor_key(self) -> str | None:
        """Id of the row under the cursor; None in an empty table."""
        return self._cursor

    @property
    def cursor_row(self) -> Row | None:
        """The row under the cursor."""
        return self._store.rows.get(self._cursor) if self._cursor is not None else None

    def move_to(self, key: str) -> bool:
        """Puts the cursor on the row with this id. Returns False if it is not visible."""
        if not self._store.shows(key):
            return False
        self._move(self._store.visible.index(key))
        return True

    def _move(self, at: int) -> None:
        visible = self._store.visible
        if not visible:
            return
        self._cursor_at = max(0, min(at, len(visible) - 1))
        before, self._cursor = self._cursor, visible[self._cursor_at]
        self._show_cursor()
        self.sync_soon()
        if self._cursor != before:
            self._highlighted()

    def _highlighted(self) -> None:
        if self.is_running:
            self.post_message(self.Highlighted(self, self._cursor))

    # ------------------------------------------------------------------ marks

    @property
    def marks(self) -> frozenset[str]:
        """Ids of marked rows, also of those the filter hides now."""
        return self._marks

    @property
    def hidden_marks(self) -> frozenset[str]:
        """Marked ids that the filter hides: say so before an action takes them."""
        return frozenset(key for key in self._marks if not self._store.shows(key))

    def toggle_mark(self, key: str | None = None) -> None:
        """Marks or unmarks the row with this id, or the one under the cursor."""
        key = key if key is not None else self._cursor
        if key is not None and key in self._store.rows:
            self._set_marks(self._marks ^ {key})

    def mark_all_visible(self) -> None:
        """Marks every visible row, on top of what is marked."""
        self._set_marks(self._marks | frozenset(self._store.visible))

    def clear_marks(self) -> None:
        """Unmarks every row, also hidden ones."""
        self._set_marks(frozenset())

    def _set_marks(self, marks: frozenset[str]) -> None:
        if marks == self._marks:
            return
        self._marks = marks
        self.sync_soon()
        if self.is_running:
            self.post_message(self.Marked(self, marks))

    # ------------------------------------------------------------------ sort and filter

    @property
    def sort_column(self) -> str | None:
        """Key of the sort column; None for the order of arrival."""
        index = self._store.column
        return None if index is None else self._columns[index].key

    @property
    def sort_reverse(self) -> bool:
        """Whether the order is descending."""
        return self._store.reverse

    def set_sort(self, key: str | None, reverse: bool = False) -> None:
        """Sorts by a column at once; None is the order of arrival.

        Raises:
            ValueError: no column has this key.
        """
        index = None if key is None else self._index_of(key)
        self._cancel("sort")
        self._sort(index, reverse)

    def _sort(self, index: int | None, reverse: bool) -> None:
        if (index, reverse) != (self._store.column, self._store.reverse):
            before = self._store.visible
            self._store.sort(index, reverse)
            self._after(before)

    def _cancel(self, task: str) -> str:
        """Stops the worker that sorts or filters. Returns the name of its group."""
        group = f"{id(self)}.{task}"
        if self.is_running:
            self.workers.cancel_group(self, group)
        return group

    def _index_of(self, key: str) -> int:
        for index, column in enumerate(self._columns):
            if column.key == key:
                return index
        raise ValueError(f"No column {key!r}; there are {', '.join(column.key for column in self._columns)}.")

    def set_filter(self, predicate: Filter | None) -> None:
        """Shows only the rows that the predicate accepts, at once; None shows all. Hidden rows keep their marks."""
        self._cancel("filter")
        before = self._store.visible
        self._store.set_filter(predicate)
        self._after(before)

    def request_sort(self, key: str | None, reverse: bool = False) -> Worker[None] | None:
        """Like `set_sort`, but leaves the loop free where there are many rows.

        Returns:
            The worker that sorts a little later, or None when it is done already.
        """
        index = None if key is None else self._index_of(key)
        if index is None or len(self._store.rows) <= _SMALL:
            self.set_sort(key, reverse)
            return None
        return self.run_worker(partial(self._sort_in_slices, index, reverse), group=self._cancel("sort"))

    async def _sort_in_slices(self, index: int, reverse: bool) -> None:
        rows, begun = list(self._store.rows.values()), monotonic()
        for start in range(0, len(rows), _SLICE):
            for row in rows[start : start + _SLICE]:
                if index < len(row) and row[index].sort is None:
                    natural(row[index].text)  # remembered: the sort itself then finds it
            begun = await _breath(begun)
        self._sort(index, reverse)

    def request_filter(self, predicate: Filter | None) -> Worker[None] | None:
        """Like `set_filter`, but leaves the loop free where there are many rows; a later request replaces this one.

        Returns:
            The worker that filters a little later, or None when it is done already.
        """
        if predicate is None or len(self._store.rows) <= _SMALL:
            self.set_filter(predicate)
            return None
        return self.run_worker(partial(self._filter_in_slices, predicate), group=self._cancel("filter"))

    async def _filter_in_slices(self, predicate: Filter) -> None:
        rows = self._store.rows
        passing: set[str] = set()
        items, begun = list(rows.items()), monotonic()
        for start in range(0, len(items), _SLICE):
            passing.update(key for key, row in items[start : start + _SLICE] if predicate(key, row))
            begun = await _breath(begun)
        before = self._store.visible
        self._store.set_filter(predicate, rows, passing)
        self._after(before)

    # ------------------------------------------------------------------ keys and mouse

    def action_move(self, rows: int) -> None:
        """Moves the cursor down by so many rows."""
        self._move(self._cursor_at + rows)

    def action_page(self, pages: float) -> None:
        """Moves the cursor down by so many pages."""
        self._move(self._cursor_at + round(pages * self._page))

    def action_first(self) -> None:
        """Moves the cursor to the first row."""
        self._move(0)

    def action_last(self) -> None:
        """Moves the cursor to the last row."""
        self._move(len(self._store.visible) - 1)

    def action_sideways(self, direction: int) -> None:
        """Scrolls sideways by a column; to the right also brings in columns that had no room."""
        if not self.wide:
            self.wide = direction > 0 and bool(self._line_layout.hidden)
            return
        x = self.scroll_offset.x
        edges = [span.start - self._frozen for span in self._line_layout.spans[1:]]
        if direction > 0:
            x = next((edge for edge in edges if edge > x), x)
        elif x == 0:
            self.wide = False
        else:
            x = next((edge for edge in reversed(edges) if edge < x), 0)
        self.scroll_to(x=max(0, x), animate=False, force=True)

    def action_wide(self) -> None:
        """Shows all columns, or only those that have room."""
        self.wide = not self.wide

    def action_mark(self) -> None:
        """Marks or unmarks the row under the cursor."""
        self.toggle_mark()

    def action_mark_all(self) -> None:
        """Marks every visible row."""
        self.mark_all_visible()

    def action_unmark(self) -> None:
        """Removes all marks."""
        self.clear_marks()

    def action_sort_next(self, direction: int) -> None:
        """Sorts by the next shown column to the right (1) or left (-1), round and round."""
        shown = self._line_layout.shown
        at = shown.index(self._store.column) if self._store.column in shown else -1 if direction > 0 else 0
        self.request_sort(self._columns[shown[(at + direction) % len(shown)]].key)

    def action_reverse(self) -> None:
        """Turns the order round."""
        self.request_sort(self.sort_column, not self._store.reverse)

    def action_select(self) -> None:
        """Opens the row under the cursor."""
        if self._cursor is not None:
            self.post_message(self.Selected(self, self._cursor))

    def on_click(self, event: events.Click) -> None:
        """Header: sort. Mark column: mark. Row: cursor; twice: open."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        event.stop()
        x, y = offset
        if x >= self._frozen:
            x += self.scroll_offset.x
        if y == 0:
            self._sort_by_click(x)
            return
        at = self.scroll_offset.y + y - 1
        if at >= len(self._store.visible):
            return
        self._move(at)
        if x < 1:
            self.toggle_mark()
        elif event.chain == 2:
            self.action_select()

    def _sort_by_click(self, x: int) -> None:
        for index, span in zip(self._line_layout.shown, self._line_layout.spans, strict=True):
            if span.start <= x <= span.start + span.width:
                again = index == self._store.column
                self.request_sort(self._columns[index].key, again and not self._store.reverse)
