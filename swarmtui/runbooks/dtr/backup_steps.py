"""The steps of dtr.backup: DTR's own command as a job, and its archive as a backup, encrypted by us."""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import msgspec

from swarmtui.backups.keys import keys_of
from swarmtui.errors import SwarmtuiError
from swarmtui.link.jobs import Job, JobState
from swarmtui.model.dtr import facts
from swarmtui.model.text import listed
from swarmtui.runbooks.dtr.access import access
from swarmtui.runbooks.dtr.backup_facts import asked
from swarmtui.runbooks.dtr.database import start_again
from swarmtui.runbooks.dtr.hosts import DATABASE
from swarmtui.runbooks.dtr.image import Command
from swarmtui.runbooks.dtr.running import lines_of, phase_2_over, secrets_of
from swarmtui.runbooks.image import host as engine
from swarmtui.runbooks.image.archive import WriteArchive
from swarmtui.runbooks.runbook import Facts, Shown, Voice
from swarmtui.runbooks.swarm.backups.fetch import Fetch, NoArchiveError, Verify
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session
from swarmtui.vault import Secret

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry
    from swarmtui.backups.draft import Draft
    from swarmtui.backups.dtr.contents import Contents
    from swarmtui.backups.manifest import Manifest

Names = tuple[str, ...] | None
"""Of repositories; None where nobody could ask."""
_MOST = 10


@dataclass(frozen=True, kw_only=True)
class WriteDtr(WriteArchive):
    """Runs `backup` of DTR on a manager's host.

    Attributes:
        username: as whom it logs in to UCP.
        replica: host of the replica, where its phase 2 runs; None where nobody knows.
        stops: id of the replica whose database it stops meanwhile; "" where it does not.
    """

    command: Command
    username: str
    replica: Where | None
    stops: str = ""

    @property
    def shown(self) -> tuple[Shown, ...]:
        return lines_of(replace(self.command, into=self.writing.into), self.at)

    async def given(self, session: Session) -> dict[str, Secret]:
        return await secrets_of(session, self.command, self.username)

    async def after_failure(self, session: Session, voice: Voice) -> str:
        if not self.stops:
            return ""
        name = facts.container(DATABASE, self.stops)
        told = f"Whether {name} runs again is not known: start it on its node, docker start {name}."
        if self.replica is None:
            return told
        try:
            if await self._still_runs(session, self.replica):
                return ""
            return await start_again(session, self.replica, self.stops)
        except SwarmtuiError:
            return told

    async def _still_runs(self, session: Session, replica: Where) -> bool:
        """Whether the command goes on without us: then its database stands still for a reason."""
        if (await self.work.state(session)).alive:
            return True
        for at, name in ((self.at, self.command.container), (replica, facts.PHASE_2)):
            held = await engine.holder(session, at, name)
            if held is not None and held.runs:
                return True
        return False

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        if self.replica is not None and not (await self.work.state(session)).alive:
            await phase_2_over(session, (self.replica,), voice)
        await super().run(session, before, voice)


@dataclass(frozen=True, kw_only=True)
class FetchDtr(Fetch[Names]):
    """Fetches the archive, encrypts it on the way, and looks into it before it is a backup."""

    RUNBOOK: ClassVar[str] = "dtr.backup"
    MADE: ClassVar[str] = "ended"

    async def look(self, session: Session, job: Job) -> Names:
        try:
            found, _, _ = await asked(session, await access(session))
        except SwarmtuiError:
            return None
        return found

    async def keep(self, session: Session, draft: Draft[Entry], about: Manifest, state: JobState, seen: Names) -> None:
        inside = await asyncio.to_thread(_inside, draft)
        notes = (*about.notes, *moved(about, seen))
        if inside is None:
            notes = (*notes, "It was too large to be looked into before it was encrypted.")
        elif about.dtr is not None and inside.version != about.dtr.version:
            raise NoArchiveError(
                f"What DTR wrote is of version {inside.version or 'unknown'}, and {about.dtr.version} runs: it is not "
                "kept.",
                "Look at what its command said above, then begin a new backup.",
            )
        entry = await asyncio.to_thread(draft.commit, msgspec.structs.replace(about, notes=notes))
        if inside is not None:
            await self._keep_look(session, entry, inside)

    async def _keep_look(self, session: Session, entry: Entry, inside: Contents) -> None:
        """Keeps what was seen before it was encrypted, where nobody here can open it any more."""
        from swarmtui.backups.dtr.verify import judged_by
        from swarmtui.backups.records import judged

        keys = await keys_of(session.vault, self.about.cluster_id)
        if self.encryption == "recipients" and keys.identity is None:
            manifest, now = entry.whole, time.time()
            tiers = [msgspec.structs.replace(tier, at=now) for tier in judged_by(inside, manifest)]
            found = judged(tiers, now, manifest.stored_digest)
            await asyncio.to_thread(session.backups.add_verification, entry, found)


def _inside(draft: Draft[Entry]) -> Contents | None:
    """What is in it; None where it is too large to be looked into now. Raises NoArchiveError for what is none."""
    from swarmtui.backups.dtr.contents import read, wrong
    from swarmtui.backups.errors import ArchiveError

    with draft.opened() as plain:
        if plain is None:
            return None
        try:
            inside = read(plain)
        except ArchiveError as error:
            why = error.what
        else:
            bad, _ = wrong(inside)
            why = bad[0] if bad else ""
    if why:
        raise NoArchiveError(
            f"What DTR wrote is no backup, and it is not kept. {why}",
            "Look at what its command said above, then begin a new backup.",
        )
    return inside


def moved(about: Manifest, after: Names) -> tuple[str, ...]:
    """What changed among the repositories while the backup was taken: the archive may have either."""
    before = about.dtr.repositories if about.dtr is not None else None
    if before is None or after is None or set(before) == set(after):
        return ()
    names = sorted(set(before) ^ set(after))
    return (f"Repositories that changed while it was taken: {listed(names, _MOST)}.",)


@dataclass(frozen=True, kw_only=True)
class VerifyDtr(Verify):
    """Opens the backup and looks inside, offline; keeps the result with it.

    Attributes:
        replica: id of the one that it was taken from.
    """

    ANOTHER: ClassVar[str] = "Take another one."

    replica: str

    @property
    def shown(self) -> tuple[Shown, ...]:
        file = shlex.quote(f"{self.backup}.tar")
        return (
            Shown(f"swarmtui backups import {file} --instance {self.cluster_id} --replica {self.replica}", here=True),
            Shown(f"swarmtui backups verify {self.backup} || [ $? -eq 1 ]", here=True),
        )


def leak_words(version: facts.Version) -> str:
    """What to say of a version whose backup writes credentials to the log driver; "" for others (ucp-dtr.md §2.7)."""
    if not facts.leaks(version):
        return ""
    return (
        f"{version.product} writes credentials to the log driver of containers that its backup starts: a defect of "
        "2.2 to 2.4.1, mended in 2.4.2. --log-driver none keeps those of this host out of its logs; what DTR starts by "
        "itself on the replica's node nobody can tell. Change the administrator's password where logs are collected, "
        "and upgrade."
    )
