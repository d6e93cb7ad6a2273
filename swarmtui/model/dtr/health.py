"""What is wrong with DTR, and what to do about it. Rules as in model/health, where they are shown. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from swarmtui.model.backups import HOUR, BackupHolding, age_words
from swarmtui.model.dtr import facts, status
from swarmtui.model.dtr.behind import Behind
from swarmtui.model.dtr.seen import BALANCER, DtrSeen
from swarmtui.model.dtr.status import Cluster, Replica
from swarmtui.model.dtr.ways import decide
from swarmtui.model.finding import Finding, Severity
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import listed, one_line, sentence

REMEDY: Final = "See why: docker ps -a --filter name=dtr- there, and docker logs of what is bad."
STORAGE: Final = (
    "NFS or an object storage belongs under several replicas, and a switch can wipe every tag. See what is set: "
    "swarmtui run dtr.storage"
)


def dtr_findings(snapshot: Snapshot, now: float) -> Iterator[Finding]:
    """Everything that is wrong with DTR; nothing where there is none.

    Args:
        now: seconds since the epoch.
    """
    if not status.runs_dtr(snapshot):
        return
    found, seen = status.cluster(snapshot), snapshot.dtr or DtrSeen()
    yield from _quorum(found)
    for replica in found.replicas:
        yield from _replica(snapshot, found, replica)
    yield from _count(found)
    yield from _storage(found)
    yield from _balancer(seen, found)
    yield from _database(found, seen)
    yield from _versions(found)
    if seen.trouble:
        yield Finding(
            "dtr-not-asked",
            Severity.ADVICE,
            "",
            f"DTR's own cluster_status is not known: {sentence(seen.trouble)}",
            "Its containers, volumes and /_ping are read all the same.",
        )
    if found.members:
        yield from _backups(snapshot.backups, now)


def _quorum(found: Cluster) -> Iterator[Finding]:
    members = len(found.members)
    if found.quorum is False:
        up = sum(replica.up is True for replica in found.members)
        unwritable = f" Tables that nobody can write: {listed(found.unwritable)}." if found.unwritable else ""
        advice = decide(found)
        yield Finding(
            "dtr-quorum-lost",
            Severity.CRITICAL,
            "",
            f"{found.product} has no quorum: {up} of {members} replicas are up and {found.needed} are needed. Nothing "
            f"can be pulled, pushed or logged in to.{unwritable}",
            f"{advice.why} {advice.what}".strip(),
        )
        return
    doors = [replica.door for replica in found.members if replica.door is not None]
    if doors and len(doors) == members and not any(door.ok for door in doors):
        way = decide(found)
        yield Finding(
            "dtr-down",
            Severity.CRITICAL,
            "",
            f"No replica of {found.product} answers as healthy: nothing can be pulled or pushed.",
            f"{way.why} {way.what}"
            if found.unread
            else "See what each one says; without a quorum of its database, and without UCP's logins, none is healthy.",
        )
    elif found.quorum and found.slack == 0 and members > 2:
        yield Finding(
            "dtr-no-slack",
            Severity.CRITICAL,
            "",
            f"DTR's quorum hangs on every one of the {found.needed} replicas that are up: one more loss stops pulls "
            "and pushes.",
            "Bring the missing replicas back, or remove them and join others, before anything else.",
        )


def _replica(snapshot: Snapshot, found: Cluster, replica: Replica) -> Iterator[Finding]:
    where = f" on {replica.node}" if replica.node else ""
    if replica.state == "leftover":
        yield Finding(
            "dtr-leftover",
            Severity.WARNING,
            replica.id,
            f"Replica {replica.id}{where} is left over: {sentence(replica.why)}",
            f"Take it away before another one joins there: swarmtui run dtr.destroy replica={replica.id}",
            replica.node_id,
        )
        return
    if replica.state in ("unhealthy", "down", "gone"):
        word = {"unhealthy": "is not healthy", "down": "is down", "gone": "is gone"}[replica.state]
        yield Finding(
            "dtr-unhealthy",
            Severity.WARNING,
            replica.id,
            f"Replica {replica.id}{where} {word}: {sentence(replica.why)}",
            _remedy(found, replica),
            replica.node_id,
        )
    if replica.readonly:
        yield Finding(
            "dtr-read-only",
            Severity.WARNING,
            replica.id,
            f"Replica {replica.id}{where} is read-only: nobody can push to it.",
            "Garbage collection may be running, or somebody set it: DTR's settings, Storage.",
            replica.node_id,
        )
    node = snapshot.nodes.get(replica.node_id)
    if node is not None and node.is_voter:
        yield Finding(
            "dtr-on-manager",
            Severity.ADVICE,
            replica.id,
            f"Replica {replica.id} runs on the manager {node.name}: DTR belongs on workers of its own.",
            "Join a replica on a worker, then remove this one.",
            node.id,
        )


def _remedy(found: Cluster, replica: Replica) -> str:
    if found.quorum is not False and replica.state in ("down", "gone"):
        return (
            "Bring it back if its host or its containers can be started; else remove it, and only then join another: "
            f"swarmtui run dtr.remove replica={replica.id}"
        )
    return REMEDY


def _count(found: Cluster) -> Iterator[Finding]:
    members = len(found.members)
    if found.unread:
        return
    if members and members % 2 == 0:
        yield Finding(
            "dtr-even",
            Severity.WARNING,
            "",
            f"DTR has {members} replicas, an even number: they survive no more losses ({found.tolerance}) than "
            f"{members - 1} would.",
            "Keep 3, 5 or 7: join one or remove one.",
        )
    elif members == 1:
        yield Finding(
            "dtr-single",
            Severity.ADVICE,
            "",
            "There is only one replica of DTR: its loss is the loss of the registry.",
            "Join replicas until there are 3, once images lie in a shared storage.",
        )
    elif members > max(facts.COUNTS):
        yield Finding("dtr-many", Severity.ADVICE, "", f"DTR has {members} replicas.", "Keep 3, 5 or 7.")


def _storage(found: Cluster) -> Iterator[Finding]:
    if found.storage is None or len(found.members) < 2 or found.storage.kind in ("nfs", "object"):
        return
    if found.storage.kind == "volume":
        yield Finding(
            "dtr-local-storage",
            Severity.WARNING,
            "",
            f"DTR keeps images in the volume {one_line(found.storage.where)} of each replica's own node: unless its "
            "driver shares it, each replica has other images.",
            STORAGE,
        )
        return
    yield Finding(
        "dtr-local-storage",
        Severity.WARNING,
        "",
        f"DTR's settings name no shared file system for the images of its {len(found.members)} replicas: unless an "
        "object storage is set, each replica has other images.",
        STORAGE,
    )


def _balancer(seen: DtrSeen, found: Cluster) -> Iterator[Finding]:
    door = seen.doors.get(BALANCER)
    if door is not None and not door.ok and any(one.door is not None and one.door.ok for one in found.members):
        yield Finding(
            "dtr-balancer",
            Severity.WARNING,
            door.host,
            f"DTR cannot be used at {door.url}, although replicas are healthy: {sentence(door.why)}",
            "Look at the load balancer: it must know every replica, and none that was removed; TCP passthrough, health "
            "check GET /_ping.",
        )
    elif door is not None and seen.behind is not None:
        yield from _behind(seen.behind, found, door.host)


def _behind(behind: Behind, found: Cluster, host: str) -> Iterator[Finding]:
    """What the load balancer's own list lacks, or has too much."""
    # One that is ill is rightly left out.
    well = [one for one in found.members if one.state == "healthy"]
    if missed := [named(one) for one in well if one.id in behind.missed]:
        always = len(behind.leads_to) == 1
        only = [named(one) for one in found.members if one.id in behind.leads_to]
        them = "it" if len(missed) == 1 else "them"
        affinity = " It may also lead each client always to the same replica (source affinity)." if always else ""
        yield Finding(
            "dtr-balancer-lacks",
            Severity.ADVICE if always else Severity.WARNING,
            host,
            f"The load balancer {host} never led to {listed(missed)} in {len(behind.told)} new connections from here, "
            f"only to {listed(only) or 'others'}.{affinity}",
            f"Add {them} to the load balancer, if missing there: TCP passthrough, health check GET /_ping. ctrl-r "
            "looks anew.",
        )
    if behind.strangers:
        yield Finding(
            "dtr-balancer-stranger",
            Severity.WARNING,
            host,
            f"The load balancer {host} leads to {listed(sorted(behind.strangers))}, which {found.product} does not "
            "count in.",
            "Take it out of the load balancer: what is pushed there is in no other replica.",
        )
    if lost := behind.lost:
        yield Finding(
            "dtr-balancer-nowhere",
            Severity.WARNING,
            host,
            f"{len(lost)} of {len(behind.turns)} new connections through the load balancer {host} led to no replica: "
            f"{sentence(lost[-1].trouble)}",
            "Take out of the load balancer what is no replica any more, and let it check each: GET /_ping. ctrl-r "
            "looks anew.",
        )


