"""Who decides about steps on a terminal: `swarmtui run --ask` and `--hold`."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from swarmtui.cli.deciding import Terminal
from swarmtui.cli.run import main
from swarmtui.errors import UsageError
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runbook import Plan, StepError
from swarmtui.runbooks.runner import Outcome, Runner
from tests.runbooks.small_steps import RUN, World, opened, plan, steps


class Typed:
    """A terminal on which this is typed; `before` happens when a line is read."""

    def __init__(self, text: str, before: Callable[[str], None] = lambda line: None) -> None:
        self._lines = io.StringIO(text)
        self._before = before

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        line = self._lines.readline()
        self._before(line)
        return line


def two(world: World, skippable: str = "") -> Plan:
    first, second = steps(world, "a", "b", skippable=skippable)
    return plan(first, replace(second, if_stopped="a was counted, b was not."))


async def ran(
    journal: Journal, of: Plan, typed: Typed, monkeypatch: pytest.MonkeyPatch, *, holds: bool = False
) -> Outcome:
    monkeypatch.setattr(sys, "stdin", typed)
    with journal.writer(RUN) as writer:
        runner = Runner(opened(), of, writer, decider=Terminal(of))
        runner.holds = holds
        return await runner.run()


async def test_a_failed_step_is_retried_skipped_with_a_reason_or_the_end(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(troubles={"a.run": [StepError("No.")], "b.run": [StepError("Nor this."), StepError("Again.")]})
    outcome = await ran(journal, two(world, "b"), Typed("what\nr\nk\nk seen by eye\n"), monkeypatch)
    assert outcome.ok and world.counter == {"a": 1}
    assert journal.read(RUN).steps["b"].detail == "seen by eye"
    told = capsys.readouterr().err
    assert "It failed: No." in told and told.count("r retry · h do it by hand · s stop here: ") == 2
    assert "k REASON skip it" in told and "If you stop here: a was counted, b was not." in told


async def test_the_end_of_the_input_is_a_stop(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(troubles={"a.run": [StepError("No.")]})
    assert (await ran(journal, two(world), Typed(""), monkeypatch)).result == "failed"


async def test_a_held_step_is_shown_and_may_be_done_by_hand(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world, lines = World(), 0

    def by_hand(line: str) -> None:
        nonlocal lines
        lines += 1
        if lines == 2:  # the answer to "it is yours"
            world.counter["a"] = 1

    outcome = await ran(journal, two(world), Typed("h\ng\ng\n", by_hand), monkeypatch, holds=True)
    assert outcome.ok and world.counter == {"a": 1, "b": 1} and "a.run" not in world.calls
    told = capsys.readouterr().err
    assert "Next: a. why" in told and told.count("$ ssh -n -- root@10.0.0.9 'bump a'") == 2
    assert "It is yours: type these commands yourself." in told and "If you stop here: a was counted" in told


async def test_stop_ends_it_between_two_steps(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    outcome = await ran(journal, two(world), Typed("g\ns\n"), monkeypatch, holds=True)
    assert (outcome.result, outcome.step, world.counter) == ("stopped", "b", {"a": 1})


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(UsageError, match="no terminal to ask on"):
        Terminal(two(World()))
    with pytest.raises(UsageError, match="A program is not asked"):
        main(["node.drain", "node=a", "--json", "--ask"])
