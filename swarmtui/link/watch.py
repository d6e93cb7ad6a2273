"""Turns an engine's events and polls into snapshots.

Swarm events carry no tasks and no loss of a manager (swarm-dr.md §7), so they only say "look now"; the truth is polled.
One poll at a time; a collection that cannot be read keeps its last value, with its age and the reason.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from msgspec.structs import replace

from swarmtui.errors import EngineError
from swarmtui.link.decode import Collection, decode_one
from swarmtui.link.reasons import LinkError
from swarmtui.model.swarm import COLLECTIONS, Info, Node, Reading, Service, Snapshot, Task

POLL_SECONDS = 2.0
"""Pause between two polls of a quiet cluster."""
HINT_SECONDS = 0.15
"""Events come in bursts: a poll that an event asked for starts this long after the first of them."""
PARTIAL_SECONDS = 1.0
"""A poll that takes longer shows what it has: without a leader the engine blocks lists for 20 s, /info answers
sooner."""
LOAD = 5.0
"""A poll that took t seconds is not repeated before LOAD·t: at most a sixth of the manager's time is ours."""
REST_SECONDS = 10.0
"""... but after so long it is: a Swarm without a leader answers after 20 s, and may have one again at any moment."""


class Source(Protocol):
    """What a watch needs of an engine."""

    async def get(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout: float | None = None, clean: bool = True
    ) -> bytes: ...

    def events(self, filters: Mapping[str, list[str]]) -> Any: ...


class Watch:
    """Keeps a snapshot of one cluster fresh through one engine.

    Args:
        name: what people call the manager it goes through.
        start: the snapshot to go on from, with this engine's info; what cannot be read keeps its values.
        publish: called on the event loop with every new snapshot.
        polled: called on the event loop after every poll, also one that changed nothing.

    Attributes:
        polls: how many polls are over.
    """

    def __init__(
        self,
        engine: Source,
        *,
        name: str,
        start: Snapshot,
        publish: Callable[[Snapshot], None],
        polled: Callable[[], None] = lambda: None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._engine = engine
        self._name = name
        self._snapshot = start
        self._publish = publish
        self._poll_seconds = poll_seconds
        self._hint = asyncio.Event()
        self._asked = asyncio.Event()
        self.polls = 0
        self._polling = False
        self._polled = polled
        self._collections: dict[str, Collection[Any]] = {
            "nodes": Collection("nodes", Node),
            "services": Collection("services", Service),
            "tasks": Collection("tasks", Task),
        }

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    def look_now(self) -> None:
        """Asks for a poll at once."""
        self._asked.set()

    def ask(self) -> int:
        """Asks for a poll that begins after this call; it is over when `polls` has reached the number returned."""
        self._asked.set()
        # The poll under way may have asked before this call: the one after it has not.
        return self.polls + (2 if self._polling else 1)

    async def run(self) -> None:
        """Polls and listens until the connection is lost or the task is cancelled.

        Raises:
            LinkError: the connection is lost.
        """
        # What people look at first is read first, and alone: on a new connection every further request costs a channel.
        if not self._snapshot.nodes_known:
            await self._look(("nodes",))
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                started = time.monotonic()
                await self._poll()
                rest = min(LOAD * (time.monotonic() - started), REST_SECONDS)
                await self._sleep(max(self._poll_seconds, rest), max(HINT_SECONDS, rest))
                if listener.done():
                    listener.result()
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def _sleep(self, pause: float, hinted: float) -> None:
        """Until the next poll: at once when somebody asks, not before `hinted` seconds for an event, else `pause`."""
        end = time.monotonic() + hinted
        hint = asyncio.create_task(self._hint.wait())
        asked = asyncio.create_task(self._asked.wait())
        try:
            await asyncio.wait((hint, asked), timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done() and hint.done():
                await asyncio.wait((asked,), timeout=max(HINT_SECONDS, end - time.monotonic()))
        finally:
            hint.cancel()
            asked.cancel()
        self._hint.clear()
        self._asked.clear()

    async def _listen(self) -> None:
        while True:
            try:
                async for _ in self._engine.events({"scope": ["swarm"]}):
                    self._hint.set()
            except EngineError:
                # Engines below API 1.30 know no Swarm events, and a manager without a leader may refuse them:
                # polls go on.
                await asyncio.sleep(10 * self._poll_seconds)

    async def _poll(self) -> None:
        self._polling = True
        try:
            await self._look(("info", *COLLECTIONS))
        finally:
            self._polling = False
        # Only a poll that was not cut off counts: what a plan or a proof rests on was really asked for.
        self.polls += 1
        self._polled()

    async def _look(self, names: Iterable[str]) -> None:
        reads = {asyncio.create_task(self._read(name)): name for name in names}
        try:
            await self._collect(reads)
        finally:
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)

    async def _collect(self, reads: dict[asyncio.Task[Any], str]) -> None:
        done, pending = await asyncio.wait(reads, timeout=PARTIAL_SECONDS)
        self._merge({reads[read]: read for read in done})
        if pending:
            done, _ = await asyncio.wait(pending)
            self._merge({reads[read]: read for read in done})

    async def _read(self, name: str) -> Any:
        body = await self._engine.get(f"/{name}", clean=False)
        if name == "info":
            return decode_one(body, Info, "itself")
        values = await asyncio.to_thread(self._collections[name], body)
        if name == "nodes" and not values:
            raise EngineError(
                "The engine's list of nodes is empty, which no Swarm's is.",
                "Is it a Docker engine, and not a proxy that answers in its place?",
            )
        return values

    def _merge(self, reads: Mapping[str, asyncio.Task[Any]]) -> None:
        if not reads:
            return
        old = self._snapshot
        now = time.time()
        values: dict[str, Any] = {}
        readings = dict(old.readings)
        for name, read in reads.items():
            error = read.exception()
            if error is None:
                values[name] = read.result()
                readings[name] = Reading(now)
            elif isinstance(error, LinkError):
                raise error
            elif isinstance(error, EngineError):
                readings[name] = Reading(readings.get(name, Reading()).at, error.what)
            else:
                raise error
        new = replace(
            old,
            seq=old.seq + 1,
            taken_at=now,
            source=self._name,
            readings=readings,
            **values,
        )
        cluster = new.info.swarm.cluster
        if cluster is not None and cluster.id:
            new = replace(new, cluster_id=cluster.id)
        self._snapshot = new
        self._publish(new)
