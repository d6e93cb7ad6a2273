"""Whether UCP lost accounts while the Swarm is well: what a look at the managers cannot tell.

It needs the Swarm's API and a login, and so is looked at last: only where the quorum holds, and only where a backup of
UCP lies here whose accounts were noted. A session that was not begun is begun through a manager that works, never
through one whose Docker does not run: docker.socket would start it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from swarmtui.errors import SwarmtuiError
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.model.recovery import Diagnosis, with_lost_accounts
from swarmtui.runbooks.ucp.missing import look_for_missing, newest_with_accounts
from swarmtui.session import Session

LIVE_SECONDS = 20.0
ALL_SECONDS = 60.0


async def with_ucp(session: Session, cluster_id: str, working: Mapping[str, str], found: Diagnosis) -> Diagnosis:
    """The diagnosis, and what is to be done about accounts that UCP lost. Raises nothing: what cannot be compared stays
    as it was found.

    Args:
        working: name → SSH target of the managers that work.
    """
    if not found.holds or not cluster_id or not working:
        return found
    if await asyncio.to_thread(newest_with_accounts, session, cluster_id) is None:
        return found
    try:
        async with asyncio.timeout(ALL_SECONDS):
            if not session.begun:
                through = parse_target(next(iter(working.values())))
                if not isinstance(through, SshTarget):
                    return found
                session.begin(through, working)
            await session.until_live(LIVE_SECONDS)
            await session.until_complete(LIVE_SECONDS)
            missing = await look_for_missing(session)
    except (SwarmtuiError, TimeoutError):
        return found
    return with_lost_accounts(found, missing.backup, missing.names or (), target=session.opening.name)
