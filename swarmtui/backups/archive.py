"""The Swarm's directory in a tar, read without unpacking it, at whatever prefix it lies there."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from swarmtui.backups.draft import fsync_folder, said
from swarmtui.backups.errors import ArchiveError
from swarmtui.backups.plain import plain_tar
from swarmtui.backups.raft.contents import Problem
from swarmtui.backups.tarscan import Member, Scan
from swarmtui.model.text import one_line
from swarmtui.vault.secret import Secret

_PLACE = re.compile(
    r"(?P<prefix>(?:.*/)?)(?:certificates/swarm-(?:node\.(?:crt|key)|root-ca\.crt)|raft/(?:wal|snap)-v3.*)"
)


class ArchiveFiles:
    """The Swarm's directory in a tar, at whatever prefix. Implements `SwarmFiles`.

    Args:
        tar: the plain tar; must be seekable, and stay open.

    Attributes:
        problems: what is wrong with the archive itself; a fatal one means that it is not unpacked.
        prefix: where in the archive the directory is, such as "var/lib/docker/swarm/"; None where there is none.
    """

    def __init__(self, tar: BinaryIO) -> None:
        self._tar = tar
        scan = Scan(tar)
        self.prefix, about_prefix = _prefix_of(scan)
        self.problems: tuple[Problem, ...] = (*scan.problems, *about_prefix)
        self._files: dict[str, Member] = {}
        self.folders: tuple[str, ...] = ()
        if self.prefix is not None:
            start = len(self.prefix)
            self._files = {name[start:]: at for name, at in scan.files.items() if name.startswith(self.prefix)}
            inside = (name for name in scan.folders if name.startswith(self.prefix))
            self.folders = tuple(sorted(name[start:] for name in inside))

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._files))

    def size(self, name: str) -> int:
        return self._files[name].size

    def mode(self, name: str) -> int:
        """The permissions that a file has in the archive."""
        return self._files[name].mode

    def read(self, name: str) -> bytes:
        file = self._files[name]
        if not file.spans:
            return bytes(file.size)
        if len(file.spans) == 1 and file.spans[0][2] == file.size:
            return self._at(file.spans[0][1], file.size)
        pieces, end = [], 0
        for place, at, size in file.spans:
            pieces += [bytes(place - end), self._at(at, size)]
            end = place + size
        return b"".join((*pieces, bytes(file.size - end)))

    def _at(self, at: int, size: int) -> bytes:
        self._tar.seek(at)
        content = self._tar.read(size)
        if len(content) != size:
            raise OSError(f"the archive ends {size - len(content)} bytes too early")
        return content

    def pieces(self, name: str, size: int = 1 << 20) -> Iterator[tuple[int, bytes]]:
        """A file's content without its holes, as (place in the file, bytes)."""
        for place, at, length in self._files[name].spans:
            for offset in range(0, length, size):
                yield place + offset, self._at(at + offset, min(size, length - offset))

    @property
    def newest(self) -> float:
        """When the newest file was written to, unix seconds; 0.0 where no file tells."""
        return max((file.mtime for file in self._files.values()), default=0.0)

    @property
    def fatal(self) -> tuple[Problem, ...]:
        """Only what forbids unpacking it."""
        return tuple(problem for problem in self.problems if problem.fatal)


@contextlib.contextmanager
def open_archive(path: Path, identity: Secret | None = None) -> Iterator[ArchiveFiles]:
    """Looks into a tar, tar.gz, or either encrypted with age.

    Raises:
        ArchiveError: it cannot be opened. What is wrong inside is in `problems`.
        OSError: it cannot be read.
    """
    with plain_tar(path, identity) as tar:
        yield ArchiveFiles(tar)


def check(path: Path, identity: Secret | None = None) -> tuple[Problem, ...]:
    """What is wrong with an archive itself; nothing about what is inside its files. Raises as `open_archive` does."""
    with open_archive(path, identity) as files:
        return files.problems


def unpack(
    files: ArchiveFiles,
    folder: Path,
    *,
    instead: Mapping[str, bytes] | None = None,
    without: Collection[str] = (),
) -> None:
    """Unpacks the Swarm's directory into a new folder (0700, files 0600), on disk when this returns, or not at all.

    Nothing outside the directory is unpacked, holes stay holes, and owners are not changed.

    Args:
        instead: what files have instead of what the archive has, by name.
        without: names that are left out.

    Raises:
        ArchiveError: something in the archive forbids it, the folder is there already, or it cannot be written.
    """
    if files.fatal:
        raise ArchiveError(f"It is not unpacked: {files.fatal[0].what}", "Take another copy of it.")
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise ArchiveError(f"{folder} is there already, and is not written over.", "Choose another name.") from None
    except OSError as error:
        raise ArchiveError(said(error, "made", folder)) from None
    try:
        for name in files.folders:
            _folder(folder / name)
        for name in (name for name in files.names() if name not in without):
            _folder((folder / name).parent)
            given = (instead or {}).get(name)
            _write(folder / name, *(_pieces(files, name) if given is None else (len(given), [(0, given)])))
        for place in [path for path in folder.rglob("*") if path.is_dir()]:
            fsync_folder(place)
        fsync_folder(folder)
        fsync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ArchiveError(said(error, "written", folder)) from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _folder(path: Path) -> None:
    if not path.is_dir():
        _folder(path.parent)
        path.mkdir(mode=0o700)


def _pieces(files: ArchiveFiles, name: str) -> tuple[int, Iterable[tuple[int, bytes]]]:
    return files.size(name), files.pieces(name)


def _write(path: Path, size: int, pieces: Iterable[tuple[int, bytes]]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        for place, content in pieces:
            file.seek(place)
            file.write(content)
        file.flush()
        file.truncate(size)
        os.fsync(file.fileno())


def _prefix_of(scan: Scan) -> tuple[str | None, list[Problem]]:
    found = {told["prefix"] for name in (*scan.files, *scan.folders) if (told := _PLACE.fullmatch(name))}
    if not found:
        what = "There is no Swarm's directory in it: neither certificates/swarm-node.key nor raft/wal-v3-encrypted."
        return None, [Problem("archive-foreign", what, "", fatal=True)]
    first = min(found, key=lambda prefix: (len(prefix), prefix))
    if len(found) > 1:
        shown = " and ".join(one_line(prefix)[:80] or "its top" for prefix in sorted(found)[:2])
        what = f"There are {len(found)} Swarm's directories in it: {shown}."
        return first, [Problem("archive-several", what, "", fatal=True)]
    if more := sum(not name.startswith(first) for name in scan.files):
        files = "1 file that is" if more == 1 else f"{more} files that are"
        return first, [
            Problem("archive-more", f"It also has {files} no part of the Swarm's directory.", "", fatal=False)
        ]
    return first, []
