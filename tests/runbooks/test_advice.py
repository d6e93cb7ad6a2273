"""What the diagnosis says to type is an operation that there is, with parameters that it takes."""

from __future__ import annotations

from collections.abc import Iterator

from swarmtui.model.recovery import Advice, Condition, Diagnosis, Kept, Member, Way, Worker, diagnose
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.swarm.recovery.recover import Around
from swarmtui.runbooks.swarm.recovery.recover_words import WAYS, WORDS, told

DEAD = [Member(name=name, condition=Condition.DEAD) for name in ("mgr2", "mgr3")]
WORKS = [Member(name=f"mgr{n}", condition=Condition.WORKS, leader_id="l") for n in (1, 2, 3)]
OUT = Member(name="mgr1", condition=Condition.OUT, target="ssh://root@10.0.0.1", address="10.0.0.1")
SPARE = (Worker("wrk1", ready=True), Worker("wrk2", ready=False))


def diagnoses() -> Iterator[Diagnosis]:
    kept = (Kept("20261121T000000Z-ab", "yes", "5 h", ("shop_web",)),)
    yield diagnose([*WORKS[:2], DEAD[1]], kept, workers=SPARE)
    yield diagnose([*WORKS[:2], Member(name="mgr3", condition=Condition.BROKEN)])
    yield diagnose([*WORKS[:2], Member(name="mgr3", condition=Condition.LOCKED)])
    yield diagnose([Member(name="mgr1", condition=Condition.LEADERLESS), *DEAD], target="prod")
    yield diagnose([OUT, *DEAD], kept)
    yield diagnose([WORKS[0], Member(name="mgr2", condition=Condition.WORKS, leader_id="other")])


def test_every_runbook_that_is_advised_takes_what_it_is_given() -> None:
    advised: dict[Way, Advice] = {}
    for found in diagnoses():
        advised |= {advice.way: advice for advice in (found.best, *found.then) if advice.runbook}
    assert set(advised) == {
        Way.UNLOCK,
        Way.REJOIN,
        Way.REPLACE,
        Way.RECREATE,
        Way.SPLIT,
        Way.FORCE,
        Way.RESTORE,
    }
    for advice in advised.values():
        runbook = registry.runbook(advice.runbook)
        given = params.parse(runbook.name, runbook.params, advice.params)
        assert set(advice.params) <= set(given), advice


def test_every_way_and_every_condition_has_words() -> None:
    assert set(WAYS) == set(Way) and set(WORDS) == set(Condition)


def test_managers_that_are_only_remembered_are_told_as_that() -> None:
    away = [Member(name=name, condition=Condition.UNREACHABLE) for name in ("mgr1", "mgr2", "mgr3")]
    around = Around(members=tuple(away), workers=(Worker("wrk1"), Worker("wrk2")), remembered_at=1.0)
    lines = [line for _, line in told("prod", around, diagnose(away, workers=around.workers))]
    assert any(line.startswith("No manager tells of the others: these are the managers as they were") for line in lines)
    assert "  Workers: wrk1, wrk2 (nobody tells how they are)." in lines
    live = Around(members=tuple(WORKS), workers=SPARE)
    lines = [line for _, line in told("prod", live, diagnose(WORKS, workers=SPARE))]
    assert "  Workers: 1 ready, down: wrk2." in lines and "  $ swarmtui run node.rejoin node=wrk2" in lines
