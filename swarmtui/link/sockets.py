"""Private folders for local sockets: short enough for a socket's address, and never left behind for long."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

from swarmtui.link.target import SOCKET_PATH_MAX

PREFIX = "swarmtui-link-"
LOCK = "lock"
"""Locked (flock) by the process that uses the folder: whatever ends the process, the kernel lets it go."""


class SocketFolder:
    """A 0700 folder. It goes with `remove`, or when the program ends; after a kill -9, with the next `sweep`."""

    def __init__(self) -> None:
        self.path = _make()
        self._sockets = 0
        self._remove = weakref.finalize(self, _drop, self.path, _hold(self.path))

    def new(self) -> Path:
        """Returns a path for one more socket."""
        self._sockets += 1
        return self.path / f"{self._sockets}.sock"

    def remove(self) -> None:
        """Removes the folder and the sockets in it."""
        self._remove()


def _make() -> Path:
    folder = tempfile.mkdtemp(prefix=PREFIX)
    if len(os.fsencode(folder)) > SOCKET_PATH_MAX - len("/9999.sock"):
        # TMPDIR may be deep.
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix=PREFIX, dir="/tmp")
    return Path(folder)


def _hold(folder: Path) -> int:
    descriptor = os.open(folder / f"{LOCK}.new", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    # Under its own name it is never seen unlocked.
    (folder / f"{LOCK}.new").rename(folder / LOCK)
    return descriptor


def _drop(folder: Path, descriptor: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(descriptor)


def sweep() -> None:
    """Removes our folders that no process holds any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            # Somebody else's, or one that is being made or removed just now.
            continue
        try:
            if os.fstat(descriptor).st_uid == os.getuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            # It is in use.
            continue
        finally:
            os.close(descriptor)
