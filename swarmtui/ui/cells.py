"""The plain parts of a table: cells, columns, natural order, and how columns share a line. No Textual here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

from msgspec import Struct
from rich.cells import cell_len, set_cell_size

from swarmtui.model.text import harmless, one_line

GUTTER = 2
"""Cells in front of the first column: the mark and the sign of a recent change."""


class Cell(Struct, frozen=True, gc=False):
    """One field of a row. Made and compared at C speed, and nothing the cycle collector looks at: there are 100,000.

    Attributes:
        text: plain data, never markup.
        style: names of the table's semantic styles, separated by blanks ("bad", "warn", ...); see `Table.STYLES`.
            An unknown name shows as plain text. Colour alone must not carry a meaning: the text says it too.
        sort: what the column is sorted by; the natural order of the text if None. Numbers come before text.
            For columns of unique text in big tables give `natural(text)` from where the rows are built, off the loop.
    """

    text: str
    style: str = ""
    sort: Any = None


def labels_cell(labels: Mapping[str, str] | None) -> Cell:
    """Labels, by their names."""
    shown = ", ".join(f"{key}={value}" if value else key for key, value in sorted((labels or {}).items()))
    return Cell(one_line(shown) or "-", "dim")


Row: TypeAlias = tuple[Cell, ...]
"""The cells of one object, in the order of the table's columns."""

Rows: TypeAlias = Mapping[str, Row]
"""Rows by the id of their object."""


