"""What importing an archive that somebody made by hand has in common, whatever it is of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from swarmtui.backups.catalogue import CLUSTER_ID, Catalogue, Entry, backup_id
from swarmtui.backups.crypt import Encryption, WrongIdentityError
from swarmtui.backups.errors import ArchiveError, BackupError
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.plain import CHUNK, digest_of
from swarmtui.backups.ucp.openpgp import WrongPassphraseError
from swarmtui.model.text import one_line

NEWEST = "When it was taken is the time of its newest file."


def said_once(what: str, inside: str, given: str, named: str) -> str:
    """What the archive says of itself, or else what a person says; the two must not contradict each other.

    Args:
        named: the options that a person gives it by.

    Raises:
        BackupError: they do, or neither says it.
    """
    if inside and given and inside != given:
        raise BackupError(
            f"It says itself that its {what} is {one_line(inside)}, and not {one_line(given)[:40]}.",
            "Leave that option out.",
        )
    if not inside and not given:
        raise BackupError(f"It does not tell its {what}.", f"Give: {named}")
    return inside or given


def instance_of(told: str) -> str:
    """The id of an instance of UCP, which the catalogue keeps its backups under. Raises BackupError."""
    if not CLUSTER_ID.fullmatch(told):
        raise BackupError(f'"{one_line(told)[:40]}" is no instance id of UCP.', "It has 25 letters and digits.")
    return told


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Says of which file something is true, and that it was not imported."""
    try:
        yield
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except WrongPassphraseError:
        # Before it is open nobody knows whose backup it is, and so whose passphrase it wants.
        raise WrongIdentityError(
            f"{path} was not imported. It is sealed with a passphrase (OpenPGP), and the one that was given does not "
            "open it.",
            "Give the one that this file was sealed with: UCP's of that time for a backup of UCP; for one of DTR, "
            "which DTR itself does not seal, that of whoever ran gpg on it.",
        ) from None
    except ArchiveError as error:
        raise type(error)(f"{path} was not imported. {error.what}", error.next_step) from None


def taken_in(
    catalogue: Catalogue,
    path: Path,
    manifest: Manifest,
    opened: Callable[[], contextlib.AbstractContextManager[BinaryIO]],
    encryption: Encryption,
    cancelled: Callable[[], bool],
) -> Entry:
    """Makes a backup of a file, once. Blocks: use a thread.

    Args:
        manifest: without what only the file itself tells.
        opened: opens what is kept of it.

    Raises:
        BackupError: it is there already, changed meanwhile, cannot be written, or it was stopped.
        OSError: it cannot be read.
    """
    given, _ = digest_of(path)
    for entry in catalogue.entries(manifest.cluster_id):
        there = entry.manifest
        if not entry.broken and there is not None and given in (there.digest, there.imported_digest):
            raise BackupError(f"It is in the catalogue already, as {entry.id}.", f"swarmtui backups show {entry.id}")
    name = backup_id(manifest.taken_at, manifest.node)
    with catalogue.begin(manifest.cluster_id, name, encryption) as draft:
        with opened() as file:
            while chunk := file.read(CHUNK):
                if cancelled():
                    raise BackupError("It was stopped.", "Nothing was imported.")
                draft.write(chunk)
        if digest_of(path)[0] != given:
            raise ArchiveError("It changed while it was read.", "Import it when nobody writes to it.")
        about = msgspec.structs.replace(
            manifest, source="imported", imported_from=one_line(path.name), imported_digest=given
        )
        return draft.commit(about)
