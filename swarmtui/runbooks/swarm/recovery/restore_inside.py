"""The backup that is to be restored: verified once more, and looked into, where its keys are. Changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from swarmtui.backups.errors import BackupError
from swarmtui.backups.keys import Keys
from swarmtui.errors import UsageError
from swarmtui.model.backups import age_words
from swarmtui.model.inventory import Inventory, NodeItem
from swarmtui.model.swarm import host_of
from swarmtui.model.text import one_line
from swarmtui.runbooks.swarm.rehearsal.rehearse_archive import find, opened
from swarmtui.runbooks.swarm.rehearsal.rehearse_judge import is_locked, unlocked
from swarmtui.session import Session
from swarmtui.vault import Secret, fingerprint

if TYPE_CHECKING:
    from swarmtui.backups.archive import ArchiveFiles
    from swarmtui.backups.catalogue import Entry

CERTIFICATE = "certificates/swarm-node.crt"


class BackupSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The backup that is to be restored, as a look inside finds it now.

    Attributes:
        cluster, node: what people call the cluster, and the manager it is of.
        node_id: of that manager, from the certificate in the archive.
        raft: "IP:PORT" of that manager, as raft has it: a restore does not change it (swarm-dr.md §3).
        members: the managers at that time: node id → (name, address).
        age: in words. engine: version of the Docker it was taken of; "" where nobody knows.
        verdict, because: what verifying it just now says: yes, no or not proved; tier: how far that got.
        hopeless: why it cannot be restored at all, and what to do; ("", "") where it can.
        locked: whether the key file in it is; opened_by: fingerprint of the key that opens it.
        certificate: SHA-256 of the certificate in it, in hex.
        size: bytes of its files. inventory: what it has, by name.
        hot: it was taken while Docker ran.
        newer: id of a newer backup that would restore; "" for none.
        better: id of a backup that is proved, where this one is not; "" for none.
    """

    id: str
    cluster_id: str
    cluster: str
    node: str
    node_id: str = ""
    raft: str = ""
    members: dict[str, tuple[str, str]] = {}
    age: str = ""
    engine: str = ""
    verdict: str = "not proved"
    because: str = ""
    tier: int = 0
    hopeless: tuple[str, str] = ("", "")
    locked: bool = False
    opened_by: str = ""
    certificate: str = ""
    size: int = 0
    inventory: Inventory = Inventory()
    hot: bool = False
    newer: str = ""
    better: str = ""

    @property
    def autolock(self) -> bool:
        """The Swarm has autolock on, whether or not this archive is locked."""
        return self.locked or self.inventory.autolock

    def entry(self, node_id: str) -> NodeItem | None:
        """A node as the backup has it."""
        return next((node for node in self.inventory.nodes if node.id == node_id), None)

    @property
    def address(self) -> str:
        """The IP address in `raft`."""
        return host_of(self.raft)

    @property
    def port(self) -> str:
        """The port in `raft`."""
        told = self.raft.removeprefix(self.address).rpartition(":")[2]
        return told if told.isdigit() else "2377"


async def chosen(session: Session, cluster_id: str | None, name: str) -> Entry:
    """The backup of this name; "latest" is the newest that would restore, else the newest that might.

    Raises:
        UsageError: there is none, or it is broken.
        BackupError: the catalogue cannot be read.
    """
    try:
        entry = await find(session.backups, cluster_id, name)
    except UsageError as error:
        raise UsageError(error.what.replace("rehearsed", "restored"), error.next_step) from None
    if name != "latest":
        return entry
    there = await asyncio.to_thread(session.backups.entries, entry.cluster_id)
    entries = [one for one in there if not one.broken and one.kind == "swarm"]
    return next((one for verdict in ("yes", "not proved") for one in entries if one.would_restore == verdict), entry)


async def look_inside(session: Session, entry: Entry, keys: Keys) -> BackupSeen:
    """Verifies a backup once more, and looks what it holds. Raises BackupError where it is never to be unpacked."""
    from swarmtui.backups import raft
    from swarmtui.backups.verify import verify

    manifest = entry.whole
    verified = await asyncio.to_thread(verify, entry, keys.unlock, keys.identity)
    async with opened(entry, keys.identity) as files:
        contents = await asyncio.to_thread(raft.read, files, keys.unlock)
        inventory = contents.inventory or manifest.inventory
        names = {node.id: one_line(node.name) for node in (inventory.nodes if inventory is not None else ())}
        locked = is_locked(files)
        opener = await asyncio.to_thread(_opener, files, keys.unlock)
        certificate = _digest(files)
        size = sum(files.size(name) for name in files.names())
    others = await asyncio.to_thread(session.backups.entries, entry.cluster_id)
    proved = [one for one in others if not one.broken and one.kind == "swarm" and one.would_restore == "yes"]
    newest = proved[0].id if proved else ""
    return BackupSeen(
        id=entry.id,
        cluster_id=entry.cluster_id,
        cluster=one_line(manifest.cluster) or entry.cluster_id[:12],
        node=one_line(manifest.node),
        node_id=contents.node_id or manifest.node_id,
        raft=contents.address or manifest.address,
        members={
            member.node_id: (names.get(member.node_id) or host_of(member.address), host_of(member.address))
            for member in contents.members
        },
        age=age_words(time.time() - manifest.taken_at) if manifest.taken_at else "unknown",
        engine=one_line(manifest.engine_version),
        verdict=verified.verdict,
        because=one_line(verified.because),
        tier=verified.tier,
        hopeless=_hopeless(entry, keys, locked and not opener, contents.fatal),
        locked=locked,
        opened_by=opener,
        certificate=certificate,
        size=size,
        inventory=inventory or Inventory(cluster_id=entry.cluster_id),
        hot=manifest.cold is False,
        newer=newest if newest > entry.id else "",
        better=newest if verified.verdict != "yes" and newest != entry.id else "",
    )


def _opener(files: ArchiveFiles, keys: Sequence[Secret]) -> str:
    """The fingerprint of the key that opens the key file; "" where it is not locked, or none does."""
    for key in keys if is_locked(files) else ():
        with contextlib.suppress(BackupError):
            unlocked(files, [key])
            return fingerprint(key)
    return ""


def _digest(files: ArchiveFiles) -> str:
    try:
        return hashlib.sha256(files.read(CERTIFICATE)).hexdigest()
    except (KeyError, OSError):
        return ""  # a fatal problem, which is told as such


def _hopeless(entry: Entry, keys: Keys, shut: bool, problems: Sequence[object]) -> tuple[str, str]:
    if shut:
        known = len(keys.unlock)
        tried = f"none of the {known} unlock keys that are known opens it" if known else "no key is known"
        return (
            f"The backup {entry.id} is locked, and {tried}. {keys.trouble}".strip(),
            f"Give its key to the vault: swarmtui secrets set unlock-key {entry.cluster_id}",
        )
    if problems:
        return (
            f"The backup {entry.id} would not restore: {one_line(str(problems[0]))}",
            "Restore another one: swarmtui backups list",
        )
    return "", ""
