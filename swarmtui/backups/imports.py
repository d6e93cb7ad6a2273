"""Takes an archive into the catalogue that somebody made by hand; the manifest is made from what is in it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from swarmtui.backups.archive import ArchiveFiles
from swarmtui.backups.catalogue import CLUSTER_ID, Catalogue, Entry, backup_id
from swarmtui.backups.crypt import Encryption
from swarmtui.backups.errors import ArchiveError, BackupError
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.plain import CHUNK, Plain, digest_of, plain_tar
from swarmtui.backups.raft import Contents, read
from swarmtui.backups.taking_in import explained
from swarmtui.model.text import one_line
from swarmtui.vault.secret import Secret

AGAIN = "Take another copy of it, or pack /var/lib/docker/swarm again."
BY_HAND = "The manifest was made from the archive itself, so nothing in it comes from the cluster."


def import_file(
    catalogue: Catalogue,
    path: Path,
    keys: Sequence[Secret] = (),
    identity: Secret | None = None,
    *,
    encryption: Encryption | None = None,
    cluster: str = "",
    now: float | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Entry:
    """Imports a tar or tar.gz of /var/lib/docker/swarm, or one of these encrypted with age. Blocks: use a thread.

    A locked archive is taken in without its key as well; what is in it is not proved then.

    Args:
        keys: unlock keys to try.
        identity: opens `path`, where that is encrypted.
        encryption: how it is kept; not at all by default.
        cluster: what people call the cluster.
        now: unix seconds of the present.
        cancelled: asked again and again whether to stop; nothing is left then.

    Raises:
        BackupError: it is no backup of a manager, cannot be read, is there already, or cannot be written.
    """
    at = time.time() if now is None else now
    with explained(path):
        return _imported(catalogue, path, keys, identity, encryption or Encryption(), cluster, at, cancelled)


def cluster_in(path: Path, identity: Secret | None = None) -> str:
    """The id of the cluster that an archive is of, to find its keys by. Blocks.

    Raises:
        BackupError: it is no backup of a manager, or cannot be read.
    """
    with explained(path), plain_tar(path, identity) as tar:
        files = ArchiveFiles(tar)
        if files.fatal:
            raise ArchiveError(files.fatal[0].what, AGAIN)
        contents = read(files)
        _is_managers(contents)
        return _cluster_of(contents)


def _imported(
    catalogue: Catalogue,
    path: Path,
    keys: Sequence[Secret],
    identity: Secret | None,
    encryption: Encryption,
    cluster: str,
    now: float,
    cancelled: Callable[[], bool],
) -> Entry:
    with plain_tar(path, identity) as tar:
        files = ArchiveFiles(tar)
        if files.fatal:
            raise ArchiveError(files.fatal[0].what, AGAIN)
        contents = read(files, keys)
        _is_managers(contents)
        made: object = tar
        digest = made.digest if isinstance(made, Plain) else digest_of(path)[0]
        cluster_id = _cluster_of(contents)
        _new(catalogue, cluster_id, digest)
        manifest = _manifest(contents, files, path, cluster_id, cluster, now)
        with catalogue.begin(cluster_id, backup_id(manifest.taken_at, manifest.node), encryption) as draft:
            tar.seek(0)
            while chunk := tar.read(CHUNK):
                if cancelled():
                    raise BackupError("It was stopped.", "Nothing was imported.")
                draft.write(chunk)
            if draft.digest != digest:
                raise ArchiveError("It changed while it was read.", "Import it when nobody writes to it.")
            return draft.commit(manifest, _objects(contents))


def _is_managers(contents: Contents) -> None:
    if contents.role == "worker" or any(problem.id == "worker" for problem in contents.problems):
        raise ArchiveError(
            "It is of a worker, and only managers keep the Swarm: nothing could be restored from it.",
            "Import one that was made on a manager.",
        )


def _cluster_of(contents: Contents) -> str:
    found = contents.cluster_id or (contents.inventory.cluster_id if contents.inventory is not None else "")
    if CLUSTER_ID.fullmatch(found):
        return found
    raise ArchiveError(
        "Nobody can tell of which cluster it is: its certificate is missing or damaged."
        + (" It would make an empty Swarm." if not contents.cluster_id else ""),
        "Take another copy of it.",
    )


def _new(catalogue: Catalogue, cluster_id: str, digest: str) -> None:
    for entry in catalogue.entries(cluster_id):
        if not entry.broken and entry.manifest is not None and entry.manifest.digest == digest:
            raise BackupError(f"It is in the catalogue already, as {entry.id}.", f"swarmtui backups show {entry.id}")


def _manifest(
    contents: Contents, files: ArchiveFiles, path: Path, cluster_id: str, cluster: str, now: float
) -> Manifest:
    inventory = contents.inventory
    nodes = {node.id: node.name for node in inventory.nodes} if inventory is not None else {}
    taken = min(files.newest, now)
    given, _ = digest_of(path)
    told = Manifest(
        source="imported",
        imported_from=one_line(path.name),
        imported_digest=given,
        cluster_id=cluster_id,
        cluster=cluster,
        node=one_line(nodes.get(contents.node_id, "")) or contents.node_id[:12],
        taken_at=taken if taken > 0 else now,
        cold=None,
        notes=(BY_HAND, "When it was taken is the time of its newest file." if taken > 0 else "Nobody knows when."),
    )
    return msgspec.structs.replace(told, **told_by(contents), inventory=inventory)


def told_by(contents: Contents) -> dict[str, Any]:
    """The fields of a manifest that only the archive itself knows: node id, role, address, raft, lock."""
    return {
        "node_id": contents.node_id,
        "role": contents.role or "manager",
        "address": contents.address,
        "raft_term": contents.term,
        "raft_index": contents.last_index,
        "managers": tuple(member.address for member in contents.members),
        "autolock": contents.locked,
        "key_fingerprint": contents.opened_by,
        "kek_version": contents.kek_version if contents.locked else None,
    }


def _objects(contents: Contents) -> bytes:
    """The API objects, as far as they can be made offline; nothing where nothing could be read."""
    if not contents.objects:
        return b""
    return json.dumps(contents.objects, ensure_ascii=False, indent=1).encode()
