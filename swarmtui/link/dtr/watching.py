"""Looks at DTR beside the polls: what of it lies on which node, how each replica's web server is, and what it says.

As with UCP each question runs by itself and has its own seconds: a DTR that answers slowly, wrongly or never holds up
nothing. Whether there is one at all the Swarm tells by its network `dtr-ol` (ucp-dtr.md §4.3): without that, and
without a word of it in the configuration, no node is asked. Where it is, nodes are searched once; afterwards those
that have something of it are read again and again, and the rest seldom.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from swarmtui.errors import SwarmtuiError
from swarmtui.link.dtr import behind, memory
from swarmtui.link.node_engines import EngineOf, Get, HostOf, NodeEngines, Opener, Through, from_inside, within
from swarmtui.link.rounds import Rounds, Work
from swarmtui.model.dtr import facts
from swarmtui.model.dtr.ping import judged
from swarmtui.model.dtr.seen import BALANCER, DtrSeen, Held, Place, Told
from swarmtui.model.dtr.status import Replica, cluster
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.ucp.status import Door, host_in
from swarmtui.model.url import https_url

if TYPE_CHECKING:
    from swarmtui.link.dtr.asking import Asking, At

FIRST_SECONDS = 1.5
"""After a connection stands: the first table comes first, and then UCP."""
LOOK_SECONDS = 2.0
DOOR_SECONDS = 20.0
HELD_SECONDS = 30.0
TOLD_SECONDS = 30.0
WANTED_SECONDS = 10.0
"""Between two looks: at a web server, at a node, at the API, and at any of them while somebody looks at DTR."""
SEARCH_SECONDS = 300.0
"""Between two looks for the network, and at nodes that had nothing of DTR."""
PATIENCE = 6.0
"""For a web server, as for UCP's."""
ASK_SECONDS = 10.0
"""For a node: SSH may have to be opened first."""
API_SECONDS = 20.0
"""For the API, all that is asked of it."""
MOST_NODES = 64
"""Nodes that are searched: each is a connection of its own that stays open."""
LIKELY_NODES = 16
"""... of these, by a look that shall be quick."""
ALL_SECONDS = 60.0
"""For one look at all of it."""
NOTE: Final = 3600.0
"""How often it is written down which replicas there are, where they are the same."""
RENEW_SECONDS = 60.0
"""How often a look that found nothing new is told, so that it does not seem older than it is."""
EVERY: Final = "*"
_SYSTEM: Final = ("com.docker.ucp.access.label", "/System")
"""The label of nodes that are managers or have DTR (ucp-dtr.md §4.5): those are searched first."""
_NETWORK: Final = {"filters": f'{{"name":["{facts.NETWORK}"]}}'}

Addresses = Callable[[], tuple[str, Mapping[str, str]]]
"""The load balancer's address, and those of replicas by the names of their nodes; "" and none where nobody said."""


class _Network(msgspec.Struct, rename="pascal"):
    name: str = ""


async def look_at(url: str, opener: Opener, *, patience: float) -> Door:
    """`door.look_at`, imported where there is DTR only: its HTTP takes longer to import than all else here."""
    module = await asyncio.to_thread(importlib.import_module, "swarmtui.link.ucp.door")
    found: Door = await module.look_at(url, opener, patience=patience, product="DTR")
    return judged(found)


