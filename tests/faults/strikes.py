"""What strikes a run in the middle, and how it is gone with afterwards: on the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import pytest

from swarmtui.cli.main import main as command_line
from swarmtui.demo.serve import Demo
from swarmtui.runbooks.runner import Outcome
from tests.faults.faulty import Killed
from tests.lab.fixtures import FULL

Strike = Callable[[Demo], None]


def kill(demo: Demo) -> None:
    """As kill -9 of our process."""
    raise Killed


def cut(demo: Demo) -> None:
    """Every connection to every host is cut."""
    for server in demo._servers.values():
        for connection in list[Any](server.connections):
            connection.abort()


def reboot(name: str) -> Strike:
    """A host is booted anew."""
    return lambda demo: demo.world.reboot(demo.world.hosts[name])


def strikes(host: str) -> dict[str, Strike]:
    """All of them, by name."""
    return {"kill": kill, "cut": cut, "reboot": reboot(host)}


POINTS = ("intent", "effect", "proof")


def cases(
    struck: Iterable[str], steps: Iterable[str], few: Sequence[tuple[str, str]], points: Sequence[str] = POINTS
) -> list[Any]:
    """Parameters `strike` and `case`, as `STEP/POINT`: every strike at every point, or a few of them.

    Args:
        few: those that are struck where not the full matrix is asked for.
        points: of each step; without any, what is said is struck at.
    """
    at = [f"{step}/{point}" for step, point in product(steps, points)] if points else [*steps]
    every = list(product(struck, at))
    missing = set(few) - set(every)
    assert not missing, f"no such cases: {missing}"
    return [pytest.param(*case, id="-".join(case).replace("/", "-")) for case in (every if FULL else few)]


async def swarmtui(demo: Demo, *words: str) -> int:
    """A command line of our program on the simulated cluster; returns its exit code."""
    return await asyncio.to_thread(command_line, [*words, "--config", str(demo.config)])


async def resume(demo: Demo, run_id: str) -> int:
    """Goes on with a run, as a person does in a program that begins anew; returns the exit code."""
    return await swarmtui(demo, "run", "--resume", run_id, "--yes")


async def to_the_end(demo: Demo, outcome: Outcome | None, run_id: str, tries: int = 3) -> int:
    """Goes on with a run until it succeeds, or a few times; returns the last exit code."""
    code = 0 if outcome is not None and outcome.ok else 1
    for _ in range(tries):
        if code == 0:
            break
        code = await resume(demo, run_id)
    return code
