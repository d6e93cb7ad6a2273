"""An app with a log and nothing else, and somebody who presses its keys and reads its screen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from swarmtui.errors import SwarmtuiError
from swarmtui.link.log_frames import STDOUT, LogLine, Origin
from swarmtui.link.logs import Batch
from swarmtui.ui.screens.logs import LogScreen
from tests.ui.terminal import CountingDriver

ONE = Origin("task1", "node1")
TWO = Origin("task2", "node2")
NAMES = {"task1": "1@wrk1", "task2": "2@wrk2"}


def line(text: str, number: int = 0, origin: Origin = ONE, stream: int = STDOUT) -> LogLine:
    return LogLine(f"2026-11-21T03:{number // 60 % 60:02d}:{number % 60:02d}.{number:09d}Z", origin, stream, text)


def numbered(begin: int, end: int) -> list[LogLine]:
    return [line(f"line {number}", number) for number in range(begin, end)]


class Small(App[None]):
    """An app with a log and nothing else."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self) -> None:
        super().__init__()
        self.feed: asyncio.Queue[Batch | SwarmtuiError | None] = asyncio.Queue()
        self.opened: list[float | None] = []
        self.closed = 0
        self.told: list[str] = []
        self.log_screen = LogScreen("Log of service web", self._follow, label=lambda origin: NAMES.get(origin.task, ""))

    async def _follow(self, since: float | None) -> AsyncGenerator[Batch, None]:
        self.opened.append(since)
        try:
            while (batch := await self.feed.get()) is not None:
                if isinstance(batch, SwarmtuiError):
                    raise batch
                yield batch
        finally:
            self.closed += 1

    def on_mount(self) -> None:
        self.push_screen(self.log_screen)

    def notify(self, message: str, **options: Any) -> None:
        self.told.append(message)

    def on_worker_state_changed(self, event: Any) -> None:
        assert event.state.name != "ERROR", event.worker.error


class Person:
    """Presses keys on the small app, and reads its screen."""

    def __init__(self, app: Small, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def lines(self) -> list[str]:
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def log(self) -> list[str]:
        """The lines of the log on the screen, and the status under them."""
        view = self.app.log_screen.view.region
        return self.lines[view.y : view.bottom]

    @property
    def status(self) -> str:
        return self.log[-1]

    def give(self, *lines: LogLine, **options: Any) -> None:
        self.app.feed.put_nowait(Batch(list(lines), **options))

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        signs = {" ": "space", "/": "slash", ".": "full_stop", "-": "minus", "(": "left_parenthesis", "&": "ampersand"}
        await self.pilot.press(*(signs.get(sign, sign) for sign in text))

    async def sees(self, *words: str) -> None:
        await self.until(lambda: all(word in self.text for word in words), f"{words}")

    async def until(self, so: Any, what: str = "so") -> None:
        end = time.monotonic() + 10
        while not so():
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not within 10 s.\nTold: {self.app.told}\n{self.text}")
            await asyncio.sleep(0.02)
        await self.pilot.pause()


@asynccontextmanager
async def shown(size: tuple[int, int] = (80, 24), *, counting: bool = False) -> AsyncIterator[Person]:
    app = Small()
    if counting:
        app.driver_class = CountingDriver
    async with app.run_test(size=size, headless=not counting) as pilot:
        person = Person(app, pilot)
        await person.until(lambda: app.opened, "opened")
        yield person
