"""Whether what happened to a Swarm is the whole platform's matter: then one walkthrough brings all of it back."""

from __future__ import annotations

import asyncio
import shlex

from swarmtui.errors import SwarmtuiError
from swarmtui.model.recovery import Advice, Diagnosis
from swarmtui.model.text import listed
from swarmtui.runbooks.platform.backup_steps import PRODUCTS
from swarmtui.runbooks.platform.chosen import best_of, entries_of
from swarmtui.runbooks.platform.recover_facts import FORCING
from swarmtui.runbooks.platform.ucp_look import look_at_ucp
from swarmtui.runbooks.swarm.recovery.recover_words import Lines
from swarmtui.session import Session

NAME = "platform.recover"
LOOK_SECONDS = 30.0


async def platform_way(session: Session, cluster_id: str, found: Diagnosis) -> Advice | None:
    """The walkthrough through all products, where the Swarm is to be forced or restored and there are backups of what
    ran on it, or where UCP is lost in a Swarm that is well; else None: a Swarm alone is brought back alone.

    Raises nothing: a catalogue that cannot be read is told elsewhere.
    """
    if found.two or not (found.holds or found.best.way in FORCING):
        return None
    try:
        entries = await entries_of(session, cluster_id)
        kinds = [kind for kind in ("ucp", "dtr") if best_of(entries, kind) is not None]
        if found.holds and ("ucp" not in kinds or not await _ucp_is_lost(session)):
            return None
    except SwarmtuiError:
        return None
    return way_of(found, kinds, session.opening.name) if kinds else None


async def _ucp_is_lost(session: Session) -> bool:
    """Whether UCP is healthy on no manager of a Swarm that can be asked, and was not taken off it. Raises LinkError,
    EngineError."""
    if not session.live:
        return False
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            found = await look_at_ucp(session, accounts=False)
            return found.runs and found.lost
    except TimeoutError:
        return False


def way_of(found: Diagnosis, kinds: list[str], target: str) -> Advice:
    """The same, for products whose backups there are. Pure."""
    best = found.best
    params: dict[str, str] = {name: best.params[name] for name in ("host", "dead") if name in best.params}
    is_open = "host=" in best.command and "host" not in params
    words = [*(f"{name}={value}" for name, value in params.items()), *(["host=ssh://HOST"] if is_open else [])]
    names = [PRODUCTS[kind] for kind in kinds]
    each = "each only if it did not come back by itself: one run, with a check between, that can be gone on with."
    because = f"The Swarm first, as told above; then {listed(names)}, from backups, {each}"
    if found.holds:
        because = f"UCP is healthy on no manager. {listed(names)} from backups, behind a fresh one of the Swarm, {each}"
    command = shlex.join(["swarmtui", "run", NAME, *words, *(["--target", target] if target else [])])
    about = names if found.holds else ["Swarm", *names]
    return Advice(best.way, because, tuple(about), command, NAME, params)


def told(way: Advice | None) -> Lines:
    """For a person to read, behind the diagnosis."""
    if way is None:
        return []
    return [
        ("plain", ""),
        ("title", f"The whole platform: {listed(way.about)}"),
        ("plain", f"  {way.because}"),
        ("command", f"  $ {way.command}"),
    ]
