"""A watch over an engine in memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from swarmtui.link.heard import Heard
from swarmtui.link.watch import Watch
from swarmtui.model.snapshot import Snapshot
from tests import builders as b

INFO: b.Json = {"Name": "mgr1", "Swarm": {"NodeID": "n1", "Cluster": {"ID": "c1"}}}
Answer = Any | Exception | Callable[[], Awaitable[Any]]


class Engine:
    """Answers each path with a value, an error, or what a function returns when it is asked."""

    def __init__(self, **answers: Answer) -> None:
        self.answers: dict[str, Answer] = {
            "info": INFO,
            "nodes": [b.node("mgr1", id="n1")],
            "services": [],
            "tasks": [],
            **answers,
        }
        self.asked: list[tuple[str, float]] = []
        self.queue: asyncio.Queue[Exception | bytes | None] = asyncio.Queue()
        self.followed = 0
        self.filters: Mapping[str, list[str]] = {}

    async def get(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout: float | None = None, clean: bool = True
    ) -> bytes:
        name = path.strip("/")
        self.asked.append((name, time.monotonic()))
        answer = self.answers[name]
        if callable(answer):
            answer = await answer()
        if isinstance(answer, Exception):
            raise answer
        return json.dumps(answer).encode()

    async def events(self, filters: Mapping[str, list[str]]) -> AsyncIterator[bytes]:
        self.followed += 1
        self.filters = filters
        try:
            while True:
                event = await self.queue.get()
                if isinstance(event, Exception):
                    raise event
                yield event if event is not None else b'{"Type":"node"}'
        finally:
            self.followed -= 1

    def event(self, *events: Exception | bytes) -> None:
        """Events without words, unless some are given; an exception ends the stream."""
        for event in events or (None,):
            self.queue.put_nowait(event)

    def count(self, name: str = "nodes") -> int:
        return sum(asked == name for asked, _ in self.asked)


class Watched:
    """A watch that runs, and all it published."""

    def __init__(self, engine: Engine, poll_seconds: float, start: Snapshot, wanted: tuple[str, ...]) -> None:
        self.published: list[Snapshot] = []
        self.told = 0
        self.rang = 0
        self.heard = Heard(self._rung)
        self.watch = Watch(
            engine,
            name="mgr1",
            start=start,
            publish=self.published.append,
            polled=self._polled,
            heard=self.heard,
            wanted=wanted,
            poll_seconds=poll_seconds,
        )
        self.task = asyncio.create_task(self.watch.run())

    def _polled(self) -> None:
        self.told += 1

    def _rung(self) -> None:
        self.rang += 1

    @property
    def last(self) -> Snapshot:
        return self.published[-1]

    async def polls(self, count: int) -> None:
        await until(lambda: self.watch.polls >= count)


@asynccontextmanager
async def watching(
    engine: Engine, *, poll_seconds: float = 30.0, start: Snapshot | None = None, wanted: tuple[str, ...] = ()
) -> AsyncIterator[Watched]:
    watched = Watched(engine, poll_seconds, start or Snapshot(), wanted)
    try:
        yield watched
    finally:
        watched.task.cancel()
        await asyncio.gather(watched.task, return_exceptions=True)
        watched.heard.close()


async def until(so: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not so():  # noqa: ASYNC110  # what is waited for is anything at all
            await asyncio.sleep(0.002)
