"""A run told from its journal alone, and what it takes to go on with one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarmtui.errors import UsageError
from swarmtui.runbooks import registry
from swarmtui.runbooks.journal import Journal, JournalWriter
from swarmtui.runbooks.report import going_on, planned, report, took_words
from swarmtui.runbooks.runbook import Plan
from tests.runbooks.support import plan
from tests.runbooks.test_render import cluster

RUN = "20261121T090203Z-node.drain-3f9a"
SWARM = "h3yq2wq8uys0"


async def drain() -> Plan:
    """The plan of a drain, with several steps."""
    made = await plan("node.drain", cluster(), node="wrk1,mgr2")
    assert len(made.steps) > 2
    return made


def begin(writer: JournalWriter, of: Plan, **changes: Any) -> None:
    given: dict[str, Any] = {
        "runbook": of.runbook,
        "version": of.version,
        "title": of.title,
        "params": of.params,
        "facts": of.facts,
        "cluster_id": SWARM,
        "target": "prod",
        "accepted": [],
    }
    writer.begin(**{**given, **changes})


async def test_the_steps_have_their_titles_and_those_not_come_to_are_told(tmp_path: Path) -> None:
    of, journal = await drain(), Journal(tmp_path)
    first, second, *rest = of.steps
    with journal.writer(RUN) as writer:
        begin(writer, of)
        writer.write("intent", step=first.id, before={}, commands=[shown.as_sh for shown in first.shown])
        writer.write("done", step=first.id)
        for _ in range(2):
            writer.write("intent", step=second.id, before={}, commands=["docker x"])
            writer.write("failed", step=second.id, detail="It would not.\x1b[31m")
        writer.write("end", outcome="failed", detail="It would not.")
    told = report(journal.read(RUN))
    assert f"| 1 | {first.title} | done, verified |" in told and f"| 2 | {second.title} | FAILED |" in told
    for number, step in enumerate(rest, 3):
        assert f"| {number} | {step.title} | not begun |  |  |" in told and f"## {number}." not in told
    assert f"## 2. {second.title}: failed" in told and second.why in told and "; tried 2 times" in told
    assert f"Go on with it: `swarmtui run --resume {RUN}`" in told and "\x1b" not in told


async def test_it_says_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of, journal = await drain(), Journal(tmp_path)
    stands = ["Nothing is changed.", "wrk1 is drained, its tasks may still move."]
    steps = tuple(replace(step, if_stopped=told) for step, told in zip(of.steps, [*stands, *[""] * 9], strict=False))
    monkeypatch.setattr(
        type(registry.runbook(of.runbook)), "plan", lambda *_: replace(of, steps=steps, notes=("Data stays.",))
    )
    with journal.writer(RUN) as writer:
        begin(writer, of)
        told = report(journal.read(RUN))
        assert f"Where it stands: {stands[0]}" in told and "What the plan said:\n\n- Data stays.\n" in told
        for step in steps[:2]:
            writer.write("skipped", step=step.id, detail="seen by eye")
        writer.write("end", outcome="stopped", detail="")
        assert f"Where it stands: {stands[1]}" in report(journal.read(RUN))
        writer.write("resume")
        writer.write("end", outcome="done", detail="")
        assert "Where it stands" not in report(journal.read(RUN)) and "--resume" not in report(journal.read(RUN))


async def test_a_plan_that_cannot_be_made_again_leaves_what_the_journal_says(tmp_path: Path) -> None:
    of, journal = await drain(), Journal(tmp_path)
    with journal.writer(RUN) as writer:
        begin(writer, of, facts={"nodes": 7})
        writer.write("intent", step="a|b", before={}, commands=["docker x"])
    told = report(journal.read(RUN))
    assert "| 1 | a\\|b | CUT OFF |" in told and "docker x" in told
    with pytest.raises(UsageError, match="says what cannot be planned"):
        planned(journal.read(RUN))


@pytest.mark.parametrize(
    ("changes", "cluster_id", "says"),
    [
        ({"version": 99}, SWARM, "another version of node.drain"),
        ({"runbook": "node.nothing"}, SWARM, "There is no runbook"),
        ({}, "another", "was on Swarm h3yq2wq8uys0; this is another"),
    ],
)
async def test_what_cannot_be_gone_on_with_says_why(
    tmp_path: Path, changes: dict[str, Any], cluster_id: str, says: str
) -> None:
    of, journal = await drain(), Journal(tmp_path)
    with journal.writer(RUN) as writer:
        begin(writer, of, **changes)
    with pytest.raises(UsageError, match=says):
        going_on(journal.read(RUN), cluster_id=cluster_id)


async def test_what_is_gone_on_with_has_the_plan_that_was_confirmed(tmp_path: Path) -> None:
    of, journal = await drain(), Journal(tmp_path)
    with journal.writer(RUN) as writer:
        begin(writer, of)
        for cluster_id in (SWARM, ""):  # "": where no manager answers, or none is asked
            again = going_on(journal.read(RUN), cluster_id=cluster_id)
            assert [step.id for step in again.steps] == [step.id for step in of.steps]
        writer.write("end", outcome="done", detail="")
    with pytest.raises(UsageError, match="is done already"):
        going_on(journal.read(RUN), cluster_id=SWARM)


def test_lengths_of_time_are_told_in_words() -> None:
    told = [took_words(seconds) for seconds in (-1, 0.44, 9.96, 59.4, 59.6, 192, 3_900)]
    assert told == ["0.0 s", "0.4 s", "10.0 s", "59 s", "1 min 0 s", "3 min 12 s", "1 h 5 min"]
