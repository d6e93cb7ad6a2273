"""What `--script` prints reaches, in a plain shell, the very end state that the run reaches.

Twins: the script works on wrk1 and the run on wrk2, at the same time and from the same state; the docker CLI must not
be able to tell them apart afterwards.
"""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.actions.cli import Cli, Result
from tests.actions.conftest import the_lab
from tests.actions.truth import Truth
from tests.lab import Lab

TWINS = ("wrk1", "wrk2")


def state(lab: Lab, truth: Truth, name: str) -> dict[str, Any]:
    """All about a node that an action may change, with nothing in it that tells the twins apart."""
    if name not in truth.names():
        return {"entry": None, "engine": lab[name].swarm_state(), "containers": truth.containers(name)}
    node = truth.node(name)
    return {
        "spec": node["Spec"],
        "raft": (node.get("ManagerStatus") or {}).get("Reachability"),
        "state": node["Status"]["State"],
        "containers": sorted(container.split(".")[0] for container in truth.containers(name)),
    }


@pytest.fixture
def twins(request: pytest.FixtureRequest, cli: Cli, truth: Truth) -> Any:
    """Does an action to both: by the script to wrk1, by the run to wrk2."""
    swarm = the_lab(request)

    def act(action: str, *arguments: str, shell: str = "sh") -> dict[str, Any]:
        assert state(swarm, truth, "wrk1") == state(swarm, truth, "wrk2")
        script = cli.script(action, "node=wrk1", *arguments)
        with ThreadPoolExecutor(2) as pool:
            by_hand = pool.submit(cli.sh, script, shell=shell)
            by_us = pool.submit(cli.do, action, "node=wrk2", *arguments)
        assert by_hand.result().code == 0, f"{by_hand.result()}\n{script}"
        assert by_us.result().code == 0
        ends = [state(swarm, truth, name) for name in TWINS]
        assert ends[0] == ends[1]
        return ends[0]

    return act


def test_the_script_of_each_action_does_what_the_run_does(swarm: Lab, truth: Truth, twins: Any) -> None:
    for name in TWINS:
        truth.docker("node", "update", "--label-add", "old=1", name)
    truth.service("web", 6, on=(*TWINS, "mgr3"))
    truth.service("agent", 5, mode="global")
    assert state(swarm, truth, "wrk1")["containers"] == ["agent", "web", "web"]

    note = """it's $HOME; "so" `id`"""
    labels = twins("node.label", f"label=zone=a,old-,note={note}")["spec"]["Labels"]
    assert labels == {"zone": "a", "note": note}
    assert twins("node.promote")["raft"] == "reachable"
    assert twins("node.demote")["raft"] is None
    assert twins("node.pause")["spec"]["Availability"] == "pause"
    assert twins("node.activate")["spec"]["Availability"] == "active"
    drained = twins("node.drain")
    assert (drained["spec"]["Availability"], drained["containers"]) == ("drain", [])
    assert truth.placed("web") == ["mgr3"] * 6


@pytest.mark.lab
def test_the_script_that_removes_a_node_does_what_the_run_does(lab: Lab, truth: Truth, twins: Any) -> None:
    truth.notices_soon()
    truth.service("web", 5, mode="global")

    # bash, unlike dash, reads no further than the line it is at: a command that reads its stdin would eat the script.
    assert twins("node.remove", shell="bash") == {"entry": None, "engine": "inactive", "containers": []}
    assert truth.names() == ["mgr1", "mgr2", "mgr3"]


def stumbling(folder: Path, command: str) -> Path:
    """A folder with a `docker` that fails the first time it is asked for this command, as during an election.

    Every such call leaves a line in `calls`.
    """
    real = shutil.which("docker")
    wrapper = folder / "docker"
    wrapper.write_text(
        f"""#!/bin/sh
if [ "$1 $2" = "{command}" ]; then
  echo "$@" >>{folder}/calls
  if [ $(wc -l <{folder}/calls) -eq 1 ]; then
    echo "Error response from daemon: rpc error: code = Unknown desc = The swarm does not have a leader." >&2
    exit 1
  fi
fi
exec {real} "$@"
"""
    )
    wrapper.chmod(0o755)
    return folder


