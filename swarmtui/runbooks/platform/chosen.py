"""Which backups a platform comes back from: the newest of use of each product, opened before anything begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from swarmtui.backups.keys import keys_of
from swarmtui.backups.manifest import DtrManifest
from swarmtui.model.backups import age_words
from swarmtui.model.text import one_line
from swarmtui.session import Session

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A backup of one product, as opening it now finds it.

    Attributes:
        kind: "swarm", "ucp" or "dtr". version: of the product; "" for a Swarm.
        age: in words. set: of which set it is; "" for none.
        verdict, because: what verifying it just now says.
        opened: it could be opened; a Swarm's is opened by swarm.restore itself.
        dtr: what only a backup of DTR tells; None for all others.
        node: the one it was taken from; "" for one that was made by hand.
        managers: how many the Swarm had then; 0 where nobody knows.
    """

    id: str
    kind: str
    cluster_id: str
    age: str
    version: str = ""
    set: str = ""
    verdict: str = "unknown"
    because: str = ""
    opened: bool = True
    dtr: DtrManifest | None = None
    node: str = ""
    managers: int = 0


def best_of(entries: Sequence[Entry], kind: str) -> Entry | None:
    """The newest backup of a product that is not known to be useless; entries as the catalogue has them."""
    return next((one for one in entries if one.kind == kind and not one.broken and one.would_restore != "no"), None)


async def entries_of(session: Session, cluster_id: str) -> tuple[Entry, ...]:
    """All backups of this cluster; where nobody tells its id, those under its name if they are of one. Raises
    BackupError."""
    entries = await asyncio.to_thread(session.backups.entries, cluster_id or None)
    if cluster_id:
        return entries
    named = [one for one in entries if one.manifest is not None and one.manifest.cluster == session.name]
    return tuple(named) if len({one.cluster_id for one in named}) == 1 else ()


async def look_into(session: Session, entry: Entry) -> Chosen:
    """Opens and verifies a backup of UCP or DTR with the vault's keys. Raises VaultError or BackupError."""
    from swarmtui.backups.verify import verify

    manifest = entry.whole
    session.tell_look(f"verify {entry.id}, and look inside")
    keys = await keys_of(session.vault, entry.cluster_id, ucp=entry.id)
    found = await asyncio.to_thread(verify, entry, (), keys.identity, passphrases=keys.ucp)
    third = found.result(3)
    because = found.because if found.verdict == "no" or third is None or third.ok else third.what[0]
    product = manifest.ucp or manifest.dtr
    return msgspec.structs.replace(
        told_of(entry),
        version=product.version if product is not None else "",
        verdict=found.verdict,
        because=one_line(because).rstrip("."),
        opened=third is not None and bool(third.ok),
        dtr=manifest.dtr,
        node=manifest.node if manifest.source == "taken" else "",
    )


def told_of(entry: Entry) -> Chosen:
    """A backup by what its manifest says."""
    manifest = entry.whole
    return Chosen(
        id=entry.id,
        kind=entry.kind,
        cluster_id=entry.cluster_id,
        age=age_words(time.time() - manifest.taken_at) if manifest.taken_at else "unknown",
        set=manifest.set,
        verdict=entry.would_restore,
        managers=len(manifest.managers),
    )
