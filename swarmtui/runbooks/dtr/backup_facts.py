"""What dtr.backup must know before it plans: which replica, where its command runs, where images are, the places."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.link.dtr.errors import DtrError
from swarmtui.link.https import Ping
from swarmtui.link.together import together
from swarmtui.model.quorum import quorum
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.runbooks.dtr.access import access, opened, password_of, pings
from swarmtui.runbooks.dtr.commanding import Work, work_of
from swarmtui.runbooks.dtr.found import DtrAccess, Replica
from swarmtui.runbooks.dtr.image import Command
from swarmtui.runbooks.image import host as engine
from swarmtui.runbooks.image.archive import Room, room
from swarmtui.runbooks.swarm.backups.here import Here, here_of
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session

LOCAL: Final = "filesystem"
"""What DTR's registry calls a storage on the replica's own disk."""


class Images(msgspec.Struct, frozen=True):
    """Where the images live, as a manifest has it.

    Attributes:
        storage: "local", "volume", "nfs", the name of an object storage, or "" where nobody tells.
        at: the volume's name or nfs://HOST/PATH; "" where there is nothing to tell.
    """

    storage: str = ""
    at: str = ""


class DtrBackupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from; no secret is in it.

    Attributes:
        replica: the one that it is taken from; because: why that one.
        ill: replica id → why none is taken from that one, a clause.
        before: the replica of the newest backup in the catalogue; "" where there is none.
        work: where the command runs, and how it gets to UCP; node_id: of that host's node.
        busy: what has the name that the command's container must have; "" where it is free.
        image: whether the image is there.
        repositories: their names; None where nobody could ask, and `unasked` says why.
        managers: ids of the managers that are up.
    """

    known: DtrAccess
    replica: Replica
    because: str
    ill: dict[str, str]
    before: str
    work: Work
    node_id: str
    busy: str
    image: bool
    room: Room
    here: Here
    images: Images
    repositories: tuple[str, ...] | None
    unasked: str
    managers: tuple[str, ...]

    @property
    def at(self) -> Where:
        """The host that the command runs on."""
        return self.work.at

    @property
    def job(self) -> str:
        """The job that will do it."""
        return self.work.job_id


async def survey(session: Session, params: Mapping[str, Any]) -> DtrBackupFacts:
    """Gathers the facts.

    Raises:
        RefusedError: there is no DTR, no UCP, no quorum, or no replica that could be taken.
        UsageError: replica= is none.
        StepError: no manager's host answers.
        LinkError, EngineError, BackupError: something that must be known cannot be asked.
    """
    snapshot = await session.refresh()
    if not (now := quorum(snapshot.nodes.values())).held:
        raise RefusedError(
            f"The Swarm has no quorum ({now}), and neither UCP nor DTR can be asked without it.",
            "Bring managers back first: swarmtui recover",
        )
    known = await access(session, ask=True)
    work = await work_of(session, known, params)
    at = work.at
    here, before = await together(here_of(session, known.cluster_id, "dtr"), _before(session, known.cluster_id))
    ill = await ills(known)
    replica, because = choose(known, ill, params.get("replica") or "", before)
    (repositories, images, unasked), holder, image, there = await together(
        asked(session, known),
        engine.holder(session, at, Command(version=work.version, name="backup").container),
        engine.has_image(session, at, known.release.image),
        room(session, at),
    )
    return DtrBackupFacts(
        known=known,
        replica=replica,
        because=because,
        ill=ill,
        before=before,
        work=work,
        node_id=node_of(snapshot, at),
        busy=f"{holder.image}, {holder.status}" if holder is not None else "",
        image=image,
        room=there,
        here=here,
        images=images,
        repositories=repositories,
        unasked=unasked,
        managers=managers_up(snapshot),
    )


def node_of(snapshot: Snapshot, at: Where) -> str:
    """The id of the node whose host this is."""
    return next((node.id for node in snapshot.nodes.values() if one_line(node.name) == at.name), "")


def managers_up(snapshot: Snapshot) -> tuple[str, ...]:
    """Ids of the managers that a lock can be laid on."""
    return tuple(sorted(node.id for node in snapshot.nodes.values() if node.is_voter and node.is_reachable))


async def _before(session: Session, cluster_id: str) -> str:
    """The replica that the newest backup was taken from."""

    def look() -> str:
        entries = session.backups.entries(cluster_id)
        found = [entry.whole.dtr for entry in entries if entry.kind == "dtr" and not entry.broken]
        return next((dtr.replica_id for dtr in found if dtr is not None and dtr.replica_id), "")

    return await asyncio.to_thread(look)


async def ills(known: DtrAccess) -> dict[str, str]:
    """Replica id → why it is not healthy, a clause; those that are well are not in it.

    DTR's own word counts first; where it does not tell, the replica's /_ping; then what runs on its node.
    """
    answers: dict[str, Ping] = {} if known.told is not None else await pings(known)

    def one(replica: Replica) -> str:
        if replica.health:
            return "" if replica.well else f"DTR says: {replica.health.rstrip('.')}"
        answer = answers.get(replica.id)
        if answer is not None and answer.ok:
            return ""
        if answer is not None and answer.status:
            return f"its /_ping says {answer.status} {answer.text}".rstrip(" .")
        if replica.on is None:
            return "nothing of it is on its node"
        return "" if replica.well else "its components do not run"

    found = {replica.id: one(replica) for replica in known.replicas}
    return {replica: why for replica, why in found.items() if why}


def choose(known: DtrAccess, ill: Mapping[str, str], name: str, before: str) -> tuple[Replica, str]:
    """The replica that a backup is taken from, and why that one: always the same, while it is healthy. Pure.

    Raises:
        UsageError: there is none of this name.
        RefusedError: it is not healthy, or none is.
    """
    if name:
        named = known.replica(name)
        if named.id in ill:
            raise RefusedError(
                f"The replica {named.shown} is not healthy: {ill[named.id]}.",
                "Name another one, or none: a healthy one is chosen.",
            )
        return named, "named by you"
    well = sorted((one for one in known.members if one.id not in ill), key=lambda one: (one.node, one.id))
    if not well:
        told = "; ".join(f"{one.shown}: {ill[one.id]}" for one in known.members if one.id in ill)
        raise RefusedError(
            f"DTR of {known.cluster} is healthy on no replica ({told or 'nothing of it runs'}).",
            "A backup is taken of a healthy one. Mend it first: swarmtui doctor",
        )
    for one in well:
        if one.id == before:
            return one, "healthy, and the one that the last backup was taken from"
    alone = len(known.members) == 1
    return well[0], "it is the only replica" if alone else "healthy; the next backups are taken from it too"


async def asked(session: Session, known: DtrAccess) -> tuple[tuple[str, ...] | None, Images, str]:
    """The repositories that DTR has, and where its images are; with None why nobody could ask. Nobody is asked for a
    password: a backup is a backup without them."""
    images = _images(known, "")
    if known.told is None:
        return None, images, known.trouble.rstrip(".")
    try:
        password = await password_of(session, known)
        async with await opened(session, known, password=password) as client:
            names = tuple(one.full for one in await client.repositories())
            return names, _images(known, await client.storage_kind()), ""
    except (DtrError, SwarmtuiError) as error:
        return None, images, error.what.rstrip(".")


def _images(known: DtrAccess, kind: str) -> Images:
    """By DTR's settings, which name only what is a file system; `kind` is what its registry calls it, if it tells."""
    storage = known.told.storage if known.told is not None else None
    if storage is not None and storage.kind in ("nfs", "volume"):
        return Images(storage.kind, storage.where)
    return Images("local" if kind == LOCAL else kind)
