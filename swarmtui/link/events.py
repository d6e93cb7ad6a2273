"""An endless answer, read in a thread of its own and handed over line by line."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

LAGGED: Final = b""
"""Stands in a stream for the events that were dropped: whoever follows has to look at everything."""
QUEUE_MAX = 1_000
LINE_MAX = 1 << 20


class Answer:
    """An answer that has begun.

    Attributes:
        pieces: its body, piece by piece; reading blocks.
    """

    def __init__(self, pieces: Iterator[bytes], sock: socket.socket, finish: Callable[[], None]) -> None:
        self.pieces = pieces
        self._socket = sock
        self._finish = finish

    def shut(self) -> None:
        """Ends `pieces`, at once and from any thread."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # Closed already, from the other side or by the reader.
            pass

    def finish(self) -> None:
        """Gives everything back; only in the thread that reads."""
        self._finish()


Open = Callable[[], Answer]
"""Opens the answer; blocks."""


class EventStream:
    """One stream and its thread. Events that nobody takes are dropped all together, and `LAGGED` says so.

    Args:
        open: opens the answer, in the thread.
    """

    def __init__(self, open: Open, name: str) -> None:
        self._open = open
        self._name = name
        self._lines: deque[bytes] = deque()
        self._lagged = False
        self._ended: BaseException | bool = False
        self._closed = False
        self._answer: Answer | None = None
        self._lock = threading.Lock()
        self._wake: Callable[[], None] = lambda: None

    async def follow(self) -> AsyncIterator[bytes]:
        """Yields the lines as they come, until the answer ends.

        Raises:
            Exception: whatever opening or reading raised.
        """
        loop = asyncio.get_running_loop()
        news = asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(news.set)
            except RuntimeError:
                # The loop has ended.
                pass

        self._wake = wake
        threading.Thread(target=self._read, name=self._name, daemon=True).start()
        while True:
            await news.wait()
            news.clear()
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

    def close(self) -> None:
        """Ends the thread, at once where the answer has begun."""
        with self._lock:
            self._closed = True
            answer = self._answer
        if answer is not None:
            answer.shut()

    def _read(self) -> None:
        ended: BaseException | bool = True
        try:
            answer = self._open()
            with self._lock:
                self._answer = answer
                closed = self._closed
            if closed:
                return
            rest = b""
            for piece in answer.pieces:
                *lines, rest = (rest + piece).split(b"\n")
                self._put([line for line in lines if line.strip()])
                if len(rest) > LINE_MAX:
                    raise OSError("an event has no end")
        # The boundary of a thread: whatever it is, it belongs to the one who follows.
        except BaseException as error:  # noqa: BLE001
            ended = error
        finally:
            with self._lock:
                opened, self._answer = self._answer, None
                self._ended = ended
            if opened is not None:
                opened.finish()
            self._wake()

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
