"""When not to force or restore (procedures.md K4), and what is remembered when no manager answers: simulated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swarmtui.config import load
from swarmtui.config.remembered import recall, remembered_folder
from swarmtui.demo.serve import Demo
from swarmtui.link.person import Nobody
from swarmtui.model.recovery import Advice, Diagnosis, Way
from swarmtui.opening import find
from swarmtui.runbooks.swarm.recovery.gentler import gentler, gentler_rules
from swarmtui.runbooks.swarm.recovery.recover import happened
from swarmtui.session import Session
from tests.actions.cli import Cli


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with Demo("calm", speed=10, seed=1) as running:
        yield running


@pytest.fixture
async def session(demo: Demo, tmp_path: Path) -> AsyncIterator[Session]:
    """Not begun: it is only a way to hosts, as for every runbook that works without a Swarm."""
    made = Session(find("simulated", load(demo.config), bundles=tmp_path), Nobody())
    try:
        yield made
    finally:
        await made.close()


async def test_nothing_is_forced_or_restored_while_the_quorum_holds(demo: Demo, session: Session) -> None:
    for wanted in (Way.FORCE, Way.RESTORE):
        (rule,) = await gentler(session, wanted)
        assert str(rule) == "gentler=quorum" and "3 of 3 managers work" in rule.what
    demo.world.crash(demo.world.hosts["mgr3"])
    (rule,) = await gentler(session, Way.FORCE, {"mgr3"})
    assert str(rule) == "gentler=quorum"
    assert "swarmtui run node.replace dead=mgr3 promote=" in rule.what and "--target simulated" in rule.what


async def test_managers_that_can_be_brought_back_come_first(demo: Demo, session: Session) -> None:
    hosts = demo.world.hosts
    demo.world.stop_docker(hosts["mgr2"])
    demo.world.crash(hosts["mgr3"])
    (start,) = await gentler(session, Way.RESTORE, {"mgr3"})
    assert str(start) == "gentler=mgr2" and "systemctl start docker" in start.what
    demo.world.crash(hosts["mgr2"])
    away = await gentler(session, Way.FORCE, {"mgr3"})
    assert [str(rule) for rule in away] == ["gentler=mgr2"] and "Bring back 1 of mgr2" in away[0].what
    assert await gentler(session, Way.FORCE, {"mgr2", "mgr3"}) == ()
    (force,) = await gentler(session, Way.RESTORE, {"mgr2", "mgr3"})
    assert str(force) == "gentler=mgr1", "a survivor has newer data than any backup"
    assert "swarmtui run swarm.recover-quorum survivor=mgr1 dead=mgr2,mgr3 --target simulated" in force.what


async def test_a_restore_is_free_when_no_manager_has_the_state(demo: Demo, session: Session) -> None:
    for name in ("mgr1", "mgr2", "mgr3"):
        demo.world.crash(demo.world.hosts[name])
    assert await gentler(session, Way.RESTORE, {"mgr1", "mgr2", "mgr3"}) == ()


def test_two_swarms_are_ended_before_anything_is_forced() -> None:
    two = Diagnosis("Two.", "", Advice(Way.SPLIT, "Two Swarms live.", ("a",)), two=True)
    for wanted in (Way.FORCE, Way.RESTORE):
        assert [str(rule) for rule in gentler_rules(wanted, two)] == ["gentler=two-swarms"]


async def test_managers_are_remembered_for_when_none_answers(demo: Demo, session: Session, tmp_path: Path) -> None:
    """One manager has a name in the configuration; the others are known from when the cluster was last seen."""
    config = tmp_path / "one.toml"
    config.write_text(f'[clusters.mine]\nmanagers = ["ssh://mgr1"]\nssh_config = "{demo.ssh_config}"\n')
    cli = Cli({"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"}, "mine")

    async def run(*words: str) -> tuple[int, str]:
        told = await asyncio.to_thread(cli, *words, "--config", str(config))
        return told.code, told.out + told.err

    demo.world.crash(demo.world.hosts["mgr1"])
    code, told = await run("recover", "mine")
    assert code == 3 and "mgr2" not in told, "nobody ever saw the others"
    demo.world.boot(demo.world.hosts["mgr1"])
    for _ in range(50):
        code, told = await run("status", "mine")
        if "3/3 managers" in told:
            break
    assert "3/3 managers" in told, told
    (file,) = (tmp_path / ".local/state/swarmtui/clusters").glob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    kept = json.loads(file.read_text())
    assert {one["target"] for one in kept["nodes"] if one["manager"]} == {"ssh://mgr1", "ssh://mgr2", "ssh://mgr3"}

    demo.world.crash(demo.world.hosts["mgr1"])
    code, told = await run("recover", "mine")
    assert code == 1 and "The quorum holds: 2 of 3 managers work." in told, told
    for name in ("mgr2", "mgr3"):
        demo.world.crash(demo.world.hosts[name])
    code, told = await run("recover", "mine", "--json")
    found = json.loads(told[told.index("{") : told.rindex("}") + 1])
    assert {one["name"]: one["condition"] for one in found["managers"]} == dict.fromkeys(
        ("mgr1", "mgr2", "mgr3"), "unreachable"
    )
    assert found["remembered_at"] and found["cluster"]["id"] == kept["cluster_id"] and len(found["workers"]) > 0
    assert found["best"]["way"] == "bring-back"


async def test_what_is_remembered_does_not_count_where_a_manager_tells(demo: Demo, session: Session) -> None:
    async with session.opened():
        await session.until_live(30)
        targets = frozenset(str(target) for target in session.opening.targets)
        for _ in range(500):
            if found := recall(remembered_folder(), "simulated", targets):
                break
            await asyncio.sleep(0.02)
    (known,) = found
    assert {one.name for one in known.managers} == {"mgr1", "mgr2", "mgr3"}
    assert {one.name for one in known.nodes} == {node.hostname for node in session.snapshot.nodes.values()}
    # Those that answer tell more than what is remembered: nothing of it counts then.
    around, _ = await happened(session)
    assert around.remembered_at == 0.0 and {member.name for member in around.members} == {"mgr1", "mgr2", "mgr3"}
    assert all(worker.ready for worker in around.workers) and around.workers
