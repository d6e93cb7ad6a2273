"""Rebalancing from the command line: what was on one node after a drain is spread again, one service at a time."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.demo.conftest import start, stop
from tests.lab import Lab
from tests.lab.machine import wait_for

WORKERS = ("wrk1", "wrk2")


def test_tasks_come_back_to_a_node_that_was_drained(swarm: Lab, cli: Cli, truth: Truth) -> None:
    web, api, db = truth.service("web", 4, on=WORKERS), truth.service("api", 2, on=WORKERS), truth.service("db", 1)
    assert "Nothing to do" in cli.do("swarm.rebalance").out
    cli.do("node.drain", "node=wrk1")
    cli.do("node.activate", "node=wrk1")
    assert truth.placed(web) == ["wrk2"] * 4
    before = truth.docker("service", "ps", "-q", "--no-trunc", "-f", "desired-state=running", db)

    planned = cli.plan("swarm.rebalance")
    assert [step["title"] for step in planned["steps"]] == [
        "Restart web",
        "Wait until web has converged",
        "Restart api",
        "Wait until api has converged",
    ]
    assert "web: 4 tasks restart, 2 move" in planned["changes"]
    assert "wrk2 4 → 2, wrk1 0 → 2" in planned["changes"]

    result = cli.do("swarm.rebalance")

    assert Counter(truth.placed(web)) == {"wrk1": 2, "wrk2": 2}
    assert Counter(truth.placed(api)) == {"wrk1": 1, "wrk2": 1}
    assert "web runs on wrk1 2, wrk2 2." in result.out
    assert truth.docker("service", "ps", "-q", "--no-trunc", "-f", "desired-state=running", db) == before
    assert "Nothing to do" in cli.do("swarm.rebalance").out


@pytest.mark.lab
def test_it_stops_at_the_first_service_that_does_not_converge(lab: Lab, cli: Cli, truth: Truth) -> None:
    lab.each(lambda host: host.docker("tag", "alpine", "kept:1"))
    api = truth.service("api", 2, on=WORKERS)
    create = ("service", "create", "-q", "--detach", "--no-resolve-image", "--endpoint-mode", "dnsrr", "--name", "web")
    truth.docker(*create, "--replicas", "4", "--constraint", "node.role==worker", "kept:1", "sleep", "1d")
    wait_for("4 tasks of web", lambda: len(truth.placed("web")) == 4, 30, 0.1)
    cli.do("node.drain", "node=wrk1")
    cli.do("node.activate", "node=wrk1")
    # From now on its image is nowhere: what runs goes on, and each new task is rejected.
    lab.each(lambda host: host.docker("rmi", "-f", "kept:1"))

    failed = cli.do("swarm.rebalance", code=1)

    assert "The engine paused the rollout of web" in failed.err
    assert "Restart api" not in failed.out
    assert truth.placed(api) == ["wrk2", "wrk2"]


def test_on_the_simulator_a_node_that_was_away_gets_tasks_again() -> None:
    with tempfile.TemporaryDirectory(prefix="demo-", dir="/tmp") as folder:
        served = start("--speed", "20", folder=Path(folder))
        try:
            cli = Cli(dict(os.environ), served.socket("mgr1"))
            assert "Nothing to do" in cli.do("swarm.rebalance").out
            cli.do("node.drain", "node=wrk1,wrk2")
            cli.do("node.activate", "node=wrk1,wrk2")
            tasks = "docker node ps -f desired-state=running -q wrk1 wrk2"
            few = len(served.ssh("mgr1", tasks).stdout.split())
            result = cli.do("swarm.rebalance")
            assert "Done and verified." in result.out
            assert len(served.ssh("mgr1", tasks).stdout.split()) > few
        finally:
            stop(served)
