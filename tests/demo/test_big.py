"""A size that no lab reaches."""

from __future__ import annotations

import json
from pathlib import Path

from tests.demo.conftest import Serve
from tests.demo.figures import _get


def test_a_thousand_nodes_and_ten_thousand_tasks(serve: Serve, runs: Path) -> None:
    served = serve("--scenario", "big", "--nodes", "1000", "--tasks", "10000")
    assert len(served.line["hosts"]) == 1000
    sock = served.socket("mgr1")
    nodes = json.loads(_get("/nodes", sock))
    assert len(nodes) == 1000
    tasks = json.loads(_get("/tasks", sock))
    assert len(tasks) == 10_000
    assert {task["Status"]["State"] for task in tasks} == {"running"}
    assert len({task["NodeID"] for task in tasks}) > 900
    assert served.ssh("wrk0777", "hostname").stdout == "wrk0777\n"
    assert served.ssh("mgr1", "docker node update --availability drain wrk0777").returncode == 0
    changed = json.loads(_get("/nodes/wrk0777", sock))
    assert changed["Spec"]["Availability"] == "drain"
