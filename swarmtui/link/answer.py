"""An endless answer, and the thread of its own that reads it."""

from __future__ import annotations

import asyncio
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator


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


class Reading(ABC):
    """One answer and its thread; whoever follows it waits for `news`.

    Args:
        open: opens the answer, in the thread.
    """

    def __init__(self, open: Open, name: str) -> None:
        self._open = open
        self._name = name
        self._lock = threading.Lock()
        self._opened = False
        self._ended: BaseException | bool = False
        self._closed = False
        self._answer: Answer | None = None
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begins to read; in the event loop of whoever follows."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, name=self._name, daemon=True).start()

    def close(self) -> None:
        """Ends the thread, at once where the answer has begun."""
        with self._lock:
            self._closed = True
            answer = self._answer
        if answer is not None:
            answer.shut()

    # -- in the thread ---------------------------------------------------------------------------------------------

    @abstractmethod
    def _feed(self, piece: bytes) -> None:
        """Takes a piece of the body. Raises OSError where it cannot be what was asked for."""

    @abstractmethod
    def _finished(self) -> None:
        """The body has come to its end."""

    def _read(self) -> None:
        ended: BaseException | bool = True
        try:
            answer = self._open()
            with self._lock:
                self._answer = answer
                self._opened = True
                closed = self._closed
            self._wake()
            if closed:
                return
            for piece in answer.pieces:
                self._feed(piece)
            self._finished()
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

    def _wake(self) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:
            # The loop has ended.
            pass
