"""The engine's events, line by line as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from swarmtui.link.answer import Open, Reading

LAGGED: Final = b""
"""Stands in a stream for the events that were dropped: whoever follows has to look at everything."""
QUEUE_MAX = 1_000
LINE_MAX = 1 << 20


class EventStream(Reading):
    """One stream and its thread. Events that nobody takes are dropped all together, and `LAGGED` says so.

    Args:
        open: opens the answer, in the thread.
    """

    def __init__(self, open: Open, name: str) -> None:
        super().__init__(open, name)
        self._lines: deque[bytes] = deque()
        self._lagged = False
        self._rest = b""

    async def follow(self) -> AsyncIterator[bytes]:
        """Yields the lines as they come, until the answer ends.

        Raises:
            Exception: whatever opening or reading raised.
        """
        self.start()
        while True:
            await self._news.wait()
            self._news.clear()
            with self._lock:
                lines, self._lines = self._lines, deque()
                lagged, self._lagged = self._lagged, False
                ended = self._ended
            if lagged:
                yield LAGGED
            for line in lines:
                yield line
            if isinstance(ended, BaseException):
                raise ended
            if ended:
                return

    def _feed(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self._put([line for line in lines if line.strip()])
        if len(self._rest) > LINE_MAX:
            raise OSError("an event has no end")

    def _finished(self) -> None:
        """What came without an end of its line is no event."""

    def _put(self, lines: list[bytes]) -> None:
        if not lines:
            return
        with self._lock:
            first = not self._lines and not self._lagged
            if len(self._lines) + len(lines) > QUEUE_MAX:
                self._lines.clear()
                self._lagged = True
            else:
                self._lines.extend(lines)
        if first:
            self._wake()