Cut: TypeAlias = Literal["end", "front"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. The first one is the identity of a row: it is never dropped and stays in place when
    the rest scrolls sideways.

    Attributes:
        key: names the column in `set_sort` and in the configuration.
        title: what the header shows.
        min_width: cells; also what a flexible column shrinks to before another column is dropped.
        max_width: cells; longer text is cut with an ellipsis.
        width: a fixed width in cells, instead of measuring the content.
        flex: share of what is left of the line.
        align: side of the text.
        cut: which end of a text that is too long goes; "front" where what tells them apart is at the end.
        wide: only shown in wide mode, or where the line has room for everything else first.
        priority: the lowest is dropped first on a narrow screen; among equals the rightmost.
        quiet: a change of it is no news, such as an age that grew.
    """

    key: str
    title: str
    min_width: int = 4
    max_width: int = 40
    width: int | None = None
    flex: int = 0
    align: Literal["left", "right"] = "left"
    cut: Cut = "end"
    wide: bool = False
    priority: int = 0
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs a table draws with: each one cell wide."""

    mark: str = "●"
    added: str = "+"
    updated: str = "~"
    ascending: str = "▲"
    descending: str = "▼"
    more_left: str = "‹"
    more_right: str = "›"
    ellipsis: str = "…"


ASCII = Glyphs(mark="*", ascending="^", descending="v", more_left="<", more_right=">", ellipsis="~")
"""Signs for a terminal that cannot show others."""


def glyphs_for(environ: Mapping[str, str]) -> Glyphs:
    """Returns the signs that the terminal of this environment can show.

    The kernel's own console and old terminals have no such font; a locale that is not UTF-8 garbles them. Without a
    locale Python and most terminals take UTF-8.
    """
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "UTF-8"
    utf8 = "utf" in locale.casefold() or locale in ("C", "POSIX")
    return Glyphs() if utf8 and environ.get("TERM", "") not in ("linux", "dumb", "vt100", "vt102", "vt220") else ASCII


_LONGEST = 1_000

_DIGITS = re.compile("[0-9]+")


def _counted(match: re.Match[str]) -> str:
    digits = match.group().lstrip("0") or "0"
    return chr(48 + min(len(digits), 999)) + digits


@lru_cache(maxsize=1 << 16)
def natural(text: str) -> str:
    """Returns a key that sorts text as people expect: without case, and numbers by value (mgr2 before mgr10).

    Every run of digits gets its length in front, so that comparing the strings compares the numbers.
    """
    return _DIGITS.sub(_counted, text.casefold())


def plain(text: str) -> str:
    """Returns text on one line and without control characters: the last fence before the terminal.

    Cut where no screen is that wide: a label may be a megabyte long.
    """
    if len(text) <= _LONGEST and text.isprintable():
        return text
    return harmless(text[:_LONGEST].replace("\n", " ").replace("\t", " "))


def fit_text(
    text: str, width: int, align: Literal["left", "right"] = "left", ellipsis: str = "…", cut: Cut = "end"
) -> str:
    """Returns text that fills exactly `width` terminal cells, cut with an ellipsis where it is too long."""
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        if cut == "front" and width > 1:
            return set_cell_size(ellipsis + _last(text, width - 1), width)
        return set_cell_size(text, width - 1) + ellipsis if width > 1 else set_cell_size(text, width)
    blank = " " * (width - length)
    return blank + text if align == "right" else text + blank


def _last(text: str, width: int) -> str:
    """The end of a text: as many characters as fit into `width` cells."""
    begin, left = len(text), width
    while begin and (size := cell_len(text[begin - 1])) <= left:
        begin, left = begin - 1, left - size
    return text[begin:]


def natural_widths(columns: Sequence[Column], rows: Sequence[Row], widths: Sequence[int] = ()) -> list[int]:
    """Returns the width in cells that every column wants for these rows, never less than in `widths`.

    A title wants one cell more than its text: room for the sort arrow.
    """
    found = [column.width or max(column.min_width, cell_len(column.title) + 1) for column in columns]
    found = [max(pair) for pair in zip(found, widths, strict=True)] if widths else found
    for index in range(len(found)):
        texts = [row[index].text for row in rows if index < len(row)]
        if "".join(texts).isascii():  # in what `plain` makes of these, every character is one cell wide
            found[index] = max(found[index], *map(len, texts), 0)
        else:
            found[index] = max(found[index], *(cell_len(plain(text)) for text in texts))
    return [
        column.width or min(width, max(column.max_width, cell_len(column.title) + 1))
        for column, width in zip(columns, found, strict=True)
    ]


class Span(NamedTuple):
    """Where a part of a line goes: its first cell, its width in cells, the side of its text, and where it is cut."""

    start: int
    width: int
    align: Literal["left", "right"] = "left"
    cut: Cut = "end"


@dataclass(frozen=True, slots=True)
class Layout:
    """How columns share a line.

    Attributes:
        shown: indexes of the columns that are drawn, in order.
        spans: where each of them goes.
        hidden: indexes of the columns that have no room.
        total: length of the line in cells; more than the screen has in wide mode.
    """

    shown: tuple[int, ...]
    spans: tuple[Span, ...]
    hidden: tuple[int, ...]
    total: int


def fit_columns(columns: Sequence[Column], wanted: Sequence[int], width: int, wide: bool = False) -> Layout:
    """Chooses the columns for a line of `width` cells.

    In wide mode all of them, at the width they want; the line may be longer than the screen. Else: wide columns only
    if there is room left; on a narrow line first the gaps shrink, then flexible columns, then columns are dropped.

    Args:
        columns: all columns.
        wanted: the width each wants (`natural_widths`).
        width: cells of the line.
        wide: show every column.
    """
    widths = list(wanted)
    gap = 2

    def need(indexes: Sequence[int]) -> int:
        return GUTTER + sum(widths[index] for index in indexes) + gap * (len(indexes) - 1)

    shown = [index for index, column in enumerate(columns) if wide or index == 0 or not column.wide]
    if wide:  # the first column stays in place while the others scroll: leave them half of the screen
        widths[0] = max(1, min(widths[0], width // 2 - GUTTER - gap))
    else:
        if need(shown) > width:
            gap = 1
        if need(shown) > width:
            _narrow(columns, widths, shown, width, need)
        elif len(shown) < len(columns):
            rest = (index for index, column in enumerate(columns) if index not in shown)
            for index in sorted(rest, key=lambda index: -columns[index].priority):
                if need([*shown, index]) > width:
                    break
                shown = sorted([*shown, index])
    left = width - need(shown)
    if left > 0:
        _share(columns, widths, wanted, shown, left)
    spans, at = [], GUTTER
    for index in shown:
        spans.append(Span(at, widths[index], columns[index].align, columns[index].cut))
        at += widths[index] + gap
    hidden = tuple(index for index in range(len(columns)) if index not in shown)
    return Layout(tuple(shown), tuple(spans), hidden, max(width, at - gap))


def _narrow(
    columns: Sequence[Column], widths: list[int], shown: list[int], width: int, need: Callable[[Sequence[int]], int]
) -> None:
    """Shrinks flexible columns, then drops columns, then cuts the last one, until the line fits."""
    for index in shown:
        if columns[index].flex and columns[index].width is None:
            widths[index] = min(widths[index], columns[index].min_width)
    while need(shown) > width and len(shown) > 1:
        shown.remove(min(shown[1:], key=lambda index: (columns[index].priority, -index)))
    if need(shown) > width:
        widths[shown[0]] = max(1, width - GUTTER)


def _share(
    columns: Sequence[Column], widths: list[int], wanted: Sequence[int], shown: Sequence[int], left: int
) -> None:
    """Gives what is left of the line to flexible columns: first up to their natural width, then by their share."""
    flexible = [index for index in shown if columns[index].flex and columns[index].width is None]
    for index in flexible:
        more = min(left, max(0, wanted[index] - widths[index]))
        widths[index] += more
        left -= more
    total = sum(columns[index].flex for index in flexible)
    for position, index in enumerate(flexible):
        last = position == len(flexible) - 1
        more = left if last else left * columns[index].flex // total
        widths[index] += more
        left -= more
        total -= columns[index].flex
