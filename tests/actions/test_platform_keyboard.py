"""The whole platform destroyed and brought back by keys alone, stopped and gone on with twice on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.demo.serve import Demo
from swarmtui.opening import find
from tests.driver import driven
from tests.faults import ucp_stage as u
from tests.platform.stage import REPLICAS, WELL, destroy_all, dtr_nodes, hurry, ucp_ill

SECONDS = 120.0


async def test_destroyed_and_brought_back_stopped_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    async with Demo("platform-3", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        had = u.accounts(demo)
        opening = find("simulated", config.load(demo.config), bundles=tmp_path / "bundle")
        async with driven(opening, config.state_dir() / "journal") as console:
            await console.nodes().live().view("backups").press("A")
            await (
                console.here()
                .at("confirm", SECONDS)
                .dialog("Back up Swarm, UCP, DTR of simulated")
                .confirm()
                .until_done(SECONDS)
            )
            await console.here().sees("Backups (3)", within=SECONDS)
            destroy_all(demo)
            await console.here().press("!").sees("1 the whole platform: Swarm, UCP, DTR", within=SECONDS).press("1")
            await (
                console.here()
                .at("confirm", SECONDS)
                .dialog("Bring back Swarm, UCP, DTR", "UCP 3.2.7 comes back from")
                .confirm("simulated")
            )
            for step in ("Unpack", "Put the archive on"):
                await console.here().at("run").sees(step, within=SECONDS).press("s")
                await console.here().sees("Stopped between two steps", within=SECONDS).press("escape")
                await console.here().at("reading").sees("1 go on with: Bring back Swarm", within=SECONDS).press("1")
                await (
                    console.here()
                    .at("confirm", SECONDS)
                    .dialog("steps are done, and are not done again.")
                    .confirm("simulated")
                )
            await console.here().at("run").sees("Done and verified.", within=SECONDS)
            assert u.accounts(demo) == had and ucp_ill(demo) == WELL and dtr_nodes(demo) == list(REPLICAS)
            secrets = (u.PASSPHRASE, demo.platform["admin"]["password"])
            assert not any(secret in told for secret in secrets for told in console.app.told)
