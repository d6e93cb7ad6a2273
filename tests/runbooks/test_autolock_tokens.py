"""Join tokens and the root CA on the simulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swarmtui.errors import RefusedError, UsageError
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.swarm import cluster_steps
from swarmtui.runbooks.swarm.cluster_steps import read_swarm
from tests.runbooks.locked import Locked, locked_swarm


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_steps, "POLL_SECONDS", 0.05)


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Locked]:
    async with locked_swarm(tmp_path) as locked:
        yield locked


async def test_each_token_is_rotated_by_itself_and_never_written_down(on: Locked) -> None:
    cluster = on.cluster
    worker, manager = cluster.worker_token, cluster.manager_token
    async with on.session() as session:
        await on.do(session, "swarm.rotate-tokens", role="worker")
        assert cluster.manager_token == manager
        assert cluster.worker_token != worker
        second = cluster.worker_token
        plan = await on.do(session, "swarm.rotate-tokens", role="both")
        assert [shown.line for step in plan.steps for shown in step.shown] == [
            "docker swarm join-token --rotate -q worker >/dev/null",
            "docker swarm join-token --rotate -q manager >/dev/null",
        ]
        assert cluster.worker_token not in (worker, second)
        assert cluster.manager_token != manager
        assert "SWMTKN" not in repr(await read_swarm(session))
    assert "SWMTKN" not in on.written
    for token in (worker, second, manager, cluster.worker_token, cluster.manager_token):
        assert token.rpartition("-")[2] not in on.written


def test_a_role_that_is_none_is_refused() -> None:
    runbook = registry.runbook("swarm.rotate-tokens")
    with pytest.raises(UsageError, match="neither worker nor manager nor both"):
        params.parse(runbook.name, runbook.params, {"role": "leader"})


async def test_every_node_follows_the_new_root_before_it_counts_as_done(on: Locked) -> None:
    cluster = on.cluster
    root, token = cluster.authority.pem, cluster.worker_token
    async with on.session() as session:
        await on.do(session, "swarm.rotate-ca")
        assert not cluster.rotating
        assert cluster.authority.pem != root
        assert cluster.worker_token != token
        assert {node.tls["TrustRoot"] for node in cluster.nodes.values()} == {cluster.authority.pem}
        assert any("still have a certificate of the old CA" in line for line in on.said), on.said
        assert cluster.spec["CAConfig"]["ForceRotate"] == 1


async def test_a_node_that_is_down_holds_it_up_and_is_named(on: Locked) -> None:
    world = on.demo.world
    world.crash(world.hosts["wrk2"])
    async with on.session() as session:
        await on.until(session, "swarm.rotate-ca", down=["wrk2"])
        plan = await on.plan(session, "swarm.rotate-ca", wait="2")
        assert plan.warnings == ("wrk2 is not ready: the rotation does not end before it is back, or removed.",)
        outcome = await on.run(session, plan)
        assert outcome.error is not None
        assert "6 of 7 nodes follow; wrk2 (down) still have a certificate of the old CA." in outcome.error.what
        with pytest.raises(RefusedError, match="is being rotated right now"):
            await on.plan(session, "swarm.rotate-ca")
