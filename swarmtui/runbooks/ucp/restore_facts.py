"""What ucp.restore must know before it plans: the backup, opened and looked into; the Swarm; what of UCP is on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from swarmtui.backups.keys import keys_of, ucp_passphrases
from swarmtui.backups.manifest import UcpAccount
from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.link import jobs
from swarmtui.link.together import together
from swarmtui.model.backups import age_words
from swarmtui.model.quorum import quorum
from swarmtui.model.text import one_line
from swarmtui.model.ucp import status
from swarmtui.model.ucp.facts import Version
from swarmtui.runbooks.swarm.backups.here import of_product
from swarmtui.runbooks.swarm.cluster_steps import read_swarm
from swarmtui.runbooks.ucp import places
from swarmtui.runbooks.ucp.access import access
from swarmtui.runbooks.ucp.backup_facts import accounts_now
from swarmtui.runbooks.ucp.places import OnHost, Place
from swarmtui.runbooks.ucp.uninstall import manager_of
from swarmtui.runbooks.ucp.uninstall_steps import look_at_all
from swarmtui.session import Session
from swarmtui.vault import Secret

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry


class UcpBackupSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The backup, as opening it now finds it.

    Attributes:
        age: in words. version: of UCP; instance: its id then.
        verdict, because: what verifying it just now says.
        opened: it could be opened; else nothing is begun.
        sealed: with UCP's passphrase.
        managers: how many the Swarm had then; 0 where nobody knows.
        digest: sha256 of the archive as UCP wrote it, in hex.
        path: of the archive here; encrypted: with age, by us.
        accounts: those that UCP had then; None where nobody could ask.
    """

    id: str
    cluster_id: str
    age: str
    version: str
    instance: str
    verdict: str
    because: str
    opened: bool
    sealed: bool
    managers: int = 0
    digest: str = ""
    path: str = ""
    encrypted: bool = False
    accounts: tuple[UcpAccount, ...] | None = None


class UcpRestoreFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from; no secret is in it.

    Attributes:
        manager: where UCP is restored. nodes: all of the Swarm. down: names of those that it does not hear.
        found: what of UCP is on each node, by id; unasked: why one could not be asked.
        services: UCP's, by name. running: version of the UCP that is there; "" for none.
        instance: of the UCP that is there.
        accounts: those that UCP has now; None where there is none, or nobody could ask.
        image, old_image: whether the images of the two commands are on the manager.
        autolock: the Swarm is autolocked: the restore is told its key.
        swarm_backup: whether there is a backup of the Swarm as it is now, younger than a day.
        jobs: where the archive is put, and the job that uninstalls. restore_job: the one that restores.
        username: the administrator who logs in at the end.
    """

    backup: UcpBackupSeen
    cluster: str
    cluster_id: str
    manager: Place
    nodes: tuple[Place, ...]
    down: tuple[str, ...]
    found: dict[str, OnHost]
    unasked: dict[str, str]
    services: tuple[str, ...]
    running: str
    instance: str
    accounts: tuple[UcpAccount, ...] | None
    busy: str
    image: bool
    old_image: bool
    selinux: bool
    autolock: bool
    swarm_backup: bool
    jobs: tuple[str, str]
    restore_job: str
    username: str


async def survey(session: Session, params: Mapping[str, Any]) -> UcpRestoreFacts:
    """Gathers the facts; the backup is opened and read whole, before anybody thinks of removing anything.

    Raises:
        RefusedError: the Swarm has no quorum.
        UsageError: there is no such backup or manager.
        BackupError: the backup is broken.
        LinkError, EngineError, VaultError: something that must be known cannot be asked.
    """
    snapshot = await session.refresh()
    if not (now := quorum(snapshot.nodes.values())).held:
        raise RefusedError(
            f"The Swarm has no quorum ({now}): UCP is restored into a healthy Swarm only.",
            "First the Swarm: swarmtui recover. Then the nodes that are missing, and then UCP.",
        )
    entry = await of_product(session, params["backup"], "ucp")
    backup = await _seen(session, entry)
    manager = manager_of(session, snapshot, params.get("host") or "")
    manager = msgspec.structs.replace(manager, at=await places.with_systemd(session, manager.at))
    nodes = places.places(session, snapshot)
    running = status.version_of(snapshot)
    old = running or Version.parse(backup.version)
    (found, unasked), holder, image, old_image, engine, swarm = await together(
        look_at_all(session, nodes),
        places.holder(session, manager.at),
        places.has_image(session, manager.at, Version.parse(backup.version).image),
        places.has_image(session, manager.at, old.image),
        places.engine_says(session, manager.at),
        read_swarm(session),
    )
    accounts = None
    if running is not None:
        try:
            accounts, _ = await accounts_now(session, await access(session))
        except SwarmtuiError:
            accounts = None  # a UCP that does not answer is what is restored
    return UcpRestoreFacts(
        backup=backup,
        cluster=session.name,
        cluster_id=snapshot.cluster_id,
        manager=manager,
        nodes=nodes,
        down=tuple(sorted(one_line(node.name) for node in snapshot.nodes.values() if not node.is_ready)),
        found=found,
        unasked=unasked,
        services=tuple(sorted(one_line(service.name) for service in status.agents(snapshot))),
        running=str(running) if running is not None else "",
        instance=status.instance_of(snapshot),
        accounts=accounts,
        busy=f"{holder.image}, {holder.status}" if holder is not None else "",
        image=image,
        old_image=old_image,
        selinux=engine.selinux,
        autolock=swarm.autolock,
        swarm_backup=await asyncio.to_thread(_fresh_backup, session, snapshot.cluster_id),
        jobs=(jobs.new_id(), jobs.new_id()),
        restore_job=jobs.new_id(),
        username=session.opening.cluster.ucp.username,
    )


async def _seen(session: Session, entry: Entry) -> UcpBackupSeen:
    from swarmtui.backups.verify import verify

    manifest = entry.whole
    ucp = manifest.ucp
    assert ucp is not None
    keys = await keys_of(session.vault, entry.cluster_id, ucp=entry.id)
    found = await asyncio.to_thread(verify, entry, (), keys.identity, passphrases=keys.ucp)
    third = found.result(3)
    because = found.because if found.verdict == "no" or third is None or third.ok else third.what[0]
    return UcpBackupSeen(
        id=entry.id,
        cluster_id=entry.cluster_id,
        age=age_words(time.time() - manifest.taken_at) if manifest.taken_at else "unknown",
        version=ucp.version,
        instance=ucp.instance_id,
        verdict=found.verdict,
        because=one_line(because).rstrip("."),
        opened=third is not None and bool(third.ok),
        sealed=ucp.sealed,
        managers=len(manifest.managers),
        digest=manifest.digest,
        path=str(entry.archive),
        encrypted=bool(manifest.encrypted),
        accounts=ucp.accounts,
    )


def _fresh_backup(session: Session, cluster_id: str) -> bool:
    try:
        entries = session.backups.entries(cluster_id)
    except SwarmtuiError:
        return False
    day = time.time() - 86_400.0
    return any(one.kind == "swarm" and not one.broken and one.whole.taken_at > day for one in entries)


async def passphrase_for(session: Session, entry: Entry) -> Secret | None:
    """The one of the vault's passphrases that opens it; None where none does. Raises VaultError."""
    from swarmtui.backups.errors import ArchiveError
    from swarmtui.backups.ucp.openpgp import stream

    def opens(secret: Secret) -> bool:
        try:
            with stream(entry.archive, (secret,)) as tar:
                while tar.read(1 << 20):
                    pass
        except ArchiveError:
            return False
        return True

    for secret in await ucp_passphrases(session.vault, entry.cluster_id, entry.id):
        if await asyncio.to_thread(opens, secret):
            return secret
    return None
