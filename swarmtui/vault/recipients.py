"""Recipients of age (age-encryption.org/v1): who can open what is encrypted to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swarmtui.errors import UsageError
from swarmtui.model.text import one_line

_READ_LIMIT = 64 << 10


def recipient_lines(told: str, called: str = "") -> list[str]:
    """The recipients that one text means: itself, or the lines of the file it names.

    Args:
        called: what stands for the text where it must not be told back: an argument may be a secret in the wrong place.

    Raises:
        UsageError: it cannot be meant, or the file cannot be read.
    """
    told = told.strip()
    if told.startswith(("age1", "ssh-")):
        return [told]
    if told.upper().startswith("AGE-SECRET-KEY-"):
        raise UsageError("A secret key of age is no recipient, and does not belong there.", "Give its age1… recipient.")
    path = Path(told).expanduser()
    try:
        with path.open("rb") as file:
            lines = [line.strip() for line in file.read(_READ_LIMIT).decode().splitlines()]
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise UsageError(
            f"{called or one_line(told)[:60]} is no recipient of age (age1…, ssh-ed25519 …, ssh-rsa …), and as a file "
            f"it cannot be read: {why}.",
            "Make a key with age-keygen, and give the age1… that it prints.",
        ) from None
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise UsageError(f"{path} names no recipient.", "Give a file with lines such as age1… or ssh-ed25519 ….")
    return found


def recipient(pyrage: Any, line: str) -> Any:
    """One line as pyrage wants it. Raises UsageError where it is no recipient."""
    read = pyrage.ssh.Recipient if line.startswith("ssh-") else pyrage.x25519.Recipient
    try:
        return read.from_str(line)
    except pyrage.RecipientError:
        # Only what begins like one is told back: anything else may be a secret in the wrong place.
        shown = f"{line[:16]}…" if line.startswith(("age1", "ssh-")) else "a line that begins otherwise"
        raise UsageError(
            f"This is no recipient of age: {one_line(shown)}",
            "Recipients are age1… (whole, from age-keygen), ssh-ed25519 … and ssh-rsa ….",
        ) from None
