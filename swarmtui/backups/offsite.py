"""Copies of backups in other places: made whole, checked at the far end, and found again.

A copy is the backup's folder, file by file, under CLUSTER_ID/BACKUP_ID/ in the place. Each file takes its name only
once the far end has it with the right digest, and the manifest goes last: a folder without one is no backup, wherever
it was cut off. What is there with the right digest is not sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from swarmtui.backups.draft import locked
from swarmtui.backups.errors import BackupError
from swarmtui.backups.plain import digest_of
from swarmtui.backups.records import Copy
from swarmtui.config.backups import CopyTarget
from swarmtui.errors import UnreachableError

if TYPE_CHECKING:
    from swarmtui.backups.entries import Entry
    from swarmtui.backups.manifest import Manifest
    from swarmtui.link.person import Person
    from swarmtui.link.ssh_settings import SshSettings

BLOCK = 4 << 20
MANIFEST = "manifest.json"
LEFT_HERE = frozenset({"copies.json"})
"""Files that say something of the catalogue itself, and nothing of the backup."""
GROWS = frozenset({"verifications.jsonl"})
"""Files that may be newer here than in a copy, without anything being wrong with it."""
PART = ".new-"
"""What the name of a file begins with until it is whole."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names that are ours: anything else in a place is left alone."""

Progress = Callable[[int, int], None]
"""Told how many bytes of how many have been sent."""


class CopyError(BackupError):
    """A copy cannot be made, or is not what it should be."""


class PlaceAway(UnreachableError):
    """A place for copies is not there now."""


class Place(Protocol):
    """Somewhere copies are kept. Names are relative to it, with slashes: CLUSTER_ID/BACKUP_ID/archive.tar.

    Every method raises CopyError, PlaceAway or LinkError, with what happened and where.
    """

    @property
    def where(self) -> str:
        """The place as the configuration names it."""
        ...

    async def digest(self, name: str, wanted: str) -> str | None:
        """sha256 of a file, in hex, as the far end has it; None where there is none.

        Args:
            wanted: what it should be: a place that can look in two ways takes the second one where the first differs.
        """
        ...

    async def put(self, file: Path, name: str, digest: str, progress: Progress) -> None:
        """Brings a file there. It takes its name once the far end was found to have that digest."""
        ...

    async def read(self, name: str, largest: int) -> bytes:
        """A small file. Raises CopyError where it is larger, or not there."""
        ...

    async def folders(self, name: str) -> tuple[str, ...]:
        """The names of the folders in a folder; none where it is not there."""
        ...

    async def clear_parts(self, name: str) -> None:
        """Removes what attempts that were cut off left in a folder."""
        ...

    async def remove(self, name: str) -> None:
        """Removes a backup's folder, its manifest first: whatever is left of it then is no backup."""
        ...


@contextlib.asynccontextmanager
async def opened(target: CopyTarget, ssh: SshSettings, person: Person, *, known: bool = True) -> AsyncIterator[Place]:
    """Opens a place for the length of a block.

    Args:
        known: whether copies were made there before; only for the first one a mounted path is taken on trust.

    Raises:
        LinkError: its host cannot be reached.
        PlaceAway: it is not there.
        CopyError: nothing can be kept there.
    """
    if target.kind == "path":
        from swarmtui.backups.offsite_path import PathPlace

        yield await PathPlace.open(target, known=known)
    elif target.kind == "sftp":
        from swarmtui.backups.offsite_sftp import SftpPlace

        async with SftpPlace.opened(target, ssh, person) as sftp:
            yield sftp
    else:
        from swarmtui.backups.offsite_s3 import S3Place

        async with S3Place.opened(target) as bucket:
            yield bucket


def folder_of(entry: Entry) -> str:
    """Where a backup lies in every place."""
    return f"{entry.cluster_id}/{entry.id}"


