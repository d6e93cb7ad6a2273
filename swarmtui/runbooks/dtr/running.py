"""A step that runs a command of DTR's image: as a job that survives us, with UCP's password, and what comes after it.

Exit status and most success texts are not documented (ucp-dtr.md §1.9, §2.6): a command has succeeded when it exited
with 0, said nothing fatal, and what it was to make is there.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from swarmtui.errors import SwarmtuiError
from swarmtui.model.dtr import facts
from swarmtui.model.text import listed
from swarmtui.runbooks.dtr.access import access
from swarmtui.runbooks.dtr.image import CA_FILE, UCP_CA, UCP_PASSWORD, Command
from swarmtui.runbooks.image import host as engine
from swarmtui.runbooks.image import job as image_job
from swarmtui.runbooks.image.job import ImageJob, run_image
from swarmtui.runbooks.runbook import ConflictError, Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp import access as ucp_access
from swarmtui.runbooks.ucp import logins
from swarmtui.session import Session
from swarmtui.vault import Secret

SECONDS: Final = 3600.0
"""How long a command is waited for; images are pulled in it."""
PHASE_2_SECONDS: Final = 900.0
"""How long phase 2 is waited for whose command was killed."""
SETTLE_SECONDS: Final = 60.0
"""How long what a command made may take until it is seen: engines and UCP tell it one after another."""


async def secrets_of(session: Session, command: Command, username: str) -> dict[str, Secret]:
    """What a command needs of UCP: the administrator's password, and UCP's authority.

    Raises:
        UsageError, VaultError: there is no password.
        RefusedError, UcpError: UCP is not to be had.
    """
    known = await ucp_access.access(session)
    found: dict[str, Secret] = {}
    if UCP_PASSWORD in command.hidden:
        found[UCP_PASSWORD.variable] = await logins.password_of(session, known, username)
    if UCP_CA in command.hidden:
        found[UCP_CA.variable] = Secret(known.ca)
    return found


def lines_of(command: Command, at: Where) -> tuple[Shown, ...]:
    """A command as a person would type it, after UCP's authority was saved where it needs that."""
    line = command.shown(at)
    if UCP_CA not in command.hidden:
        return (line,)
    authority = Shown(ucp_access.authority_line(at), at.host, at.port)
    return (Shown(f"{authority.as_sh} > {CA_FILE}", here=True), line)


async def phase_2_over(session: Session, nodes: tuple[Where, ...], voice: Voice) -> None:
    """Waits until phase 2 of an earlier command has ended: it goes on where the command that began it was killed.

    Args:
        nodes: where it may run: on the node that a command is about.

    Raises:
        StepError: it does not end.
    """
    end = time.monotonic() + PHASE_2_SECONDS
    for at in nodes:
        while True:
            try:
                held = await engine.holder(session, at, facts.PHASE_2)
            except SwarmtuiError:
                # A node that is lost is what some commands are about: what still runs there nobody can tell.
                break
            if held is None or not held.runs:
                break
            if time.monotonic() > end:
                raise StepError(
                    f"{facts.PHASE_2} still runs on {at.name}: an earlier command of DTR has not ended there.",
                    f"Look there what it does: docker logs {facts.PHASE_2}. Then retry.",
                )
            voice.progress(0, 1, f"{facts.PHASE_2} still runs on {at.name}.")
            await asyncio.sleep(image_job.POLL_SECONDS)


