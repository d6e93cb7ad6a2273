"""node.rejoin and node.replace on real engines: a manager in every kind of trouble, read back by the docker CLI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.fixtures import MakeLab
from tests.lab.machine import wait_for

MANAGERS = ["mgr1", "mgr2", "mgr3"]
ALL = [*MANAGERS, "wrk1", "wrk2"]


def titles(plan: dict[str, Any]) -> list[str]:
    return [step["title"] for step in plan["steps"]]


def lost(truth: Truth, name: str) -> None:
    """Waits until the others see a manager as down, and as unreachable in the raft."""
    wait_for(
        f"{name} is down",
        lambda: truth.node(name)["Status"]["State"] == "down" and truth.reachability(name) == "unreachable",
        40,
        0.2,
    )


def in_order(truth: Truth) -> None:
    """Every host is there once, ready, and the managers are reachable."""
    assert truth.names() == ALL
    assert {node["Status"]["State"] for node in truth.nodes().values()} == {"ready"}
    assert [truth.reachability(name) for name in MANAGERS] == ["reachable"] * 3


@pytest.mark.lab
def test_a_manager_whose_docker_is_stopped_comes_back_by_a_restart(lab: Lab, cli: Cli, truth: Truth) -> None:
    truth.notices_soon()
    fine = cli.plan("node.rejoin", "node=mgr3")
    assert fine["steps"] == [] and "The managers hear from mgr3" in fine["nothing"]
    before = truth.id("mgr3")
    lab["mgr3"].stop_docker()
    lost(truth, "mgr3")
    assert titles(cli.plan("node.rejoin", "node=mgr3"))[0] == "Restart Docker on mgr3"
    # What a look may not do: its socket would have started it.
    assert not lab["mgr3"].docker_unit_active()

    further = cli.run("node.rejoin", "node=mgr3", "rung=reboot", "--yes")
    assert further.code == 4, further
    assert "--accept ladder=mgr3" in further.err
    cli.do("node.rejoin", "node=mgr3")

    assert truth.id("mgr3") == before
    in_order(truth)


@pytest.mark.lab
def test_a_reboot_brings_a_manager_back(lab: Lab, cli: Cli, truth: Truth) -> None:
    truth.notices_soon()
    before, booted = truth.id("mgr3"), lab["mgr3"].sh("systemctl show --property=UserspaceTimestampMonotonic").stdout
    lab["mgr3"].stop_docker()
    lost(truth, "mgr3")

    cli.do("node.rejoin", "node=mgr3", "rung=reboot", "--accept", "ladder=mgr3")

    assert lab["mgr3"].sh("systemctl show --property=UserspaceTimestampMonotonic").stdout != booted
    assert truth.id("mgr3") == before
    in_order(truth)


@pytest.mark.lab
def test_a_locked_manager_is_seen_to_be_only_locked(lab: Lab, cli: Cli, truth: Truth) -> None:
    truth.notices_soon()
    shown = truth.docker("swarm", "update", "--autolock=true")
    key = next(word for word in shown.split() if word.startswith("SWMKEY-"))
    lab["mgr3"].restart_docker(wait=False)
    wait_for("mgr3 is locked", lambda: lab["mgr3"].swarm_state() == "locked", 30, 0.2)
    lost(truth, "mgr3")

    plan = cli.plan("node.rejoin", "node=mgr3")

    assert titles(plan) == ["Unlock mgr3", "Wait until the managers hear from mgr3"]
    assert "mgr3 is only locked" in " ".join(plan["notes"])
    for further in (("node.rejoin", "node=mgr3", "rung=rejoin"), ("node.replace", "dead=mgr3", "promote=wrk1")):
        refused = cli.run(*further, "--yes")
        assert refused.code == 4, refused
        assert "mgr3 is only locked" in refused.err
        assert "--accept ladder=mgr3" in refused.err
    # Nobody has the key here, so the unlocking fails, in words, and nothing else was done.
    failed = cli.run("node.rejoin", "node=mgr3", "--yes")
    assert failed.code == 1, failed
    assert "mgr3 stays locked" in failed.err and key not in failed.out + failed.err
    assert truth.names() == ALL and truth.role("mgr3") == "manager"
    lab["mgr3"].sh("docker swarm unlock", data=f"{key}\n".encode())
    wait_for("mgr3 is back", lambda: truth.reachability("mgr3") == "reachable", 30, 0.2)


def test_a_manager_whose_state_is_gone_joins_anew_without_a_duplicate(swarm: Lab, cli: Cli, truth: Truth) -> None:
    truth.notices_soon()
    truth.docker("node", "update", "--availability", "drain", "--label-add", "zone=c", "--label-add", "x=a b", "mgr3")
    old = truth.id("mgr3")
    host = swarm["mgr3"]
    host.stop_docker()
    host.sh("rm -rf /var/lib/docker/swarm")
    host.start_docker()
    lost(truth, "mgr3")
    plan = cli.plan("node.rejoin", "node=mgr3")
    assert "is in no Swarm" in plan["notes"][0]
    assert plan["managers"]["after"] == {"voters": 3, "reachable": 3, "needed": 2, "slack": 1}
    assert titles(plan)[0] == "Demote mgr3" and "Join mgr3 as a manager" in titles(plan)

    result = cli.do("node.rejoin", "node=mgr3")

    assert "SWMTKN" not in result.out + result.err
    assert old not in truth.nodes()
    in_order(truth)
    assert truth.labels("mgr3") == {"zone": "c", "x": "a b"}
    assert truth.availability("mgr3") == "drain"
    assert cli.plan("node.rejoin", "node=mgr3")["steps"] == []


def test_a_manager_that_is_dead_for_good_is_replaced_by_a_worker(swarm: Lab, cli: Cli, truth: Truth) -> None:
    truth.notices_soon()
    swarm["mgr3"].power_off()
    lost(truth, "mgr3")
    alive = cli.run("node.replace", "dead=mgr2", "promote=wrk1", "--yes")
    assert alive.code == 4 and "mgr2 is not dead" in alive.err, alive
    no_way = cli.run("node.rejoin", "node=mgr3", "--yes")
    assert no_way.code == 4, no_way
    assert "node.replace dead=mgr3" in no_way.err
    plan = cli.plan("node.replace", "dead=mgr3", "promote=wrk1")
    assert plan["managers"] == {
        "before": {"voters": 3, "reachable": 2, "needed": 2, "slack": 0},
        "after": {"voters": 3, "reachable": 3, "needed": 2, "slack": 1},
    }
    assert plan["rules"] == []

    cli.do("node.replace", "dead=mgr3", "promote=wrk1")

    assert truth.names() == ["mgr1", "mgr2", "wrk1", "wrk2"]
    assert truth.managers() == ["mgr1", "mgr2", "wrk1"]
    assert [truth.reachability(name) for name in truth.managers()] == ["reachable"] * 3
    # What comes back later is told what it is.
    swarm["mgr3"].power_on()
    wait_for("mgr3 is pending", lambda: swarm["mgr3"].swarm_state() == "pending", 60, 0.5)
    told = cli.run("node.rejoin", "node=mgr3", f"host={swarm['mgr3'].target}", "--yes")
    assert told.code == 2, told
    assert "no entry of this Swarm any more: it was removed" in told.err
    assert "docker swarm leave --force" in told.err
    assert cli.run("node.rejoin", "node=mgr3", "--yes").code == 2
    assert truth.names() == ["mgr1", "mgr2", "wrk1", "wrk2"]


@pytest.mark.lab
def test_a_manager_that_is_dead_for_good_is_replaced_by_a_new_host(lab: Lab, cli: Cli, truth: Truth) -> None:
    truth.notices_soon()
    truth.docker("node", "update", "--label-add", "zone=c", "mgr3")
    old = truth.id("mgr3")
    lab["mgr3"].power_off()
    lost(truth, "mgr3")
    both = cli.run("node.replace", "dead=mgr3", "promote=wrk1", f"host={lab['wrk2'].target}", "--yes")
    assert both.code == 2, both
    taken = cli.run("node.replace", "dead=mgr3", f"host={lab['wrk2'].target}", "--yes")
    assert taken.code == 4 and "is part of a Swarm already" in taken.err, taken
    lab["mgr3"].replace()

    cli.do("node.replace", "dead=mgr3", f"host={lab['mgr3'].target}")

    assert old not in truth.nodes()
    in_order(truth)
    assert truth.labels("mgr3") == {"zone": "c"}


@pytest.mark.lab
def test_a_manager_whose_address_changed_joins_anew_with_the_new_one(make_lab: MakeLab) -> None:
    lab = make_lab(managers=3)
    cli, truth, host = Cli(lab.ssh_env(), lab["mgr1"].target), Truth(lab), lab["mgr3"]
    truth.notices_soon()
    old, address = truth.id("mgr3"), host.address
    new = f"{address.rpartition('.')[0]}.77"
    gateway = f"{address.rpartition('.')[0]}.254"
    # The old one first: with the first address of a card the others of its network go too.
    host.sh(f"ip addr del {address}/24 dev eth0 && ip addr add {new}/24 dev eth0 && ip route add default via {gateway}")
    known = lab.home / ".ssh" / "known_hosts"
    known.write_text(known.read_text() + "".join(
        line.replace(address, new) + "\n" for line in known.read_text().splitlines() if address in line
    ))  # fmt: skip
    lost(truth, "mgr3")
    away = cli.run("node.rejoin", "node=mgr3", "--yes")
    assert away.code == 4 and "another address now? Say so: host=ssh://" in away.err, away
    at = f"host=ssh://root@{new}"
    plan = cli.plan("node.rejoin", "node=mgr3", at)
    assert f"the raft knows it at {address}, its host has {new}" in plan["notes"][0]

    cli.do("node.rejoin", "node=mgr3", at)

    assert truth.names() == MANAGERS
    assert truth.id("mgr3") != old
    assert truth.node("mgr3")["ManagerStatus"]["Addr"] == f"{new}:2377"
    assert [truth.reachability(name) for name in MANAGERS] == ["reachable"] * 3
