"""What `status` and `doctor` say of DTR. What is wrong with it stands among the findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from swarmtui.cli.ucp_words import door_object, door_words
from swarmtui.model.dtr import status
from swarmtui.model.dtr.behind import words
from swarmtui.model.dtr.health import named
from swarmtui.model.dtr.seen import BALANCER, DtrSeen
from swarmtui.model.dtr.status import Cluster, Replica
from swarmtui.model.dtr.ways import Advice, Diagnosis, Way, diagnose
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line, sentence

ASKED_FOR = (
    "The load balancer before it and the storage of its images must themselves survive a loss, and the images need a "
    "backup of their own: swarmtui cannot see either."
)
"""What a doctor asks for and cannot look at (procedures.md T4)."""


def dtr_words(snapshot: Snapshot) -> str:
    """One sentence: which DTR there is, and how many of its replicas are healthy; "" where there is none."""
    if not status.runs_dtr(snapshot):
        return ""
    found = status.cluster(snapshot)
    return one_line(f"{found.product}: {_count(found)}.")


def _count(found: Cluster) -> str:
    members = len(found.members)
    if not members:
        return "no replica is known"
    quorum = {True: f"{max(0, found.slack)} more may be lost", False: "its quorum is lost", None: "quorum not known"}
    even = ", an even number" if members % 2 == 0 else ""
    return f"{found.healthy}/{members} replicas healthy{even}, {quorum[found.quorum]}"


def dtr_lines(snapshot: Snapshot) -> Iterator[str]:
    """Each replica, one line each; DTR as a whole, and the way out of what is wrong with it."""
    if not status.runs_dtr(snapshot):
        return
    found, seen = status.cluster(snapshot), snapshot.dtr or DtrSeen()
    yield one_line(f"{dtr_words(snapshot)[:-1]}:")
    if balancer := seen.doors.get(BALANCER):
        yield f"  {door_words('its load balancer', balancer)}"
        if len(found.members) > 1 and balancer.ok:
            behind = words(seen.behind, {one.id: named(one) for one in found.members})
            yield f"  Replicas that it leads to: {sentence(one_line(behind))}"
    for replica in found.replicas:
        yield f"  {one_line(_replica(replica))}"
    if found.url:
        yield f"  Its external URL is {one_line(found.url)}."
    if found.storage is not None:
        yield f"  Its images are in: {one_line(str(found.storage))}."
    if found.jobs is not None:
        yield f"  Running jobs: {one_line(', '.join(found.jobs)) or 'none'}."
    if seen.told is not None and seen.told.gc_holder:
        yield f"  Replica {one_line(seen.told.gc_holder)} collects garbage."
    for text in (seen.trouble, *(seen.told.unread if seen.told is not None else ())):
        if text:
            yield f"  Its cluster_status: {sentence(one_line(text))}"
    diagnosis = diagnose(found)
    if diagnosis.first.way is not Way.NOTHING:
        yield from (f"  {one_line(line)}" for line in _way_out(diagnosis))
    yield f"  {ASKED_FOR}"


def _replica(one: Replica) -> str:
    where = f" on {one.node}" if one.node else ""
    word = {"unknown": "not known", "leftover": "left over"}.get(one.state, one.state)
    why = f" ({one.why.rstrip('.')})" if one.why else ""
    readonly = ", read-only" if one.readonly else ""
    return f"replica {one.id}{where} is {word}{readonly}{why}"


def _way_out(diagnosis: Diagnosis) -> Iterator[str]:
    yield f"What to do: {_told(diagnosis.first)}"
    yield from (f"Where that cannot be: {_told(way)}" for way in diagnosis.ways[1:])
    yield from (f"Not {way.value}: {why}" for way, why in diagnosis.not_it.items())


def _told(advice: Advice) -> str:
    return f"{advice.why} {advice.what}".strip()


def dtr_object(snapshot: Snapshot) -> dict[str, Any] | None:
    """For a program; None where there is no DTR."""
    if not status.runs_dtr(snapshot):
        return None
    found, seen = status.cluster(snapshot), snapshot.dtr or DtrSeen()
    balancer = seen.doors.get(BALANCER)
    diagnosis = diagnose(found)
    return {
        "product": found.product,
        "version": found.version or None,
        "url": found.url or None,
        "storage": None if found.storage is None else {"kind": found.storage.kind, "where": found.storage.where},
        "jobs": None if found.jobs is None else list(found.jobs),
        "quorum": found.quorum,
        "needed": found.needed,
        "survives": max(0, found.slack),
        "trouble": seen.trouble,
        "balancer": None if balancer is None else door_object(balancer),
        "state": diagnosis.state,
        "way": {"way": diagnosis.first.way.value, "why": diagnosis.first.why, "what": diagnosis.first.what},
        "replicas": [
            {
                "id": one.id,
                "node": one.node or None,
                "version": one.version or None,
                "state": one.state,
                "why": one.why,
                "health": one.told or None,
                "written": one.timestamp or None,
                "read_only": one.readonly,
                "member": one.member,
                "database": one.up,
                "ping": None if one.door is None else door_object(one.door),
                "containers": {part.name: part.status for part in one.parts},
                "volumes": one.volumes,
            }
            for one in found.replicas
        ],
    }
