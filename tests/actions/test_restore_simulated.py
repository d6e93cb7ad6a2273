"""swarm.restore on the simulated Swarm: what it refuses, and disasters of every kind that it leads out of."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from swarmtui.cli.main import main as command_line
from swarmtui.config.remembered import remembered_folder
from swarmtui.demo.hosts import files
from swarmtui.demo.scenarios import Scenario, Size
from swarmtui.demo.scenarios.builder import DAY, Builder
from swarmtui.demo.serve import Demo
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.world import World
from swarmtui.errors import SwarmtuiError
from swarmtui.runbooks.swarm.backups import backup_steps

Swarmtui = Callable[..., Awaitable[int]]
NAMES = ("mgr1", "mgr2", "mgr3")
CUSTODY = ("--accept", "key-without-custody=simulated")


@pytest.fixture
async def demo(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Demo]:
    monkeypatch.setattr(backup_steps, "POLL_SECONDS", 0.02)
    async with Demo("calm", speed=50, seed=1, nodes=5) as running:
        yield running


@pytest.fixture
def swarmtui(demo: Demo) -> Swarmtui:
    """`swarmtui run …` in this process, so that its vault lasts from one to the next; returns the exit code."""

    async def run(*words: str) -> int:
        line = ["run", *words, "--target", "simulated", "--config", str(demo.config)]
        try:
            return await asyncio.to_thread(command_line, line)
        except SwarmtuiError as error:
            return error.exit_code

    return run


def wipe(demo: Demo, *names: str, folder: str = files.SWARM) -> None:
    """The disks of these hosts have lost the Swarm; their Docker runs again."""
    for name in names:
        host = demo.world.hosts[name]
        demo.world.stop_docker(host)
        assert files.remove(host, folder)
        demo.world.start_docker(host)


def restored(demo: Demo, name: str = "mgr2") -> Cluster:
    """The Swarm that a host leads."""
    swarm = demo.world.hosts[name].swarm
    assert swarm is not None and swarm.raft is not None and not swarm.locked
    return swarm.cluster


async def test_all_managers_lost_and_back_to_three(
    demo: Demo, swarmtui: Swarmtui, capsys: pytest.CaptureFixture[str]
) -> None:
    (before,) = demo.world.clusters
    services = sorted(before.services)
    ids = {node.hostname: node.id for node in before.nodes.values()}
    assert await swarmtui("swarm.backup", "node=mgr2", "--yes") == 0
    wipe(demo, "mgr1", "mgr2", "mgr3")
    assert await swarmtui("swarm.restore", "host=ssh://mgr2", "--yes") == 0
    said = capsys.readouterr().out
    assert "3 of 3 managers follow the same leader." in said and said.endswith("Done and verified.\n")
    now = restored(demo)
    assert now.id == before.id and sorted(now.services) == services
    again = {node.hostname: node.id for node in now.nodes.values()}
    assert again.keys() == ids.keys()
    assert {name for name, node_id in ids.items() if again[name] != node_id} == {"mgr1", "mgr3"}
    assert "SWMTKN-" not in said


async def test_while_the_quorum_holds_it_is_refused(
    demo: Demo, swarmtui: Swarmtui, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await swarmtui("swarm.backup", "node=mgr2", "--yes") == 0
    assert await swarmtui("swarm.restore", "host=ssh://mgr2", "--yes") == 4
    assert "gentler=quorum" in capsys.readouterr().err
    assert demo.world.hosts["mgr2"].docker and not demo.world.hosts["mgr2"].aside


async def test_a_manager_that_is_merely_away_must_be_declared_dead(
    demo: Demo, swarmtui: Swarmtui, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await swarmtui("swarm.backup", "node=mgr2", "--yes") == 0
    wipe(demo, "mgr1", "mgr2")
    demo.world.crash(demo.world.hosts["mgr3"])
    assert await swarmtui("swarm.restore", "host=ssh://mgr2", "--yes") == 4
    told = capsys.readouterr().err
    assert "not-fenced=mgr3" in told or "gentler=mgr3" in told
    assert await swarmtui("swarm.restore", "host=ssh://mgr2", "dead=mgr9", "--yes") == 4
    assert "mgr9" in capsys.readouterr().err
    assert await swarmtui("swarm.restore", "host=ssh://mgr2", "dead=mgr3", "--yes") == 0
    names = {node.hostname for node in restored(demo).nodes.values()}
    assert "mgr3" not in names and {"mgr1", "mgr2"} <= names


async def test_with_a_key_from_before_a_rotation(
    demo: Demo, swarmtui: Swarmtui, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await swarmtui("swarm.autolock", "enable=true", "--yes", *CUSTODY) == 0
    assert await swarmtui("swarm.backup", "node=mgr2", "--yes") == 0
    assert await swarmtui("swarm.rotate-key", "--yes", *CUSTODY) == 0
    rotated = demo.world.clusters[0].unlock_key
    wipe(demo, "mgr1", "mgr2", "mgr3", folder=f"{files.SWARM}/raft")
    assert await swarmtui("swarm.restore", "host=ssh://mgr2", "--yes", *CUSTODY) == 0
    said = capsys.readouterr().out
    assert "Its key file was unlocked here, offline" in said and "SWMKEY-" not in said
    now = restored(demo)
    assert now.unlock_key and now.unlock_key != rotated
    assert len({host.aside.keys() != set() for host in demo.world.hosts.values() if host.name.startswith("mgr")}) == 1
    # The key that it has now is the one that the vault takes for its current one.
    demo.world.stop_docker(demo.world.hosts["mgr3"])
    demo.world.start_docker(demo.world.hosts["mgr3"])
    assert await swarmtui("swarm.unlock", "node=mgr3", "--yes") == 0


async def test_the_only_host_that_is_left(demo: Demo, swarmtui: Swarmtui, capsys: pytest.CaptureFixture[str]) -> None:
    assert await swarmtui("swarm.backup", "node=mgr2", "--yes") == 0
    wipe(demo, "mgr2")
    for name in ("mgr1", "mgr3", "wrk1"):
        demo.world.crash(demo.world.hosts[name])
    words = ("swarm.restore", "host=ssh://mgr2", "dead=mgr1,mgr3,wrk1", "--yes")
    assert await swarmtui(*words) == 0
    assert "1 of 1 managers follow the same leader." in capsys.readouterr().out
    assert {node.hostname for node in restored(demo).nodes.values()} == {"mgr2", "wrk2"}


async def test_an_archive_that_was_made_by_hand(
    demo: Demo, swarmtui: Swarmtui, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await swarmtui("swarm.backup", "node=mgr2", "--yes") == 0
    said = capsys.readouterr().out
    (taken,) = Path(said.partition("The backup is in the catalogue: ")[2].split()[0]).glob("archive.tar")
    by_hand = tmp_path / "by-hand.tar"
    taken.rename(by_hand)
    for left in taken.parent.iterdir():
        left.unlink()
    taken.parent.rmdir()
    wipe(demo, "mgr1", "mgr2", "mgr3")
    imported = await asyncio.to_thread(command_line, ["backups", "import", str(by_hand), "--config", str(demo.config)])
    assert imported in (0, 1)
    code = await swarmtui("swarm.restore", "host=ssh://mgr2", "--yes")
    if code == 4:  # nothing says what it should have: that must be accepted
        told = capsys.readouterr().err
        rule = told.partition("--accept unproved=")[2].split()[0]
        assert rule
        code = await swarmtui("swarm.restore", "host=ssh://mgr2", "--yes", "--accept", f"unproved={rule}")
    assert code == 0, capsys.readouterr().err
    assert len(restored(demo).nodes) == 5


@pytest.mark.parametrize("old_host", ["gone", "there"])
async def test_at_another_address(
    old_host: str, demo: Demo, swarmtui: Swarmtui, capsys: pytest.CaptureFixture[str]
) -> None:
    (before,) = demo.world.clusters
    ids = {node.hostname: node.id for node in before.nodes.values()}
    assert await swarmtui("swarm.backup", "node=mgr2", "--yes") == 0
    wipe(demo, *NAMES)
    dead = ("dead=mgr2",) if old_host == "gone" else ()
    if dead:
        demo.world.crash(demo.world.hosts["mgr2"])
    assert await swarmtui("swarm.restore", "host=ssh://mgr3", *dead, "--yes") == 0, capsys.readouterr().err
    now = restored(demo, "mgr3")
    assert now.id == before.id
    again = {node.hostname: node.id for node in now.nodes.values()}
    assert again["mgr3"] == ids["mgr2"], "it is the manager that was backed up"
    assert again.keys() == ids.keys() - ({"mgr2"} if dead else set())
    swarm = demo.world.hosts["mgr3"].swarm
    assert swarm is not None
    addresses = {member.host: member.address for member in swarm.raft.members.values()}
    assert addresses["mgr3"] == f"{demo.world.hosts['mgr3'].ip}:2377"
    assert len(addresses) == (2 if dead else 3)


def five(world: World, size: Size) -> None:
    """Five managers and two workers, with something that runs."""
    build = Builder(world)
    leading = [world.add_host(f"mgr{n}", f"10.0.1.{10 + n}") for n in range(1, 6)]
    working = [world.add_host(f"wrk{n}", f"10.0.1.{20 + n}") for n in (1, 2)]
    build.swarm(leading, working, age=3 * DAY)
    build.labels("mgr4", zone="b")
    build.service("web", "nginx:1.25", 4, age=DAY)
    build.settle()


async def test_five_managers_with_autolock_and_as_many_afterwards_as_are_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of them is gone for good; the others join back one at a time, each with the labels that it had."""
    monkeypatch.setattr(backup_steps, "POLL_SECONDS", 0.02)
    async with Demo(Scenario("five", "five managers", "", five), speed=50, seed=1) as demo:

        async def swarmtui(*words: str) -> int:
            line = ["run", *words, "--yes", "--target", "simulated", "--config", str(demo.config)]
            return await asyncio.to_thread(command_line, line)

        (before,) = demo.world.clusters
        ids = {node.hostname: node.id for node in before.nodes.values()}
        services = {each.id: each.name for each in before.services.values()}
        assert await swarmtui("swarm.autolock", "enable=true", *CUSTODY) == 0
        assert await swarmtui("swarm.backup", "node=mgr2") == 0
        old_key = before.unlock_key
        wipe(demo, "mgr1", "mgr2", "mgr3", "mgr4")
        demo.world.crash(demo.world.hosts["mgr5"])
        assert await swarmtui("swarm.restore", "host=ssh://mgr2", "dead=mgr5", *CUSTODY) == 0, capsys.readouterr().err
        assert "4 of 4 managers follow the same leader." in capsys.readouterr().out
        now = restored(demo)
        again = {node.hostname: node.id for node in now.nodes.values()}
        assert now.id == before.id and again.keys() == ids.keys() - {"mgr5"}
        assert {name for name in again if again[name] != ids[name]} == {"mgr1", "mgr3", "mgr4"}
        managers = {node.hostname for node in now.nodes.values() if node.role == "manager"}
        assert managers == {"mgr1", "mgr2", "mgr3", "mgr4"}
        swarm = demo.world.hosts["mgr2"].swarm
        assert swarm is not None and len(swarm.raft.members) == 4
        assert {each.id: each.name for each in now.services.values()} == services
        assert next(node for node in now.nodes.values() if node.hostname == "mgr4").labels == {"zone": "b"}
        assert now.unlock_key and now.unlock_key != old_key


