"""The plain tar of a backup, however it is stored: as it is, compressed with gzip, or encrypted with age.

Plain contents never touch our disk where the stored file is encrypted: they are held in memory, without their zeros,
which are most of a Swarm's directory (two preallocated files of 64 MB).
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from swarmtui.backups import crypt
from swarmtui.backups.errors import ArchiveError
from swarmtui.vault.secret import Secret

CHUNK = 1 << 20
BLOCK = 64 << 10
LARGEST = 1 << 30
"""Bytes that may come out of a compressed or encrypted archive. The largest Swarm's directory is a fraction of it."""
HELD = 512 << 20
"""Bytes other than zeros that are held in memory."""

_ZEROS = bytes(BLOCK)
_GZIP = b"\x1f\x8b"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}

Step = Callable[[int], None]
"""Told of each number of bytes that were worked off; may raise to stop."""


def nothing(size: int) -> None:
    """A `Step` that nobody listens to."""


class Plain(io.RawIOBase):
    """Bytes in memory, without their zeros; written once, front to back, and then read like a file.

    Attributes:
        length: bytes written.
    """

    def __init__(self, largest: int = LARGEST, held: int = HELD) -> None:
        super().__init__()
        self.length = 0
        self._blocks: list[bytes | None] = []
        self._tail = bytearray()
        self._largest, self._held = largest, held
        self._at = 0

    @property
    def digest(self) -> str:
        """sha256 of all that was written, in hex. Reckoned when it is asked for: looking inside does without."""
        total = hashlib.sha256()
        for block in self._blocks:
            total.update(block or _ZEROS)
        total.update(self._tail)
        return total.hexdigest()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Appends. Raises ArchiveError where that is more than can be."""
        self.length += len(data)
        if self.length > self._largest:
            raise ArchiveError(
                f"More than {self._largest >> 20} MB come out of it: that is no backup of a Swarm.",
                "Look at where the file is from.",
            )
        if self._tail or len(data) < BLOCK:
            self._tail += data
            if len(self._tail) < BLOCK:
                return len(data)
            content, self._tail = bytes(self._tail), bytearray()
        else:
            content = bytes(data)
        whole = len(content) // BLOCK * BLOCK
        for at in range(0, whole, BLOCK):
            block = content[at : at + BLOCK]
            if block == _ZEROS:
                self._blocks.append(None)
            else:
                self._blocks.append(block)
                self._held -= BLOCK
        self._tail += content[whole:]
        if self._held < 0:
            raise ArchiveError("It holds too much to be looked at in memory.", "Decrypt or unpack it, and import that.")
        return len(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        end = self.length if size < 0 else min(self.length, self._at + size)
        pieces = []
        while self._at < end:
            number, start = divmod(self._at, BLOCK)
            stop = min(BLOCK, start + end - self._at)
            if number < len(self._blocks):
                pieces.append((self._blocks[number] or _ZEROS)[start:stop])
            else:
                pieces.append(bytes(self._tail[start:stop]))
            self._at += stop - start
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def digest_of(path: Path, step: Step = nothing) -> tuple[str, int]:
    """sha256 in hex, and size, of a file as it is stored. Raises OSError."""
    total, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            total.update(chunk)
            size += len(chunk)
            step(len(chunk))
    return total.hexdigest(), size


def is_encrypted(path: Path) -> bool:
    """Whether the file is encrypted with age. Raises OSError."""
    with path.open("rb") as file:
        return crypt.is_age(file.read(64))


@contextlib.contextmanager
def plain_tar(path: Path, identity: Secret | None = None, step: Step = nothing) -> Iterator[BinaryIO]:
    """Opens the plain tar in a stored file. It is positioned at its beginning; a `Plain` where it had to be made.

    Args:
        identity: what opens it, where it is encrypted.
        step: told of plain bytes made.

    Raises:
        NoIdentityError, WrongIdentityError: it is encrypted, and cannot be opened.
        ArchiveError: it is damaged, or too large to be a backup of a Swarm.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        source: BinaryIO = file
        if crypt.is_age(_head(source)):
            opened = Plain()
            crypt.decrypt(source, _counted(opened, step), identity)
            opened.seek(0)
            source = cast(BinaryIO, opened)
        head = _head(source)
        if head.startswith(_GZIP):
            source = cast(BinaryIO, _gunzipped(source, step))
        elif packed := next((name for magic, name in _OTHERS.items() if head.startswith(magic)), ""):
            raise ArchiveError(f"It is packed with {packed}, which is not read.", f"Unpack it first with {packed}.")
        yield source


def _head(file: BinaryIO) -> bytes:
    head = file.read(64)
    file.seek(0)
    return head


def _counted(plain: Plain, step: Step) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        plain.write(data)
        step(len(data))

    return write


def _gunzipped(source: BinaryIO, step: Step) -> Plain:
    plain = Plain()
    try:
        with gzip.GzipFile(fileobj=source) as file:
            while chunk := file.read(CHUNK):
                plain.write(chunk)
                step(len(chunk))
    except EOFError:
        raise ArchiveError("It is cut off: its gzip data ends too early.", "Take another copy of it.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ArchiveError(
            f"It is damaged: its gzip data cannot be read ({str(error)[:80]}).", "Take another copy of it."
        ) from None
    plain.seek(0)
    return plain
