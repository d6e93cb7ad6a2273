"""The disk of the journal is full: what cannot be recorded is not done, and what was recorded stays readable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from swarmtui.errors import SwarmtuiError
from swarmtui.runbooks import journal
from swarmtui.runbooks.journal import JournalError
from swarmtui.runbooks.runner import Event, State
from tests.faults.checks import check_effects, check_journal, check_state, check_words
from tests.faults.faulty import Fault
from tests.faults.scenes import SCENES, plan_of, steps_of
from tests.faults.stage import RUN, PutOn, Stage

DRAIN = next(scene for scene in SCENES if scene.name == "drain")
REMOVE = next(scene for scene in SCENES if scene.name == "remove-worker")


@dataclass
class Disk:
    """Stands for `os` in the journal. full: every write fails, as the kernel does it; nearly: the next is cut short."""

    full: bool = False
    nearly: bool = False
    _device: int = field(default_factory=lambda: os.open("/dev/full", os.O_WRONLY))

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.full:
            return os.write(self._device, data)
        if self.nearly and len(data) > 1:
            self.nearly, self.full = False, True
            return os.write(descriptor, data[: len(data) // 2])
        return os.write(descriptor, data)

    def free(self) -> None:
        """Somebody made room."""
        self.full = self.nearly = False


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk()
    monkeypatch.setattr(journal, "os", made)
    yield made
    os.close(made._device)


async def finish(on: Stage, disk: Disk, capsys: pytest.CaptureFixture[str]) -> None:
    disk.free()
    assert await on.resume() == 0, capsys.readouterr()


def places() -> list[Any]:
    return [pytest.param(n, id=f"remove-worker/{name}") for n, (name, _) in enumerate(steps_of(REMOVE), 1)]


async def test_a_run_that_cannot_begin_its_journal_does_nothing(stage: PutOn, disk: Disk) -> None:
    async with stage(DRAIN) as on:
        start = await on.state()
        disk.full = True
        with pytest.raises(JournalError) as caught:
            await on.run()
        check_words(str(caught.value))
        assert "No space left on device" in caught.value.what
        assert not on.writes and await on.state() == start


@pytest.mark.parametrize("way", ["full", "nearly"])
@pytest.mark.parametrize("place", places())
async def test_a_step_whose_intent_cannot_be_recorded_is_not_run(
    place: int, way: str, stage: PutOn, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    step = plan_of(REMOVE).steps[place - 1]

    async with stage(REMOVE) as on:
        start = await on.state()
        before: list[str] = []

        def fill(event: Event) -> None:
            if event.step == step.id and event.state is State.CHECKING:
                setattr(disk, way, True)
                before.extend(on.done)

        on.watch = fill
        with pytest.raises(JournalError) as caught:
            await on.run()
        check_words(str(caught.value))
        assert on.done == before
        assert Event("state", step.id, State.RUNNING, point="intent") not in on.events
        on.watch = lambda event: None
        await finish(on, disk, capsys)
        check_effects(on, "intent")
        assert on.journal.read(RUN).outcome == "done"
        await check_state(on, start)


@pytest.mark.parametrize("place", places())
async def test_an_effect_that_cannot_be_recorded_is_not_done_twice(
    place: int, stage: PutOn, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fill(on: Stage) -> None:
        disk.full = True

    async with stage(REMOVE) as on:
        start = await on.state()
        with pytest.raises(JournalError) as caught:
            await on.run(Fault(place, "unrecorded", fill))
        check_words(str(caught.value))
        await finish(on, disk, capsys)
        check_effects(on, "unrecorded")
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)


async def test_half_a_line_spoils_no_other(stage: PutOn, disk: Disk) -> None:
    """The disk is full for a moment only: what is written afterwards, by the same process, is on lines of its own."""

    async with stage(DRAIN) as on:
        with on.journal.writer(RUN) as writer:
            writer.write("run", runbook="node.drain")
            disk.nearly = True
            with pytest.raises(JournalError):
                writer.write("intent", step="one", before={"version": 1})
            disk.free()
            writer.write("failed", step="one", detail="The journal cannot be written.")
        record = on.journal.read(RUN)
        assert record.steps["one"].state == "failed"
        whole = [line for line in on.journal.path(RUN).read_bytes().splitlines() if line.endswith(b"}")]
        assert len(whole) == 2


async def test_the_command_line_says_so(stage: PutOn, disk: Disk, capsys: pytest.CaptureFixture[str]) -> None:
    async with stage(DRAIN) as on:
        start = await on.state()
        disk.full = True
        on.thaw()
        assert (
            await on.command("run", "node.drain", "node=wrk1", "--yes", "--target", "simulated")
            == JournalError.exit_code
        )
        (told,) = capsys.readouterr().err.splitlines()
        assert told.startswith("swarmtui: The journal cannot be written: No space left on device")
        check_words(told)
        assert not on.writes and await on.state() == start


def test_the_disk_is_a_real_one(disk: Disk) -> None:
    """The planted case: the device does refuse, and what is refused is told."""
    disk.full = True
    with pytest.raises(OSError, match="No space left"):
        disk.write(1, b"x")
    assert issubclass(JournalError, SwarmtuiError)
