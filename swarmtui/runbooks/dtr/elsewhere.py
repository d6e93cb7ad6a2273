"""Signs of a DTR of which nothing lies on the nodes that answer: its address, its network, what this machine noted.

What cannot be seen is not gone: a second DTR beside it would know none of its images, and a restored one would fork it.
"""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from swarmtui.errors import RefusedError, SwarmtuiError, UsageError
from swarmtui.link.dtr import memory
from swarmtui.link.dtr.client import DtrClient
from swarmtui.model.dtr import facts
from swarmtui.model.text import one_line
from swarmtui.runbooks.dtr.access import folder
from swarmtui.runbooks.dtr.found import DtrAccess, answering
from swarmtui.runbooks.dtr.hosts import Looked
from swarmtui.session import Session


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """What tells of a DTR that nobody sees.

    Attributes:
        answers: an address at which something says by /_ping that it is well; "" where nothing does.
        network: the Swarm has the overlay network that an installation makes.
        noted: replica id → its node, "" where nobody noted that: those that DTR counted in when it last told this
            machine, of which nothing is found, and whose node does not answer or is not in the Swarm.
    """

    answers: str = ""
    network: bool = False
    noted: dict[str, str] = {}

    @property
    def signs(self) -> tuple[str, ...]:
        """Phrases that go on "…, and": why a DTR may be there."""
        unknown = "a node that nobody noted"
        told = [f"replica {one} was last seen on {node or unknown}" for one, node in self.noted.items()]
        return (*told, *([f"the Swarm has DTR's network {facts.NETWORK}"] if self.network else []))


async def look_elsewhere(session: Session, looked: Looked, *urls: str) -> Elsewhere:
    """Looks for them. Never fails: what cannot be asked tells nothing.

    Args:
        looked: what lies of DTR on the nodes.
        urls: where this DTR is to be reached, beside the configured address.
    """
    config = session.opening.cluster.dtr
    answers, network, noted = await asyncio.gather(
        well_at(config.url, *urls),
        _network(session),
        asyncio.to_thread(memory.noted, folder(), session.snapshot.cluster_id),
    )
    there = answering(session, looked)
    missing = {
        one: one_line(node) for one, node in sorted(noted.nodes.items()) if one not in looked.ids and node not in there
    }
    return Elsewhere(answers=answers, network=network, noted=missing)


async def well_at(*urls: str) -> str:
    """The first of these addresses at which something says by /_ping that it is well; "" where nothing does.

    Whoever answers is believed: nothing is told to them, and a lie only makes somebody look at that address.
    """

    async def well(url: str) -> bool:
        with contextlib.suppress(UsageError):
            async with DtrClient(url, "", anybody=True) as client:
                return (await client.ping()).ok
        return False

    wanted = tuple(dict.fromkeys(url for url in urls if url))
    found = await asyncio.gather(*(well(url) for url in wanted))
    return next((one_line(url) for url, ok in zip(wanted, found, strict=True) if ok), "")


def refuse_beside(answers: str, known: DtrAccess | None, cluster: str) -> None:
    """Raises RefusedError where something answers at DTR's address that none of the replicas that are seen can be.

    Args:
        answers: that address; "" where nothing answers.
        known: DTR as it is seen: where that tells, or works, it answers for itself.
    """
    if answers and (known is None or (known.told is None and not known.works)):
        raise RefusedError(
            f"{answers} says by /_ping that it is well, though no replica that is seen on {cluster} does: nothing is "
            "restored beside a DTR that works.",
            "Look who answers there: swarmtui doctor. Where it is another's, take it off that address first.",
        )


class _Network(msgspec.Struct, rename={"name": "Name"}):
    name: str = ""


async def _network(session: Session) -> bool:
    with contextlib.suppress(SwarmtuiError, msgspec.MsgspecError):
        answer = await session.get("/networks", {"filters": f'{{"name":["{facts.NETWORK}"]}}'})
        # The filter also finds what only has it in its name.
        return any(one.name == facts.NETWORK for one in msgspec.json.decode(answer, type=list[_Network]))
    return False
