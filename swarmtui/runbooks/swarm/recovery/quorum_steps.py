"""The one step that only swarm.recover-quorum has: a last look before anything is changed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from swarmtui.runbooks.runbook import Facts, Shown, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_steps import OnHost
from swarmtui.session import Session

ASK_SECONDS = 60.0
AGAIN_SECONDS = 20.0
"""A leader that is left alone goes on answering for 13 s (swarm-dr.md §4)."""


@dataclass(frozen=True, kw_only=True)
class LastLook(OnHost):
    """Looks once more whether the quorum is lost: a manager that came back meanwhile makes forcing wrong."""

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.there(f"! {self._line}"),)

    @property
    def _line(self) -> str:
        return self.at.root("docker node ls -q")

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        return  # it only asks: see verify

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        host = await self.at.reach(session)
        end = time.monotonic() + AGAIN_SECONDS
        while (await host.run(self._line, timeout=ASK_SECONDS)).code == 0:
            if time.monotonic() >= end:
                raise StepError(
                    f"{self.name} sees a leader: the quorum is back, and nothing is to be forced.",
                    "Nothing was changed. Look at the Swarm: swarmtui recover",
                )
            voice.progress(0, 1, f"{self.name} still answers: a leader that is left alone does so for a while.")
            await asyncio.sleep(1.0)
        voice.say("There is still no leader.")
