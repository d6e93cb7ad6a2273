"""`swarmtui demo` in a terminal: the console, the report of the drill, and nothing left behind however it ends."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_STYLE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_=>78])")
SECONDS = 40.0


class Terminal:
    """`swarmtui demo` in a terminal of 80 by 24."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.text = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            env = {**os.environ, "TERM": "xterm-256color", "TMPDIR": str(home), "HOME": str(home / "home")}
            for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "COLUMNS", "LINES"):
                env.pop(name, None)
            os.execve(sys.executable, [sys.executable, "-m", "swarmtui", "demo", *arguments], env)
        self.code: int | None = None

    def _read(self) -> bool:
        """Reads what is there, for a while; False when the other side has closed."""
        if not select.select([self._terminal], [], [], 0.1)[0]:
            return True
        try:
            data = os.read(self._terminal, 65_536)
        except OSError:
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def sees(self, *words: str) -> None:
        """Waits until everything has been painted since the last call."""
        end = time.monotonic() + SECONDS
        while not all(word in " ".join(_STYLE.sub(" ", self.text).split()) for word in words):
            assert time.monotonic() < end, f"{words} not seen in: {_STYLE.sub(' ', self.text)[-2000:]}"
            assert self._read(), f"it ended before {words}: {_STYLE.sub(' ', self.text)[-2000:]}"
        self.text = ""

    def press(self, *keys: str) -> None:
        """Types keys, one after the other."""
        for key in keys:
            os.write(self._terminal, key.encode())
            end = time.monotonic() + 0.2
            while time.monotonic() < end:
                self._read()

    def ended(self) -> str:
        """Waits for its end; returns what it printed after the console."""
        end = time.monotonic() + SECONDS
        while self._read():
            assert time.monotonic() < end, self.text[-2000:]
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return _STYLE.sub("", self.text.rpartition("\x1b[?1049l")[2]).replace("\r", "")

    def vanish(self) -> None:
        """Closes the window; waits for the end of what ran in it."""
        os.close(self._terminal)
        self._terminal = -1
        end = time.monotonic() + SECONDS
        while not (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            assert time.monotonic() < end, "it outlives its terminal"
            time.sleep(0.1)
        self.code = os.waitstatus_to_exitcode(ended[1])

    def close(self) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self._terminal >= 0:
            os.close(self._terminal)


Open = Callable[..., Terminal]


@pytest.fixture
def open_demo(runs: Path) -> Iterator[Open]:
    terminals: list[Terminal] = []

    def begin(*arguments: str) -> Terminal:
        terminals.append(Terminal(runs.parent, *arguments))
        return terminals[-1]

    yield begin
    for terminal in terminals:
        terminal.close()


DOWN, ESCAPE, QUIT = "\x1b[B", "\x1b", "\x11"


def left_behind(runs: Path) -> list[str]:
    """What is in the folder for temporary files, and at home."""
    return sorted(str(path.relative_to(runs.parent)) for path in runs.parent.rglob("*"))


def test_a_drill_solved_in_the_console_ends_with_its_report(open_demo: Open, runs: Path) -> None:
    demo = open_demo("--scenario", "even-managers", "--speed", "20")
    demo.sees("mgr4", "live", "Drill: even-managers", "Bring the managers to an odd number")
    demo.press(DOWN, DOWN, DOWN, "M")
    demo.sees("Demote mgr4", "Run this?")
    demo.press("y")
    demo.sees("Done and verified")
    demo.press(ESCAPE)
    time.sleep(1)  # the drill looks twice a second
    demo.press(QUIT)
    lines = demo.ended().splitlines()
    assert demo.code == 0
    assert re.fullmatch(r"even-managers: solved after 0 min \d+ s, 7 keys", lines[0]), lines
    assert lines[1:] == ["  goal: Bring the managers to an odd number, with everything running.", "  risky: nothing"]
    assert left_behind(runs) == []


def test_a_drill_left_unsolved_says_what_is_left(open_demo: Open, runs: Path) -> None:
    demo = open_demo("--scenario", "manager-down")
    demo.sees("mgr2", "live", "down")
    demo.press("?", ESCAPE, QUIT)
    lines = demo.ended().splitlines()
    assert re.fullmatch(r"manager-down: not solved after 0 min \d+ s, 3 keys", lines[0]), lines
    assert "  left: Unreachable managers: mgr2." in lines
    assert left_behind(runs) == []


def test_where_there_is_no_goal_there_is_no_report(open_demo: Open, runs: Path) -> None:
    demo = open_demo()
    demo.sees("mgr1", "live", "8/8 ready")
    demo.press(QUIT)
    assert demo.ended() == ""
    assert demo.code == 0
    assert left_behind(runs) == []


def test_certificates_are_read_as_on_a_real_cluster(open_demo: Open) -> None:
    demo = open_demo("--scenario", "certificates-expiring")
    demo.sees("mgr3", "live", "1 alarm (a)")
    demo.press("a")
    demo.sees("mgr3", "certificate")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(open_demo: Open, runs: Path, number: signal.Signals) -> None:
    demo = open_demo("--scenario", "split-zones")
    demo.sees("mgr1", "live")
    os.kill(demo.pid, number)
    assert "split-zones: not solved after" in demo.ended()
    assert demo.code == 128 + number
    assert left_behind(runs) == []


def test_it_ends_with_its_terminal(open_demo: Open, runs: Path) -> None:
    demo = open_demo("--scenario", "busy", "--speed", "20")  # always something to paint
    demo.sees("mgr1", "live")
    demo.press(":", "tasks\r")
    demo.sees("Tasks")
    demo.vanish()
    assert left_behind(runs) == []


def test_a_killed_console_takes_the_cluster_with_it_and_the_next_start_sweeps_the_rest(
    open_demo: Open, runs: Path
) -> None:
    demo = open_demo("--scenario", "stale-nodes")
    demo.sees("mgr1", "live")
    (folder,) = runs.iterdir()
    assert (folder / "id_ed25519").exists()
    os.kill(demo.pid, signal.SIGKILL)
    demo.ended()
    end = time.monotonic() + SECONDS
    while runs.exists():
        assert time.monotonic() < end, left_behind(runs)
        time.sleep(0.1)
    following = open_demo()
    following.sees("mgr1", "live")
    following.press(QUIT)
    following.ended()
    assert left_behind(runs) == []
