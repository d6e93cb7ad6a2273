"""The console on the simulated cluster, over SSH on loopback, driven by keys. On real dockerds: tests/actions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from docker import APIClient

from swarmtui import config
from swarmtui.demo.serve import Demo
from swarmtui.link.target import SocketTarget
from swarmtui.model.text import harmless
from swarmtui.opening import Opening, find
from swarmtui.ui.keys import NODE_ACTIONS
from tests.driver import Driver, driven

SPEED = 20


@asynccontextmanager
async def opened(
    tmp_path: Path, scenario: str = "calm", *, read_only: bool = False, size: tuple[int, int] = (140, 40)
) -> AsyncIterator[tuple[Demo, Driver]]:
    """A console on a scenario, with its nodes on the screen."""
    async with Demo(scenario, speed=SPEED, seed=1) as demo:
        opening = find("simulated", config.load(demo.config), bundles=tmp_path / "bundle")
        async with driven(opening, tmp_path / "journal", read_only=read_only, size=size) as console:
            await console.nodes().live().contains("mgr1", "wrk1")
            yield demo, console


@asynccontextmanager
async def docker_client(demo: Demo, host: str) -> AsyncIterator[APIClient]:
    """The stock SDK on one simulated host: another operator, who knows nothing of our code."""
    socket = next(entry["docker"] for entry in demo.hosts if entry["name"] == host)
    client = await asyncio.to_thread(APIClient, base_url=socket, version="auto")
    try:
        yield client
    finally:
        client.close()


async def test_a_drain_is_planned_confirmed_and_proved(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.nodes().select("wrk1").press("D").dialog("docker node update --availability drain wrk1")
        await console.here().confirm().until_done()
        await console.nodes().shows("wrk1", "drain", "0")
        await console.nodes().select("wrk1").press("A").confirm().until_done()
        await console.nodes().shows("wrk1", "active")


async def test_what_waits_is_told_in_words_and_whole_at_a_key(tmp_path: Path) -> None:
    async with opened(tmp_path, size=(80, 24)) as (_, console):
        await console.nodes().select("wrk1").press("D").at("confirm").press("pagedown", "pagedown", "pagedown")
        await console.here().sees("on a manager: wait until wrk1 is empty, at most 600 s", "w Whole commands")
        assert "until s=" not in console.words
        await console.here().press("c").told("The commands are copied.")
        assert "i=0; until s=$(docker node ps" in console.app.clipboard
        await console.here().press("w").sees("on a manager$ i=0; until s=$(docker node ps")
        await console.here().press("w").sees("at most 600 s").press("y").at("run").sees("Done and verified.", within=60)
        await console.here().sees("at most 600 s").press("w").sees("i=0; until [")
        await console.here().press("up", "up").sees("on a manager$ docker node update")
        await console.here().press("down").sees("i=0; until s=").until_done()


async def test_marked_nodes_are_paused_one_after_the_other(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.nodes().mark("wrk1", "wrk2").press("S").dialog("Pause wrk1, wrk2").confirm().until_done()
        await console.nodes().shows("wrk1", "pause").shows("wrk2", "pause").shows("wrk3", "active")
        assert "marked" not in console.text


async def test_a_demotion_that_costs_the_last_tolerance_wants_the_name_typed(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.nodes().select("mgr2").press("M").dialog("SAFETY RULE tolerance=mgr2", "survives 1 loss")
        await console.here().sees("f2 Whole commands", "f3 Copy commands").press("f2").sees("i=0; until [").press("f2")
        await console.here().press("y").type("no").press("enter").told("nothing was done").at("confirm").leave()
        await console.nodes().shows("mgr2", "Reachable")
        await console.nodes().press("M").confirm("mgr2").until_done()
        await console.nodes().shows("mgr2", "-").header("2/2 managers, survives no loss")


async def test_demoting_the_manager_in_use_moves_the_connection_first(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.nodes().header("via root@mgr1").select("mgr1").press("M").dialog("Move our own connection")
        await console.here().confirm("mgr1").until_done()
        await console.nodes().live().shows("mgr1", "-")
        assert "via root@mgr1" not in console.header


async def test_labels_are_asked_for_and_checked(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.nodes().select("wrk2").press("L").answer("nonsense").sees("neither KEY=VALUE nor KEY-")
        await console.here().press("ctrl+u").type("rack=7,zone-").press("enter").dialog("--label-add rack=7")
        await console.here().confirm().until_done()
        await console.nodes().select("wrk2").press("d").sees("rack=7")
        assert "zone=" not in console.text


async def test_esc_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        for action in NODE_ACTIONS:
            if action.runbook in ("node.promote", "node.activate"):
                continue  # nothing to do on this node: no dialog
            await console.nodes().select("mgr2").press(action.key)
            if action.asks:
                await console.here().answer("a=b")
            await console.here().at("confirm").leave()
        await console.nodes().shows("mgr2", "ready", "active", "Reachable")
        assert not list((tmp_path / "journal").glob("*"))


async def test_what_needs_no_change_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.nodes().select("wrk1").press("A").told("Nothing to do: wrk1 already is active")
        await console.nodes().select("mgr1").press("P").told("Nothing to do: mgr1 already is a manager")


async def test_read_only_binds_nothing_that_changes(tmp_path: Path) -> None:
    async with opened(tmp_path, read_only=True) as (_, console):
        bound = {binding.action for _, binding, _, _ in console.app.screen.active_bindings.values()}
        assert not [action for action in bound if action.startswith("act(")]
        assert "read-only" in console.header
        for action in NODE_ACTIONS:
            await console.nodes().select("wrk1").press(action.key).at("main")
        assert "Drain" not in console.text


async def test_it_asks_again_when_the_cluster_changed_behind_the_dialog(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        await console.nodes().select("mgr2").press("M").dialog("SAFETY RULE tolerance=mgr2")
        demo.world.crash(demo.world.hosts["mgr3"])
        await console.here().sees("Type").type("mgr2").press("enter")
        # The survivors have noticed by now, and without mgr2 nobody would be left to agree.
        await console.here().dialog("the cluster changed while you looked", "SAFETY RULE quorum=mgr2").leave()
        await console.nodes().header("2/3 managers, survives no loss").shows("mgr2", "Reachable")


async def test_the_action_stays_with_its_node_when_rows_move(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.nodes().select("wrk3").press("S").dialog("Pause wrk3")
        table = console.app.main.table("nodes")
        assert table is not None
        table.set_sort("name", reverse=True)
        table.action_first()
        await console.here().confirm().until_done()
        await console.nodes().shows("wrk3", "pause").shows("wrk5", "active")


async def test_fail_over_is_told_and_data_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        demo.world.crash(demo.world.hosts["mgr1"])
        await console.nodes().header("Moved from root@mgr1", within=40).live(within=40).contains("mgr1", "wrk5")
        await console.nodes().shows("mgr1", "Unreachable", within=40).header("2/3 managers, survives no loss")


async def test_filter_marks_and_views(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.nodes().press("slash").type("label=zone=a").press("enter").lacks("wrk2").contains("wrk1", "mgr1")
        await console.nodes().press("slash").press("ctrl+u").type("!mgr").press("enter").lacks("mgr1").contains("wrk2")
        await console.nodes().press("escape").contains("mgr1")
        await console.nodes().press("slash").type("[").press("enter").told("no regular expression")
        await console.nodes().press("colon").type("svc").press("enter").sees("SERVICE", "shop_web")
        await console.here().press("colon").type("nowhere").press("enter").told('There is no view "nowhere"')


async def test_looking_screens(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await (
            console.nodes()
            .select("mgr1")
            .press("y")
            .at("reading")
            .press("end")
            .sees('"ManagerStatus"', '"Leader": true')
            .leave()
        )
        await console.nodes().press("question_mark").sees("Lowercase looks, uppercase", "Empty the node").leave()
        await console.nodes().press("a").sees("Alarms and advice").leave()
        await console.nodes().press("i").sees("live through root@mgr1", "way: forward").leave()
        await console.nodes().press("v").told("Nothing was run from this console yet")


async def test_80x24_shows_what_matters_and_all_keys(tmp_path: Path) -> None:
    async with opened(tmp_path, size=(80, 24)) as (_, console):
        assert "3/3 managers, survives 1 loss" in console.lines[1]
        assert all(word in console.lines[3] for word in ("NODE", "STATE", "AVAIL", "MANAGER", "TASKS", "ADDRESS"))
        assert all(action.label in console.text for action in NODE_ACTIONS)


async def test_nobody_answers_the_console_opens_and_says_what_it_tried(tmp_path: Path) -> None:
    opening = Opening("nowhere", (SocketTarget(str(tmp_path / "no.sock")),))
    async with driven(opening, tmp_path / "journal") as console:
        await console.here().header("connecting").sees("no.sock", within=20)
        await console.here().press("i").sees("no.sock", "named managers").leave()
        await console.here().press("D").told("no")


async def test_an_unknown_host_key_is_shown_asked_and_kept(tmp_path: Path) -> None:
    async with Demo("calm", speed=SPEED, seed=1) as demo:
        known = config.load(demo.config)
        trusted = find("simulated", known, bundles=tmp_path / "bundle")
        mine = tmp_path / "known_hosts"
        ssh = type(trusted.ssh)(config_file=trusted.ssh.config_file, known_hosts=mine)
        opening = Opening("untrusted", trusted.targets[:1], trusted.cluster, ssh)
        async with driven(opening, tmp_path / "journal") as console:
            await console.here().at("ask").sees("SHA256:", "is not known").answer("yes")
            await console.nodes().live().contains("mgr1")
        assert mine.read_text().count("ssh-ed25519") == 1


async def test_leaving_while_a_run_is_under_way_is_asked(tmp_path: Path) -> None:
    async with Demo("calm", speed=1, seed=1) as demo:
        opening = find("simulated", config.load(demo.config), bundles=tmp_path / "bundle")
        async with driven(opening, tmp_path / "journal") as console:
            await console.nodes().live().select("wrk1").press("D").confirm().at("run").press("escape").at("main")
            await console.here().header("Drain wrk1").press("q").sees("is under way", "run --resume").press("escape")
            await console.here().at("main").press("D").told("is under way")


@pytest.mark.parametrize("name", ["[red]boo[/red]", "a\x1b[2Jb", "x‮y"])
async def test_hostile_labels_are_shown_harmless(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path) as (demo, console):
        async with docker_client(demo, "mgr1") as client:
            for node in await asyncio.to_thread(client.nodes):
                spec = {**node["Spec"], "Labels": {"zone": name}}
                await asyncio.to_thread(client.update_node, node["ID"], node["Version"]["Index"], spec)
        await console.nodes().select("wrk1").press("d").at("reading").sees(f"zone={harmless(name)}")
        assert "\x1b" not in console.text and "‮" not in console.text
        if name.startswith("["):
            assert name in console.text
