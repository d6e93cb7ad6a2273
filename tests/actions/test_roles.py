"""Promote, demote and remove from the command line, on real engines of both versions."""

from __future__ import annotations

import pytest

from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for

MANAGERS = ["mgr1", "mgr2", "mgr3"]
ALL = [*MANAGERS, "wrk1", "wrk2"]


def test_promoted_nodes_are_waited_for_one_by_one_and_demoted_ones_too(swarm: Lab, cli: Cli, truth: Truth) -> None:
    one = cli.plan("node.promote", "node=wrk1")
    assert one["warnings"] == ["4 managers: an even number survives no more losses than 3 would."]
    both = cli.plan("node.promote", "node=wrk1,wrk2")
    assert both["managers"] == {
        "before": {"voters": 3, "reachable": 3, "needed": 2, "slack": 1},
        "after": {"voters": 5, "reachable": 5, "needed": 3, "slack": 2},
    }
    assert both["warnings"] == both["rules"] == []

    result = cli.do("node.promote", "node=wrk1,wrk2")

    assert [truth.reachability(name) for name in ALL] == ["reachable"] * 5
    told = ["Promote wrk1", "Wait until wrk1 is reachable", "Promote wrk2", "Wait until wrk2 is reachable"]
    at = [result.out.index(f" {words}\n") for words in told]
    assert at == sorted(at), result

    # Now without mgr1, which we talk through; of five, so no rule is broken. At once after a promotion the engine
    # calls another change out of sequence.
    truth.by = "mgr2"
    moved = cli.do("node.demote", "node=wrk2,mgr1")
    assert "Connected through" in moved.out
    assert truth.managers() == ["mgr2", "mgr3", "wrk1"]
    assert [truth.role(name) for name in ("mgr1", "wrk2")] == ["worker", "worker"]

    # For a moment its manager is still stopping, and is told so.
    wait_for("mgr1 is a worker", lambda: "is a worker" in cli("status", swarm["mgr1"].target).err)
    at_a_worker = cli("status", swarm["mgr1"].target)
    assert at_a_worker.code == 3
    assert swarm["mgr2"].address in at_a_worker.err


def test_demoting_down_to_the_last_manager(swarm: Lab, cli: Cli, truth: Truth) -> None:
    # 3 to 2 gives away the last loss that the Swarm survives: a rule.
    refused = cli.run("node.demote", "node=mgr3", "--yes")
    assert refused.code == 4, refused
    assert "--accept tolerance=mgr3" in refused.err
    assert truth.managers() == MANAGERS
    cli.do("node.demote", "node=mgr3", "--accept", "tolerance=mgr3")
    assert truth.managers() == ["mgr1", "mgr2"]

    watched = cli("status", cli.target)
    assert watched.code == 1, watched
    assert "[two-managers]" in watched.out

    # 2 to 1 is a warning, by name.
    (warning,) = [text for text in cli.plan("node.demote", "node=mgr1")["warnings"] if "two managers to one" in text]
    assert "mgr1 dies in the middle" in warning
    moved = cli.do("node.demote", "node=mgr1")
    assert "Connected through root@mgr2 now." in moved.out
    truth.by = "mgr2"
    assert truth.managers() == ["mgr2"]
    assert truth.role("mgr1") == "worker"

    # The last one: nobody can accept that.
    target = swarm["mgr2"].target
    for accepted in ((), ("--accept", "tolerance=mgr2"), ("--accept", "quorum=mgr2")):
        last = cli.run("node.demote", "node=mgr2", "--yes", *accepted, target=target)
        assert last.code == 4, last
        assert "mgr2 is the last manager" in last.err
    assert cli.run("node.remove", "node=mgr2", "--yes", target=target).code == 4
    assert truth.managers() == ["mgr2"]
    assert truth.role("mgr2") == "manager"


def test_a_live_manager_is_demoted_emptied_leaves_and_is_removed(swarm: Lab, cli: Cli, truth: Truth) -> None:
    truth.notices_soon()
    web = truth.service("web", 2, on=("mgr3", "wrk1"))
    refused = cli.run("node.remove", "node=mgr3", "--yes")
    assert refused.code == 4, refused
    assert truth.names() == ALL
    assert truth.containers("mgr3")

    cli.do("node.remove", "node=mgr3", "--accept", "tolerance=mgr3")

    assert truth.names() == ["mgr1", "mgr2", "wrk1", "wrk2"]
    assert truth.managers() == ["mgr1", "mgr2"]
    assert truth.placed(web) == ["wrk1", "wrk1"]
    assert swarm["mgr3"].swarm_state() == "inactive"
    assert truth.containers("mgr3") == []


@pytest.mark.lab
def test_an_entry_that_is_down_is_known_by_its_id_and_a_live_one_is_forced_out(
    lab: Lab, cli: Cli, truth: Truth
) -> None:
    truth.notices_soon()
    old = truth.id("wrk1")
    lab["wrk1"].docker("swarm", "leave")
    token = truth.docker("swarm", "join-token", "-q", "worker")
    lab["wrk1"].docker("swarm", "join", "--token", token, f"{lab['mgr1'].address}:2377")
    wait_for("wrk1 is there twice", lambda: truth.names().count("wrk1") == 2)
    (new,) = [k for k, node in truth.nodes().items() if node["Description"]["Hostname"] == "wrk1" and k != old]

    ambiguous = cli.run("node.drain", "node=wrk1", "--yes")
    assert ambiguous.code == 2, ambiguous
    assert old in ambiguous.err and new in ambiguous.err
    assert truth.availability(old) == truth.availability(new) == "active"

    cli.do("node.drain", f"node={new[:12]}")
    assert truth.availability(new) == "drain"
    assert truth.availability(old) == "active"

    wait_for("the old entry is down", lambda: truth.node(old)["Status"]["State"] == "down", 30, 0.2)
    dead = cli.run("node.promote", f"node={old}", "--yes")
    assert dead.code == 4, dead
    assert "is down" in dead.err
    assert [step["title"] for step in cli.plan("node.remove", f"node={old}")["steps"]] == [f"Remove {old}"]
    cli.do("node.remove", f"node={old}")
    assert old not in truth.nodes()
    assert truth.names() == ALL

    # Now the name is nobody else's. What is not down goes only where that is accepted by name.
    refused = cli.run("node.remove", "node=wrk1", "force=true", "--yes")
    assert refused.code == 4, refused
    assert "--accept force-remove=wrk1" in refused.err
    assert truth.names() == ALL
    cli.do("node.remove", "node=wrk1", "force=true", "--accept", "force-remove=wrk1")
    assert truth.names() == [*MANAGERS, "wrk2"]
