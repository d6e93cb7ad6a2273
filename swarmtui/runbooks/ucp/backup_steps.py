"""The steps of ucp.backup: the passphrase, UCP's own command as a job, UCP well again, and the archive as a backup."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from swarmtui.backups.keys import ucp_passphrases
from swarmtui.backups.manifest import UcpAccount
from swarmtui.link.jobs import Job, JobState
from swarmtui.runbooks.image.archive import WriteArchive
from swarmtui.runbooks.image.job import ImageJob, run_image
from swarmtui.runbooks.runbook import Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.backups.fetch import Fetch, NoArchiveError, Verify
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp import places
from swarmtui.runbooks.ucp.access import Access
from swarmtui.runbooks.ucp.backup_facts import accounts_now
from swarmtui.runbooks.ucp.image import PASSPHRASE, Command
from swarmtui.session import Session
from swarmtui.vault import Secret

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry
    from swarmtui.backups.draft import Draft
    from swarmtui.backups.manifest import Manifest

RESTART_SECONDS: Final = 600.0


@dataclass(frozen=True, kw_only=True)
class MakeArchive(WriteArchive):
    """Runs `backup` of UCP on a manager.

    Attributes:
        containers: components that must run again afterwards.
        restart: the command that starts them, where a backup that was killed left them stopped; and its job.
    """

    known: Access
    restart: Command
    restart_id: str
    containers: tuple[str, ...]

    async def given(self, session: Session) -> dict[str, Secret]:
        found = await ucp_passphrases(session.vault, self.known.cluster_id)
        if not found:
            raise StepError(
                "The vault does not have UCP's passphrase any more: nothing is backed up without one.",
                f"Keep it again, then retry: swarmtui secrets set ucp-passphrase {self.known.cluster_id}",
            )
        return {PASSPHRASE.variable: found[0]}

    async def after_failure(self, session: Session, voice: Voice) -> str:
        if not (down := await stopped(session, self.at, self.containers)):
            return f"UCP runs on {self.at.name}."
        if (await self.work.state(session)).alive:
            return "It goes on by itself, and starts UCP's containers again at its end."
        voice.say(f"UCP's containers were left stopped ({', '.join(down)}): they are started again.")
        try:
            await restart(session, self.at, self.restart, self.restart_id, voice)
        except StepError as error:
            return f"UCP's containers on {self.at.name} are STILL STOPPED ({', '.join(down)}): {error.what}"
        still = await stopped(session, self.at, self.containers)
        if still:
            return f"UCP's containers on {self.at.name} are STILL STOPPED: {', '.join(still)}."
        return f"It had left UCP's containers stopped: they were started again on {self.at.name}."


async def stopped(session: Session, at: Where, containers: tuple[str, ...]) -> list[str]:
    """Which of these do not run. Raises as `places.look` does."""
    there = {part.name: part for part in (await places.look(session, at)).parts}
    return [name for name in containers if name not in there or not there[name].runs]


async def restart(session: Session, at: Where, command: Command, job_id: str, voice: Voice) -> None:
    """Has the image start UCP's components on this node.

    Raises:
        StepError: it failed.
    """
    work = ImageJob(at, command, job_id)
    state = await work.state(session)
    if state.done and not state.alive:
        await work.over(session, state, voice)
    result = await run_image(session, at, command, {}, voice, job_id=job_id, seconds=RESTART_SECONDS)
    await work.end_of(session)
    result.must(command, at, "Look there: docker ps -a --filter name=ucp-")


@dataclass(frozen=True, kw_only=True)
class Resume(Step):
    """Starts UCP's components again, where the backup left some stopped."""

    at: Where
    command: Command
    job_id: str
    containers: tuple[str, ...]
    danger: Danger = field(default=Danger.SAFE)

    @property
    def shown(self) -> tuple[Shown, ...]:
        names = " ".join(f"-e {name}" for name in self.containers)
        running = self.at.root("docker ps --format '{{.Names}}'")
        check = f'[ "$({running} | grep -cxF {names})" -ge {len(self.containers)} ]'
        plain = self.at.root(self.command.line)
        return (Shown(f"{check} || {plain}", self.at.host, self.at.port),)

    async def already_done(self, session: Session, before: Facts) -> str:
        if (await ImageJob(self.at, self.command, self.job_id).state(session)).alive:
            return ""
        return "" if await stopped(session, self.at, self.containers) else "They all run: the backup started them."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await restart(session, self.at, self.command, self.job_id, voice)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if still := await stopped(session, self.at, self.containers):
            raise StepError(
                f"UCP's containers on {self.at.name} do not run: {', '.join(still)}.",
                "Look there: docker logs of one of them. Then retry.",
            )


@dataclass(frozen=True, kw_only=True)
class FetchUcp(Fetch[tuple[UcpAccount, ...] | None]):
    """Fetches the archive as it is: UCP has sealed it already.

    Attributes:
        known: the way to UCP, to ask for its accounts once more.
    """

    RUNBOOK: ClassVar[str] = "ucp.backup"
    MADE: ClassVar[str] = "ended"

    known: Access

    async def look(self, session: Session, job: Job) -> tuple[UcpAccount, ...] | None:
        after, _ = await accounts_now(session, self.known)
        return after

    async def keep(
        self,
        session: Session,
        draft: Draft[Entry],
        about: Manifest,
        state: JobState,
        seen: tuple[UcpAccount, ...] | None,
    ) -> None:
        about = msgspec.structs.replace(about, notes=(*about.notes, *_moved(about, seen)))
        await asyncio.to_thread(self._commit, draft, about)

    @staticmethod
    def _commit(draft: Draft[Entry], about: Manifest) -> None:
        from swarmtui.backups.ucp.openpgp import HEAD, form_of

        with draft.opened() as plain:
            assert plain is not None
            form = form_of(plain.read(HEAD))
        if form != "openpgp":
            raise NoArchiveError(
                "What UCP wrote is no archive sealed with the passphrase: it is not kept.",
                "Look at what its command said above, then begin a new backup.",
            )
        draft.commit(about)


def _moved(about: Manifest, after: tuple[UcpAccount, ...] | None) -> tuple[str, ...]:
    """What changed among the accounts while the backup was taken: the archive may have either."""
    before = about.ucp.accounts if about.ucp is not None else None
    if before is None or after is None or before == after:
        return ()
    names = {account.name for account in before} ^ {account.name for account in after}
    told = ", ".join(sorted(names)[:10]) or "some of them"
    return (f"Accounts that changed while it was taken: {told}.",)


@dataclass(frozen=True, kw_only=True)
class VerifyUcp(Verify):
    """Opens the backup with the passphrase and looks inside, offline; keeps the result with it.

    Attributes:
        version: of UCP.
    """

    UCP: ClassVar[bool] = True

    version: str

    @property
    def shown(self) -> tuple[Shown, ...]:
        file = shlex.quote(f"{self.backup}.tar")
        told = f"--instance {self.cluster_id} --ucp-version {self.version}"
        return (
            Shown(f"swarmtui backups import {file} {told}", here=True),
            Shown(f"swarmtui backups verify {self.backup} || [ $? -eq 1 ]", here=True),
        )
