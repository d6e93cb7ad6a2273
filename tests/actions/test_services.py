"""Scale, update, roll back, restart and remove services on real engines; the state is read back by the docker CLI."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for

WORKERS = ("wrk1", "wrk2")
NOT_HERE = "alpine:no-such-tag"


def create(truth: Truth, name: str, replicas: int, *options: str) -> str:
    """A service on the workers whose rollouts are watched for a second only, running."""
    on = [word for node in truth.names() if node not in WORKERS for word in ("--constraint", f"node.hostname!={node}")]
    truth.docker(
        *("service", "create", "-q", "--detach", "--no-resolve-image", "--endpoint-mode", "dnsrr", "--name", name),
        *("--replicas", str(replicas), "--stop-grace-period", "1s", "--update-monitor", "1s", *on, *options),
        *("alpine", "sleep", "1d"),
    )
    wait_for(f"{replicas} tasks of {name}", lambda: len(truth.placed(name)) == replicas, 30, 0.1)
    return name


def spec(truth: Truth, name: str) -> dict[str, Any]:
    """`docker service inspect`, the Spec."""
    (found,) = json.loads(truth.docker("service", "inspect", name))
    assert isinstance(found["Spec"], dict)
    return dict(found["Spec"])


def state(truth: Truth, name: str) -> str:
    """The state of its newest rollout, as docker shows it."""
    return truth.docker("service", "inspect", "-f", "{{with .UpdateStatus}}{{.State}}{{end}}", name)


def ids(truth: Truth, name: str) -> set[str]:
    """Ids of the tasks that docker says shall run."""
    return set(truth.docker("service", "ps", "-q", "--no-trunc", "-f", "desired-state=running", name).split())


def tag_everywhere(lab: Lab, tag: str) -> None:
    """Another image, there on every host."""
    lab.each(lambda host: host.docker("tag", "alpine:latest", tag))


@pytest.mark.lab
def test_a_service_is_scaled_restarted_and_removed(lab: Lab, cli: Cli, truth: Truth) -> None:
    web = create(truth, "web", 2)
    cli.do("service.scale", "service=web", "replicas=4")
    assert truth.placed(web) == ["wrk1", "wrk1", "wrk2", "wrk2"]  # at once: the exit code must mean that they run
    cli.do("service.scale", "service=web", "replicas=2")
    assert len(ids(truth, web)) == len(truth.placed(web)) == 2
    assert "has 2 replicas already" in cli.do("service.scale", "service=web", "replicas=2").out

    before, was = ids(truth, web), spec(truth, web)
    shown = cli.do("service.restart", "service=web").out
    assert before.isdisjoint(ids(truth, web)) and len(truth.placed(web)) == 2
    now = spec(truth, web)
    assert now["TaskTemplate"].pop("ForceUpdate") == 1
    was["TaskTemplate"].pop("ForceUpdate", None)
    assert now == was, "nothing else may be different"
    assert (state(truth, web), "web.1 on wrk" in shown) == ("completed", True)

    cli.do("service.remove", "service=web")
    assert truth.docker("service", "ls", "-q") == ""
    assert [truth.containers(name) for name in WORKERS] == [[], []]
    assert cli.run("service.remove", "service=web", "--yes").code == 2


def test_an_update_changes_what_is_asked_and_a_rollback_takes_it_back(swarm: Lab, cli: Cli, truth: Truth) -> None:
    tag_everywhere(swarm, "alpine:new")
    web = create(
        truth, "web", 2, "--env", "KEEP=a,b", "--env", "OLD=1", "--label", "keep=1", "--container-label", "c=d",
        "--limit-pids", "50", "--hostname", "h-{{.Task.Slot}}", "--restart-delay", "1s",
    )  # fmt: skip
    first = spec(truth, web)
    cli.do(
        "service.update", "service=web", "image=alpine:new", r"env=NEW=x\,y,OLD-", "label=team=a", "limit-cpu=0.5",
        "limit-memory=64M", "reserve-memory=8M", "constraint=node.role==worker,node.hostname!=mgr1-", "parallelism=2",
        "delay=1s", "order=start-first",
    )  # fmt: skip
    second = spec(truth, web)
    template = second["TaskTemplate"]
    assert template["ContainerSpec"]["Image"] == "alpine:new"
    assert sorted(template["ContainerSpec"]["Env"]) == ["KEEP=a,b", "NEW=x,y"]
    assert second["Labels"] == {"keep": "1", "team": "a"}
    assert template["Resources"] == {
        "Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 64 << 20, "Pids": 50},
        "Reservations": {"MemoryBytes": 8 << 20},
    }
    constraints = ["node.hostname!=mgr2", "node.hostname!=mgr3", "node.role==worker"]
    assert sorted(template["Placement"]["Constraints"]) == constraints
    config = second["UpdateConfig"]
    assert (config["Parallelism"], config["Delay"], config["Order"]) == (2, 10**9, "start-first")
    assert config["Monitor"] == 10**9  # was there before
    for whole in (first, second):
        for part in (whole["TaskTemplate"]["ContainerSpec"], whole["TaskTemplate"], whole):
            for key in ("Image", "Env", "Labels", "Resources", "Placement", "UpdateConfig"):
                if not (part is whole["TaskTemplate"]["ContainerSpec"] and key == "Labels"):
                    part.pop(key, None)
    assert second == first, "nothing else may be different"
    assert len(truth.placed(web)) == 2

    plan = cli.plan("service.rollback", "service=web")
    assert "image alpine:new → alpine:latest" in plan["changes"][0]
    cli.do("service.rollback", "service=web")
    assert spec(truth, web)["TaskTemplate"]["ContainerSpec"]["Image"] == "alpine:latest"
    assert (state(truth, web), len(truth.placed(web))) == ("rollback_completed", 2)


@pytest.mark.lab
def test_a_rollout_that_the_engine_pauses_has_failed_with_its_reason(lab: Lab, cli: Cli, truth: Truth) -> None:
    web = create(truth, "web", 3)
    failed = cli.do("service.update", "service=web", f"image={NOT_HERE}", code=1)
    assert state(truth, web) == "paused"
    assert "The engine paused the rollout of web: update paused due to failure" in failed.err
    assert "No such image" in failed.err
    assert len(truth.placed(web)) == 2  # one at a time: the others run on
    again = cli("run", "--resume", failed.run_id, "--yes")
    assert again.code == 1 and "paused the rollout" in again.err

    cli.do("service.rollback", "service=web")
    assert truth.placed(web) and len(truth.placed(web)) == 3

    truth.docker("service", "update", "-q", "--detach", "--update-failure-action", "rollback", web)
    back = cli.do("service.update", "service=web", f"image={NOT_HERE}", code=1)
    assert "The engine rolled web back: update rolled back due to failure" in back.err


@pytest.mark.lab
def test_what_has_no_place_is_foretold_and_then_told_in_the_engines_words(lab: Lab, cli: Cli, truth: Truth) -> None:
    web = create(truth, "web", 2)
    plan = cli.plan("service.scale", "service=web", "replicas=3")
    assert plan["services"] == []
    plan = cli.plan("service.update", "service=web", "constraint=node.labels.zone==a")
    assert [(s["service"], s["stuck"]) for s in plan["services"]] == [(web, 1)]

    failed = cli.do("service.update", "service=web", "constraint=node.labels.zone==a", "wait=4", code=1)
    assert "no suitable node (scheduling constraints not satisfied on 5 nodes)" in failed.err
    assert len(truth.placed(web)) == 1  # as foretold: one waits, the other was never come to
    truth.docker("node", "update", "--label-add", "zone=a", "wrk2")
    assert cli("run", "--resume", failed.run_id, "--yes").code == 0
    assert truth.placed(web) == ["wrk2", "wrk2"]


@pytest.mark.lab
def test_a_restart_that_was_killed_is_resumed_and_not_done_twice(lab: Lab, cli: Cli, truth: Truth) -> None:
    web = create(truth, "web", 4)
    before = ids(truth, web)
    with cli.started("service.restart", "service=web") as running:
        running.until("web is updating: 1 of 4")
        (run,) = [word.rstrip(")") for word in running.text.split() if "-service.restart-" in word]
        running.kill()
    resumed = cli("run", "--resume", run, "--yes")
    assert resumed.code == 0, resumed
    assert spec(truth, web)["TaskTemplate"]["ForceUpdate"] == 1
    assert before.isdisjoint(ids(truth, web)) and len(truth.placed(web)) == 4


def test_the_script_of_each_action_does_what_the_run_does(swarm: Lab, cli: Cli, truth: Truth) -> None:
    """Twins: the script works on one, the run on two, at the same time; docker must not tell them apart afterwards."""
    tag_everywhere(swarm, "alpine:new")
    for name in ("one", "two"):
        create(truth, name, 2, "--env", "A=1", "--label", "old=1")

    def look(name: str) -> Any:
        if name not in truth.docker("service", "ls", "--format", "{{.Name}}").split():
            return None
        found = spec(truth, name)
        found.pop("Name")
        found["TaskTemplate"]["ContainerSpec"].get("Env", []).sort()
        found["TaskTemplate"]["Placement"]["Constraints"].sort()
        found["TaskTemplate"]["ForceUpdate"] = found["TaskTemplate"].get("ForceUpdate", 0)
        return found, state(truth, name), len(truth.placed(name))

    def act(action: str, *arguments: str) -> Any:
        assert look("one") == look("two")
        script = cli.script(action, "service=one", *arguments)
        with ThreadPoolExecutor(2) as pool:
            by_hand = pool.submit(cli.sh, script)
            by_us = pool.submit(cli.do, action, "service=two", *arguments)
        assert by_hand.result().code == 0, f"{by_hand.result()}\n{script}"
        assert by_us.result().code == 0
        assert look("one") == look("two")
        return look("one")

    assert act("service.scale", "replicas=3")[1:] == ("", 3)
    note = """it's $HOME; "so" `id`"""
    done = act(
        "service.update", "image=alpine:new", f"env=NOTE={note},A-", "label=old-,new=a b", "limit-memory=64M",
        "reserve-cpu=0.1", "constraint=node.role==worker,node.hostname!=mgr1-", "parallelism=0", "delay=1500ms",
    )  # fmt: skip
    assert (done[0]["TaskTemplate"]["ContainerSpec"]["Env"], done[1:]) == ([f"NOTE={note}"], ("completed", 3))
    assert act("service.restart")[0]["TaskTemplate"]["ForceUpdate"] == 1
    assert act("service.rollback")[1:] == ("rollback_completed", 3)
    assert act("service.scale", "replicas=0")[2] == 0
    assert act("service.scale", "replicas=1")[2] == 1
    assert act("service.remove") is None
    assert truth.containers("wrk1") == truth.containers("wrk2") == []

    create(truth, "bad", 2)
    script = cli.script("service.update", "service=bad", f"image={NOT_HERE}")
    ended = cli.sh(script)
    assert ended.code != 0 and "bad: its rollout did not end well: paused" in ended.err, ended
