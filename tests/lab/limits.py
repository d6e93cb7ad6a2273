"""One limit of the machine that a lab outgrows: inotify instances per user, 128 by default.

A host needs about 16 of them (systemd, dockerd, containerd, each container's shim); two labs need more than there are.
It is raised while labs are up, and set back when the last one has gone.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.machine import LOCKS, STATE

INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
BEFORE = LOCKS / "inotify-before"
ENOUGH = 8192


def raise_limits() -> None:
    """Raise the limit if it is too low, and write down what it was."""
    with _locked():
        now = int(INSTANCES.read_text())
        if now < ENOUGH:
            BEFORE.write_text(str(now))
            INSTANCES.write_text(str(ENOUGH))


def lower_limits() -> None:
    """Set the limit back to what it was, if no lab is left on this machine."""
    with _locked():
        if BEFORE.exists() and not any(STATE.glob("*")):
            if int(INSTANCES.read_text()) == ENOUGH:  # else somebody has set it meanwhile
                INSTANCES.write_text(BEFORE.read_text())
            BEFORE.unlink()


@contextmanager
def _locked() -> Iterator[None]:
    LOCKS.mkdir(parents=True, exist_ok=True)
    with (LOCKS / "limits.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
