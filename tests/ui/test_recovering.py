"""From "what happened?" to the run that mends it, by keys; and going on with runs, also from another machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App

from swarmtui import config
from swarmtui.model.recovery import Advice, Way
from swarmtui.opening import find
from swarmtui.runbooks import registry
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runner import Outcome, Runner
from swarmtui.ui import recovering
from tests.driver import Driver, driven
from tests.ui.test_console import opened


async def test_a_manager_is_declared_dead_by_name_and_the_way_out_begins_at_a_key(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        demo.world.crash(demo.world.hosts["mgr3"])
        await console.here().press("!").at("reading").sees("x names those of mgr3 that are lost for good.", within=40)
        await console.here().sees("The way out: bring the host back (mgr3)").press("1", "enter")
        await console.here().at("reading").press("x").at("ask").type("mgr1").press("enter").sees("mgr1 answers")
        await console.here().press("ctrl+u").type("mgr9").press("enter").sees("mgr9 is none of mgr3.")
        await console.here().press("ctrl+u").type("m")
        await console.until("the name is offered", lambda: "▊  mgr3" in console.text)
        await console.here().press("right", "enter").at("reading").sees("1 replace (mgr3)", within=40)
        await console.here().sees("A number shows the plan; nothing is changed before you confirm it.").press("1")
        await console.here().dialog("docker node promote wrk1").press("escape").at("reading").sees("1 replace (mgr3)")
        await console.here().press("o").at("ask").sees("promote=NAME now wrk1").type("promote=wrk9x y").press("enter")
        await console.here().sees('"y" is no KEY=VALUE').press("ctrl+u").type("promote=wrk2").press("enter")
        await console.here().dialog("docker node promote wrk2").press("escape").at("reading")
        assert not list((tmp_path / "journal").glob("*"))
        await (
            console.here()
            .press("enter")
            .confirm("mgr3")
            .at("run")
            .sees("Done and verified.", within=60)
            .press("escape")
            .at("reading")
        )
        # What is so now was looked at meanwhile.
        await console.here().sees("wrk1 works 10.0.1.21", within=40)
        await console.here().leave().view("nodes").lacks("mgr3")


async def test_a_console_that_only_looks_begins_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, read_only=True) as (demo, console):
        demo.world.crash(demo.world.hosts["mgr3"])
        await console.here().press("!").sees("bring the host back (mgr3)", "This console is read-only", within=40)
        await console.here().press("x", "1").at("reading").sees("This console is read-only")


async def _stopped_half_way(console: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drain of two nodes that was stopped before its second step, however fast the first one was."""
    run = Runner.run

    async def held(self: Runner) -> Outcome:
        self.holds = True
        return await run(self)

    with monkeypatch.context() as patched:
        patched.setattr(Runner, "run", held)
        await console.nodes().mark("wrk1", "wrk2").press("D").confirm().at("run").sees("Held before step 1").press("g")
        await console.here().sees("Held before step 2").press("s").sees("Stopped between two")


async def test_a_run_that_was_stopped_is_gone_on_with_from_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as (demo, console):
        await console.nodes().mark("wrk1", "wrk2").press("S").confirm().at("run").sees("Done and verified.").leave()
        await _stopped_half_way(console, monkeypatch)
        (run_id,) = [name for name in Journal(tmp_path / "journal").ids() if "drain" in name]
        # Another console with the same state folder, as on another machine that shares it.
        opening = find("simulated", config.load(demo.config), bundles=tmp_path / "bundle2")
        async with driven(opening, tmp_path / "journal") as other:
            await other.nodes().live().contains("wrk2").view("journal").sees("Drain wrk1, wrk2", "stopped")
            # Two runs of one second stand by their names.
            await other.here().select(run_id).press("R").dialog("docker node update --availability drain wrk2")
            await other.here().sees(f"Note: Going on with run {run_id} of ", "steps are done, and are not done again.")
            await other.here().confirm().until_done()
            assert other.app.current_run is not None and other.app.current_run.id == run_id
            await other.nodes().shows("wrk1", "drain").shows("wrk2", "drain")
            await other.here().view("journal").select(run_id).press("R").told("is done already")


