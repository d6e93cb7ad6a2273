"""The operator's own checks after a restore: commands from the configuration, run on the operator's own machine.

    [clusters.prod.recovery]
    checks = ["curl -fsS https://shop.example.org/health"]
    check_seconds = 60

A Swarm that is back says nothing of what runs in it; whoever runs it knows what to ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from swarmtui.model.text import harmless, one_line
from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.session import Session

SAID_LINES = 20
OUTPUT_MAX = 64 << 10
"""Bytes of a check's output that are looked at: the rest is read, and dropped."""
KILL_SECONDS = 2.0


class Checks(msgspec.Struct, frozen=True):
    """The checks of a cluster, in order. seconds: how long each may take."""

    lines: tuple[str, ...] = ()
    seconds: int = 60


def checks_of(session: Session) -> Checks:
    """What the configuration of this cluster says."""
    recovery = session.opening.cluster.recovery
    return Checks(recovery.checks, recovery.check_seconds)


@dataclass(frozen=True, kw_only=True)
class OperatorCheck(Step):
    """Runs one command of the configuration here, with sh. It must exit 0.

    Attributes:
        line: the command.
        seconds: how long it may take.
    """

    line: str
    seconds: int = 60
    skippable: bool = True

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(self.line, here=True),)

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""  # a check tells about now

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        code, said = await run_here(self.line, self.seconds, _environment(session))
        for each in said[-SAID_LINES:]:
            voice.say(each)
        if code is None:
            raise StepError(
                f"The check `{one_line(self.line)}` did not end within {self.seconds} s.",
                "Look at what it asks; then retry, or skip it with a reason.",
            )
        if code != 0:
            last = f": {said[-1]}" if said else ""
            raise StepError(
                f"The check `{one_line(self.line)}` failed with exit code {code}{last}",
                "The Swarm itself is back. Look at what it asks; then retry, or skip it with a reason.",
            )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        voice.say("The check passed.")  # its exit code is the proof


def _environment(session: Session) -> Mapping[str, str]:
    """Ours, without the variables that the configuration names as places of secrets."""
    told = session.opening.cluster.secrets.values()
    places = [place for one in told for place in ([one] if isinstance(one, str) else one.values())]
    secret = {place.partition(":")[2] for place in places if place.startswith("env:")}
    return {name: value for name, value in os.environ.items() if name not in secret}


async def run_here(line: str, seconds: float, environment: Mapping[str, str]) -> tuple[int | None, list[str]]:
    """Runs a line with sh on this machine; returns its exit code (None where it did not end in time) and what it said.

    It gets nothing to read. Where it does not end in time it is killed, with what it has started.

    Raises:
        StepError: there is no sh that can be run.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            line,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise StepError(f"No command can be run here: {error.strerror}.", "Run the checks by hand.") from error
    output = bytearray()
    try:
        async with asyncio.timeout(seconds):
            await _read(process, output)
            code: int | None = await process.wait()
    except TimeoutError:
        await _kill(process)
        code = None
    except BaseException:
        await _kill(process)
        raise
    text = bytes(output).decode("utf-8", "replace")
    return code, [harmless(each) for each in text.splitlines() if each.strip()]


async def _kill(process: asyncio.subprocess.Process) -> None:
    """Kills what did not end, with all of its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(KILL_SECONDS):
            await process.wait()


async def _read(process: asyncio.subprocess.Process, output: bytearray) -> None:
    assert process.stdout is not None
    while piece := await process.stdout.read(1 << 16):
        output += piece
        del output[:-OUTPUT_MAX]


def check_steps(checks: Checks) -> tuple[Step, ...]:
    """One step for each check. Pure."""
    return tuple(
        OperatorCheck(
            id=f"check-{number}",
            title=f"Your check {number}: {one_line(line)}",
            why="A Swarm that is back says nothing of what runs in it. This command is yours, from the configuration.",
            line=line,
            seconds=checks.seconds,
            if_stopped="The Swarm is back; only checks of your own are left.",
        )
        for number, line in enumerate(checks.lines, 1)
    )
