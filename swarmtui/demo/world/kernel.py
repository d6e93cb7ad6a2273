"""Simulated time: a queue of timers, driven by the wall clock or, in tests, by hand.

Timestamps are always wall-clock time, because the people who look at the demo compare them with their own clock.
Being sped up therefore shortens *durations*: `after(10)` at speed 20 fires half a second later.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_SLICE = 200
"""Timers run in one go before the event loop gets a turn."""


@dataclass(order=True, slots=True)
class Timer:
    """One thing that is going to happen; `cancel()` it while it has not."""

    when: float
    number: int
    action: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        """Forget it. Harmless when it already happened."""
        self.action = None


class Kernel:
    """The clock of one world and everything that waits for it.

    Args:
        start: the time the world begins, in seconds since the epoch; the wall clock if not given.
        speed: how many simulated seconds pass in one real one.
    """

    def __init__(self, start: float | None = None, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError("speed must be greater than zero")
        self._live = start is None
        self.start = time.time() if start is None else start
        self.speed = speed
        self._now = self.start
        self._queue: list[Timer] = []
        self._numbers = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._origin = 0.0

    def now(self) -> float:
        """Seconds since the epoch; never goes backwards."""
        if self._loop is not None:
            self._now = max(self._now, self._origin + self._loop.time())
        return self._now

    def after(self, delay: float, action: Callable[[], None]) -> Timer:
        """Run `action` once, `delay` simulated seconds from now."""
        timer = Timer(self.now() + max(delay, 0.0) / self.speed, next(self._numbers), action)
        heapq.heappush(self._queue, timer)
        if self._loop is not None and self._queue[0] is timer:
            self._arm()
        return timer

    async def sleep(self, delay: float) -> None:
        """Wait `delay` simulated seconds; in a world that nobody drives they pass at once."""
        if self._loop is None:
            self.advance(delay)
            await asyncio.sleep(0)
            return
        done = asyncio.get_running_loop().create_future()
        timer = self.after(delay, lambda: None if done.done() else done.set_result(None))
        try:
            await done
        finally:
            timer.cancel()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on let the wall clock of `loop` drive the timers."""
        if self._live:
            self._now = max(self._now, time.time())
        self._loop = loop
        self._origin = self._now - loop.time()
        self._arm()

    def detach(self) -> None:
        """Stop being driven; time stands still."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self.now()
        self._loop = None

    def advance(self, seconds: float) -> None:
        """Let `seconds` simulated seconds pass at once, running what is due in order. Only while not attached."""
        if self._loop is not None:
            raise RuntimeError("the wall clock drives this world")
        end = self._now + seconds / self.speed
        while self._queue and self._queue[0].when <= end:
            timer = heapq.heappop(self._queue)
            self._now = max(self._now, timer.when)
            if timer.action is not None:
                timer.action()
        self._now = end

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._loop is not None and self._queue:
            self._handle = self._loop.call_at(self._queue[0].when - self._origin, self._run_due)

    def _run_due(self) -> None:
        self._handle = None
        now = self.now()
        for _ in range(_SLICE):
            if not self._queue or self._queue[0].when > now:
                break
            timer = heapq.heappop(self._queue)
            if timer.action is not None:
                timer.action()
        self._arm()
