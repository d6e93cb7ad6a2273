"""How DTR is, for whoever asks whether it must be brought back, and by what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.model.dtr.members import Noted
from swarmtui.model.text import listed
from swarmtui.runbooks.dtr.access import access
from swarmtui.runbooks.dtr.found import DtrAccess
from swarmtui.runbooks.dtr.noted import in_newest
from swarmtui.session import Session

SETTLE_SECONDS = 60.0
"""How long a DTR of which a majority has its data may take to answer: its components start one after another."""
POLL_SECONDS = 2.0


class DtrLook(msgspec.Struct, frozen=True, kw_only=True):
    """How DTR is.

    Attributes:
        there: something of it lies on a node.
        answers: its API does, so a majority of its replicas is up. well: and all of them are healthy.
        majority: it works by a replica's own word, or the databases of a majority of all its replicas run, those that
            nobody sees counted in.
        healthy: names of nodes whose replica is healthy.
        repair: the replica that emergency-repair makes DTR of; "" where there is none, or its version has no such.
        told: one sentence.
    """

    there: bool = False
    answers: bool = False
    well: bool = False
    majority: bool = False
    healthy: tuple[str, ...] = ()
    repair: str = ""
    told: str

    @property
    def lost(self) -> bool:
        return not self.answers and not self.majority


async def look_at_dtr(session: Session, *, ask: bool = False) -> DtrLook:
    """Looks at DTR on every node, and asks its API where the vault, or somebody before, gave UCP's password.

    Args:
        ask: a person may be asked for that password.

    Raises:
        UsageError: the configuration of DTR cannot be meant; or there is no password, and nobody to ask for it.
    """
    try:
        known = await access(session, ask=ask)
    except RefusedError as error:
        return DtrLook(told=error.what)
    return judged(known, await in_newest(session) if known.told is None else Noted())


def judged(known: DtrAccess, *noted: Noted) -> DtrLook:
    """The same of what is known. Pure.

    Args:
        noted: whom DTR counted in by others' notes.
    """
    members = known.members
    up = [one for one in members if one.up]
    bad = [one for one in members if not one.well]
    answers = known.told is not None
    counted = known.counted(*noted)
    majority = known.works or (bool(members) and len(up) >= counted.needed)
    if answers and not bad:
        told = f"{known.product} has {len(members)} replicas, and all of them are healthy."
    elif bad and (answers or majority):
        told = f"{known.product} works; not healthy: {listed([one.shown for one in bad])}."
    elif majority and not up:
        told = f"{known.product} works by its own word; its API was not asked: {known.trouble.rstrip('.')}."
    elif majority:
        told = f"The databases of {known.product} run; its API was not asked: {known.trouble.rstrip('.')}."
    else:
        told = (
            f"{known.product} has no majority: of {counted.total} replicas {len(up)} are up. {known.trouble}".rstrip()
        )
    left = sorted(members, key=lambda one: not one.up)
    can = bool(left) and bool(known.version) and known.release.emergency_repair
    return DtrLook(
        there=bool(known.replicas),
        answers=answers,
        well=answers and bool(members) and not bad,
        majority=majority,
        healthy=tuple(one.node for one in members if one.well),
        repair=left[0].id if can and not majority else "",
        told=told,
    )


async def settled(session: Session, say: Callable[[str], None]) -> DtrLook:
    """The same, once DTR answers, or has had its time to; one without a majority gets none. Raises as that does."""
    end = time.monotonic() + SETTLE_SECONDS
    said = ""
    while True:
        found = await look_at_dtr(session)
        if found.answers or not found.majority or time.monotonic() >= end:
            return found
        if found.told != said:
            said = found.told
            say(said)
        await asyncio.sleep(POLL_SECONDS)
