"""The plain tar in a stored file as a stream, front to back: never all of it in memory, and never on the disk in clear.

`plain.plain_tar` gives one that can be sought in, as a Swarm's directory needs; what a product of Docker EE writes may
have many gigabytes, and is read once.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from swarmtui.backups import crypt
from swarmtui.backups.errors import ArchiveError
from swarmtui.backups.plain import CHUNK, Step, nothing
from swarmtui.backups.ucp.openpgp import HEAD, Counted, Joined, form_of, form_of_file, stream
from swarmtui.vault.secret import Secret

NO_TAR = "It is no tar: a terminal may have spoilt it (docker run -t mixes the messages into the archive)."


@contextlib.contextmanager
def tar_stream(
    path: Path, identity: Secret | None = None, passphrases: Sequence[Secret] = (), step: Step = nothing
) -> Iterator[BinaryIO]:
    """Opens it. Read all of it: only at its end a seal says whether it was changed. Blocks: use a thread.

    Args:
        identity: opens what is encrypted with age.
        passphrases: open what is sealed with OpenPGP; all are tried.
        step: told of plain bytes that were read; may raise to stop.

    Raises:
        NoIdentityError, WrongIdentityError: it is sealed, and cannot be opened.
        ArchiveError: it is damaged, or no tar.
        OSError: it cannot be read.
    """
    form = form_of_file(path)
    if form == "openpgp":
        with stream(path, passphrases, step=step) as tar:
            yield tar
    elif form == "age":
        with _of_age(path, identity) as tar:
            yield cast(BinaryIO, Counted(_unpacked(tar), step))
    elif form:
        with path.open("rb") as file:
            yield cast(BinaryIO, Counted(_unpacked(file), step))
    else:
        raise ArchiveError(NO_TAR, "Take a new one, without -t.")


def _unpacked(file: BinaryIO) -> BinaryIO:
    """The same without gzip, where that is around it."""
    head = file.read(HEAD)
    joined = cast(BinaryIO, Joined(head, file))
    return cast(BinaryIO, _Gunzipped(joined)) if form_of(head) == "gzip" else joined


class _Gunzipped:
    """What comes out of gzip."""

    def __init__(self, packed: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=packed, mode="rb")

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except EOFError:
            raise ArchiveError("It is cut off: its gzip data ends too early.", "Take another copy of it.") from None
        except (gzip.BadGzipFile, zlib.error):
            raise ArchiveError("It is damaged: its gzip data cannot be read.", "Take another copy of it.") from None


@contextlib.contextmanager
def _of_age(path: Path, identity: Secret | None) -> Iterator[BinaryIO]:
    """What comes out of age; made in a thread, as it is read."""
    failed: list[ArchiveError | OSError] = []
    reading, writing = os.pipe()

    def work() -> None:
        try:
            with os.fdopen(writing, "wb") as sink, path.open("rb") as source:
                crypt.decrypt(source, sink.write, identity)
        except (ArchiveError, OSError) as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="age", daemon=True)
    thread.start()
    trouble: ArchiveError | None = None
    try:
        with os.fdopen(reading, "rb") as tar:
            try:
                yield tar
            except ArchiveError as error:
                trouble = error  # what the seal says of it comes first
            while tar.read(CHUNK):
                pass
            thread.join()
    finally:
        thread.join()  # whoever stopped reading closed the pipe, and that ends it
    if failed:
        raise failed[0]
    if trouble is not None:
        raise trouble
