"""The console in a real terminal: tmux, 80 by 24, as over a slow line at night."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for

pytestmark = pytest.mark.lab


class Tmux:
    """One session of a tmux server of its own."""

    def __init__(self, name: str, environment: dict[str, str]) -> None:
        self.name = name
        self._environment = environment

    def __call__(self, *arguments: str) -> str:
        command = ["tmux", "-f", "/dev/null", "-L", self.name, *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *command: str) -> None:
        line = f"{shlex.join(command)}; echo ended with $?; exec sleep 600"
        self("new-session", "-d", "-x", "80", "-y", "24", "sh", "-c", line)

    @property
    def lines(self) -> list[str]:
        return self("capture-pane", "-p").splitlines()

    def sees(self, *words: str, seconds: float = 20) -> None:
        """Waits until the screen has these words, wherever its lines are broken."""

        def shown() -> bool:
            text = " ".join(" ".join(self.lines).split())
            return all(word in text for word in words)

        wait_for(f"the terminal shows {words}", shown, seconds)


@pytest.fixture
def tmux(lab: Lab) -> Iterator[Tmux]:
    """A tmux server with a socket name that nobody else has."""
    assert shutil.which("tmux"), "apt-get install tmux"
    server = Tmux(f"swarmtui-test-{lab.number}", lab.ssh_env(TERM="xterm-256color", LANG="C.UTF-8"))
    try:
        yield server
    finally:
        subprocess.run(["tmux", "-L", server.name, "kill-server"], capture_output=True, timeout=20)


def test_a_drain_at_80_by_24(lab: Lab, cli: Cli, truth: Truth, tmux: Tmux) -> None:
    web = truth.service("web", 2, on=("wrk1", "wrk2"))
    tmux.start(sys.executable, "-m", "swarmtui", cli.target)
    tmux.sees("Nodes (5)", "mgr1 ←", "wrk2", "3/3 managers, survives 1 loss", "live", "D Drain")
    assert all(len(line) <= 80 for line in tmux.lines)

    tmux("send-keys", "Down", "Down", "Down", "D")
    tmux.sees("Drain wrk1", "web: 1 task may move to wrk2", "Run this? y runs it; esc leaves it.")
    assert truth.availability("wrk1") == "active"
    tmux("send-keys", "y")
    tmux.sees("Wait until wrk1", "Done and verified. esc goes back.", seconds=40)
    assert truth.containers("wrk1") == []
    assert truth.placed(web) == ["wrk2", "wrk2"]

    tmux("send-keys", "Escape")
    tmux.sees("Nodes (5)")
    (row,) = [line for line in tmux.lines if "wrk1" in line]
    assert "drain" in row
    tmux("send-keys", "q")
    tmux.sees("ended with 0")
