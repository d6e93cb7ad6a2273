"""Which managers are tried, in what order, and which of them are good enough."""

from __future__ import annotations

from typing import Any

import pytest

from swarmtui.finding import Attempt, Connection, fitness
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.target import SocketTarget, SshTarget
from swarmtui.model.swarm import Cluster, Info, Node, SwarmInfo
from swarmtui.opening import Opening
from tests import builders as b

ONE, TWO = SshTarget("mgr1", "op", 2222), SshTarget("mgr2", "op", 2222)


def voters(*addresses: str) -> list[Node]:
    return [b.one_node(b.node(f"at-{address}", manager="reachable", addr=address)) for address in addresses]


def test_the_named_managers_come_first_and_then_those_the_swarm_has() -> None:
    opening = Opening("prod", (ONE, TWO))
    others = [SshTarget("10.0.0.3", "op", 2222), SshTarget("10.0.0.4", "op", 2222)]
    assert opening.candidates(voters("10.0.0.3", "10.0.0.4"), None) == [ONE, TWO, *others]
    assert opening.candidates(voters("10.0.0.3", "10.0.0.4"), ONE) == [TWO, *others, ONE]
    assert opening.candidates(voters("10.0.0.3", "10.0.0.4"), others[0]) == [ONE, TWO, others[1], others[0]]


def test_nobody_is_tried_twice() -> None:
    opening = Opening("prod", (SshTarget("10.0.0.3"),))
    assert opening.candidates(voters("10.0.0.3", "10.0.0.4", "10.0.0.4"), SshTarget("gone")) == [
        SshTarget("10.0.0.3"),
        SshTarget("10.0.0.4"),
    ]


def test_a_manager_known_by_another_name_is_not_tried_twice_unless_it_moved() -> None:
    """Named by its `Host` entry, and by its address in the Swarm: one manager."""
    opening = Opening("prod", (ONE, TWO))
    three, four = voters("10.0.0.3", "10.0.0.4")
    other = SshTarget("10.0.0.4", "op", 2222)
    assert opening.candidates([three, four], None, {ONE: (three.id, "10.0.0.3")}) == [ONE, TWO, other]
    moved = SshTarget("10.0.0.3", "op", 2222)
    assert opening.candidates([three, four], None, {ONE: (three.id, "10.0.0.9")}) == [ONE, TWO, moved, other]
    gone = SshTarget("mgr9", "op", 2222)
    assert opening.candidates([three, four], None, {gone: (three.id, "10.0.0.3")}) == [ONE, TWO, moved, other]


def test_without_ssh_only_what_was_named_can_be_tried() -> None:
    socket = SocketTarget("/var/run/docker.sock")
    assert Opening("here", (socket,)).candidates(voters("10.0.0.3"), None) == [socket]


def info(*, node: str = "n1", cluster: str = "c1", error: str = "", control: bool = True) -> Info:
    state = SwarmInfo(node, "10.0.0.1", "active", control, error, cluster=Cluster(id=cluster) if cluster else None)
    return Info(id="e", name="mgr1", swarm=state)


def judge(told: Info, **options: Any) -> LinkError | None:
    return fitness(told, "mgr1", **{"cluster_id": "c1", "avoided": frozenset(), "leaving": "", **options})


def test_a_manager_of_the_right_swarm_is_fit() -> None:
    assert judge(info()) is None
    assert judge(info(), cluster_id="") is None
    assert judge(info(cluster="")) is None  # an engine in trouble does not tell


def test_one_without_a_leader_is_better_than_none() -> None:
    reserve = judge(info(error="The swarm does not have a leader."))
    assert reserve is not None and reserve.reason is Reason.NO_LEADER


def test_one_that_is_to_leave_is_used_only_if_there_is_no_other() -> None:
    reserve = judge(info(), avoided={"n1", "n2"})
    assert reserve is not None and "if there is no other" in reserve.what
    assert judge(info(), avoided={"n2"}) is None


@pytest.mark.parametrize(
    ("told", "options", "reason"),
    [
        (info(control=False), {}, Reason.WORKER),
        (info(), {"leaving": "n1"}, Reason.WORKER),
        (info(cluster="other"), {}, Reason.OTHER_SWARM),
    ],
)
def test_what_cannot_be_used(told: Info, options: Any, reason: Reason) -> None:
    with pytest.raises(LinkError) as caught:
        judge(told, **options)
    assert caught.value.reason is reason and "mgr1" in caught.value.what


def test_why_there_is_no_connection_is_told_by_what_tells_most() -> None:
    tried = Connection(
        attempts=(
            Attempt("mgr1", 3.0, "mgr1 does not answer.", "", Reason.TIMEOUT),
            Attempt("mgr2", 1.0, "mgr2 refuses the key.", "Add the key.", Reason.AUTH_FAILED),
        )
    )
    error = tried.why_not_live("prod")
    assert (error.reason, error.where, error.next_step) == (Reason.AUTH_FAILED, "mgr2", "Add the key.")
    assert error.what == "mgr2 refuses the key. (1 more tried: mgr1 does not answer.)"
    assert Connection().why_not_live("prod").what == "Nothing answered yet."
