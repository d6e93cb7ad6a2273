"""What the lab asks of the machine under it: commands, processes by recorded id, control groups, folders."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

STATE = Path("/var/lib/swarmtui-lab")
"""One folder for each lab that is up (or was left behind), named by the third number of its subnet."""
LOCKS = Path("/run/swarmtui-lab")
"""One lock file for each lab; who holds the flock is the lab's living owner."""
CACHE = Path("/var/cache/swarmtui-lab")
"""The base trees, one folder for each release and recipe."""
CGROUPS = Path("/sys/fs/cgroup")

COMMANDS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "busybox": "busybox-static",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
"""Command the lab runs on this machine, and the Debian package that brings it."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a lab to end."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LabError(Exception):
    """The lab could not do what a test asked of it."""


def which(command: str) -> str | None:
    """Where a command is, sbin folders included (they are not in every PATH)."""
    return shutil.which(command, path=os.environ.get("PATH", "") + ":" + PATH)


def run(
    argv: Sequence[str], *, data: bytes | None = None, timeout: float = 60, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command of this machine and return its text.

    Raises:
        LabError: it failed (with `check`), or took longer than `timeout` seconds.
    """
    try:
        done = subprocess.run(
            [which(argv[0]) or argv[0], *argv[1:]], input=data, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(argv)[:300]}: no end after {timeout:g} s") from error
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode:
        raise LabError(f"{' '.join(argv)[:300]}: exit {done.returncode}: {(err or out).strip()[-800:]}")
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def wait_for(what: str, ready: Callable[[], bool], timeout: float = 30, every: float = 0.05) -> None:
    """Wait until `ready()` is true.

    Raises:
        LabError: it was not within `timeout` seconds.
    """
    end = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {timeout:g} s")
        time.sleep(every)


# --- processes, by recorded id ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken: its id, and when it started (in clock ticks since boot)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        return cls(pid, start_time(pid) or 0)

    def alive(self) -> bool:
        """True while this very process lives; False for a stranger that was given the same number later."""
        return self.started != 0 and start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """When a process started (field 22 of its stat), or None if there is none or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def kill_group(leader: Process) -> None:
    """Kill a session that the lab started, if its leader is still the recorded one."""
    if leader.alive():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader.pid, signal.SIGKILL)


# --- control groups --------------------------------------------------------------------------------------------


def unified() -> bool:
    """True where the machine has cgroup v2 only."""
    return (CGROUPS / "cgroup.controllers").exists()


def new_cgroups(name: str) -> list[Path]:
    """Make a control group called `name` in every hierarchy of the machine, below our own one.

    Below our own, so that limits set for this session hold for the lab too. On cgroup v2 it is made at the
    root: a group that holds processes, as ours does, can have no children with controllers.
    """
    if unified():
        groups = [CGROUPS / name]
    else:
        groups = []
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, own = line.split(":", 2)
            hierarchy = CGROUPS / (names.removeprefix("name=") or "unified")
            if hierarchy.is_dir():
                groups.append(hierarchy / own.lstrip("/") / name)
    for group in groups:
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # v1: no process can enter while these are empty
            if (group / setting).exists() and not (group / setting).read_text().strip():
                (group / setting).write_text((group.parent / setting).read_text())
    return groups


def cgroup_pids(groups: Sequence[Path]) -> set[int]:
    """Every process in these control groups and in those below."""
    pids: set[int] = set()
    for group in groups:
        for folder, _, _ in os.walk(group):  # unlike rglob, it does not mind a group that goes meanwhile
            with contextlib.suppress(OSError):
                pids.update(int(line) for line in Path(folder, "cgroup.procs").read_text().split())
    return pids - {0}


def empty_cgroups(groups: Sequence[Path], timeout: float = 10) -> None:
    """Kill what is left in control groups that the lab made, and remove them."""
    end = time.monotonic() + timeout
    while pids := cgroup_pids(groups):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _thaw(groups)
        if time.monotonic() > end:
            raise LabError(f"processes {sorted(pids)} do not end after kill -9")
        time.sleep(0.02)
    for group in groups:
        while group.is_dir():
            try:
                for folder, _, _ in os.walk(group, topdown=False):
                    Path(folder).rmdir()
            except OSError as error:  # busy for a moment after the last process has gone
                if time.monotonic() > end:
                    raise LabError(f"{group} does not go: {error}") from error
                time.sleep(0.02)


def _thaw(groups: Sequence[Path]) -> None:
    """On cgroup v1 a frozen process does not even die of kill -9 (paused containers are frozen too)."""
    for group in groups:
        for folder, _, files in os.walk(group):
            if "freezer.state" in files:
                with contextlib.suppress(OSError):
                    Path(folder, "freezer.state").write_text("THAWED")


# --- folders ---------------------------------------------------------------------------------------------------


def mounts_below(folder: Path) -> list[str]:
    """Mount points at or below a folder, as this process sees them, the deepest first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = str(folder.resolve())
    return sorted((p for p in points if p == inside or p.startswith(inside + "/")), reverse=True)


def remove_tree(folder: Path) -> None:
    """Delete a folder of the lab, never through a mount.

    Raises:
        LabError: something is mounted in it.
    """
    if mounted := mounts_below(folder):
        raise LabError(f"{folder} is not deleted: {mounted[0]} is mounted there")
    if folder.exists():
        run(["rm", "-rf", "--one-file-system", str(folder)], timeout=120)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder as it is: owners, modes, links, extended attributes, holes."""
    run(["cp", "-a", "--reflink=auto", "--sparse=always", str(source), str(target)], timeout=300)


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """Hold back Ctrl-C, SIGTERM and SIGHUP while something must be finished; they are delivered afterwards.

    Outside the main thread this does nothing: Python runs signal handlers in the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if came:
            os.kill(os.getpid(), came[0])
