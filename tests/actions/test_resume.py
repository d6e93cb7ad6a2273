"""The program is killed in the middle: what it began is in the journal, and goes on where it was."""

from __future__ import annotations

import json

import pytest

from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.lab import Lab

pytestmark = pytest.mark.lab


def test_a_drain_that_was_killed_while_it_waited_is_resumed(lab: Lab, cli: Cli, truth: Truth) -> None:
    truth.service("slow", 2, on=("wrk1", "wrk2"), grace=4)
    with cli.started("node.drain", "node=wrk1") as running:
        running.until("1 task still on wrk1: slow.")
        (run,) = [word.rstrip(")") for word in running.text.split() if "-node.drain-" in word]
        running.kill()
    assert truth.containers("wrk1") != []  # it was in the middle

    assert f"{run}  cut off" in cli("journal").out
    told = json.loads(cli("journal", run, "--json").out)
    assert [step["state"] for step in told["steps"].values()] == ["done", "intended"]
    assert told["outcome"] == ""
    assert "**cut off**" in cli("journal", run).out

    resumed = cli("run", "--resume", run, "--yes")
    assert resumed.code == 0, resumed
    assert truth.containers("wrk1") == []
    assert truth.placed("slow") == ["wrk2", "wrk2"]
    told = json.loads(cli("journal", run, "--json").out)
    assert told["outcome"] == "done"
    assert {step["state"] for step in told["steps"].values()} <= {"done", "already"}
    assert "is done already" in cli("run", "--resume", run, "--yes").err


def test_a_step_that_failed_is_resumed_on_the_same_swarm_only(lab: Lab, cli: Cli, truth: Truth) -> None:
    truth.service("slow", 2, on=("wrk1", "mgr3"), grace=5)
    failed = cli.do("node.drain", "node=wrk1", "wait=1", code=1)
    assert f"--resume {failed.run_id}" in failed.err
    assert "1 task still on wrk1: slow. This was waited for 1 seconds." in failed.err

    other = lab["wrk2"]
    other.docker("swarm", "leave")
    other.docker("swarm", "init", "--advertise-addr", other.address)  # a Swarm of its own
    refused = cli("run", "--resume", failed.run_id, "--yes", "--target", other.target)
    other.docker("swarm", "leave", "--force")
    assert refused.code == 2, refused
    assert f"was on Swarm {truth.docker('info', '-f', '{{.Swarm.Cluster.ID}}')[:12]}" in refused.err

    def resume() -> int:
        return cli("run", "--resume", failed.run_id.rpartition("-")[2], "--yes").code  # its last letters will do

    codes = [resume()]
    while codes[-1] == 1 and len(codes) < 20:  # it still waits for a second each time
        codes.append(resume())
    assert codes[-1] == 0, codes
    assert truth.containers("wrk1") == []
    assert truth.placed("slow") == ["mgr3", "mgr3"]
