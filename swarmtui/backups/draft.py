"""A backup while it is made: a temporary folder that nobody takes for a backup, until one rename makes it one.

Whoever makes it holds a lock on the folder, which the kernel takes back when he dies. So a leftover of a dead program
is told from the work of a living one without asking for process ids, which are used again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Generic, Self, TypeVar, cast

import msgspec

from swarmtui.backups import manifest as manifests
from swarmtui.backups.crypt import Encryption, Encryptor, encrypt
from swarmtui.backups.errors import ArchiveError, BackupError
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.plain import BLOCK, Plain

DRAFT = ".new-"
GONE = ".gone-"
FOREIGN_SECONDS = 2 * 86400.0
"""A leftover of another host, on a shared disk where its lock may not be seen here, is one after so long."""
JUST_MADE_SECONDS = 60.0
"""Between making a folder and locking it a program may be this slow. After that the lock alone tells."""
_NAME = re.compile(r"\.(?:new|gone)-(?P<host>[A-Za-z0-9_.-]+)-(?P<pid>\d+)-[0-9a-f]{8}")
_ZEROS = bytes(BLOCK)

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a program left behind that died.

    Attributes:
        pid, host: of that program; 0 and "" where its name does not tell.
        age: seconds since it was last written to.
    """

    folder: Path
    pid: int
    host: str
    age: float

    def __str__(self) -> str:
        who = f"process {self.pid}" + (f" on {self.host}" if self.host else "") if self.pid else "an unknown program"
        minutes = int(self.age // 60)
        ago = f"{minutes // 60} h" if minutes >= 120 else f"{minutes} min"
        what = "an unfinished backup" if self.folder.name.startswith(DRAFT) else "a half removed backup"
        return f"{self.folder} is {what}, left behind {ago} ago by {who}, which is gone."


class Draft(Generic[E]):
    """A backup that is being made. As a context manager, what was not committed is removed at the end.

    Its methods block (disk, scrypt): call them in a thread.

    Args:
        folder: the cluster's.
        read: reads the entry once it is one.
    """

    def __init__(
        self, folder: Path, cluster_id: str, name: str, encryption: Encryption, read: Callable[[Path, str], E]
    ) -> None:
        self._folder, self._cluster_id, self._name, self._read = folder, cluster_id, name, read
        self._encryption = encryption
        self._lock: int | None = None
        self._file: BinaryIO | None = None
        self._plain: Plain | None = Plain() if encryption.kind else None
        self._sum, self._stored_sum = hashlib.sha256(), hashlib.sha256()
        self._size = self._stored = 0
        self._entry: E | None = None
        self.folder = self._own_folder()
        self._encryptor: Encryptor | None = None
        try:
            self._file = self._new("archive.tar.age" if encryption.kind else "archive.tar")
            self._encryptor = Encryptor(encryption, self._store)
        except OSError as error:
            self.abandon()
            raise self._failed(error) from None
        except BaseException:
            self.abandon()
            raise

    def _own_folder(self) -> Path:
        try:
            while True:
                folder = self._folder / own_name(DRAFT)
                folder.mkdir(mode=0o700)
                if (lock := locked(folder)) is not None:
                    self._lock = lock
                    return folder
                # Somebody who sweeps was quicker than we with its lock; it is his to remove.
        except OSError as error:
            raise BackupError(said(error, "made", self._folder)) from None

    def _new(self, name: str) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.fdopen(os.open(self.folder / name, flags, 0o600), "wb")

    # -- writing -------------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes of plain tar so far."""
        return self._size

    @property
    def digest(self) -> str:
        """sha256 in hex of the plain tar so far."""
        return self._sum.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Takes the next piece of the plain tar.

        Raises:
            BackupError: it cannot be written: a full disk, say. Then `abandon` it.
        """
        assert self._encryptor is not None
        self._sum.update(chunk)
        self._size += len(chunk)
        if self._plain is not None:
            try:
                self._plain.write(chunk)
            except ArchiveError:
                self._plain = None  # too much for memory: only then it cannot be looked into before it is a backup
        try:
            self._encryptor.write(chunk)
        except OSError as error:
            raise self._failed(error) from None

    def _store(self, data: bytes) -> None:
        assert self._file is not None
        self._stored_sum.update(data)
        self._stored += len(data)
        if self._encryption.kind:
            self._file.write(data)
            return
        # Zeros of a plain tar are left as a hole: a full-size archive is mostly those.
        for at in range(0, len(data), BLOCK):
            block = data[at : at + BLOCK]
            if block == _ZEROS:
                self._file.seek(BLOCK, os.SEEK_CUR)
            else:
                self._file.write(block)

    @contextlib.contextmanager
    def opened(self) -> Iterator[BinaryIO | None]:
        """The plain tar as written so far, to look into before it becomes a backup; None where an encrypted one is too
        large to be held in memory."""
        assert self._file is not None
        if self._plain is not None:
            self._plain.seek(0)
            yield cast(BinaryIO, self._plain)
        elif self._encryption.kind:
            yield None
        else:
            self._flush()
            with (self.folder / "archive.tar").open("rb") as file:
                yield file

    def _flush(self) -> None:
        assert self._file is not None
        try:
            self._file.flush()
            self._file.truncate(self._file.tell())  # a hole at the end counts as well
        except OSError as error:
            raise self._failed(error) from None

    # -- the end -------------------------------------------------------------------------------------------------------

    def commit(self, manifest: Manifest, objects: bytes = b"") -> E:
        """Makes it a backup: everything is on disk, then its folder gets its name.

        Args:
            manifest: sizes, digests, id and `encrypted` are filled in here.
            objects: the full API objects as JSON; protected like the archive.

        Raises:
            BackupError: it cannot be written. Then `abandon` it.
        """
        assert self._encryptor is not None
        assert self._file is not None
        try:
            self._encryptor.close()
            self._flush()
            os.fsync(self._file.fileno())
            self._file.close()
            stored_objects = self._write_objects(objects)
            filled = msgspec.structs.replace(
                manifest,
                cluster_id=self._cluster_id,
                size=self._size,
                stored_size=self._stored,
                digest=self._sum.hexdigest(),
                stored_digest=self._stored_sum.hexdigest(),
                encrypted=self._encryption.kind,
                recipients=self._encryption.recipients,
                objects_size=len(objects),
                objects_digest=hashlib.sha256(objects).hexdigest() if objects else "",
                objects_stored_digest=stored_objects,
            )
            place = self._publish(filled)
        except OSError as error:
            raise self._failed(error) from None
        self._entry = self._read(place, self._cluster_id)
        self._unlock()
        return self._entry

    def _write_objects(self, objects: bytes) -> str:
        if not objects:
            return ""
        stored = encrypt(objects, self._encryption) if self._encryption.kind else objects
        self._write_whole("objects.json.age" if self._encryption.kind else "objects.json", stored)
        return hashlib.sha256(stored).hexdigest()

    def _write_whole(self, name: str, content: bytes) -> None:
        with self._new(name) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _publish(self, manifest: Manifest) -> Path:
        number = 1
        while True:
            name = self._name if number == 1 else f"{self._name}-{number}"
            number += 1
            if (self._folder / name).exists():
                continue
            (self.folder / "manifest.json").unlink(missing_ok=True)
            self._write_whole("manifest.json", manifests.encode(msgspec.structs.replace(manifest, id=name)))
            fsync_folder(self.folder)
            try:
                self.folder.rename(self._folder / name)
            except OSError as error:
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                    continue  # another program was quicker with this name
                raise
            self.folder = self._folder / name
            fsync_folder(self._folder)
            return self.folder

    def abandon(self) -> None:
        """Removes what was made; nothing after `commit`. Safe to call twice."""
        if self._entry is not None:
            return
        if self._encryptor is not None:
            self._encryptor.abort()
        if self._file is not None:
            with contextlib.suppress(OSError):  # what was buffered for a full disk
                self._file.close()
        if self.folder.name.startswith(DRAFT):
            shutil.rmtree(self.folder, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self._plain = None

    def _failed(self, error: OSError) -> BackupError:
        return BackupError(said(error, "written", self._folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()


# -- leftovers ---------------------------------------------------------------------------------------------------------


def own_name(kind: str) -> str:
    """A name for a folder that is no backup, or none any more: whose it is, and never the same twice."""
    return f"{kind}{_own_host()}-{os.getpid()}-{secrets.token_hex(4)}"


def _own_host() -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "", socket.gethostname())[:40] or "host"


def leftovers_in(folder: Path) -> list[Leftover]:
    """What dead programs left in a cluster's folder, the oldest first."""
    try:
        paths = [path for path in folder.iterdir() if path.name.startswith((DRAFT, GONE))]
    except OSError:
        return []
    return sorted(filter(None, map(_left, paths)), key=lambda left: -left.age)


def swept(left: Leftover) -> bool:
    """Removes one; False where it has come to life or somebody else removes it. Raises BackupError where it stays."""
    lock = locked(left.folder)
    if lock is None:
        return False
    try:
        shutil.rmtree(left.folder)
    except OSError as error:
        raise BackupError(said(error, "removed", left.folder)) from None
    finally:
        os.close(lock)
    return True


def _left(path: Path) -> Leftover | None:
    try:
        if path.is_symlink() or not path.is_dir():
            return None
        newest = max([path.stat().st_mtime, *(each.lstat().st_mtime for each in path.iterdir())])
    except OSError:
        return None
    told = _NAME.fullmatch(path.name)
    age = max(0.0, time.time() - newest)
    host = told["host"] if told else ""
    if host not in ("", _own_host()) and age < FOREIGN_SECONDS:
        return None
    pid = int(told["pid"]) if told else 0
    if age < JUST_MADE_SECONDS and _lives(pid):
        return None
    lock = locked(path)
    if lock is None:
        return None
    os.close(lock)
    return Leftover(path, pid, host, age)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # it is, and somebody else's
    except OSError:
        return False
    return pid > 0


def locked(folder: Path) -> int | None:
    """A lock on a folder that is still there; None where somebody else holds it, or it is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def fsync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on disk: fsync of a file does not promise that of its name (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def said(error: OSError, done: str, place: Path) -> str:
    """A sentence for a person: what could not be done, where, and why."""
    why = (error.strerror or str(error) or type(error).__name__).rstrip(".")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: {place} cannot be {done} ({why[:1].lower()}{why[1:]}); free space there."
    return f"{place} cannot be {done}: {why[:1].lower()}{why[1:]}."
