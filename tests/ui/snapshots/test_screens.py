"""What lies over the views: descriptions, raw objects, keys, questions, runs, logs; and lines of the main screen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarmtui import session
from swarmtui.link.hostkeys import HostKeyQuestion
from swarmtui.link.log_frames import STDERR, STDOUT, LogLine, Origin
from swarmtui.link.logs import Batch, LogQuery
from swarmtui.runbooks.runbook import Plan, StepError
from swarmtui.runbooks.runner import Choice, Event, Outcome, State
from swarmtui.ui.runs import Run
from swarmtui.ui.screens.asking import UiPerson
from swarmtui.ui.screens.confirm import ConfirmScreen
from swarmtui.ui.screens.running import RunScreen
from tests.driver import Driver
from tests.ui.snapshots import cluster
from tests.ui.snapshots.conftest import Compare
from tests.ui.snapshots.stage import MIDDLE, NOW, SIZES, SMALL, Stage, console

NARROW = (SMALL, MIDDLE)

# -- to read ---------------------------------------------------------------------------------------------------------


async def test_raw(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        await driver.here().view("services").select("shop_db").press("y").at("reading").sees('"ID"')
        await compare(driver, "json", NARROW)
        await driver.here().press("y").sees("ID: ")
        await compare(driver, "yaml", NARROW)


async def test_alarms_and_connection(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        await driver.here().press("a").at("reading")
        await compare(driver, "alarms")
        await driver.here().leave().press("i").at("reading")
        await compare(driver, "connection", NARROW)


async def test_keys(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        for view in ("nodes", "tasks", "journal"):
            await driver.here().view(view).press("question_mark").at("reading")
            await compare(driver, view)
            await driver.here().leave()


# -- questions -------------------------------------------------------------------------------------------------------


async def test_questions(stage: Stage, compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    async with console(tmp_path) as driver:
        await driver.here().select("wrk1").press("L").at("ask")
        await compare(driver, "label", NARROW)
        await driver.here().type("nonsense").press("enter").sees("neither KEY=VALUE")
        await compare(driver, "label-wrong", NARROW)
        await driver.here().leave().view("services").select("shop_api").press("U").at("ask")
        await compare(driver, "update")
        await driver.here().leave().press("e").at("ask")
        await compare(driver, "export", NARROW)
        await driver.here().leave()


async def test_questions_of_a_connection(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        person = UiPerson(driver.app)
        question = HostKeyQuestion(
            "mgr1.dc1.example",
            22,
            "ssh-ed25519",
            "SHA256:c2FtZSBhbGwgb3ZlciB0aGUgd29ybGQgYnV0IGhl",
            "~/.ssh/known_hosts",
        )
        asked = asyncio.create_task(person.trust_host_key(question))
        await driver.here().at("ask")
        await compare(driver, "host-key", NARROW)
        await driver.here().answer("no")
        assert await asked is False
        secret = asyncio.create_task(person.passphrase("~/.ssh/id_ed25519"))
        await driver.here().at("ask").type("nobody sees this")
        await compare(driver, "passphrase", NARROW)
        await driver.here().press("escape")
        assert await secret is None


# -- runs ------------------------------------------------------------------------------------------------------------


async def _drain(driver: Driver) -> Plan:
    """The plan that `D` makes for wrk1."""
    await driver.here().select("wrk1").press("D").at("confirm")
    screen = driver.app.screen
    assert isinstance(screen, ConfirmScreen)
    await driver.here().leave()
    return screen.plan


async def test_runs(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        plan = await _drain(driver)
        first, second, third = (step.id for step in plan.steps)
        run = driver.app.current_run = Run("20261121T030000Z-node.drain-c0de", plan)
        driver.app.push_screen(RunScreen(run, "prod"))
        await driver.here().at("run")
        run.observe(Event("state", first, State.DONE))
        run.observe(Event("said", first, text="wrk1 is drain."))
        run.observe(Event("state", second, State.VERIFYING))
        run.observe(Event("progress", second, text="3 of 8 tasks have left wrk1", done=3, total=8))
        driver.app._tell_header()
        await compare(driver, "under-way")
        await driver.here().leave()
        await compare(driver, "under-way-header", NARROW)
        await driver.here().press("q").at("ask")
        await compare(driver, "quit", NARROW)
        await driver.here().leave().press("v").at("run")
        run.observe(Event("state", second, State.DONE))
        error = StepError("shop_db has no replacement yet: no suitable node.", "See why with t on the service; retry.")
        run.observe(Event("state", third, State.FAILED, str(error)))
        asking = asyncio.create_task(run.failed(plan.steps[2], error))
        await driver.here().sees("r retry")
        await compare(driver, "failed")
        run.stop()
        await asking
        run.outcome = Outcome("failed", third, error)
        driver.app.screen.show()  # type: ignore[attr-defined]
        await driver.here().sees("Stopped:")
        await compare(driver, "stopped", NARROW)
        run.observe(Event("state", third, State.DONE))
        run.outcome = Outcome("done")
        driver.app.screen.show()  # type: ignore[attr-defined]
        await driver.here().sees("Done and verified")
        await compare(driver, "done", NARROW)


async def test_walkthrough(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        made = await _drain(driver)
        told = ("Nothing has been changed.", "wrk1 takes no new tasks; those it has may still be there.", "")
        steps = tuple(replace(step, if_stopped=line) for step, line in zip(made.steps, told, strict=True))
        plan = replace(made, steps=(*steps, *(replace(steps[2], id=f"again-{n}") for n in range(30))))
        run = driver.app.current_run = Run("20261121T030000Z-node.drain-c0de", plan, tmp_path)
        driver.app.push_screen(RunScreen(run, "prod", production=True))
        await driver.here().at("run")
        run.observe(Event("state", steps[0].id, State.RUNNING, point="intent"))
        await driver.here().sees("If you stop after this step: wrk1 takes no new tasks")
        await compare(driver, "under-way", NARROW)
        run.observe(Event("state", steps[0].id, State.DONE))
        held = asyncio.create_task(run.held(steps[1]))
        await driver.here().sees("Held before step 2 of 33")
        await compare(driver, "held", NARROW)
        run.decide(Choice.BY_HAND)
        await held
        run.observe(Event("state", steps[1].id, State.BY_HAND, point="intent"))
        by_hand = asyncio.create_task(run.by_hand(steps[1]))
        await driver.here().sees("Step 2 of 33 is yours")
        await compare(driver, "by-hand")
        run.decide(Choice.GO)
        await by_hand
        run.observe(Event("state", steps[1].id, State.DONE, "Done by hand, and verified here."))
        for step in plan.steps[2:20]:
            run.observe(Event("state", step.id, State.ALREADY, "There was nothing left to do."))
        run.observe(Event("state", plan.steps[20].id, State.RUNNING, point="intent"))
        run.stop()
        await driver.here().sees("It stops after this step. 20 of 33 done.", "Where it will stand")
        await compare(driver, "stopping", NARROW)


async def test_a_plan_that_changed_under_the_dialog(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        plan = await _drain(driver)
        driver.app.push_screen(ConfirmScreen(plan, "prod", changed=True))
        await driver.here().at("confirm")
        await compare(driver, sizes=NARROW)


# -- logs ------------------------------------------------------------------------------------------------------------

ORIGINS = [Origin(task["ID"], task["NodeID"]) for task in cluster.TASKS if task["ServiceID"] == cluster.API["ID"]]


def _log() -> list[LogLine]:
    lines = []
    for number in range(90):
        when = f"2026-11-21T02:{number // 60 + 57:02d}:{number % 60:02d}.123456789Z"
        text = f'10.0.1.7 "GET /cart/{number}" 200 {number * 37 % 100} ms'
        lines.append(LogLine(when, ORIGINS[number % 3], STDOUT, text))
    lines[85] = LogLine(lines[85].when, ORIGINS[1], STDERR, "java.lang.OutOfMemoryError: 日本語 " + "heap space " * 12)
    return lines


async def test_log(stage: Stage, compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def logs(self: session.Session, query: LogQuery) -> AsyncGenerator[Batch, None]:
        yield Batch(_log())
        await asyncio.Event().wait()

    monkeypatch.setattr(session.Session, "logs", logs)
    async with console(tmp_path) as driver:
        await driver.here().view("services").select("shop_api").press("l").at("logs").sees("/cart/89", "90 lines")
        await compare(driver, "following")
        await driver.here().press("t", "w", "p").sees("PAUSED", "not wrapped")
        await compare(driver, "times-not-wrapped", NARROW)
        await driver.here().press("t", "w", "p", "slash").type("cart/8").press("enter").sees("of 90", "· /cart/8")
        await compare(driver, "search", NARROW)
        await driver.here().press("s")
        await compare(driver, "line", NARROW)
        await driver.here().press("escape", "question_mark").at("reading")
        await compare(driver, "keys", NARROW)


# -- the main screen -------------------------------------------------------------------------------------------------


async def test_first_start(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path, first_start=True) as driver:
        await driver.here().sees("First time here?")
        await compare(driver, sizes=NARROW)


async def test_lines(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        await driver.here().mark("wrk1", "mgr2").press("slash").type("wrk")
        await driver.until("filtered", lambda: "of 8" in driver.lines[2])
        await compare(driver, "filter", NARROW)
        await driver.here().press("enter", "escape", "escape", "f").title("faults only")
        await compare(driver, "faults", NARROW)
        await driver.here().press("f", "colon")
        await compare(driver, "command", NARROW)
        await driver.here().press("escape").view("tasks").press("h").title("with what came before")
        await compare(driver, "history")
        await driver.here().view("nodes").press("z")
        await compare(driver, "zoomed", SIZES[2:])


async def test_refused(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        await driver.here().view("volumes").select("shop_db").press("X").told("cannot be reached")
        await driver.until("a message", lambda: driver.app.screen.query("Toast"))
        await compare(driver, sizes=NARROW)


async def test_production_read_only(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path, production=True, read_only=True) as driver:
        await compare(driver, sizes=NARROW)
    async with console(tmp_path, production=True) as driver:
        await driver.here().select("wrk1").press("D").at("confirm")
        await compare(driver, "plan", NARROW)


async def test_nobody_answers(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    stage.lose()
    async with console(tmp_path, settled=False) as driver:
        await driver.here().sees("trying again")
        await compare(driver, sizes=NARROW)
        await driver.here().press("i").at("reading").sees("cannot be reached")
        await compare(driver, "connection", NARROW)


async def test_the_connection_is_lost(
    stage: Stage, compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console(tmp_path) as driver:
        stage.lose()
        await driver.here().sees("NOT CONNECTED", "trying again")
        monkeypatch.setattr(time, "time", lambda: NOW + 150)
        await _retold(driver)
        await compare(driver)
        for view in ("tasks", "secrets"):
            await driver.here().view(view)
            await compare(driver, view, NARROW)


async def test_what_cannot_be_read(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    stage.refuses["/secrets"] = "rpc error: code = DeadlineExceeded desc = context deadline exceeded"
    async with console(tmp_path) as driver:
        await driver.here().view("secrets").sees("cannot be read")
        await compare(driver, sizes=NARROW)


async def _retold(driver: Driver) -> None:
    """Has the console look at its clock, as it does every few seconds."""
    app: Any = driver.app
    app._aged()
    await driver.here().sees("2 min old")
