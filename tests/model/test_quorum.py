"""Raft arithmetic against a table written by hand (procedures.md B6), never against model/ itself."""

from __future__ import annotations

import pytest

from swarmtui.model.quorum import Quorum, after_demoting, after_promoting, quorum, quorum_of, tolerance_of
from tests import builders as b

TABLE = {1: (1, 0), 2: (2, 0), 3: (2, 1), 4: (3, 1), 5: (3, 2), 6: (4, 2), 7: (4, 3), 8: (5, 3), 9: (5, 4)}
"""Voters: managers that must agree, managers that may be lost."""


@pytest.mark.parametrize(("voters", "needed", "losses"), [(n, *row) for n, row in TABLE.items()])
def test_the_table(voters: int, needed: int, losses: int) -> None:
    assert quorum_of(voters) == needed
    assert tolerance_of(voters) == losses


def test_no_voters_have_no_quorum() -> None:
    assert not Quorum(0, 0).held
    assert (quorum_of(0), tolerance_of(0)) == (0, 0)


@pytest.mark.parametrize(("voters", "reachable"), [(v, r) for v in TABLE for r in range(v + 1)])
def test_held_and_slack_follow_the_table(voters: int, reachable: int) -> None:
    needed, _ = TABLE[voters]
    raft = Quorum(voters, reachable)
    assert raft.held is (reachable >= needed)
    assert raft.slack == reachable - needed


@pytest.mark.parametrize(
    ("voters", "reachable", "said"),
    [
        (0, 0, "no managers known"),
        (1, 1, "1/1 managers, survives no loss"),
        (2, 2, "2/2 managers, survives no loss"),
        (3, 3, "3/3 managers, survives 1 loss"),
        (5, 5, "5/5 managers, survives 2 losses"),
        (5, 4, "4/5 managers, survives 1 loss"),
        (3, 2, "2/3 managers, survives no loss"),
        (3, 1, "1/3 managers, quorum LOST (1 more needed)"),
        (7, 1, "1/7 managers, quorum LOST (3 more needed)"),
    ],
)
def test_what_the_header_says(voters: int, reachable: int, said: str) -> None:
    assert str(Quorum(voters, reachable)) == said


def test_voters_are_told_by_manager_status_and_not_by_the_spec() -> None:
    nodes = b.nodes_of(
        b.node("leader", manager="leader"),
        b.node("far", manager="unreachable"),
        b.node("unsure", manager="unknown"),
        b.node("leaving", manager="reachable", role="worker"),
        b.node("forced-out", role="manager"),
        b.node("worker"),
    )
    assert quorum(nodes.values()) == Quorum(voters=4, reachable=2)


def test_a_null_or_empty_manager_status_is_read_for_what_it_is() -> None:
    null = b.node("forced-out", role="manager") | {"ManagerStatus": None}
    bare = b.node("just-joined", role="manager") | {"ManagerStatus": {"Addr": "10.0.0.9:2377"}}
    assert quorum(b.nodes_of(null, bare).values()) == Quorum(voters=1, reachable=0)


def test_a_leaving_manager_takes_its_own_vote_with_it() -> None:
    assert after_demoting(Quorum(5, 4), reachable=True).after == Quorum(4, 3)
    assert after_demoting(Quorum(5, 4), reachable=False).after == Quorum(4, 4)


def test_a_joining_manager_that_is_down_counts_but_does_not_answer() -> None:
    assert after_promoting(Quorum(3, 3), ready=True).after == Quorum(4, 4)
    assert after_promoting(Quorum(1, 1), ready=False).loses_quorum
