"""UCP from nothing, through the loss of all managers, and back: by the product's runbooks, on the simulated hosts."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from swarmtui.demo.platform.releases import RELEASES
from swarmtui.demo.scenarios.platform import load_images
from swarmtui.demo.serve import Demo
from swarmtui.runbooks.image import job as image_job
from tests.actions.cli import Cli
from tests.demo.platform_driver import Platform
from tests.faults import ucp_stage as stage

MANAGERS = ("mgr1", "mgr2", "mgr3")
SECRETS = {"ucp-password": "long-enough-1", "ucp-passphrase": "planted-4711", "backup-passphrase": "planted-4712"}


async def do(demo: Demo, folder: Path, number: int, name: str, **given: Any) -> None:
    outcome = await stage.run(demo, folder, f"20261122T041002Z-story-{number:04d}", name, **given)
    assert outcome is not None and outcome.ok, outcome


def lose_all_managers(demo: Demo) -> None:
    """They come back installed anew: with Docker and UCP's images, and with nothing else of what they had."""
    world = demo.world
    for host in [world.hosts[name] for name in MANAGERS]:
        world.crash(host)
        host.swarm = None
        for table in (host.containers, host.volumes, host.files):
            table.clear()
        for release in RELEASES.values():
            load_images(world, host, release)
        world.boot(host)


async def until_on(demo: Demo) -> None:
    for _ in range(3000):
        if all(demo.world.hosts[name].running for name in MANAGERS):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the managers do not come back")


async def test_installed_backed_up_lost_and_restored(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.05)
    async with Demo("no-ucp", speed=50) as demo:
        cluster = demo.world.clusters[-1].id
        kept = tmp_path / "kept"
        kept.mkdir(mode=0o700)
        for kind, value in SECRETS.items():
            (kept / f"swarmtui.{kind}.{cluster}").write_text(value)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(kept))
        platform = Platform(demo)
        await do(demo, tmp_path, 1, "ucp.install", version="2.2.5", host="mgr1", san="ucp.shop.example")
        assert demo.drill.report()["solved"]
        assert demo.world.ucp is not None
        demo.world.ucp.accounts.create("mia", "long-enough-2")
        await do(demo, tmp_path, 2, "swarm.backup")
        await do(demo, tmp_path, 3, "ucp.backup")
        backups = sorted(path.parent.name for path in Path(os.environ["XDG_DATA_HOME"]).rglob("manifest.json"))
        (of_swarm,) = [name for name in backups if "-ucp-" not in name]
        (of_ucp,) = [name for name in backups if "-ucp-" in name]
        lose_all_managers(demo)
        await until_on(demo)
        cli = Cli({**os.environ}, "simulated")
        words = (f"backup={of_swarm}", "host=ssh://mgr1", "--yes", "--config", str(demo.config))
        restored = await asyncio.to_thread(cli.run, "swarm.restore", *words)
        assert restored.code == 0, restored
        ucp = demo.world.ucp
        assert "ERROR: RethinkDB Health check timed out" in {ucp.ill(host) for host in ucp.managers()}, "not UCP's data"
        await do(demo, tmp_path, 4, "ucp.restore", backup=of_ucp, host="mgr1")
        assert demo.world.ucp is not None and demo.world.ucp is not ucp
        assert [demo.world.ucp.ill(host) for host in demo.world.ucp.managers()] == ["", "", ""]
        assert (await platform.login("mia", "long-enough-2"))["Authorization"]
        assert demo.world.clusters[-1].id == cluster, "the Swarm is the old one"
        assert stage.left_on_hosts(demo) == []
        assert stage.stopped(demo) == []
