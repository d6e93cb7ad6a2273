"""What is in a tar: names, kinds, and where each file lies. Nothing is unpacked, and nothing in it is trusted.

An archive is a stranger's data. A Swarm's directory holds plain files and folders and nothing else, so links, devices,
names that lead out, and everything that two programs could read in two ways are named, and never unpacked.
`tarfile` reads the headers; what it does with hostile ones is bounded here, in memory and in time.
"""

from __future__ import annotations

import io
import re
import tarfile
from dataclasses import dataclass
from typing import BinaryIO, Self, cast

from swarmtui.backups.raft.contents import Problem
from swarmtui.model.text import one_line

MOST_MEMBERS = 10_000
"""A Swarm's directory has some ten files."""
LARGEST_FILE = 512 << 20
"""Bytes of one file, its holes included. A preallocated file of the raft log has 64 MB."""
LARGEST_ALL = 1 << 30
"""Bytes of all files together, their holes included."""
HEADER_BYTES = 256 << 10
"""Bytes that may be read for the headers of one member: long names, PAX records, the map of a sparse file."""
_LATEST = 2.0**33
"""Unix seconds that a file may say: the year 2242."""
_CHAIN = 8
"""Headers for one member: tar writes at most three before its own."""
_MOST_PROBLEMS = 20
_TRAILING = 64 << 20
"""Bytes after the end of an archive that are looked through; tar itself writes up to 10 KB of zeros."""
_BLOCK = 512

_RECORD = re.compile(rb"(\d{1,10}) ([^=\n]{1,256})=")
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}
_BROKEN = (tarfile.TarError, ValueError, OverflowError, IndexError, KeyError, EOFError)
"""What tarfile raises for headers that lie."""

_HEADER_ERROR = tarfile.HeaderError
_AT_END: type[tarfile.HeaderError] = tarfile.EOFHeaderError  # type: ignore[attr-defined]
_CUT_OFF: tuple[type[tarfile.HeaderError], ...] = (
    tarfile.EmptyHeaderError,  # type: ignore[attr-defined]
    tarfile.TruncatedHeaderError,  # type: ignore[attr-defined]
)


@dataclass(frozen=True, slots=True)
class Member:
    """Where a file lies in the tar.

    Attributes:
        spans: (place in the file, place in the tar, bytes); what lies between is zeros.
        mtime: unix seconds.
    """

    size: int
    mode: int
    mtime: float
    spans: tuple[tuple[int, int, int], ...]


class Scan:
    """One pass over a tar.

    Args:
        tar: the plain tar; seekable.

    Attributes:
        files: by name, without "./"; the last of several with the same name.
        folders: those that are members themselves, with a slash at the end.
        problems: the first of them; a fatal one means that the archive is not unpacked.
    """

    def __init__(self, tar: BinaryIO) -> None:
        self.files: dict[str, Member] = {}
        self.folders: set[str] = set()
        self.problems: list[Problem] = []
        self._tar = tar
        self._length = tar.seek(0, io.SEEK_END)
        self._total = 0
        tar.seek(0)
        if not self._length:
            self._say("archive-empty", "It is empty.")
            return
        self._run()
        self._clashes()

    def _say(self, id: str, what: str) -> None:
        # The last one is always told: it says why nothing was looked at after it.
        self.problems[_MOST_PROBLEMS - 1 :] = [Problem(id, what, "", fatal=True)]

    def _run(self) -> None:
        guard = _Guard(self._tar)
        archive: tarfile.TarFile | None = None
        count, last = 0, -1
        while True:
            guard.again()
            try:
                if archive is None:
                    archive = tarfile.TarFile(
                        fileobj=cast(BinaryIO, guard), tarinfo=_Info, encoding="utf-8", errors="surrogateescape"
                    )
                info = archive.next()
            except _BROKEN as error:
                at = guard.header
                if at == 0 and not count:
                    self._say("archive-no-tar", f"It is no tar, or its beginning is damaged: {_clause(error)}.")
                elif "unexpected end" in str(error):
                    self._say("archive-truncated", f"It is cut off after {self._length} bytes.")
                else:
                    self._say("archive-header", f"Its header at byte {at} is damaged or lies: {_clause(error)}.")
                return None
            if info is None:
                return self._end(guard)
            archive.members.clear()  # type: ignore[attr-defined]  # it keeps them all otherwise
            count += 1
            if count > MOST_MEMBERS:
                self._say(
                    "archive-members", f"It has more than {MOST_MEMBERS:,} members: that is no backup of a Swarm."
                )
                return None
            if info.offset <= last or archive.offset <= info.offset:
                self._say("archive-header", f"Its header at byte {guard.header} is damaged or lies: it leads back.")
                return None
            last = info.offset
            self._take(info)

    def _take(self, info: tarfile.TarInfo) -> None:
        name, why = _cleaned(info.name)
        shown = f'"{one_line(info.name)[:120]}"'
        if why:
            return self._say("archive-name", f"It has a member {shown} {why}.")
        if info.isdir():
            if name:
                self.folders.add(f"{name}/")
            return None
        if not info.isreg() or info.type not in tarfile.SUPPORTED_TYPES:
            kind = _KINDS.get(info.type, "of a kind that is unknown")
            leads = f" to {one_line(info.linkname)[:120]}" if info.issym() or info.islnk() else ""
            return self._say(
                "archive-link" if leads else "archive-kind",
                f"Its member {shown} is {kind}{leads}: a Swarm's directory has only files and folders.",
            )
        if name in self.files:
            self._say("archive-twice", f"It has {shown} twice.")
        self._total += max(0, info.size)
        if info.size > LARGEST_FILE or self._total > LARGEST_ALL:
            return self._say(
                "archive-bomb",
                f"Its member {shown} says it has {info.size >> 20:,} MB: no file of a Swarm's directory is so large.",
            )
        spans = _spans(info)
        if spans is None:
            return self._say("archive-sparse", f"The map of the sparse file {shown} is damaged or lies.")
        if spans and spans[-1][1] + spans[-1][2] > self._length:
            self._say("archive-truncated", f"It is cut off in {shown}, after {self._length} bytes.")
            return None
        mtime = float(info.mtime)  # PAX records may say nan, inf, or a time before there were computers
        self.files[name] = Member(info.size, info.mode & 0o7777, mtime if 0 < mtime < _LATEST else 0.0, spans)
        return None

    def _end(self, guard: _Guard) -> None:
        ended = guard.ended
        if isinstance(ended, _AT_END):
            return self._after(guard.header)
        if ended is None or isinstance(ended, _CUT_OFF):
            return self._say("archive-truncated", f"It is cut off after {self._length} bytes: its end mark is missing.")
        return self._say("archive-header", f"Its header at byte {guard.header} is damaged: {_clause(ended)}.")

    def _after(self, at: int) -> None:
        """After the end there are only zeros; anything else tar would not show, and `tar -i` would unpack."""
        if self._length - at > _TRAILING:
            return self._say("archive-trailing", f"More than {_TRAILING >> 20} MB follow after its end.")
        self._tar.seek(at)
        while chunk := self._tar.read(1 << 20):
            if chunk.strip(b"\0"):
                return self._say("archive-trailing", f"Something follows after its end at byte {at}.")
        return None

    def _clashes(self) -> None:
        for name in self.files:
            parts = name.split("/")
            above = ("/".join(parts[:number]) for number in range(1, len(parts)))
            if f"{name}/" in self.folders or any(one in self.files for one in above):
                self._say("archive-clash", f'It has "{one_line(name)[:120]}" as a file, or below a file.')