@pytest.mark.lab
def test_a_wait_of_the_script_takes_no_error_for_a_yes(lab: Lab, cli: Cli, truth: Truth, tmp_path: Path) -> None:
    truth.docker("node", "update", "--label-add", "disk=ssd", "wrk1")
    truth.service("db", 1, disk="ssd", grace=3)  # pinned: no wait for a replacement comes after the one for empty
    drained = cli.sh(cli.script("node.drain", "node=wrk1"), path=str(stumbling(tmp_path, "node ps")))
    assert drained.code == 0, drained
    assert truth.containers("wrk1") == []

    truth.docker("node", "promote", "wrk2")
    (tmp_path / "calls").unlink()
    demoted = cli.sh(cli.script("node.demote", "node=wrk2"), path=str(stumbling(tmp_path, "node inspect")))
    assert demoted.code == 0, demoted
    asked = (tmp_path / "calls").read_text().count("ManagerStatus")
    assert asked >= 2, "the wait was over with the first answer, which was an error"
    assert truth.reachability("wrk2") == ""


@pytest.mark.lab
def test_a_script_that_would_cut_off_its_own_manager_stops_before(lab: Lab, cli: Cli, truth: Truth) -> None:
    script = cli.script("node.demote", "node=mgr1")  # we talk through mgr1, and so would the script
    result = cli.sh(script)

    assert result.code != 0, result
    assert truth.role("mgr1") == "manager", "it was demoted, and then could not be asked whether it has left the raft"
    assert cli.sh(script, docker_host=lab["mgr2"].target).code == 0
    truth.by = "mgr2"
    assert truth.managers() == ["mgr2", "mgr3"]


@pytest.mark.lab
def test_a_dry_run_changes_nothing_and_a_plan_can_be_read_by_a_program(lab: Lab, cli: Cli, truth: Truth) -> None:
    before = truth.nodes()

    for name, *arguments in (["node.promote"], ["node.label", "label=zone=a"], ["node.remove", "force=true"]):
        plan = cli.plan(name, "node=wrk1", *arguments)
        assert plan["schema"] == 1
        assert (plan["runbook"], plan["touches"]) == (name, ["wrk1"])
        assert plan["steps"] and all(step["commands"] for step in plan["steps"])
    assert cli.script("node.drain", "node=wrk1").startswith("#!/bin/sh\n")
    shown = cli.run("node.demote", "node=mgr2", "--dry-run")
    assert shown.code == 0  # to look at what a rule forbids is allowed
    assert "SAFETY RULE tolerance=mgr2" in shown.out
    assert "docker node demote mgr2" in shown.out
    markdown = cli.run("node.drain", "node=wrk1", "--markdown")
    assert markdown.out.startswith("# Drain wrk1\n") and "docker node update --availability drain wrk1" in markdown.out
    assert cli.run("node.drain", "node=wrk1").code == 2  # neither --yes nor anybody to ask
    unknown = cli.run("node.drain", "node=wrk11", "--yes")
    assert unknown.code == 2, unknown
    assert 'There is no node "wrk11". Did you mean "wrk1"?' in unknown.err
    assert cli("status", cli.target).code == 0
    assert cli("journal").out == "Nothing was done yet.\n"

    after = truth.nodes()
    assert {k: (v["Version"], v["Spec"]) for k, v in after.items()} == {
        k: (v["Version"], v["Spec"]) for k, v in before.items()
    }


@pytest.mark.lab
def test_a_run_told_to_a_program_is_lines_of_json(lab: Lab, cli: Cli, truth: Truth) -> None:
    truth.service("web", 2, on=TWINS)

    def lines(result: Result) -> list[dict[str, Any]]:
        return [json.loads(line) for line in result.out.splitlines()]

    done = lines(cli.do("node.drain", "node=wrk1", "--json"))
    assert {line["schema"] for line in done} == {1}
    (run,) = {line["run"] for line in done}
    assert (done[0]["event"], done[0]["plan"]["touches"]) == ("plan", ["wrk1"])
    assert (done[-1]["event"], done[-1]["result"], done[-1]["error"]) == ("end", "done", None)
    steps = [step["id"] for step in done[0]["plan"]["steps"]]
    finished = [line["step"] for line in done if line["event"] == "state" and line["state"] in ("done", "already")]
    assert finished == steps

    told = json.loads(cli("journal", run, "--json").out)
    assert (told["id"], told["outcome"], told["params"]["node"]) == (run, "done", ["wrk1"])
    assert {step["state"] for step in told["steps"].values()} <= {"done", "already"}

    truth.docker("node", "update", "--availability", "active", "wrk1")
    truth.docker("service", "rm", "web")
    truth.service("slow", 2, on=TWINS, grace=4)
    failed = lines(cli.do("node.drain", "node=wrk1", "wait=1", "--json", code=1))
    assert (failed[-1]["event"], failed[-1]["result"]) == ("end", "failed")
    assert "waited for 1 seconds" in failed[-1]["error"]["what"]
    assert failed[-1]["error"]["next_step"]
