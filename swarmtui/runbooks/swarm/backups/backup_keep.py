"""The steps of swarm.backup that make a backup of an archive: fetch it into the catalogue, and prove it."""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from swarmtui.backups.keys import keys_of, passphrase_of
from swarmtui.errors import SwarmtuiError
from swarmtui.link.job_scripts import NAME
from swarmtui.link.jobs import Job, JobState
from swarmtui.link.streaming import Streamed, stream
from swarmtui.model.inventory import Inventory
from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.backups.backup_objects import Contents, read_contents
from swarmtui.runbooks.swarm.backups.backup_steps import JobStep
from swarmtui.session import Session

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry
    from swarmtui.backups.crypt import Encryption
    from swarmtui.backups.draft import Draft
    from swarmtui.backups.manifest import Manifest
    from swarmtui.backups.raft import Contents as RaftContents

SAY_BYTES = 4 << 20
"""After each so many bytes the progress is told."""


def find(session: Session, cluster_id: str, backup: str) -> Entry | None:
    """The backup of this name, whole; blocks."""
    return next((one for one in session.backups.entries(cluster_id) if one.id == backup and not one.broken), None)


@dataclass(frozen=True, kw_only=True)
class Fetch(JobStep):
    """Streams the archive from the host into the catalogue; its digest must be the same on both ends.

    Attributes:
        about: the manifest, without what only the archive and the job tell.
        backup: the name that the backup gets.
        encryption: "recipients", "passphrase" or "": as the plan said.
    """

    about: Manifest
    backup: str
    encryption: str

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
                "Begin a new backup: swarmtui run swarm.backup",
            )
        # What an earlier try at this very step left, when it was killed.
        for left in await asyncio.to_thread(session.backups.sweep, self.about.cluster_id):
            voice.say(f"Removed: {left}")
        here = msgspec.json.decode(await job.beside(), type=Inventory)
        after = await read_contents(session)
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
            manifest = await self._manifest(session, job, state, here, after)
            manifest, inside = await self._looked_into(session, draft, manifest)
            entry = await asyncio.to_thread(draft.commit, manifest, after.encoded())
            if inside is not None:
                await self._keep_look(session, entry, inside)
        finally:
            await asyncio.to_thread(draft.abandon)

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

    async def _manifest(
        self, session: Session, job: Job, state: JobState, before: Inventory, after: Contents
    ) -> Manifest:
        archived = state.note("archived")
        ago = await job.seconds_ago(archived) if archived is not None else -1.0
        return msgspec.structs.replace(
            self.about,
            # By our clock, and theirs that nobody sets: one that is wrong must not make a backup look fresh.
            taken_at=time.time() - ago if ago >= 0.0 else self.about.taken_at,
            downtime_seconds=round(state.downtime, 2),
            autolock=before.autolock,
            inventory=before,
            inventory_after=after.inventory,
        )

    async def _keep_look(self, session: Session, entry: Entry, inside: RaftContents) -> None:
        """Keeps what was seen before it was encrypted, where nobody here can open it any more."""
        from swarmtui.backups.verify import while_clear

        keys = await keys_of(session.vault, self.about.cluster_id)
        if self.encryption == "recipients" and keys.identity is None:
            found = while_clear(entry, inside, keys.unlock, time.time())
            await asyncio.to_thread(session.backups.add_verification, entry, found)

    async def _looked_into(
        self, session: Session, draft: Draft[Entry], manifest: Manifest
    ) -> tuple[Manifest, RaftContents | None]:
        """The manifest with what the archive itself tells, and that; as it was where nothing can be told."""
        from swarmtui.backups import raft
        from swarmtui.backups.archive import ArchiveFiles

        keys = (await keys_of(session.vault, manifest.cluster_id)).unlock

        def look() -> tuple[Manifest, RaftContents | None]:
            with draft.opened() as plain:
                if plain is None:
                    return manifest, None
                inside = raft.read(ArchiveFiles(plain), keys)
            known = msgspec.structs.replace(
                manifest,
                raft_term=inside.term,
                raft_index=inside.last_index,
                autolock=inside.locked,
                kek_version=inside.kek_version,
                key_fingerprint=inside.opened_by or (manifest.key_fingerprint if inside.locked else ""),
            )
            return known, inside

        try:
            return await asyncio.to_thread(look)
        except SwarmtuiError as error:
            # Whether it would restore is judged by the verification, once it is safe in the catalogue.
            return msgspec.structs.replace(
                manifest, notes=(*manifest.notes, f"It could not be looked into: {error.what}")
            ), None

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
        keys = await keys_of(session.vault, self.cluster_id)
        if keys.trouble:
            voice.say(f"The vault's keys cannot be read: {keys.trouble}")
        found = await asyncio.to_thread(verify, entry, keys.unlock, keys.identity)
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
                f"Take another one, on another manager. This one: swarmtui backups show {self.backup}",
            )
