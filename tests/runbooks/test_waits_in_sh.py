"""The waits of the steps as a person types them, run by a real shell with a `docker` that answers from a script."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from swarmtui.runbooks.node_waits import (
    WaitDown,
    WaitEmpty,
    WaitLeftRaft,
    WaitReachable,
    WaitReplaced,
    WaitStep,
)

ABOUT: dict[str, Any] = {"id": "x", "title": "t", "why": "w", "node_id": "n1", "name": "wrk1"}

WAITS: dict[str, tuple[WaitStep, str, str]] = {
    # step, what docker prints while it is not so, what it prints once it is
    "empty": (
        WaitEmpty(**ABOUT, seconds=1),
        "Running 5 minutes ago\nShutdown 2 minutes ago",
        "Shutdown 2 minutes ago\nFailed 3 hours ago\nComplete 1 second ago",
    ),
    "empty, stopping": (WaitEmpty(**ABOUT, seconds=1), "Running 5 minutes ago", ""),
    "empty, starting": (WaitEmpty(**ABOUT, seconds=1), "Preparing 5 seconds ago", "Rejected 5 seconds ago"),
    "replaced": (
        WaitReplaced(**ABOUT, running={"api": 2}, seconds=1),
        "Running 5 minutes ago\nStarting 1 second ago",
        "Running 5 minutes ago\nRunning 2 seconds ago",
    ),
    "reachable": (WaitReachable(**ABOUT, seconds=1), "unreachable", "reachable"),
    "reachable, not yet a member": (WaitReachable(**ABOUT, seconds=1), "", "reachable"),
    "left the raft": (WaitLeftRaft(**ABOUT, seconds=1), "member", "left"),
    "down": (WaitDown(**ABOUT, seconds=1), "unknown", "down"),
}


def sh(line: str, folder: Path, *, prints: str = "", code: int = 0) -> int:
    """Runs a line with a `docker` that prints this and exits so."""
    (folder / "out").write_text(prints + "\n")
    docker = folder / "docker"
    docker.write_text(f'#!/bin/sh\ncat "{folder}/out"\nexit {code}\n')
    docker.chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(["sh", "-euc", line], env=env, capture_output=True, timeout=10, check=False).returncode


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_in_sh_ends_when_it_is_so_and_fails_when_the_time_is_over(wait: str, tmp_path: Path) -> None:
    step, not_yet, done = WAITS[wait]
    (shown,) = step.shown
    assert sh(shown.line, tmp_path, prints=not_yet) != 0
    assert sh(shown.line, tmp_path, prints=done) == 0


@pytest.mark.parametrize("wait", WAITS)
def test_a_docker_that_cannot_answer_is_no_proof_of_anything(wait: str, tmp_path: Path) -> None:
    """The manager asked is gone, or is a worker by now: the script must not go on to the next step."""
    step, _, _ = WAITS[wait]
    (shown,) = step.shown
    assert sh(shown.line, tmp_path, prints="", code=1) != 0
