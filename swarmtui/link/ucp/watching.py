"""Looks at UCP beside the polls: its components on the nodes, and how each manager's web server is.

Each question runs by itself and has its own seconds, so one that is answered slowly, wrongly or never holds up no
other, and nothing here holds up a poll. Managers are always looked at; workers, of which there may be hundreds, only
while somebody looks at UCP. Where there is no UCP nobody is asked anything.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from swarmtui.link.node_engines import EngineOf, Get, HostOf, NodeEngines, Opener, Through, from_inside, within
from swarmtui.link.rounds import Rounds, Work
from swarmtui.link.ucp.parts import read_parts
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.ucp.status import BALANCER, Certificate, Component, Door, Parts, UcpSeen, port_of, runs_ucp
from swarmtui.model.url import https_url

FIRST_SECONDS = 1.0
"""After a connection stands: the first table comes first."""
LOOK_SECONDS = 2.0
"""How often it is looked whether something is due; that costs nothing."""
DOOR_SECONDS = 20.0
PARTS_SECONDS = 30.0
WANTED_SECONDS = 10.0
"""Between two looks: at a web server, at a node's components, and at either while somebody looks at UCP."""
PATIENCE = 6.0
"""For a web server. UCP's own checks of etcd and RethinkDB take up to 10 where those are ill, and then the answer is
that it is not well."""
ASK_SECONDS = 10.0
"""For a node: SSH may have to be opened first."""
MOST_NODES = 64
"""Nodes whose components are read: each is a connection of its own that stays open."""
RENEW_SECONDS = 60.0
"""How often a look that found nothing new is told, so that it does not seem older than it is."""
EVERY: Final = "*"
"""In place of a node's id: all nodes, which UCP itself tells of in one answer."""

Addresses = Callable[[], tuple[str, Mapping[str, str]]]
"""The load balancer's address, and those of managers by their names; "" and none where nobody said."""


async def look_at(url: str, opener: Opener, *, patience: float, before: Certificate | None) -> Door:
    """`door.look_at`, imported where there is UCP only: its HTTP takes longer to import than all else here."""
    module = await asyncio.to_thread(importlib.import_module, "swarmtui.link.ucp.door")
    found: Door = await module.look_at(url, opener, patience=patience, before=before)
    return found


