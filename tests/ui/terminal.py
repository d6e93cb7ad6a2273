"""A terminal for tests: a driver that counts what is written, and a small emulator that knows what is on the screen."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from rich.cells import cell_len
from textual.drivers.headless_driver import HeadlessDriver

_PIECE = re.compile(
    r"\x1b\[(?P<parameters>[0-?]*)[ -/]*(?P<command>[@-~])"
    r"|(?P<other>\x1b[\]PX^_].*?(?:\x1b\\|\x07)|\x1b.)|(?P<control>[\x00-\x1f\x7f-\x9f])|(?P<text>[^\x00-\x1f\x7f-\x9f]+)",
    re.DOTALL,
)

_POINTER = re.compile("\x1b\\]22;[a-z-]+\x07")
"""The shape of the mouse pointer, which Textual sets by itself."""
_INVISIBLE = re.compile(r"(?<![\d;])(?:(?:38;2;\d+;\d+;\d+|38;5;\d+|[123]|3[0-7]|9[0-7])(?:;|$))+")
"""What does not show on a blank at the start of a style: attributes and colour of the text."""


class CountingDriver(HeadlessDriver):
    """A headless driver that is written to as if it were a terminal. Use with `run_test(headless=False)`.

    Attributes:
        written: every piece of output since the last `clear`.
        drawn: set with every piece of output.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.written: list[str] = []
        self.drawn = asyncio.Event()
        self._terminal = Terminal()
        self._unread: list[str] = []

    @property
    def is_headless(self) -> bool:
        """False, else the app would not draw at all."""
        return False

    def write(self, data: str) -> None:
        """Keeps what a terminal would get."""
        self.written.append(data)
        self._unread.append(data)
        self.drawn.set()

    def clear(self) -> None:
        """Starts counting anew."""
        self.written.clear()
        self.drawn.clear()

    @property
    def screen(self) -> Terminal:
        """What a terminal would show now; worked out when asked for, so that it does not slow what is measured."""
        self._terminal.feed("".join(self._unread))
        self._unread.clear()
        return self._terminal

    @property
    def text(self) -> str:
        """All output since the last `clear`."""
        return "".join(self.written)

    @property
    def bytes(self) -> int:
        """UTF-8 bytes since the last `clear`."""
        return len(self.text.encode())


class Terminal:
    """Understands what Textual writes: text, cursor moves, styles. Everything else is kept in `strange`.

    Attributes:
        strange: sequences and control characters that are neither text, style nor cursor move, e.g. a title or a clear.
    """

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], tuple[str, str]] = {}
        self._x = self._y = 0
        self._style = ""
        self.strange: list[str] = []

    def feed(self, data: str) -> None:
        """Takes output."""
        for piece in _PIECE.finditer(data):
            if piece["text"]:
                for character in piece["text"]:
                    self._put(character)
            elif piece["command"] == "H":
                y, x = (piece["parameters"] or "1;1").split(";")
                self._x, self._y = int(x) - 1, int(y) - 1
            elif piece["control"] == "\n":
                self._y += 1
            elif piece["command"] == "m":
                self._style = piece["parameters"]
            elif piece["command"] and piece["parameters"].startswith("?"):
                continue  # a private mode, such as synchronised output
            elif piece["other"] and _POINTER.fullmatch(piece["other"]):
                continue
            else:
                self.strange.append(piece[0])

    def _put(self, character: str) -> None:
        width = cell_len(character)
        self._cells[self._y, self._x] = (character, self._style)
        for extra in range(1, width):
            self._cells[self._y, self._x + extra] = ("", self._style)
        self._x += width

    def snapshot(self) -> dict[tuple[int, int], tuple[str, str]]:
        """Returns every cell that was written, as (line, column): (text, style); a blank has no colour of its own."""
        return {
            place: (text, style if text.strip() else _INVISIBLE.sub("", style))
            for place, (text, style) in self._cells.items()
        }

    def line(self, y: int, width: int) -> str:
        """Returns what line y shows, from the left, so many cells."""
        return "".join(self._cells.get((y, x), " ")[0] for x in range(width))
