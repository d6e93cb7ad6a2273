"""Every action from the keyboard, on real engines of both versions; what it did is told by the docker CLI."""

from __future__ import annotations

import pytest

from tests.actions.conftest import Open
from tests.actions.truth import Truth
from tests.lab import Lab

WORKERS = ("wrk1", "wrk2")


async def test_drain_suspend_activate_and_label(swarm: Lab, truth: Truth, console: Open) -> None:
    web = truth.service("web", 4, on=WORKERS)

    async with console() as driver:
        await driver.nodes().contains("mgr1", "mgr2", "mgr3", *WORKERS).live()
        await driver.nodes().shows("wrk1", "ready", "active", "2").shows("mgr1", "←")
        await driver.nodes().shows(truth.leader(), "Leader")
        await (
            driver.nodes()
            .select("wrk1")
            .press("D")
            .dialog("Drain wrk1", "web: 2 tasks may move to wrk2", "docker node update --availability drain wrk1")
            .confirm()
            .until_done()
        )
        assert truth.containers("wrk1") == []
        assert truth.placed(web) == ["wrk2"] * 4
        await driver.nodes().shows("wrk1", "drain", "0").shows("wrk2", "4")

        await driver.nodes().select("wrk1").press("D").told("wrk1 already is drained")
        await driver.nodes().press("A").dialog("Activate wrk1", "Nothing moves back").confirm().until_done()
        assert truth.availability("wrk1") == "active"
        assert truth.containers("wrk1") == []

        running = truth.containers("wrk2")
        await driver.nodes().select("wrk2").press("S").dialog("Pause wrk2").confirm().until_done()
        assert truth.availability("wrk2") == "pause"
        assert truth.containers("wrk2") == running
        await driver.nodes().shows("wrk2", "pause", "4")

        await (
            driver.nodes().press("L").answer("zone").sees("neither KEY=VALUE nor KEY-").press("ctrl+u").answer("zone=a")
        )
        await driver.here().dialog("docker node update --label-add zone=a wrk2").confirm().until_done()
        assert truth.labels("wrk2") == {"zone": "a"}
        await driver.nodes().shows("wrk2", "a").press("L").answer("zone-,disk=ssd").confirm().until_done()
        assert truth.labels("wrk2") == {"disk": "ssd"}


async def test_promote_and_demote(swarm: Lab, truth: Truth, console: Open) -> None:
    async with console() as driver:
        await driver.nodes().live().header("3/3 managers, survives 1 loss")
        await driver.nodes().mark(*WORKERS).press("P").dialog("Promote wrk1, wrk2").confirm().until_done()
        assert truth.managers() == ["mgr1", "mgr2", "mgr3", "wrk1", "wrk2"]
        assert truth.reachability("wrk1") == truth.reachability("wrk2") == "reachable"
        await driver.nodes().header("5/5 managers, survives 2 losses").shows("wrk1", "Reachable")
        assert "marked" not in driver.text

        await driver.nodes().select("wrk2").press("M").dialog("now: 5/5", "after: 4/4").confirm().until_done()
        assert truth.reachability("wrk2") == ""
        await driver.nodes().header("4/4 managers").shows("wrk2", "-")


@pytest.mark.lab
async def test_a_node_that_is_to_go_is_named_by_typing_it(lab: Lab, truth: Truth, console: Open) -> None:
    truth.notices_soon()
    async with console() as driver:
        await driver.nodes().live().select("wrk2").press("X").dialog("Remove wrk2", "docker swarm leave")
        await driver.here().press("y").type("rk1").press("enter").told('That is not "wrk2": nothing was done.')
        assert "wrk2" in truth.names()
        await driver.here().confirm("wrk2").until_done()
        assert truth.names() == ["mgr1", "mgr2", "mgr3", "wrk1"]
        assert lab["wrk2"].swarm_state() == "inactive"
        await driver.nodes().lacks("wrk2").contains("wrk1")