class DtrWatch:
    """What is read of DTR beside the polls.

    Args:
        snapshot: the newest.
        through, get: the engine in use, which is not opened once more.
        host_of, engine_of: another node's host, and the engine of its own socket; ask nobody anything.
        addresses: where its web servers are, as far as somebody said.
        asking: makes, once and where there is DTR only, what asks its API.
        found: is told everything, whenever it differs from before; None where there is no DTR.
        folder: where it is kept which replicas there were.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        through: Through,
        get: Get,
        host_of: HostOf,
        engine_of: EngineOf,
        addresses: Addresses,
        asking: Callable[[], Asking],
        found: Callable[[DtrSeen | None], None],
        folder: Path,
    ) -> None:
        self._snapshot = snapshot
        self._engines = NodeEngines(through, get, host_of, engine_of)
        self._addresses = addresses
        self._make_asking = asking
        self._asking: Asking | None = None
        self._found = found
        self._folder = folder
        self._kept: Mapping[str, Place] | None = None
        self._noted = 0.0
        self._opener: Opener = asyncio.open_connection
        self._network: bool | None = None
        self._behind = behind.BehindWatch(snapshot, self._engines, found, self._places)
        self._rounds = Rounds(self._pause, "dtr")

    def want(self, wanted: bool) -> None:
        """Whether somebody looks at DTR: then it is read oftener."""
        self._rounds.want(wanted)

    def look_now(self) -> None:
        """Somebody asked: everything is due, also the nodes that had nothing of DTR."""
        if self._asking is not None:
            self._asking.again()
        self._behind.again()
        self._rounds.look_now()

    async def keep(self, opener: Opener) -> None:
        """Looks again and again, until it is cancelled.

        Args:
            opener: opens a TCP connection to a replica's own address, where nobody said another one.
        """
        self._opener = opener
        await self._rounds.keep(self._questions, first=FIRST_SECONDS, look=LOOK_SECONDS)

    async def look(self, *, everything: bool) -> None:
        """Looks once; returns when each question was answered or given up.

        Args:
            everything: also at the nodes where it is not likely.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ALL_SECONDS):
                await self._rounds.once([(_NETWORK_KEY, self._look_for_network)])
                if not self._is_there():
                    return
                await self._rounds.once(self._on_nodes(MOST_NODES if everything else LIKELY_NODES))
                await self._rounds.once(self._doors())
                await self._rounds.once([("told", self._ask_api)])
                # It may have told of replicas, and of an address, that no node told of.
                await self._rounds.once(question for question in self._doors() if not self._has_door(question[0]))
                await self._rounds.once(self._behind.questions(self._addresses()[0], self._asking))

    # -- what there is to ask ------------------------------------------------------------------------------------------

    def _pause(self, key: str, wanted: bool) -> float:
        if key == _NETWORK_KEY or (key.startswith("held ") and key != f"held {EVERY}" and not self._has(key[5:])):
            return SEARCH_SECONDS
        if key == behind.KEY:
            return behind.WANTED_SECONDS if wanted else behind.PAUSE_SECONDS
        if wanted:
            return WANTED_SECONDS
        return DOOR_SECONDS if key.startswith("door ") else TOLD_SECONDS if key == "told" else HELD_SECONDS

    def _questions(self) -> Iterable[tuple[str, Work]]:
        now = self._snapshot()
        if not now.nodes_known:
            return
        yield _NETWORK_KEY, self._look_for_network
        if self._is_there():
            yield from self._on_nodes(MOST_NODES)
            yield from self._doors()
            if self._seen.named or any(held.at for held in self._seen.held.values()):
                yield "told", self._ask_api
            yield from self._behind.questions(self._addresses()[0], self._asking)

    @property
    def _seen(self) -> DtrSeen:
        return self._snapshot().dtr or DtrSeen()

    def _has(self, node_id: str) -> bool:
        """Whether a node has something of DTR, or should have."""
        seen = self._seen
        held, node = seen.held.get(node_id), self._snapshot().nodes.get(node_id)
        places = seen.told.places.values() if seen.told is not None else ()
        return bool(held and held.replicas) or (node is not None and any(node.hostname == one.node for one in places))

    def _has_door(self, key: str) -> bool:
        return key.removeprefix("door ") in self._seen.doors

    def _is_there(self) -> bool:
        """Whether there may be a DTR here; forgets what was read of one that is no more."""
        balancer, _ = self._addresses()
        seen = self._snapshot().dtr
        if balancer or self._network or any(held.replicas for held in (seen or DtrSeen()).held.values()):
            if bool(balancer) != self._seen.named:
                self._found(replace(self._seen, named=bool(balancer)))
            return True
        if seen is not None and self._network is False:
            self._found(None)
        return False

    def _on_nodes(self, most: int) -> Iterable[tuple[str, Work]]:
        now = self._snapshot()
        if self._engines.through()[1] == "tls":
            yield f"held {EVERY}", self._all_nodes
            return
        # A node that is down is not touched: whoever stopped its Docker meant it.
        ready = sorted((node for node in now.nodes.values() if node.is_ready), key=self._likely)
        for node in ready[:most]:
            yield f"held {node.id}", partial(self._node, node)

    def _likely(self, node: Node) -> tuple[bool, bool, bool, str]:
        """Where something of DTR is, or most likely is, comes first."""
        label, value = _SYSTEM
        return (not self._has(node.id), node.is_voter, node.labels.get(label) != value, node.name)

    def _doors(self) -> Iterable[tuple[str, Work]]:
        now, (balancer, named) = self._snapshot(), self._addresses()
        found = cluster(now)
        direct = asyncio.open_connection
        if balancer:
            yield f"door {BALANCER}", partial(self._door, BALANCER, balancer, direct)
        elif found.url and found.members:
            # Nobody said that it is reached from here, and the cluster's own hosts reach it.
            yield f"door {BALANCER}", partial(self._door, BALANCER, found.url, self._from_inside)
        for replica in found.replicas:
            if (where := self._where(replica, named)) and _may_answer(replica):
                url, opener = where
                yield f"door {replica.id}", partial(self._door, replica.id, url, opener)
        self._forget({BALANCER, *(replica.id for replica in found.replicas if _may_answer(replica))})

    def _where(self, replica: Replica, named: Mapping[str, str]) -> tuple[str, Opener] | None:
        """Where its web server is, and from where it is asked; None where nobody knows."""
        node = self._snapshot().nodes.get(replica.node_id)
        if url := named.get(replica.node) or named.get(replica.node_id):
            return url, asyncio.open_connection
        if node is None or not node.is_ready or not node.address or self._engines.through()[1] == "tls":
            return None
        return https_url(node.address, _https(replica)), self._from_inside

    def _forget(self, doors: set[str]) -> None:
        """What was read of replicas and nodes that are no more."""
        seen, nodes = self._snapshot().dtr, self._snapshot().nodes
        if seen is None:
            return
        kept_doors = {key: door for key, door in seen.doors.items() if key in doors}
        kept = {key: held for key, held in seen.held.items() if key in nodes}
        if len(kept_doors) < len(seen.doors) or len(kept) < len(seen.held):
            self._found(replace(seen, doors=kept_doors, held=kept))

    async def _from_inside(self, host: str, port: int) -> tuple[Any, Any]:
        return await from_inside(self._opener, host, port)

    # -- one question each ---------------------------------------------------------------------------------------------

    async def _look_for_network(self) -> None:
        async def read(get: Get) -> bool:
            answer = msgspec.json.decode(await get("/networks", _NETWORK), type=list[_Network])
            return any(network.name == facts.NETWORK for network in answer)  # the filter also finds what only begins so

        try:
            found = await within(read(self._engines.get), ASK_SECONDS)
        except msgspec.MsgspecError:
            return
        if isinstance(found, bool):
            self._network = found

    async def _node(self, node: Node) -> None:
        read_held = (await _import("swarmtui.link.dtr.parts")).read_held
        found = await self._engines.read(node, read_held, ASK_SECONDS)
        self._took(node.id, Held(trouble=found) if isinstance(found, str) else found.get("", Held(at=time.time())))

    async def _all_nodes(self) -> None:
        read_held = (await _import("swarmtui.link.dtr.parts")).read_held
        found = await within(read_held(self._engines.get), ASK_SECONDS)
        nodes, through = self._snapshot().nodes, self._engines.through()[0]
        if isinstance(found, str):
            self._took(through, Held(trouble=found))
        elif set(found) <= {""} and found.get("", Held()).replicas:  # an engine behind TLS that is not UCP's
            self._took(through, found[""])
        else:
            for node in nodes.values():
                self._took(node.id, found.get(node.hostname, Held(at=time.time())))

    def _took(self, node_id: str, held: Held) -> None:
        if node_id not in self._snapshot().nodes:
            return
        seen = self._seen
        before = seen.held.get(node_id, Held())
        # What cannot be read keeps its last value, with the time when that was read.
        after = replace(before, trouble=held.trouble) if held.trouble else held
        if replace(before, at=0.0) != replace(after, at=0.0) or (after.at != before.at and _old(before.at)):
            self._found(replace(seen, held={**seen.held, node_id: after}))

    async def _door(self, key: str, url: str, opener: Opener) -> None:
        door = await look_at(url, opener, patience=PATIENCE)
        seen = self._seen
        before = seen.doors.get(key)
        same = before is not None and replace(before, at=0.0, took=0.0) == replace(door, at=0.0, took=0.0)
        if before is None or self._rounds.wanted or _old(before.at) or not same:
            self._found(replace(seen, doors={**seen.doors, key: door}))

    async def _ask_api(self) -> None:
        asking = self._asking
        if asking is None:
            await _import("swarmtui.link.dtr.asking")
            asking = self._asking = self._make_asking()
        now = self._snapshot()
        await self._recall(now.cluster_id)
        places = await self._places()
        found: Told | str
        try:
            async with asyncio.timeout(API_SECONDS):
                found = await asking.told(now.cluster_id, places, host_in(cluster(now).url))
        except TimeoutError:
            found = f"it did not answer within {API_SECONDS:g} s."
        except SwarmtuiError as error:
            found = f"{error.what} {error.next_step}".strip()
        seen = self._seen
        after = replace(seen, trouble=found) if isinstance(found, str) else replace(seen, told=found, trouble="")
        before_told, told = seen.told or Told(), after.told or Told()
        same = (replace(before_told, at=0.0), seen.trouble) == (replace(told, at=0.0), after.trouble)
        if not same or (told.at != before_told.at and _old(before_told.at)):
            self._found(after)
        if not isinstance(found, str) and found.places and (found.places != self._kept or self._noted + NOTE < told.at):
            # Also that it is still so: else an older backup's word would seem to be the newer one.
            self._kept, self._noted = found.places, told.at
            await asyncio.to_thread(memory.remember_told, self._folder, now.cluster_id, found)

    async def _recall(self, cluster_id: str) -> None:
        """Who was in it when it last told, read once."""
        if self._kept is None and cluster_id:
            self._kept = await asyncio.to_thread(memory.recall, self._folder, cluster_id)
            if self._kept:
                self._found(replace(self._seen, remembered=self._kept))

    async def _places(self) -> list[At]:
        """Where its API may answer: replicas whose web server is well come first, then the load balancer."""
        at = (await _import("swarmtui.link.dtr.asking")).At
        balancer, named = self._addresses()
        now = self._snapshot()
        found = cluster(now)
        places: list[tuple[int, At]] = []
        for replica in found.replicas:
            where, node = self._where(replica, named), now.nodes.get(replica.node_id)
            if where is None or node is None or not _may_answer(replica):
                continue
            host = None if self._engines.through()[1] == "tls" else partial(self._engines.host_of, node)
            rank = 0 if replica.door is not None and replica.door.ok else 2
            places.append((rank, at(replica.node, where[0], _https(replica), host)))
        if url := balancer or found.url:
            places.append((1, at("the load balancer", url)))
        return [place for _, place in sorted(places, key=lambda each: each[0])]


_NETWORK_KEY: Final = "network"


async def _import(name: str) -> Any:
    """A module that only where there is DTR is needed."""
    return await asyncio.to_thread(importlib.import_module, name)


def _may_answer(replica: Replica) -> bool:
    """Whether its web server may be there: its containers are, or nobody knows."""
    return bool(replica.parts) or replica.volumes is None


def _https(replica: Replica) -> int:
    """Where its web server is published: by its container, else by DTR's settings, else as documented."""
    published = next((part.https for part in replica.parts if part.https), 0)
    return published or replica.place.https or facts.HTTPS_PORT


def _old(at: float) -> bool:
    return time.time() - at > RENEW_SECONDS
