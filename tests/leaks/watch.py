"""A process of its own that sees every program that is started on this machine, also in the lab's hosts, and notes what
it was started with.

Two ways at once. The kernel tells of every exec (its process connector, netlink): nothing is missed, however short.
What the program got is read from /proc at once; where it ended before that, it is counted as unread. And every process
there is gets sampled by a second process, for those that change their own command line later.

Started by `harness`; ends with its standard input. It is told nothing of any secret.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

NETLINK_CONNECTOR = 11
CN_IDX_PROC = 1
LISTEN = 1
FORK = 0x00000001
EXEC = 0x00000002
SAMPLE_SECONDS = 0.25
RECEIVE_BUFFER = 8 << 20
_HEADER = struct.Struct("=IHHIIIIIIHH")  # nlmsghdr (16 bytes), cn_msg (20 bytes)
_EVENT = struct.Struct("=IIQ")  # what, cpu, timestamp_ns


def subscribed() -> socket.socket:
    """A socket on which the kernel tells of every process event. Raises OSError where it may not, or has none."""
    listening = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
    with contextlib.suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), RECEIVE_BUFFER)
    listening.bind((0, CN_IDX_PROC))
    body = struct.pack("=I", LISTEN)
    size = _HEADER.size + len(body)
    message = _HEADER.pack(size, 3, 0, 0, os.getpid(), CN_IDX_PROC, 1, 0, 0, len(body), 0) + body
    listening.send(message)
    return listening


def events(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(EXEC, process, 0) and (FORK, child, parent), of one datagram of the kernel; threads are left out."""
    at = 0
    while at + _HEADER.size + _EVENT.size + 16 <= len(data):
        size = _HEADER.unpack_from(data, at)[0]
        what, _, _ = _EVENT.unpack_from(data, at + _HEADER.size)
        _, two, three, four = struct.unpack_from("=iiii", data, at + _HEADER.size + _EVENT.size)
        if what == EXEC:
            yield EXEC, two, 0
        elif what == FORK and three == four:
            yield FORK, four, two
        if size <= 0:
            return
        at += (size + 3) & ~3


class Family:
    """Who was started by whom, so that what was not read can be told from what is nobody's business here."""

    def __init__(self, eldest: int) -> None:
        self._eldest = eldest
        self._parents: dict[int, int] = {}
        for path in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                self._parents[int(path.name)] = int((path / "stat").read_bytes().rpartition(b")")[2].split()[1])

    def born(self, child: int, parent: int) -> None:
        self._parents[child] = parent

    def has(self, pid: int) -> bool:
        """Whether a process comes from the one that is watched for, the hosts of the lab included."""
        seen: set[int] = set()
        while pid not in seen and pid > 1:
            if pid == self._eldest:
                return True
            seen.add(pid)
            pid = self._parents.get(pid, 0)
        return False


class Notes:
    """What was seen, each thing once, in a file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._seen: set[tuple[bytes, bytes]] = set()
        self.counts = {"execs": 0, "unread": 0, "samples": 0, "overruns": 0}

    def look(self, pid: str) -> bool:
        """Notes what a process was started with; False where it is gone."""
        try:
            with Path(f"/proc/{pid}/cmdline").open("rb") as file:
                line = file.read()
        except OSError:
            return False
        try:
            with Path(f"/proc/{pid}/environ").open("rb") as file:
                environment = file.read()
        except OSError:
            environment = b""
        if (line, environment) not in self._seen:
            self._seen.add((line, environment))
            self._write(pid, "cmdline", line)
            self._write(pid, "environ", environment)
        return bool(line)

    def _write(self, pid: str, what: str, value: bytes) -> None:
        note = {"pid": pid, "what": what, "value": value.decode("latin-1")}
        os.write(self._file, json.dumps(note).encode() + b"\n")

    def sample(self) -> None:
        for path in Path("/proc").iterdir():
            if path.name.isdigit():
                self.look(path.name)
        self.counts["samples"] += 1


def sampler(path: Path) -> int:
    """Starts a process that samples all others until it is killed; returns its id. Two things at once would be late."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    notes = Notes(path)
    while os.getppid() == parent:
        time.sleep(SAMPLE_SECONDS)
        notes.sample()
    os._exit(0)


class Log:
    """What the kernel tells, taken down."""

    def __init__(self, listening: socket.socket, notes: Notes, family: Family) -> None:
        self.listening = listening
        self._notes = notes
        self._family = family

    def take(self) -> bool:
        """Takes one datagram; False where there is none left."""
        try:
            data = self.listening.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:  # ENOBUFS: events were lost, and the log is not complete
            self._notes.counts["overruns"] += 1
            return True
        for what, pid, parent in events(data):
            if what == FORK:
                self._family.born(pid, parent)
                continue
            read = self._notes.look(str(pid))
            if self._family.has(pid):
                self._notes.counts["execs"] += 1
                self._notes.counts["unread"] += not read
        return True


def main() -> None:
    path, eldest = Path(sys.argv[1]), int(sys.argv[2])
    notes = Notes(path)
    log: Log | None = None
    why = ""
    try:
        listening = subscribed()
        log = Log(listening, notes, Family(eldest))
    except OSError as error:
        why = f"the kernel does not tell of processes here: {error.strerror}"
    notes.sample()
    child = sampler(path)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    with contextlib.suppress(OSError):
        os.nice(-15)
    print(json.dumps({"complete": log is not None, "why": why}), flush=True)
    ways = selectors.DefaultSelector()
    ways.register(sys.stdin, selectors.EVENT_READ)
    if log is not None:
        ways.register(log.listening, selectors.EVENT_READ)
    watching = True
    while watching:
        for key, _ in ways.select():
            if log is not None and key.fileobj is log.listening:
                log.take()
            elif not sys.stdin.readline():
                watching = False
    while log is not None and log.take():
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    notes.sample()
    print(json.dumps(notes.counts), flush=True)


if __name__ == "__main__":
    main()
