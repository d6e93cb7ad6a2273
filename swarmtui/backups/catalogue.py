"""The catalogue: one folder a cluster, one folder a backup, for their owner only.

ROOT/CLUSTER_ID/BACKUP_ID/{archive.tar | archive.tar.age, manifest.json, objects.json | objects.json.age,
verifications.jsonl, copies.json, rehearsed.json | rehearsed.json.age}. A backup is made in a temporary folder beside;
everything is on disk before the rename that makes it one. So what has a backup's name is whole, and what a crash leaves
has another name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from swarmtui import config
from swarmtui.backups.crypt import Encryption, encrypt
from swarmtui.backups.draft import GONE, Draft, Leftover, fsync_folder, leftovers_in, locked, own_name, said, swept
from swarmtui.backups.entries import KINDS, Entry, belongs, read_entry, rehearsed_name
from swarmtui.backups.errors import BackupError
from swarmtui.backups.records import Copy, Verification
from swarmtui.config import BackupsConfig
from swarmtui.errors import UsageError
from swarmtui.model.text import one_line
from swarmtui.vault.secret import Secret

__all__ = ["BACKUP_ID", "CLUSTER_ID", "Catalogue", "Entry", "backup_id", "backups_dir", "belongs"]

CLUSTER_ID = re.compile(r"[a-z0-9]{25}")
BACKUP_ID = re.compile(r"\d{8}T\d{6}Z-[A-Za-z0-9][A-Za-z0-9_.-]{0,80}")


def backups_dir(folder: str = "") -> Path:
    """Where the catalogue is: the folder of the configuration, or else the program's own data folder."""
    return config.backups_dir(BackupsConfig(folder=folder))


