"""The step of swarm.backup that makes a backup of its archive: what only a Swarm's directory tells."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import msgspec

from swarmtui.backups.keys import keys_of
from swarmtui.errors import SwarmtuiError
from swarmtui.link.jobs import Job, JobState
from swarmtui.model.inventory import Inventory
from swarmtui.runbooks.swarm.backups.backup_objects import Contents, read_contents
from swarmtui.runbooks.swarm.backups.fetch import Fetch
from swarmtui.session import Session

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry
    from swarmtui.backups.draft import Draft
    from swarmtui.backups.manifest import Manifest
    from swarmtui.backups.raft import Contents as RaftContents


@dataclass(frozen=True, kw_only=True)
class FetchSwarm(Fetch[tuple[Inventory, Contents]]):
    """Fetches a Swarm's directory, with what the API had just before and has just after."""

    RUNBOOK: ClassVar[str] = "swarm.backup"
    MADE: ClassVar[str] = "archived"

    async def look(self, session: Session, job: Job) -> tuple[Inventory, Contents]:
        return msgspec.json.decode(await job.beside(), type=Inventory), await read_contents(session)

    async def keep(
        self,
        session: Session,
        draft: Draft[Entry],
        about: Manifest,
        state: JobState,
        seen: tuple[Inventory, Contents],
    ) -> None:
        before, after = seen
        manifest = msgspec.structs.replace(
            about,
            downtime_seconds=round(state.downtime, 2),
            autolock=before.autolock,
            inventory=before,
            inventory_after=after.inventory,
        )
        manifest, inside = await self._looked_into(session, draft, manifest)
        entry = await asyncio.to_thread(draft.commit, manifest, after.encoded())
        if inside is not None:
            await self._keep_look(session, entry, inside)

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
