"""Reads what is only looked at now and then: networks, secrets, configs, volumes.

Each such collection is read by a job of its own, at once when somebody begins to want it and then after every poll. A
volume plugin that hangs holds up neither the polls, on which plans rest, nor the other collections.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from swarmtui.errors import EngineError
from swarmtui.link.changes import Changes
from swarmtui.link.pace import rest
from swarmtui.link.reasons import LinkError

CALLS = 2
"""Such reads at a time: the rest of the engine's calls is for polls and for people."""
T = TypeVar("T")


class Wanted(Generic[T]):
    """The jobs of one watch.

    Args:
        read: reads a collection; raises EngineError or LinkError.
        take: is given what was read, or the error.
    """

    def __init__(
        self, read: Callable[[str], Awaitable[T]], take: Callable[[str, T | EngineError | LinkError], None]
    ) -> None:
        self._read = read
        self._take = take
        self._names: frozenset[str] = frozenset()
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._calls = asyncio.Semaphore(CALLS)
        self._changes = Changes()
        self._polls = 0
        self._asked = 0
        self._running = False

    @property
    def names(self) -> frozenset[str]:
        return self._names

    @property
    def jobs(self) -> Iterable[asyncio.Task[None]]:
        """What runs now. None of them ends by itself, unless by an error nobody foresaw."""
        return self._jobs.values()

    def want(self, names: Iterable[str]) -> None:
        """From now on exactly these are read."""
        self._names = frozenset(names)
        for name in self._jobs.keys() - self._names:
            self._jobs.pop(name).cancel()
        if self._running:
            for name in self._names - self._jobs.keys():
                self._jobs[name] = asyncio.create_task(self._keep(name), name=f"read {name}")

    def start(self) -> None:
        """Begins to read what is wanted."""
        self._running = True
        self.want(self._names)

    async def stop(self) -> None:
        """Reads no more."""
        self._running = False
        jobs, self._jobs = list(self._jobs.values()), {}
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def polled(self) -> None:
        """A poll is over, and the connection stands: what is wanted is due again."""
        self._polls += 1
        self._changes.tell()

    def look_now(self) -> None:
        """Somebody asked: nothing rests."""
        self._asked += 1
        self._changes.tell()

    async def _keep(self, name: str) -> None:
        while True:
            polls, asked = self._polls, self._asked
            async with self._calls:
                started = time.monotonic()
                found = await self._found(name)
                took = time.monotonic() - started
            if isinstance(found, LinkError):
                # Whether the connection is lost is for the polls to find: when they go on, it was only this list.
                await self._whole_poll()
            self._take(name, found)
            await self._due(polls, asked, time.monotonic() + rest(took))

    async def _found(self, name: str) -> T | EngineError | LinkError:
        try:
            return await self._read(name)
        except (EngineError, LinkError) as error:
            return error

    async def _whole_poll(self) -> None:
        """Until a poll is over that began after this call."""
        over = self._polls + 2  # The next one to be over may be under way already.
        await self._changes.until(lambda: self._polls >= over)

    async def _due(self, polls: int, asked: int, at: float) -> None:
        """Until somebody asks again, or a poll is over and the manager has rested."""
        await self._changes.until(
            lambda: self._asked > asked or (self._polls > polls and time.monotonic() >= at),
        )
