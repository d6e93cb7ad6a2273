"""How fresh a cluster's backups are. Pure: the current time is an argument."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

HOUR = 3600.0
DAY = 86_400.0

Freshness: TypeAlias = Literal["ok", "old", "none", "not proved", "unknown"]


class BackupHolding(Struct, frozen=True):
    """What our catalogue has of a cluster. Times are when the backup was taken, unix seconds; 0.0 for none.

    Attributes:
        count: how many backups there are, readable or not.
        newest_at: the newest one, proved or not.
        proved_at: the newest one of which it is proved that it would restore.
        fresh_hours: how old that one may be.
        meant: whether somebody means to keep backups here: there are some, or the configuration speaks of them.
        trouble: why the catalogue cannot be read; "" where it can.
        dtr_at: the newest one of DTR, which the rest does not count.
    """

    count: int = 0
    newest_at: float = 0.0
    proved_at: float = 0.0
    fresh_hours: int = 26
    meant: bool = False
    trouble: str = ""
    dtr_at: float = 0.0

    def state(self, now: float) -> Freshness:
        """Whether that will do, in a word."""
        if self.trouble:
            return "unknown"
        if not self.count:
            return "none"
        if not self.proved_at:
            return "not proved"
        return "old" if now - self.proved_at > self.fresh_hours * HOUR else "ok"


def age_words(seconds: float) -> str:
    """The age of a backup, in steps that hardly tick: <1 h, 5 h, 3 d."""
    if seconds < HOUR:
        return "<1 h"
    return f"{int(seconds // HOUR)} h" if seconds < 2 * DAY else f"{int(seconds // DAY)} d"
