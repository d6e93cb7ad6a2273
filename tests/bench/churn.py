"""A large cluster in which everything changes: 1,000 nodes, 500 services, 10,000 tasks, a tenth of each every second.

The console is the real one: a process of its own, in a pseudo terminal, over SSH on loopback. The other side is
synthetic and another process (`churn_feed`): the simulator itself would need a core for it, and there are two.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.feed_figures import resident_mib

LINES, COLUMNS = 50, 160
SIZE = (1000, 500, 10_000)
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_MOVE = re.compile(rb"\x1b\[(\d+);\d+H")


class Served:
    """The synthetic cluster, in its process."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.bench.churn_feed", str(folder), *map(str, SIZE)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.target = str(self._line()["target"])

    def tell(self, word: str) -> int:
        """Says a word; returns how many polls there were so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return int(self._line()["polls"])

    def _line(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


class Terminal:
    """The console in a pseudo terminal.

    Attributes:
        bytes: how many it has written.
    """

    def __init__(self, target: str, folder: Path) -> None:
        self.bytes = 0
        self.gaps = folder / "gaps.json"
        env = {**os.environ, "HOME": str(folder), "TERM": "xterm-256color", "SWARMTUI_GAPS": str(self.gaps)}
        for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK"):
            env.pop(name, None)
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
            os.execve(sys.executable, [sys.executable, "-m", "tests.bench.churn_app", target], env)

    def read(self, seconds: float) -> bytes:
        """What it writes within so many seconds, as soon as it writes anything."""
        if not select.select([self._file], [], [], max(0.0, seconds))[0]:
            return b""
        seen = os.read(self._file, 1 << 20)
        self.bytes += len(seen)
        return seen

    def rest(self, seconds: float) -> None:
        """Takes what comes for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(left)

    def until(self, so: Callable[[bytes], bool], seconds: float = 60.0) -> float:
        """Waits until what came since this call is so; returns how long that took, in ms."""
        begun, seen = time.perf_counter(), b""
        while not so(seen):
            left = seconds - (time.perf_counter() - begun)
            if left <= 0:
                raise TimeoutError(f"it never came so; the end of what came: {seen[-600:]!r}")
            seen += self.read(left)
        return (time.perf_counter() - begun) * 1000

    def type(self, keys: str) -> None:
        os.write(self._file, keys.encode())

    def processor_seconds(self) -> float:
        """Processor time it has used, all its threads, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def stop(self) -> None:
        self.type("\x11")  # ctrl+q
        with contextlib.suppress(TimeoutError, OSError):
            self.until(lambda seen: b"\x1b[?1049l" in seen, 10)
        with contextlib.suppress(OSError):
            while self.read(5):
                pass
        for _ in range(100):
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                break
            time.sleep(0.05)
        else:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._file)


def lines_painted(seen: bytes) -> set[int]:
    """Lines of the screen that output was put on."""
    return {int(line) for line in _MOVE.findall(seen)}


def key_to_repaint(terminal: Terminal, key: str, lines: set[int]) -> float:
    """ms from a key that moves the cursor until both lines that it concerns are painted."""
    terminal.rest(0.03)
    terminal.type(key)
    return terminal.until(lambda seen: lines <= lines_painted(seen), 5)


def phase(terminal: Terminal, seconds: float) -> tuple[float, float]:
    """Lets so much time pass; returns the share of a core that was used, in percent, and the bytes a minute."""
    cpu, written, begun = terminal.processor_seconds(), terminal.bytes, time.monotonic()
    terminal.rest(seconds)
    took = time.monotonic() - begun
    return (terminal.processor_seconds() - cpu) / took * 100, (terminal.bytes - written) / took * 60


@contextlib.contextmanager
def opened() -> Iterator[tuple[Served, Terminal]]:
    """The console on the synthetic cluster, once its first rows are painted."""
    with tempfile.TemporaryDirectory(prefix="swarmtui-bench-", dir="/tmp") as name:
        served = Served(Path(name))
        try:
            terminal = Terminal(served.target, Path(name))
            try:
                terminal.until(lambda seen: b"node12" in seen)
                yield served, terminal
            finally:
                terminal.stop()
        finally:
            served.stop()


def go_to(terminal: Terminal, view: str, row: bytes) -> float:
    """ms from the end of `:VIEW` until a row of it is painted."""
    terminal.type(":")
    terminal.rest(0.5)
    terminal.type(view)
    terminal.rest(0.5)
    terminal.type("\r")
    took = terminal.until(lambda seen: re.search(row, seen) is not None)
    terminal.rest(2)
    return took


def filtered(terminal: Terminal, tens: int) -> float:
    """ms from the last character of a filter until a row that only it brings onto the screen is painted."""
    terminal.type("/")
    terminal.rest(0.5)
    terminal.type(f"web{tens}")
    terminal.rest(2)
    terminal.type("9")
    took = terminal.until(lambda seen: b"shop_web%d9." % tens in seen)
    terminal.rest(1)
    terminal.type("\x1b")
    terminal.rest(2)
    return took


def churn_figures(seconds: float = 30.0) -> dict[str, float]:
    """Runs it; returns the figures by name."""
    found: dict[str, float] = {}
    with opened() as (served, terminal):
        terminal.rest(8)
        found["memory with all read, MiB"] = resident_mib(terminal.pid)
        starts = []
        for _ in range(5):
            starts.append(go_to(terminal, "tasks", rb"shop_web\d+\.\d+"))
            go_to(terminal, "nodes", rb"node\d+")
        found["start of :tasks: the first, ms"] = starts[0]
        found["start of :tasks: median of the next four, ms"] = statistics.median(starts[1:])
        go_to(terminal, "tasks", rb"shop_web\d+\.\d+")
        found["filter on 10,000 rows, to its repaint: median of 4, ms"] = statistics.median(
            filtered(terminal, tens) for tens in (19, 29, 39, 49)
        )

        terminal.rest(5)
        polls = served.tell("polls")
        cpu, rate = phase(terminal, seconds)
        found["at rest: share of a core, %"] = cpu
        found["at rest: bytes to the terminal a minute"] = rate
        found["at rest: polls a minute"] = (served.tell("polls") - polls) / seconds * 60

        served.tell("churn")
        terminal.rest(5)
        polls = served.tell("polls")
        cpu, rate = phase(terminal, seconds)
        found["under churn: share of a core, %"] = cpu
        found["under churn: bytes to the terminal a minute"] = rate
        found["under churn: polls a minute"] = (served.tell("polls") - polls) / seconds * 60
        found |= _gaps(terminal, seconds)
        found |= _keys(terminal)
        found["memory after the churn, MiB"] = resident_mib(terminal.pid)
    found["load of the machine in the last 5 minutes (these figures want one with two free cores)"] = os.getloadavg()[1]
    return found


def _gaps(terminal: Terminal, seconds: float) -> dict[str, float]:
    os.kill(terminal.pid, signal.SIGUSR1)
    terminal.rest(seconds)
    os.kill(terminal.pid, signal.SIGUSR2)
    while not terminal.gaps.exists():
        terminal.rest(0.1)
    gaps, computed = zip(*json.loads(terminal.gaps.read_text()), strict=True)
    return {
        "under churn: longest gap of a tenth of a second: p99, ms": _percentile(gaps, 99),
        "under churn: longest gap of all, ms": max(gaps),
        "under churn: of which the loop itself computed: p99, ms": _percentile(computed, 99),
        "under churn: of which the loop itself computed: most, ms": max(computed),
    }


def _keys(terminal: Terminal, count: int = 60) -> dict[str, float]:
    terminal.type("g")
    terminal.rest(1.0)
    times = []
    for number in range(count):
        times.append(key_to_repaint(terminal, "j" if number % 2 == 0 else "k", {5, 6}))
        terminal.rest(0.12)
    return {
        "under churn: key to repaint: median, ms": statistics.median(times),
        "under churn: key to repaint: p95, ms": _percentile(times, 95),
    }


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def main() -> None:
    for name, value in churn_figures().items():
        print(f"  {value:12.1f}  {name}", flush=True)


if __name__ == "__main__":
    main()
