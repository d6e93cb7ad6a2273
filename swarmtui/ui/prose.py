"""Lines to read, with their styles. One that is too long goes on under its own beginning, or under its second column;
words stay whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

STYLES = {
    "title": "bold",
    "heading": "bold cyan",
    "plain": "",
    "dim": "dim",
    "good": "green",
    "warn": "bold yellow",
    "bad": "bold red",
    "command": "cyan",
}
_SECOND_COLUMN = re.compile(
    r"\s+\S+(?: \S+)?\s{2,}(?=\S)|(?:CRITICAL|WARNING|ADVICE|UNKNOWN) +(?=\S)|\s*(?:\S )?\d+\. (?=\S)"
)
_WORD = re.compile(r"(?:(?<!\S)\d[\d.,]* (?=(?:s|ms|min|h|d|%|[KMGT]?i?B)\b))?\S+\s*")
"""A number and its unit are one word."""
KEPT = 20_000
"""Lines whose breaks are remembered: what is renewed while somebody reads it differs in few of them."""
MOST_INDENT = 0.5
"""Of the width: what begins further right than this goes on at the indent of its line."""


def styled(lines: Sequence[tuple[str, str]], width: int = 0) -> Text:
    """Lines of (style, text) as one text; the text is data, never markup.

    Args:
        width: cells in a line; 0 breaks none.
    """
    text = Text()
    for index, (style, line) in enumerate(lines):
        pieces = "\n".join(broken(line, width)) if width else line
        text.append(("\n" if index else "") + pieces, STYLES.get(style, ""))
    return text


@lru_cache(maxsize=KEPT)
def broken(line: str, width: int) -> tuple[str, ...]:
    """A line as those that fit; a word breaks only where it is longer than a whole line."""
    if "\n" in line or "\t" in line:
        return tuple(piece for part in line.expandtabs().split("\n") for piece in broken(part, width))
    cells = len if line.isascii() else cell_len
    if cells(line) <= width:
        return (line,)
    indent = _hang(line, width)
    head, rest, room = line[:indent], line[indent:], width - indent
    found: list[str] = []
    piece, used = "", 0  # used: with the blanks at its end
    for word in _WORD.findall(rest):
        size, bare = cells(word), cells(word.rstrip())
        if used + bare <= room:
            piece += word
            used += size
            continue
        if piece:
            found.append((head + piece).rstrip())
            head = " " * indent
        *whole, piece = chop_cells(word, room) if bare > room else [word]
        used = cells(piece)
        for part in whole:
            found.append(head + part)
            head = " " * indent
    return (*found, (head + piece).rstrip())


def _hang(line: str, width: int) -> int:
    """Where a line goes on, from the left."""
    if (second := _SECOND_COLUMN.match(line)) and second.end() <= width * MOST_INDENT:
        return second.end()
    blanks = len(line) - len(line.lstrip())
    return blanks if blanks <= width * MOST_INDENT else 0


class Prose(Widget):
    """Shows lines of (style, text), as high as they need."""

    DEFAULT_CSS = "Prose { height: auto; }"

    def __init__(self, lines: Sequence[tuple[str, str]] = (), **options: Any) -> None:
        super().__init__(**options)
        self._lines = list(lines)

    def show(self, lines: Sequence[tuple[str, str]]) -> None:
        """Shows other lines; paints only if they differ."""
        if list(lines) != self._lines:
            self._lines = list(lines)
            self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return sum(len(broken(line, width)) for _, line in self._lines) if width else 0

    def render(self) -> Text:
        return styled(self._lines, self.content_size.width)
