"""One log answer, read in a thread of its own into a bounded queue, and taken in batches at the reader's pace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from operator import attrgetter
from sys import getsizeof
from typing import Final

from msgspec import Struct

from swarmtui.link.answer import Open, Reading
from swarmtui.link.log_frames import Assembler, LogLine

QUEUE_LINES: Final = 20_000
QUEUE_BYTES: Final = 16 << 20
LINE_COST: Final = 150
"""Bytes that a line costs besides its text, about."""
_when = attrgetter("when")
_text = attrgetter("text")


class Taken(Struct, frozen=True):
    """What was taken from a stream.

    Attributes:
        lines: by time, as far as they came together: several nodes write into one stream.
        dropped: lines that came before these and were not kept, because nobody took them in time.
    """

    lines: list[LogLine]
    dropped: int = 0


class LogStream(Reading):
    """A log answer and its thread. When nobody takes the lines, the oldest are dropped, and counted.

    Args:
        open: opens the answer, in the thread.
        name: of the thread.
        explain: makes what a person can be told out of what opening or reading raised.
        closed: called once when the stream is closed.
    """

    def __init__(
        self,
        open: Open,
        name: str,
        *,
        explain: Callable[[BaseException], BaseException],
        closed: Callable[[LogStream], None] = lambda stream: None,
        lines_max: int = QUEUE_LINES,
        bytes_max: int = QUEUE_BYTES,
    ) -> None:
        super().__init__(open, name)
        self._explain = explain
        self._on_close = closed
        self._lines_max = lines_max
        self._bytes_max = bytes_max
        self._lines: deque[LogLine] = deque()
        self._bytes = 0
        self._dropped = 0
        self._assembler = Assembler()
        self.start()

    async def opened(self) -> None:
        """Returns once the engine has begun to answer.

        Raises:
            SwarmtuiError: it refused, or cannot be reached.
        """
        while True:
            self._news.clear()
            with self._lock:
                opened, ended = self._opened, self._ended
            if opened:
                self._news.set()
                return
            self._raise(ended)
            await self._news.wait()

    async def take(self, most: int) -> Taken | None:
        """Waits for lines, and takes at most so many; None when the engine has ended the answer.

        Raises:
            SwarmtuiError: the connection was lost; after all lines that came before were taken.
        """
        while True:
            self._news.clear()
            with self._lock:
                if self._lines:
                    break
                ended = self._ended
            if ended:
                self._raise(ended)
                return None
            await self._news.wait()
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            lines = [self._lines.popleft() for _ in range(min(most, len(self._lines)))]
            self._bytes -= weight(lines)
        if not lines[0].joined and all(map(_when, lines)):
            lines.sort(key=_when)
        return Taken(lines, dropped)

    def _raise(self, ended: BaseException | bool) -> None:
        if isinstance(ended, BaseException):
            error = self._explain(ended)
            raise error from (ended if error is not ended else None)

    def close(self) -> None:
        """Ends the thread, at once where the answer has begun."""
        closed = self._closed
        super().close()
        if not closed:
            self._on_close(self)

    # -- in the thread ---------------------------------------------------------------------------------------------

    def _feed(self, piece: bytes) -> None:
        self.add(self._assembler.feed(piece))
        if self._assembler.broken:
            raise OSError("what came is no frame of a log")

    def _finished(self) -> None:
        self.add(self._assembler.finish())

    def add(self, lines: list[LogLine]) -> None:
        """Puts lines at the end; from any thread."""
        if not lines:
            return
        heavy = weight(lines)  # not while the event loop may wait for the lock
        with self._lock:
            first = not self._lines
            self._lines.extend(lines)
            self._bytes += heavy
            while len(self._lines) > self._lines_max or self._bytes > self._bytes_max:
                line = self._lines.popleft()
                self._bytes -= weight([line])
                self._dropped += not line.joined
        if first:
            self._wake()


def weight(lines: list[LogLine]) -> int:
    """Bytes of memory that lines take, about."""
    return sum(map(getsizeof, map(_text, lines))) + LINE_COST * len(lines)