class Catalogue:
    """All backups in one folder.

    Args:
        root: the folder; made when the first backup is begun. By default the program's own data folder; `backups_dir`
            knows what the configuration says.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root if root is not None else backups_dir()).expanduser().absolute()

    # -- looking -------------------------------------------------------------------------------------------------------

    def clusters(self) -> tuple[str, ...]:
        """Ids of the clusters that have a folder. Raises BackupError where the catalogue cannot be trusted or read."""
        if not self.root.exists():
            return ()
        check_folder(self.root)
        try:
            return tuple(sorted(path.name for path in self.root.iterdir() if CLUSTER_ID.fullmatch(path.name)))
        except OSError as error:
            raise BackupError(said(error, "read", self.root)) from None

    def entries(self, cluster_id: str | None = None) -> tuple[Entry, ...]:
        """All backups, of one cluster or of all, the newest first. A damaged one is an entry that says so.

        Raises:
            BackupError: the catalogue cannot be read, or others may write to it.
        """
        found: list[Entry] = []
        for cluster in self.clusters():
            if cluster_id not in (None, cluster):
                continue
            folder = self.root / cluster
            check_folder(folder)
            try:
                names = [path.name for path in folder.iterdir() if BACKUP_ID.fullmatch(path.name)]
            except OSError as error:
                raise BackupError(said(error, "read", folder)) from None
            found += [read_entry(folder / name, cluster) for name in names]
        # By time, and of those of the same second the one that came second first.
        return tuple(sorted(found, key=lambda entry: (entry.id[:16], len(entry.id), entry.id), reverse=True))

    def entry(self, cluster_id: str | None, name: str, kind: str = "") -> Entry:
        """The backup "latest" (the newest that is not broken), or the one whose id is `name` or begins or ends so.

        Args:
            kind: what it must be a backup of: "swarm", "ucp" or "dtr". "" for whatever is named; "latest" is then the
                Swarm's.

        Raises:
            UsageError: there is none, there are several, or it is of another kind.
            BackupError: the catalogue cannot be read.
        """
        entry = self._entry(cluster_id, name, kind or "swarm")
        if kind and not entry.broken and entry.kind != kind:
            raise UsageError(
                f"The backup {one_line(entry.id)} is of {KINDS.get(entry.kind, one_line(entry.kind))}, and one of "
                f"{KINDS[kind]} is needed.",
                "See what each one is of: swarmtui backups list",
            )
        return entry

    def _entry(self, cluster_id: str | None, name: str, kind: str) -> Entry:
        entries = self.entries(cluster_id)
        where = f"in {self.root}" + (f" of the cluster {one_line(cluster_id)}" if cluster_id else "")
        if name == "latest":
            good = [entry for entry in entries if not entry.broken and entry.kind == kind]
            if len({entry.cluster_id for entry in good}) > 1:
                raise UsageError(
                    f'There are backups of several clusters {where}, so "latest" may mean several.',
                    "Say which cluster: --cluster ID",
                )
            if not good:
                product = f" of {KINDS[kind]}" if kind != "swarm" else ""
                raise UsageError(f"There is no backup{product} {where}.", f"Take one: swarmtui run {kind}.backup")
            return good[0]
        exact = [entry for entry in entries if entry.id == name]
        found = exact or [entry for entry in entries if name and (entry.id.startswith(name) or entry.id.endswith(name))]
        if len(found) == 1:
            return found[0]
        what = "There is no backup" if not found else "There are several backups"
        raise UsageError(f'{what} "{one_line(name)[:80]}" {where}.', "See them with: swarmtui backups list")

    # -- making --------------------------------------------------------------------------------------------------------

    def begin(self, cluster_id: str, name: str, encryption: Encryption | None = None) -> Draft[Entry]:
        """Begins a backup in a temporary folder beside the others.

        Args:
            name: what its id will be, such as "20261121T194900Z-mgr2" (`backup_id` makes it); "-2" is added on a clash.
            encryption: none by default.

        Raises:
            UsageError: the cluster's id or the name cannot be.
            BackupError: the folder cannot be made, or others may write to it.
        """
        if not CLUSTER_ID.fullmatch(cluster_id):
            raise UsageError(f'"{one_line(cluster_id)[:40]}" is no id of a Swarm.')
        if not BACKUP_ID.fullmatch(name):
            raise UsageError(f'"{one_line(name)[:80]}" is no name for a backup.')
        folder = self.root / cluster_id
        for place in (self.root, folder):
            make_folder(place)
            check_folder(place)
        return Draft(folder, cluster_id, name, encryption or Encryption(), read_entry)

    def leftovers(self, cluster_id: str | None = None) -> tuple[Leftover, ...]:
        """What programs left behind that died while they made a backup or removed one. Those of living ones are not in
        here."""
        found: list[Leftover] = []
        for cluster in self.clusters():
            if cluster_id in (None, cluster):
                found += leftovers_in(self.root / cluster)
        return tuple(found)

    def sweep(self, cluster_id: str | None = None) -> tuple[Leftover, ...]:
        """Removes the leftovers, and returns those that it removed. Raises BackupError where one stays."""
        return tuple(left for left in self.leftovers(cluster_id) if swept(left))

    # -- what grows beside ---------------------------------------------------------------------------------------------

    def add_verification(self, entry: Entry, verification: Verification) -> Entry:
        """Adds a verification, on disk when this returns; the entry as it is then.

        Raises:
            BackupError: it cannot be written.
        """
        path = entry.folder / "verifications.jsonl"
        line = msgspec.json.encode(verification) + b"\n"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                size = os.fstat(descriptor).st_size
                # Half a line that a crash left behind ends here; the reader skips it.
                torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                data = b"\n" + line if torn else line
                while data:
                    data = data[os.write(descriptor, data) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            fsync_folder(entry.folder)
        except OSError as error:
            raise BackupError(said(error, "written", path)) from None
        return read_entry(entry.folder, entry.cluster_id)

    def set_copies(self, entry: Entry, copies: Sequence[Copy]) -> Entry:
        """Writes down where the copies are, whole or not at all; the entry as it is then.

        Raises:
            BackupError: it cannot be written.
        """
        _replace(entry.folder / "copies.json", msgspec.json.encode(list(copies)))
        return read_entry(entry.folder, entry.cluster_id)

    def add_objects(self, entry: Entry, objects: bytes, identity: Secret | None = None) -> Entry:
        """Keeps the API objects that a rehearsal of this backup gave, whole or not at all; the entry as it is then.

        The manifest does not change: it says what was known when the backup was made. Blocks (scrypt).

        Args:
            objects: as JSON.
            identity: what opens the archive; only needed where that is encrypted with a passphrase.

        Raises:
            BackupError: they cannot be protected like the archive, or not be written.
        """
        manifest = entry.whole
        if manifest.encrypted == "passphrase" and identity is None:
            raise BackupError(
                f"What {entry.id} contains is not kept in clear beside an archive that is encrypted.",
                f"Keep its passphrase first: swarmtui secrets set backup-passphrase {entry.cluster_id}",
            )
        if manifest.encrypted:
            by = Encryption(passphrase=identity) if manifest.encrypted == "passphrase" else None
            objects = encrypt(objects, by or Encryption(recipients=manifest.recipients))
        _replace(entry.folder / rehearsed_name(manifest), objects)
        return read_entry(entry.folder, entry.cluster_id)

    def remove(self, entry: Entry) -> None:
        """Removes a backup. It has no backup's name any more before the first file of it goes.

        Raises:
            BackupError: it cannot be removed.
        """
        gone = entry.folder.parent / own_name(GONE)
        lock = locked(entry.folder)
        try:
            entry.folder.rename(gone)
            fsync_folder(gone.parent)
            shutil.rmtree(gone)
        except OSError as error:
            raise BackupError(said(error, "removed", entry.folder)) from None
        finally:
            if lock is not None:
                os.close(lock)


def _replace(path: Path, content: bytes) -> None:
    """Writes a file for its owner only, whole or not at all, on disk when this returns. Raises BackupError."""
    beside = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise BackupError(said(error, "written", path)) from None


def backup_id(at: float, node: str) -> str:
    """What a backup is called: when (unix seconds), and of which manager."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", node).strip("-._")[:60] or "manager"
    return f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}-{name}"


def make_folder(folder: Path) -> None:
    """Makes a folder for its owner only, and those above it that are not there, on disk when this returns.

    Raises:
        BackupError: it cannot be made.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            fsync_folder(place.parent)
        except OSError as error:
            raise BackupError(said(error, "made", place)) from None


def check_folder(folder: Path) -> None:
    """Raises BackupError where others may write to a folder: what is in it may be theirs."""
    try:
        status = folder.stat()
        above = folder.parent.stat()
    except OSError as error:
        raise BackupError(said(error, "read", folder)) from None
    if not stat.S_ISDIR(status.st_mode):
        raise BackupError(f"{folder} is no folder.", "Name a folder for backups in the configuration.")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BackupError(f"Others may write to {folder}, so no backup in it can be trusted.", f"chmod 700 {folder}")
    if status.st_uid not in (os.geteuid(), 0):
        raise BackupError(
            f"{folder} belongs to another user, so no backup in it can be trusted.",
            "Run as its owner, or name another.",
        )
    if above.st_mode & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX:
        raise BackupError(
            f"Others may write to {folder.parent}, and so replace {folder}.", f"chmod o-w {folder.parent}"
        )
