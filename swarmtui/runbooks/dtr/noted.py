"""Whom DTR counted in by what its backups say: for whoever must know how many replicas it has, and it does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmtui.errors import SwarmtuiError
from swarmtui.model.dtr.members import Noted
from swarmtui.runbooks.swarm.backups.here import of_product
from swarmtui.session import Session

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry


def in_backup(entry: Entry) -> Noted:
    """What the manifest of a backup of DTR says of it; of one that was made by hand, as a rule nothing."""
    manifest = entry.whole
    dtr = manifest.dtr
    if dtr is None:
        return Noted()
    return Noted({one: dtr.nodes.get(one, "") for one in sorted({*dtr.replicas, *dtr.nodes})}, manifest.taken_at)


async def in_newest(session: Session) -> Noted:
    """The same of the newest backup of this cluster; nothing where there is none that can be read."""
    try:
        return in_backup(await of_product(session, "latest", "dtr"))
    except SwarmtuiError:
        return Noted()
