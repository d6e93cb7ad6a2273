"""The look at hosts that are to become a Swarm, while it happens: each command as it is begun, and what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from swarmtui.errors import SwarmtuiError
from swarmtui.model.text import harmless
from swarmtui.ui.keybar import KeyBar
from swarmtui.ui.prose import Prose
from swarmtui.ui.screen_keys import PREFLIGHT
from swarmtui.ui.screens.scrolling import ScrollingScreen
from swarmtui.ui.title import Title

KEPT_LINES = 2000


class PreflightScreen(ScrollingScreen[bool]):
    """Shows what is looked at; dismissed with True when the person leaves.

    Args:
        title: which hosts.
        options: asks what a plan is made with, and tells whether anything was said; None where nothing more can be.
    """

    BINDINGS: ClassVar[list[BindingType]] = PREFLIGHT
    AUTO_FOCUS = ""

    DEFAULT_CSS = """
    PreflightScreen { background: $surface; }
    PreflightScreen > VerticalScroll { padding: 0 1; scrollbar-size-vertical: 1; }
    PreflightScreen > #preflight-state { height: auto; background: $panel; padding: 0 1; }
    """

    def __init__(self, title: str, options: Callable[[], Awaitable[bool]] | None = None) -> None:
        super().__init__()
        self._title = title
        self._options = options
        self._lines: list[tuple[str, str]] = []
        self._looks = 0
        self._confirmed = False
        self._failure: SwarmtuiError | None = None
        self._again = asyncio.Event()

    def compose(self) -> ComposeResult:
        yield Title(self._title, production=False, id="preflight-title")
        with VerticalScroll(can_focus=False):
            yield Prose(id="preflight-text")
        yield Prose(id="preflight-state")
        yield KeyBar()

    def on_mount(self) -> None:
        self._show()

    # -- what is told ------------------------------------------------------------------------------------------------

    def begin(self, *, confirmed: bool) -> None:
        """A look begins.

        Args:
            confirmed: the plan was seen and confirmed: this one finds out whether it still holds.
        """
        self._confirmed = confirmed
        if self._lines:
            self._lines.append(("", ""))
        self._lines.append(("heading", "Looking again" if self._looks else "Looking"))
        self._looks += 1
        self._failure = None
        self._again.clear()
        self._show()

    def tell(self, command: str) -> None:
        """A command begins, told as "HOST$ COMMAND"."""
        self._lines.append(("command", harmless(command)))
        del self._lines[:-KEPT_LINES]
        self._show()

    async def failed(self, error: SwarmtuiError) -> None:
        """Shows why there is no plan; returns when the person wants another look."""
        self._failure = error
        self._show()
        await self._again.wait()

    def _show(self) -> None:
        if not self.is_mounted:
            return
        scroll = self.query_one(VerticalScroll)
        follows = scroll.is_vertical_scroll_end
        self.query_one("#preflight-text", Prose).show(self._lines)
        self.query_one("#preflight-state", Prose).show(self._state())
        if follows:
            scroll.scroll_end(animate=False)
        self.refresh_bindings()

    def _state(self) -> list[tuple[str, str]]:
        if self._failure is not None:
            keys = "r looks again, o says more about it." if self._options is not None else "r looks again."
            return [("bad", self._failure.what), ("plain", f"{self._failure.next_step} {keys}".strip())]
        if self._confirmed:
            return [("plain", "Confirmed: it begins if this last look finds nothing changed. esc leaves.")]
        return [("plain", "This only looks: nothing is changed before you have seen the plan. esc leaves.")]

    # -- keys --------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "options":
            return self._failure is not None and self._options is not None
        return self._failure is not None if action == "again" else True

    def action_again(self) -> None:
        self._again.set()

    def action_options(self) -> None:
        self.run_worker(self._say_more(), exit_on_error=False, exclusive=True)

    async def _say_more(self) -> None:
        assert self._options is not None
        if await self._options():
            self._again.set()

    def action_close(self) -> None:
        self.dismiss(True)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(line for _, line in (*self._lines, *self._state())))
        self.app.notify("Copied.", markup=False, timeout=2)
