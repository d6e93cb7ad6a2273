"""Looks at who is behind the load balancer before DTR, beside the polls: over several new connections, now and then."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from swarmtui.errors import SwarmtuiError
from swarmtui.link.node_engines import NodeEngines
from swarmtui.link.rounds import Work
from swarmtui.model.dtr.behind import Turn, begun, looked
from swarmtui.model.dtr.seen import BALANCER, DtrSeen
from swarmtui.model.dtr.status import cluster
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.ucp.status import host_in

if TYPE_CHECKING:
    from swarmtui.link.dtr.asking import Asking, At

KEY: Final = "behind"
"""The question's name."""
PAUSE_SECONDS = 60.0
WANTED_SECONDS = 20.0
"""Between two looks, and while somebody looks at DTR: each is several calls, and each of those a login of UCP's."""
LOOK_SECONDS = 20.0
"""For the connections of one look."""
WAY_SECONDS = 10.0
"""For the way there before: a host may have to be opened first."""


class BehindWatch:
    """Keeps what is known of the replicas behind the load balancer.

    Args:
        snapshot: the newest.
        engines: the ways to hosts of the cluster.
        found: is told what differs from before.
        places: where DTR's API may answer, by which its authority is learnt.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        engines: NodeEngines,
        found: Callable[[DtrSeen], None],
        places: Callable[[], Awaitable[list[At]]],
    ) -> None:
        self._snapshot = snapshot
        self._engines = engines
        self._found = found
        self._places = places

    def again(self) -> None:
        """Somebody asked: what was mended at the load balancer meanwhile is not to be told of any longer."""
        if self._seen.behind is not None:
            self._found(replace(self._seen, behind=None))

    def questions(self, named: str, asking: Asking | None) -> Iterable[tuple[str, Work]]:
        """The look, where it is of use: with several replicas, of a DTR that tells of them, at an address that answers.

        Args:
            named: the load balancer's address where somebody said it; "" for the one that DTR tells.
        """
        seen = self._seen
        url = named or cluster(self._snapshot()).url
        several = seen.told is not None and not seen.trouble and len(seen.told.members) > 1
        if not several and seen.behind is not None:
            self._found(replace(seen, behind=None))
        door = seen.doors.get(BALANCER)
        if asking is not None and several and url and door is not None and door.ok:
            yield KEY, partial(self._look, asking, url)

    @property
    def _seen(self) -> DtrSeen:
        return self._snapshot().dtr or DtrSeen()

    async def _look(self, asking: Asking, url: str) -> None:
        before, now = self._seen, self._snapshot()
        if before.told is None:
            return
        then = begun(before.behind, url, before.told.members)
        module = await asyncio.to_thread(importlib.import_module, "swarmtui.link.dtr.asking")
        at = module.Balancer(url, self._any_host())
        turns: list[Turn] = []
        try:
            async with asyncio.timeout(WAY_SECONDS + LOOK_SECONDS):
                places, external = await self._places(), host_in(cluster(now).url)
                turns = await asking.behind(now.cluster_id, places, at, external, then.wanted, LOOK_SECONDS)
            after = looked(then, turns, time.time())
        except TimeoutError:
            after = looked(then, (), time.time())
        except SwarmtuiError as error:
            after = replace(then, trouble=f"{error.what} {error.next_step}".strip(), at=time.time())
        seen = self._seen
        # Asked anew meanwhile, or of other replicas: what was concluded of those before says nothing of these.
        if seen.behind is before.behind and seen.told is not None and seen.told.members == then.members:
            self._found(replace(seen, behind=after))

    def _any_host(self) -> Callable[[], Awaitable[Any]] | None:
        """What opens a host of the cluster that is up; None where there is none to be opened."""
        through, via = self._engines.through()
        nodes = self._snapshot().nodes
        node = nodes.get(through) or next((node for node in nodes.values() if node.is_ready), None)
        return partial(self._engines.host_of, node) if node is not None and via != "tls" else None
