"""swarm.restore on another host than the backup's, simulated: raft gets its new address, and workers follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmtui.config import load
from swarmtui.demo.serve import Demo
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runner import Event, Outcome, Runner
from swarmtui.session import Session
from tests.actions.test_restore_simulated import Swarmtui, demo, restored, swarmtui, wipe
from tests.faults.faulty import Killed

__all__ = ["demo", "swarmtui"]  # fixtures

RUN = "20261121T090203Z-address-0001"
WORDS = {"host": "ssh://mgr1", "dead": "mgr2"}
STEPS = ("old-address", "second-manager", "mend-down", "mend-up", "drop-old-address")


async def lost(demo: Demo, swarmtui: Swarmtui) -> str:
    """Takes a backup of mgr2, loses its host, and the Swarm of the others; returns the address that is gone."""
    assert await swarmtui("swarm.backup", "node=mgr2", "--yes") == 0
    wipe(demo, "mgr1", "mgr3")
    demo.world.crash(demo.world.hosts["mgr2"])
    return demo.world.hosts["mgr2"].ip


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to hold")


async def mended(demo: Demo, ids: dict[str, str], *managers: str) -> None:
    """mgr1 is who the backup is of, raft knows it where it is, workers are who they were, and nothing is left."""
    world = demo.world
    assert not any(host.aliases or host.redirects for host in world.hosts.values())
    now = {node.hostname: node.id for node in restored(demo, "mgr1").nodes.values()}
    assert now["mgr1"] == ids["mgr2"]
    assert {name: now[name] for name in ("wrk1", "wrk2")} == {name: ids[name] for name in ("wrk1", "wrk2")}
    # It stands also when everything starts anew: nobody looks for anybody at the old address.
    for name in ("mgr1", "mgr3", "wrk1"):
        world.stop_docker(world.hosts[name])
        world.start_docker(world.hosts[name])

    def stands() -> bool:
        swarm = world.hosts["mgr1"].swarm
        raft = swarm.raft if swarm is not None else None
        if raft is None or raft.leader is None:
            return False
        found = {member.host: member.address for member in raft.members.values() if member.reachable}
        return found == {name: f"{world.hosts[name].ip}:2377" for name in managers or ("mgr1", "mgr3")}

    await until(stands)


async def test_the_address_in_raft_is_mended_and_nothing_of_the_old_one_stays(
    demo: Demo, swarmtui: Swarmtui, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = {node.hostname: node.id for node in demo.world.clusters[0].nodes.values()}
    old = await lost(demo, swarmtui)
    capsys.readouterr()
    assert await swarmtui("swarm.restore", *(f"{key}={value}" for key, value in WORDS.items()), "--yes") == 0
    said = capsys.readouterr().out
    assert f"{old} leads to mgr1." in said and "All managers are reachable without it." in said
    await mended(demo, ids)


async def test_a_worker_is_the_second_manager_where_there_is_no_other_host(
    demo: Demo, swarmtui: Swarmtui, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = {node.hostname: node.id for node in demo.world.clusters[0].nodes.values()}
    await lost(demo, swarmtui)
    demo.world.crash(demo.world.hosts["mgr3"])
    capsys.readouterr()
    assert await swarmtui("swarm.restore", "host=ssh://mgr1", "dead=mgr2,mgr3", "--yes") == 0
    assert "wrk1 is a worker." in capsys.readouterr().out
    swarm = demo.world.hosts["mgr1"].swarm
    assert swarm is not None and swarm.raft is not None
    (member,) = swarm.raft.members.values()
    assert (member.host, member.address) == ("mgr1", f"{demo.world.hosts['mgr1'].ip}:2377")
    now = {node.hostname: node.id for node in restored(demo, "mgr1").nodes.values()}
    assert now["wrk1"] == ids["wrk1"] and not demo.world.hosts["mgr1"].aliases


async def test_rules_lead_to_it_while_the_old_address_is_somebodys_and_the_operators_checks_come_last(
    demo: Demo, swarmtui: Swarmtui, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """mgr2's host lives, and joins anew at the old address when raft has forgotten it there."""
    checks = f"checks = ['echo asked >{tmp_path}/asked', 'echo shop is up']"
    demo.config.write_text(f"{demo.config.read_text()}\n[clusters.simulated.recovery]\n{checks}\n")
    ids = {node.hostname: node.id for node in demo.world.clusters[0].nodes.values()}
    assert await swarmtui("swarm.backup", "node=mgr2", "--yes") == 0
    wipe(demo, "mgr1", "mgr2", "mgr3")
    capsys.readouterr()
    assert await swarmtui("swarm.restore", "host=ssh://mgr1", "--yes") == 0
    said = capsys.readouterr().out
    assert "Laid on mgr3." in said and "Taken away from mgr3." in said
    assert said.index("3 of 3 managers follow the same leader.") < said.index("shop is up")
    assert (tmp_path / "asked").read_text() == "asked\n"
    await mended(demo, ids, "mgr1", "mgr2", "mgr3")


async def reboot(demo: Demo) -> None:
    here = demo.world.hosts["mgr1"]
    assert here.aliases
    demo.world.reboot(here)
    await until(lambda: here.running)
    assert not here.aliases


async def test_killed_before_and_after_each_effect_it_is_resumed_to_the_same_end(
    demo: Demo, swarmtui: Swarmtui, tmp_path: Path
) -> None:
    """While the quorum rests on the alias, the host is rebooted too: the alias is gone, and the quorum with it."""
    ids = {node.hostname: node.id for node in demo.world.clusters[0].nodes.values()}
    await lost(demo, swarmtui)
    journal, runbook = Journal(tmp_path / "journal"), registry.runbook("swarm.restore")
    given = params.parse("swarm.restore", runbook.params, WORDS)
    deaths = [f"{step}/{point}" for step in STEPS for point in ("intent", "effect")]
    died: list[str] = []

    def observe(event: Event) -> None:
        point = f"{event.step}/{event.point}"
        if event.point and point in deaths and point not in died:
            died.append(point)
            raise Killed

    async def attempt() -> Outcome:
        session = Session(find("simulated", load(demo.config), bundles=tmp_path), Nobody())
        try:
            record = journal.read(RUN) if died else None
            plan = runbook.plan(given, record.facts) if record else await runbook.prepare(session, given)
            with journal.writer(RUN) as writer:
                return await Runner(session, plan, writer, observe=observe, record=record).run()
        finally:
            await session.close()

    while True:
        try:
            outcome = await attempt()
            break
        except Killed:
            if died[-1] == "mend-down/intent":
                await reboot(demo)
    assert outcome.ok, outcome
    assert died == deaths
    await mended(demo, ids)
