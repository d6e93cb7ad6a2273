"""What happened in a world, for the report at the end of a drill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    Attributes:
        when: seconds since the epoch.
        kind: what sort of thing, as a dotted word ("node.remove", "quorum.lost", …).
        text: one sentence in the past tense.
        risky: could it have gone wrong, or did it?
    """

    when: float
    kind: str
    text: str
    risky: bool = False


class Journal:
    """The entries, oldest first."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.entries: list[Entry] = []

    def note(self, kind: str, text: str, *, risky: bool = False) -> None:
        """Add an entry."""
        self.entries.append(Entry(self._now(), kind, text, risky))

    def kinds(self, prefix: str) -> list[Entry]:
        """The entries whose kind begins so."""
        return [entry for entry in self.entries if entry.kind.startswith(prefix)]
