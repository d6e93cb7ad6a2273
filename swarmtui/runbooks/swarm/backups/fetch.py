"""The steps that make a backup of an archive which a job left on a host: fetch it into the catalogue, and prove it.

What is a Swarm's, UCP's and DTR's of it is in backup_keep here, and in backup_steps of theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import msgspec

from swarmtui.backups.keys import keys_of, passphrase_of
from swarmtui.errors import SwarmtuiError
from swarmtui.link.job_scripts import NAME
from swarmtui.link.jobs import Job, JobState
from swarmtui.link.streaming import Streamed, stream
from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.backups.backup_steps import JobStep
from swarmtui.session import Session

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry
    from swarmtui.backups.crypt import Encryption
    from swarmtui.backups.draft import Draft
    from swarmtui.backups.manifest import Manifest

SAY_BYTES = 4 << 20
"""After each so many bytes the progress is told."""
T = TypeVar("T")
"""What was seen of the product just when its archive is fetched."""


class NoArchiveError(StepError):
    """What came is no backup of the product: it is kept neither here nor on its host."""


def find(session: Session, cluster_id: str, backup: str) -> Entry | None:
    """The backup of this name, whole; blocks."""
    return next((one for one in session.backups.entries(cluster_id) if one.id == backup and not one.broken), None)


@dataclass(frozen=True, kw_only=True)
class Fetch(JobStep, Generic[T]):
    """Streams the archive from the host into the catalogue; its digest must be the same on both ends.

    Attributes:
        about: the manifest, without what only the archive and the job tell.
        backup: the name that the backup gets.
        encryption: "recipients", "passphrase" or "": as the plan said.
    """

    RUNBOOK: ClassVar[str]
    """Which one makes a new archive."""
    MADE: ClassVar[str]
    """What the job notes when the archive is made."""

    about: Manifest
    backup: str
    encryption: str

    @abstractmethod
    async def look(self, session: Session, job: Job) -> T:
        """What the product has now; before the archive is fetched, so that little changes meanwhile."""

    @abstractmethod
    async def keep(self, session: Session, draft: Draft[Entry], about: Manifest, state: JobState, seen: T) -> None:
        """Looks into what came, and commits it.

        Args:
            about: the manifest, with the time at which the archive was made.
            seen: from `look`.

        Raises:
            NoArchiveError: it is no such archive.
        """

    @property
    def shown(self) -> tuple[Shown, ...]:
        source = f"{self.folder}/{NAME}"
        archive = self.there(self.at.root(f"cat {source}")).as_sh
        digest = self.there(self.at.root(f"sha256sum {source}")).as_sh
        file = shlex.quote(f"{self.backup}.tar")
        return (
            Shown(f"(umask 077; {archive} > {file})", here=True),
            Shown(f'[ "$({digest} | cut -c1-64)" = "$(sha256sum {file} | cut -c1-64)" ]', here=True),
        )

    async def already_done(self, session: Session, before: Facts) -> str:
        entry = await asyncio.to_thread(find, session, self.about.cluster_id, self.backup)
        return f"The backup {self.backup} is in the catalogue." if entry is not None else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        encryption = await self._encryption(session)
        job = await self.job(session)
        state = await job.state()
        if not state.done:
            raise StepError(
                f"There is no whole archive on {self.name} any more.",
                f"Begin a new backup: swarmtui run {self.RUNBOOK}",
            )
        # What an earlier try at this very step left, when it was killed.
        for left in await asyncio.to_thread(session.backups.sweep, self.about.cluster_id):
            voice.say(f"Removed: {left}")
        seen = await self.look(session, job)
        digest = await job.digest()
        draft = await asyncio.to_thread(session.backups.begin, self.about.cluster_id, self.backup, encryption)
        try:
            came = await self._stream(job, draft, state, voice)
            if came.digest != digest:
                raise StepError(
                    f"The archive came damaged from {self.name}: its digest is {came.digest[:16]}… here, "
                    f"{digest[:16]}… there.",
                    "Retry: it is fetched again.",
                )
            voice.say(f"The digest is the same on both ends: {digest[:16]}…")
            await self.keep(session, draft, await self._dated(job, state), state, seen)
        except NoArchiveError:
            # What is in it is secret all the same; where it cannot be removed now, the next backup does it.
            with contextlib.suppress(SwarmtuiError):
                await job.remove()
            raise
        finally:
            await asyncio.to_thread(draft.abandon)

    async def _dated(self, job: Job, state: JobState) -> Manifest:
        made = state.note(self.MADE)
        ago = await job.seconds_ago(made) if made is not None else -1.0
        # By our clock, and theirs that nobody sets: one that is wrong must not make a backup look fresh.
        taken_at = time.time() - ago if ago >= 0.0 else self.about.taken_at
        return msgspec.structs.replace(self.about, taken_at=taken_at)

    async def _encryption(self, session: Session) -> Encryption:
        from swarmtui.backups.crypt import Encryption

        if self.encryption == "recipients":
            return await asyncio.to_thread(Encryption.for_recipients, session.opening.backups.recipients)
        if self.encryption == "passphrase":
            passphrase = await passphrase_of(session.vault, self.about.cluster_id)
            if passphrase is None:
                raise StepError(
                    "The vault does not have the passphrase for backups any more: nothing is stored in clear instead.",
                    f"Keep it again, then retry: swarmtui secrets set backup-passphrase {self.about.cluster_id}",
                )
            return Encryption(passphrase=passphrase)
        return Encryption()

    async def _stream(self, job: Job, draft: Draft[Entry], state: JobState, voice: Voice) -> Streamed:
        told = 0

        def take(batch: bytes) -> None:
            draft.write(batch)

        async def tell() -> None:
            nonlocal told
            while True:
                await asyncio.sleep(0.25)
                if draft.size - told >= SAY_BYTES:
                    told = draft.size
                    voice.progress(told, state.size, f"{told / 1e6:.0f} of {state.size / 1e6:.0f} MB")

        telling = asyncio.ensure_future(tell())
        try:
            return await stream(job.host, job.fetch_line, take, state.size)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        entry = await asyncio.to_thread(find, session, self.about.cluster_id, self.backup)
        if entry is None or entry.manifest is None:
            raise StepError(f"The backup {self.backup} is not in the catalogue.", "Retry.")
        voice.say(f"The backup is in the catalogue: {entry.folder}")


@dataclass(frozen=True, kw_only=True)
class Verify(Step):
    """Verifies the backup offline, tiers 1 to 4, and keeps the result with it.

    Attributes:
        backup: its name.
    """

    UCP: ClassVar[bool] = False
    """Whether a passphrase of UCP opens it."""
    ANOTHER: ClassVar[str] = "Take another one, on another manager."

    cluster_id: str
    backup: str

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (
            Shown(f"swarmtui backups import {shlex.quote(f'{self.backup}.tar')}", here=True),
            # 1: not proved, as where nothing at hand opens it; that fails no run.
            Shown(f"swarmtui backups verify latest --cluster {self.cluster_id} || [ $? -eq 1 ]", here=True),
        )

    async def _entry(self, session: Session) -> Entry:
        entry = await asyncio.to_thread(find, session, self.cluster_id, self.backup)
        if entry is None:
            raise StepError(f"The backup {self.backup} is not in the catalogue any more.", "Take a new one.")
        return entry

    async def already_done(self, session: Session, before: Facts) -> str:
        entry = await asyncio.to_thread(find, session, self.cluster_id, self.backup)
        return f"It was verified: would restore: {entry.would_restore}." if entry and entry.verifications else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        from swarmtui.backups.verify import verify

        entry = await self._entry(session)
        keys = await keys_of(session.vault, self.cluster_id, ucp=self.backup if self.UCP else None)
        if keys.trouble:
            voice.say(f"The vault's keys cannot be read: {keys.trouble}")
        found = await asyncio.to_thread(verify, entry, keys.unlock, keys.identity, passphrases=keys.ucp)
        await asyncio.to_thread(session.backups.add_verification, entry, found)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        entry = await self._entry(session)
        found = entry.last_verified
        if found is None:
            raise StepError("The verification was not kept.", "Retry.")
        for tier in found.tiers:
            mark = "holds" if tier.ok else "cannot be told" if tier.ok is None else "DOES NOT HOLD"
            voice.say(f"Tier {tier.tier}, {tier.name}: {mark}" + (f": {tier.what[0]}" if tier.what else ""))
        voice.say(f"Would restore: {entry.would_restore}, because {entry.because}.")
        if entry.would_restore == "no":
            raise StepError(
                f"The backup {self.backup} would not restore: {entry.because}.",
                f"{self.ANOTHER} This one: swarmtui backups show {self.backup}",
            )
