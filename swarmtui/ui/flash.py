"""Which rows and cells changed a moment ago, so that a table can show it for a while. No Textual here."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from operator import attrgetter

from swarmtui.ui.cells import Row
from swarmtui.ui.rows import Change

_MERGE_SECONDS = 0.25
"""Changes closer together than this are kept as one, so that a fast feed costs no more than a slow one."""


_looks = attrgetter("text", "style")


@dataclass(slots=True)
class _Recent:
    """Rows that changed at about the same time: ids of new ones, and the old rows of changed ones."""

    since: float
    added: set[str]
    updated: dict[str, Row]


class Flashes:
    """Remembers changes for some seconds. What exactly changed is only worked out for rows that are drawn."""

    def __init__(self, seconds: float) -> None:
        """Makes an empty memory that forgets after so many seconds."""
        self.seconds = seconds
        self._recent: deque[_Recent] = deque()

    def __bool__(self) -> bool:
        return bool(self._recent)

    def add(self, now: float, change: Change) -> None:
        """Remembers a change that happened now (seconds, monotonic)."""
        if not (change.added or change.updated):
            return
        if self._recent and now - self._recent[-1].since < _MERGE_SECONDS:
            last = self._recent[-1]
            last.added.update(change.added)
            last.updated = {**change.updated, **last.updated}  # the oldest row of the two counts
        else:
            self._recent.append(_Recent(now, set(change.added), dict(change.updated)))

    def forget(self, now: float) -> float | None:
        """Drops what is too old. Returns the seconds until the next one is, or None if nothing is left."""
        while self._recent and self._recent[0].since + self.seconds <= now:
            self._recent.popleft()
        return self._recent[0].since + self.seconds - now if self._recent else None

    def of(self, key: str, row: Row) -> tuple[bool, frozenset[int]] | None:
        """Returns what is new about a row: (the whole row, indexes of changed cells), or None."""
        cells: set[int] = set()
        changed = False
        for recent in reversed(self._recent):
            if key in recent.added:
                return True, frozenset()
            old = recent.updated.get(key)
            if old is not None:
                changed = True
                cells.update(i for i, cell in enumerate(row) if i >= len(old) or _looks(old[i]) != _looks(cell))
                row = old
        return (False, frozenset(cells)) if changed else None
