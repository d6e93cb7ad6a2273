"""What dtr.restore does with what is left of DTR: what goes before it, and what stays (T7).

No backup has the images: where they lie on a replica's own disk, the volume that the new one will have stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec

from swarmtui.model.text import listed, one_line
from swarmtui.runbooks.dtr.destroy import destroy_steps
from swarmtui.runbooks.dtr.found import Replica
from swarmtui.runbooks.dtr.hosts import ReplicaOnHost, without
from swarmtui.runbooks.dtr.lives import Lost
from swarmtui.runbooks.dtr.restore_facts import DtrRestoreFacts, place_of
from swarmtui.runbooks.runbook import Step


def with_images(found: DtrRestoreFacts) -> list[ReplicaOnHost]:
    """What goes of replicas that have the images on their own disk."""
    if found.backup.dtr.storage not in ("local", ""):
        return []
    gone = [without(one, stay(found, one)) for one in found.left]
    return [one for one in gone if one is not None and f"dtr-registry-{one.id}" in one.volumes]


def images_of(found: DtrRestoreFacts) -> tuple[str, ...]:
    """The volume in which the new replica has the images, where it has them on its own disk; () where not."""
    local = found.storage == "local" or found.backup.dtr.storage in ("local", "")
    return (f"dtr-registry-{found.replica_id}",) if local else ()


def stay(found: DtrRestoreFacts, one: ReplicaOnHost) -> tuple[str, ...]:
    """What stays of what is left there: images lie in it, or were put back into it before this (ucp-dtr.md §5.5 A)."""
    here = one.id == found.replica_id and one.node.id == found.node.place.id
    return tuple(name for name in images_of(found) if here and name in one.volumes)


def into(found: DtrRestoreFacts) -> str:
    """Where images are put back, and when."""
    names = images_of(found)
    where = f" into the volume {listed(names)} on {found.node.name}, which nothing here removes" if names else ""
    return f"back before this{where}"


def lost(found: DtrRestoreFacts) -> Lost:
    """What must still be lost when anything of DTR goes."""
    lay = [one for one in found.left if one.data or one.database]
    return Lost(needed=found.needed, lay=tuple(place_of(one) for one in lay))


def destroyed(found: DtrRestoreFacts, one: ReplicaOnHost, lies: str) -> Iterator[Step]:
    """The steps after which nothing of it is left: a restore is refused while a replica is there."""
    # DTR's own command is that of the version that is there; another one may not know what it finds. And it takes all
    # that has the replica's id, on whichever node.
    known = found.known is not None and found.known.version == found.backup.dtr.version
    apart = not any(stay(found, each) for each in found.lying(one.id))
    work = msgspec.structs.replace(found.work, job_id=found.destroying[place_of(one)]) if known and apart else None
    stopped = f"DTR does not work; what is left of its replicas is still on their nodes. {lies}"
    keep = stay(found, one)
    if without(one, keep) is None:
        return
    replica = Replica(id=one.id, node=one_line(one.node.name), on=one)
    for step in destroy_steps(replica, one.node, work, lost(found), keep):
        if step.id == found.work.pull.id:
            continue
        name = step.id if one.id in step.id else f"{step.id}-{one.id}"
        yield replace(step, id=f"{name}@{one.node.id}" if len(found.lying(one.id)) > 1 else name, if_stopped=stopped)
