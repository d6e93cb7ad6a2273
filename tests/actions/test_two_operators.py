"""Two operators change the same node at the same moment: one wins, the other is told, and neither is told a lie."""

from __future__ import annotations

import pytest

from tests.actions.cli import Cli, Process
from tests.actions.truth import Truth
from tests.lab import Lab

pytestmark = pytest.mark.lab

ASKED = 'Type "yes" to do this'
CHANGED = "The cluster changed while you looked."
CONFLICT = "Somebody else changed wrk1 after you confirmed"
DONE = "Done and verified."
WORDS = {"node.drain": "drain", "node.pause": "pause"}


def settle(operator: Process) -> str:
    """Waits until an operator was told something final: done, or that it was changed by somebody else."""
    while not any(words in operator.text for words in (DONE, CHANGED, CONFLICT)):
        operator.more()
    return next(words for words in (CONFLICT, CHANGED, DONE) if words in operator.text)


@pytest.mark.parametrize("attempt", range(3))
def test_one_wins_and_the_other_is_told(lab: Lab, cli: Cli, truth: Truth, attempt: int) -> None:
    arguments = ("node=wrk1", "--target", cli.target)
    with (
        cli.at_terminal("run", "node.drain", *arguments) as drain,
        cli.at_terminal("run", "node.pause", *arguments) as pause,
    ):
        both = {"node.drain": drain, "node.pause": pause}
        for operator in both.values():
            operator.until(ASKED)
        for operator in both.values():
            operator.type("yes")
        told = {name: settle(operator) for name, operator in both.items()}

        winners = [name for name, words in told.items() if words == DONE]
        assert len(winners) == 1, told
        assert truth.availability("wrk1") == WORDS[winners[0]]
        (loser,) = [operator for name, operator in both.items() if name != winners[0]]
        if CHANGED in loser.text:  # asked again, with the plan as it is now: a no leaves the other's work alone
            loser.until(ASKED)
            loser.type("no")
            assert loser.end().code == 4
            assert "Nothing was changed." in loser.text
        else:
            assert loser.end().code == 1
            assert "Nothing was changed by this step." in loser.text
        assert both[winners[0]].end().code == 0
    assert truth.availability("wrk1") == WORDS[winners[0]]


def test_both_want_the_same(lab: Lab, cli: Cli, truth: Truth) -> None:
    truth.service("web", 2, on=("wrk1", "wrk2"))
    with cli.started("node.drain", "node=wrk1") as one, cli.started("node.drain", "node=wrk1") as other:
        ends = [one.end(), other.end()]
    assert [end.code for end in ends] == [0, 0], ends
    assert truth.availability("wrk1") == "drain"
    assert truth.containers("wrk1") == []


def test_a_run_under_way_is_not_resumed_by_a_second_process(lab: Lab, cli: Cli, truth: Truth) -> None:
    truth.service("slow", 2, on=("wrk1", "wrk2"), grace=20)  # longer than the second process takes to start
    with cli.started("node.drain", "node=wrk1") as one:
        one.until("still on wrk1")
        (run,) = [word.rstrip(")") for word in one.text.split() if "-node.drain-" in word]
        other = cli("run", "--resume", run, "--yes")
        assert other.code == 1, other
        assert "under way in another process" in other.err
        assert one.end().code == 0
    assert truth.containers("wrk1") == []
