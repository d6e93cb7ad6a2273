"""How UCP is on every manager, for whoever asks whether it must be restored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from swarmtui.errors import EngineError, SwarmtuiError
from swarmtui.model.text import listed, one_line
from swarmtui.model.ucp import status
from swarmtui.runbooks.ucp import places
from swarmtui.runbooks.ucp.access import access, pings
from swarmtui.runbooks.ucp.backup_facts import ill
from swarmtui.runbooks.ucp.missing import look_for_missing
from swarmtui.runbooks.ucp.places import Place
from swarmtui.session import Session

SETTLE_SECONDS = 180.0
"""How long a UCP whose agents run may take to show that it lives: its components come one after the other, and to wait
three minutes is cheaper than to remove a UCP that was about to come."""
POLL_SECONDS = 2.0


class UcpLook(msgspec.Struct, frozen=True, kw_only=True):
    """How UCP is.

    Attributes:
        runs: its agents are on the Swarm. version: "" where nobody can tell.
        ill: by manager, why UCP is not healthy there; "" where it is.
        unasked: managers that neither their address nor their host tells of: UCP may live there.
        missing: accounts that the newest backup has and UCP has not. UCP is not lost by that: perhaps they were to go.
        uncompared: why the accounts could not be compared; "" where they were.
    """

    runs: bool = False
    version: str = ""
    ill: dict[str, str] = {}
    unasked: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    uncompared: str = ""

    @property
    def lives(self) -> bool:
        """It answers on one manager at least: what it keeps is there, and the others get it from that one."""
        return any(not why for why in self.ill.values())

    @property
    def well(self) -> bool:
        return bool(self.ill) and not any(self.ill.values())

    @property
    def lost(self) -> bool:
        """Nothing gentler than a restore brings it back. Nobody knows that while a manager may have it."""
        return not self.lives and not self.unasked

    @property
    def told(self) -> str:
        """One sentence."""
        if not self.runs:
            return "UCP is not on this Swarm: its agents are not there."
        bad = [f"{one_line(name)}: {why}" for name, why in sorted(self.ill.items()) if why]
        if bad:
            return f"UCP is not healthy on {'; '.join(bad)}."
        return "UCP is healthy on every manager."

    @property
    def lacks(self) -> str:
        """Which accounts it lacks, and what to do about that; "" for none."""
        if not self.missing:
            return ""
        some = listed(sorted(self.missing))
        return (
            f"UCP lacks accounts that its newest backup has: {some}. They are left as they are; to bring them back: "
            "swarmtui run ucp.restore backup=latest"
        )


async def look_at_ucp(session: Session, *, accounts: bool = True) -> UcpLook:
    """Looks at UCP on every manager of a live session.

    Args:
        accounts: compare them with those of the newest backup too, where the vault has the password.

    Raises:
        LinkError, EngineError: the Swarm cannot be asked.
    """
    snapshot = await session.refresh()
    if not status.runs_ucp(snapshot):
        return UcpLook()
    try:
        answers = await pings(await access(session))
        if not any(answer.ok for answer in answers.values()):
            answers = await pings(await access(session, fresh=True))
    except (EngineError, SwarmtuiError):
        answers = {}  # who cannot say by whose authority it answers is asked on its hosts

    unasked: list[str] = []

    async def one(place: Place) -> tuple[str, str]:
        if place.down:
            return place.name, "the node is down"
        answer = answers.get(one_line(place.name))
        try:
            there = await places.look(session, place.at)
        except SwarmtuiError as error:
            if answer is not None and answer.status:
                return place.name, "" if answer.ok else f"its /_ping says: {answer.status}"
            unasked.append(place.name)
            return place.name, error.what.rstrip(".")
        return place.name, ill(answer, there)

    managers = [place for place in places.places(session, snapshot) if place.manager]
    found = UcpLook(
        runs=True,
        version=str(status.version_of(snapshot) or ""),
        ill=dict(await asyncio.gather(*(one(place) for place in managers))),
        unasked=tuple(unasked),
    )
    if not accounts or not found.lives:
        return found
    missing = await look_for_missing(session)
    return msgspec.structs.replace(found, missing=missing.names or (), uncompared=missing.why)


async def settled(session: Session, say: Callable[[str], None]) -> UcpLook:
    """The same, once UCP lives, or has had its time to. Raises as `look_at_ucp` does."""
    end = time.monotonic() + SETTLE_SECONDS
    said = ""
    while True:
        found = await look_at_ucp(session)
        if not found.runs or found.lives or time.monotonic() >= end:
            return found
        if found.told != said:
            said = found.told
            say(f"{said} Its agents run: it has {SETTLE_SECONDS:.0f} s to show that it lives.")
        await asyncio.sleep(POLL_SECONDS)
