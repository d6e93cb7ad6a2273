"""The screen of a run as a walkthrough: by hand, step by step, what it means to stop, reports. Steps in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from swarmtui.runbooks.runbook import Facts, Plan, Shown, StepError, Voice
from swarmtui.session import Session
from tests.driver import Driver
from tests.runbooks.small_steps import Bump, World
from tests.ui.test_console import opened


@dataclass(frozen=True, kw_only=True)
class Gated(Bump):
    """Waits until the test lets it go on."""

    gate: asyncio.Event

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.gate.wait()
        await super().run(session, before, voice)


TITLES = {"stop": "Stop Docker on mgr1", "force": "Force a new cluster on mgr1", "check": "Compare the inventory"}
STANDS = {"stop": "Nothing has been changed yet.", "force": "Docker on mgr1 is stopped; its old state lies aside."}


def walk(world: World, gate: asyncio.Event, *, more: int = 0) -> Plan:
    """A plan of three steps, and more."""
    made = [
        Gated(id=i, title=TITLES[i], why="Because.", if_stopped=STANDS.get(i, ""), world=world, gate=gate)
        for i in TITLES
    ]
    made[2] = replace(made[2], skippable=True)
    made += [
        Gated(id=f"m{n}", title=f"Join manager number {n} again", why="", world=world, gate=gate) for n in range(more)
    ]
    return Plan(runbook="test", version=1, params={}, facts={}, title="Recover", why="Because.", steps=tuple(made))


@dataclass
class Stage:
    console: Driver
    world: World
    gate: asyncio.Event
    task: asyncio.Task[object]

    def by_hand(self, step: str) -> None:
        self.world.counter[step] = self.world.counter.get(step, 0) + 1


@asynccontextmanager
async def walking(
    tmp_path: Path, world: World, *, size: tuple[int, int] = (140, 40), more: int = 0
) -> AsyncIterator[Stage]:
    """A run under way on its screen; its first step waits at the gate."""
    async with opened(tmp_path, size=size) as (_, console):
        gate = asyncio.Event()
        session = console.app.session
        assert session is not None
        task = asyncio.create_task(console.app.execute(session, walk(world, gate, more=more)))
        await console.here().at("run").sees("1. Stop Docker")
        try:
            yield Stage(console, world, gate, task)
        finally:
            if console.app.current_run is not None:
                console.app.current_run.stop()
            gate.set()
            await asyncio.wait([task])


async def test_what_it_means_to_stop_is_always_on_the_screen(tmp_path: Path) -> None:
    world = World(troubles={"force.run": [StepError("It would not.", "Look at its log.")]})
    async with walking(tmp_path, world, size=(80, 24)) as on:
        await on.console.here().sees("If you stop after this step: Docker on mgr1 is stopped", "0 of 3 done.")
        await on.console.here().press("down").sees("If you stop before it: Docker on mgr1 is")
        on.gate.set()
        await on.console.here().sees("It would not.", "Look at its log. r retry · h do it by hand · s stop here")
        await on.console.here().sees("If you stop here: Docker on mgr1 is stopped; its old state lies aside.")
        assert "k skip" not in on.console.words
        await on.console.here().press("s").sees("Stopped: It would not.", "Where it stands: Docker on mgr1 is stopped")
        await on.console.here().sees("Go on later: swarmtui run --resume")


async def test_a_step_is_done_by_hand_and_proved(tmp_path: Path) -> None:
    world = World(troubles={"force.run": [StepError("It would not.")]})
    async with walking(tmp_path, world) as on:
        on.gate.set()
        await on.console.here().sees("It would not.").press("h").sees("Step 2 of 3 is yours", "g it is done: verify it")
        await on.console.here().press("c").told("The commands of this step (C: of all) are copied.")
        assert on.console.app.clipboard == "ssh -n -- root@10.0.0.9 'bump force'"
        await on.console.here().press("C").told("The commands of all steps are copied.")
        assert on.console.app.clipboard.count("bump") == 3
        await on.console.here().press("g").sees("force was not counted.", "r retry")
        await on.console.here().press("h").sees("is yours")
        on.by_hand("force")
        await (
            on.console.here().press("g").sees("Done and verified.").press("up").sees("Done by hand, and verified here.")
        )
        assert world.counter == {"stop": 1, "force": 1, "check": 1}
        # The report is one key away, and says what a person did.
        file = tmp_path / "report.md"
        await (
            on.console.here()
            .press("e")
            .at("ask")
            .press("ctrl+u")
            .type(str(file))
            .press("enter")
            .told("The report is in")
        )
        told = file.read_text("utf-8")
        assert "Done by hand, and verified here." in told and "| done, verified |" in told and "**done**" in told
        assert file.stat().st_mode & 0o777 == 0o600


async def test_step_by_step_it_asks_before_each(tmp_path: Path) -> None:
    world = World()
    async with walking(tmp_path, world) as on:
        await on.console.here().press("p").sees("It asks before the next step")
        on.gate.set()
        await on.console.here().sees("Held before step 2 of 3: Force a new cluster on mgr1", "If you stop here: Docker")
        await on.console.here().press("h").sees("is yours").press("r").sees("Held before step 3 of 3")
        assert world.counter == {"stop": 1, "force": 1}
        await (
            on.console.here().press("escape").header("Recover 2/3 needs you (v)").press("v").sees("Held before step 3")
        )
        await on.console.here().press("k").at("ask").press("enter").sees("A reason is needed.")
        await on.console.here().type("seen by eye").press("enter").sees("Done and verified.", "seen by eye")


async def test_asking_no_more_lets_it_run_to_its_end(tmp_path: Path) -> None:
    async with walking(tmp_path, World()) as on:
        await on.console.here().press("p").sees("It asks before the next step")
        on.gate.set()
        await on.console.here().sees("Held before step 2 of 3").press("p").sees("Done and verified.")


async def test_a_stop_while_a_step_is_under_way_says_where_it_will_stand(tmp_path: Path) -> None:
    async with walking(tmp_path, World()) as on:
        await on.console.here().press("s").sees("It stops after this step.", "Where it will stand: Docker on mgr1")
        on.gate.set()
        await on.console.here().sees("Stopped between two steps, as you asked.", "Where it stands: Docker on mgr1")
        assert on.world.counter == {"stop": 1}


async def test_of_many_steps_the_one_under_way_is_in_sight(tmp_path: Path) -> None:
    async with walking(tmp_path, World(), size=(80, 24), more=30) as on:
        await on.console.here().sees("· 8. Join manager")
        assert "number 29" not in on.console.text
        on.gate.set()
        await on.console.here().sees("Done and verified.", "33. Join manager number 29")
        await on.console.here().press(*["up"] * 32).sees("1. Stop Docker").press("down").sees("Force a new cluster")


def test_a_canary_shown_is_what_is_copied() -> None:
    """The command of these steps, so that the clipboard above is no accident."""
    assert Shown("bump force", "root@10.0.0.9").as_sh == "ssh -n -- root@10.0.0.9 'bump force'"


async def test_a_plan_is_printed_before_anything_is_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        page, script = tmp_path / "plan.md", tmp_path / "plan.sh"
        await console.nodes().select("wrk1").press("D").at("confirm").press("e").at("ask").press("ctrl+u")
        await (
            console.here().type(str(tmp_path / "plan.txt")).press("enter").sees("Name a file that ends in .md or .sh.")
        )
        await console.here().press("ctrl+u").type(str(page)).press("enter").told("The plan is in").at("confirm")
        await console.here().press("f4").at("ask").press("ctrl+u").type(str(script)).press("enter").at("confirm")
        await console.until("the script is there", script.exists)
        await console.here().press("e").at("ask").press("ctrl+u").type(str(page)).press("enter").sees("overwritten.")
        await console.here().press("escape").at("confirm").leave()
    assert page.read_text("utf-8").startswith("# Drain wrk1") and "```sh\ndocker node update" in page.read_text("utf-8")
    assert script.read_text("utf-8").startswith("#!/bin/sh\n") and script.stat().st_mode & 0o777 == 0o600
