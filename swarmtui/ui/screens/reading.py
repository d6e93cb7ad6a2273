"""A screen of text to read: descriptions, raw objects, alarms, help. Scrolls, copies, closes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from swarmtui.ui.keybar import KeyBar
from swarmtui.ui.prose import Prose
from swarmtui.ui.screen_keys import READING
from swarmtui.ui.screens.scrolling import ScrollingScreen


class ReadingScreen(ScrollingScreen[None]):
    """Shows text.

    Args:
        title: first line.
        lines: gives (style, line) now; asked again by `renew`.
    """

    BINDINGS: ClassVar[list[BindingType]] = READING

    DEFAULT_CSS = """
    ReadingScreen { background: $surface; }
    ReadingScreen > #reading-title { height: 1; background: $panel; padding: 0 1; text-style: bold; }
    ReadingScreen > VerticalScroll { padding: 0 1; scrollbar-size-vertical: 1; }
    """

    def __init__(self, title: str, lines: Callable[[], list[tuple[str, str]]]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._shown: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        yield Static(self._title, id="reading-title", markup=False)
        self._shown = self._lines()
        with VerticalScroll(can_focus=False):
            yield Prose(self._shown, id="reading-text")
        yield from self.below()
        yield KeyBar()

    def below(self) -> Iterable[Widget]:
        """What a screen of this kind has under the text."""
        return ()

    def renew(self) -> None:
        """Asks for the lines again; paints only if they differ, and stays where it was scrolled to."""
        lines = self._lines()
        if self.is_mounted and lines != self._shown:
            self._shown = lines
            self.query_one("#reading-text", Prose).show(lines)

    def action_close(self) -> None:
        self.dismiss()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(line for _, line in self._lines()))
        self.app.notify("Copied.", markup=False, timeout=2)
