"""A step of a plan to which something happens at one exact point."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swarmtui.runbooks.runbook import Facts, Step, Voice
from swarmtui.session import Session

if TYPE_CHECKING:
    from tests.faults.stage import Stage

POINTS = ("intent", "effect", "unrecorded")
"""Where it strikes: the intent is on disk and nothing was done; in the middle of it; done, but not yet recorded."""


class Killed(BaseException):
    """The program dies here: nothing after it is executed, nothing is recorded."""


Strike = Callable[["Stage"], Awaitable[None]]


@dataclass
class Fault:
    """What happens, and where: at which step (its place, from 1) and at which of its points.

    The points are those of `POINTS`, and two more of steps that ask an engine for a change. asked: it got the request,
    and never carries it out; door: it got the request, and carries it out when the strike is over.
    """

    place: int
    point: str
    strike: Strike


class Faulty:
    """A step of a plan, with a fault at one of its points or none. All else is the step's own."""

    def __init__(self, step: Step, stage: Stage, fault: Fault | None) -> None:
        self._step = step
        self._stage = stage
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        stage, fault = self._stage, self._fault
        if fault is None or stage.struck:
            await self._run(session, before, voice)
            return
        if fault.point == "intent":
            await self._strike(fault)
            await self._step.run(session, before, voice)
        elif fault.point == "unrecorded":
            await self._run(session, before, voice)
            await self._strike(fault)
        else:
            await self._strike_in_the_middle(fault, session, before, voice)

    async def _run(self, session: Session, before: Facts, voice: Voice) -> None:
        """Runs the step; time passes while it says that it waits."""

        def progress(done: int, total: int, text: str) -> None:
            self._stage.ticking = True
            voice.progress(done, total, text)

        try:
            await self._step.run(session, before, Voice(voice.say, progress))
        finally:
            self._stage.ticking = False

    async def _strike_in_the_middle(self, fault: Fault, session: Session, before: Facts, voice: Voice) -> None:
        stage = self._stage

        def progress(done: int, total: int, text: str) -> None:
            voice.progress(done, total, text)
            if fault.point == "effect" and done < total:
                stage.middle_reached.set()

        def lost() -> None:
            if fault.point == "effect" and not session.live:
                stage.middle_reached.set()

        forget = session.subscribe(lost)
        work = asyncio.ensure_future(self._step.run(session, before, Voice(voice.say, progress)))
        try:
            if not await stage.in_the_middle(work, fault.point):
                await work
                return
            try:
                await self._strike(fault)
            except Killed:
                work.cancel()
                await asyncio.wait({work})
                raise
            stage.door.set()
            await work
        finally:
            forget()

    async def _strike(self, fault: Fault) -> None:
        self._stage.struck = True
        self._stage.thaw()
        await fault.strike(self._stage)
