"""Drain, pause, activate and label from the command line, on real engines of both versions."""

from __future__ import annotations

import pytest

from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for

WORKERS = ("wrk1", "wrk2")


def test_drain_is_done_when_the_node_is_empty_and_the_replacements_run(swarm: Lab, cli: Cli, truth: Truth) -> None:
    web = truth.service("web", 4, on=WORKERS, grace=3)
    assert truth.placed(web) == ["wrk1", "wrk1", "wrk2", "wrk2"]
    elsewhere = truth.containers("wrk2")

    result = cli.do("node.drain", "node=wrk1")

    assert truth.containers("wrk1") == []  # at once: the exit code must mean that it is empty now
    assert truth.placed(web) == ["wrk2"] * 4
    assert set(elsewhere) < set(truth.containers("wrk2"))
    assert truth.availability("wrk1") == "drain"
    assert "Done and verified." in result.out
    assert "still on wrk1: web (2)." in result.out

    again = cli.do("node.drain", "node=wrk1")
    assert "wrk1 already is drained" in again.out


def test_several_nodes_are_drained_one_after_the_other_and_activated(swarm: Lab, cli: Cli, truth: Truth) -> None:
    truth.docker("node", "update", "--label-add", "disk=ssd", "wrk1")
    web = truth.service("web", 4, on=(*WORKERS, "mgr3"))
    pinned = truth.service("db", 1, disk="ssd")
    agent = truth.service("agent", 5, mode="global")

    touched = {service["service"]: service for service in cli.plan("node.drain", "node=wrk1,wrk2")["services"]}
    assert (touched[pinned]["stuck"], touched[pinned]["moving"], touched[pinned]["to_zero"]) == (1, 0, True)
    assert "node.labels.disk==ssd not satisfied on" in touched[pinned]["why"]
    assert (touched[agent]["leaving"], touched[agent]["moving"], touched[agent]["stuck"]) == (2, 0, 0)
    assert touched[web]["stuck"] == 0

    result = cli.do("node.drain", "node=wrk1,wrk2")  # and does not wait for what has nowhere to go

    assert truth.containers("wrk1") == truth.containers("wrk2") == []
    assert truth.placed(web) == ["mgr3"] * 4
    assert truth.placed(pinned) == []
    assert truth.placed(agent) == ["mgr1", "mgr2", "mgr3"]
    told = ["Drain wrk1", "Wait until wrk1 is empty", "Drain wrk2", "Wait until wrk2 is empty"]
    at = [result.out.index(f" {words}\n") for words in told]
    assert at == sorted(at), result

    cli.do("node.activate", "node=wrk1,wrk2")
    assert truth.availability("wrk1") == truth.availability("wrk2") == "active"
    wait_for("the global service is back", lambda: truth.placed(agent) == ["mgr1", "mgr2", "mgr3", *WORKERS])


def test_pause_leaves_what_runs_and_gets_nothing_new(swarm: Lab, cli: Cli, truth: Truth) -> None:
    web = truth.service("web", 2, on=WORKERS)
    before = truth.containers("wrk1")
    assert len(before) == 1

    cli.do("node.pause", "node=wrk1")

    assert truth.availability("wrk1") == "pause"
    truth.docker("service", "scale", "--detach", f"{web}=5")
    wait_for("five tasks run", lambda: len(truth.placed(web)) == 5, every=0.1)
    assert truth.placed(web) == ["wrk1"] + ["wrk2"] * 4
    assert truth.containers("wrk1") == before


def test_labels_are_added_changed_and_removed(swarm: Lab, cli: Cli, truth: Truth) -> None:
    truth.docker("node", "update", "--label-add", "keep=me", "wrk1")

    cli.do("node.label", "node=wrk1,wrk2", "label=zone=a,disk=ssd")
    assert truth.labels("wrk1") == {"keep": "me", "zone": "a", "disk": "ssd"}
    assert truth.labels("wrk2") == {"zone": "a", "disk": "ssd"}

    cli.do("node.label", "node=wrk1", "label=zone=b", "label=disk-", "label=empty=")
    assert truth.labels("wrk1") == {"keep": "me", "zone": "b", "empty": ""}

    assert "already has these labels" in cli.do("node.label", "node=wrk1", "label=zone=b,gone-").out


@pytest.mark.lab
def test_a_label_that_a_service_needs_moves_its_task_which_is_waited_for(lab: Lab, cli: Cli, truth: Truth) -> None:
    for name in WORKERS:
        truth.docker("node", "update", "--label-add", "disk=ssd", name)
    db = truth.service("db", 1, disk="ssd")
    (home,) = truth.placed(db)
    other = {"wrk1": "wrk2", "wrk2": "wrk1"}[home]

    plan = cli.plan("node.label", f"node={home}", "label=disk-")
    assert [(s["service"], s["moving"], s["blinks"]) for s in plan["services"]] == [(db, 1, True)]
    cli.do("node.label", f"node={home}", "label=disk-")

    assert truth.placed(db) == [other]
