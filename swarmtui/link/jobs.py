"""Work on a host that survives us: a script in a folder of its own, started detached, followed, and cleaned up after.

Docker must not stay stopped because a connection was lost. What was begun goes on without us, Docker is started again
whatever happens to the script, and whoever comes back reads in the folder what became of it.
"""

from __future__ import annotations

import re
import secrets
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from swarmtui.errors import SwarmtuiError
from swarmtui.link import job_scripts
from swarmtui.link.job_scripts import NAME, Archiving
from swarmtui.link.reasons import LinkError
from swarmtui.link.ssh import Completed, SshHost
from swarmtui.model.text import one_line

BASE: Final = "/var/lib/swarmtui"
FOLDER: Final = f"{BASE}/jobs"
SECONDS = 30.0
"""How long one small command may take."""
MEND_SECONDS = 2.0 * job_scripts.START_SECONDS + 30.0
BESIDE: Final = "before.json"
OLDEST_SYSTEMD = 236
"""The first whose systemd-run takes --collect and ExecStopPost."""
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
_DIGEST = re.compile(r"([0-9a-f]{64}) [ *]archive\.tar\n?")
_ALIVE = ("active", "activating", "deactivating", "reloading")


class JobError(SwarmtuiError):
    """A job on a host could not be done."""


