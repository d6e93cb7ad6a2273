"""Archives made of real Swarms' directories, and catalogues with such backups in them."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from swarmtui.backups.archive import ArchiveFiles
from swarmtui.backups.catalogue import Catalogue, Entry, backup_id
from swarmtui.backups.crypt import Encryption
from swarmtui.backups.imports import told_by
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.raft import read
from swarmtui.vault import Secret
from tests.backups.generations import Generation, generations

AT = 1_795_000_000.0
"""When these backups were taken, unix seconds: 2026-11-18."""


def tar_of(files: Mapping[str, bytes], prefix: str = "var/lib/docker/swarm/", *, packed: bool = False) -> bytes:
    """A tar as the guides' commands make it, with the folders as members of their own."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        folders = {prefix + "/".join(name.split("/")[:n]) for name in files for n in range(name.count("/") + 1)}
        for folder in sorted(each.rstrip("/") for each in folders if each.rstrip("/")):
            info = tarfile.TarInfo(folder)
            info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o700, int(AT)
            tar.addfile(info)
        for name, data in sorted(files.items()):
            info = tarfile.TarInfo(prefix + name)
            info.size, info.mode, info.mtime = len(data), 0o600, int(AT)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue(), mtime=0) if packed else out.getvalue()


def generation(name: str, engine: str = "20.10") -> Generation:
    """One of the directories of real Swarms."""
    return generations(engine)[name]


def taken(
    catalogue: Catalogue,
    one: Generation,
    *,
    encryption: Encryption | None = None,
    cluster: str = "prod",
    keys: Sequence[Secret] = (),
    tar: bytes | None = None,
    at: float | None = None,
    **told: object,
) -> Entry:
    """Puts a backup into the catalogue as swarm.backup does.

    Args:
        tar: another archive than that of the directory.
        told: fields of the manifest.
    """
    plain = tar_of(one.files) if tar is None else tar
    when = time.time() - 3600 if at is None else at
    cluster_id = one.inventory.cluster_id
    with catalogue.begin(cluster_id, backup_id(when, "mgr2"), encryption) as draft:
        draft.write(plain)
        manifest = Manifest(
            cluster_id=cluster_id,
            cluster=cluster,
            node="mgr2",
            taken_at=when,
            cold=True,
            downtime_seconds=1.5,
            inventory=one.inventory,
            inventory_after=one.inventory,
        )
        if tar is None:
            with draft.opened() as opened:
                assert opened is not None
                secrets = keys or ([Secret(one.key)] if one.key else [])
                manifest = msgspec.structs.replace(manifest, **told_by(read(ArchiveFiles(opened), secrets)))
        return draft.commit(msgspec.structs.replace(manifest, **told), b'{"services": []}')


def rewritten(entry: Entry, content: bytes) -> None:
    """Puts another archive in the place of a backup's, and makes size and digests right again."""
    import hashlib

    assert entry.manifest is not None
    assert not entry.manifest.encrypted
    digest = hashlib.sha256(content).hexdigest()
    entry.archive.write_bytes(content)
    told = msgspec.structs.replace(
        entry.manifest, size=len(content), stored_size=len(content), digest=digest, stored_digest=digest
    )
    (entry.folder / "manifest.json").write_bytes(msgspec.json.encode(told))


def root(folder: Path) -> Catalogue:
    """A catalogue below a folder."""
    return Catalogue(folder / "catalogue")
