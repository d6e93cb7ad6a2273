"""A log in a file of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from swarmtui.errors import UsageError
from swarmtui.link.log_frames import STDERR, SYSTEM, LogLine
from swarmtui.model.text import one_line


def texts(lines: Iterable[LogLine], name: Mapping[str, str]) -> Iterator[str]:
    """Lines for a file: time, task and text; a long line is one again.

    Args:
        name: what a task is called, by its id.
    """
    begun = False
    for line in lines:
        if line.joined and begun:
            yield line.text
            continue
        if begun:
            yield "\n"
        begun = True
        who = name.get(line.origin.task, line.origin.task)
        mark = {SYSTEM: "# ", STDERR: "! "}.get(line.stream, "")
        yield " ".join(part for part in (line.when, who) if part) + (" " if line.when or who else "") + mark + line.text
    if begun:
        yield "\n"


def write_private(path: Path, pieces: Iterable[str]) -> None:
    """Writes a new file that only its owner can read; leaves nothing behind when that fails.

    Raises:
        UsageError: there is such a file already, or it cannot be written.
    """
    shown = one_line(str(path))
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{shown} exists already, and was left as it is.", "Give another name.") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{shown} cannot be written: {_why(error)}.", "Give another place.") from error
    try:
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123  # a handle
            file.writelines(pieces)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UsageError(f"{shown} cannot be written: {_why(error)}.", "Nothing was kept of it.") from error


def _why(error: OSError | ValueError) -> str:
    return one_line(getattr(error, "strerror", None) or str(error))
