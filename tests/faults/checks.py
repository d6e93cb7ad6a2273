"""What must be so after a run that ended well, whatever happened on the way."""

from __future__ import annotations

import re
from collections import Counter

from swarmtui.runbooks.journal import RunRecord
from swarmtui.runbooks.runner import FINISHED
from tests.faults.scenes import plan_of
from tests.faults.stage import Stage, lines
from tests.faults.state import State


def lost_answers(point: str) -> int:
    """How many answers were lost there: for so many requests nobody can know whether they are still needed."""
    return 0 if point == "intent" else 1


def check_done(stage: Stage) -> None:
    """Everything was done, and nothing twice."""
    assert Counter(stage.done) == Counter(stage.scene.effects)


def check_effects(stage: Stage, point: str) -> None:
    """Everything was done once. A request more than that only where its answer was lost, and then it had no effect."""
    check_done(stage)
    # "Out of sequence" is the engine's own guard: a node's version also grows with its certificate.
    refused = [w for w in stage.writes if w.status >= 300 and b"out of sequence" not in w.told]
    assert len(refused) <= lost_answers(point), stage.writes


def check_journal(stage: Stage, record: RunRecord) -> None:
    """The journal tells it all: every line is whole, every step finished, the run done."""
    assert lines(stage.journal.path(record.id))[-1]["kind"] == "end"
    assert record.outcome == "done"
    assert list(record.steps) == [step.id for step in plan_of(stage.scene).steps]
    assert {step.state for step in record.steps.values()} <= {str(state) for state in FINISHED} - {"skipped"}


async def check_state(stage: Stage, start: State) -> None:
    """The end is the one that was written down by hand, as the stock SDK sees it."""
    scene, expected, now = stage.scene, start.after(stage.scene), await stage.state()
    # At once, since the run says it is proved:
    assert now.told(scene) == expected.told(scene)
    assert [now.tasks[name] for name in scene.emptied] == [0 for _ in scene.emptied]
    # In the end, after heartbeats and elections:
    await stage.settled(expected)


def check_words(text: str) -> None:
    """A sentence for a person: no traceback, no name of a class, nothing that a terminal would obey."""
    assert re.search(r"([.?`)]|swarmtui (status|run --resume \S+))$", text), text
    assert text.isprintable(), repr(text)
    for word in ("Traceback", "Error(", "Exception", "object at 0x", "None", "msgspec", "asyncssh"):
        assert word not in text, text
