"""Threads of our own for blocking calls: bounded, and never in the way of leaving the program.

The event loop's default executor is shared and small (six event streams starve it), and every ThreadPoolExecutor is
joined at exit: a call that hangs for 25 s without a leader would hold the program for as long.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class DaemonPool:
    """A few daemon threads that make blocking calls for an event loop. They start when first needed.

    Args:
        size: calls at a time; more wait in a queue.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = 0
        self._idle = 0
        self._closed = False
        self._lock = threading.Lock()

    async def run(self, call: Callable[[], T]) -> T:
        """Makes a blocking call in a thread and returns what it returns.

        Cancelling drops the call if it still waits, and its result if it runs.

        Raises:
            ConnectionError: the pool is closed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            if self._closed:
                raise ConnectionError("closed")
            if self._idle <= 0 and self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
            else:
                self._idle -= 1
        self._jobs.put((call, loop, future))
        return await future

    def close(self) -> None:
        """Lets the threads end once what was asked for is done."""
        with self._lock:
            for _ in range(self._threads):
                self._jobs.put(None)
            self._closed = True

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, loop, future = job
            if not future.cancelled():
                try:
                    result, error = call(), None
                # The boundary of a thread: whatever it is, it belongs to the one who waits.
                except BaseException as caught:  # noqa: BLE001
                    result, error = None, caught
                _deliver(loop, future, result, error)
                del call, result, error
            del job, future
            with self._lock:
                self._idle += 1


def _deliver(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], result: Any, error: BaseException | None
) -> None:
    def deliver() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    try:
        loop.call_soon_threadsafe(deliver)
    except RuntimeError:
        # The loop has ended: nobody waits any more.
        pass
