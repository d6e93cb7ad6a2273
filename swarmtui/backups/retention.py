"""Which backups are kept, and why: a pure decision over what is known of each.

Rules count what can restore. Days, weeks (ISO 8601) and months are those of UTC, so that every machine decides alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from swarmtui.backups.records import Verdict

if TYPE_CHECKING:
    from swarmtui.backups.entries import Entry
    from swarmtui.config import BackupsConfig

_RANK: dict[str, int] = {"yes": 2, "not proved": 1, "no": 0}


@dataclass(frozen=True, slots=True)
class Rules:
    """How many are kept: the newest, and one for each of so many days, weeks and months that have one."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    @classmethod
    def of(cls, settings: BackupsConfig) -> Rules:
        """The rules of the configuration."""
        return cls(settings.last, settings.daily, settings.weekly, settings.monthly)

    def __str__(self) -> str:
        return f"last {self.last}, daily {self.daily}, weekly {self.weekly}, monthly {self.monthly}"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a decision needs to know of one backup.

    Attributes:
        id: its name; later ones of one moment sort after it.
        at: when it was taken, unix seconds; 0.0 where nobody knows.
        verdict: whether it would restore.
        kind: what was backed up; each kind is decided by itself.
        set: backups of several kinds that belong together have the same; "" for one alone.
        broken: why it cannot be read; "" where it can.
    """

    id: str
    at: float
    verdict: Verdict = "not proved"
    kind: str = "swarm"
    set: str = ""
    broken: str = ""

    @classmethod
    def of(cls, entry: Entry) -> Kept:
        """One backup of the catalogue."""
        manifest = entry.manifest
        if manifest is None:
            return cls(entry.id, 0.0, "no", broken=entry.broken or "its manifest cannot be read")
        return cls(entry.id, manifest.taken_at, entry.would_restore, manifest.kind, manifest.set, entry.broken)


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one backup.

    Attributes:
        because: why it is kept, or goes; at least one.
    """

    backup: Kept
    keep: bool
    because: tuple[str, ...]


def decide(backups: Iterable[Kept], rules: Rules) -> tuple[Decision, ...]:
    """Decides about all backups of one cluster in one place, the newest first.

    Whatever the rules say, these stay: the newest that was proved (the newest at all where none was), what a set that
    is kept needs, what would not restore as long as nothing newer is proved, and what cannot be judged.
    """
    newest = sorted(backups, key=lambda backup: (backup.at, backup.id), reverse=True)
    reasons: dict[str, list[str]] = {backup.id: [] for backup in newest}
    for kind in dict.fromkeys(backup.kind for backup in newest):
        _of_one_kind([backup for backup in newest if backup.kind == kind], rules, reasons)
    _whole_sets(newest, reasons)
    return tuple(
        Decision(backup, bool(reasons[backup.id]), tuple(reasons[backup.id]) or (_why_it_goes(backup),))
        for backup in newest
    )


def _of_one_kind(newest: Sequence[Kept], rules: Rules, reasons: dict[str, list[str]]) -> None:
    for backup in newest:
        if backup.broken:
            reasons[backup.id].append(f"cannot be judged: {backup.broken}")
        elif not backup.at:
            reasons[backup.id].append("nobody knows when it was taken")
    judged = [backup for backup in newest if not backup.broken and backup.at]
    good = [backup for backup in judged if backup.verdict != "no"]
    proved = next((backup for backup in judged if backup.verdict == "yes"), None)
    if proved is not None:
        reasons[proved.id].append("the newest that is proved")
    elif judged:
        reasons[(good or judged)[0].id].append("the newest; none is proved")
    for backup in judged:
        if backup.verdict == "no" and (proved is None or _order(proved) < _order(backup)):
            reasons[backup.id].append("would not restore, but nothing newer is proved")
    for number, backup in enumerate(good[: rules.last], 1):
        reasons[backup.id].append(f"last {number}")
    for word, count, period in _PERIODS:
        groups: dict[str, list[Kept]] = defaultdict(list)
        for backup in good:
            groups[period(datetime.fromtimestamp(backup.at, UTC))].append(backup)
        for name, group in list(groups.items())[: count(rules)]:
            # max takes the first of equals, which is the newest.
            chosen = max(group, key=lambda backup: _RANK[backup.verdict])
            reasons[chosen.id].append(f"{word} {name}")


_PERIODS: tuple[tuple[str, Callable[[Rules], int], Callable[[datetime], str]], ...] = (
    ("daily", lambda rules: rules.daily, lambda at: f"{at:%Y-%m-%d}"),
    ("weekly", lambda rules: rules.weekly, lambda at: f"{at:%G-W%V}"),
    ("monthly", lambda rules: rules.monthly, lambda at: f"{at:%Y-%m}"),
)


def _order(backup: Kept) -> tuple[float, str]:
    return backup.at, backup.id


def _whole_sets(newest: Sequence[Kept], reasons: dict[str, list[str]]) -> None:
    """A platform is restored from one backup of each kind: while one of a set is kept, the best of the others is."""
    sets: dict[str, list[Kept]] = defaultdict(list)
    for backup in newest:
        if backup.set:
            sets[backup.set].append(backup)
    for name, members in sets.items():
        if not any(reasons[backup.id] for backup in members):
            continue
        for kind in dict.fromkeys(backup.kind for backup in members):
            same = [backup for backup in members if backup.kind == kind]
            if not any(reasons[backup.id] and backup.verdict != "no" for backup in same):
                best = max(same, key=lambda backup: _RANK[backup.verdict])
                reasons[best.id].append(f"the set {name} needs it")


def _why_it_goes(backup: Kept) -> str:
    return "would not restore, and a newer one is proved" if backup.verdict == "no" else "no rule keeps it"
