"""Images that go with a replica: where the storage is each replica's own disk, they lie in a volume of it.

No backup of DTR has them (ucp-dtr.md §2.4), and what removes a replica's volumes removes that one too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from swarmtui.errors import SwarmtuiError
from swarmtui.model.text import one_line
from swarmtui.runbooks.dtr.backup_facts import LOCAL as FILE_SYSTEM
from swarmtui.runbooks.dtr.found import DtrAccess
from swarmtui.runbooks.dtr.hosts import ReplicaOnHost
from swarmtui.runbooks.dtr.remove import storage_kind
from swarmtui.runbooks.runbook import Rule
from swarmtui.runbooks.swarm.backups.here import of_product
from swarmtui.session import Session

IMAGES: Final = "dtr-images-lost"
LOCAL: Final = "local"
ELSEWHERE: Final = "elsewhere"


async def images_at(session: Session, known: DtrAccess) -> str:
    """Where images lie: LOCAL, ELSEWHERE, or "" where neither DTR nor its newest backup tells.

    Raises:
        UsageError: there is no password to ask DTR with.
    """
    storage = known.told.storage if known.told is not None else None
    if storage is not None and storage.kind != "unnamed":
        return ELSEWHERE
    if kind := await storage_kind(session, known):
        return LOCAL if kind == FILE_SYSTEM else ELSEWHERE
    try:
        manifest = (await of_product(session, "latest", "dtr")).whole.dtr
    except SwarmtuiError:
        return ""
    if manifest is None or not manifest.storage:
        return ""
    return LOCAL if manifest.storage == LOCAL else ELSEWHERE


def lost_images(going: Iterable[ReplicaOnHost], at: str) -> Iterator[Rule]:
    """A rule for each replica with whose volumes images go, which it may be the only one to have.

    Args:
        at: where images lie, as `images_at` tells it.
    """
    if at == ELSEWHERE:
        return
    unless = "" if at == LOCAL else ", unless the storage is another one"
    for one in going:
        volume = f"dtr-registry-{one.id}"
        # One for NFS is made only where the images are there: so the host itself tells, where nobody else does.
        nfs = not at and f"dtr-nfs-registry-{one.id}" in one.volumes
        if volume in one.volumes and not nfs:
            yield Rule(
                IMAGES,
                one.id,
                f"The images lie in the volume {volume} on {one_line(one.node.name)}{unless}, which goes with the "
                "rest, and no backup of DTR has them: keep them first, tar -cf backup-images.tar -C "
                f"/var/lib/docker/volumes {volume}",
            )
