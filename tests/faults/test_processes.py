"""The real program, in a process of its own, killed with SIGKILL while an engine or a host works on its request."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.checks import check_effects, check_journal, check_state
from tests.faults.scenes import SCENES
from tests.faults.stage import PutOn, Stage, lines

BY_NAME = {scene.name: scene for scene in SCENES}


@asynccontextmanager
async def program(on: Stage, *words: str) -> AsyncIterator[Process]:
    """`swarmtui …`; gone at the end of the block, whatever happens."""
    command = (sys.executable, "-m", "swarmtui", *words, "--config", str(on.demo.config))
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    ("name", "request_to_meet", "point"),
    [
        ("drain", "update wrk1", "asked"),
        ("drain", "update wrk1", "effect"),
        ("remove-worker", "leave wrk1", "effect"),
        ("remove-down", "delete wrk2", "effect"),
    ],
    ids=lambda value: value.replace(" ", "-"),
)
async def test_killed_by_the_kernel(name: str, request_to_meet: str, point: str, stage: PutOn) -> None:
    scene = BY_NAME[name]
    words = [f"{key}={value}" for key, value in scene.given.items()]
    async with stage(scene) as on:
        start = await on.state()
        on.thaw()
        async with program(on, "run", scene.runbook, *words, "--yes", "--target", "simulated") as process:
            await on.meets(request_to_meet, point, within=30)
            process.kill()
            await process.communicate()
            assert process.returncode == -9
        (run_id,) = on.journal.ids()
        assert lines(on.journal.path(run_id))[-1]["kind"] == "intent"
        assert on.journal.read(run_id).outcome == ""
        async with program(on, "run", "--resume", run_id, "--yes") as process:
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        assert out.decode().endswith("Done and verified.\n")
        check_effects(on, point)
        check_journal(on, on.journal.read(run_id))
        await check_state(on, start)
