"""Every cluster of 1 to 9 managers, every number of them reachable, every action on one or two nodes.

The judge is the table below, written by hand (procedures.md B6, N2), and a small raft that follows the commands which
the plans show. Neither knows anything of swarmtui/model.
"""

from __future__ import annotations

import asyncio
import itertools
import shlex
from dataclasses import dataclass
from functools import cache, cached_property

import pytest

from swarmtui.errors import RefusedError
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.runbook import Plan
from tests import builders as b
from tests.runbooks.support import commands, session

TABLE = {
    1: (1, 0),
    2: (2, 0),
    3: (2, 1),
    4: (3, 1),
    5: (3, 2),
    6: (4, 2),
    7: (4, 3),
    8: (5, 3),
    9: (5, 4),
    10: (6, 4),
    11: (6, 5),
}
"""Voters: managers that must agree, managers that may be lost when all are up."""


def survives(voters: int, reachable: int) -> int:
    """Further losses until nothing can be changed; negative: it is so already."""
    return reachable - TABLE[voters][0]


Raft = tuple[int, int]
"""Voters, and how many of them are reachable."""


@dataclass(frozen=True)
class Case:
    voters: int
    reachable: int
    runbook: str
    chosen: tuple[str, ...]
    plan: Plan | None
    refused: str
    answers: dict[str, bool]
    """Manager → whether it is reachable, at the start."""

    def __str__(self) -> str:
        return f"{self.reachable}/{self.voters} {self.runbook} {','.join(self.chosen)}"

    @cached_property
    def steps(self) -> tuple[tuple[str, Raft, Raft], ...]:
        """Follows the raft through the commands: (node, before, after) for each that changes it."""
        assert self.plan is not None
        members = dict(self.answers)
        found = []
        for line in commands(self.plan):
            words = shlex.split(line)
            name = words[-1]
            before = len(members), sum(members.values())
            if words[:3] == ["docker", "node", "promote"]:
                assert name not in members
                members[name] = True
            elif words[:3] == ["docker", "node", "demote"]:
                del members[name]
            elif words[:3] == ["docker", "node", "rm"]:
                assert name not in members, "the engine refuses to remove a member of the raft"
                continue
            else:
                assert "--role" not in words
                continue
            found.append((name, before, (len(members), sum(members.values()))))
        return tuple(found)

    @property
    def now(self) -> Raft:
        return self.voters, self.reachable

    @property
    def end(self) -> Raft:
        return [self.now, *(after for _, _, after in self.steps)][-1]


def cluster(voters: int, reachable: int, ghost: bool) -> tuple[list[b.Json], dict[str, bool]]:
    """Managers m0… (m0 the leader; the first ones reachable) and two workers.

    Args:
        ghost: the last reachable manager counts as down, and the first unreachable one as ready.
    """
    nodes, answers = [], {}
    for i in range(voters):
        answers[f"m{i}"] = i < reachable
        lives = (i < reachable) != (ghost and i in (reachable - 1, reachable) and i > 0)
        status = "leader" if i == 0 and reachable else "reachable" if i < reachable else "unreachable"
        nodes.append(b.node(f"m{i}", manager=status, state="ready" if lives else "down", addr=f"10.0.0.{i + 1}"))
    return [*nodes, b.node("w0", addr="10.0.1.1"), b.node("w1", addr="10.0.1.2")], answers


def of_each_kind(voters: int, reachable: int) -> list[str]:
    """The leader, another reachable manager, two unreachable ones, the two workers."""
    up = [f"m{i}" for i in range(reachable)][:2]
    down = [f"m{i}" for i in range(reachable, voters)][:2]
    return [*up, *down, "w0", "w1"]


SINGLE = ("node.drain", "node.pause", "node.activate", "node.label", "node.promote", "node.demote", "node.remove")
PAIRS = ("node.promote", "node.demote", "node.remove")


@cache
def all_cases() -> tuple[Case, ...]:
    async def plan_all() -> list[Case]:
        cases = []
        for voters, ghost in itertools.product(range(1, 10), (False, True)):
            for reachable in range(voters + 1):
                nodes, answers = cluster(voters, reachable, ghost)
                opened = session(b.snapshot(nodes))
                names = of_each_kind(voters, reachable)
                wanted: list[tuple[str, tuple[str, ...]]]
                wanted = [(runbook, (name,)) for runbook in ("node.demote", "node.remove") for name in names]
                if not ghost:
                    wanted = [(runbook, (name,)) for runbook in SINGLE for name in names]
                    wanted += [(runbook, pair) for runbook in PAIRS for pair in itertools.permutations(names, 2)]
                for runbook_name, chosen in wanted:
                    runbook = registry.runbook(runbook_name)
                    given = {"node": ",".join(chosen)} | ({"label": "a=b"} if runbook_name == "node.label" else {})
                    plan, refused = None, ""
                    try:
                        values = params.parse(runbook_name, runbook.params, given)
                        plan = await runbook.prepare(opened, values)
                    except RefusedError as error:
                        refused = str(error)
                    cases.append(Case(voters, reachable, runbook_name, chosen, plan, refused, answers))
        return cases

    return tuple(asyncio.run(plan_all()))


@pytest.fixture(scope="module")
def cases() -> tuple[Case, ...]:
    return all_cases()


@pytest.fixture(scope="module")
def planned(cases: tuple[Case, ...]) -> list[tuple[Case, Plan]]:
    return [(case, case.plan) for case in cases if case.plan is not None]


def rules(plan: Plan) -> set[str]:
    return {str(rule) for rule in plan.rules}


