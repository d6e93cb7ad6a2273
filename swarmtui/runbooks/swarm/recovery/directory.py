"""The Swarm directory of a manager, read over SSH while nobody answers for the Swarm. Changes nothing."""

from __future__ import annotations

import contextlib
import io
import shlex
from typing import TYPE_CHECKING

from swarmtui.errors import RefusedError
from swarmtui.link.streaming import StreamError, stream
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session

if TYPE_CHECKING:
    from swarmtui.backups.archive import ArchiveFiles

LARGEST = 256 << 20
"""Bytes of a Swarm directory that are taken into memory: one with 2,132 tasks has 3.4 MB."""


def tar_line(at: Where, root: str) -> str:
    """The command that writes what matters of it as a tar."""
    tar = f"tar --create --sparse --hole-detection=raw --directory={shlex.quote(root)} --file=-"
    return at.root(f"{tar} swarm/certificates swarm/raft")


async def directory(session: Session, at: Where, root: str) -> ArchiveFiles:
    """Its files, in memory only: where autolock is off, the raft's key is among them in clear.

    Raises:
        RefusedError: it is too large to be one.
        LinkError: the connection was lost.
    """
    from swarmtui.backups.archive import ArchiveFiles

    taken = io.BytesIO()

    def take(batch: bytes) -> None:
        if taken.tell() > LARGEST:
            raise RefusedError(f"{root}/swarm on {at.name} is larger than a Swarm's can be.", "Look what is in there.")
        taken.write(batch)

    # A hot tar exits 1 where a file changed under it; without a quorum nothing is agreed on meanwhile.
    with contextlib.suppress(StreamError):
        await stream(await at.reach(session), tar_line(at, root), take)
    return ArchiveFiles(taken)
