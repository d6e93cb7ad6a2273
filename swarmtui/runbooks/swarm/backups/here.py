"""The place here that backups are kept in, whatever they are of."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from swarmtui.backups.keys import passphrase_of
from swarmtui.session import Session
from swarmtui.vault import VaultError

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry

ENCRYPT = (
    "Whoever has an archive can read every secret in it. To encrypt backups name who may open them in the "
    'configuration ([backups] recipients = ["age1…"], made with age-keygen), or give a passphrase: '
    "swarmtui secrets set backup-passphrase"
)


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """The place that backups are kept in.

    Attributes:
        folder: the catalogue's.
        free: bytes; -1 where nobody knows.
        trouble: why nothing can be written there, one sentence.
        encryption: "recipients", "passphrase", or "" where nothing is configured.
        recipients: as they are configured.
        unreadable: why the vault could not be asked for a passphrase.
        drafts: what backups left behind that were cut off, one sentence each.
        count: how many backups of this cluster there are.
    """

    folder: str
    free: int = -1
    trouble: str = ""
    encryption: str = ""
    recipients: tuple[str, ...] = ()
    unreadable: str = ""
    drafts: tuple[str, ...] = ()
    count: int = 0


async def here_of(session: Session, cluster_id: str, kind: str = "swarm") -> Here:
    """Looks at it. Raises BackupError where the catalogue cannot be read.

    Args:
        kind: what backups are counted.
    """
    catalogue = session.backups
    encryption, unreadable = "recipients" if session.opening.backups.recipients else "", ""
    if not encryption:
        try:
            encryption = "passphrase" if await passphrase_of(session.vault, cluster_id) is not None else ""
        except VaultError as error:
            unreadable = str(error)

    def look_here() -> tuple[int, str, tuple[str, ...], int]:
        drafts = tuple(str(draft) for draft in catalogue.leftovers(cluster_id))
        free, trouble = free_in(catalogue.root)
        return free, trouble, drafts, sum(entry.kind == kind for entry in catalogue.entries(cluster_id))

    free, trouble, drafts, count = await asyncio.to_thread(look_here)
    return Here(
        folder=str(catalogue.root),
        free=free,
        trouble=trouble,
        encryption=encryption,
        recipients=tuple(session.opening.backups.recipients),
        unreadable=unreadable,
        drafts=drafts,
        count=count,
    )


async def of_product(session: Session, name: str, kind: str) -> Entry:
    """The backup of this name; "latest" is the newest of this cluster.

    Args:
        kind: of what: "ucp" or "dtr".

    Raises:
        UsageError: there is none, or it is of something else.
        BackupError: it is broken, or the catalogue cannot be read.
    """
    cluster_id = session.snapshot.cluster_id if name == "latest" else None
    entry = await asyncio.to_thread(session.backups.entry, cluster_id, name, kind)
    _ = entry.whole
    return entry


def kept_words(here: Here, backup: str, cluster_id: str) -> tuple[list[str], list[str]]:
    """Where a backup goes and how it is encrypted: what to know, and what to be warned of."""
    notes, warnings = [f"The backup {backup} goes to {here.folder}."], []
    if here.encryption == "recipients":
        notes.append("It is encrypted with age for the recipients of the configuration.")
    elif here.encryption == "passphrase":
        notes.append("It is encrypted with age, with the passphrase from the vault.")
    else:
        first = "" if here.count else "This is the first backup of this cluster: now is the time. "
        warnings.append(f"The backup is NOT encrypted. {first}{ENCRYPT} {cluster_id}")
    if here.unreadable:
        warnings.append(f"The vault could not be asked for a passphrase: {here.unreadable}")
    return notes, warnings


def free_of(table: str) -> int:
    """Bytes that are free, in what `df -Pk` says of one folder; -1 where it does not."""
    lines = table.splitlines()
    fields = lines[1].split() if len(lines) > 1 else []
    return int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdigit() else -1


def free_in(folder: Path) -> tuple[int, str]:
    """Bytes that are free where a folder is or would be made, and why it cannot be written to ("" where it can)."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return -1, f"{there} cannot be written to."
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize, ""
