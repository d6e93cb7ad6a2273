"""The whole platform destroyed and brought back by keys alone, stopped and gone on with twice on the way.

On the simulator here, on the lab in test_platform_lab.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.cli import demo as command
from swarmtui.demo.serve import Demo
from swarmtui.opening import find
from tests.driver import Driver, driven
from tests.faults import ucp_stage as u
from tests.platform.stage import REPLICAS, WELL, destroy_all, dtr_nodes, hurry, ucp_ill

SECONDS = 120.0


async def test_destroyed_and_brought_back_stopped_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    async with Demo("platform-3", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        had = u.accounts(demo)

        async def destroy() -> None:
            destroy_all(demo)

        opening = find("simulated", config.load(demo.config), bundles=tmp_path / "bundle")
        async with driven(opening, config.state_dir() / "journal") as console:
            await story(console, "simulated", destroy, ("Unpack", "Put the archive on"), SECONDS)
            assert u.accounts(demo) == had and ucp_ill(demo) == WELL and dtr_nodes(demo) == list(REPLICAS)
            secrets = (u.PASSPHRASE, demo.platform["admin"]["password"])
            assert not any(secret in told for secret in secrets for told in console.app.told)


async def test_what_a_backup_does_not_tell_is_said_where_that_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive that was made by hand: the look ends with what it lacks, and that can be said there."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "")
    async with Demo("platform-lost", speed=20, seed=1) as demo:
        line = demo.describe()
        await asyncio.to_thread(command._take_in, line)
        command._keep_secrets(line)
        opening = find("simulated", config.load(demo.config), bundles=tmp_path / "bundle")
        async with driven(opening, config.state_dir() / "journal") as console:
            await console.here().press("!").sees("1 the whole platform: Swarm, UCP, DTR", within=SECONDS).press("1")
            await console.here().sees("of DTR does not tell its node", "dtr-node=NODE", within=SECONDS).press("o")
            await console.here().at("ask").press("escape").sees("does not tell its node").press("o")
            await console.here().answer(
                "dtr-node=dtr1 dtr-replica=a6a628053157 dtr-url=https://dtr.shop.example dtr-storage=local"
            )
            await console.here().at("confirm", SECONDS).dialog("Bring back Swarm, UCP, DTR", "DTR 2.4.1 comes back")


async def story(
    console: Driver, cluster: str, destroy: Callable[[], Awaitable[None]], stops: Sequence[str], within: float
) -> None:
    """From the backup of all of a platform that is well to the end of its recovery.

    Args:
        destroy: what happens to it. stops: titles of steps during which the run is stopped, and gone on with.
        within: seconds that a run, or the way to one of these steps, may take.
    """
    await console.nodes().live().view("backups").press("A")
    await console.here().at("confirm", within).dialog(f"Back up Swarm, UCP, DTR of {cluster}").confirm()
    await console.here().until_done(within).sees("Backups (3)", within=within)
    await destroy()
    await console.here().press("!").sees("1 the whole platform: Swarm, UCP, DTR", within=within).press("1")
    await console.here().at("confirm", within).dialog("Bring back Swarm, UCP, DTR", "comes back from").confirm(cluster)
    for step in stops:
        await console.here().at("run").sees(step, within=within).press("s")
        await console.here().sees("Stopped between two steps", within=within).press("escape")
        await console.here().at("reading").sees("1 go on with: Bring back Swarm", within=within).press("1")
        await console.here().at("confirm", within).dialog("steps are done, and are not done again.").confirm(cluster)
    await console.here().at("run").sees("Done and verified.", within=within)
