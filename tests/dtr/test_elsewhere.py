"""A DTR that nobody sees: one that answers at its address, one whose nodes are off, one that was only noted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from swarmtui.config import state_dir
from swarmtui.demo.serve import Demo
from swarmtui.errors import RefusedError
from swarmtui.link.dtr import memory
from swarmtui.model.dtr.seen import Place
from swarmtui.runbooks.dtr.elsewhere import look_elsewhere, well_at
from swarmtui.runbooks.dtr.hosts import look_at_all
from tests.demo.platform_driver import Platform
from tests.faults import ucp_stage
from tests.ucp.test_opened import looking
from tests.ucp.tls import Asked, Authority, answer, serving

RUN = "20261122T084003Z-elsewhere"
HERE, AWAY, GONE = "47f20fb864cf", "0123456789ab", "ba9876543210"


async def test_whoever_answers_at_an_address_is_heard_without_its_authority(tmp_path: Path) -> None:
    asked: list[Asked] = []
    status = 200

    async def speaks(one: Asked, writer: Any) -> None:
        asked.append(one)
        writer.write(answer(status, b'{"Healthy": true}'))

    async with serving(speaks, Authority().server(tmp_path, "other.example")) as url:
        assert await well_at("", "https://127.0.0.1:1", url, url) == url
        assert [(one.method, one.path, one.token, one.body) for one in asked] == [("GET", "/_ping", "", b"")]
        status = 503
        assert await well_at(url) == "", "a load balancer before nothing, or a DTR without a quorum"
    assert await well_at(url, "", "http://no-tls", "https://[nonsense") == ""


async def test_what_was_noted_is_told_where_its_node_does_not_answer(tmp_path: Path) -> None:
    async with Demo("platform", speed=20, seed=1) as demo, looking(demo, tmp_path) as session:
        demo.world.crash(demo.world.hosts["dtr3"])
        async with asyncio.timeout(60):
            while not {node.id for node in session.snapshot.nodes.values() if node.status.state == "down"}:
                await session.refresh()
                await asyncio.sleep(0.05)
        kept = {HERE: Place("dtr1"), AWAY: Place("dtr3"), GONE: Place(""), "00000000000d": Place("mgr1")}
        memory.remember(state_dir() / "dtr", session.snapshot.cluster_id, kept)
        found = await look_elsewhere(session, await look_at_all(session))
        assert found.noted == {AWAY: "dtr3", GONE: ""}, "mgr1 answers, and has nothing of it"
        assert found.network and found.signs == (
            f"replica {AWAY} was last seen on dtr3",
            f"replica {GONE} was last seen on a node that nobody noted",
            "the Swarm has DTR's network dtr-ol",
        )
    async with Demo("no-dtr", speed=20, seed=1) as demo, looking(demo, tmp_path) as session:
        nothing = await look_elsewhere(session, await look_at_all(session), "https://dtr.shop.example")
        assert (nothing.answers, nothing.network) == ("", False)


async def test_hosts_that_were_taken_out_of_the_swarm_still_have_a_dtr_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it lies on any node of the Swarm, and at its address it works."""
    place = {"node": "wrk4", "url": "https://dtr.shop.example", "storage": "nfs://nas.shop.example/dtr"}
    async with Demo("platform", speed=50, seed=1) as demo:
        ucp_stage.secrets(demo, tmp_path / "kept", monkeypatch)
        outcome = await ucp_stage.run(demo, tmp_path, f"{RUN}-0001", "dtr.backup")
        assert outcome is not None and outcome.ok
        for name in ("dtr1", "dtr2", "dtr3"):
            code, _, _ = await Platform(demo).run("mgr1", f"docker node rm --force {name}")
            assert code == 0
        with pytest.raises(RefusedError, match="all of its 3 replicas are healthy: there is nothing to restore"):
            await ucp_stage.run(demo, tmp_path, f"{RUN}-0002", "dtr.restore", **place)
        with pytest.raises(RefusedError, match="says by /_ping that it is well, though no node of simulated"):
            await ucp_stage.run(demo, tmp_path, f"{RUN}-0003", "dtr.install", version="2.4.1", **place)