def new_id(now: float | None = None) -> str:
    """A name for a job that no other has: when, and something random."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{secrets.token_hex(4)}"


class Note(msgspec.Struct, frozen=True):
    """One line of a job's status.

    Attributes:
        at: the host's clock, unix seconds.
        up: seconds since the host was booted: what durations are told by.
    """

    at: float
    up: float
    word: str
    more: str = ""


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """How a job stands.

    Attributes:
        there: whether its folder is.
        alive: whether it, or what starts Docker after it, still runs.
    """

    there: bool
    alive: bool = False
    notes: tuple[Note, ...] = ()

    def note(self, word: str) -> Note | None:
        """The last line with this word."""
        return next((note for note in reversed(self.notes) if note.word == word), None)

    def has(self, word: str) -> bool:
        return self.note(word) is not None

    @property
    def done(self) -> bool:
        """The archive is whole, its digest is known, and Docker was started."""
        return self.has("done")

    @property
    def over(self) -> bool:
        """Nothing more happens by itself."""
        return self.done or not self.alive

    @property
    def stopped_docker(self) -> bool:
        """Docker was, or may have been, stopped by it, and nobody has written that it was started again."""
        return self.has("stopping") and not self.has("started")

    @property
    def downtime(self) -> float:
        """Seconds from the order to stop Docker until it was up again; 0.0 where it was not stopped or not started."""
        begin, end = self.note("stopping"), self.note("started")
        # A host that was booted in between counts from zero again.
        return max(0.0, end.up - begin.up) if begin is not None and end is not None else 0.0

    @property
    def size(self) -> int:
        """Bytes of the archive, once it is done; 0 before."""
        done = self.note("done")
        return int(done.more) if done is not None and done.more.isdigit() else 0

    @property
    def phase(self) -> str:
        """Its last word."""
        return self.notes[-1].word if self.notes else ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job of ours on a host.

    Attributes:
        id: from `new_id`.
        host: the connection; another one after it was lost.
        sudo: whether commands need `sudo -n` to be root's.
        systemd: whether it runs as a unit.
    """

    id: str
    host: SshHost
    sudo: bool = False
    systemd: bool = True

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"{self.id!r} is no name of a job")

    @property
    def folder(self) -> str:
        return f"{FOLDER}/{self.id}"

    @property
    def archive(self) -> str:
        return f"{self.folder}/{NAME}"

    @property
    def unit(self) -> str:
        return f"swarmtui-job-{self.id}"

    # -- what goes over the connection -----------------------------------------------------------------------------

    async def start(self, work: Archiving, beside: bytes) -> None:
        """Puts the scripts of a backup there and starts them. Returns at once; `state` tells how it goes.

        Args:
            beside: what is kept with the archive, to be read again by whoever fetches it.

        Raises:
            JobError: it could not be started: nothing was stopped.
            LinkError: the connection was lost: it may have been started.
        """
        await self.begin(job_scripts.job(work), job_scripts.after(work), {BESIDE: beside})

    async def begin(self, work: str, after: str, files: Mapping[str, bytes]) -> None:
        """Puts two scripts there and starts the first. Returns at once; `state` tells how it goes.

        Args:
            work: what is done, and writes the lines that `state` reads.
            after: what is run when that is over, also when it was killed.
            files: what lies beside them, by name; no secrets: they would be on the host's disk.

        Raises:
            JobError: it could not be started.
            LinkError: the connection was lost: it may have been started.
        """
        await self.make()
        for name, content in files.items():
            await self._put(name, content)
        await self._put("after.sh", after.encode())
        await self._put("job.sh", work.encode())
        if not self.systemd:
            await self._put("guard.sh", job_scripts.guard(self.folder).encode())
        await self._must(self.launch_line, "The job cannot be started")

    async def make(self) -> None:
        """Makes its folder, which only root may enter. Raises JobError, LinkError."""
        await self._must(
            self._root(f"mkdir -p -m 0700 {BASE} {FOLDER} {self.folder}"), f"No folder can be made in {BASE}"
        )

    @property
    def launch_line(self) -> str:
        """The command that starts it, detached from us."""
        if not self.systemd:
            detached = f"cd {self.folder} && {{ setsid sh guard.sh > /dev/null 2>&1 < /dev/null & echo $! > pid; }}"
            return self._root(f"sh -c {shlex.quote(detached)}")
        return self._root(f"{run_as_unit(self.unit, f'/bin/sh {self.folder}/after.sh')} /bin/sh {self.folder}/job.sh")

    async def state(self) -> JobState:
        """How it stands. Raises LinkError; JobError where nobody may look."""
        if self.systemd:
            alive = self._root(f"systemctl is-active {self.unit}")
        else:
            looks = f"grep -qa {self.id} /proc/$(cat {self.folder}/pid)/cmdline && echo active || echo inactive"
            alive = self._root(f"sh -c {shlex.quote(looks)}")
        completed = await self.host.run(f"{self._root(f'cat {self.folder}/status')}; {alive}", timeout=SECONDS)
        *lines, last = completed.out.splitlines() or [""]
        if last not in (*_ALIVE, "inactive", "failed", "unknown"):
            raise JobError(
                f"{self.host.label} does not tell how job {self.id} stands: {completed.words}.",
                f"Look there: ls -l {self.folder}; systemctl status {self.unit}",
            )
        notes = tuple(note for line in lines if (note := _note(line)) is not None)
        return JobState(there=bool(notes), alive=last in _ALIVE, notes=notes)

    async def mend(self) -> Completed:
        """Starts Docker again if the job stopped it and did not. Raises LinkError."""
        return await self.host.run(self._root(f"sh {self.folder}/after.sh"), timeout=MEND_SECONDS)

    async def words(self) -> str:
        """What the commands of the job said when they failed, on one line. Raises LinkError."""
        completed = await self.host.run(self._root(f"cat {self.folder}/err"), timeout=SECONDS)
        # What was tried again and failed again is said once.
        lines = list(dict.fromkeys(line.strip() for line in completed.out.splitlines() if line.strip()))
        return one_line(" ".join(lines[-3:]))[-400:].rstrip(". ") if completed.code == 0 else ""

    async def digest(self) -> str:
        """sha256 of the archive as the host has it, in hex.

        Raises:
            JobError: the host does not tell.
            LinkError: the connection was lost.
        """
        completed = await self.host.run(self._root(f"cat {self.folder}/sum"), timeout=SECONDS)
        found = _DIGEST.fullmatch(completed.out)
        if completed.code != 0 or found is None:
            raise JobError(
                f"{self.host.label} does not tell the digest of {self.archive}: {completed.words}.",
                "Take the backup anew.",
            )
        return found[1]

    async def beside(self) -> bytes:
        """What was given to `start`.

        Raises:
            JobError: it is not there.
            LinkError: the connection was lost.
        """
        completed = await self.host.run(self._root(f"cat {self.folder}/{BESIDE}"), timeout=SECONDS)
        if completed.code != 0:
            raise JobError(f"{self.folder}/{BESIDE} cannot be read on {self.host.label}: {completed.words}.", "")
        return completed.out.encode()

    async def seconds_ago(self, note: Note) -> float:
        """How long ago a line of the status was written, by the host's clock that nobody sets; -1.0 where it was booted
        since. Raises LinkError."""
        completed = await self.host.run("cat /proc/uptime", timeout=SECONDS)
        try:
            return max(-1.0, float(completed.out.split()[0]) - note.up)
        except (ValueError, IndexError):
            return -1.0

    @property
    def fetch_line(self) -> str:
        """The command that gives the archive away."""
        return self._root(f"cat {self.archive}")

    @property
    def remove_line(self) -> str:
        """The command that leaves nothing of it behind."""
        return self._root(f"rm -rf {self.folder}")

    async def remove(self) -> None:
        """Leaves nothing of it on the host. Raises JobError, LinkError."""
        await self._must(self.remove_line, f"{self.folder} cannot be removed")

    # -- how -------------------------------------------------------------------------------------------------------

    def _root(self, command: str) -> str:
        return f"sudo -n {command}" if self.sudo else command

    async def _put(self, name: str, content: bytes) -> None:
        line = f"{self._root(f'tee {self.folder}/{name}')} > /dev/null"
        await self._must(line, f"{self.folder}/{name} cannot be written", content)

    async def _must(self, line: str, what: str, stdin: bytes | None = None) -> None:
        completed = await self.host.run(line, stdin=stdin, timeout=SECONDS)
        if completed.code != 0:
            raise JobError(
                f"{what} on {self.host.label}: {completed.words}.",
                "Nothing was stopped. Look at the host's disk and at what sudo allows there, then retry.",
            )


