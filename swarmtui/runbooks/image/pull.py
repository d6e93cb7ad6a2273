"""The step that brings an image to a host before its command runs there."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final

from swarmtui.runbooks.image import host as engine
from swarmtui.runbooks.image.command import Tagged
from swarmtui.runbooks.image.job import LOAD
from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session

PULL_SECONDS: Final = 1800.0


@dataclass(frozen=True, kw_only=True)
class PullImage(Step):
    """Brings the image that is the command to the host, where it is not there."""

    at: Where
    version: Tagged

    @property
    def _line(self) -> str:
        return self.at.root(f"docker image pull {shlex.quote(self.version.image)}")

    @property
    def shown(self) -> tuple[Shown, ...]:
        there = self.at.root(f"docker image inspect {shlex.quote(self.version.image)}")
        return (Shown(f"{there} >/dev/null 2>&1 || {self._line}", self.at.host, self.at.port),)

    async def already_done(self, session: Session, before: Facts) -> str:
        there = await engine.has_image(session, self.at, self.version.image)
        return f"{self.version.image} is on {self.at.name}." if there else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        completed = await (await self.at.reach(session)).run(self._line, timeout=PULL_SECONDS)
        if completed.code != 0:
            raise StepError(f"{self.version.image} cannot be pulled to {self.at.name}: {completed.words}.", LOAD)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"{self.version.image} was pulled, and is not on {self.at.name}.", "Retry.")
