"""What strikes a run in the middle, and how it is gone with afterwards: on the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from swarmtui.cli.main import main as command_line
from swarmtui.demo.serve import Demo
from tests.faults.faulty import Killed

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


async def swarmtui(demo: Demo, *words: str) -> int:
    """A command line of our program on the simulated cluster; returns its exit code."""
    return await asyncio.to_thread(command_line, [*words, "--config", str(demo.config)])


async def resume(demo: Demo, run_id: str) -> int:
    """Goes on with a run, as a person does in a program that begins anew; returns the exit code."""
    return await swarmtui(demo, "run", "--resume", run_id, "--yes")
