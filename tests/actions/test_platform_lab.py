"""The whole platform on real engines, with stand-ins of UCP and DTR: backed up as one set, destroyed, brought back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmtui.config import load, state_dir
from swarmtui.opening import find
from tests.actions.cli import Cli
from tests.actions.dtr_stage import bring, health, platform, push, tags
from tests.actions.test_platform_keyboard import story
from tests.actions.ucp_stage import ADMIN, JIM, PASSPHRASE, done, gone_on
from tests.driver import driven
from tests.lab import Lab
from tests.lab.fixtures import MakeLab

pytestmark = [pytest.mark.lab, pytest.mark.full]

VERSION, REPLICA = "2.4.1", "00000000000a"
MANAGERS = ["mgr1", "mgr2", "mgr3"]
LONG = 400.0
"""Seconds for one part on the lab."""


@pytest.fixture
def whole(make_lab: MakeLab) -> Iterator[tuple[Lab, Cli]]:
    """Three managers with UCP, a replica of DTR on a worker behind a load balancer, an image and a user in it."""
    lab, cli, balancer = platform(make_lab, VERSION, workers=1, managers=3)
    with balancer:
        balancer.lead_to(lab["wrk1"])
        where = f"version={VERSION}", "node=wrk1", f"replica={REPLICA}"
        done(cli, "dtr.install", *where, f"url={balancer.url}", "storage=nfs://10.0.0.9/images")
        push(lab["wrk1"], "v1")
        done(cli, "ucp.user", "name=jim", "password-from=env:JIM")
        yield lab, cli


def destroy(lab: Lab) -> None:
    """The managers have new disks; nothing of DTR is left on the worker, where the Swarm lives."""
    for name in MANAGERS:
        lab[name].replace()
        bring(lab[name], VERSION)
    lab["wrk1"].sh("docker rm -f $(docker ps -aq --filter name=dtr-)")
    lab["wrk1"].sh("docker volume rm $(docker volume ls -q --filter name=dtr-)")


def brought_back(lab: Lab, cli: Cli) -> None:
    """Swarm, UCP and DTR are there, with what they held."""
    managers = [node for node in lab.nodes() if node.get("ManagerStatus", {}).get("Reachability") == "reachable"]
    assert sorted(node["Description"]["Hostname"] for node in managers) == MANAGERS
    assert "jim" in done(cli, "ucp.user", "name=jim", "password-from=env:JIM").out
    assert health(lab["wrk1"]) == {REPLICA: "OK"} and tags(lab["wrk1"]) == ["v1"]
    assert cli("recover", cli.target).code == 0


def test_all_is_destroyed_and_brought_back_killed_twice_on_the_way(whole: tuple[Lab, Cli]) -> None:
    """Three managers with new disks, a worker without its replica: one walkthrough brings all of it back."""
    lab, cli = whole
    told = done(cli, "platform.backup").out
    assert all(f"\n{product}: " in told or f" {product}: " in told for product in ("Swarm", "UCP", "DTR")), told
    destroy(lab)
    looked = cli("recover", cli.target)
    assert looked.code == 2 and "The whole platform: Swarm, UCP, DTR" in looked.out, looked

    with cli.started("platform.recover", f"host={lab['mgr1'].target}") as run:
        run.until("Unpack", 200)
        run.kill()
    with cli.started("--resume", run.run_id) as again:
        again.until("Parsing backup file", 280)
        again.kill()
    gone_on(cli, run.run_id)
    brought_back(lab, cli)


async def test_from_the_keyboard(whole: tuple[Lab, Cli], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Backed up, destroyed and brought back by keys alone, stopped and gone on with twice."""
    lab, cli = whole
    secrets = {"PROD_ADMIN": ADMIN, "PROD_PASSPHRASE": PASSPHRASE}
    for name, value in {"HOME": str(lab.home), **secrets}.items():
        monkeypatch.setenv(name, value)
    async with driven(find("prod", load(), bundles=tmp_path / "bundle"), state_dir() / "journal") as console:
        await story(console, "prod", lambda: asyncio.to_thread(destroy, lab), ("Unpack", "Put the archive on"), LONG)
        assert not any(secret in told for secret in (*secrets.values(), JIM) for told in console.app.told)
    brought_back(lab, cli)
