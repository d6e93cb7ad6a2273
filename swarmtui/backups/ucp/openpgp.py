"""The archive of a UCP backup as a stream of a plain tar, whatever it is sealed with.

UCP seals it with a passphrase, as an OpenPGP message (ucp-dtr.md §1.5). pysequoia opens that, in a process of its own:
it holds the interpreter's lock meanwhile, and what comes out never touches our disk nor is all of it in memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from swarmtui.backups import crypt
from swarmtui.backups.crypt import NoIdentityError, WrongIdentityError
from swarmtui.backups.errors import ArchiveError
from swarmtui.backups.plain import Step, nothing, plain_tar
from swarmtui.model.text import one_line
from swarmtui.vault.secret import Secret

Form: TypeAlias = Literal["openpgp", "tar", "age", "gzip", ""]

HEAD = 512
"""Bytes that tell what a file is."""
_ARMOR = b"-----BEGIN PGP MESSAGE-----"
_USTAR = 257
_SKESK = 3
_PKESK = 1
_VERSIONS = {_SKESK: (4, 5, 6), _PKESK: (2, 3, 6)}
"""Versions that a packet with a session key may have (RFC 9580, 5.1 and 5.3)."""

_CHILD = """
import json, sys
told = json.loads(sys.stdin.buffer.read())
sys.path[:] = told["path"]
import pysequoia
try:
    pysequoia.decrypt_file(told["file"], "/dev/stdout", passwords=told["passphrases"])
except BaseException as error:
    sys.stderr.write((str(error).strip().splitlines() or [type(error).__name__])[0][:200])
    sys.exit(3)
"""
_NO_KEY = "No key to decrypt"
_TRUNCATED = ("EOF", "manipulated", "Malformed")


class WrongPassphraseError(WrongIdentityError):
    """None of the passphrases opens an OpenPGP message; whose they were only the caller knows."""


def form_of(head: bytes) -> Form:
    """What a file is, by its first `HEAD` bytes; "" for nothing that a backup of UCP can be.

    Both an old-format and a new-format packet of a session key are taken (ucp-dtr.md §1.5).
    """
    if crypt.is_age(head):
        return "age"
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head[_USTAR : _USTAR + 5] == b"ustar":
        return "tar"
    return "openpgp" if head.startswith(_ARMOR) or _packet(head) in (_SKESK, _PKESK) else ""


def _packet(head: bytes) -> int:
    """The tag of the first packet, where it is one of a session key; 0 otherwise."""
    if len(head) < 8 or not head[0] & 0x80:
        return 0
    new = bool(head[0] & 0x40)
    tag = head[0] & 0x3F if new else (head[0] >> 2) & 0x0F
    # How many bytes its length takes (RFC 9580, 4.2).
    if new:
        lengths = 1 if head[1] < 192 else 2 if head[1] < 224 else 5 if head[1] == 255 else 0
    else:
        lengths = {0: 1, 1: 2, 2: 4}.get(head[0] & 3, 0)
    return tag if lengths and tag in _VERSIONS and head[1 + lengths] in _VERSIONS[tag] else 0


def form_of_file(path: Path) -> Form:
    """What a file is. Raises OSError."""
    with path.open("rb") as file:
        return form_of(file.read(HEAD))


@contextlib.contextmanager
def stream(
    path: Path, passphrases: Sequence[Secret] = (), identity: Secret | None = None, step: Step = nothing
) -> Iterator[BinaryIO]:
    """The plain tar, front to back. Read all of it: only at its end an OpenPGP message says whether it was changed.

    Args:
        passphrases: of UCP's own seal; all are tried.
        identity: what opens the encryption around a plain one, where we made that.
        step: told of bytes that were worked off; may raise to stop.

    Raises:
        NoIdentityError: it is sealed, and no passphrase is known.
        WrongPassphraseError: none of them opens it.
        WrongIdentityError: the identity does not.
        ArchiveError: it is damaged, or no backup of UCP at all.
        OSError: it cannot be read.
    """
    form = form_of_file(path)
    if form == "openpgp":
        if not passphrases:
            raise NoIdentityError(
                "It is sealed with UCP's passphrase, and the vault has none of this cluster.",
                "Keep it: swarmtui secrets set ucp-passphrase CLUSTER_ID",
            )
        with _decrypted(path, passphrases, step) as tar:
            yield tar
    elif form in ("tar", "age"):
        with plain_tar(path, identity) as tar:
            yield Counted(tar, step)  # type: ignore[misc]
    elif form == "gzip":
        raise ArchiveError("It is packed with gzip: UCP makes no such archive.", "Unpack it first with gunzip.")
    else:
        raise ArchiveError(
            "It is neither a tar nor sealed with a passphrase as UCP does it: a terminal may have spoilt it "
            "(docker run -t mixes the messages into the archive).",
            "Take a new one, without -t.",
        )


class Counted:
    """Reads on, and tells how much."""

    def __init__(self, file: BinaryIO, step: Callable[[int], None]) -> None:
        self._file, self._step = file, step

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._step(len(data))
        return data


@contextlib.contextmanager
def _decrypted(path: Path, passphrases: Sequence[Secret], step: Callable[[int], None]) -> Iterator[BinaryIO]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A trace of its own calls takes it many seconds, and nobody reads it.
        env={**os.environ, "RUST_BACKTRACE": "0", "RUST_LIB_BACKTRACE": "0"},
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    try:
        told = {"path": sys.path, "file": str(path), "passphrases": [each.reveal() for each in passphrases]}
        with contextlib.suppress(BrokenPipeError):  # its exit code tells
            process.stdin.write(json.dumps(told).encode())
            process.stdin.close()
        counted = Counted(process.stdout, step)  # type: ignore[arg-type]
        first = b""
        trouble: ArchiveError | None = None
        try:
            first = counted.read(HEAD)
            if first:
                yield Joined(first, counted)  # type: ignore[misc]
        except ArchiveError as error:
            trouble = error  # what the seal says of it comes first
        while counted.read(1 << 20):
            pass
        said = process.stderr.read().decode(errors="replace").strip()
        if process.wait() != 0:
            raise _refused(said, len(passphrases), any_came=bool(first))
        if trouble is not None:
            raise trouble
        if not first:
            raise ArchiveError("There is nothing in it.", "Take a new one.")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


class Joined:
    """What was read before, then the rest."""

    def __init__(self, first: bytes, rest: Counted | BinaryIO) -> None:
        self._first, self._rest = first, rest

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            data, self._first = self._first + self._rest.read(), b""
            return data
        if self._first:
            data, self._first = self._first[:size], self._first[size:]
            return data
        return self._rest.read(size)


def _refused(said: str, tried: int, *, any_came: bool) -> ArchiveError:
    """Why it does not open, of the library's first line."""
    if _NO_KEY in said and not any_came:
        which = "the passphrase that is known does not open it" if tried == 1 else f"none of {tried} passphrases does"
        return WrongPassphraseError(
            f"It is sealed with UCP's passphrase, and {which}.",
            "Keep the one of that time: swarmtui secrets set ucp-passphrase CLUSTER_ID",
        )
    if any(sign in said for sign in _TRUNCATED):
        return ArchiveError(
            "It is cut off or was changed: its seal does not fit what is in it.", "Take another copy of it."
        )
    return ArchiveError(f"Its seal cannot be opened: {one_line(said).rstrip('.')[:120]}.", "Take another copy of it.")
