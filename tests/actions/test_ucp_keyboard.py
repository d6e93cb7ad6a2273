"""All that is done with UCP, by keys alone: on the simulator here, on the lab in test_ucp_lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.config import load, state_dir
from swarmtui.demo.serve import Demo
from swarmtui.opening import find
from tests.actions.ucp_stage import ADMIN, JIM, PASSPHRASE, SECRETS
from tests.driver import Driver, driven

SECONDS = 90.0


async def test_installed_lost_and_brought_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROD_ADMIN", ADMIN)
    monkeypatch.setenv("PROD_PASSPHRASE", PASSPHRASE)
    async with Demo("no-ucp", speed=20, seed=1) as demo:
        file = tmp_path / "config.toml"
        file.write_text(f"{demo.config.read_text()}\n[clusters.simulated.secrets]\n{SECRETS}")
        opening = find("cluster:simulated", load(file), bundles=tmp_path / "bundles")
        async with driven(opening, state_dir() / "journal") as console:
            await console.nodes().live().view("ucp").sees("No UCP (MKE) manages this Swarm")
            await console.here().press("I").answer("2.2.5").answer("san=ucp.shop.example")
            await story(console, "simulated", tmp_path / "jim", SECONDS)
            assert demo.world.ucp is not None and "jim" in demo.world.ucp.accounts.by_name
            assert "DOCKER_HOST" in (tmp_path / "jim" / "env.sh").read_text()
            assert not any(secret in told for secret in (ADMIN, JIM, PASSPHRASE) for told in console.app.told)


async def story(console: Driver, cluster: str, folder: Path, within: float) -> None:
    """From the plan of an installation to a bundle of the user who was lost and brought back.

    Args:
        folder: where the bundle goes. within: seconds that a run may take.
    """
    await console.here().dialog("Install UCP 2.2.5 on mgr1").confirm().until_done(within)
    await console.here().shows("mgr1", "healthy", "200", within=within)

    await console.here().press("N").answer("jim").sees("full-name=TEXT").press("enter")
    await console.here().sees("Password of jim").answer(JIM)
    await console.here().dialog("Create a user jim").confirm().until_done(within)

    await console.here().press("B").dialog("Back up UCP 2.2.5").confirm().until_done(within)
    await console.here().shows("mgr1", "healthy", within=within)

    await console.here().press("X").dialog("no node can join").confirm(cluster).until_done(within)
    await console.here().sees("No UCP (MKE) manages this Swarm", within=within)

    await (
        console.here()
        .press("R")
        .sees("backup=latest|ID")
        .press("enter")
        .dialog("Restore UCP 2.2.5")
        .confirm()
        .until_done(within)
    )
    await console.here().shows("mgr1", "healthy", "200", within=within)

    await console.here().press("C").answer(str(folder)).answer("user=jim")
    # Nobody is asked twice for a password in a session.
    await console.here().dialog("client bundle of jim").confirm().until_done(within)