async def copy(entry: Entry, place: Place, progress: Progress = lambda done, total: None) -> tuple[Copy, int]:
    """Copies a backup, and checks every file at the far end.

    Args:
        progress: told of the whole backup, what was there already included.

    Returns:
        The copy, and how many bytes had to be sent.

    Raises:
        SwarmtuiError: see `Place`; or the backup itself is altered or damaged, and was not copied.
    """
    manifest = entry.whole
    with _alone(entry):
        files = await asyncio.to_thread(_digests, entry.folder)
        found = {file.name: digest for file, (_, digest) in files.items()}
        for name, wanted in _as_told(manifest, entry).items():
            if found.get(name) != wanted:
                raise CopyError(
                    f"{name} of {entry.id} is not what its manifest says, and was not copied to {place.where}.",
                    "It was altered or its disk is failing. See: swarmtui backups verify",
                )
        digest = manifest.stored_digest
        await place.clear_parts(folder_of(entry))
        total, done, sent = sum(size for size, _ in files.values()), 0, 0
        for file, (size, wanted) in files.items():
            name = f"{folder_of(entry)}/{file.name}"
            if await place.digest(name, wanted) != wanted:
                await place.put(file, name, wanted, _after(done, total, progress))
                sent += size
            done += size
            progress(done, total)
    now = time.time()
    before = next((known for known in entry.copies if known.where == place.where and known.digest == digest), None)
    made = now if before is None or before.trouble else before.at
    return Copy(where=place.where, at=made, digest=digest, checked_at=now), sent


def _as_told(manifest: Manifest, entry: Entry) -> dict[str, str]:
    """File → digest, of those of which the manifest tells it."""
    told = {entry.archive.name: manifest.stored_digest}
    return told if entry.objects is None else {**told, entry.objects.name: manifest.objects_stored_digest}


def _after(done: int, total: int, progress: Progress) -> Progress:
    return lambda sent, _: progress(done + sent, total)


async def check(entry: Entry, place: Place, copied: Copy) -> Copy:
    """Compares a copy with the backup, at the far end. What it lacks or has altered is in `trouble`.

    Raises:
        SwarmtuiError: see `Place`: it could not be looked at, which says nothing of the copy.
    """
    files = await asyncio.to_thread(_digests, entry.folder)
    trouble, digest = "", copied.digest
    told = _as_told(entry.manifest, entry) if entry.manifest is not None else {}
    for file, (_, wanted) in files.items():
        if file.name in GROWS:
            continue
        wanted = told.get(file.name, wanted)
        found = await place.digest(f"{folder_of(entry)}/{file.name}", wanted)
        if file == entry.archive:
            digest = found or ""
        if found != wanted and not trouble:
            trouble = f"{file.name} is gone there" if found is None else f"{file.name} was altered there"
    return replace(copied, digest=digest, checked_at=time.time(), trouble=trouble)


def with_copy(copies: Sequence[Copy], new: Copy) -> tuple[Copy, ...]:
    """The copies of a backup with one in the place of what was known of it."""
    return (*(known for known in copies if known.where != new.where), new)


def unencrypted(entry: Entry) -> bool:
    """Whether whoever reads the archive has all secrets of the cluster."""
    return entry.manifest is not None and not entry.manifest.encrypted


@contextlib.contextmanager
def _alone(entry: Entry) -> Iterator[None]:
    """Two programs do not copy one backup at a time: each would clear away what the other is sending."""
    descriptor = locked(entry.folder)
    if descriptor is None:
        raise CopyError(f"{entry.id} is being copied by another program, or gone.", "Wait for that one.")
    try:
        yield
    finally:
        os.close(descriptor)


def _digests(folder: Path) -> dict[Path, tuple[int, str]]:
    """File → size and sha256, in the order in which they are copied."""
    try:
        files = [
            path
            for path in sorted(folder.iterdir())
            if path.is_file() and not path.is_symlink() and not path.name.startswith(".") and path.name not in LEFT_HERE
        ]
        files.sort(key=lambda path: path.name == MANIFEST)
        found = {path: digest_of(path) for path in files}
        return {path: (size, digest) for path, (digest, size) in found.items()}
    except OSError as error:
        raise CopyError(f"{error.filename} cannot be read: {error.strerror}.", "Look at its disk.") from error


def differs(where: str, name: str) -> CopyError:
    """The error for a file that came to the far end as another one."""
    return CopyError(
        f"{name.rpartition('/')[2]} did not come to {where} as it was sent: its digest there is another one.",
        "Nothing there counts as a copy. Look at that disk and try again.",
    )
