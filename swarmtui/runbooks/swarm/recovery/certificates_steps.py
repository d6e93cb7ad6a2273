"""The steps that sign a manager's expired certificate anew on its host, and wait until there is a leader again."""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from swarmtui.backups.errors import RaftError
from swarmtui.runbooks.node_waits import waited, waiting
from swarmtui.runbooks.runbook import Danger, Facts, Shown, StepError, Voice
from swarmtui.runbooks.swarm.managers import identity, read_file
from swarmtui.runbooks.swarm.recovery.directory import directory, tar_line
from swarmtui.runbooks.swarm.recovery.fence_steps import (
    FILE_SECONDS,
    ROOT,
    docker_runs,
    exists,
    must,
    stop_docker,
    stop_line,
)
from swarmtui.runbooks.swarm.rehearsal.rehearse_commands import as_root
from swarmtui.runbooks.swarm.rejoining.rejoin_steps import OnHost
from swarmtui.runbooks.swarm.unlock_steps import keys_of
from swarmtui.session import Session

CERTIFICATE = "swarm/certificates/swarm-node.crt"
ASK_SECONDS = 60.0
"""Without a leader an engine takes 20 s, twice at worst, to say so (swarm-dr.md §4)."""
POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class SignAnew(OnHost):
    """Signs the certificate of a manager anew, with the CA key in its own raft log: the same node, the same key.

    The key of the CA stays in this program's memory. What it signed before lies aside until all is well.

    Attributes:
        job: what names this recovery on the hosts.
        cluster_id: which Swarm; its unlock keys are tried where the directory is locked.
        ca: SHA-256 of the certificate of the CA that is to sign, in hex.
        root: Docker's data root.
    """

    job: str
    cluster_id: str
    ca: str
    root: str = ROOT
    danger: Danger = Danger.DISRUPTIVE

    @property
    def path(self) -> str:
        return f"{self.root}/{CERTIFICATE}"

    @property
    def aside(self) -> str:
        """Where the expired one is afterwards."""
        return f"{self.root}/swarm.crt-{self.job}"

    @property
    def _keep(self) -> str:
        return self.at.root(f"cp -p {shlex.quote(self.path)} {shlex.quote(self.aside)}")

    @property
    def _write(self) -> str:
        new = shlex.quote(f"{self.path}.new")
        line = f"touch {new} && chmod 644 {new} && tee {new} >/dev/null && mv {new} {shlex.quote(self.path)}"
        return as_root(line, sudo=True) if self.at.sudo else line

    @property
    def shown(self) -> tuple[Shown, ...]:
        read = self.there(tar_line(self.at, self.root))
        signed = Shown(f"swarmtui secrets renew-certificate {self.cluster_id}", feed=read, here=True)
        return (
            self.there(stop_line(self.at)),
            self.there(self._keep),
            Shown(self._write, self.at.host, self.at.port, feed=signed),
        )

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (self.there(self.at.root(f"cp -p {shlex.quote(self.aside)} {shlex.quote(self.path)}")),)

    async def already_done(self, session: Session, before: Facts) -> str:
        who = identity(await read_file(session, self.at.ssh, self.path))
        if who is None or who.node_id != self.node_id or who.not_after <= time.time():
            return ""
        return f"The certificate of {self.name} is valid until {datetime.fromtimestamp(who.not_after, UTC):%Y-%m-%d}."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        from swarmtui.backups.raft.authority import authority

        host = await self.at.reach(session)
        if await docker_runs(host, self.at):
            await stop_docker(host, self.at)
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
        if not await exists(host, self.at, self.aside):
            await must(host, self.at, self._keep)
        await must(host, self.at, self._write, stdin=pem)

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
class ClearOld(OnHost):
    """Takes away the expired certificate that was kept."""

    job: str
    root: str = ROOT

    @property
    def aside(self) -> str:
        return f"{self.root}/swarm.crt-{self.job}"

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.there(self.at.root(f"rm -f {shlex.quote(self.aside)}")),)

    async def already_done(self, session: Session, before: Facts) -> str:
        there = await exists(await self.at.reach(session), self.at, self.aside)
        return "" if there else f"No expired certificate is kept on {self.name}."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        host = await self.at.reach(session)
        await host.run(self.shown[0].line, timeout=FILE_SECONDS)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"{self.aside} is still on {self.name}.", "Retry.")
