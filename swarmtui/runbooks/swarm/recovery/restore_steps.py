"""The steps that put a backup in the place of a host's Swarm directory, and start Docker on it (swarm-dr.md §3).

What is put there is what a rehearsal proves: regular files only, without docker-state.json (with it Docker calls the
old peers, and blocks), and with the key file unlocked here, offline: with autolock on and several managers Docker
itself would never get over that. The keys stay on this machine; what is in the files travels inside SSH.
"""

from __future__ import annotations

import asyncio
import hashlib
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarmtui.backups.keys import keys_of
from swarmtui.link.jobs import new_id
from swarmtui.link.ssh import SshHost
from swarmtui.model.text import one_line
from swarmtui.runbooks.runbook import ConflictError, Danger, Facts, Shown, StepError, Voice
from swarmtui.runbooks.swarm.managers import identity
from swarmtui.runbooks.swarm.recovery.after_force import UP_SECONDS
from swarmtui.runbooks.swarm.recovery.fence_steps import FILE_SECONDS, LOOK, StartDocker, must, stop_docker, stop_line
from swarmtui.runbooks.swarm.recovery.forced_checks import OneLeader
from swarmtui.runbooks.swarm.recovery.restore_inside import CERTIFICATE
from swarmtui.runbooks.swarm.rehearsal.rehearse_archive import opened
from swarmtui.runbooks.swarm.rehearsal.rehearse_judge import restorable, unlocked
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import swarm_state
from swarmtui.runbooks.swarm.rejoining.rejoin_steps import OnHost
from swarmtui.runbooks.swarm.unlock_steps import UnlockNode
from swarmtui.session import Session

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry


