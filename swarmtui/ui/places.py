"""Where one was: back and forward over view, filter and row, as in a browser. No Textual here."""

from __future__ import annotations

from typing import NamedTuple

LONGEST = 100
"""Places that are remembered."""


class Place(NamedTuple):
    """What one looked at.

    Attributes:
        filter: what was typed after `/`.
        row: id of the row under the cursor.
    """

    view: str
    filter: str = ""
    row: str | None = None


class Trail:
    """The places before and after the one that is looked at."""

    def __init__(self) -> None:
        self._before: list[Place] = []
        self._after: list[Place] = []

    def leave(self, place: Place) -> None:
        """Remembers a place that is left for a new one; what was ahead is forgotten."""
        self._before = [*self._before, place][-LONGEST:]
        self._after.clear()

    def back(self, place: Place) -> Place | None:
        """Leaves a place for the one before it; None when there is none."""
        return self._step(self._before, self._after, place)

    def forward(self, place: Place) -> Place | None:
        """Leaves a place for the one after it; None when there is none."""
        return self._step(self._after, self._before, place)

    @staticmethod
    def _step(source: list[Place], other: list[Place], place: Place) -> Place | None:
        if not source:
            return None
        other.append(place)
        return source.pop()
