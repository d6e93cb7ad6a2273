"""1,000 corruptions inside real archives: none may be said to restore that holds something else, and none at all that a
real dockerd did not bring back (data/oracle-*.json has what it did; tests/backups/oracle.py asks it anew)."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from swarmtui.model.inventory_diff import Comparison
from tests.backups import frames
from tests.backups.campaign import COUNT, Judged, judge
from tests.backups.corruptions import BASES, KINDS, case, good
from tests.backups.generations import generations
from tests.backups.oracle import EMPTY, LEADERLESS, OLDER, REFUSED, SAME, path_of

ENGINES = ("20.10", "26.1")
PIECE = 100


@cache
def answers(engine: str) -> dict[int, dict[str, Any]]:
    """What the real engine did, by the number of the case; the good ones left out."""
    return {one["number"]: one for one in json.loads(path_of(engine).read_text()) if one["number"] >= 0}


def wrong(engine: str, judged: Judged) -> str:
    """Why our verdict is wrong, or "": against the contents, and against the real engine."""
    one, said = judged.case, f"{judged.verdict}, because {judged.verification.because}"
    if judged.missed:
        return f"{one.number} ({one.base.name}: {one.what}): {said}; other {judged.unlike}"
    if judged.verdict != "yes" and not judged.verification.because:
        return f"{one.number} ({one.base.name}: {one.what}): {said}"
    answer = answers(engine).get(one.number)
    if answer is None:
        return ""
    assert (answer["base"], answer["what"]) == (one.base.name, one.what), "the answer is of another corruption"
    if answer["outcome"] != SAME and judged.verdict == "yes":
        # Said to restore, without a file that is named: dockerd was asked about that as well.
        if answer.get("without") == SAME and "leave it out of a restore" in str(judged.verification.tiers):
            return ""
        return f"{one.number} ({one.base.name}: {one.what}): {said}; dockerd: {answer['outcome']}: {answer['why']}"
    return ""


@pytest.mark.parametrize("first", range(0, COUNT, PIECE))
def test_no_corruption_that_matters_is_said_to_restore(first: int, tmp_path: Path) -> None:
    judged = [judge(case(number), tmp_path) for number in range(first, first + PIECE)]
    assert not [why for one in judged if (why := wrong("20.10", one))]
    # Most of them matter, and some do not: a no to everything would be no verdict.
    verdicts = Counter(one.verdict for one in judged)
    assert verdicts["no"] > PIECE / 2 and verdicts["yes"] > PIECE / 20, verdicts


@pytest.mark.parametrize("engine", ENGINES)
def test_verdicts_hold_against_the_real_engine(engine: str, tmp_path: Path) -> None:
    """The others that it was asked about: on 20.10 those beyond the first 1,000 that were once said to restore."""
    numbers = [number for number in answers(engine) if engine != "20.10" or number >= COUNT]
    judged = [judge(case(number, engine), tmp_path) for number in numbers]
    assert not [why for one in judged if (why := wrong(engine, one))]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_good_archive_would_restore(engine: str, tmp_path: Path) -> None:
    told = json.loads(path_of(engine).read_text())
    assert [one["outcome"] for one in told if one["number"] < 0] == [SAME] * len(BASES)
    for name in BASES:
        judged = judge(good(name, engine), tmp_path)
        assert (judged.verdict, judged.unlike) == ("yes", ""), judged.verification


@pytest.mark.parametrize("engine", ENGINES)
def test_the_real_engine_was_asked_about_every_kind(engine: str) -> None:
    asked = answers(engine).values()
    assert {one["kind"] for one in asked} == set(KINDS)
    outcomes = Counter(one["outcome"] for one in asked)
    assert set(outcomes) <= {SAME, OLDER, EMPTY, REFUSED, LEADERLESS}
    assert min(outcomes[SAME], outcomes[OLDER], outcomes[REFUSED]) >= 5, outcomes


def test_a_verification_that_compares_nothing_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: an older raft log, whole and good, passes where nobody looks what is in it."""
    number = next(number for number in range(COUNT) if case(number).kind == "raft-of-before")
    assert judge(case(number), tmp_path).verdict == "no"
    monkeypatch.setattr("swarmtui.backups.verify.compare", lambda *inventories: Comparison(True))
    judged = judge(case(number), tmp_path)
    assert judged.missed and "services" in wrong("20.10", judged)


def test_a_corruption_is_the_same_each_time() -> None:
    for number in range(0, COUNT, 37):
        assert case(number).tar == case(number).tar
    changed = [case(number) for number in range(len(KINDS))]
    assert all(one.key != one.base.key or one.whole or one.files != one.base.files for one in changed)


@pytest.mark.parametrize("engine", ENGINES)
def test_logs_are_put_together_as_dockerd_wrote_them(engine: str) -> None:
    """Else a "mended" corruption would be caught for how it was mended."""
    for one in generations(engine).values():
        (log,) = [data for name, data in one.files.items() if name.endswith(".wal")]
        parts = frames.taken_apart(log)
        assert frames.put_together(frames.records(parts), len(log)) == log
