"""Backups and their copies together: what is brought to a place, compared or removed there is written down here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from swarmtui.backups import manifest as manifests
from swarmtui.backups.catalogue import BACKUP_ID, Catalogue
from swarmtui.backups.entries import Entry
from swarmtui.backups.errors import BackupError
from swarmtui.backups.offsite import MANIFEST, CopyError, Place, Progress, check, copy, with_copy
from swarmtui.backups.records import Copy, Verdict, Verification
from swarmtui.backups.retention import Decision, Kept, Rules, decide
from swarmtui.errors import SwarmtuiError

VERIFICATIONS = "verifications.jsonl"
_MOST = 64 << 20
"""Bytes of a file in a place that are read to judge a copy."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of one backup in one place.

    Attributes:
        entry: as it is in the catalogue now.
        copy: the copy, and whether it counts; None where nothing could be found out.
        error: why that could not be.
        sent: bytes that had to be sent; 0 where all was there, or it was only compared.
    """

    entry: Entry
    where: str
    copy: Copy | None = None
    error: SwarmtuiError | None = None
    sent: int = 0

    @property
    def ok(self) -> bool:
        return self.copy is not None and not self.copy.trouble


def known_at(entries: Sequence[Entry], where: str) -> bool:
    """Whether copies were made to a place before."""
    return any(known.where == where for entry in entries for known in entry.copies)


async def copy_to(catalogue: Catalogue, entry: Entry, place: Place, progress: Progress) -> Done:
    """Copies a backup, and writes down that it is there. An error is in what is returned."""
    try:
        made, sent = await copy(entry, place, progress)
    except SwarmtuiError as error:
        return Done(entry, place.where, None, error)
    return await _written(catalogue, entry, made, sent)


async def check_at(catalogue: Catalogue, entry: Entry, place: Place, known: Copy) -> Done:
    """Compares a copy, and writes down what was found. An error is in what is returned."""
    try:
        found = await check(entry, place, known)
    except SwarmtuiError as error:
        return Done(entry, place.where, None, error)
    return await _written(catalogue, entry, found, 0)


async def _written(catalogue: Catalogue, entry: Entry, made: Copy, sent: int) -> Done:
    try:
        entry = await asyncio.to_thread(catalogue.set_copies, entry, with_copy(entry.copies, made))
    except SwarmtuiError as error:
        return Done(entry, made.where, None, error, sent)
    return Done(entry, made.where, made, None, sent)


async def decided_at(entries: Sequence[Entry], cluster_id: str, place: Place, rules: Rules) -> tuple[Decision, ...]:
    """Decides about the copies of a cluster's backups in a place: by what lies there, not by what lies here.

    A catalogue may be new or lost: then the copies are all there is.

    Args:
        entries: of that cluster, here.
    """
    here = {entry.id: entry for entry in entries}
    names = [name for name in await place.folders(cluster_id) if BACKUP_ID.fullmatch(name)]
    return decide([await _judged(name, here.get(name), cluster_id, place) for name in names], rules)


async def _judged(name: str, entry: Entry | None, cluster_id: str, place: Place) -> Kept:
    folder = f"{cluster_id}/{name}"
    if entry is not None and not entry.broken:
        known = next((known for known in entry.copies if known.where == place.where), None)
        if known is None:
            return Kept(name, 0.0, "no", broken="it was not copied to its end")
        if known.trouble:
            return Kept(name, 0.0, "no", broken=known.trouble)
        return Kept.of(entry)
    try:
        manifest = manifests.decode(await place.read(f"{folder}/{MANIFEST}", manifests.LARGEST))
    except CopyError:
        return Kept(name, 0.0, "no", broken="it has no manifest there")
    except BackupError as error:
        return Kept(name, 0.0, "no", broken=error.what)
    return Kept(
        name, manifest.taken_at, await _verdict(f"{folder}/{VERIFICATIONS}", place), manifest.kind, manifest.set
    )


async def _verdict(name: str, place: Place) -> Verdict:
    verdict: Verdict = "not proved"
    with contextlib.suppress(CopyError):
        for line in (await place.read(name, _MOST)).split(b"\n"):
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                verdict = msgspec.json.decode(line, type=Verification).verdict
    return verdict


async def remove_at(catalogue: Catalogue, entry: Entry | None, cluster_id: str, name: str, place: Place) -> None:
    """Removes a copy, and the note of it where the backup itself is still here.

    Raises:
        SwarmtuiError: it cannot be removed; the note stays.
    """
    await place.remove(f"{cluster_id}/{name}")
    if entry is not None and entry.folder.is_dir() and not entry.broken:
        left = [known for known in entry.copies if known.where != place.where]
        await asyncio.to_thread(catalogue.set_copies, entry, left)
