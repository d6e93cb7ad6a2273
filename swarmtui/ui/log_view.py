"""Draws the part of a log that is on the screen. What it costs does not depend on how many lines are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import ClassVar

from rich.cells import cell_len, get_character_cell_size
from textual import events

from swarmtui.link.log_frames import STDERR, SYSTEM, LogLine, Origin
from swarmtui.ui.cells import Span
from swarmtui.ui.lines import Line, LineView
from swarmtui.ui.log_buffer import LogBuffer
from swarmtui.ui.patience import Searcher

LABEL_MAX = 24
TIME_WIDTH = len("11-21 12:59:30.123")
SIDE_STEP = 16
_MATCHES_MAX = 200
_CHARS_A_CELL = 4
"""Characters without a width, such as accents, may pile up: a row takes no more of them than this a cell."""


@lru_cache(maxsize=256)
def rows_of(text: str, width: int) -> tuple[tuple[int, int], ...]:
    """Breaks a text into rows of so many cells; returns where each begins and ends. At least one row."""
    if text.isascii():
        return tuple((at, min(at + width, len(text))) for at in range(0, len(text) or 1, width))
    rows, begin, used = [], 0, 0
    for at, character in enumerate(text):
        size = get_character_cell_size(character)
        if at > begin and (used + size > width or at - begin >= width * _CHARS_A_CELL):
            rows.append((begin, at))
            begin, used = at, 0
        used += size
    rows.append((begin, len(text)))
    return tuple(rows)


@lru_cache(maxsize=256)
def slice_of(text: str, left: int, width: int) -> tuple[int, int]:
    """Which characters lie in these cells of a text that is not broken."""
    if text.isascii():
        return min(left, len(text)), min(left + width, len(text))
    begin, at, used = len(text), 0, 0
    for at, character in enumerate(text):
        if used >= left and begin > at:
            begin = at
        size = get_character_cell_size(character)
        if begin <= at and (used + size > left + width or at - begin >= width * _CHARS_A_CELL):
            return begin, at
        used += size
    return begin, len(text)


@lru_cache(maxsize=512)
def matches_of(pattern: Searcher, text: str) -> tuple[tuple[int, int], ...]:
    """Where a pattern matches, up to a bound; matches of nothing do not count."""
    found: list[tuple[int, int]] = []
    for match in pattern.finditer(text):
        if match.end() > match.start():
            found.append(match.span())
            if len(found) == _MATCHES_MAX:
                break
    return tuple(found)


class LogView(LineView, can_focus=False):
    """Shows the lines of a buffer from a place on, or the newest ones; the last row of the screen is the status.

    It paints when it is told (`changed`), not when the buffer, or something of its own, is another.

    Args:
        buffer: what is kept.
        label: a short name for who wrote a line; "" shows none.
    """

    ALLOW_SELECT = False
    STYLE_PREFIX: ClassVar[str] = "log--"
    MUTED: ClassVar[frozenset[str]] = frozenset({"time"})
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--time",
        "log--label",
        "log--stderr",
        "log--note",
        "log--match",
        "log--current",
        "log--status",
    }
    DEFAULT_CSS = """
    LogView {
        background: $surface;
        color: $foreground;
        height: 1fr;
        overflow: hidden hidden;
        & > .log--time { color: $foreground 60%; }
        & > .log--label { color: $text-accent; }
        & > .log--stderr { color: $text-error; text-style: bold; }
        & > .log--note { color: $text-warning; text-style: bold; }
        & > .log--match { text-style: bold reverse; }
        & > .log--current { background: $primary 35%; }
        & > .log--status { background: $panel; color: $foreground; }
    }
    """

    def __init__(self, buffer: LogBuffer, label: Callable[[Origin], str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.buffer = buffer
        self.follow = True
        self.wrap = True
        self.times = True
        self.pattern: Searcher | None = None
        self.current = -1
        self.status = ""
        self._label = label
        self._label_width = 0
        self._top = (0, 0)  # number of the first line on the screen, and how many rows of it are above
        self._left = 0
        self._width, self._height = 80, 1
        self._page: list[Line] | None = None

    # -- what is told ----------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Something that is shown may be another: paints what differs, at once."""
        self._measure()
        self.sync()

    def _measure(self) -> None:
        # Textual works its sizes out anew each time it is asked, which is often.
        self._width, height = self.scrollable_size
        self._height = max(1, height - 1)
        self._page = None

    def on_resize(self, event: events.Resize) -> None:
        self.changed()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._page = None  # the colours of its lines are others

    # -- places ----------------------------------------------------------------------------------------------------

    @property
    def page_rows(self) -> int:
        """Rows of the screen for lines."""
        return self._height

    @property
    def place(self) -> tuple[int, int]:
        """Index of the shown line at the top, and how many of its rows are above the screen."""
        if self.follow:
            return self._bottom()
        number, row = self._top
        index = self.buffer.index(number)
        if index >= self.buffer.count:
            return self._bottom()
        return index, row if self.buffer.at(index) == number else 0

    def _bottom(self) -> tuple[int, int]:
        """The place from which on the newest lines just fill the screen."""
        rows, index = 0, self.buffer.count
        while index > 0:
            index -= 1
            rows += self._rows_at(index)
            if rows >= self.page_rows:
                return index, rows - self.page_rows
        return 0, 0

    def _rows_at(self, index: int) -> int:
        line = self.buffer[self.buffer.at(index)]
        return len(self._rows(line)) if self._breaks(line) else 1

    def _go(self, index: int, row: int) -> None:
        place = min((index, row), self._bottom())
        self.follow = False
        self._top = (self.buffer.at(place[0]), place[1]) if self.buffer.count else (self.buffer.first, 0)

    def hold(self) -> None:
        """Stops following: what is on the screen stays there."""
        if self.follow:
            self._go(*self.place)

    def move(self, rows: int) -> None:
        """Moves so many rows down, or up; up ends following."""
        if self.follow and rows > 0:
            return
        index, row = self.place
        row += rows
        while row < 0 and index > 0:
            index -= 1
            row += self._rows_at(index)
        while index < self.buffer.count and row >= (height := self._rows_at(index)):
            row -= height
            index += 1
        self._go(index, max(row, 0))

    def sideways(self, steps: int) -> None:
        """Moves sideways, where lines are not broken."""
        if not self.wrap:
            self._left = max(0, self._left + steps * SIDE_STEP)

    def top(self) -> None:
        """Goes to the oldest line."""
        self._go(0, 0)

    def bottom(self) -> None:
        """Goes to the newest line, and follows."""
        self.follow = True

    def show_line(self, number: int) -> None:
        """Makes a line the current one, and brings it into view."""
        self.current = number
        index = self.buffer.index(number)
        top, row = self.place
        below = sum(self._rows_at(at) for at in range(top, min(index, top + self.page_rows))) - row
        if top < index < top + self.page_rows and below + self._rows_at(index) <= self.page_rows:
            self._go(top, row)
            return
        self._go(index, 0)
        self.move(-self.page_rows // 3)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def lines_at(self, lines: range) -> Iterable[Line]:
        """What these lines of the screen show."""
        page = self._page
        if page is None:
            self._measure()
            page = self._page = self._compute()
        return [page[y] if y < len(page) else Line(self._width) for y in lines]

    def _compute(self) -> list[Line]:
        width = self._width
        while True:
            before = self._label_width
            index, row = self.place
            page: list[Line] = []
            count = self.buffer.count
            while len(page) < self.page_rows and index < count:
                number = self.buffer.at(index)
                line = self.buffer[number]
                self._label_width = max(self._label_width, min(LABEL_MAX, cell_len(self._who(line))))
                page += self._drawn(number, line, row, self.page_rows - len(page), width)
                index, row = index + 1, 0
            if self._label_width == before:
                break
        page += [Line(width)] * (self.page_rows - len(page))
        page.append(Line(width, "log--status", ((self.status, ""),), (Span(1, max(1, width - 1)),)))
        return page

    def _who(self, line: LogLine) -> str:
        return "" if line.stream == SYSTEM else self._label(line.origin)

    def _breaks(self, line: LogLine) -> bool:
        return self.wrap or line.stream == SYSTEM

    def _text_at(self, line: LogLine) -> int:
        """The cell where the text begins."""
        if line.stream == SYSTEM:
            return 0
        time = TIME_WIDTH + 1 if self.times else 0
        return time + (self._label_width + 1 if self._label_width else 0) + 2

    def _rows(self, line: LogLine) -> tuple[tuple[int, int], ...]:
        return rows_of(line.text, max(8, self._width - self._text_at(line)))

    def _drawn(self, number: int, line: LogLine, first: int, most: int, width: int) -> list[Line]:
        """The rows of a line from one on."""
        at = self._text_at(line)
        if self._breaks(line):
            rows = self._rows(line)[first : first + most]
        else:
            rows = (slice_of(line.text, self._left, max(8, width - at)),)
        base = "log--current" if number == self.current else ""
        return [
            self._row(line, begin, end, at, width, base, head=not line.joined and first + offset == 0)
            for offset, (begin, end) in enumerate(rows)
        ]

    def _row(self, line: LogLine, begin: int, end: int, at: int, width: int, base: str, *, head: bool) -> Line:
        parts: list[tuple[str, str]] = []
        spans: list[Span] = []
        cell = 0
        if line.stream != SYSTEM:
            if self.times:
                parts.append((_short(line.when) if head else "", "time"))
                spans.append(Span(0, TIME_WIDTH))
                cell = TIME_WIDTH + 1
            if self._label_width:
                parts.append((self._label(line.origin) if head else "", "label"))
                spans.append(Span(cell, self._label_width))
            sign = ("!", "stderr") if line.stream == STDERR else ("|", "time")
            parts.append(sign)
            spans.append(Span(at - 2, 1))
        style = "note" if line.stream == SYSTEM else ""
        cell = at
        for start, stop, name in self._pieces(line.text, begin, end, style):
            text = line.text[start:stop]
            size = len(text) if text.isascii() else cell_len(text)
            parts.append((text, name))
            spans.append(Span(cell, size))
            cell += size
        return Line(width, base, tuple(parts), tuple(spans))

    def _pieces(self, text: str, begin: int, end: int, style: str) -> Iterable[tuple[int, int, str]]:
        """Parts of a text between two characters, with a style each: matches stand out."""
        at = begin
        if self.pattern is not None and not style:
            for start, stop in matches_of(self.pattern, text):
                start, stop = max(start, at), min(stop, end)
                if start < stop:
                    if at < start:
                        yield at, start, style
                    yield start, stop, "match"
                    at = stop
        if at < end:
            yield at, end, style


def _short(when: str) -> str:
    """A time of the engine without its year and with milliseconds; engines write in UTC."""
    return f"{when[5:10]} {when[11:23].removesuffix('Z')}" if when else ""
