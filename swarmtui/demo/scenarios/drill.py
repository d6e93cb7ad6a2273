"""Watches a scenario while somebody works on it, and says at the end how it went."""

from __future__ import annotations

from typing import Any

from swarmtui.demo.scenarios.base import Progress, Scenario
from swarmtui.demo.world.world import World

_EVERY = 0.5


class Drill:
    """One attempt at a scenario.

    Attributes:
        solved_at: when the goal was first reached and still held at the last look; None while it is not.
    """

    def __init__(self, scenario: Scenario, world: World) -> None:
        self.scenario = scenario
        self.world = world
        self.begun = world.kernel.now()
        self.solved_at: float | None = None
        self._first = len(world.journal.entries)
        if scenario.goal:
            self._look()

    def progress(self) -> Progress:
        """How far it is now."""
        return self.scenario.check(self.world)

    def _look(self) -> None:
        if not self.progress().solved:
            self.solved_at = None
        elif self.solved_at is None:
            self.solved_at = self.world.kernel.now()
            self.world.journal.note("drill.solved", "The goal was reached.")
        self.world.kernel.after(_EVERY, self._look)

    def report(self) -> dict[str, Any]:
        """How it went: solved or not, the time it took in seconds, what is left, what was risky."""
        progress = self.progress() if self.scenario.goal else Progress(False)
        end = self.solved_at or self.world.kernel.now()
        entries = self.world.journal.entries[self._first :]
        done = [entry for entry in entries if entry.when <= end]
        risky = [entry.text for entry in done if entry.risky]
        return {
            "scenario": self.scenario.name,
            "goal": self.scenario.goal,
            "solved": progress.solved,
            "seconds": round(end - self.begun, 1),
            "left": list(progress.left),
            "risky": list(dict.fromkeys([*risky, *self.scenario.risky(self.world)])),
            "happened": [{"after": round(e.when - self.begun, 1), "what": e.text} for e in entries],
        }
