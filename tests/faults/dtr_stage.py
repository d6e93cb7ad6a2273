"""A simulated DTR, a run on it that something strikes in the middle, and what must be so in the end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swarmtui.demo.platform.dtr import found_on, stored_on
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.serve import Demo
from tests.faults import ucp_stage
from tests.faults.dtr_backups import left_on_hosts
from tests.faults.strikes import Strike, reboot, strikes, swarmtui, to_the_end

__all__ = ["AT", "THERE", "cleaned", "leaks", "left_on_hosts", "on_two_hosts", "settled", "struck", "whole"]

AT = "mgr1"
"""Where the commands run: the first manager that has the image."""
THERE = ("--target", "simulated", "--yes")
URL, STORAGE = "https://dtr.shop.example", "nfs://nas.shop.example/dtr"
SETTLED_SECONDS = 30.0


def on_two_hosts(node: str) -> dict[str, Strike]:
    """What strikes us and the host of the command, and a reboot of the node that it is about."""
    return {**strikes(AT), "node": reboot(node)}


async def struck(demo: Demo, folder: Path, run_id: str, name: str, case: str, strike: Strike, /, **given: Any) -> int:
    """Runs a runbook until it is struck, and goes on with it; returns the last exit code."""
    return await to_the_end(demo, await ucp_stage.run(demo, folder, run_id, name, case, strike, **given), run_id)


async def cleaned(demo: Demo, run_id: str, replica: str, told: str, *accept: str) -> None:
    """What was left of a replica is said with the way to be rid of it; gone that way, the run can be gone on with.

    Args:
        accept: what is accepted by destroying it.
    """
    assert replica in told and f"dtr.destroy replica={replica}" in told, told
    assert await swarmtui(demo, "run", "dtr.destroy", f"replica={replica}", *accept, *THERE) == 0
    assert await to_the_end(demo, None, run_id) == 0


async def settled(true: Callable[[], bool], why: Callable[[], object]) -> None:
    """Waits for what the simulator does by itself: a host that was booted at the very end is not back at once."""
    try:
        async with asyncio.timeout(SETTLED_SECONDS):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(str(why())) from None


def _wrong(demo: Demo, hosts: list[str]) -> list[str]:
    """What is not as it should be: members that are not well, or not on these hosts."""
    dtr, ucp = demo.world.dtr, demo.world.ucp
    assert isinstance(ucp, Ucp)
    if dtr is None:
        return ["DTR is not there"]
    ill = [f"{one.id} on {one.host}: {why}" for one in dtr.replicas.values() if (why := dtr.ill(one))]
    at = sorted(one.host for one in dtr.replicas.values())
    return ill + ([] if at == sorted(hosts) else [f"replicas on {', '.join(at)}"])


async def whole(demo: Demo, *hosts: str) -> None:
    """DTR has a healthy replica on each of these hosts, no more, and nothing is left anywhere else."""
    await settled(lambda: not _wrong(demo, list(hosts)), lambda: _wrong(demo, list(hosts)))
    dtr = demo.world.dtr
    assert dtr is not None
    held = {one for host in demo.world.hosts.values() if host.powered for one in found_on(host) | stored_on(host)}
    assert held == dtr.replicas.keys(), f"on hosts are {sorted(held)}"
    assert not (left := left_on_hosts(demo)), left


def leaks(demo: Demo, said: str) -> list[str]:
    """Where UCP's password stands and must not: what was said, our own files, the files and containers of the hosts."""
    secret = str(demo.platform["admin"]["password"])
    found = ["what was said"] if secret in said else []
    ours = [path for path in Path(os.environ["XDG_STATE_HOME"]).rglob("*") if path.is_file()]
    assert ours, "there is a journal"
    found += [str(path) for path in ours if secret.encode() in path.read_bytes()]
    for name, host in demo.world.hosts.items():
        found += [f"{name}:{path}" for path, file in host.files.items() if secret.encode() in file.data]
        found += [f"{name}:{one.name}" for one in host.containers.values() if secret in " ".join(one.command)]
    return found
