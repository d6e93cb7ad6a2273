"""DTR from nothing to three replicas on simulated hosts, behind a load balancer that is told of each (T1, T3)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from swarmtui.runbooks.dtr import running
from swarmtui.runbooks.image import job as image_job
from tests.faults import ucp_stage as stage
from tests.faults.strikes import resume

URL = "https://dtr.shop.example"
NFS = "nfs://nas.shop.example/dtr"
ONE, TWO = "0123456789ab", "ba9876543210"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(running, "SETTLE_SECONDS", 5.0)


def members(demo: Demo) -> dict[str, str]:
    """Replica → its host, asked of the simulator itself."""
    return {one.id: one.host for one in demo.world.dtr.replicas.values()} if demo.world.dtr is not None else {}


async def run(demo: Demo, folder: Path, number: int, name: str, told: list[str], **given: str) -> str:
    """Runs a runbook; returns what went wrong, "" for nothing."""
    outcome = await stage.run(demo, folder, name_of(number), name, "", None, told=told, **given)
    assert outcome is not None
    return "" if outcome.error is None else f"{outcome.step}: {outcome.error.what} {outcome.error.next_step}"


def name_of(number: int) -> str:
    return f"20261122T041002Z-dtr-{number:04d}"


async def test_three_replicas_and_what_the_load_balancer_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    async with Demo("no-dtr", speed=50, seed=1) as demo:
        stage.secrets(demo, tmp_path / "credentials", monkeypatch)
        demo.world.dtr_behind = {"dtr1"}
        given = {"version": "2.4.1", "url": URL, "storage": NFS}
        assert not await run(demo, tmp_path, 1, "dtr.install", told, node="dtr1", replica=ONE, **given)
        assert members(demo) == {ONE: "dtr1"}
        assert demo.world.dtr is not None and demo.world.dtr.storage == NFS

        trouble = await run(demo, tmp_path, 2, "dtr.join", told, node="dtr2", replica=TWO)
        assert trouble.startswith(f"balancer: {URL} led 16 times to {ONE} on dtr1, and never to {TWO} on dtr2.")
        assert f"Add {demo.world.hosts['dtr2'].ip}:443 (dtr2)" in trouble
        assert members(demo) == {ONE: "dtr1", TWO: "dtr2"}
        demo.world.dtr_behind.add("dtr2")
        assert await resume(demo, name_of(2)) == 0, capsys.readouterr().err

        # What its phase 2 leaves on the node when it breaks off is told, with what takes it off.
        third = "00000000000c"
        demo.world.hosts["dtr3"].faults.add(faults.DTR_PHASE2_FAILS)
        trouble = await run(demo, tmp_path, 3, "dtr.join", told, node="dtr3", replica=third)
        assert trouble.startswith("join: `join` of DTR 2.4.1 failed on mgr1: ")
        assert f"of replica {third} on dtr3" in trouble and f"dtr.destroy replica={third}" in trouble
        demo.world.hosts["dtr3"].faults.clear()
        assert not await run(demo, tmp_path, 4, "dtr.destroy", told, replica=third)
        assert await resume(demo, name_of(3)) == 1, "the load balancer does not know it yet"
        assert set(members(demo)) == {ONE, TWO, third}
        assert left(demo) == []
        password = demo.platform["admin"]["password"]
    said = "\n".join(told) + "".join(capsys.readouterr())
    ours = [path for path in Path(os.environ["XDG_STATE_HOME"]).rglob("*") if path.is_file()]
    assert ours and password not in said
    assert not [path for path in ours if password.encode() in path.read_bytes()]


def left(demo: Demo) -> list[str]:
    """Secrets on any host, and containers of commands that still run."""
    password = demo.platform["admin"]["password"].encode()
    files = [
        f"{name}:{path}"
        for name, host in demo.world.hosts.items()
        for path, file in host.files.items()
        if path.startswith("/run/swarmtui-secrets") or ("swarmtui" in path and password in file.data)
    ]
    running = [
        f"{host.name}:{one.name}"
        for host in demo.world.hosts.values()
        for one in host.containers.values()
        if one.name.startswith("swarmtui-dtr-")
    ]
    return files + running
