"""Copies in a folder: a disk that is plugged in, a network file system that is mounted.

Where nothing is mounted the same path is a folder on this machine's own disk: the copies would fill it, and be lost
with it. So a folder counts only with a mark in it. The first copy sets the mark, if the folder is on another file
system than the root; anywhere else a person sets it, who then means it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from pathlib import Path

from swarmtui.backups.offsite import BLOCK, MANIFEST, NAME, PART, CopyError, PlaceAway, Progress, differs
from swarmtui.config.backups import CopyTarget

MARK = ".swarmtui-copies"
"""An empty file that says: copies belong here."""


class PathPlace:
    """A folder. Made by `open`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    async def open(cls, target: CopyTarget, *, known: bool) -> PathPlace:
        """Looks whether the folder is there, and is the one that is meant.

        Raises:
            PlaceAway: it is not there, or nothing is mounted on it.
            CopyError: nothing can be written there.
        """
        await asyncio.to_thread(_prove, Path(target.path), known)
        return cls(Path(target.path))

    @property
    def where(self) -> str:
        return str(self._root)

    async def digest(self, name: str, wanted: str) -> str | None:
        return await asyncio.to_thread(self._digest, self._root / name)

    async def put(self, file: Path, name: str, digest: str, progress: Progress) -> None:
        stop = _Stop()
        task = asyncio.ensure_future(asyncio.to_thread(self._put, file, self._root / name, digest, progress, stop))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            # The thread goes on by itself: it is told, and waited for, so that nothing writes there after us.
            stop.now = True
            await asyncio.gather(task, return_exceptions=True)
            raise

    async def read(self, name: str, largest: int) -> bytes:
        return await asyncio.to_thread(self._read, self._root / name, largest)

    async def folders(self, name: str) -> tuple[str, ...]:
        return await asyncio.to_thread(self._folders, self._root / name)

    async def clear_parts(self, name: str) -> None:
        await asyncio.to_thread(self._clear_parts, self._root / name)

    async def remove(self, name: str) -> None:
        await asyncio.to_thread(self._remove, self._root / name)

    # -- in a thread -------------------------------------------------------------------------------------------------

    def _digest(self, path: Path) -> str | None:
        try:
            return _from_disk(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._trouble(error, path) from error

    def _put(self, file: Path, path: Path, digest: str, progress: Progress, stop: _Stop) -> None:
        part = path.with_name(f"{PART}{path.name}-{secrets.token_hex(4)}")
        try:
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            size = file.stat().st_size
            free = shutil.disk_usage(path.parent).free
            if free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            try:
                with file.open("rb") as source, os.fdopen(os.open(part, _NEW, 0o600), "wb") as sink:
                    sent = 0
                    while block := source.read(BLOCK):
                        if stop.now:
                            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
                        sink.write(block)
                        sent += len(block)
                        progress(sent, size)
                    sink.flush()
                    os.fsync(sink.fileno())
                if _from_disk(part) != digest:
                    raise differs(self.where, path.name)
                part.replace(path)
                _sync(path.parent)
                _sync(path.parent.parent)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise self._trouble(error, path) from error

    def _read(self, path: Path, largest: int) -> bytes:
        try:
            with path.open("rb") as stream:
                content = stream.read(largest + 1)
        except OSError as error:
            raise self._trouble(error, path) from error
        if len(content) > largest:
            raise CopyError(f"{path} is too large to be what it should be.", "")
        return content

    def _folders(self, folder: Path) -> tuple[str, ...]:
        try:
            return tuple(sorted(path.name for path in folder.iterdir() if NAME.fullmatch(path.name) and path.is_dir()))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._trouble(error, folder) from error

    def _clear_parts(self, folder: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            for path in folder.iterdir():
                if path.name.startswith(PART):
                    path.unlink(missing_ok=True)

    def _remove(self, folder: Path) -> None:
        try:
            (folder / MANIFEST).unlink(missing_ok=True)
            if folder.is_dir():
                _sync(folder)
                shutil.rmtree(folder)
        except OSError as error:
            raise self._trouble(error, folder) from error

    def _trouble(self, error: OSError, path: Path) -> CopyError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return CopyError(f"There is no room for {path.name} in {self.where}.", "Make room there, or prune copies.")
        what = f"{error.filename or path}: {error.strerror or error}."
        return CopyError(
            f"The copies in {self.where} cannot be worked with: {what}", "Look at that disk and its mount."
        )


class _Stop:
    """Tells a thread to end."""

    now = False


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def _prove(root: Path, known: bool) -> None:
    mark = root / MARK
    by_hand = f"If the folder is meant as it is: touch {mark}"
    try:
        if mark.exists():
            return
        if not root.is_dir():
            raise PlaceAway(f"There is no folder {root} for copies.", "Mount what belongs there.")
        if known:
            raise PlaceAway(f"{root} is not what copies were made to before: it has no mark.", f"Mount it. {by_hand}")
        if root.stat().st_dev == Path("/").stat().st_dev:
            raise PlaceAway(f"Nothing is mounted on {root}: copies there would be on this machine's own disk.", by_hand)
        mark.touch(mode=0o600)
    except OSError as error:
        raise CopyError(f"{error.filename or root}: {error.strerror or error}.", "Look at its permissions.") from error


def _from_disk(path: Path) -> str:
    """sha256 of a file as the disk has it: what memory remembers of writing it proves nothing."""
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        if hasattr(os, "posix_fadvise"):  # not everywhere
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # network file systems know no fsync of a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
