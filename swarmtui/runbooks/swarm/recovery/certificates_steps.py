"""The steps that sign a manager's expired certificate anew on its host, and wait until there is a leader again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from swarmtui.backups.errors import RaftError
from swarmtui.runbooks.node_waits import waited, waiting
from swarmtui.runbooks.runbook import Facts, Shown, StepError, Voice
from swarmtui.runbooks.swarm.managers import identity, read_file
from swarmtui.runbooks.swarm.recovery.directory import directory, tar_line
from swarmtui.runbooks.swarm.recovery.fence_steps import (
    stop_line,
)
from swarmtui.runbooks.swarm.recovery.force_steps import ClearLatch
from swarmtui.runbooks.swarm.recovery.kept_file import KeptFile
from swarmtui.runbooks.swarm.rejoining.rejoin_steps import OnHost
from swarmtui.runbooks.swarm.unlock_steps import keys_of
from swarmtui.session import Session

CERTIFICATE = "swarm/certificates/swarm-node.crt"
KEPT = "swarm.crt"
ASK_SECONDS = 60.0
"""Without a leader an engine takes 20 s, twice at worst, to say so (swarm-dr.md §4)."""
POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class SignAnew(KeptFile):
    """Signs the certificate of a manager anew, with the CA key in its own raft log: the same node, the same key.

    The key of the CA stays in this program's memory. What it signed before lies aside until all is well.

    Attributes:
        ca: SHA-256 of the certificate of the CA that is to sign, in hex.
    """

    file = CERTIFICATE
    kept = KEPT
    mode = "644"

    ca: str

    @property
    def shown(self) -> tuple[Shown, ...]:
        read = self.there(tar_line(self.at, self.root))
        signed = Shown(f"swarmtui secrets renew-certificate {self.cluster_id}", feed=read, here=True)
        return (
            self.there(stop_line(self.at)),
            self.there(self.keep_line),
            Shown(self.write_line, self.at.host, self.at.port, feed=signed),
        )

    async def already_done(self, session: Session, before: Facts) -> str:
        who = identity(await read_file(session, self.at.ssh, self.path))
        if who is None or who.node_id != self.node_id or who.not_after <= time.time():
            return ""
        return f"The certificate of {self.name} is valid until {datetime.fromtimestamp(who.not_after, UTC):%Y-%m-%d}."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        from swarmtui.backups.raft.authority import authority

        await self.stopped(session)
        files = await directory(session, self.at, self.root)
        keys, _ = await keys_of(session.vault, self.cluster_id)
        try:
            signer = await asyncio.to_thread(authority, files, [key.secret for key in keys])
            if signer.fingerprint != self.ca:
                raise StepError(
                    f"{self.name} has another CA than the others ({signer.fingerprint[:16]}…): it missed a rotation.",
                    f"Leave it out: it joins anew when the others work (swarmtui run node.rejoin node={self.name}).",
                )
            pem = await asyncio.to_thread(signer.renewed, files.read("certificates/swarm-node.crt"))
        except (RaftError, KeyError) as error:
            what = error.what if isinstance(error, RaftError) else "it has no certificate."
            raise StepError(f"The certificate of {self.name} cannot be signed: {what}", "Take it by hand.") from None
        await self.replace(session, pem)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not (done := await self.already_done(session, before)):
            raise StepError(f"The certificate of {self.name} is still the old one.", "Retry.")
        voice.say(done)


@dataclass(frozen=True, kw_only=True)
class LeaderBack(OnHost):
    """Waits until this manager sees a leader. seconds: when it gives up."""

    seconds: int = 120

    @property
    def _line(self) -> str:
        return self.at.root("docker node ls -q")

    @property
    def shown(self) -> tuple[Shown, ...]:
        wait = waiting(self.title, f"{self._line} >/dev/null 2>&1", self.seconds)
        return (Shown(wait.line, self.at.host, self.at.port, words=wait.words),)

    async def _missing(self, session: Session) -> str:
        told = await (await self.at.reach(session)).run(self._line, timeout=ASK_SECONDS)
        return "" if told.code == 0 else f"{self.name} sees no leader yet: {told.words}."

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        missing = await waited(lambda: self._missing(session), self.seconds, voice, poll=POLL_SECONDS)
        if missing:
            raise StepError(
                missing, "Do enough managers run, and do they hear each other (2377/tcp)? See: swarmtui recover"
            )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if missing := await self._missing(session):
            raise StepError(missing, "Retry.")
        voice.say(f"{self.name} sees a leader: the quorum is back.")


@dataclass(frozen=True, kw_only=True)
class ClearOld(ClearLatch):
    """Takes away the expired certificate that was kept."""

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{KEPT}-{self.job}",)
