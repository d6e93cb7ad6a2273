"""Locks of a cluster, on its managers' hosts: what must not happen twice at a time is refused also to other operators.

A lock is a symbolic link in /run/swarmtui/CLUSTER: it is made in one step that fails where there is one already
(symlink(2), as O_EXCL does), its text is never half written, and a reboot of the host forgets it. `exclusive` is one
operation's alone; `run-ID` are ordinary operations, any number of them beside each other, but not beside `exclusive`.
Each side makes its own lock first and then looks for the others', so of two that begin at once at most one goes on.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import re
import shlex
import socket
import time
from collections.abc import Callable, Container, Iterable
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.link.ssh import SshHost
from swarmtui.model.text import one_line

FOLDER: Final = "/run/swarmtui"
EXCLUSIVE: Final = "exclusive"
SECONDS = 15.0
"""How long laying one may take."""
STALE_SECONDS = 6 * 3600.0
"""After this long a lock counts as left behind, where nobody can tell whether its owner still lives."""
_SAFE = re.compile(r"[A-Za-z0-9._-]{1,128}")
_LISTED = re.compile(r" (exclusive|run-[A-Za-z0-9._-]{1,128}) -> (\S{1,2000})$")


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a lock is.

    Attributes:
        run: id of the run.
        pid, start: of the process, and when that was started in clock ticks since boot; 0 where nobody knows.
        since: when the lock was made, unix seconds of its owner's clock.
        user, host: whose program, where.
        machine, boot, space: which machine, which boot of it, which space of process numbers; "" where nobody knows.
        what: the name of the runbook.
    """

    run: str
    pid: int = 0
    start: int = 0
    since: float = 0.0
    user: str = ""
    host: str = ""
    machine: str = ""
    boot: str = ""
    space: str = ""
    what: str = ""

    @property
    def text(self) -> str:
        """What the link holds: no blanks, no quotes."""
        return urlencode({key: value for key, value in msgspec.to_builtins(self).items() if value})

    @classmethod
    def read(cls, text: str) -> Owner:
        """What a link holds; of one that somebody else made as much as can be read."""
        fields = {key: one_line(value)[:200] for key, value in parse_qsl(text)}
        with contextlib.suppress(msgspec.ValidationError):
            return msgspec.convert(fields, cls, strict=False)
        return cls(run=fields.get("run", ""))

    @classmethod
    def ours(cls, run: str, what: str) -> Owner:
        """This process."""
        machine, boot, space = _here()
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = str(os.getuid())
        return cls(
            run=run,
            pid=os.getpid(),
            start=_started(os.getpid()),
            since=float(int(time.time())),
            user=user,
            host=socket.gethostname(),
            machine=machine,
            boot=boot,
            space=space,
            what=what,
        )

    def age(self, now: float) -> float:
        """Seconds; never less than none, whatever the clocks say."""
        return max(0.0, now - self.since)

    def gone(self, now: float) -> str:
        """Why nobody stands behind the lock any more; "" where somebody does or may."""
        machine, boot, space = _here()
        if self.machine and self.machine == machine and self.boot != boot:
            return f"{self.host} was booted since"
        if self.machine and (self.machine, self.boot, self.space) == (machine, boot, space):
            return "" if _started(self.pid) == self.start and _alive(self.pid) else "its program does not run any more"
        return f"it is {told_age(self.age(now))} old" if self.age(now) > STALE_SECONDS else ""

    def told(self, now: float) -> str:
        """For a sentence."""
        return (
            f"{self.what or 'an operation'} (run {self.run or 'unknown'}) of {self.user or 'somebody'} on "
            f"{self.host or 'an unknown machine'}, begun {told_age(self.age(now))} ago"
        )


class Lock(msgspec.Struct, frozen=True):
    """A lock that lies on a host. name: exclusive, or run-ID."""

    name: str
    owner: Owner


