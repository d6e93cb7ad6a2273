"""Accounts that the newest backup of UCP has, and UCP has no more: somebody deleted them, and the Swarm is well.

Nobody is asked for a password: it is compared where the vault has the administrator's.
"""

from __future__ import annotations

import asyncio

from msgspec import Struct

from swarmtui.backups.entries import Entry
from swarmtui.errors import SwarmtuiError
from swarmtui.model.ucp.status import runs_ucp
from swarmtui.runbooks.ucp.access import access
from swarmtui.runbooks.ucp.backup_facts import accounts_now
from swarmtui.runbooks.ucp.restore_steps import compared
from swarmtui.session import Session

KIND = "ucp"


class Missing(Struct, frozen=True):
    """What the comparison found.

    Attributes:
        backup: the backup compared with; "" where there is none whose accounts are known.
        names: accounts that it has and UCP has no more; None where nobody could compare, and `why` says why.
    """

    backup: str = ""
    names: tuple[str, ...] | None = None
    why: str = ""


def newest_with_accounts(session: Session, cluster_id: str) -> Entry | None:
    """The newest backup of this cluster's UCP whose accounts were noted, and that is not known to be useless. Reads
    the catalogue: not for the event loop."""
    try:
        entries = session.backups.entries(cluster_id)
    except SwarmtuiError:
        return None
    good = [
        entry
        for entry in entries
        if entry.kind == KIND
        and not entry.broken
        and entry.would_restore != "no"
        and entry.manifest is not None
        and entry.manifest.ucp is not None
        and entry.manifest.ucp.accounts is not None
    ]
    return max(good, key=lambda entry: entry.whole.taken_at, default=None)


async def look_for_missing(session: Session) -> Missing:
    """Compares the accounts with those of the newest backup, and notes what is missing in the session's snapshot.

    Args:
        session: with a live connection. Raises nothing: what cannot be compared is told.
    """
    snapshot = session.snapshot
    if not runs_ucp(snapshot) or not snapshot.cluster_id:
        return Missing(why="no UCP manages this Swarm")
    entry = await asyncio.to_thread(newest_with_accounts, session, snapshot.cluster_id)
    if entry is None:
        return Missing(why="no backup of UCP has its accounts noted")
    told = entry.whole.ucp
    assert told is not None and told.accounts is not None
    try:
        now, why = await accounts_now(session, await access(session))
    except SwarmtuiError as error:
        now, why = None, error.what.rstrip(".")
    if now is None:
        return Missing(entry.id, None, why)
    names = tuple(compared(told.accounts, now)[0])
    session.note_missing_accounts(names)
    return Missing(entry.id, names)
