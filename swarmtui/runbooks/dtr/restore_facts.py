"""What dtr.restore must know before it plans: the backup, looked into; what of DTR is left; the node; UCP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from swarmtui.backups.keys import keys_of
from swarmtui.backups.manifest import DtrManifest
from swarmtui.errors import RefusedError, UsageError
from swarmtui.link import jobs
from swarmtui.link.dtr import memory
from swarmtui.model.backups import age_words
from swarmtui.model.dtr.facts import Version
from swarmtui.model.dtr.members import Members, total_members
from swarmtui.model.quorum import quorum, quorum_of
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.runbooks.dtr import settings
from swarmtui.runbooks.dtr.access import access, folder
from swarmtui.runbooks.dtr.backup_facts import managers_up
from swarmtui.runbooks.dtr.commanding import INSECURE, Work
from swarmtui.runbooks.dtr.elsewhere import well_at
from swarmtui.runbooks.dtr.found import DtrAccess, Replica, answering
from swarmtui.runbooks.dtr.hosts import Looked, ReplicaOnHost, look_at_all
from swarmtui.runbooks.dtr.new_node import NewNode, look_at_node
from swarmtui.runbooks.dtr.noted import in_backup
from swarmtui.runbooks.dtr.way import way_to_ucp
from swarmtui.runbooks.dtr.where import at
from swarmtui.runbooks.swarm.backups.here import of_product
from swarmtui.runbooks.ucp.own_certificates import OwnCertificates
from swarmtui.session import Session

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry


class DtrBackupSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The backup, as opening it now finds it.

    Attributes:
        age: in words.
        verdict, because: what verifying it just now says.
        opened: it could be opened; else nothing is begun.
        digest: sha256 of the archive as DTR wrote it, in hex.
        path: of the archive here; encrypted: with age, by us.
        dtr: what its manifest says of DTR.
    """

    id: str
    cluster_id: str
    age: str
    verdict: str
    because: str
    opened: bool
    digest: str
    path: str
    encrypted: bool
    dtr: DtrManifest


class DtrRestoreFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from; no secret is in it.

    Attributes:
        node: where the replica is put.
        replica_id, url, storage: of the replica, as the parameters or the backup say. storage: nfs://…, volume:NAME,
            local, or the name of an object storage.
        known: DTR as it is; None where nothing of it is found, nor tells of itself where it should answer.
        answers: an address at which something says that it is well; "" where nothing does.
        left: what lies of DTR on nodes that answer.
        away: replicas that nobody sees and that may come back: id → name of the node, which does not answer, or is not
            in the Swarm; "" where nobody noted it.
        lost: replicas of which nothing is left on their node, which answers: id → name of the node.
        silent: names of nodes that could not be looked at.
        instance: of the UCP that is there; "" where it does not tell.
        upload: where the archive is put.
        destroying: the job of each of what is left, by id of the replica and of its node.
    """

    backup: DtrBackupSeen
    cluster: str
    cluster_id: str
    work: Work
    node: NewNode
    replica_id: str
    url: str
    storage: str
    http: int
    https: int
    own: OwnCertificates | None
    now: float
    known: DtrAccess | None
    left: tuple[ReplicaOnHost, ...]
    away: dict[str, str]
    silent: tuple[str, ...]
    instance: str
    managers: tuple[str, ...]
    upload: str
    destroying: dict[str, str]
    lost: dict[str, str] = {}
    answers: str = ""

    @property
    def members(self) -> tuple[Replica, ...]:
        """The replicas that DTR counts in, as far as their data lies on nodes that answer."""
        return self.known.members if self.known is not None else ()

    @property
    def up(self) -> tuple[Replica, ...]:
        """Those whose database runs."""
        return tuple(one for one in self.members if one.up)

    @property
    def down(self) -> tuple[Replica, ...]:
        """Those whose data is there, and whose database could be started."""
        return tuple(one for one in self.members if not one.up and one.on is not None and one.on.data)

    def lying(self, replica_id: str) -> tuple[ReplicaOnHost, ...]:
        """What is left of one replica, on whichever nodes."""
        return tuple(one for one in self.left if one.id == replica_id)

    @property
    def unsure(self) -> tuple[str, ...]:
        """Names of silent nodes that may have a replica for all that is known: a backup made by hand tells of none."""
        return () if self.backup.dtr.nodes else tuple(one for one in self.silent if one not in self.away.values())

    @property
    def later(self) -> tuple[str, ...]:
        """Names of silent nodes on which a replica may be that joined after the backup, and could bring a majority."""
        if not self.backup.dtr.nodes:
            return ()
        more = tuple(one for one in self.silent if one not in self.away.values())
        there = len(self.up) + len(self.down) + len(self.away) + len(more)
        total = len(self.members) + len(self.away) + len(self.lost) + len(more)
        return more if more and there >= quorum_of(total) else ()

    @property
    def needed(self) -> int:
        """How many DTR needs to work: a majority of all that it has, also of those that nobody sees."""
        unseen = len(self.away) + len(self.lost) + len(self.unsure)
        return quorum_of(max(len(self.members) + unseen, 1))


async def survey(session: Session, params: Mapping[str, Any]) -> DtrRestoreFacts:
    """Gathers the facts; the backup is opened and read whole, before anybody thinks of removing anything.

    Raises:
        RefusedError: the Swarm has no quorum, or UCP is not to be had.
        UsageError: there is no such backup or node, or the backup does not tell what a parameter must.
        BackupError: the backup is broken.
        LinkError, EngineError, VaultError: something that must be known cannot be asked.
    """
    snapshot = await session.refresh()
    if not (now := quorum(snapshot.nodes.values())).held:
        raise RefusedError(
            f"The Swarm has no quorum ({now}): DTR is restored into a healthy Swarm with a healthy UCP only.",
            "First the Swarm, then UCP, then DTR: swarmtui recover",
        )
    entry = await of_product(session, params["backup"], "dtr")
    backup = await _seen(session, entry)
    dtr = backup.dtr
    way = await way_to_ucp(session, insecure=params[INSECURE.name])
    way.must(session.name)
    version = _version(dtr)
    work = Work(version=version, at=await at(session, version), way=way, job_id=jobs.new_id())
    looked = await look_at_all(session)
    storage = params.get("storage") or _must(_storage(dtr), "where the images are", "storage=nfs://HOST/PATH|local")
    url = params.get("url") or _must(dtr.external_url, "DTR's external URL", "url=https://HOST")
    answers = await well_at(session.opening.cluster.dtr.url, url)
    known = await _known(session, found=bool(looked.found)) if looked.found or answers else None
    missing = await unseen(session, entry, looked, known)
    return DtrRestoreFacts(
        backup=backup,
        cluster=session.name,
        cluster_id=snapshot.cluster_id,
        work=work,
        node=await look_at_node(session, _node(params, entry, snapshot), version, work.at, looked, storage),
        replica_id=params.get("replica") or _must(dtr.replica_id, "of which replica it is", "replica=ID, or any other"),
        url=url,
        storage=storage,
        http=params.get("http-port") or dtr.http_port,
        https=params.get("https-port") or dtr.https_port,
        own=await settings.certificates_of(params),
        now=time.time(),
        known=known,
        left=looked.found,
        away=missing.away,
        lost=missing.lost,
        answers=answers,
        silent=tuple(sorted(one_line(snapshot.nodes[each].name) for each in looked.silent if each in snapshot.nodes)),
        instance=await _instance(session),
        managers=managers_up(snapshot),
        upload=jobs.new_id(),
        destroying={place_of(one): jobs.new_id() for one in looked.found},
    )


async def _known(session: Session, *, found: bool) -> DtrAccess | None:
    """DTR as it is; also where nothing of it lies on nodes that answer, it may tell where it is configured."""
    try:
        return await access(session, ask=found)
    except RefusedError:
        return None


def place_of(left: ReplicaOnHost) -> str:
    """What lies of one replica on one node, as a key."""
    return f"{left.id}-{left.node.id}"


async def _seen(session: Session, entry: Entry) -> DtrBackupSeen:
    from swarmtui.backups.verify import verify

    manifest = entry.whole
    assert manifest.dtr is not None
    keys = await keys_of(session.vault, entry.cluster_id)
    found = await asyncio.to_thread(verify, entry, (), keys.identity)
    third = found.result(3)
    closed = third is not None and third.ok is None and found.verdict != "no"
    return DtrBackupSeen(
        id=entry.id,
        cluster_id=entry.cluster_id,
        age=age_words(time.time() - manifest.taken_at) if manifest.taken_at else "unknown",
        verdict=found.verdict,
        because=one_line(third.what[0] if third is not None and closed else found.because).rstrip("."),
        opened=third is not None and bool(third.ok),
        digest=manifest.digest,
        path=str(entry.archive),
        encrypted=bool(manifest.encrypted),
        dtr=manifest.dtr,
    )


def _version(dtr: DtrManifest) -> Version:
    try:
        found = Version.parse(dtr.version)
    except ValueError:
        raise RefusedError(f'The backup is of DTR "{one_line(dtr.version)[:20]}", which is no version.', "") from None
    if not found.supported:
        raise RefusedError(
            f"The command line of {found.product} is not known here.", "DTR 2.4 to 2.7, MSR 2.8, 2.9 are."
        )
    return found


def _node(params: Mapping[str, Any], entry: Entry, snapshot: Snapshot) -> str:
    """The node that the replica is put on: the one that is named, or the one that the backup is from."""
    if named := params.get("node"):
        return str(named)
    dtr, manifest = entry.whole.dtr, entry.whole
    former = (dtr.nodes.get(dtr.replica_id, "") if dtr is not None else "") or manifest.node
    if any(former in (node.name, node.hostname) for node in snapshot.nodes.values()):
        return former
    raise UsageError(
        f"The node that the backup is from is not in the Swarm ({one_line(former) or 'nobody noted its name'}).",
        "Say on which node DTR is to be restored: node=NAME",
    )


def _must(told: str, what: str, given: str) -> str:
    if not told:
        raise UsageError(f"The backup does not tell {what}.", f"Say it: {given}")
    return told


def _storage(dtr: DtrManifest) -> str:
    """As the parameter says it."""
    if dtr.storage == "nfs":
        return dtr.storage_at
    return f"volume:{dtr.storage_at}" if dtr.storage == "volume" else dtr.storage


async def unseen(session: Session, entry: Entry, looked: Looked, known: DtrAccess | None) -> Members:
    """All replicas that DTR has: by what lies on the nodes, by what it told this machine last, and by the backup."""
    snapshot, backup = session.snapshot, in_backup(entry)
    if known is not None:
        found = known.counted(backup)
    else:
        here = await asyncio.to_thread(memory.noted, folder(), snapshot.cluster_id)
        found = total_members((), (here, backup), answering(session, looked))
    named = {node.hostname: node.name for node in snapshot.nodes.values()}
    named |= {name: name for name in named.values()}

    def names(replicas: dict[str, str]) -> dict[str, str]:
        return {replica: one_line(named.get(node, node)) for replica, node in replicas.items()}

    # A host of another Swarm does not come back to this one by being started.
    other = entry.cluster_id != snapshot.cluster_id
    never = {replica: node for replica, node in found.away.items() if other and node not in named}
    away = {replica: node for replica, node in found.away.items() if replica not in never}
    return msgspec.structs.replace(found, away=names(away), lost=names(found.lost | never))


async def _instance(session: Session) -> str:
    from swarmtui.model.ucp import status

    return status.instance_of(session.snapshot)
