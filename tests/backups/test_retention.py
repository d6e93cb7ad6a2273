"""Which backups are kept: what must never go, and that the rules hang together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmtui.backups.retention import Kept, Rules, decide

DAY = 86_400.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def one(text: str, verdict: str = "not proved", **more: str) -> Kept:
    return Kept(f"{text}", at(text), verdict, **more)  # type: ignore[arg-type]


def kept(backups: list[Kept], rules: Rules) -> list[str]:
    return [decision.backup.id for decision in decide(backups, rules) if decision.keep]


def reasons(backups: list[Kept], rules: Rules) -> dict[str, tuple[str, ...]]:
    return {decision.backup.id: decision.because for decision in decide(backups, rules)}


NIGHTS = [one(f"2026-{month:02}-{day:02}T03:30:00", "yes") for month in (9, 10, 11) for day in range(1, 31)]


def test_nights_thin_out_into_weeks_and_months() -> None:
    # 30 November 2026 is a Monday, by the calendar; weeks end on Sundays 29, 22 and 15 November.
    assert kept(NIGHTS, Rules(last=2, daily=3, weekly=4, monthly=3)) == [
        f"2026-{day}T03:30:00" for day in ("11-30", "11-29", "11-28", "11-22", "11-15", "10-30", "09-30")
    ]


def test_it_says_why() -> None:
    said = reasons(NIGHTS, Rules(last=1, daily=2, weekly=1, monthly=2))
    assert said["2026-11-30T03:30:00"] == (
        "the newest that is proved",
        "last 1",
        "daily 2026-11-30",
        "weekly 2026-W49",
        "monthly 2026-11",
    )
    assert said["2026-11-29T03:30:00"] == ("daily 2026-11-29",)
    assert said["2026-10-30T03:30:00"] == ("monthly 2026-10",)
    assert said["2026-11-28T03:30:00"] == ("no rule keeps it",)


def test_days_without_a_backup_count_for_nothing() -> None:
    sparse = [one("2026-01-01T00:00:00"), one("2026-03-01T00:00:00"), one("2026-11-01T00:00:00")]
    assert len(kept(sparse, Rules(daily=3))) == 3


def test_the_years_end_is_in_the_week_it_belongs_to() -> None:
    # ISO 8601: 1 January 2027 is in week 53 of 2026, as 31 December is.
    said = reasons([one("2026-12-31T12:00:00"), one("2027-01-01T12:00:00")], Rules(weekly=2))
    assert said["2027-01-01T12:00:00"][-1] == "weekly 2026-W53"
    assert said["2026-12-31T12:00:00"] == ("no rule keeps it",)


def test_of_a_day_the_proved_one_is_kept_though_another_is_newer() -> None:
    day = [one("2026-11-20T03:00:00", "yes"), one("2026-11-20T09:00:00"), one("2026-11-21T03:00:00", "yes")]
    assert kept(day, Rules(daily=2)) == ["2026-11-21T03:00:00", "2026-11-20T03:00:00"]


def test_the_newest_proved_one_stays_however_old() -> None:
    backups = [one("2020-01-01T00:00:00", "yes"), *(one(f"2026-11-{day:02}T00:00:00") for day in range(1, 20))]
    assert kept(backups, Rules(last=1)) == ["2026-11-19T00:00:00", "2020-01-01T00:00:00"]
    assert kept(backups, Rules()) == ["2020-01-01T00:00:00"]


@pytest.mark.parametrize("verdict", ["not proved", "no"])
def test_the_only_ones_there_are_stay(verdict: str) -> None:
    assert kept([one("2026-11-01T00:00:00", verdict)], Rules()) == ["2026-11-01T00:00:00"]


def test_what_would_not_restore_takes_nobodys_place_and_goes_when_a_newer_one_is_proved() -> None:
    bad, good = one("2026-11-20T09:00:00", "no"), one("2026-11-20T03:00:00", "yes")
    assert kept([bad, good], Rules(last=1)) == [bad.id, good.id]
    later = one("2026-11-21T03:00:00", "yes")
    said = reasons([bad, good, later], Rules(last=2))
    assert said[bad.id] == ("would not restore, and a newer one is proved",)
    assert said[good.id] == ("last 2",)


def test_what_cannot_be_judged_stays() -> None:
    torn = Kept("torn", 0.0, "no", broken="its manifest is empty")
    undated = Kept("imported", 0.0, "yes")
    said = reasons([torn, undated, one("2026-11-21T03:00:00", "yes")], Rules(last=1))
    assert said["torn"] == ("cannot be judged: its manifest is empty",)
    assert said["imported"] == ("nobody knows when it was taken",)


def test_a_set_stays_whole() -> None:
    """Swarm and UCP are restored together: the UCP half is not pruned away from a Swarm half that is kept."""
    backups = [
        one("2026-10-01T01:00:00", "yes", set="first"),
        one("2026-10-01T02:00:00", "yes", kind="ucp", set="first"),
        one("2026-10-02T02:00:00", "yes", kind="ucp"),
    ]
    said = reasons(backups, Rules())
    assert said["2026-10-01T01:00:00"] == ("the newest that is proved",)
    assert said["2026-10-01T02:00:00"] == ("the set first needs it",)
    both = [replace(backup, set="") for backup in backups]
    assert reasons(both, Rules())["2026-10-01T02:00:00"] == ("no rule keeps it",)


def test_kinds_are_decided_apart() -> None:
    backups = [one("2026-10-01T01:00:00", "yes"), one("2026-10-02T02:00:00", "yes", kind="ucp")]
    assert len(kept(backups, Rules(last=1))) == 2


verdicts = st.sampled_from(["yes", "no", "not proved"])
many = st.lists(
    st.builds(
        Kept,
        id=st.integers(0, 10**6).map(str),
        at=st.one_of(st.just(0.0), st.floats(1.6e9, 1.9e9)),
        verdict=verdicts,
        kind=st.sampled_from(["swarm", "ucp"]),
        set=st.sampled_from(["", "", "a", "b"]),
        broken=st.sampled_from(["", "", "", "torn"]),
    ),
    max_size=40,
    unique_by=lambda backup: backup.id,
)
counts = st.integers(0, 8)
rule_sets = st.builds(Rules, counts, counts, counts, counts)


@given(many, rule_sets)
def test_deciding_again_changes_nothing(backups: list[Kept], rules: Rules) -> None:
    stay = [decision.backup for decision in decide(backups, rules) if decision.keep]
    assert all(decision.keep for decision in decide(stay, rules))


@given(many, rule_sets, rule_sets)
def test_more_generous_rules_keep_what_the_others_kept(backups: list[Kept], rules: Rules, more: Rules) -> None:
    both = Rules(*(max(getattr(rules, name), getattr(more, name)) for name in ("last", "daily", "weekly", "monthly")))
    assert set(kept(backups, rules)) <= set(kept(backups, both))


@given(many, rule_sets)
def test_the_newest_proved_one_of_each_kind_never_goes(backups: list[Kept], rules: Rules) -> None:
    stay = kept(backups, rules)
    for kind in ("swarm", "ucp"):
        same = [b for b in backups if b.kind == kind and b.at and not b.broken]
        proved = [b for b in same if b.verdict == "yes"]
        if proved:
            assert max(proved, key=lambda b: (b.at, b.id)).id in stay
        elif same:
            assert any(b.id in stay for b in same)


@given(many, rule_sets)
def test_the_order_they_are_told_in_does_not_matter(backups: list[Kept], rules: Rules) -> None:
    assert decide(backups, rules) == decide(reversed(backups), rules)


@given(many, rule_sets, st.floats(1.9e9, 2.0e9))
def test_no_rule_keeps_more_than_its_number(backups: list[Kept], rules: Rules, when: float) -> None:
    decided = decide([*backups, Kept("new", when, "yes")], rules)
    for kind in ("swarm", "ucp"):
        for word, count in (("last", rules.last), ("daily", rules.daily), ("weekly", rules.weekly)):
            said = [d for d in decided if d.backup.kind == kind and any(b.startswith(f"{word} ") for b in d.because)]
            assert len(said) <= count
    assert next(d for d in decided if d.backup.id == "new").keep
