"""Whether UCP or DTR was hit while the Swarm is well: what a look at the managers cannot tell.

It needs the Swarm's API, and so is looked at last: only where the quorum holds, and only where something here says that
there is such a product: a backup of it (of UCP with its accounts noted), or the configuration. A session that was not
begun is begun through a manager that works, never through one whose Docker does not run: docker.socket would start it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from swarmtui.errors import SwarmtuiError
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.model.dtr import status
from swarmtui.model.dtr.leading import with_dtr
from swarmtui.model.dtr.ways import diagnose
from swarmtui.model.recovery import Diagnosis, with_lost_accounts
from swarmtui.runbooks.ucp.missing import look_for_missing, newest_with_accounts
from swarmtui.session import Session

LIVE_SECONDS = 20.0
ALL_SECONDS = 60.0
"""For each of the products."""


async def with_products(session: Session, cluster_id: str, working: Mapping[str, str], found: Diagnosis) -> Diagnosis:
    """The diagnosis, and what is to be done about accounts that UCP lost, and about DTR. Raises nothing: what cannot be
    looked at stays as it was found.

    Args:
        working: name → SSH target of the managers that work.
    """
    if not found.holds or not cluster_id or not working:
        return found
    accounts = await asyncio.to_thread(newest_with_accounts, session, cluster_id) is not None
    backup = await asyncio.to_thread(_newest_of_dtr, session, cluster_id)
    configured = session.opening.cluster.dtr
    registry = bool(backup or configured.url or configured.replicas)
    if not (accounts or registry) or not await _begun(session, working):
        return found
    target = session.opening.name
    if accounts:
        try:
            async with asyncio.timeout(ALL_SECONDS):
                missing = await look_for_missing(session)
                found = with_lost_accounts(found, missing.backup, missing.names or (), target=target)
        except (SwarmtuiError, TimeoutError):
            pass  # it stays as it was found
    if registry:
        try:
            async with asyncio.timeout(ALL_SECONDS):
                await session.look_at_dtr(everything=True)
        except (SwarmtuiError, TimeoutError):
            return found
        found = with_dtr(found, diagnose(status.cluster(session.snapshot), backup=backup), target=target)
    return found


async def _begun(session: Session, working: Mapping[str, str]) -> bool:
    """Whether the Swarm's API answers; begins the session where it was not."""
    try:
        if not session.begun:
            through = parse_target(next(iter(working.values())))
            if not isinstance(through, SshTarget):
                return False
            session.begin(through, working)
        await session.until_live(LIVE_SECONDS)
        await session.until_complete(LIVE_SECONDS)
    except (SwarmtuiError, TimeoutError):
        return False
    return True


def _newest_of_dtr(session: Session, cluster_id: str) -> str:
    """The id of the newest backup of this cluster's DTR that is not known to be useless; "" for none (blocking)."""
    try:
        entries = session.backups.entries(cluster_id)
    except SwarmtuiError:
        return ""
    good = (one for one in entries if one.kind == "dtr" and not one.broken and one.would_restore != "no")
    return next((one.id for one in good), "")
