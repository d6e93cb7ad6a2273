"""Turns an engine's events and polls into snapshots.

Swarm events carry no tasks and no loss of a manager (swarm-dr.md §7), so they only say "look now"; the truth is polled.
One poll at a time; a collection that cannot be read keeps its last value, with its age and the reason.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from swarmtui.errors import EngineError
from swarmtui.link.decode import Collection, decode_one, volumes_of
from swarmtui.link.heard import Heard
from swarmtui.link.pace import rest
from swarmtui.link.reasons import LinkError
from swarmtui.link.wanted import Wanted
from swarmtui.model.objects import Config, Network, Secret, Volume
from swarmtui.model.services import Service, Task
from swarmtui.model.snapshot import COLLECTIONS, ON_DEMAND, Reading, Snapshot
from swarmtui.model.swarm import Info, Node

POLL_SECONDS = 2.0
"""Pause between two polls of a quiet cluster."""
HINT_SECONDS = 0.15
"""Events come in bursts: a poll that an event asked for starts this long after the first of them."""
PARTIAL_SECONDS = 1.0
"""A poll that takes longer shows what it has: without a leader the engine blocks lists for 20 s, /info answers
sooner."""


_ON_DEMAND = frozenset(ON_DEMAND)


class _Found(NamedTuple):
    """What was read. missing: what the engine itself says is not in it."""

    values: Any
    missing: str = ""


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
        heard: keeps the engine's events.
        wanted: see `want`.

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
        heard: Heard | None = None,
        wanted: Iterable[str] = (),
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
        self._decoding = 0.0
        self._polling = False
        self._polled = polled
        self._heard = heard
        self._wanted = Wanted(self._read, lambda name, found: self._merge({name: found}))
        self._wanted.want(wanted)
        self._collections: dict[str, Collection[Any]] = {
            "nodes": Collection("nodes", Node),
            "services": Collection("services", Service),
            "tasks": Collection("tasks", Task),
            "networks": Collection("networks", Network),
            "secrets": Collection("secrets", Secret),
            "configs": Collection("configs", Config),
            "volumes": Collection("volumes", Volume),
        }

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    def want(self, names: Iterable[str]) -> None:
        """From now on exactly these of the collections on demand are read: at once, and after each poll."""
        self._wanted.want(names)

    def look_now(self) -> None:
        """Asks for a poll at once."""
        self._asked.set()
        self._wanted.look_now()

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
        self._wanted.start()
        try:
            while True:
                started, self._decoding = time.monotonic(), 0.0
                await self._poll()
                alone = rest(time.monotonic() - started, self._decoding)
                await self._sleep(max(self._poll_seconds, alone), max(HINT_SECONDS, alone))
                for job in (listener, *self._wanted.jobs):
                    if job.done():
                        job.result()
        finally:
            listener.cancel()
            await asyncio.gather(listener, self._wanted.stop(), return_exceptions=True)
            self._not_listening(f"The connection to {self._name} ended.")

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
                async for event in self._engine.events({"scope": ["swarm"]}):
                    self._hint.set()
                    if self._heard is not None:
                        self._heard.add(event, self._name)
            except EngineError as error:
                # Engines below API 1.30 know no Swarm events, and a manager without a leader may refuse them:
                # polls go on.
                self._not_listening(error.what)
                await asyncio.sleep(10 * self._poll_seconds)

    def _not_listening(self, why: str) -> None:
        if self._heard is not None:
            self._heard.gap(f"{why} What happened from then on until the next event is not known.", self._name)

    async def _poll(self) -> None:
        self._polling = True
        try:
            await self._look(("info", *COLLECTIONS))
        finally:
            self._polling = False
        # Only a poll that was not cut off counts: what a plan or a proof rests on was really asked for.
        self.polls += 1
        self._polled()
        self._wanted.polled()

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
        self._merge({reads[read]: read.exception() or read.result() for read in done})
        if pending:
            done, _ = await asyncio.wait(pending)
            self._merge({reads[read]: read.exception() or read.result() for read in done})

    async def _read(self, name: str) -> _Found:
        body, missing = await self._engine.get(f"/{name}", clean=False), ""
        if name == "info":
            return _Found(decode_one(body, Info, "itself"))
        if name == "volumes":
            body, missing = volumes_of(body)
        values = await asyncio.to_thread(self._decode, name, body)
        if name == "nodes" and not values:
            raise EngineError(
                "The engine's list of nodes is empty, which no Swarm's is.",
                "Is it a Docker engine, and not a proxy that answers in its place?",
            )
        if name == "networks":
            await self._check_networks(values)
        return _Found(values, missing)

    def _decode(self, name: str, body: bytes) -> Mapping[str, Any]:
        begun = time.thread_time()
        values = self._collections[name](body)
        self._decoding += time.thread_time() - begun
        return values

    async def _check_networks(self, found: Mapping[str, Network]) -> None:
        """Doubts a list in which networks of the Swarm may be missing.

        Engines swallow the failure to ask the Swarm: without a leader they list what they have themselves (moby,
        daemon/network: GetNetworks of the cluster; seen on 20.10 and 26.1).

        Raises:
            EngineError: the Swarm cannot be asked now.
        """
        if self._snapshot.readings.get("networks", Reading()).known:
            before = self._snapshot.networks.values()
            if all(network.is_local or network.id in found for network in before):
                return
        info = decode_one(await self._engine.get("/info", clean=False), Info, "itself")
        if info.swarm.error:
            raise EngineError("The engine lists only its own networks, because its Swarm cannot be asked now.")

    def _merge(self, reads: Mapping[str, _Found | BaseException]) -> None:
        if not reads:
            return
        old = self._snapshot
        now = time.time()
        values: dict[str, Any] = {}
        readings = dict(old.readings)
        for name, found in reads.items():
            if isinstance(found, _Found):
                values[name] = found.values
                readings[name] = Reading(now, found.missing)
            elif isinstance(found, EngineError) or (isinstance(found, LinkError) and name in ON_DEMAND):
                readings[name] = Reading(readings.get(name, Reading()).at, found.what)
            else:
                raise found
        for name in readings.keys() & _ON_DEMAND - self._wanted.names:
            # A trouble that nobody looks at any more is no news of the cluster.
            readings[name] = Reading(readings[name].at)
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
