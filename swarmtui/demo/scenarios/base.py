"""What a scenario is: a world to begin with, a goal, and how to know that it is reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from swarmtui.demo.world.world import World


@dataclass(slots=True, frozen=True)
class Size:
    """How big a world is asked for; None leaves it to the scenario."""

    nodes: int | None = None
    tasks: int | None = None


@dataclass(slots=True, frozen=True)
class Progress:
    """How far a drill is.

    Attributes:
        solved: is the goal reached?
        left: what is missing, one sentence each.
    """

    solved: bool
    left: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        name: as chosen with `--scenario`.
        title: one line for `--list`.
        goal: what the person is asked to reach; empty where there is nothing to solve.
        build: makes the world.
        check: looks whether the goal is reached.
        platform: are there HTTPS ports for UCP and DTR?
        risky: what was done that could have gone wrong, judged from the world's log.
    """

    name: str
    title: str
    goal: str
    build: Callable[[World, Size], None]
    check: Callable[[World], Progress] = field(default=lambda world: Progress(False))
    risky: Callable[[World], list[str]] = field(default=lambda world: [])
    platform: bool = False
