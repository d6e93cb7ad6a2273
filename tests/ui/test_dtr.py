"""DTR's own view on the simulator: each replica, the cluster in a line, what is wrong; it holds up nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from swarmtui.link.dtr import behind, watching
from swarmtui.link.ucp import watching as ucp_watching
from swarmtui.vault import Kind, Secret
from tests.driver import Driver
from tests.ui.test_console import opened


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "FIRST_SECONDS", 0.1)
    for module in (watching, ucp_watching):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.2)
        monkeypatch.setattr(module, "DOOR_SECONDS", 0.5)
        monkeypatch.setattr(module, "WANTED_SECONDS", 0.5)
        monkeypatch.setattr(module, "PATIENCE", 1.5)
    for name in ("HELD_SECONDS", "TOLD_SECONDS"):
        monkeypatch.setattr(watching, name, 0.5)
    monkeypatch.setattr(watching, "SEARCH_SECONDS", 2.0)


async def with_password(demo: Demo, console: Driver, password: str = "") -> None:
    """Puts the password of UCP's administrator into the vault."""
    session = console.app.session
    assert session is not None and demo.platform is not None
    secret = Secret(password or demo.platform["admin"]["password"])
    await session.vault.put(Kind.UCP_PASSWORD, session.snapshot.cluster_id, secret, name="simulated")


async def test_the_view_tells_each_replica_the_load_balancer_and_the_cluster_in_a_line(tmp_path: Path) -> None:
    async with opened(tmp_path, "platform") as (demo, console):
        await console.here().view("dtr").title("DTR 2.4.1, 3/3 healthy, may lose 1", "cluster_status NOT READ")
        await console.here().press("a").at("reading").sees("no password of admin", "rule dtr-not-asked").leave()
        await with_password(demo, console)
        await console.here().press("ctrl+r").title("3/3 healthy, may lose 1, NFS, https://dtr.shop.example")
        assert demo.world.dtr is not None
        for one in demo.world.dtr.replicas.values():
            await console.here().shows(one.id, one.host, "healthy", "200", "9/9", "2.4.1", "read-write")
        first, second, _ = demo.world.dtr.replicas
        await console.here().shows(first, "primary", "2/2").shows(second, "copies", "2/2")
        await console.here().shows("127.0.0.1", "Balancer", "healthy", "200").header("no alarms")
        await (
            console.here()
            .select(second)
            .press("d")
            .at("reading")
            .sees("DTR says OK", "2 of 2, primary of 0", "/_ping: 200")
        )
        await (
            console.here().press("end").sees(f"dtr-rethink-{second}", "nfs://nas.shop.example/dtr", "all well").leave()
        )
        await console.here().select("127.0.0.1").press("d").at("reading").sees("/_ping: 200", "made out to").leave()
        await console.here().select(second).press("n").title("Nodes").cursor_on("dtr2")


async def test_what_is_ill_is_an_alarm_with_dtrs_own_words_and_goes_when_it_is_well_again(tmp_path: Path) -> None:
    async with opened(tmp_path, "platform") as (demo, console):
        await with_password(demo, console)
        dtr = demo.world.dtr
        assert dtr is not None
        first, second, third = dtr.replicas
        await console.here().view("dtr").shows(second, "healthy", "copies", "2/2").header("no alarms")
        dtr.replicas[second].sick = "registry: [bold]disk is full"
        await console.here().shows(second, "UNHEALTHY", "503").sees("registry: [bold]disk is full")
        await console.here().header("DTR 2.4.1: 2/3 HEALTHY", "1 alarm").press("a").at("reading")
        await console.here().sees("registry: [bold]disk is full", "rule dtr-unhealthy").leave()
        dtr.replicas[second].sick = ""
        await console.here().shows(second, "healthy", "200").header("no alarms")
        # A majority goes: its API answers nothing any more, and its containers and nodes tell all the same.
        demo.world.crash(demo.world.hosts["dtr2"])
        demo.world.crash(demo.world.hosts["dtr3"])
        await console.here().shows(second, "DOWN").shows(third, "DOWN").title("quorum LOST", "cluster_status NOT READ")
        await console.here().header("DTR 2.4.1: 0/3 HEALTHY, QUORUM LOST").press("a").at("reading")
        await (
            console.here().sees("1 of 3 replicas are up and 2 are needed", "Destroy and restore nothing before").leave()
        )
        await console.here().shows(first, "dtr1", "UNHEALTHY", "503", "2.4.1")


