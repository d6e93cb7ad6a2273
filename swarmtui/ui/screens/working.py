"""What is done to backups, while it happens and afterwards: what was found, how far it is, and what stopping means."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.timer import Timer

from swarmtui.ui.keybar import KeyBar
from swarmtui.ui.prose import Prose
from swarmtui.ui.screen_keys import WORK
from swarmtui.ui.screens.scrolling import ScrollingScreen
from swarmtui.ui.title import Title
from swarmtui.ui.work import Work

LOOK_SECONDS = 0.25
"""How often it is looked at what was told, while something is under way; nothing ticks afterwards."""


class WorkScreen(ScrollingScreen[None]):
    """Watches work; leaving it leaves the work alone.

    Args:
        production: the cluster is one, and the title says so in words and colour.
    """

    BINDINGS: ClassVar[list[BindingType]] = WORK
    AUTO_FOCUS = ""

    DEFAULT_CSS = """
    WorkScreen { background: $surface; }
    WorkScreen > VerticalScroll { padding: 0 1; scrollbar-size-vertical: 1; }
    WorkScreen > #work-state { height: auto; background: $panel; padding: 0 1; }
    """

    def __init__(self, work: Work, cluster: str, *, production: bool = False) -> None:
        super().__init__()
        self.watched = work
        self._cluster = cluster
        self._production = production
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Title(f"{self.watched.title} · {self._cluster}", production=self._production, id="work-title")
        with VerticalScroll(can_focus=False):
            yield Prose(id="work-text")
        yield Prose(id="work-state")
        yield KeyBar()

    def on_mount(self) -> None:
        self._timer = self.set_interval(LOOK_SECONDS, self.show)
        self.show()

    def show(self) -> None:
        """Paints what changed."""
        work, scroll = self.watched, self.query_one(VerticalScroll)
        over = work.over  # before the lines: what ends meanwhile has its last ones shown the next time
        follows = work.follows and scroll.is_vertical_scroll_end
        self.query_one("#work-text", Prose).show(work.lines)
        self.query_one("#work-state", Prose).show(work.state)
        if follows:
            scroll.scroll_end(animate=False)
        if over and self._timer is not None:
            self._timer.stop()
            self._timer = None
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.watched.cancellable and not self.watched.over if action == "stop" else True

    def action_stop(self) -> None:
        self.watched.stop()
        self.show()

    def action_close(self) -> None:
        self.dismiss()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(line for _, line in (*self.watched.lines, *self.watched.state)))
        self.app.notify("Copied.", markup=False, timeout=2)