def _clause(error: Exception) -> str:
    said = one_line(str(error)).rstrip(".")[:100]
    return said or type(error).__name__


def _cleaned(name: str) -> tuple[str, str]:
    """The name without ./ and slashes at its end, and why it cannot be one."""
    if one_line(name) != name or not name.isprintable():
        return "", "whose name has control characters"
    if name.startswith("/"):
        return "", "whose name begins at the root; pack it again without tar's -P"
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        return "", "whose name leads out of the archive"
    if len(name) > 1024 or len(parts) > 32:
        return "", "whose name is too long"
    return "/".join(parts), ""


def _spans(info: tarfile.TarInfo) -> tuple[tuple[int, int, int], ...] | None:
    """Where a file's content lies; None for a map that cannot be."""
    if info.size < 0:
        return None
    sparse = getattr(info, "sparse", None)
    if sparse is None:
        return ((0, info.offset_data, info.size),) if info.size else ()
    spans: list[tuple[int, int, int]] = []
    end, at = 0, info.offset_data
    for place, size in sparse:
        if place < 0 or size < 0 or place + size > info.size or (size and place < end):
            return None
        if size:  # old headers have four places, and leave those empty that they do not need
            spans.append((place, at, size))
            end, at = place + size, at + size
    return tuple(spans)


class _Guard(io.RawIOBase):
    """What tarfile reads headers through: only so much for one member, and no PAX records that do not add up.

    Attributes:
        header: where the last header began.
        ended: why it could not be read.
    """

    def __init__(self, tar: BinaryIO) -> None:
        super().__init__()
        self._tar = tar
        self._left = HEADER_BYTES
        self._chain = 0
        self.header = 0
        self.ended: tarfile.HeaderError | None = None

    def again(self) -> None:
        """Before each member."""
        self._left, self.ended, self._chain = HEADER_BYTES, None, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        self._left -= size
        if size < 0 or self._left < 0:
            raise tarfile.ReadError(f"it takes more than {HEADER_BYTES >> 10} KB")
        return self._tar.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._tar.seek(offset, whence)

    def tell(self) -> int:
        return self._tar.tell()

    def look_ahead(self) -> None:
        """Checks a PAX header before tarfile reads it: its patterns take the square of their length over records that
        overlap or never end (CVE-2024-6232)."""
        self.header = self.tell()
        self._chain += 1
        if self._chain > _CHAIN:
            raise tarfile.ReadError("too many headers for one member")
        block = self._tar.read(_BLOCK)
        try:
            if block[156:157] in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE):
                size = int(block[124:136].split(b"\0", 1)[0].strip() or b"0", 8)
                if not 0 <= size <= HEADER_BYTES:
                    raise tarfile.ReadError(f"it takes more than {HEADER_BYTES >> 10} KB")
                _check_records(self._tar.read(size))
        except ValueError:
            raise tarfile.ReadError("its size is no number") from None
        finally:
            self._tar.seek(self.header)


def _check_records(data: bytes) -> None:
    at = 0
    while at < len(data):
        found = _RECORD.match(data, at)
        end = at + int(found[1]) if found else at
        if found is None or end > len(data) or end <= found.end() or data[end - 1 : end] != b"\n":
            raise tarfile.ReadError("its PAX records do not add up")
        at = end


class _Info(tarfile.TarInfo):
    """A member; tells the guard why a header could not be read, which tarfile takes for the archive's end."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        guard = cast(_Guard, tarfile.fileobj)
        guard.look_ahead()
        try:
            return super().fromtarfile(tarfile)
        except _HEADER_ERROR as error:
            guard.ended = error
            raise