async def test_a_dtr_that_is_slow_wrong_or_never_answers_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "API_SECONDS", 1.5)
    async with opened(tmp_path, "platform") as (demo, console):
        await with_password(demo, console)
        dtr = demo.world.dtr
        assert dtr is not None
        first, second, third = dtr.replicas
        await console.here().view("dtr").shows(second, "copies", "2/2")
        dtr.answers.update(dtr1="never", dtr2="wrong", dtr3="never")
        await console.here().shows(first, "UNHEALTHY", "none").shows(third, "UNHEALTHY", "none")
        await console.here().shows(second, "UNHEALTHY", "200").header("HEALTHY")
        began = time.monotonic()
        await console.here().press("ctrl+r").press("a").at("reading").sees("rule dtr-down").leave()
        await console.nodes().live().shows("mgr1", "ready", "Leader")
        assert time.monotonic() - began < 10, "those that never answer are waited for by nobody"


async def test_a_password_that_is_refused_is_tried_once(tmp_path: Path) -> None:
    async with opened(tmp_path, "platform") as (demo, console):
        await with_password(demo, console, "wrong-password")
        await console.here().view("dtr").title("cluster_status NOT READ").press("a").at("reading")
        await console.here().sees("not tried again by itself", "rule dtr-not-asked").leave()
        await with_password(demo, console)
        await console.here().view("dtr").title("NFS")


async def test_a_swarm_without_dtr_is_asked_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(watching, "look_at", lambda url, *_, **__: asked.append(url))
    monkeypatch.setattr(watching.NodeEngines, "read", lambda self, node, *_: asked.append(node.name))
    async with opened(tmp_path) as (_, console):
        await console.here().view("dtr").sees("No DTR (MSR) is known on this Swarm", "swarmtui run dtr.install")
        await console.here().press("ctrl+r").press("colon").type("msr").press("enter").title("DTR replicas")
        assert asked == [] and "DTR" not in console.header and console.app.session is not None
        assert console.app.session.snapshot.dtr is None


async def test_the_keys_of_the_view_begin_what_is_done_with_dtr(tmp_path: Path) -> None:
    async with opened(tmp_path, "platform") as (demo, console):
        await with_password(demo, console)
        assert demo.world.dtr is not None
        second = list(demo.world.dtr.replicas)[1]
        await console.here().view("dtr").shows(second, "healthy", "copies").select(second)
        for key, words in {"J": "Join: ", "I": "Install: "}.items():
            await console.here().press(key).at("ask").sees(words).leave()
        await console.here().press("X").dialog("Remove replica", second, "docker/dtr:2.4.1 remove").leave()
        await console.here().press("B").dialog("docker/dtr:2.4.1 backup", "--log-driver none").leave()
        await console.here().press("E").told("emergency-repair")


async def test_a_replica_that_the_load_balancer_leaves_out_is_told_until_it_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "WANTED_SECONDS", 0.5)
    async with opened(tmp_path, "platform") as (demo, console):
        assert demo.world.dtr is not None
        left_out = next(one for one in demo.world.dtr.replicas.values() if one.host == "dtr2")
        demo.world.dtr_behind = {"dtr1", "dtr3"}
        await with_password(demo, console)
        await console.here().view("dtr").press("ctrl+r").sees("never led to dtr2").header("1 alarm")
        told = (f"never led to {left_out.id} on dtr2", "rule dtr-balancer-lacks")
        await console.here().press("a").at("reading").sees(*told).leave()
        demo.world.dtr_behind.add("dtr2")
        await console.here().press("ctrl+r").header("no alarms")
        words = ("leads to", "by the newest 24 connections from here")
        await console.here().select("127.0.0.1").press("d").at("reading").sees(*words).leave()
