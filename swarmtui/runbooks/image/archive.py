"""The step that has an image write a backup on a host, as a job that survives us; the archive stays in its folder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import msgspec

from swarmtui.link import jobs
from swarmtui.link.job_scripts import NAME
from swarmtui.runbooks.image.command import ImageCommand
from swarmtui.runbooks.image.job import ImageJob, run_image
from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.backups.backup_facts import Leftover
from swarmtui.runbooks.swarm.backups.here import free_of
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session
from swarmtui.vault import Secret

QUESTION_SECONDS: Final = 20.0


@dataclass(frozen=True, kw_only=True)
class WriteArchive(Step):
    """Runs `backup` on a host.

    Attributes:
        job_id: its job.
    """

    SECONDS: ClassVar[float] = 3600.0
    """How long the command is waited for."""

    at: Where
    command: ImageCommand
    job_id: str

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.writing.shown(self.at),)

    @property
    def writing(self) -> ImageCommand:
        """The command with the file that the job writes to, as a person would give it."""
        return replace(self.command, into=f"{jobs.FOLDER}/{self.job_id}/{NAME}")

    @property
    def work(self) -> ImageJob:
        return ImageJob(self.at, self.command, self.job_id)

    @abstractmethod
    async def given(self, session: Session) -> Mapping[str, Secret]:
        """The secrets of the command. Raises StepError, UsageError, VaultError."""

    async def after_failure(self, session: Session, voice: Voice) -> str:
        """Mends what a backup that failed left behind; a sentence, or ""."""
        return ""

    async def wrong(self, session: Session) -> str:
        """What is wrong with the archive that is there; "" for a good one."""
        state = await self.work.state(session)
        if not state.done:
            return "there is none"
        result = await self.work.result(session)
        if not result.ok:
            return "the command failed"
        return "" if result.size else "it is empty"

    async def already_done(self, session: Session, before: Facts) -> str:
        if (await self.work.state(session)).alive:
            return ""
        return "" if await self.wrong(session) else f"The archive is made, and lies on {self.at.name}."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        state = await self.work.state(session)
        if state.done and not state.alive:
            # A try that failed: what it left is no archive.
            await self.work.over(session, state, voice)
        given = await self.given(session)
        try:
            result = await run_image(
                session, self.at, self.command, given, voice, job_id=self.job_id, seconds=self.SECONDS
            )
            result.must(self.command, self.at, "Nothing of it is kept as a backup. Mend it, then retry.")
        except StepError as error:
            mended = await self.after_failure(session, voice)
            raise StepError(f"{error.what} {mended}".rstrip(), error.next_step) from None

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if wrong := await self.wrong(session):
            raise StepError(f"There is no good archive on {self.at.name}: {wrong}.", "Retry.")
        result = await self.work.result(session)
        voice.say(f"The archive has {result.size / 1e6:.1f} MB.")


class Room(msgspec.Struct, frozen=True):
    """What a host has for a job that writes an archive.

    Attributes:
        free: bytes where it is written; -1 where nobody knows.
        leftovers: of earlier jobs of ours.
    """

    free: int = -1
    leftovers: tuple[Leftover, ...] = ()


async def room(session: Session, at: Where) -> Room:
    """Looks at a host. Raises LinkError, JobError."""
    host = await at.reach(session)
    table = await host.run("df -Pk /var/lib", timeout=QUESTION_SECONDS)
    left = await jobs.leftovers(host, sudo=at.sudo)
    states = await jobs.states(host, left, sudo=at.sudo, systemd=at.systemd)
    return Room(
        free=free_of(table.out),
        leftovers=tuple(Leftover(id=each, state=state) for each, state in states.items()),
    )


def alive(leftovers: Iterable[Leftover]) -> Leftover | None:
    """A job of ours that still runs there."""
    return next((left for left in leftovers if left.state.alive), None)
