"""A second Swarm beside the one in use is noticed: old managers came back after a forced cluster (swarm-dr.md §4)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from swarmtui.config import load
from swarmtui.demo.serve import Demo
from swarmtui.link import rivals
from swarmtui.link.person import Nobody
from swarmtui.link.rivals import is_rival
from swarmtui.model.health import findings
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Cluster, Info, Node, SwarmInfo
from swarmtui.opening import find
from swarmtui.session import Session
from tests import builders as b
from tests.actions.test_end_split import two_swarms


def leads(snapshot: Snapshot, *others: Node) -> bool:
    info = Info(swarm=SwarmInfo(control_available=True, cluster=Cluster(id=b.CLUSTER)))
    return is_rival(snapshot, info, others)


def nodes(*made: b.Json) -> list[Node]:
    return list(b.snapshot(made).nodes.values())


def test_a_leader_that_one_raft_has_not_heard_of_is_another_swarms() -> None:
    forced = b.snapshot([b.node("mgr1", manager="leader")])
    old = nodes(
        b.node("mgr1", manager="unreachable"), b.node("mgr2", manager="leader"), b.node("mgr3", manager="reachable")
    )
    assert leads(forced, *old)
    majority = b.snapshot([b.node(f"mgr{n}", manager=m) for n, m in ((1, "unreachable"), (2, "leader"))])
    assert leads(majority, *nodes(b.node("mgr1", manager="leader"))), "and seen from the other side"


def test_a_leader_that_was_cut_off_and_has_not_noticed_is_none() -> None:
    ours = b.snapshot([b.node("mgr1", manager="unreachable"), b.node("mgr2", manager="leader")])
    assert not leads(ours, *nodes(b.node("mgr1", manager="leader"), b.node("mgr2", manager="reachable")))
    same = b.snapshot([b.node("mgr1", manager="leader"), b.node("mgr2", manager="reachable")])
    assert not leads(same, *nodes(b.node("mgr1", manager="leader"), b.node("mgr2", manager="reachable")))
    assert not leads(same, *nodes(b.node("mgr9"))), "one without a leader is none"


def test_a_manager_of_any_other_swarm_is_none() -> None:
    ours = b.snapshot([b.node("mgr1", manager="leader")])
    info = Info(swarm=SwarmInfo(control_available=True, cluster=Cluster(id="another")))
    assert not is_rival(ours, info, nodes(b.node("mgr2", manager="leader")))


async def test_a_session_notices_it_and_that_it_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(rivals, "AGAIN_SECONDS", 0.2)
    async with Demo("calm", speed=20, seed=1) as demo:
        await two_swarms(demo)
        session = Session(find("simulated", load(demo.config), bundles=tmp_path), Nobody())
        async with session.opened():
            await session.until_live(30)
            known = session._known.changes
            async with asyncio.timeout(30):
                await known.until(lambda: bool(session.snapshot.rivals))
            rival = session.snapshot.rivals
            assert rival <= {"mgr1", "mgr2", "mgr3"} and session.connection.through not in rival
            (told,) = [f for f in findings(session.snapshot, now=0.0) if f.rule == "two-swarms"]
            assert "live side by side" in told.what and "swarmtui recover" in told.advice
            # Looking does not start what somebody stopped: only docker.service is, its socket goes on listening.
            for name in rival:
                demo.world.stop_docker(demo.world.hosts[name], socket=False)
            async with asyncio.timeout(30):
                await known.until(lambda: not session.snapshot.rivals)
            await asyncio.sleep(0.5)
            assert not any(demo.world.hosts[name].docker for name in rival)
