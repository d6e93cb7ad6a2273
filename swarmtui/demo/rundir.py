"""The folder of one run: private, named after its process, swept by the next start if that process is dead."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from swarmtui.errors import SwarmtuiError

T = TypeVar("T")
TRIES = 20

_LONGEST = 68
"""A longer path leaves no room for the name of a socket, which must stay below 104 bytes (108 on Linux)."""


def _start_of(pid: int) -> str | None:
    """When a process began, in the kernel's own count; None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return "0"
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def base_folder() -> Path:
    """The folder that holds the folders of all runs of this user.

    Raises:
        SwarmtuiError: somebody else owns that name.
    """
    name = f"swarmtui-demo-{os.getuid()}"
    base = Path(tempfile.gettempdir()) / name
    if len(str(base)) > _LONGEST:
        base = Path("/tmp") / name
    base.mkdir(mode=0o700, exist_ok=True)
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise SwarmtuiError(
            f"{base} belongs to somebody else, so the demo cannot keep its keys there.",
            "Remove it, or set TMPDIR to a folder of your own.",
        )
    base.chmod(0o700)
    return base


def _there(act: Callable[[Path], T]) -> T:
    """Does something in the folder of all runs, which another run that ends may remove just then: it was its last."""
    for _ in range(TRIES):
        try:
            return act(base_folder())
        except FileNotFoundError:
            continue
    return act(base_folder())


def sweep() -> list[str]:
    """Remove what dead runs left behind; returns the names of their folders."""
    swept = []
    for folder in _there(lambda base: list(base.iterdir())):
        pid, _, rest = folder.name.partition("-")
        start = rest.partition("-")[0]
        if pid.isdigit() and _start_of(int(pid)) != start:
            shutil.rmtree(folder, ignore_errors=True)
            swept.append(folder.name)
    return swept


def make() -> Path:
    """A new, private folder for this process."""
    prefix = f"{os.getpid()}-{_start_of(os.getpid())}-"
    return _there(lambda base: Path(tempfile.mkdtemp(prefix=prefix, dir=base)))


def remove(folder: Path) -> None:
    """Remove a run's folder, and the one above it when it was the last."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.rmdir()
    except OSError:
        pass