def told_age(seconds: float) -> str:
    """An age in the one unit that fits."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' * (count > 1)}"
    return f"{int(seconds)} s"


class HostLock:
    """Our lock on one host.

    Args:
        cluster_id: of which Swarm.
        owner: who we are; `Owner.ours`.
        exclusive: whether nobody else may do anything meanwhile.
        sudo: whether commands need `sudo -n` there.
        say: called with what is found and taken away: locks that were left behind.
    """

    def __init__(
        self,
        cluster_id: str,
        owner: Owner,
        *,
        exclusive: bool,
        sudo: bool,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        if not _SAFE.fullmatch(cluster_id) or not _SAFE.fullmatch(owner.run):
            raise ValueError("no name for a lock")
        self._folder = f"{FOLDER}/{cluster_id}"
        self._owner = owner
        self._exclusive = exclusive
        self._root = "sudo -n " if sudo else ""
        self._say = say

    @property
    def name(self) -> str:
        return EXCLUSIVE if self._exclusive else f"run-{self._owner.run}"

    @property
    def lay_line(self) -> str:
        """The command that makes it, and tells which there are."""
        root = self._root
        return (
            f"{root}mkdir -p -m 0755 {FOLDER} {self._folder} && {root}ln -sn {shlex.quote(self._owner.text)} "
            f"{self._folder}/{self.name}; {root}env LC_ALL=C ls -l {self._folder}"
        )

    def release_line(self, names: Iterable[str] = ()) -> str:
        """The command that takes it away."""
        return f"{self._root}rm -f {' '.join(f'{self._folder}/{name}' for name in names or (self.name,))}"

    async def lay(self, host: SshHost) -> bool:
        """Lays the lock; takes away what was left behind by others first. Our own of an earlier try is taken over.

        Returns:
            Whether it lies; False where this user may not write there.

        Raises:
            RefusedError: somebody living has one that does not go together with it.
            LinkError: the connection was lost.
        """
        for _ in range(3):
            completed = await host.run(self.lay_line, timeout=SECONDS)
            lying = {lock.name: lock.owner for lock in read(completed.out)}
            mine = lying.get(self.name)
            now = time.time()
            others = {name: owner for name, owner in lying.items() if self._against(name, owner)}
            gone = {name: why for name, owner in others.items() if (why := owner.gone(now))}
            living = next((owner for name, owner in others.items() if name not in gone), None)
            if living is not None:
                if mine == self._owner:
                    await self.release(host)
                raise RefusedError(
                    f"Refused on {host.label}: {living.told(now)}, is under way on this cluster.",
                    "Wait for it. If that program is gone for good: "
                    f"ssh {host.label} {self.release_line(n for n in others if n not in gone)}",
                )
            if mine is None or (mine == self._owner and not gone):
                return mine is not None
            for name, why in gone.items():
                self._say(
                    f"On {host.label} a lock was left behind by {lying[name].told(now)}: {why}. It is taken away."
                )
            # Ours of an earlier try of the same run goes too: its text names a process that is gone.
            away = {*gone, *([self.name] if mine.run == self._owner.run and mine != self._owner else [])}
            await host.run(self.release_line(sorted(away)), timeout=SECONDS)
        raise RefusedError(
            f"Locks of this cluster on {host.label} come and go all the time.", "Somebody else works on it: wait."
        )

    def _against(self, name: str, owner: Owner) -> bool:
        """Whether a lock does not go together with ours."""
        if owner.run == self._owner.run:
            return False
        return self._exclusive or name == EXCLUSIVE

    async def covered(self, host: SshHost, by: Container[str]) -> bool:
        """Whether one of these runs holds the cluster alone on this host: a run within that one needs no lock there.

        Raises LinkError.
        """
        completed = await host.run(f"{self._root}env LC_ALL=C ls -l {self._folder}", timeout=SECONDS)
        return any(lock.name == EXCLUSIVE and lock.owner.run in by for lock in read(completed.out))

    async def release(self, host: SshHost) -> None:
        """Takes it away. Raises LinkError."""
        await host.run(self.release_line(), timeout=SECONDS)


def read(listing: str) -> tuple[Lock, ...]:
    """The locks in what `ls -l` says of their folder."""
    found = (_LISTED.search(line) for line in listing.splitlines())
    return tuple(Lock(match[1], Owner.read(match[2])) for match in found if match is not None)


@cache
def _here() -> tuple[str, str, str]:
    """Which machine this is, which boot of it, and which space of process numbers; "" where it does not tell."""
    machine = boot = space = ""
    with contextlib.suppress(OSError):
        # The id itself is confidential (machine-id(5)).
        machine = hashlib.sha256(b"swarmtui lock\0" + Path("/etc/machine-id").read_bytes()).hexdigest()[:12]
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:13]
        space = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    return machine or socket.gethostname(), boot, space


def _started(pid: int) -> int:
    """When a process was started, in clock ticks since the machine was (proc(5), stat, field 22); 0: nobody knows."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return 0


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