@dataclass(frozen=True, kw_only=True)
class Unpack(OnHost):
    """Puts the backup in the place of the Swarm's directory, all of it or nothing.

    It is unpacked beside it, and takes its name in one move: what has that name is whole.

    Attributes:
        root: the daemon's data root.
        certificate: SHA-256 of the node's certificate in the backup, in hex.
        backup, cluster_id: which backup.
        job: what names this recovery on the hosts.
        locked: whether its key file is locked, and so is unlocked here on the way.
    """

    root: str
    certificate: str
    backup: str
    cluster_id: str
    job: str
    locked: bool
    danger: Danger = Danger.DISRUPTIVE

    @property
    def swarm(self) -> str:
        return f"{self.root}/swarm"

    @property
    def draft(self) -> str:
        return f"{self.swarm}.unpacking-{self.job}"

    @property
    def _make(self) -> str:
        return self._sh(f"rm -rf {self.draft} && mkdir -m 0700 {self.draft}")

    @property
    def _take(self) -> str:
        return self.at.root(f"tar -xzf - -C {self.draft}")

    def _put(self, aside: str) -> str:
        # A Docker that was started in between has made an empty directory.
        away = f"[ ! -e {self.swarm} ] || rmdir {self.swarm} 2>/dev/null || mv {self.swarm} {aside}"
        return self._sh(f"sync; {{ {away}; }} && mv {self.draft} {self.swarm}")

    def _sh(self, line: str) -> str:
        return self.at.root(f"sh -c {shlex.quote(line)}")

    @property
    def shown(self) -> tuple[Shown, ...]:
        feed = f"swarmtui backups unlock {shlex.quote(one_line(self.backup))} --cluster {self.cluster_id} --output -"
        return (
            self.there(stop_line(self.at)),
            self.there(self._make),
            Shown(self._take, self.at.host, self.at.port, feed=Shown(feed, here=True)),
            self.there(self._put(f"{self.swarm}.between-{self.job}")),
        )

    @property
    def undo(self) -> tuple[Shown, ...]:
        away = self.at.root(f"mv {self.swarm} {self.swarm}.undone-{self.job}")
        return (self.there(stop_line(self.at)), self.there(away))

    async def certificate_there(self, host: SshHost) -> str:
        """The node's certificate that lies in the Swarm's directory, PEM; "" where there is none. Raises LinkError."""
        completed = await host.run(self.at.root(f"cat {self.swarm}/{CERTIFICATE}"), timeout=FILE_SECONDS)
        return completed.out if completed.code == 0 else ""

    async def lies(self, host: SshHost) -> bool:
        """Whether the backup lies in its place. Raises LinkError."""
        pem = await self.certificate_there(host)
        return bool(pem) and hashlib.sha256(pem.encode()).hexdigest() == self.certificate

    async def already_done(self, session: Session, before: Facts) -> str:
        lies = await self.lies(await self.at.reach(session))
        return f"The backup lies in {self.swarm} on {self.name}." if lies else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        host = await self.at.reach(session)
        # It may have been started again since: by a reboot, or by somebody.
        await stop_docker(host, self.at)
        found = identity(await self.certificate_there(host))
        if found is not None:
            raise ConflictError(
                f"{self.swarm} on {self.name} is there again, of node {found.node_id} of the Swarm "
                f"{found.cluster_id[:12]}: somebody put it there after it was moved aside.",
                f"Look at it, move it away (mv {self.swarm} {self.swarm}.other), then retry.",
            )
        await must(host, self.at, self._make)
        await self._send(session, voice)
        await must(host, self.at, self._put(f"{self.swarm}.between-{new_id()}"))

    async def _send(self, session: Session, voice: Voice) -> None:
        from swarmtui.runbooks.swarm.rehearsal.rehearse_place import SshPlace

        entry = await asyncio.to_thread(self._entry, session)
        keys = await keys_of(session.vault, entry.cluster_id)
        async with opened(entry, keys.identity) as files:
            key_file = await asyncio.to_thread(unlocked, files, keys.unlock)
            chunks = restorable(files, files.folders, key_file)
            sent = await SshPlace(session, self.at.ssh).feed(self._take, chunks)
        if sent.code != 0:
            raise StepError(
                f"The backup cannot be unpacked on {self.name}: {sent.words}.",
                "Is its disk full? Mend that, then retry.",
            )
        voice.say(f"The backup is unpacked on {self.name}.")
        if key_file is not None:
            voice.say("Its key file was unlocked here, offline: Docker could not do it without the other managers.")

    def _entry(self, session: Session) -> Entry:
        return session.backups.entry(self.cluster_id, self.backup)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"{self.swarm} on {self.name} is not what the backup has.", "Retry.")


@dataclass(frozen=True, kw_only=True)
class StartOnBackup(StartDocker):
    """Starts Docker on what was unpacked: without docker-state.json it is in no Swarm until it is told to force one.

    Attributes:
        what: the step that unpacked it.
    """

    what: Unpack

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await super().verify(session, before, voice)
        host = await self.at.reach(session)
        state = await swarm_state(host, self.at)
        if state.local_node_state not in ("inactive", "active"):
            said = ": ".join(filter(None, (state.local_node_state, one_line(state.error))))
            raise StepError(
                f"Docker on {self.name} runs, and its Swarm state is {said}.",
                f"It should be inactive before a Swarm is forced. {LOOK}",
            )
        if state.local_node_state == "inactive" and not await self.what.lies(host):
            raise StepError(
                f"Docker on {self.name} cleared the Swarm's directory when it started.",
                "Going on is no use then: begin the restore anew, it puts the backup there once more.",
            )


@dataclass(frozen=True, kw_only=True)
class AllFollow(OneLeader):
    """Asks every manager who leads; one that was booted since, and so is locked, is unlocked first.

    Attributes:
        cluster_id: whose keys are tried.
    """

    cluster_id: str

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        for at in self.managers:
            unlock = UnlockNode(
                id=self.id,
                title=self.title,
                why=self.why,
                name=at.name,
                target=at.target,
                sudo=at.sudo,
                patience=UP_SECONDS,
                cluster_id=self.cluster_id,
            )
            if not await unlock.already_done(session, {}):
                await unlock.run(session, {}, voice)