async def test_what_happened_offers_to_go_on_with_what_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovering, "WALKTHROUGHS", ("node.drain",))
    async with opened(tmp_path) as (_, console):
        await _stopped_half_way(console, monkeypatch)
        await console.here().leave().press("!").sees("1 go on with: Drain wrk1, wrk2 (stopped,", within=40).press("1")
        await console.here().confirm().at("run").sees("Done and verified.", within=60).press("escape").at("reading")
        await console.here().sees("Nothing is to be done. r looks again.", within=40)


async def test_a_part_that_was_run_alone_does_not_hide_the_walkthrough_it_is_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovering, "WALKTHROUGHS", ("node.drain", "node.pause"))
    monkeypatch.setattr(recovering, "PLATFORM", "node.drain")
    async with opened(tmp_path) as (_, console):
        await _stopped_half_way(console, monkeypatch)
        await console.here().leave().press("escape")
        await console.nodes().select("mgr2").press("S").confirm().until_done()
        await console.here().press("!").sees("1 go on with: Drain wrk1, wrk2 (stopped,", within=40)


async def test_what_is_typed_ahead_does_not_keep_the_console_from_its_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A screen that is pushed before the one below was painted: what waits for that is not called.
    monkeypatch.setattr(App, "call_after_refresh", lambda *_: True)
    async with opened(tmp_path) as (_, console):
        await console.here().press("!").sees("Nothing is to be done. r looks again.", within=40)


def test_only_what_a_command_leaves_open_or_a_runbook_needs_is_asked_for() -> None:
    replace = registry.runbook("node.replace")
    given = {"dead": "mgr3"}
    host = Advice(Way.REPLACE, "", command="swarmtui run node.replace dead=mgr3 host=ssh://USER@HOST", params=given)
    assert recovering.left_open(host, replace) == ["host"]
    spare = Advice(
        Way.REPLACE, "", command="swarmtui run node.replace dead=mgr3 promote=wrk1", params={**given, "promote": "wrk1"}
    )
    assert recovering.left_open(spare, replace) == []
    assert recovering.left_open(Advice(Way.REPLACE, ""), replace) == ["dead"]


KEYS = 15
"""What a person may have to press at most, from a lost quorum to a recovery under way."""


async def test_from_a_lost_quorum_to_its_recovery_in_few_keys(tmp_path: Path) -> None:
    async with opened(tmp_path, size=(80, 24)) as (demo, console):
        for name in ("mgr2", "mgr3"):
            demo.world.crash(demo.world.hosts[name])
        pressed: list[str] = []

        async def press(*keys: str) -> None:
            pressed.extend(keys)
            await console.here().press(*keys)

        await press("!")
        await console.here().sees("x names those of mgr2, mgr3 that are lost for good.", within=60)
        await press("x", "m")
        await console.until("the first is offered", lambda: "▊  mgr2" in console.text)
        await press("right", "comma")
        await console.until("the other is offered", lambda: "▊  mgr2,mgr3" in console.text)
        await press("right", "enter")
        await console.here().sees("1 force a new cluster (mgr1)", within=60)
        await press("1")
        await console.here().at("confirm", within=60).sees('Type "mgr1" and press enter')
        await press(*"mgr1", "enter")
        await console.here().at("run", within=60)
        assert len(pressed) <= KEYS, pressed
        # The new cluster stands alone at once: what it means to stop is told from its plan.
        await console.here().sees("Done and verified.", within=120)
        run = console.app.current_run
        assert run is not None and run.plan.runbook == "swarm.recover-quorum"
        assert all(run.plan.if_stopped_before(step) for step in run.plan.steps)
        await console.here().press("escape").sees("mgr1 works", "Nothing is to be done", within=60)
