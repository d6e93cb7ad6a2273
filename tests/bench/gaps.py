"""How long the event loop does not get round, seen from within and without disturbing it."""

from __future__ import annotations

import asyncio
import time

PAUSE_MS = 1.0
WINDOW_SECONDS = 0.1


class LoopGaps:
    """Asks the loop for a turn every millisecond; what comes later than that is a gap.

    Attributes:
        longest: ms of the longest gap, as a person would wait, with all that else goes on in the machine.
        computed: ms that the loop's own thread computed in the gap in which it computed most.
        windows: the longest gap of each tenth of a second, and the most computed in one gap of it; both in ms. Nothing
            is kept of every turn: that alone would call the cycle collector.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self.computed = 0.0
        self.windows: dict[int, tuple[float, float]] = {}

    async def __aenter__(self) -> LoopGaps:
        self._task = asyncio.create_task(self._watch())
        await asyncio.sleep(0.02)
        self.longest = self.computed = 0.0
        self.windows.clear()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        begun = time.perf_counter()
        wall, cpu = begun, time.thread_time()
        while True:
            await asyncio.sleep(PAUSE_MS / 1000)
            wall_now, cpu_now = time.perf_counter(), time.thread_time()
            gap, computed = (wall_now - wall) * 1000 - PAUSE_MS, (cpu_now - cpu) * 1000
            self.longest = max(self.longest, gap)
            self.computed = max(self.computed, computed)
            window = int((wall_now - begun) / WINDOW_SECONDS)
            worst = self.windows.get(window, (0.0, 0.0))
            if gap > worst[0] or computed > worst[1]:
                self.windows[window] = max(gap, worst[0]), max(computed, worst[1])
            wall, cpu = wall_now, cpu_now
