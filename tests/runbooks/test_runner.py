"""The Runner with small steps over a journal on a real disk: order, failures, lost connections, a full disk."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest

from swarmtui.errors import EngineError
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.runbooks.journal import Journal, JournalError
from swarmtui.runbooks.runbook import Facts, StepError, Voice
from swarmtui.runbooks.runner import Choice, Decision, Event, Outcome, Runner, State
from swarmtui.session import Session
from tests import builders as b
from tests.runbooks.small_steps import RETRY, RUN, STOP, Answers, Bump, World, go, kinds, opened, plan, steps
from tests.runbooks.support import FakeSession, fake

# -- the order of things ---------------------------------------------------------------------------------------------


async def test_intent_effect_and_proof_are_recorded_in_that_order(journal: Journal) -> None:
    world = World()
    outcome = await go(journal, plan(*steps(world, "a", "b")))
    assert outcome == Outcome("done") and outcome.ok
    assert kinds(journal) == ["run", "intent a", "effect a", "done a", "intent b", "effect b", "done b", "end"]
    calls = ["before", "already_done", "run", "after_effect", "verify"]
    assert world.calls == [f"{i}.{call}" for i in "ab" for call in calls]


async def test_what_is_journalled_is_on_disk_before_the_effect(journal: Journal) -> None:
    world = World()

    class Looking(Bump):
        async def run(self, session: Session, before: Facts, voice: Voice) -> None:
            (step,) = journal.read(RUN).steps.values()
            assert (step.state, step.before) == ("intended", {"value": 0})
            assert [shlex.split(line)[-2:] for line in step.commands] == [["root@10.0.0.9", "bump a"]]
            await super().run(session, before, voice)

        async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
            assert kinds(journal)[-1] == "effect a"
            await super().verify(session, before, voice)

    assert (await go(journal, plan(Looking(id="a", title="a", why="", world=world)))).ok


async def test_watchers_see_every_point(journal: Journal) -> None:
    seen: list[Event] = []
    await go(journal, plan(*steps(World(), "a")), observe=seen.append)
    assert [(e.kind, e.state.value if e.kind == "state" else e.text, e.point) for e in seen] == [
        ("state", "checking", ""),
        ("state", "running", "intent"),
        ("said", "bumped a", ""),
        ("progress", "done", ""),
        ("state", "verifying", "effect"),
        ("state", "done", "proof"),
        ("end", "done", ""),
    ]


async def test_what_is_done_already_is_not_done_again_and_needs_no_intent(journal: Journal) -> None:
    world = World()

    class Done(Bump):
        async def already_done(self, session: Session, before: Facts) -> str:
            return "It is so."

    seen: list[Event] = []
    assert (await go(journal, plan(Done(id="a", title="a", why="", world=world)), observe=seen.append)).ok
    assert kinds(journal) == ["run", "already a", "end"] and world.counter == {}
    assert [(e.state, e.text) for e in seen if e.state is State.ALREADY] == [(State.ALREADY, "It is so.")]


async def test_the_beginning_says_what_where_and_with_which_rules_accepted(journal: Journal) -> None:
    with journal.writer(RUN) as writer:
        await Runner(opened(), plan(), writer, accepted=["tolerance=mgr2"]).run()
    record = journal.read(RUN)
    assert (record.target, record.cluster_id, record.accepted) == ("prod", b.CLUSTER, ["tolerance=mgr2"])


# -- failures --------------------------------------------------------------------------------------------------------


async def test_what_ran_but_does_not_verify_has_failed(journal: Journal) -> None:
    world = World(troubles={"a.verify": [StepError("It is not so.", "Look.")]})
    outcome = await go(journal, plan(*steps(world, "a", "b")))
    assert (outcome.result, outcome.step, outcome.ok) == ("failed", "a", False)
    assert outcome.error is not None and outcome.error.what == "It is not so."
    assert kinds(journal) == ["run", "intent a", "effect a", "failed a", "end"]
    assert "b.before" not in world.calls
    record = journal.read(RUN)
    assert (record.outcome, record.steps["a"].detail) == ("failed", "It is not so. Look.")


@pytest.mark.parametrize("point", ["before", "already_done", "run", "verify"])
async def test_a_refusal_of_the_engine_fails_the_step_at_any_point(journal: Journal, point: str) -> None:
    world = World(troubles={f"a.{point}": [EngineError("No.", status=500)]})
    seen: list[Event] = []
    assert (await go(journal, plan(*steps(world, "a")), observe=seen.append)).result == "failed"
    assert [e.text for e in seen if e.state is State.FAILED] == ["No."]
    assert kinds(journal)[-2:] == ["failed a", "end"]


async def test_a_retry_looks_first_whether_it_was_done(journal: Journal) -> None:
    world = World(troubles={"a.after_effect": [EngineError("Timed out.")]})
    answers = Answers([RETRY])
    assert (await go(journal, plan(*steps(world, "a", "b")), decider=answers)).ok
    assert answers.asked == [("a", "Timed out.")]
    assert world.counter == {"a": 1, "b": 1}
    assert kinds(journal)[:4] == ["run", "intent a", "failed a", "already a"]


async def test_a_retry_of_what_was_not_done_does_it(journal: Journal) -> None:
    world = World(troubles={"a.run": [StepError("Busy."), StepError("Busy.")]})
    assert (await go(journal, plan(*steps(world, "a")), decider=Answers([RETRY, RETRY]))).ok
    assert world.counter == {"a": 1}
    assert world.calls.count("a.before") == 1  # the facts of the first try stay


async def test_a_skip_with_a_reason_goes_on(journal: Journal) -> None:
    world = World(troubles={"a.run": [StepError("Slow.")]})
    skip = Answers([Decision(Choice.SKIP, "known to be slow")])
    assert (await go(journal, plan(*steps(world, "a", "b", skippable="a")), decider=skip)).ok
    record = journal.read(RUN)
    assert (record.steps["a"].state, record.steps["a"].detail) == ("skipped", "known to be slow")
    assert world.counter == {"b": 1}


@pytest.mark.parametrize(("skippable", "reason"), [("a", ""), ("a", "  "), ("", "because")])
async def test_a_skip_without_a_reason_or_of_what_must_not_be_skipped_does_nothing(
    journal: Journal, skippable: str, reason: str
) -> None:
    """Above all it is no retry: nobody asked for the effect again."""
    world = World(troubles={"a.run": [StepError("No."), StepError("No.")]})
    answers = Answers([Decision(Choice.SKIP, reason), STOP])
    outcome = await go(journal, plan(*steps(world, "a", "b", skippable=skippable)), decider=answers)
    assert outcome.result == "failed" and "b.before" not in world.calls
    assert "skipped a" not in kinds(journal)
    assert world.calls.count("a.run") == 1


async def test_without_anybody_to_ask_the_first_failure_ends_it(journal: Journal) -> None:
    world = World(troubles={"a.run": [StepError("No.")]})
    assert (await go(journal, plan(*steps(world, "a", "b", skippable="ab")))).result == "failed"


async def test_stop_lets_the_step_finish_and_begins_no_other(journal: Journal) -> None:
    world = World()
    with journal.writer(RUN) as writer:
        runner = Runner(opened(), plan(*steps(world, "a", "b")), writer, observe=lambda event: runner.stop())
        outcome = await runner.run()
    assert (outcome.result, outcome.step) == ("stopped", "b")
    assert world.counter == {"a": 1}
    assert journal.read(RUN).outcome == "stopped"


async def test_a_failure_after_stop_asks_nobody(journal: Journal) -> None:
    world = World(troubles={"a.verify": [StepError("No.")]})
    answers = Answers([])
    with journal.writer(RUN) as writer:
        runner = Runner(
            opened(), plan(*steps(world, "a")), writer, decider=answers, observe=lambda event: runner.stop()
        )
        assert (await runner.run()).result == "failed"
    assert answers.asked == []


async def test_a_mistake_in_our_own_code_is_not_swallowed(journal: Journal) -> None:
    with pytest.raises(ZeroDivisionError):
        await go(journal, plan(*steps(World(troubles={"a.run": [ZeroDivisionError()]}), "a")))


# -- the connection --------------------------------------------------------------------------------------------------


def lost() -> LinkError:
    return LinkError(Reason.CONNECTION_LOST, "mgr1")


@pytest.mark.parametrize("point", ["before", "already_done", "run", "after_effect", "verify"])
async def test_a_lost_connection_is_waited_for_and_nothing_is_done_twice(journal: Journal, point: str) -> None:
    world, on = World(troubles={f"a.{point}": [lost(), lost()]}), opened()
    seen: list[Event] = []
    outcome = await go(journal, plan(*steps(world, "a", "b")), on=on, observe=seen.append)
    assert outcome.ok and world.counter == {"a": 1, "b": 1}
    # After the effect a second loss cannot happen: it is found done, and not run again.
    assert fake(on).waited == [3.0] * (1 if point in ("after_effect", "verify") else 2)
    assert any("Waiting for the connection" in e.text for e in seen if e.kind == "said")
    assert "failed a" not in kinds(journal)


async def test_a_connection_that_does_not_come_back_fails_the_step(journal: Journal) -> None:
    world, on = World(troubles={"a.run": [lost()]}), opened()

    async def never(timeout: float) -> Any:
        raise LinkError(Reason.TIMEOUT, "mgr1", "Nothing answers.", "Look at the network.")

    fake(on).until_live = never  # type: ignore[method-assign]
    outcome = await go(journal, plan(*steps(world, "a")), on=on)
    assert outcome.result == "failed" and outcome.error is not None and outcome.error.what == "Nothing answers."
    assert kinds(journal)[-2:] == ["failed a", "end"]


async def test_a_connection_lost_again_and_again_fails_the_step(journal: Journal) -> None:
    world, on = World(troubles={"a.run": [lost() for _ in range(50)]}), opened()
    assert isinstance((await go(journal, plan(*steps(world, "a")), on=on)).error, LinkError)
    assert 2 <= len(fake(on).waited) <= 10


async def test_a_host_out_of_reach_is_no_lost_connection_while_the_session_lives(journal: Journal) -> None:
    on = opened()
    world = World(troubles={"a.run": [LinkError(Reason.UNREACHABLE, "wrk1")]})
    assert (await go(journal, plan(*steps(world, "a")), on=on)).result == "failed"
    assert fake(on).waited == []


async def test_managers_that_are_to_leave_are_avoided_while_it_runs_and_only_then(journal: Journal) -> None:
    on, during = opened(), []
    of = replace(plan(*steps(World(), "a")), leaving=("n1", "n2"))
    await go(journal, of, on=on, observe=lambda event: during.append(fake(on).avoided) if event.step else None)
    assert set(during) == {frozenset({"n1", "n2"})} and fake(on).avoided == frozenset()


# -- the journal in trouble ------------------------------------------------------------------------------------------


def failing_writes(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """From the first line of this kind on, nothing can be written any more."""
    from swarmtui.runbooks.journal import JournalWriter

    real, full = JournalWriter.write, False

    def write(self: JournalWriter, this: str, **fields: Any) -> None:
        nonlocal full
        full = full or this == kind
        if full:
            raise JournalError("The journal cannot be written: No space left on device.", "Free space.")
        real(self, this, **fields)

    monkeypatch.setattr(JournalWriter, "write", write)


@pytest.mark.parametrize("kind", ["run", "intent"])
async def test_what_cannot_be_recorded_is_not_done(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    failing_writes(monkeypatch, kind)
    world = World()
    with pytest.raises(JournalError):
        await go(journal, plan(*steps(world, "a")))
    assert world.counter == {} and "a.run" not in world.calls


@pytest.mark.parametrize("kind", ["effect", "done"])
async def test_after_an_effect_that_cannot_be_recorded_nothing_more_is_done(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    failing_writes(monkeypatch, kind)
    world = World()
    with pytest.raises(JournalError):
        await go(journal, plan(*steps(world, "a", "b")), decider=Answers([RETRY] * 5))
    assert world.counter == {"a": 1} and "b.before" not in world.calls
    monkeypatch.undo()
    assert (await go(journal, plan(*steps(world, "a", "b")), resume=True)).ok
    assert world.counter == {"a": 1, "b": 1}


def test_the_fake_is_no_session_by_accident() -> None:
    """What these tests use of FakeSession is there in the real one, under the same names."""
    for name in ("refresh", "until_live", "host_label", "host", "node", "post", "delete", "avoiding", "move_away_from"):
        assert callable(getattr(Session, name)) and callable(getattr(FakeSession, name))
