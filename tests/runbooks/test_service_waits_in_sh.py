"""The waits for services as a person types them, run by a real shell with a `docker` that answers from a script."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from swarmtui.runbooks.service_waits import WaitGone, WaitRollout
from tests.runbooks.test_waits_in_sh import sh

ABOUT: dict[str, Any] = {"id": "x", "title": "t", "why": "w", "service_id": "abc123", "name": "web", "seconds": 1}
TWO, ONE, NONE = "t1\nt2", "t1", ""
RUN2, RUN1 = "Running 5 seconds ago\nRunning 1 second ago", "Running 5 seconds ago\nStarting 1 second ago"


NODES = "n1 Ready\nn2 Down\nn3 Ready"


def wait(
    folder: Path, step: WaitRollout, *, state: str, wanted: str, newest: str, everything: str = "", broken: str = ""
) -> tuple[int, str]:
    """Runs the wait with a docker of these answers, which fails for the words in `broken`."""
    answers = {"state": state, "wanted": wanted, "newest": newest, "all": everything, "nodes": NODES}
    for name, text in answers.items():
        (folder / name).write_text(f"{text}\n" if text else "")
    docker = folder / "docker"
    docker.write_text(
        f"""#!/bin/sh
case "$*" in
  {broken or "nothing"}*) echo "Error response from daemon: no leader" >&2; exit 1;;
  "service inspect"*) cat {folder}/state;;
  *_up-to-date=true*) cat {folder}/newest;;
  "service ps --no-resolve"*) cat {folder}/all;;
  "node ls"*) cat {folder}/nodes;;
  "service ps -q"*) cat {folder}/wanted;;
  *) exit 9;;
esac
"""
    )
    docker.chmod(0o755)
    (shown,) = step.shown
    done = subprocess.run(
        ["sh", "-euc", shown.line],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        timeout=10,
        check=False,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("replicas", "rollback", "state", "wanted", "newest", "good"),
    [
        (2, False, "", TWO, RUN2, True),
        (2, False, "completed", TWO, RUN2, True),
        (2, False, "updating", TWO, RUN2, False),
        (2, False, "", TWO, RUN1, False),
        (2, False, "", TWO, "Running 1 second ago", False),
        (2, False, "", ONE, "Running 1 second ago", False),
        (1, False, "", TWO, RUN2, False),
        (0, False, "", NONE, NONE, True),
        (0, False, "", ONE, "Running 1 second ago", False),
        (None, False, "", TWO, RUN2, True),
        (None, False, "", NONE, NONE, False),
        (2, True, "rollback_started", TWO, RUN2, False),
        (2, True, "rollback_completed", TWO, RUN2, True),
    ],
)
def test_a_rollout_in_sh_ends_when_all_run_and_the_engine_has_ended(
    replicas: int | None, rollback: bool, state: str, wanted: str, newest: str, good: bool, tmp_path: Path
) -> None:
    step = WaitRollout(**ABOUT, replicas=replicas, rollback=rollback)
    code, _ = wait(tmp_path, step, state=state, wanted=wanted, newest=newest)
    assert (code == 0) is good


@pytest.mark.parametrize(
    ("rollback", "state"),
    [(False, "paused"), (False, "rollback_completed"), (False, "rollback_paused"), (True, "rollback_paused")],
)
def test_a_rollout_that_was_given_up_ends_the_script_at_once_and_says_so(
    rollback: bool, state: str, tmp_path: Path
) -> None:
    step = WaitRollout(**{**ABOUT, "seconds": 3600}, replicas=2, rollback=rollback)
    code, told = wait(tmp_path, step, state=state, wanted=TWO, newest=RUN2)
    assert code != 0 and told == f"web: its rollout did not end well: {state}\n"


@pytest.mark.parametrize(
    ("everything", "good"),
    [
        ("n1 Running Running 5 seconds ago\nn1 Shutdown Shutdown 1 second ago", True),
        ("n1 Shutdown Running 5 seconds ago", False),
        ("n3 Remove Running 5 seconds ago", False),
        ("n2 Shutdown Running 5 days ago", True),  # its node is down
        ("n1 Shutdown Failed 5 seconds ago\nn3 Ready Ready 1 second ago", True),
    ],
)
def test_what_was_to_stop_has_stopped(everything: str, good: bool, tmp_path: Path) -> None:
    step = WaitRollout(**ABOUT, replicas=2)
    code, _ = wait(tmp_path, step, state="", wanted=TWO, newest=RUN2, everything=everything)
    assert (code == 0) is good


BROKEN = ['"service inspect"', '"service ps -q"', '"service ps -f"', '"service ps --no-resolve"', '"node ls"']


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("replicas", [0, 2, None])
def test_an_error_of_docker_is_no_answer(broken: str, replicas: int | None, tmp_path: Path) -> None:
    step = WaitRollout(**ABOUT, replicas=replicas)
    state = {"state": "", "wanted": NONE if replicas == 0 else TWO, "newest": NONE if replicas == 0 else RUN2}
    assert wait(tmp_path, step, **state, broken=broken)[0] != 0
    assert wait(tmp_path, step, **state)[0] == 0


@pytest.mark.parametrize(
    ("prints", "good"),
    [
        ("abc123.1 Running 5 minutes ago", False),
        ("abc123.n0d3 Running 5 minutes ago", False),
        ("abc123.1 Shutdown 5 minutes ago\nother.1 Running 2 days ago", True),
        ("xabc123.1 Running 5 minutes ago", True),
        ("", True),
    ],
)
def test_a_service_is_gone_in_sh_when_no_task_of_its_id_runs(prints: str, good: bool, tmp_path: Path) -> None:
    (shown,) = WaitGone(**ABOUT).shown
    assert (sh(shown.line, tmp_path, prints=prints) == 0) is good
    assert sh(shown.line, tmp_path, prints=prints, code=1) != 0