async def must_be_same(session: Session, stay: Sequence[str], apart: Sequence[str], *, seconds: float = 0.0) -> None:
    """Looks whether the replicas are those that a plan was made for.

    Args:
        stay: ids of those that must be counted in, and be well.
        apart: ids of those that may be counted in or not: which the plan is about.
        seconds: how long it may take until they are: what an earlier try started anew is not well at once.

    Raises:
        ConflictError: they are not.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return await _same(session, stay, apart)
        except ConflictError:
            if time.monotonic() >= end:
                raise
        await asyncio.sleep(image_job.POLL_SECONDS)


async def _same(session: Session, stay: Sequence[str], apart: Sequence[str]) -> None:
    """Raises ConflictError where the replicas are others, or are not well."""
    known = await access(session, again=True)
    if known.told is None:
        raise ConflictError(f"DTR does not answer any more: {known.trouble}", "Look why: swarmtui doctor")
    told = {one.id: one for one in known.members}
    now = sorted(told.keys() - set(apart))
    if now != sorted(stay):
        raise ConflictError(
            f"DTR counts in {listed(now)} besides, and the plan was made for {listed(stay)}.", "Make a new plan."
        )
    if ill := [told[one].shown for one in stay if not told[one].well]:
        raise ConflictError(f"Not healthy any more: {listed(ill)}.", "Make a new plan: all others must be healthy.")


@dataclass(frozen=True, kw_only=True)
class RunDtr(Step):
    """Runs a command of the image on a manager's host.

    Attributes:
        at: that host.
        username: as whom it logs in to UCP.
        nodes: where its phase 2 may run.
        seconds: how long it is waited for.
    """

    at: Where
    command: Command
    job_id: str
    username: str
    nodes: tuple[Where, ...] = ()
    seconds: float = SECONDS
    danger: Danger = field(default=Danger.DISRUPTIVE)

    @property
    def shown(self) -> tuple[Shown, ...]:
        return lines_of(self.command, self.at)

    @property
    def work(self) -> ImageJob:
        return ImageJob(self.at, self.command, self.job_id)

    @abstractmethod
    async def made(self, session: Session) -> str:
        """What is there that the command was to make, one sentence; "" while it is not. Raises SwarmtuiError."""

    async def begun(self, session: Session) -> bool:
        """Whether an earlier try, whose end nobody knows, may have its effect in a moment. Raises SwarmtuiError."""
        return False

    async def left(self, session: Session) -> str:
        """What to do about what a failed command left, one or two sentences."""
        return "Mend that, then retry."

    async def more_secrets(self) -> Mapping[str, Secret]:
        """What else the command takes from variables. Raises UsageError, StepError."""
        return {}

    async def must_be_gone(self, session: Session) -> None:
        """Looks whether what a command made that ended well is gone, before it runs once more. Raises StepError."""

    async def look_again(self, session: Session, *, tried: bool) -> None:
        """Looks whether all is as it was planned, right before the command runs, and before `tidy`.

        Args:
            tried: there was a try before, whose effects may still come.

        Raises:
            ConflictError: it is not.
        """

    async def tidy(self, session: Session, voice: Voice) -> None:
        """Removes what an earlier try left, where a new one would be refused for it. Raises LinkError, EngineError."""

    async def already_done(self, session: Session, before: Facts) -> str:
        if (await self.work.state(session)).alive or await self.phase_2(session):
            return ""
        return await self.made(session)

    async def phase_2(self, session: Session) -> bool:
        """Whether phase 2 of an earlier try still runs, as far as its nodes tell."""
        for at in self.nodes:
            try:
                held = await engine.holder(session, at, facts.PHASE_2)
            except SwarmtuiError:
                continue
            if held is not None and held.runs:
                return True
        return False

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        state = await self.work.state(session)
        if not state.alive:
            ended = state.done and (await self.work.result(session)).ok
            if not ended:
                await self.work.over(session, state, voice)
            await phase_2_over(session, self.nodes, voice)
            begun = ended or await self.begun(session)
            if done := await (self._settled(session, voice) if begun else self.made(session)):
                voice.say(done)
                return
            if ended:
                # That it ended well is a proof, and lies in the job: it goes when what was made is gone, not before.
                await self.must_be_gone(session)
                await self.work.over(session, state, voice)
            await self.look_again(session, tried=state.there)
            await self.tidy(session, voice)
        given = {**await secrets_of(session, self.command, self.username), **await self.more_secrets()}
        result = await run_image(session, self.at, self.command, given, voice, job_id=self.job_id, seconds=self.seconds)
        if not result.ok:
            told = await self._told_left(session)
            await self.work.end_of(session)
            result.must(self.command, self.at, told)

    async def _settled(self, session: Session, voice: Voice) -> str:
        """As `made`, which may take a moment to be seen."""
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            if (done := await self.made(session)) or time.monotonic() >= end:
                return done
            waited = f"it is waited for, {SETTLE_SECONDS:g} s at most"
            voice.progress(0, 1, f"What `{self.command.name}` makes is not whole yet: {waited}.")
            await asyncio.sleep(image_job.POLL_SECONDS)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not (done := await self._settled(session, voice)):
            raise StepError(
                f"`{self.command.name}` of {self.command.version.product} ended, and what it was to make is not there.",
                await self._told_left(session),
            )
        voice.say(done)

    async def _told_left(self, session: Session) -> str:
        """As `left`; why the command failed must be told also where its node is away, which may be why."""
        try:
            return await self.left(session)
        except SwarmtuiError as error:
            on = f" on {listed([at.name for at in self.nodes])}" if self.nodes else ""
            return f"What it left{on} cannot be seen: {error.what.rstrip('.')}. Retry when it can: it looks first."
