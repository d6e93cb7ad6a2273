"""UCP's own view on the simulator: how it is on each node, what is wrong with it; and it never holds up the rest."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from swarmtui.link.ucp import watching
from tests.ui.test_console import opened


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.2)
    for name in ("DOOR_SECONDS", "PARTS_SECONDS", "WANTED_SECONDS"):
        monkeypatch.setattr(watching, name, 0.5)
    monkeypatch.setattr(watching, "PATIENCE", 1.5)


async def test_the_view_tells_every_node_the_managers_and_the_load_balancer(tmp_path: Path) -> None:
    async with opened(tmp_path, "platform") as (demo, console):
        await console.here().header("UCP 2.2.5", "no alarms")
        await console.here().view("ucp").title("UCP 2.2.5, instance", "3/3 managers healthy")
        await console.here().shows("mgr2", "Manager", "healthy", "200", "12/12", "2.2.5")
        await console.here().shows("127.0.0.1", "Balancer", "healthy", "200")
        # Workers are read because the view is on the screen.
        await console.here().shows("wrk1", "Worker", "healthy", "-", "3/3")
        await console.here().select("mgr2").press("d").at("reading")
        await console.here().sees("Manager", "docker/ucp:2.2.5", "/_ping: 200", "ucp.shop.example", "ucp-reconcile")
        await console.here().sees("Exited (0)", "signed by", "UCP Client Root CA").leave()
        await console.here().select("127.0.0.1").press("d").at("reading").sees("/_ping: 200", "made out to").leave()
        await console.here().press("y").told("No engine has a node as an object of its own")
        await console.here().select("wrk1").press("t").title("node=wrk1")
        assert demo.world.ucp is not None and demo.world.ucp.instance in console.app.session.snapshot.cluster_id  # type: ignore[union-attr]


async def test_what_is_ill_is_an_alarm_and_goes_when_it_is_well_again(tmp_path: Path) -> None:
    async with opened(tmp_path, "platform") as (demo, console):
        ucp = demo.world.ucp
        assert ucp is not None
        await console.here().view("ucp").header("no alarms")
        ucp.sick["mgr2"] = "RethinkDB Health check timed out"
        await console.here().shows("mgr2", "UNHEALTHY", "500").header("UCP 2.2.5: 2/3 HEALTHY", "1 alarm")
        await console.here().press("a").at("reading").sees("UCP on mgr2 is not healthy", "rule ucp-unhealthy").leave()
        ucp.sick.clear()
        await console.here().shows("mgr2", "healthy", "200").header("no alarms")
        proxy = next(one for one in demo.world.hosts["wrk1"].containers.values() if one.name == "ucp-proxy")
        proxy.state, proxy.exit_code, proxy.pid = "exited", 137, 0
        await console.here().shows("wrk1", "UNHEALTHY", "2/3").select("wrk1").press("d").at("reading")
        await console.here().sees("ucp-proxy has ended (137)", "docker ps -a --filter name=ucp-").leave()


async def test_web_servers_that_are_slow_wrong_or_never_answer_hold_up_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, "platform") as (demo, console):
        ucp = demo.world.ucp
        assert ucp is not None
        ucp.pings.update(mgr1="never", mgr2="wrong", mgr3="never")
        await console.here().view("ucp").shows("mgr1", "UNHEALTHY", "none").shows("mgr3", "none")
        await console.here().shows("mgr2", "UNHEALTHY", "200").sees("shows a web page")
        began = time.monotonic()
        await console.here().press("ctrl+r").press("a").at("reading").sees("CRITICAL", "rule ucp-down").leave()
        await console.nodes().live().shows("mgr1", "ready", "Leader")
        # Three that never answer are waited for by nobody: a key needs no second.
        assert time.monotonic() - began < 10
        demo.world.hosts["wrk2"].containers.clear()
        await console.here().view("ucp").shows("wrk2", "UNHEALTHY", "0/3")


async def test_a_swarm_without_ucp_is_asked_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(watching, "look_at", lambda url, *_, **__: asked.append(url))
    monkeypatch.setattr(watching, "read_parts", lambda get: asked.append("parts"))
    async with opened(tmp_path) as (_, console):
        await console.here().view("ucp").sees("No UCP (MKE) manages this Swarm", "swarmtui run ucp.install")
        await console.here().press("colon").type("mke").press("enter").title("UCP (0)")
        assert asked == [] and "UCP" not in console.header


async def test_the_keys_of_the_view_begin_what_is_done_with_ucp(tmp_path: Path) -> None:
    async with opened(tmp_path, "platform") as (_, console):
        await console.here().view("ucp").shows("mgr2", "healthy")
        for key, words in {"N": "how the user logs in", "C": "Bundle: ", "J": "Join: "}.items():
            await console.here().press(key).at("ask").sees(words).leave()
        await console.here().press("X").dialog("no node can join").leave()
        await console.here().press("B").dialog("docker/ucp:2.2.5 backup").leave()


async def test_draining_a_manager_under_ucp_is_refused_and_a_worker_is_not(tmp_path: Path) -> None:
    async with opened(tmp_path, "platform") as (_, console):
        await console.nodes().select("mgr2").press("D").dialog("SAFETY RULE ucp-drain=mgr2", "UCP's own agents").leave()
        await console.nodes().select("wrk1").press("D").at("confirm")
        assert "ucp-drain" not in console.words
        await console.here().leave()