def run_as_unit(unit: str, after: str) -> str:
    """The beginning of a command that runs detached, with another that systemd runs when it is over, also killed.

    Args:
        after: that other command.
    """
    stop = shlex.quote(f"--property=ExecStopPost={after}")
    # Starting Docker may take longer than the 90 s that systemd gives by default.
    return f"systemd-run --quiet --collect --unit={unit} --property=TimeoutStopSec=infinity {stop}"


async def leftovers(host: SshHost, *, sudo: bool) -> tuple[str, ...]:
    """Names of the jobs whose folders lie on a host, the oldest first; none where nobody may look. Raises LinkError."""
    completed = await host.run(f"{'sudo -n ' if sudo else ''}ls {FOLDER}", timeout=SECONDS)
    return tuple(sorted(line for line in completed.out.split() if _ID.fullmatch(line)))


async def has_systemd(host: SshHost) -> bool:
    """Whether jobs can be units there. Raises LinkError."""
    completed = await host.run("systemctl --version", timeout=SECONDS)
    found = re.match(r"systemd (\d+)", completed.out)
    return completed.code == 0 and found is not None and int(found[1]) >= OLDEST_SYSTEMD


async def states(host: SshHost, ids: Sequence[str], *, sudo: bool, systemd: bool) -> dict[str, JobState]:
    """How several jobs on a host stand; one that nobody can tell about is left out. Raises LinkError."""
    found: dict[str, JobState] = {}
    for each in ids:
        try:
            found[each] = await Job(each, host, sudo, systemd).state()
        except LinkError:
            raise
        except JobError:
            continue
    return found


def _note(line: str) -> Note | None:
    """One line of the status; None for what is none, as the half line of a full disk."""
    at, _, rest = line.partition(" ")
    up, _, words = rest.partition(" ")
    word, _, more = words.partition(" ")
    try:
        return Note(float(at), float(up), word, one_line(more)) if word else None
    except ValueError:
        return None
