"""swarm.backup on the simulated Swarm: killed, or cut off, at each point of each step and at each word of its job.

Killed: Docker starts again without us, and `swarmtui run --resume` finishes. Cut off: the same run goes on by itself,
or a resume does. Either way there is one whole backup, proved, and nothing is left behind on a host or here. The same
on real engines, with broken hosts: tests/actions/test_backup_faults.py.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.demo.serve import Demo
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runner import Event, Outcome, Runner
from swarmtui.runbooks.swarm.backups import backup_steps
from swarmtui.session import Session
from tests.faults.faulty import Killed
from tests.faults.strikes import Strike, cut, kill, reboot, resume, swarmtui

RUN = "20261121T090203Z-faults-0003"
NODE = "mgr2"
STEPS = ("archive", "back", "fetch", "clear", "verify")
WORDS = tuple(backup_steps.WORDS.values())
KILLS = (
    *(f"{step}/{point}" for step in ("archive", "fetch") for point in ("intent", "effect", "proof")),
    *WORDS,
    "clear/effect",
    "verify/effect",
)
CUTS = ("archive/intent", *WORDS, "fetch/intent", "clear/intent", "verify/proof")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_steps, "POLL_SECONDS", 0.02)


def backups() -> list[tuple[str, list[str]]]:
    """Those that are whole: the name, and what its verifications said."""
    root = Path(os.environ["XDG_DATA_HOME"]) / "swarmtui" / "backups"
    found = []
    for path in sorted(root.glob("*/*/manifest.json")):
        if not path.parent.name.startswith("."):
            lines = (path.parent / "verifications.jsonl").read_text().splitlines()
            found.append((path.parent.name, [json.loads(line)["verdict"] for line in lines]))
    return found


def drafts() -> list[str]:
    root = Path(os.environ["XDG_DATA_HOME"]) / "swarmtui" / "backups"
    return [path.name for path in root.glob("*/.*")]


def left_on_hosts(demo: Demo) -> list[str]:
    """What is still in the folders of jobs and locks."""
    return [
        f"{name}:{path}"
        for name, host in demo.world.hosts.items()
        for path in sorted({*host.files, *host.links})
        if path.startswith(("/var/lib/swarmtui/jobs/", "/run/swarmtui/"))
    ]


async def until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while not what():
        assert asyncio.get_running_loop().time() < end, "it never came"
        await asyncio.sleep(0.02)


async def run(demo: Demo, folder: Path, case: str, strike: Strike) -> Outcome | None:
    """Runs it until the case strikes; None where that killed it."""
    struck: list[str] = []

    def observe(event: Event) -> None:
        here = event.text if event.kind == "said" else f"{event.step}/{event.point}"
        if here == case and not struck:
            struck.append(here)
            assert sum("/exclusive" in line for line in left_on_hosts(demo)) == 3, "no locks lie on the managers"
            strike(demo)

    opening = find("simulated", config.load(demo.config), bundles=folder / "bundle")
    journal = Journal(config.state_dir() / "journal")
    try:
        async with Session(opening, Nobody()).opened() as session:
            await session.until_tried(30)
            runbook = registry.runbook("swarm.backup")
            plan = await runbook.prepare(session, params.parse(runbook.name, runbook.params, {"node": NODE}))
            assert tuple(step.id for step in plan.steps) == STEPS
            with journal.writer(RUN) as writer:
                return await Runner(session, plan, writer, observe=observe).run()
    except Killed:
        return None
    finally:
        assert struck, f"nothing struck at {case}"


def check(demo: Demo) -> None:
    """One whole backup, proved; Docker runs; nothing is left."""
    ((name, verdicts),) = backups()
    assert name.endswith(f"-{NODE}") and verdicts == ["yes"]
    assert drafts() == []
    assert left_on_hosts(demo) == []
    assert all(host.docker and host.socket for host in demo.world.hosts.values())


@pytest.mark.parametrize("case", KILLS)
async def test_killed(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Demo("calm", speed=50, seed=1) as demo:
        assert await run(demo, tmp_path, case, kill) is None
        host = demo.world.hosts[NODE]
        await until(lambda: host.docker and host.socket)
        assert await resume(demo, RUN) == 0
        assert capsys.readouterr().out.endswith("Done and verified.\n")
        check(demo)


@pytest.mark.parametrize("case", CUTS)
async def test_cut_off(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Demo("calm", speed=50, seed=1) as demo:
        outcome = await run(demo, tmp_path, case, cut)
        assert outcome is not None
        if not outcome.ok:
            assert await resume(demo, RUN) == 0
        check(demo)


async def test_the_host_is_booted_while_tar_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Demo("calm", speed=50, seed=1) as demo:
        outcome = await run(demo, tmp_path, backup_steps.WORDS["stopped"], reboot(NODE))
        assert outcome is not None and outcome.error is not None
        assert f"No archive was made on {NODE}: the job ended in the middle of its work" in outcome.error.what
        host = demo.world.hosts[NODE]
        await until(lambda: host.docker and host.socket)
        assert backups() == []
        assert await resume(demo, RUN) == 0
        check(demo)


async def test_another_operator_is_kept_out_and_a_new_run_cleans_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("calm", speed=50, seed=1) as demo:
        assert await run(demo, tmp_path, "fetch/intent", kill) is None
        assert any("/jobs/" in line for line in left_on_hosts(demo))
        assert await swarmtui(demo, "run", "swarm.backup", f"node={NODE}", "--yes", "--target", "simulated") == 0
        said = capsys.readouterr().out
        assert "Clean up what an earlier backup left behind" in said
        assert "its archive was never fetched" in said
        check(demo)
