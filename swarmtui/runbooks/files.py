"""Files of the operator that a runbook reads: what is wrong with one is said in a sentence."""

from __future__ import annotations

import functools
import hashlib
import stat
import sys
from pathlib import Path

from swarmtui.errors import UsageError


def read_file(path: Path, limit: int, what: str) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Args:
        what: what it is for, to begin a sentence: "The compose file".

    Raises:
        UsageError: it is not there, not a file, not readable, or too large.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{what} {path} is no regular file.", "Name the file itself.")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its name cannot be one"
        raise UsageError(f"{what} {path} cannot be read: {why}.", "Look at its path and permissions.") from error
    if len(content) > limit:
        raise UsageError(f"{what} {path} is larger than {limit:,} bytes.", "Is it the right file?")
    return content


def check_stdin(what: str) -> None:
    """Raises UsageError where standard input is a terminal, which would show what is typed, or is not there."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise UsageError(f"{what} standard input is a terminal.", "Pipe it in (< FILE), or name a file with file=PATH.")


@functools.cache
def read_stdin(limit: int, what: str) -> bytes:
    """What comes on standard input, at most `limit` bytes; read once, so that a repeated step finds it again.

    Raises:
        UsageError: it is a terminal, too large, or cannot be read.
    """
    check_stdin(what)
    try:
        content = sys.stdin.buffer.read(limit + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{what} standard input cannot be read.", "Pipe it in, or name a file.") from error
    if len(content) > limit:
        raise UsageError(f"{what} standard input is larger than {limit:,} bytes.", "Is it the right file?")
    return content


def slow_digest(*contents: bytes) -> str:
    """A digest of contents that may hold secrets: too slow for trying out what the secrets are."""
    together = b"".join(hashlib.sha256(content).digest() for content in contents)
    return hashlib.scrypt(together, salt=b"swarmtui", n=1 << 14, r=8, p=1, dklen=32).hex()
