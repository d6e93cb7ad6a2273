"""What a table looks like: its header, its rows, how columns share the line, signs of change.

The widget people use is `swarmtui.ui.table.Table`; this half only draws, and never changes rows, cursor or marks.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from time import monotonic
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.geometry import Size
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget

from swarmtui.ui.cells import (
    GUTTER,
    Column,
    Glyphs,
    Layout,
    Row,
    Span,
    fit_columns,
    glyphs_for,
    natural_widths,
    plain,
)
from swarmtui.ui.flash import Flashes
from swarmtui.ui.lines import Line, LineView
from swarmtui.ui.rows import RowStore

_NAME = 12
"""Cells of a name that are not given away for what says that there are more columns."""
_SAMPLE = 200
"""How many rows are measured for the column widths, besides those on the screen."""


class TableView(LineView):
    """Draws the visible rows of a store; see `Table` for what can be done with them."""

    ALLOW_SELECT = False
    STYLE_PREFIX: ClassVar[str] = "table--"
    MUTED: ClassVar[frozenset[str]] = frozenset({"dim", "stale"})
    FLASH_SECONDS: ClassVar[float] = 3.0
    STYLES: ClassVar[frozenset[str]] = frozenset(
        {"good", "warn", "bad", "dim", "accent", "strong", "added", "updated", "mark"}
    )
    """Names a cell may give as its style; each is the component class `table--NAME`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"table--{name}" for name in STYLES} | {
        "table--header",
        "table--cursor",
        "table--stale",
        "table--empty",
    }

    DEFAULT_CSS = """
    TableView {
        background: $surface;
        color: $foreground;
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        & > .table--header { background: $panel; color: $foreground; text-style: bold; }
        & > .table--cursor { background: $primary 15%; }
        &:focus > .table--cursor { background: $primary 35%; text-style: bold; }
        &:nocolor:focus > .table--cursor { text-style: bold reverse; }
        & > .table--stale { color: $foreground 55%; }
        & > .table--empty { color: $foreground 60%; }
        & > .table--good { color: $text-success; }
        & > .table--warn { color: $text-warning; }
        & > .table--bad { color: $text-error; text-style: bold; }
        & > .table--dim { color: $foreground 60%; }
        & > .table--accent { color: $text-accent; }
        & > .table--strong { text-style: bold; }
        & > .table--mark { color: $text-accent; text-style: bold; }
        & > .table--added { color: $text-success; }
        & > .table--updated { color: $text-primary; text-style: bold; }
    }
    """

    dim: reactive[bool] = reactive(False, init=False, repaint=False)
    """Stale data: every colour gives way to one dim tone. Say the age in words elsewhere."""
    wide: reactive[bool] = reactive(False, init=False, repaint=False)
    """All columns; the line scrolls sideways where the screen is too narrow."""
    empty: reactive[str] = reactive("", init=False, repaint=False)
    """What is said when there is no row: an empty table must never stand for "could not ask"."""

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        id: str | None = None,
        classes: str | None = None,
        empty: str = "Nothing here",
        flash: bool = True,
        glyphs: Glyphs | None = None,
    ) -> None:
        """Makes an empty table.

        Args:
            columns: at least one, with different keys.
            id: the widget's id.
            classes: the widget's classes.
            empty: what is said when there is no row.
            flash: sign and colour new rows and changed cells for `FLASH_SECONDS`.
            glyphs: the signs to draw with; chosen by the terminal if None.

        Raises:
            ValueError: there is no column, or two have the same key.
        """
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        keys = [column.key for column in columns]
        if not keys or len(set(keys)) < len(keys):
            raise ValueError(f"A table needs columns with different keys, not {keys}.")
        self._quiet = frozenset(index for index, column in enumerate(self._columns) if column.quiet)
        self._store = RowStore()
        self._cursor: str | None = None
        self._cursor_at = 0
        self._marks: frozenset[str] = frozenset()
        self._glyphs = glyphs or glyphs_for(os.environ)
        self.ELLIPSIS = self._glyphs.ellipsis
        self._flashes = Flashes(self.FLASH_SECONDS) if flash else None
        self._flash_timer: Timer | None = None
        self._wanted: list[int] = natural_widths(self._columns, ())
        self._measured: dict[int, Row] = {}
        self._line_layout = Layout((), (), (), 0)
        self._spans: tuple[Span, ...] = ()
        self._frozen = 0
        self._page_before = 0
        self._shared = 0  # the width that the columns share
        self.set_reactive(TableView.empty, empty)

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, also those without room."""
        return self._columns

    @property
    def hidden_columns(self) -> tuple[Column, ...]:
        """Columns that have no room on the line now; the header says how many."""
        return tuple(self._columns[index] for index in self._line_layout.hidden)

    @property
    def _page(self) -> int:
        """Rows that fit under the header."""
        return max(1, self.scrollable_size.height - 1)

    def _show_cursor(self) -> None:
        top = self.scroll_offset.y
        if self._cursor_at < top:
            self._scroll_rows(self._cursor_at)
        elif self._cursor_at >= top + self._page:
            self._scroll_rows(self._cursor_at - self._page + 1)

    def _scroll_rows(self, top: int) -> None:
        if self.scrollable_size and top != self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, force=True)

    def lines_at(self, lines: range) -> Iterable[Line]:
        """What these screen lines show: the header, rows, or what is said instead of rows."""
        visible, rows, layout = self._store.visible, self._store.rows, self._line_layout
        (left, top), dim, width = self.scroll_offset, self.dim, self.scrollable_size.width
        for y in lines:
            at = top + y - 1
            if y == 0:
                yield self._header(width, left)
            elif at < len(visible):
                key = visible[at]
                parts = self._parts(key, rows[key], layout)
                if dim:
                    parts = tuple((text, "stale") for text, _ in parts)
                base = "table--cursor" if key == self._cursor else ""
                yield Line(width, base, parts, self._spans, self._frozen, left)
            else:
                yield Line(width) if visible else self._message_line(y, width)

    def _parts(self, key: str, row: Row, layout: Layout) -> tuple[tuple[str, str], ...]:
        """Mark, sign of change, and cells of a row."""
        count = len(row)
        cells = [(row[index].text, row[index].style) if index < count else ("", "") for index in layout.shown]
        sign = ("", "")
        news = self._flashes.of(key, row) if self._flashes else None
        if news is not None:
            is_new, changed = news
            changed -= self._quiet
            if is_new or changed:
                sign = (self._glyphs.added, "added") if is_new else (self._glyphs.updated, "updated")
            for position, index in enumerate(layout.shown):
                if is_new or index in changed:  # the cell's own meaning goes over the news
                    text, style = cells[position]
                    cells[position] = (text, f"{sign[1]} {style}")
        mark = (self._glyphs.mark, "mark") if key in self._marks else ("", "")
        return (mark, sign, *cells)

    def _header(self, width: int, offset: int) -> Line:
        layout, glyphs = self._line_layout, self._glyphs
        arrow = glyphs.descending if self._store.reverse else glyphs.ascending
        titles = []
        for index in layout.shown:
            title = self._columns[index].title
            titles.append((f"{title}{arrow}" if index == self._store.column else title, ""))
        spans, tail = self._spans, ""
        if layout.hidden:
            tail = self._more(len(layout.hidden))
        elif layout.total > width:
            left = glyphs.more_left if offset else " "
            tail = f" {left}{glyphs.more_right if offset < layout.total - width else ' '}"
        if tail:
            edge = width + offset - len(tail)
            spans = tuple(
                span._replace(width=edge - span.start) if span.start < edge < span.start + span.width else span
                for span in spans
            )
        mark = (glyphs.mark if self._marks else "", "mark")
        return Line(width, "table--header", (mark, ("", ""), *titles), spans, self._frozen, offset, tail)

    def _message_line(self, y: int, width: int) -> Line:
        """Line y of what is said instead of rows."""
        message = self.empty
        if self._store.rows:
            message = f"None of {len(self._store.rows)} rows match the filter."
        room = max(8, width - 2 * GUTTER)
        lines = textwrap.wrap(plain(message), room)
        if not 2 <= y < 2 + len(lines):
            return Line(width)
        return Line(width, "", ((lines[y - 2], "empty"),), (Span(GUTTER, room),))

    def _measure(self, rows: Sequence[Row]) -> bool:
        """Widens columns for these rows; never narrows one, so that columns do not jump. Returns whether any grew."""
        wanted = natural_widths(self._columns, rows, self._wanted)
        grew, self._wanted = wanted != self._wanted, wanted
        return grew

    def _measure_anew(self) -> None:
        """Gives the columns the widths for a sample of the rows there are now."""
        rows = list(self._store.rows.values())
        self._wanted = natural_widths(self._columns, rows[:: max(1, len(rows) // _SAMPLE)])
        self._measured = {}
        self._share_line()

    def _share_line(self) -> None:
        """Shares the line among the columns anew."""
        width = self.scrollable_size.width
        if not width:
            return
        self._shared = width
        layout = fit_columns(self._columns, self._wanted, width, self.wide)
        if layout.hidden and not self.wide:
            layout = self._with_room(layout, width)
        if layout != self._line_layout:
            self._line_layout = layout
            self._spans = (Span(0, 1), Span(1, 1), *layout.spans)
            first = layout.spans[0]
            self._frozen = first.start + first.width + 1 if self.wide else 0
            self._size_changed()

    def sync(self) -> None:
        """Repaints what looks different from what was last drawn."""
        if self.scrollable_size.width != self._shared:  # a scroll bar came or went
            self._share_line()
        if self._shared and self._store.visible:
            top = self.scroll_offset.y
            rows = [self._store.rows[key] for key in self._store.visible[top : top + self._page]]
            if self._measure([row for row in rows if id(row) not in self._measured]):
                self._share_line()
            self._measured = {id(row): row for row in rows}
        super().sync()

    def _with_room(self, layout: Layout, width: int) -> Layout:
        """A layout in which what says that there are more columns has room of its own: it covers no heading.

        Room comes from flexible columns, but of the names of the rows `_NAME` cells stay: rather one more column gives
        way.
        """
        name, columns = layout.spans[0].width, self._columns
        while True:
            room = len(self._more(len(layout.hidden)))
            over = self._title_end(layout) - (width - room)
            if over <= 0:
                return layout
            narrower = fit_columns(columns, self._wanted, max(1, width - over))
            if self._title_end(narrower) > width - len(self._more(len(narrower.hidden))):
                narrower = fit_columns(columns, self._wanted, max(1, width - len(self._more(len(columns)))))
            narrower = replace(narrower, total=width)
            if narrower.spans[0].width >= min(name, self._wanted[0], _NAME) or len(narrower.shown) == 1:
                return narrower
            least = min(layout.shown[1:], key=lambda index: (columns[index].priority, -index))
            columns = tuple(replace(c, wide=True, priority=-1) if i == least else c for i, c in enumerate(columns))
            layout = fit_columns(columns, self._wanted, width)
            if least in layout.shown:
                return narrower

    def _more(self, hidden: int) -> str:
        """What the header says at its right edge of so many columns that have no room."""
        return f" +{hidden}{self._glyphs.more_right}"

    def _title_end(self, layout: Layout) -> int:
        """The cell behind the last heading, with its sort arrow."""
        span, column = layout.spans[-1], self._columns[layout.shown[-1]]
        size = span.width if span.align == "right" else min(span.width, cell_len(column.title) + 1)
        return span.start + size

    def _size_changed(self) -> None:
        """Tells the scroll view how much there is. Without a layout of the screen: it repaints all."""
        total = self._line_layout.total
        size = Size(total if self.wide else min(total, self.scrollable_size.width), len(self._store.visible) + 1)
        if size == self.virtual_size:
            return
        if self.styles.auto_dimensions or not self.scrollable_size:
            self.virtual_size = size
        else:
            self.set_reactive(Widget.virtual_size, size)
            self._scroll_update(size)
            if self.show_vertical_scrollbar:  # it is not told of a scroll that happened while it was hidden
                self.vertical_scrollbar.position = self.scroll_y

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Rows that come into view may need wider columns."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.sync_soon()

    def watch_show_vertical_scrollbar(self) -> None:
        """The line is longer or shorter than before."""
        self.sync_soon()

    def watch_dim(self) -> None:
        """Every line gets other colours."""
        self.sync_soon()

    def watch_empty(self) -> None:
        """The message may be on the screen."""
        self.sync_soon()

    def watch_wide(self, wide: bool) -> None:
        """All columns, or those that have room."""
        self._share_line()
        if not wide and self.is_mounted:
            self.scroll_to(x=0, animate=False, force=True)
        self.sync_soon()

    def _on_resize(self, event: events.Resize) -> None:
        top, page = self.scroll_offset.y, self._page_before
        self._page_before = self._page
        self._measure_anew()
        self._size_changed()
        if self._cursor is not None and top <= self._cursor_at < top + page:
            self._show_cursor()
        self.sync_soon()

    def _arm_flash(self) -> None:
        """Sees to it that the signs of change go away in time; no timer runs when there is none to remove."""
        if self._flashes is None or self._flash_timer is not None or not self.is_running:
            return
        left = self._flashes.forget(monotonic())
        if left is not None:
            self._flash_timer = self.set_timer(max(left, 0.01), self._flash_over)

    def _flash_over(self) -> None:
        self._flash_timer = None
        self._arm_flash()
        self.sync_soon()
