"""ucp.install struck at every step: by kill -9 of our process, a cut connection, a reboot of the manager's host.

Gone on with, UCP is there once and well; or the run says what was left and how to clean it, and a new one works.
"""

from __future__ import annotations

import asyncio
import os
from itertools import product
from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from swarmtui.runbooks.image import job as image_job
from tests.faults.strikes import Strike, resume, strikes, swarmtui
from tests.faults.ucp_stage import left_on_hosts, run
from tests.lab.fixtures import FULL

RUN = "20261122T041500Z-ucp.install-0001"
HOST = "mgr1"
PASSWORD = "correct horse battery"
THERE = ("--target", "simulated", "--yes")
STRIKES: dict[str, Strike] = strikes(HOST)
STEPS = ("image", "install", "well", "login", "clear")
POINTS = ("intent", "effect", "proof")
SETTLED_SECONDS = 20.0
DEPLOYING = "Deploying UCP Service"
"""What it says in the middle of its work."""
STRUCK = ("install", "login")
"""The image is there, and UCP may be well by the time that it is waited for: then there is nothing to strike."""
ALL = [(strike, f"{step}/{point}") for strike, step, point in product(STRIKES, STRUCK, POINTS)]
CHOSEN = [
    ("kill", "install/intent"), ("cut", "install/effect"), ("reboot", "install/effect"), ("kill", "install/effect"),
    ("reboot", "install/proof"), ("kill", "login/proof"), ("cut", "login/intent"),
]  # fmt: skip
CASES = [
    *(ALL if FULL else CHOSEN),
    *((strike, DEPLOYING) for strike in STRIKES),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The administrator's password comes from outside, and so outlives every program."""
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.02)
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o700)
    (folder / "swarmtui.ucp-password.simulated").write_text(PASSWORD)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))


def leaks(demo: Demo, said: str) -> list[str]:
    """Where the password stands and must not: what was said, our own files, the files of the hosts."""
    found = ["what was said"] if PASSWORD in said else []
    ours = [path for path in Path(os.environ["XDG_STATE_HOME"]).rglob("*") if path.is_file()]
    assert ours, "there is a journal"
    found += [str(path) for path in ours if PASSWORD.encode() in path.read_bytes()]
    theirs = [(host.name, path, file) for host in demo.world.hosts.values() for path, file in host.files.items()]
    return found + [f"{name}:{path}" for name, path, file in theirs if PASSWORD.encode() in file.data]


@pytest.mark.parametrize(("strike", "case"), CASES, ids=[f"{strike}-{case.split()[0]}" for strike, case in CASES])
async def test_it_is_right_in_the_end(
    strike: str, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("no-ucp", speed=40, seed=1, nodes=4) as demo:
        outcome = await run(
            demo, tmp_path, RUN, "ucp.install", case, STRIKES[strike], steps=STEPS, version="2.2.5", host=HOST,
            san="ucp.example.com",
        )  # fmt: skip
        code = 0 if outcome is not None and outcome.ok else 1
        for _ in range(3):
            if code == 0:
                break
            code = await resume(demo, RUN)
        if code:
            told = capsys.readouterr().err
            assert "left" in told and "swarmtui run ucp.uninstall" in told, told
            assert await swarmtui(demo, "run", "ucp.uninstall", "version=2.2.5", *THERE) == 0, capsys.readouterr().err
            assert await swarmtui(demo, "run", "ucp.install", "version=2.2.5", f"host={HOST}", *THERE) == 0
        ucp, host = demo.world.ucp, demo.world.hosts[HOST]
        assert ucp is not None
        async with asyncio.timeout(SETTLED_SECONDS):
            # A host that was booted at the very end is not back at once.
            while ucp.ill(host):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        (cluster,) = demo.world.clusters
        assert [service.name for service in cluster.services.values()].count("ucp-agent") == 1
        assert left_on_hosts(demo) == []
        assert leaks(demo, capsys.readouterr().out) == []


@pytest.mark.parametrize("quiet", [False, True], ids=["exit-1", "exit-0"])
async def test_what_a_failed_install_left_is_told_and_cleaned(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    async with Demo("no-ucp", speed=40, seed=1, nodes=4) as demo:
        host = demo.world.hosts[HOST]
        host.faults |= {faults.UCP_INSTALL_FAILS, *({faults.UCP_FATAL_EXITS_0} if quiet else set())}
        there = ("run", "ucp.install", "version=2.2.5", f"host={HOST}", *THERE)
        assert await swarmtui(demo, *there) == 1
        told = capsys.readouterr().err
        assert "failed on mgr1" in told and "It left" in told and "swarmtui run ucp.uninstall" in told
        host.faults.clear()
        assert await swarmtui(demo, *there) != 0, "it must not install over what is there"
        assert "swarmtui run ucp.uninstall" in capsys.readouterr().err
        assert await swarmtui(demo, "run", "ucp.uninstall", "version=2.2.5", *THERE) == 0
        assert await swarmtui(demo, *there) == 0, capsys.readouterr().err
        assert demo.world.ucp is not None and not demo.world.ucp.ill(host)
