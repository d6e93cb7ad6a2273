"""`swarmtui recover`, on the simulated Swarm whose managers are stopped, locked and switched off."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from tests.actions.cli import Cli, Result
from tests.lab import Lab

Recover = Callable[..., Awaitable[Result]]
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with Demo("calm", speed=10, seed=1) as running:
        yield running


@pytest.fixture
def recover(demo: Demo, tmp_path: Path) -> Recover:
    cli = Cli({"HOME": str(tmp_path), **ENVIRONMENT}, "simulated")

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(cli, "recover", "simulated", *words, "--config", str(demo.config))

    return run


async def test_a_quorum_that_holds_has_nothing_to_recover(recover: Recover) -> None:
    well = await recover()
    assert well.code == 0 and "The quorum holds: 3 of 3 managers work." in well.out, well
    assert "The way out: nothing to do" in well.out and "Nothing has been changed by looking." in well.out


async def test_stopped_managers_are_started_before_anything_else(demo: Demo, recover: Recover) -> None:
    hosts = demo.world.hosts
    for name in ("mgr2", "mgr3"):
        demo.world.stop_docker(hosts[name], socket=False)  # its socket goes on listening: a touch would start it
    told = await recover()
    assert told.code == 1 and "The quorum is lost: 1 of 3 managers are there, 2 are needed." in told.out, told
    assert "The way out: start Docker (mgr2)" in told.out and "$ ssh mgr2 systemctl start docker" in told.out
    assert "Running tasks keep running. Nothing can be changed" in told.out
    live = await recover("--dead", "mgr2,mgr9")
    assert live.code == 1 and "mgr2 was declared dead, and answers: it does not count as dead." in live.out
    assert "Nobody knows a manager mgr9" in live.out
    assert not hosts["mgr2"].docker and not hosts["mgr3"].docker, "looking has started Docker"


async def test_hosts_that_are_away_are_brought_back_and_only_dead_ones_given_up(demo: Demo, recover: Recover) -> None:
    for name in ("mgr2", "mgr3"):
        demo.world.crash(demo.world.hosts[name])
    away = await recover()
    assert away.code == 1 and "The way out: bring the host back (mgr2, mgr3)" in away.out, away
    last = await recover("--dead", "mgr2,mgr3", "--json")
    found = json.loads(last.out)
    assert last.code == 2 and found["best"]["way"] == "force-new-cluster" and found["best"]["about"] == ["mgr1"]
    restore = next(one for one in found["others"] if one["way"] == "restore")
    assert restore["because"] == "there is a way that loses nothing, or less"


async def test_locked_managers_whose_key_nobody_has(demo: Demo, recover: Recover) -> None:
    command = ["docker", "-H", demo.hosts[0]["docker"], "swarm", "update", "--autolock=true"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    for name in ("mgr1", "mgr2", "mgr3"):
        demo.world.stop_docker(demo.world.hosts[name])
        demo.world.start_docker(demo.world.hosts[name])
    told = await recover()
    assert "its key is NOT in the vault" in told.out, told
    assert told.code == 3 and "Find the unlock key." in " ".join(told.out.split())
    assert re.search(r"\$ swarmtui secrets set unlock-key [0-9a-z]{25}\n", told.out), told


async def test_a_manager_that_was_removed_and_is_gone_is_none(demo: Demo, recover: Recover, tmp_path: Path) -> None:
    """It is still in the configuration and remembered; who leads does not list it any more."""
    assert (await recover()).code == 0
    cli = Cli({"HOME": str(tmp_path), **ENVIRONMENT}, "simulated")
    seen = await asyncio.to_thread(cli, "status", "simulated", "--config", str(demo.config))
    assert seen.code in (0, 1), seen
    for words in (["demote", "mgr3"], ["rm", "--force", "mgr3"]):
        if words[0] == "rm":
            demo.world.crash(demo.world.hosts["mgr3"])
        command = ["docker", "-H", demo.hosts[0]["docker"], "node", *words]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        assert await process.wait() == 0
    told = await recover("--json")
    found = json.loads(told.out)
    assert [member["name"] for member in found["managers"]] == ["mgr1", "mgr2"], found
    assert told.code == 0 and found["best"]["way"] == "nothing", found


async def test_a_cluster_that_is_not_reached_over_ssh_is_refused_with_the_way(tmp_path: Path) -> None:
    cli = Cli({"HOME": str(tmp_path), **ENVIRONMENT}, "unix:///nowhere.sock")
    told = await asyncio.to_thread(cli, "recover", "unix:///nowhere.sock")
    assert told.code == 2 and "Name a manager: swarmtui recover ssh://USER@MANAGER" in told.err


@pytest.mark.lab
def test_what_happened_to_a_real_swarm(lab: Lab, tmp_path: Path) -> None:
    """Docker stopped with its socket listening, a host away, one declared dead; looking changes nothing."""
    mgr1, mgr2, mgr3 = (lab[name] for name in ("mgr1", "mgr2", "mgr3"))
    cli = Cli(lab.ssh_env(XDG_STATE_HOME=str(tmp_path / "state"), XDG_CONFIG_HOME=str(tmp_path / "config")))
    well = cli("recover", mgr1.target)
    assert well.code == 0 and "The quorum holds: 3 of 3 managers work." in well.out, well

    mgr2.sh("systemctl stop docker.service")
    mgr3.sh("systemctl stop docker.service")
    told = cli("recover", mgr1.target)
    assert told.code == 1 and "The way out: start Docker (mgr2)" in told.out, told
    for host in (mgr2, mgr3):
        assert host.sh("systemctl is-active docker.service", check=False).stdout.strip() == "inactive", (
            "looking started it"
        )

    mgr3.power_off()
    mgr2.power_off()
    away = cli("recover", mgr1.target)
    assert away.code == 1 and "The way out: bring the host back" in away.out, away
    last = cli("recover", mgr1.target, "--dead", f"{mgr2.address},{mgr3.address}", "--json")
    found = json.loads(last.out)
    seen = found["best"], [(one["name"], one["condition"], one["why"]) for one in found["managers"]]
    assert last.code == 2 and found["best"]["way"] == "force-new-cluster" and found["best"]["about"] == ["mgr1"], seen
    (survivor,) = [one for one in found["managers"] if one["name"] == "mgr1"]
    assert survivor["index"] > 5, "the raft log of a living manager was read"
    for host in (mgr2, mgr3):
        host.power_on()
