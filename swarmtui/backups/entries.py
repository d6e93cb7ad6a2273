"""One backup of the catalogue, as its folder tells it."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec

from swarmtui.backups import manifest as manifests
from swarmtui.backups.errors import BackupError
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.records import Copy, Verdict, Verification, clause
from swarmtui.errors import RefusedError
from swarmtui.model.text import one_line

_MOST = 64 << 20
"""Bytes of a file of verifications or copies that are read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One backup in the catalogue.

    Attributes:
        id: the folder's name; sorts by time.
        cluster_id: of the folder it lies in.
        manifest: None where it is broken.
        broken: why it is no backup that could be used, in a sentence; "" for a good one.
        verifications: the oldest first.
        rehearsed: the API objects as a rehearsal of it gave them, protected like the archive; None where none did.
    """

    id: str
    folder: Path
    cluster_id: str
    manifest: Manifest | None
    broken: str = ""
    verifications: tuple[Verification, ...] = ()
    copies: tuple[Copy, ...] = ()
    rehearsed: Path | None = None

    @property
    def kind(self) -> str:
        """What it is a backup of: "swarm", "ucp" or "dtr"; "" where that is not known."""
        return self.manifest.kind if self.manifest is not None else ""

    @property
    def archive(self) -> Path:
        """The archive as it is stored."""
        sealed = self.folder / "archive.tar.age"
        return sealed if (self.manifest is not None and self.manifest.encrypted) else self.folder / "archive.tar"

    @property
    def objects(self) -> Path | None:
        """The full API objects as they are stored; None where the backup has none."""
        if self.manifest is None or not self.manifest.objects_stored_digest:
            return None
        return self.folder / ("objects.json.age" if self.manifest.encrypted else "objects.json")

    @property
    def last_verified(self) -> Verification | None:
        """The newest verification."""
        return self.verifications[-1] if self.verifications else None

    @property
    def tier(self) -> int:
        """The tier that the newest verification reached; 0 where there is none."""
        return self.verifications[-1].tier if self.verifications and not self.broken else 0

    @property
    def would_restore(self) -> Verdict:
        """As the newest verification found it."""
        if self.broken:
            return "no"
        return self.verifications[-1].verdict if self.verifications else "not proved"

    @property
    def because(self) -> str:
        """Why `would_restore`: a clause to follow "because", without a full stop."""
        if self.broken:
            return clause(self.broken)
        if not self.verifications:
            return "it was never verified"
        because = self.verifications[-1].because
        hot = self.manifest is not None and self.manifest.cold is False
        return f"{because}; {manifests.HOT}" if hot else because

    @property
    def whole(self) -> Manifest:
        """The manifest of a backup that is not broken.

        Raises:
            BackupError: it is.
        """
        if self.manifest is None or self.broken:
            raise BackupError(f"The backup {one_line(self.id)} cannot be used: {self.broken.rstrip('.')}.")
        return self.manifest


def belongs(entry: Entry, cluster_id: str) -> None:
    """Raises RefusedError where the backup is of another cluster."""
    if entry.cluster_id != cluster_id:
        called = entry.manifest.cluster if entry.manifest is not None else ""
        name = f"{one_line(called)} ({entry.cluster_id})" if called else entry.cluster_id
        raise RefusedError(
            f"The backup {one_line(entry.id)} is of another cluster: {name}, and this one is {one_line(cluster_id)}.",
            f"See the backups of this one: swarmtui backups list --cluster {one_line(cluster_id)}",
        )


KINDS = {"swarm": "a Swarm", "ucp": "UCP", "dtr": "DTR"}
"""What backups are of."""


def is_of_a_swarm(entry: Entry) -> None:
    """Raises RefusedError where the backup is of something else."""
    if not entry.broken and entry.kind != "swarm":
        raise RefusedError(
            f"The backup {one_line(entry.id)} is of {KINDS.get(entry.kind, 'something else')}: there is no Swarm's "
            "directory in it.",
            f"What is known of it: swarmtui backups show {one_line(entry.id)}",
        )


def rehearsed_name(manifest: Manifest) -> str:
    """What the file is called that keeps what a rehearsal of a backup gave."""
    return "rehearsed.json.age" if manifest.encrypted else "rehearsed.json"


def read_entry(folder: Path, cluster_id: str) -> Entry:
    """Reads one backup's folder; what is wrong with it is in the entry."""
    entry = Entry(folder.name, folder, cluster_id, None)
    try:
        if folder.is_symlink() or not folder.is_dir():
            return _broken(entry, "it is no folder")
        manifest = manifests.decode(_content(folder / "manifest.json", manifests.LARGEST))
    except FileNotFoundError:
        return _broken(entry, "it has no manifest")
    except OSError as error:
        return _broken(entry, f"its manifest cannot be read: {error.strerror}")
    except BackupError as error:
        return _broken(entry, error.what)
    verifications = _verifications(folder / "verifications.jsonl")
    copies = _copies(folder / "copies.json")
    rehearsed = folder / rehearsed_name(manifest)
    entry = Entry(
        folder.name,
        folder,
        cluster_id,
        manifest,
        "",
        verifications,
        copies,
        rehearsed if rehearsed.is_file() and not rehearsed.is_symlink() else None,
    )
    if manifest.cluster_id != cluster_id:
        return _broken(entry, f"its manifest is of another cluster, {one_line(manifest.cluster_id)[:40]}")
    try:
        status = entry.archive.lstat()
    except OSError as error:
        return _broken(entry, f"its archive cannot be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        return _broken(entry, "its archive is no file")
    if status.st_size != manifest.stored_size:
        return _broken(entry, f"its archive has {status.st_size} bytes, and the manifest says {manifest.stored_size}")
    return entry


def _broken(entry: Entry, why: str) -> Entry:
    return Entry(
        entry.id,
        entry.folder,
        entry.cluster_id,
        entry.manifest,
        f"{why[:1].upper()}{why[1:]}.",
        entry.verifications,
        entry.copies,
        entry.rehearsed,
    )


def _content(path: Path, most: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise BackupError(f"its {path.name} is larger than {most >> 20} MB")
    return content


def _verifications(path: Path) -> tuple[Verification, ...]:
    try:
        lines = _content(path, _MOST).split(b"\n")
    except (OSError, BackupError):
        return ()
    found = []
    for line in filter(None, lines):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):  # what a crash cut off
            found.append(msgspec.json.decode(line, type=Verification))
    return tuple(found)


def _copies(path: Path) -> tuple[Copy, ...]:
    try:
        return tuple(msgspec.json.decode(_content(path, _MOST), type=list[Copy]))
    except (OSError, BackupError, msgspec.MsgspecError, UnicodeDecodeError):
        return ()
