"""What a backup can give back one by one: the API objects that were saved with it, and the data of its secrets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from swarmtui.backups.archive import ArchiveFiles, open_archive
from swarmtui.backups.entries import Entry
from swarmtui.backups.errors import BackupError
from swarmtui.backups.verify import read_objects
from swarmtui.model.text import one_line
from swarmtui.vault.secret import Secret

Objects = Mapping[str, list[dict[str, Any]]]
"""By "swarm", "nodes", "services", "networks", "secrets" and "configs", as the engine API gives them."""
LISTS = ("services", "networks", "secrets", "configs")


def saved_objects(entry: Entry, keys: Sequence[Secret] = (), identity: Secret | None = None) -> Objects:
    """The API objects of a backup: as the cluster gave them; for an imported one as a rehearsal gave them, where there
    was one, and else made from its raft log. Blocks.

    Args:
        keys: unlock keys to try, where only the archive itself can tell.
        identity: opens what is encrypted.

    Raises:
        BackupError: they are damaged, cannot be opened, or there are none.
    """
    manifest = entry.whole
    if manifest.source == "taken" and entry.objects is not None:
        return _decoded(entry, _content(entry, entry.objects, identity, manifest.objects_digest))
    if entry.rehearsed is not None:
        return _decoded(entry, _content(entry, entry.rehearsed, identity))
    if entry.objects is not None:
        return _decoded(entry, _content(entry, entry.objects, identity, manifest.objects_digest))
    return _inside(entry, keys, identity)


def saved_secrets(
    entry: Entry, ids: Collection[str], keys: Sequence[Secret] = (), identity: Secret | None = None
) -> dict[str, Secret]:
    """The data of these secrets by id, in base64, out of the archive's raft log. One that is not in there is left out.
    Blocks.

    Raises:
        BackupError: the archive cannot be opened, or its raft log cannot be read.
    """
    from swarmtui.backups.raft.values import secret_data

    try:
        with open_archive(entry.archive, identity) as files:
            return secret_data(_usable(entry, files), keys, ids)
    except OSError as error:
        raise _unreadable(entry.archive, error) from None


def _inside(entry: Entry, keys: Sequence[Secret], identity: Secret | None) -> Objects:
    from swarmtui.backups import raft

    try:
        with open_archive(entry.archive, identity) as files:
            contents = raft.read(_usable(entry, files), keys)
    except OSError as error:
        raise _unreadable(entry.archive, error) from None
    if not contents.opened or not contents.objects:
        why = next((one.what for one in contents.problems if one.fatal or one.id == "locked"), "It is damaged.")
        raise BackupError(
            f"Nobody knows what {one_line(entry.id)} contains. {why}",
            f"See what there is: swarmtui backups verify {one_line(entry.id)}",
        )
    return contents.objects


def _usable(entry: Entry, files: ArchiveFiles) -> ArchiveFiles:
    if files.fatal:
        raise BackupError(f"The archive of {one_line(entry.id)} is not read: {files.fatal[0].what}", "Take another.")
    return files


def _content(entry: Entry, path: Path, identity: Secret | None, digest: str = "") -> bytes:
    try:
        content = read_objects(path, entry.whole, identity)
    except OSError as error:
        raise _unreadable(path, error) from None
    if digest and hashlib.sha256(content).hexdigest() != digest:
        raise BackupError(
            f"The API objects beside {one_line(entry.id)} are not what was stored: their sha256 is another.",
            "Name another backup: swarmtui backups list",
        )
    return content


def _decoded(entry: Entry, content: bytes) -> Objects:
    try:
        found = json.loads(content)
        # Nobody's words from in there are told: they may be those of a service's environment.
        if not isinstance(found, dict) or not all(
            isinstance(found.get(name), list) and all(isinstance(one, dict) for one in found[name]) for name in LISTS
        ):
            raise ValueError
    except (ValueError, RecursionError):
        raise BackupError(
            f"The API objects beside {one_line(entry.id)} cannot be read.", "Name another backup: swarmtui backups list"
        ) from None
    return found


def _unreadable(path: Path, error: OSError) -> BackupError:
    return BackupError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.", "Look at its disk.")
