"""What is found about the backups, against a table written by hand, and what the header says of them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from swarmtui.model.backups import BackupHolding, age_words
from swarmtui.model.health import Finding, Severity, findings
from swarmtui.model.snapshot import Snapshot
from tests import builders as b

NOW = 1_790_000_000.0
HOUR = 3600.0


def found(held: BackupHolding | None) -> list[Finding]:
    snapshot = replace(b.snapshot([b.node("mgr1", manager="leader")]), backups=held)
    return [finding for finding in findings(snapshot, now=NOW) if finding.rule.startswith("backup")]


FRESH = BackupHolding(count=3, newest_at=NOW - HOUR, proved_at=NOW - 25 * HOUR, meant=True)

CASES = [
    # what is held, state, rule, severity, words
    (FRESH, "ok", "", Severity.ADVICE, ""),
    (replace(FRESH, proved_at=NOW - 26 * HOUR), "ok", "", Severity.ADVICE, ""),
    (
        replace(FRESH, proved_at=NOW - 27 * HOUR),
        "old",
        "backup-old",
        Severity.WARNING,
        "proved is 27 h old, more than 26 h. A newer one is not proved: swarmtui backups verify.",
    ),
    (
        BackupHolding(count=1, newest_at=NOW - 80 * HOUR, proved_at=NOW - 80 * HOUR, fresh_hours=50),
        "old",
        "backup-old",
        Severity.WARNING,
        "proved is 3 d old, more than 50 h. Take one: swarmtui run swarm.backup",
    ),
    (
        replace(FRESH, proved_at=0.0),
        "not proved",
        "backup-not-proved",
        Severity.WARNING,
        "(3 in the catalogue, the newest is 1 h old). Prove it",
    ),
    (
        BackupHolding(count=1),
        "not proved",
        "backup-not-proved",
        Severity.WARNING,
        "nobody knows their age",
    ),
    (BackupHolding(), "none", "backup-none", Severity.ADVICE, "no backup of this Swarm's control"),
    (BackupHolding(meant=True), "none", "backup-none", Severity.WARNING, "swarmtui backups schedule"),
    (
        BackupHolding(count=1, proved_at=NOW, trouble="/x cannot be read: Permission denied."),
        "unknown",
        "backup-unknown",
        Severity.WARNING,
        "/x cannot be read: Permission denied. Look at",
    ),
]


@pytest.mark.parametrize(("held", "state", "rule", "severity", "words"), CASES)
def test_what_is_found(held: BackupHolding, state: str, rule: str, severity: Severity, words: str) -> None:
    assert held.state(NOW) == state
    told = found(held)
    if not rule:
        assert told == []
        return
    [finding] = told
    assert (finding.rule, finding.severity) == (rule, severity)
    assert words in f"{finding.what} {finding.advice}"


def test_nothing_is_said_before_somebody_looked() -> None:
    assert Snapshot().backups is None and found(None) == []


def test_an_age_hardly_ticks() -> None:
    ages = [0, 59, 3599, 3600, 7199, 26 * HOUR, 47.9 * HOUR, 48 * HOUR, 80 * HOUR]
    assert [age_words(age) for age in ages] == ["<1 h", "<1 h", "<1 h", "1 h", "1 h", "26 h", "47 h", "2 d", "3 d"]