@pytest.mark.lab
async def test_marked_nodes_are_taken_together_also_those_the_filter_hides(
    lab: Lab, truth: Truth, console: Open
) -> None:
    async with console() as driver:
        await driver.nodes().live().press("slash").type("wrk").press("enter")
        await driver.nodes().contains(*WORKERS).lacks("mgr1").press("asterisk").sees("2 marked", "2 of 5, filter: wrk")
        await driver.nodes().press("slash", *["backspace"] * 3).type("!mgr2 node=mgr*").press("enter")
        await driver.nodes().lacks("mgr2", *WORKERS).contains("mgr1", "mgr3").mark_is(2)
        await driver.nodes().select("mgr3").press("space").mark_is(3)
        await driver.nodes().press("D").dialog("Drain mgr3, wrk1, wrk2").confirm().until_done()
        assert [name for name in truth.names() if truth.availability(name) == "drain"] == ["mgr3", *WORKERS]

        await driver.nodes().press("escape").contains("mgr2", *WORKERS).press("backslash")
        await driver.nodes().press("slash").type("[").press("enter").told("no regular expression")
        truth.docker("node", "update", "--label-add", "zone=a", "wrk2")
        await driver.nodes().press("slash").type("label=zone=a").press("enter").contains("wrk2").lacks("wrk1", "mgr1")
        await driver.nodes().mark("wrk2").press("escape").contains("wrk1").mark_is(1).press("escape").mark_is(0)


@pytest.mark.lab
async def test_esc_leaves_everything_as_it_is(lab: Lab, truth: Truth, console: Open) -> None:
    before = truth.specs()

    async with console() as driver:
        await driver.nodes().live().select("mgr2")
        for key in "DASPMX":
            driver.app.told.clear()
            await driver.here().press(key)
            await driver.until("a plan, or why there is none", lambda: driver.screen == "confirm" or driver.app.told)
            if driver.screen == "confirm":
                await driver.here().leave()
        await driver.here().press("L").at("ask").leave()
        await driver.here().press("L").answer("zone=z").dialog("zone=z").press("n").at("main")
        await driver.here().press("X").dialog("SAFETY RULE tolerance=mgr2").type("mgr2").press("escape").at("main")
        assert driver.app.current_run is None

    assert truth.specs() == before


@pytest.mark.lab
async def test_a_read_only_console_has_no_key_that_changes_anything(lab: Lab, truth: Truth, console: Open) -> None:
    changing = list("DASPMLX")
    async with console() as driver:
        await driver.nodes().live().sees("D Drain")
        assert set(changing) <= set(driver.app.screen.active_bindings)

    before = truth.specs()
    async with console(read_only=True) as driver:
        await driver.nodes().live().header("read-only").select("wrk1").press(*changing, "question_mark").at("reading")
        assert "Change the node" not in driver.text
        await driver.here().leave()
        assert not set(changing) & set(driver.app.screen.active_bindings)
        assert "Drain" not in driver.text
        await driver.here().press("slash").type("wrk1").press("enter").press("d").sees("Node wrk1").leave()
    assert truth.specs() == before


@pytest.mark.lab
async def test_looking(lab: Lab, truth: Truth, console: Open) -> None:
    truth.docker("node", "update", "--label-add", "zone=a", "--availability", "pause", "wrk1")
    web = truth.service("web", 1, on=("wrk2",))
    async with console() as driver:
        await driver.nodes().live().shows("wrk1", "pause", "a")
        await driver.here().select("wrk1").press("d").at("reading")
        await driver.here().sees("Node wrk1", f"id {truth.id('wrk1')}", "availability pause", "zone=a", "not a member")
        await driver.here().leave().select("wrk2").press("enter").sees("Node wrk2", f"{web}.1 running").leave()
        leader = truth.leader()
        await driver.here().select(leader).press("y").at("reading").sees(f'"Hostname": "{leader}"')
        await driver.here().press("end").sees('"Leader":').leave()
        await driver.here().press("a").at("reading").sees("Alarms and advice", "Managers take user tasks").leave()
        await (
            driver.here().press("question_mark").sees("Lowercase looks, uppercase changes.", "D Empty the node").leave()
        )
        await (
            driver.here()
            .press("i")
            .sees("live through", "way: forward", f"named managers: {lab['mgr1'].target}")
            .leave()
        )
        await driver.here().press("c").told(f"{leader} is copied.")
        assert driver.app.clipboard == leader
        await driver.here().press("v").told("Nothing was run from this console yet.")
        await (
            driver.here().view("services").sees(web, "1/1").press("d").at("reading").sees("image alpine:latest").leave()
        )
        await driver.here().press("y").at("reading").sees('"ID":').leave()
        await driver.here().press("D").told("This key works on nodes and dtr.")
        await driver.here().press("colon").type("nowhere").press("enter").told('There is no view "nowhere".')
        await driver.nodes().select("wrk1").press("A").dialog("Activate").press("c").told("The commands are copied.")
        assert driver.app.clipboard == "docker node update --availability active wrk1"