class UcpWatch:
    """What is read of UCP beside the polls.

    Args:
        snapshot: the newest.
        through, get: the engine in use, which is not opened once more.
        host_of, engine_of: another node's host, and the engine of its own socket; ask nobody anything.
        addresses: where its web servers are, as far as somebody said.
        found: is told everything, whenever it differs from before; None where UCP is no more.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        through: Through,
        get: Get,
        host_of: HostOf,
        engine_of: EngineOf,
        addresses: Addresses,
        found: Callable[[UcpSeen | None], None],
    ) -> None:
        self._snapshot = snapshot
        self._through = through
        self._get = get
        self._engines = NodeEngines(through, get, host_of, engine_of)
        self._addresses = addresses
        self._found = found
        self._opener: Opener = asyncio.open_connection
        self._rounds = Rounds(_pause, "ucp")

    def want(self, wanted: bool) -> None:
        """Whether somebody looks at UCP: then all nodes are read, and oftener."""
        self._rounds.want(wanted)

    def look_now(self) -> None:
        """Somebody asked: everything is due."""
        self._rounds.look_now()

    async def keep(self, opener: Opener) -> None:
        """Looks again and again, until it is cancelled.

        Args:
            opener: opens a TCP connection to a manager's own address, where nobody said another one.
        """
        self._opener = opener
        await self._rounds.keep(self._now, first=FIRST_SECONDS, look=LOOK_SECONDS)

    async def look(self, *, everything: bool) -> None:
        """Looks once, at all of it at the same time; returns when each was answered or given up.

        Args:
            everything: at the components of workers as well.
        """
        now = self._snapshot()
        if runs_ucp(now):
            await self._rounds.once(self._questions(now, everything=everything))

    # -- what there is to ask ----------------------------------------------------------------------------------------

    def _now(self) -> Iterable[tuple[str, Work]]:
        now = self._snapshot()
        if runs_ucp(now):
            return self._questions(now, everything=self._rounds.wanted)
        if now.ucp is not None and _read(now):
            self._found(None)
        return ()

    def _questions(self, now: Snapshot, *, everything: bool) -> Iterable[tuple[str, Work]]:
        self._forget(now)
        balancer, named = self._addresses()
        if balancer:
            yield f"door {BALANCER}", partial(self._door, BALANCER, balancer, asyncio.open_connection)
        nodes = sorted(now.nodes.values(), key=lambda node: (not node.is_voter, node.name))
        seen = now.ucp or UcpSeen()
        for node in nodes:
            if node.is_voter and (url := named.get(node.hostname) or named.get(node.id)):
                yield f"door {node.id}", partial(self._door, node.id, url, asyncio.open_connection)
            elif node.is_voter and node.address and self._through()[1] != "tls":
                url = https_url(node.address, port_of(seen.parts.get(node.id)))
                yield f"door {node.id}", partial(self._door, node.id, url, self._from_inside)
        if self._through()[1] == "tls":
            yield f"parts {EVERY}", self._all_parts
            return
        # A node that is down is not touched: whoever stopped its Docker meant it.
        for node in [node for node in nodes if node.is_ready and (everything or node.is_voter)][:MOST_NODES]:
            yield f"parts {node.id}", partial(self._parts, node)

    def _forget(self, now: Snapshot) -> None:
        """What was read of nodes that are no more, or are no managers any more."""
        seen = now.ucp
        if seen is None:
            return
        voters = {node.id for node in now.nodes.values() if node.is_voter}
        balancer, _ = self._addresses()
        doors = {k: door for k, door in seen.doors.items() if k in voters or (k == BALANCER and balancer)}
        parts = {key: one for key, one in seen.parts.items() if key in now.nodes}
        if len(doors) < len(seen.doors) or len(parts) < len(seen.parts):
            self._found(replace(seen, doors=doors, parts=parts))

    async def _from_inside(self, host: str, port: int) -> tuple[Any, Any]:
        return await from_inside(self._opener, host, port)

    # -- one question each -------------------------------------------------------------------------------------------

    async def _door(self, key: str, url: str, opener: Opener) -> None:
        last = (self._snapshot().ucp or UcpSeen()).doors.get(key)
        shown = last.certificate if last is not None else None
        door = await look_at(url, opener, patience=PATIENCE, before=shown)
        seen = self._snapshot().ucp or UcpSeen()
        before = seen.doors.get(key)
        if before is None or self._rounds.wanted or _old(before.at) or _same_door(before) != _same_door(door):
            self._found(replace(seen, doors={**seen.doors, key: door}))

    async def _parts(self, node: Node) -> None:
        found = await self._engines.read(node, read_parts, ASK_SECONDS)
        if isinstance(found, str):
            self._took(node.id, (), found)
        else:
            self._took(node.id, found.get("", ()), "")

    async def _all_parts(self) -> None:
        found = await within(read_parts(self._get), ASK_SECONDS)
        nodes, through = self._snapshot().nodes, self._through()[0]
        if isinstance(found, str):
            self._took(through, (), found)
        elif set(found) <= {""}:  # an engine behind TLS that is not UCP's tells of itself only
            self._took(through, found.get("", ()), "")
        else:
            for node in nodes.values():
                self._took(node.id, found.get(node.hostname, ()), "")

    def _took(self, node_id: str, components: tuple[Component, ...], trouble: str) -> None:
        now = self._snapshot()
        if node_id not in now.nodes:
            return
        seen = now.ucp or UcpSeen()
        before = seen.parts.get(node_id, Parts())
        # What cannot be read keeps its last value, with the time when that was read.
        parts = replace(before, trouble=trouble) if trouble else Parts(components, time.time())
        same = (before.components, before.trouble) == (parts.components, parts.trouble)
        if not same or (parts.at != before.at and _old(before.at)):
            self._found(replace(seen, parts={**seen.parts, node_id: parts}))


def _pause(key: str, wanted: bool) -> float:
    usual = DOOR_SECONDS if key.startswith("door ") else PARTS_SECONDS
    return WANTED_SECONDS if wanted else usual


def _same_door(door: Door) -> Door:
    return replace(door, at=0.0, took=0.0)


def _old(at: float) -> bool:
    return time.time() - at > RENEW_SECONDS


def _read(now: Snapshot) -> bool:
    reading = now.readings.get("services")
    return reading is not None and reading.known
