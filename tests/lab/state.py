"""Whose lab is whose: a number and a lock for each, a record of all it made, and the sweep of what was left behind."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import IO

from tests.lab.machine import LOCKS, STATE, LabError, Process, empty_cgroups, kill_group, remove_tree, run
from tests.lab.network import remove_interface, remove_namespaces

NUMBERS = 249
_claimed = count(os.getpid() * 7)  # each claim starts elsewhere: a number that was just freed is not taken at once


@dataclass
class Record:
    """Everything a lab made outside its own folder, by id.

    Attributes:
        owner: process id of the run, for people who look.
        boot: id of the machine's boot; after another boot nothing but the folder is left.
        sessions: session leaders of the hosts' processes, [pid, start time].
        cgroups: control groups, absolute paths.
        namespaces: names of network namespaces.
        interface: the machine's own interface into the lab.
    """

    owner: int
    boot: str
    interface: str = ""
    namespaces: list[str] = field(default_factory=list)
    sessions: list[tuple[int, int]] = field(default_factory=list)
    cgroups: list[str] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """Write it whole or not at all."""
        temporary = folder / f".state.{os.getpid()}"
        temporary.write_text(json.dumps(asdict(self)))
        temporary.rename(folder / "state.json")

    @classmethod
    def load(cls, folder: Path) -> Record:
        try:
            values = json.loads((folder / "state.json").read_text())
            values["sessions"] = [(pid, started) for pid, started in values["sessions"]]
            return cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(
                f"{folder}/state.json is not this version's ({error}): take that lab down by hand"
            ) from error

    def take_down(self) -> None:
        """End and remove all that is recorded. What is gone already is no error."""
        if self.boot != boot_id():
            return
        for pid, started in self.sessions:
            kill_group(Process(pid, started))
        empty_cgroups([Path(group) for group in self.cgroups])
        remove_namespaces(self.namespaces)
        if self.interface:
            remove_interface(self.interface)


@dataclass
class Claim:
    """A lab's number, held by a lock that the kernel frees when its owner dies."""

    number: int
    _file: IO[str]

    @property
    def folder(self) -> Path:
        return STATE / str(self.number)

    def release(self) -> None:
        """Free the number. Its folder must be gone."""
        if not self._file.closed:
            _lock_path(self.number).unlink(missing_ok=True)
            self._file.close()


def claim() -> Claim:
    """Take a number that no living lab has and whose subnet this machine does not use.

    Raises:
        LabError: all are taken.
    """
    used = run(["ip", "-o", "-4", "addr"]).stdout + run(["ip", "-4", "route"]).stdout
    start = next(_claimed)
    for number in ((start + i) % NUMBERS + 1 for i in range(NUMBERS)):
        found = _try_lock(number)
        if found is None:
            continue
        if found.folder.exists() or f" 10.77.{number}." in used or Path(f"/sys/class/net/stl{number}").exists():
            found.release()
            continue
        return found
    raise LabError("every subnet 10.77.1.0/24 to 10.77.249.0/24 is in use; is a lab left behind? (--sweep)")


def boot_id() -> str:
    """The id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def sweep() -> list[int]:
    """Take down every lab whose owner is dead; returns their numbers. Labs of living owners are left alone.

    One that cannot be taken down is named on stderr and stays: it is no reason to start no other.
    """
    return list(_left_behind())


def _left_behind() -> Iterator[int]:
    for folder in sorted(STATE.iterdir()) if STATE.is_dir() else ():
        if not folder.name.isdigit() or (found := _try_lock(int(folder.name))) is None:
            continue
        try:
            if folder.exists():  # else its owner was just closing it
                if (folder / "state.json").exists():
                    Record.load(folder).take_down()
                remove_tree(folder)
                yield found.number
        except LabError as error:
            print(f"A lab that was left behind (10.77.{found.number}.0/24) stays: {error}", file=sys.stderr)
        finally:
            found.release()


def _lock_path(number: int) -> Path:
    return LOCKS / f"{number}.lock"


def _try_lock(number: int) -> Claim | None:
    LOCKS.mkdir(parents=True, exist_ok=True)
    path = _lock_path(number)
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            return Claim(number, file)
    except BlockingIOError:
        pass
    file.close()  # held by a living lab, or just now deleted by one that ended
    return None
