"""A tar read front to back, once, without unpacking it or keeping its members. Nothing in it is trusted."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from typing import Any, BinaryIO, Final, Self, TypeAlias, cast

from swarmtui.backups.errors import ArchiveError
from swarmtui.model.text import one_line

LARGEST_HEADER: Final = 64 << 10
"""Bytes of one long name, or of the PAX records of a member."""
MOST_MEMBERS: Final = 500_000
"""A store of metrics has thousands of files."""
LATEST: Final = 2.0**33
"""Unix seconds that a file may say: the year 2242."""
_BROKEN: Final = (tarfile.TarError, ValueError, OverflowError, IndexError, KeyError, EOFError, RecursionError)
"""What tarfile raises for headers that lie."""

Take: TypeAlias = Callable[[tarfile.TarFile, tarfile.TarInfo], None]
"""Told of each member; it may read that one's content, and nothing else."""


def walk(tar: BinaryIO, take: Take, product: str) -> int:
    """Reads all of a tar; the number of its members, folders included.

    Args:
        tar: need not be seekable.
        product: whose backup it should be, for sentences.

    Raises:
        ArchiveError: it is no tar, cut off, or what is in it cannot be.
    """
    entries = 0
    archive: _Tar | None = None
    try:
        archive = _Tar.open(fileobj=tar, mode="r|", encoding="utf-8", errors="surrogateescape")
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it keeps them all otherwise
            entries += 1
            if entries > MOST_MEMBERS:
                raise ArchiveError(f"It has more than {MOST_MEMBERS:,} entries: that is no backup of {product}.", "")
            take(archive, member)
    except _BROKEN as error:
        if "unexpected end" in str(error):
            raise ArchiveError("Its tar is cut off.", "Take another copy of it.") from None
        said = one_line(str(error)).rstrip(".")[:100] or type(error).__name__
        raise ArchiveError(f"Its tar is damaged, or it is none: {said}.", "Take another copy of it.") from None
    if not isinstance(archive.ended, _AT_END):
        raise ArchiveError(f"Its tar ends without its end mark, after {entries} entries: it is cut off.", "")
    return entries


def clean(name: str) -> str:
    """A member's name without ./ and slashes at its end."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def time_of(member: tarfile.TarInfo) -> float:
    """When a member was written to, unix seconds; 0.0 for a time that cannot be."""
    at = float(member.mtime)
    return at if 0 < at < LATEST else 0.0


_AT_END: type[tarfile.HeaderError] = tarfile.EOFHeaderError  # type: ignore[attr-defined]
_HEADER_ERROR = tarfile.HeaderError
_HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


class _Info(tarfile.TarInfo):
    """A member whose headers cannot be larger than any name is; tells why the next header could not be read, which
    tarfile takes for the archive's end."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except _HEADER_ERROR as error:
            cast(_Tar, tarfile).ended = error
            raise

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _HEADERS and not 0 <= self.size <= LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of a member takes more than {LARGEST_HEADER >> 10} KB")
        return super()._proc_member(archive)  # type: ignore[misc]


class _Tar(tarfile.TarFile):
    """A tar that is read as a stream. ended: why its last header could not be read."""

    tarinfo = _Info
    ended: tarfile.HeaderError | None = None
