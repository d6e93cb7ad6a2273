"""Follows a log: takes what comes, and paints no more than anybody can see. The keys are in `logs`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

from textual.app import ComposeResult
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input, Static
from textual.worker import Worker

from swarmtui.errors import SwarmtuiError
from swarmtui.link.log_frames import Origin
from swarmtui.link.logs import BATCH_LINES, Batch
from swarmtui.model.text import one_line
from swarmtui.ui.keybar import KeyBar
from swarmtui.ui.log_buffer import LogBuffer
from swarmtui.ui.log_view import LogView

TAKE_SECONDS: Final = 0.05
BREATH_SECONDS: Final = 0.005
"""Between two full batches: there is more, but keys come first."""
PAINT_SECONDS: Final = 0.05
FLOOD_SECONDS: Final = 0.2
"""Between two paints when more than a screen has come meanwhile: nobody can read that, and lines to people are slow."""

OpenLog = Callable[[float | None], AsyncGenerator[Batch, None]]
"""Follows the log from a time on (seconds since the epoch, 0.0 for all); None: from a few lines back."""


class LogFollower(Screen[None]):
    """Shows a log as it comes; the keys come with `LogScreen`.

    Args:
        title: first line.
        open_stream: follows the log.
        label: a short name for who wrote a line; "" shows none.
    """

    AUTO_FOCUS = ""

    DEFAULT_CSS = """
    LogFollower { background: $surface; }
    LogFollower > #log-title { height: 1; background: $panel; padding: 0 1; text-style: bold; }
    LogFollower > #log-line { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    LogFollower > #log-line.asking { display: block; }
    """

    def __init__(self, title: str, open_stream: OpenLog, *, label: Callable[[Origin], str] = lambda origin: "") -> None:
        super().__init__()
        self.buffer = LogBuffer()
        self.view = LogView(self.buffer, label, id="log")
        self._words = one_line(title)
        self._open = open_stream
        self._label = label
        self._since: float | None = None
        self._since_words = ""
        self._state = "connecting"
        self._search = ""
        self._going = asyncio.Event()
        self._going.set()
        self._reader: Worker[None] | None = None
        self._unpainted = 0
        self._painted_at = 0.0
        self._paint_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Static(self._words, id="log-title", markup=False)
        yield self.view
        yield Input(id="log-line", compact=True)
        yield KeyBar()

    def on_mount(self) -> None:
        self._start()

    def on_unmount(self) -> None:
        if self._reader is not None:
            self._reader.cancel()

    # -- reading ---------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Begins to read, anew if it did already."""
        if self._reader is not None:
            self._reader.cancel()
        self.buffer.clear()
        self.view.current = -1
        self.view.follow = True
        self._going.set()
        self._state = "connecting"
        # A worker of the app: there an unexpected failure is shown.
        self._reader = self.app.run_worker(self._read(), exit_on_error=False, group="logs")
        self._paint()

    async def _read(self) -> None:
        try:
            async with aclosing(self._open(self._since)) as batches:
                async for batch in batches:
                    await self._going.wait()
                    await self._take(batch)
                    await asyncio.sleep(BREATH_SECONDS if len(batch.lines) >= BATCH_LINES else TAKE_SECONDS)
            self._state = "ended"
        except SwarmtuiError as error:
            self._state = "ended"
            self.buffer.note(one_line(str(error)))
        self._paint()

    async def _take(self, batch: Batch) -> None:
        if batch.dropped:
            self.buffer.missed(batch.dropped)
        if batch.note:
            self.buffer.note(f"{datetime.now(UTC):%H:%M:%S} {one_line(batch.note)}")
        self.buffer.add(batch.lines)
        self._state = "" if batch.live else "connection lost, waiting for it"
        self._unpainted += len(batch.lines)
        await self._sift()
        self._paint_soon()

    async def _sift(self) -> None:
        """Lets the filter see what is new, and others their turn."""
        for _ in iter(self.buffer.work, True):
            await asyncio.sleep(0)

    # -- painting --------------------------------------------------------------------------------------------------

    def _paint(self) -> None:
        """Paints what differs, now."""
        if self._paint_timer is not None:
            self._paint_timer.stop()
            self._paint_timer = None
        self._painted_at = time.monotonic()
        self._unpainted = 0
        self.view.status = self._status()
        self.view.changed()

    def _paint_soon(self) -> None:
        """Paints when that is due: never more often than anybody can see."""
        if self._paint_timer is not None:
            return
        pause = FLOOD_SECONDS if self._unpainted > self.view.page_rows else PAINT_SECONDS
        left = self._painted_at + pause - time.monotonic()
        if left <= 0:
            self._paint()
        else:
            self._paint_timer = self.set_timer(left, self._paint)

    def _status(self) -> str:
        buffer, view = self.buffer, self.view
        count = buffer.count
        if not self._going.is_set():
            parts = ["PAUSED: new lines wait, p goes on"]
        elif view.follow:
            parts = ["following"]
        else:
            parts = [f"line {min(view.place[0] + 1, count):,} of {count:,}"]
        if self._state:
            parts.append(self._state)
        parts.append(f"{len(buffer):,} lines" + (f", {buffer.gone:,} older gone" if buffer.gone else ""))
        if buffer.dropped:
            parts.append(f"{buffer.dropped:,} dropped")
        if self._since_words:
            parts.append(f"since {self._since_words}")
        if buffer.pattern is not None:
            parts.append(f"only {count:,} that match {one_line(buffer.pattern.pattern)}")
        if self._search:
            parts.append(f"/{one_line(self._search)}")
        if not view.wrap:
            parts.append("not wrapped")
        return " · ".join(parts)

    # -- moving ----------------------------------------------------------------------------------------------------

    def action_move(self, rows: int) -> None:
        self.view.move(rows)
        self._paint()

    def action_page(self, pages: float) -> None:
        self.view.move(int(self.view.page_rows * pages))
        self._paint()

    def action_top(self) -> None:
        self.view.top()
        self._paint()

    def action_bottom(self) -> None:
        self.view.bottom()
        self._paint()

    def action_sideways(self, steps: int) -> None:
        self.view.sideways(steps)
        self._paint()

    def on_mouse_scroll_up(self) -> None:
        self.action_move(-3)

    def on_mouse_scroll_down(self) -> None:
        self.action_move(3)