async def test_the_dead_are_known_by_the_names_that_the_backup_has(
    demo: Demo, swarmtui: Swarmtui, capsys: pytest.CaptureFixture[str]
) -> None:
    """The configuration has addresses only, and nothing is remembered: whose name mgr3 is, the backup knows."""
    assert await swarmtui("swarm.backup", "node=mgr2", "--yes") == 0
    wipe(demo, "mgr2")
    for name in ("mgr1", "mgr3"):
        demo.world.crash(demo.world.hosts[name])
    shutil.rmtree(remembered_folder())
    ssh, config = demo.ssh_config.read_text(), demo.config.read_text()
    for name in NAMES:
        ip = demo.world.hosts[name].ip
        ssh = ssh.replace(f"Host {name}\n", f"Host {name} {ip}\n")
        config = config.replace(f"ssh://{name}", f"ssh://{ip}")
    demo.ssh_config.write_text(ssh)
    demo.config.write_text(config)
    assert await swarmtui("swarm.restore", "host=ssh://10.0.1.12", "--yes") == 4
    capsys.readouterr()
    assert await swarmtui("swarm.restore", "host=ssh://10.0.1.12", "dead=mgr1,mgr3", "--yes") == 0, capsys.readouterr()
    assert {"mgr1", "mgr3"}.isdisjoint(node.hostname for node in restored(demo).nodes.values())