def test_the_judge_follows_the_commands(cases: tuple[Case, ...]) -> None:
    """A planted case: the raft in this file must see a demotion that costs the quorum."""
    by_name = {str(case): case for case in cases}
    assert by_name["3/4 node.demote m1"].steps == (("m1", (4, 3), (3, 2)),)
    lost = by_name["2/3 node.demote m1"]
    assert lost.steps == (("m1", (3, 2), (2, 1)),)
    assert survives(*lost.end) < 0


def test_there_are_as_many_cases_as_there_should_be(cases: tuple[Case, ...]) -> None:
    assert len({str(case) for case in cases}) > 3_500
    assert sum(case.plan is not None for case in cases) > 2_500
    assert {(case.voters, case.reachable) for case in cases} == {(v, r) for v in range(1, 10) for r in range(v + 1)}


def test_no_plan_without_a_rule_takes_a_cluster_from_quorum_to_none(planned: list[tuple[Case, Plan]]) -> None:
    for case, plan in planned:
        for name, before, after in case.steps:
            if survives(*before) >= 0 > survives(*after):
                assert f"quorum={name}" in rules(plan), case
                break


def test_the_rules_cry_no_wolf(planned: list[tuple[Case, Plan]]) -> None:
    for case, plan in planned:
        expected: set[str] = set()
        for name, before, after in case.steps:
            if survives(*before) >= 0 > survives(*after):
                expected.add(f"quorum={name}")
            elif survives(*before) > 0 >= survives(*after):
                expected.add(f"tolerance={name}")
        assert rules(plan) == expected, case


def test_the_loss_of_all_tolerance_breaks_a_rule(planned: list[tuple[Case, Plan]]) -> None:
    seen = 0
    for case, plan in planned:
        for name, (voters, reachable), after in case.steps:
            if voters == reachable and TABLE[voters][1] > 0 and after[0] == after[1] and TABLE[after[0]][1] == 0:
                assert f"tolerance={name}" in rules(plan), case
                seen += 1
    assert seen


def test_a_plan_with_a_rule_wants_the_word_typed(planned: list[tuple[Case, Plan]]) -> None:
    for case, plan in planned:
        assert not plan.rules or plan.typed == plan.rules[0].about != "", case


def test_only_the_last_manager_and_a_lost_quorum_are_refused(cases: tuple[Case, ...]) -> None:
    for case in cases:
        leaving = set(case.chosen) & set(case.answers)
        ends_it = case.runbook in ("node.demote", "node.remove") and len(leaving) == case.voters
        assert bool(case.refused) is (survives(*case.now) < 0 or ends_it), case
        if survives(*case.now) < 0:
            assert "no quorum" in case.refused, case
        elif ends_it:
            assert "last manager" in case.refused and any(name in case.refused for name in leaving), case


def test_two_to_one_is_warned_of_by_name(planned: list[tuple[Case, Plan]]) -> None:
    for case, plan in planned:
        warned = [warning for warning in plan.warnings if "two managers to one" in warning.lower()]
        passed = [name for name, before, after in case.steps if (before[0], after[0]) == (2, 1)]
        assert len(warned) == len(passed), case
        assert all(name in warning for name, warning in zip(passed, warned, strict=True)), case


def changes(case: Case) -> bool:
    return bool(case.steps)


def ends_idle(case: Case) -> bool:
    """Whether nothing is to be done on the node named last."""
    return case.chosen[-1] not in [name for name, _, _ in case.steps] and len(case.chosen) > 1


@pytest.mark.parametrize("idle", [False, True], ids=["each node changes", "nothing to do on the last one"])
def test_even_and_large_numbers_are_warned_of(planned: list[tuple[Case, Plan]], idle: bool) -> None:
    chosen = [(case, plan) for case, plan in planned if ends_idle(case) is idle and changes(case)]
    assert chosen
    for case, plan in chosen:
        voters = case.end[0]
        even = [warning for warning in plan.warnings if f"{voters} managers" in warning and "even" in warning]
        many = [warning for warning in plan.warnings if "more than 7" in warning]
        assert len(even) == (voters % 2 == 0), case
        assert len(many) == (voters > 7), case


def test_what_leaves_the_raft_alone_says_nothing_of_it(planned: list[tuple[Case, Plan]]) -> None:
    for case, plan in planned:
        if case.runbook in ("node.drain", "node.pause", "node.activate", "node.label"):
            assert not changes(case), case
            assert (plan.quorum, plan.rules, plan.warnings) == (None, (), ()), case


def test_a_lower_tolerance_is_at_least_warned_of(planned: list[tuple[Case, Plan]]) -> None:
    for case, plan in planned:
        for name, before, after in case.steps:
            if survives(*before) > survives(*after) > 0:
                told = f"survives {survives(*after)} instead of {survives(*before)}"
                assert any(told in warning for warning in plan.warnings), (case, name)


def test_before_and_after_are_shown_as_they_will_be(planned: list[tuple[Case, Plan]]) -> None:
    for case, plan in planned:
        if case.end == case.now:
            continue
        assert plan.quorum is not None, case
        shown = [(raft.voters, raft.reachable) for raft in (plan.quorum.before, plan.quorum.after)]
        assert shown == [case.now, case.end], case


def test_a_removal_never_takes_out_a_member_of_the_raft(planned: list[tuple[Case, Plan]]) -> None:
    for case, plan in planned:
        if case.runbook == "node.remove":
            removed = [shlex.split(line)[-1] for line in commands(plan) if line.startswith("docker node rm")]
            assert removed == list(case.chosen), case
            assert case.end[0] == case.voters - len(set(case.chosen) & set(case.answers)), case