def named(replica: Replica) -> str:
    """What a replica is called for a person: its id, and where it is."""
    return f"{replica.id} on {replica.node}" if replica.node else replica.id


def _database(found: Cluster, seen: DtrSeen) -> Iterator[Finding]:
    told = seen.told
    if told is None or seen.trouble:
        return
    if told.issues and found.quorum is not False and all(replica.state == "healthy" for replica in found.members):
        yield Finding(
            "dtr-database",
            Severity.WARNING,
            "",
            f"DTR's database tells of trouble: {sentence(told.issues[0])}",
            "Look at cluster_status again in a minute; then at the log of dtr-rethinkdb on each replica.",
        )


def _versions(found: Cluster) -> Iterator[Finding]:
    if len(found.versions) > 1:
        told = "; ".join(f"{version} on {listed(where, 3)}" for version, where in sorted(found.versions.items()))
        yield Finding(
            "dtr-mixed-versions",
            Severity.WARNING,
            "",
            f"The versions of DTR's replicas differ: {told}.",
            "An upgrade was cut off: run it again, it goes on where it stopped. Join nothing meanwhile.",
        )
    release = found.release
    if release is not None and release.leaks:
        yield Finding(
            "dtr-leak",
            Severity.ADVICE,
            "",
            f"{release.product} writes credentials to the log driver when it makes a backup or a replica joins, unless "
            "--log-driver none is given (2.2 to 2.4.1).",
            f"swarmtui always gives it. Upgrade to {facts.LEAKS_BEFORE} or later, and change credentials that were "
            "logged.",
        )


def _backups(held: BackupHolding | None, now: float) -> Iterator[Finding]:
    if held is None or held.trouble:
        return  # said already, of the catalogue itself
    take = "Take one: swarmtui run dtr.backup. Images and users are not in it."
    if not held.dtr_at:
        severity = Severity.WARNING if held.meant else Severity.ADVICE
        yield Finding("dtr-backup-none", severity, "", "There is no backup of DTR in the catalogue.", take)
    elif now - held.dtr_at > held.fresh_hours * HOUR:
        old = age_words(now - held.dtr_at)
        what = f"The newest backup of DTR is {old} old, more than {held.fresh_hours} h."
        yield Finding("dtr-backup-old", Severity.WARNING, "", what, take)
