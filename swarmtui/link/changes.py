"""Waiting until something is so, without polling and without a lock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Changes:
    """Wakes everybody who waits whenever something changed. For one event loop."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    def tell(self) -> None:
        """Something changed: everybody who waits looks again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, so: Callable[[], bool]) -> None:
        """Returns once `so()` is true; looks at once and after every change."""
        while not so():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
