"""Tar archives in memory, with sparse files as GNU tar writes them; reading them again."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from swarmtui.demo.world.host import File

_BLOCK = 4096
_MOST_BYTES = 1 << 30
"""An archive that unpacks to more is not read: it is no archive of ours."""


class TarballError(Exception):
    """It is no archive, or none for a simulated host; in the words of tar."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file or a folder in an archive. `file` is None for a folder, whose permissions are in `mode`."""

    name: str
    file: File | None
    mode: int = 0o755
    owner: str = "root/root"


@dataclass(frozen=True, slots=True)
class Form:
    """How an archive is written.

    Attributes:
        sparse: leave holes out (--sparse).
        posix: in the format that --xattrs and its like bring with them, instead of GNU tar's own.
        numeric: without the names of owners (--numeric-owner).
    """

    gzip: bool = False
    sparse: bool = False
    posix: bool = False
    numeric: bool = False


class _Holed(io.RawIOBase):
    """A file with the zeros of its hole, which are not kept in memory."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        left = self._file.length - self._at
        size = left if size < 0 else min(size, left)
        data = self._file.data[self._at : self._at + size]
        self._at += size
        return data + bytes(size - len(data))


def pack(members: Iterable[Member], form: Form, *, now: float) -> bytes:
    """An archive of these members, in their order."""
    buffer = io.BytesIO()
    kind = tarfile.PAX_FORMAT if form.posix else tarfile.GNU_FORMAT
    name = "" if form.numeric else "root"
    with tarfile.open(fileobj=buffer, mode="w:gz" if form.gzip else "w:", format=kind) as archive:
        for member in members:
            entry = tarfile.TarInfo(member.name)
            entry.mode, entry.uname, entry.gname = member.mode & 0o7777, name, name
            entry.mtime = int(now)
            if member.file is None:
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
                continue
            file = member.file
            entry.mode, entry.mtime, entry.size = file.mode, int(file.mtime or now), file.length
            if not form.sparse or file.length - len(file.data) < _BLOCK:
                archive.addfile(entry, _Holed(file))
            elif form.posix:
                _posix_sparse(archive, entry, file)
            else:
                _gnu_sparse(archive, entry, file)
    return buffer.getvalue()


def _kept(file: File) -> bytes:
    """What of a sparse file is written: whole blocks."""
    return file.data + bytes(-len(file.data) % _BLOCK)


def _posix_sparse(archive: tarfile.TarFile, entry: tarfile.TarInfo, file: File) -> None:
    """Format 1.0: the map stands before the data, the real name and size in the extended header."""
    kept = _kept(file)
    numbers = [2, 0, len(kept), file.length, 0] if kept else [1, file.length, 0]
    sparse_map = "".join(f"{number}\n" for number in numbers).encode()
    sparse_map += bytes(-len(sparse_map) % 512)
    folder, _, base = entry.name.rpartition("/")
    entry.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": entry.name,
        "GNU.sparse.realsize": str(file.length),
    }
    entry.name = f"{folder}/GNUSparseFile.1/{base}".lstrip("/")
    entry.size = len(sparse_map) + len(kept)
    archive.addfile(entry, io.BytesIO(sparse_map + kept))


def _gnu_sparse(archive: tarfile.TarFile, entry: tarfile.TarInfo, file: File) -> None:
    """The old GNU format: the map stands in the header."""
    kept = _kept(file)
    entry.type, entry.size = tarfile.GNUTYPE_SPARSE, len(kept)
    header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    places = ((0, len(kept)), (file.length, 0)) if kept else ((file.length, 0),)
    block = len(header) - 512
    for number, (offset, size) in enumerate(places):
        at = block + 386 + 24 * number
        header[at : at + 24] = b"%011o\0%011o\0" % (offset, size)
    header[block + 483 : block + 495] = b"%011o\0" % file.length
    header[block + 148 : block + 156] = b" " * 8
    header[block + 148 : block + 156] = b"%06o\0 " % sum(header[block : block + 512])
    assert archive.fileobj is not None
    archive.fileobj.write(bytes(header) + kept + bytes(-len(kept) % 512))
    archive.offset += len(header) + len(kept) + -len(kept) % 512


def unpack(data: bytes) -> Iterator[Member]:
    """The files and folders in an archive; of sparse files the hole is kept as one.

    Raises:
        TarballError: it is none, or too big.
    """
    left = _MOST_BYTES
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
            for entry in archive:
                left -= entry.size
                if left < 0:
                    raise TarballError("This archive is too big for a simulated host")
                owner = f"{entry.uname or entry.uid}/{entry.gname or entry.gid}"
                if entry.isdir():
                    yield Member(entry.name, None, entry.mode, owner)
                elif entry.isfile() and (stream := archive.extractfile(entry)) is not None:
                    content = stream.read().rstrip(b"\0") if entry.size > _BLOCK else stream.read()
                    size = entry.size if len(content) < entry.size else 0
                    yield Member(entry.name, File(content, size, entry.mode, float(entry.mtime)), owner=owner)
                else:
                    raise TarballError(f"{entry.name}: only files and folders are known on a simulated host")
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise TarballError("This does not look like a tar archive") from error
