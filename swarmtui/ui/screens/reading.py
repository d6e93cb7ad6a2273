"""A screen of text to read: descriptions, raw objects, alarms, help. Scrolls, copies, closes."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from swarmtui.ui.keybar import KeyBar

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


def styled(lines: list[tuple[str, str]]) -> Text:
    """Lines of (style, text) as one text; the text is data, never markup."""
    text = Text()
    for index, (style, line) in enumerate(lines):
        text.append(("\n" if index else "") + line, STYLES.get(style, ""))
    return text


class ReadingScreen(Screen[None]):
    """Shows text.

    Args:
        title: first line.
        lines: gives (style, line) now; asked again by `renew`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Back", id="reading.back"),
        Binding("c", "copy", "Copy", id="reading.copy", tooltip="Copy all of it (OSC 52)"),
        Binding("down,j", "scroll(1)", "Down", show=False, id="reading.down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, id="reading.up"),
    ]

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
        with VerticalScroll():
            yield Static(styled(self._shown), id="reading-text", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def renew(self) -> None:
        """Asks for the lines again; paints only if they differ, and stays where it was scrolled to."""
        lines = self._lines()
        if self.is_mounted and lines != self._shown:
            self._shown = lines
            self.query_one("#reading-text", Static).update(styled(lines))

    def action_close(self) -> None:
        self.dismiss()

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(line for _, line in self._lines()))
        self.app.notify("Copied.", markup=False, timeout=2)
