"""What a person is used to: how each view is sorted, and the pane looked at last. Kept between starts.

Filters are not: one that survived to the next night would hide a node that is down. They live as long as the console.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from swarmtui.errors import UsageError

FILE = "habits.json"


class Sort(NamedTuple):
    """By which column a view is sorted, and whether descending."""

    column: str
    reverse: bool = False


class Habits(msgspec.Struct):
    """What is kept.

    Attributes:
        pane: the view that was looked at last.
        sorts: view → how it is sorted, for those that are sorted otherwise than at first.
    """

    pane: str = ""
    sorts: dict[str, Sort] = msgspec.field(default_factory=dict)


def load(file: Path) -> Habits | None:
    """Reads what was kept; None on a first start.

    Raises:
        UsageError: the file cannot be read; nothing depends on it.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Habits)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise UsageError(f"How the views were sorted is not known: {file} cannot be read ({why}).") from error


def save(file: Path, habits: Habits) -> None:
    """Keeps habits in a file that only its owner can read (0600), whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    temporary = ""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(prefix=".habits-", dir=file.parent)
        with os.fdopen(descriptor, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(habits)) + b"\n")
        Path(temporary).replace(file)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise UsageError(f"How the views are sorted cannot be kept in {file}: {error.strerror}.") from error
