"""The backup that is to be rehearsed: opened on our side, where its keys are, and looked into."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from swarmtui.backups.errors import BackupError, RaftError
from swarmtui.errors import UsageError
from swarmtui.model.text import one_line
from swarmtui.runbooks.swarm.rehearsal.rehearse_judge import counts, is_locked, unlocked
from swarmtui.vault import Secret, fingerprint

if TYPE_CHECKING:
    from swarmtui.backups.archive import ArchiveFiles
    from swarmtui.backups.catalogue import Catalogue, Entry
    from swarmtui.backups.files import SwarmFiles


@contextlib.asynccontextmanager
async def opened(entry: Entry, identity: Secret | None) -> AsyncIterator[ArchiveFiles]:
    """The files of a backup's archive, decrypted here where it is encrypted.

    Raises:
        BackupError: it cannot be opened, or is not to be unpacked.
    """
    from swarmtui.backups.archive import open_archive

    with contextlib.ExitStack() as stack:
        try:
            # All in one thread: what it opens is closed again where we are cancelled meanwhile.
            files = await asyncio.to_thread(stack.enter_context, open_archive(entry.archive, identity))
        except OSError as error:
            raise BackupError(
                f"The archive of {entry.id} cannot be read: {error.strerror}.", f"Look at {entry.archive}."
            ) from error
        if files.fatal:
            raise BackupError(
                f"The archive of {entry.id} is never unpacked: {files.fatal[0].what}", "Take another backup."
            )
        yield files


async def look_inside(entry: Entry, keys: Sequence[Secret], identity: Secret | None) -> dict[str, Any]:
    """What `RehearsalFacts` has of the backup. Raises BackupError."""
    from swarmtui.backups import raft

    manifest = entry.whole
    async with opened(entry, identity) as files:
        contents = await asyncio.to_thread(raft.read, files, keys)
        return {
            "backup": entry.id,
            "cluster_id": entry.cluster_id,
            "cluster": one_line(manifest.cluster),
            "node": one_line(manifest.node),
            "node_id": contents.node_id or manifest.node_id,
            "engine_version": one_line(manifest.engine_version),
            "locked": is_locked(files),
            "opened_by": await asyncio.to_thread(_opener, files, keys),
            "keys": len(keys),
            "size": sum(files.size(name) for name in files.names()),
            "counts": counts(manifest.inventory) if manifest.inventory is not None else "",
            "problems": tuple(one_line(str(problem)) for problem in contents.fatal),
            "source": manifest.source,
        }


def _opener(files: SwarmFiles, keys: Sequence[Secret]) -> str:
    """The fingerprint of the key that opens the key file; "" where it is not locked, or none does."""
    if not is_locked(files):
        return ""
    for key in keys:
        try:
            unlocked(files, [key])
            return fingerprint(key)
        except RaftError:
            continue
    return ""


async def find(catalogue: Catalogue, cluster_id: str | None, name: str) -> Entry:
    """The backup of this name.

    Raises:
        UsageError: there is none, or it is broken.
        BackupError: the catalogue cannot be read.
    """
    try:
        entry = await asyncio.to_thread(catalogue.entry, cluster_id, name, "swarm")
    except UsageError as error:
        raise UsageError(error.what, error.next_step.replace("--cluster ID", "cluster=ID")) from None
    if entry.broken:
        raise UsageError(f"The backup {one_line(entry.id)} cannot be rehearsed: {entry.broken}", "Take another one.")
    return entry
