"""What is about to be deleted, whole, and the word that does it. For what is no run and has no plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from swarmtui.ui.keybar import KeyBar
from swarmtui.ui.prose import Prose
from swarmtui.ui.screen_keys import DECIDE
from swarmtui.ui.screens.scrolling import ScrollingScreen
from swarmtui.ui.title import Title


class DecideScreen(ScrollingScreen[bool]):
    """Shows lines, and asks for a word; dismissed with True when it was typed.

    Args:
        title: what is decided, and about which cluster.
        lines: what is shown, as (style, text).
        word: what is typed: a letter by mistake is none.
        production: the cluster is one, and the head says so in words and colour.
    """

    BINDINGS: ClassVar[list[BindingType]] = DECIDE

    DEFAULT_CSS = """
    DecideScreen { background: $surface; }
    DecideScreen > VerticalScroll { padding: 0 1; scrollbar-size-vertical: 1; }
    DecideScreen > #decide-ask { height: 1; padding: 0 1; background: $panel; text-style: bold; }
    DecideScreen > Input { height: 1; border: none; padding: 0 1; background: $panel; }
    DecideScreen > Input:focus { border: none; }
    """

    def __init__(self, title: str, lines: Sequence[tuple[str, str]], word: str, *, production: bool) -> None:
        super().__init__()
        self._title = title
        self._lines = list(lines)
        self._word = word
        self._production = production

    def compose(self) -> ComposeResult:
        yield Title(self._title, production=self._production, id="decide-title")
        with VerticalScroll(can_focus=False):
            yield Prose(self._lines, id="decide-text")
        yield Static(f'Type "{self._word}" and press enter to do it; esc leaves it.', id="decide-ask", markup=False)
        yield Input(placeholder=self._word, id="decide-word")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == self._word:
            self.dismiss(True)
        else:
            self.app.notify(f'That is not "{self._word}": nothing was done.', severity="warning", markup=False)
            event.input.clear()

    def action_no(self) -> None:
        self.dismiss(False)
