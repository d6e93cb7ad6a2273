"""Questions that are asked again and again beside the polls, each by itself.

One that is answered slowly, wrongly or never holds up no other: each has a task of its own, and is not asked again
while it is still open.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

Work = Callable[[], Coroutine[Any, Any, None]]
Questions = Callable[[], Iterable[tuple[str, Work]]]
"""What there is to ask now: a name that stays, and what asks."""
Pause = Callable[[str, bool], float]
"""Seconds between two times that a question is asked, by its name and whether somebody looks at its answers."""


class Rounds:
    """Asks questions when they are due.

    Attributes:
        wanted: whether somebody looks at the answers.
    """

    def __init__(self, pause: Pause, name: str) -> None:
        self._pause = pause
        self._name = name
        self.wanted = False
        self._wake = asyncio.Event()
        self._over: dict[str, float] = {}

    def want(self, wanted: bool) -> None:
        """Whether somebody looks at the answers from now on."""
        if wanted and not self.wanted:
            self._wake.set()
        self.wanted = wanted

    def look_now(self) -> None:
        """Somebody asked: everything is due."""
        self._over.clear()
        self._wake.set()

    async def keep(self, questions: Questions, *, first: float, look: float) -> None:
        """Asks again and again, until it is cancelled.

        Args:
            first: seconds until it begins; look: how often it is looked whether something is due.
        """
        self._over.clear()
        jobs: dict[str, asyncio.Task[None]] = {}
        await asyncio.sleep(first)
        try:
            while True:
                for key in [key for key, job in jobs.items() if job.done()]:
                    jobs.pop(key).result()
                for key, work in questions():
                    if key not in jobs and self._is_due(key):
                        jobs[key] = asyncio.create_task(self._ask(key, work()), name=f"{self._name} {key}")
                self._wake.clear()
                # Not `wait_for`: in Python 3.11 it loses a cancellation that comes as the event is set, and whoever
                # waits for the end of this would wait for ever.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(look):
                        await self._wake.wait()
        finally:
            for job in jobs.values():
                job.cancel()
            await asyncio.gather(*jobs.values(), return_exceptions=True)

    async def once(self, questions: Iterable[tuple[str, Work]]) -> None:
        """Asks all of them at the same time; returns when each was answered or given up."""
        await asyncio.gather(*(self._ask(key, work()) for key, work in questions))

    def _is_due(self, key: str) -> bool:
        over = self._over.get(key)
        return over is None or time.monotonic() - over >= self._pause(key, self.wanted)

    async def _ask(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            self._over[key] = time.monotonic()
