"""Putting an archive on a host for a command of an image to restore, and taking it away again."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from swarmtui.backups.keys import keys_of
from swarmtui.link import jobs
from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session

FILE: Final = "backup.tar"
SHA_SECONDS: Final = 120.0


def file_of(upload_id: str) -> str:
    """Where the archive lies on the manager."""
    return f"{jobs.FOLDER}/{upload_id}/{FILE}"


@dataclass(frozen=True, kw_only=True)
class Upload(Step):
    """Puts the archive on the manager, into a folder that only root may enter; its digest must be the same there.

    Attributes:
        kind: what it is a backup of: "ucp" or "dtr".
        digest: sha256 of what lies there afterwards, in hex: of the archive as the product wrote it.
        path: of the archive here; encrypted: with age, by us.
    """

    kind: str

    at: Where
    cluster_id: str
    backup: str
    upload_id: str
    digest: str
    path: str
    encrypted: bool

    @property
    def _path(self) -> str:
        return file_of(self.upload_id)

    @property
    def _make(self) -> str:
        return self.at.root(f"mkdir -p -m 0700 {jobs.BASE} {jobs.FOLDER} {jobs.FOLDER}/{self.upload_id}")

    @property
    def _take(self) -> str:
        inner = f"umask 077; cat > {self._path}"
        return self.at.root(f"sh -c {shlex.quote(inner)}")

    @property
    def shown(self) -> tuple[Shown, ...]:
        read = "age --decrypt" if self.encrypted else "cat"
        source = Shown(f"{read} {shlex.quote(self.path)}", here=True)
        return (
            Shown(self._make, self.at.host, self.at.port),
            Shown(self._take, self.at.host, self.at.port, feed=source),
        )

    async def _there(self, session: Session) -> str:
        """The digest of what lies there; "" for nothing."""
        host = await self.at.reach(session)
        completed = await host.run(self.at.root(f"sha256sum {self._path}"), timeout=SHA_SECONDS)
        return completed.out[:64] if completed.code == 0 else ""

    async def already_done(self, session: Session, before: Facts) -> str:
        lies = await self._there(session) == self.digest
        return f"The archive lies on {self.at.name}." if lies else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        from swarmtui.backups.plain import CHUNK
        from swarmtui.backups.streamed import tar_stream
        from swarmtui.runbooks.swarm.rehearsal.rehearse_place import SshPlace

        entry = await asyncio.to_thread(session.backups.entry, self.cluster_id, self.backup, self.kind)
        identity = (await keys_of(session.vault, self.cluster_id)).identity if entry.whole.encrypted else None

        def chunks() -> Iterator[bytes]:
            with tar_stream(entry.archive, identity) if entry.whole.encrypted else entry.archive.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk

        host = await self.at.reach(session)
        made = await host.run(self._make, timeout=jobs.SECONDS)
        if made.code != 0:
            raise StepError(
                f"No folder can be made in {jobs.FOLDER} on {self.at.name}: {made.words}.",
                "Look at what sudo allows there, and at its disk; then retry.",
            )
        sent = await SshPlace(session, self.at.ssh).feed(self._take, chunks())
        if sent.code != 0:
            raise StepError(
                f"The archive cannot be put on {self.at.name}: {sent.words}.", "Is its disk full? Then retry."
            )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        there = await self._there(session)
        if there != self.digest:
            raise StepError(
                f"The archive came damaged to {self.at.name}: its digest is {there[:16] or 'none'}… there, "
                f"{self.digest[:16]}… here.",
                "Retry: it is sent again. Nothing was removed yet.",
            )
        voice.say(f"The digest is the same on both ends: {there[:16]}…")


@dataclass(frozen=True, kw_only=True)
class RemoveArchive(Step):
    """Removes the archive and the job's folder from the manager."""

    at: Where
    folders: tuple[str, ...]

    @property
    def _line(self) -> str:
        return self.at.root(f"rm -rf {' '.join(f'{jobs.FOLDER}/{each}' for each in self.folders)}")

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(self._line, self.at.host, self.at.port),)

    async def already_done(self, session: Session, before: Facts) -> str:
        left = await jobs.leftovers(await self.at.reach(session), sudo=self.at.sudo)
        return "" if set(left) & set(self.folders) else f"Nothing of it is on {self.at.name}."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await (await self.at.reach(session)).run(self._line, timeout=jobs.SECONDS)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"The archive is still on {self.at.name}.", f"Retry, or remove it: {self._line}")
