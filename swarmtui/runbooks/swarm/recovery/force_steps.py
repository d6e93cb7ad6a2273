"""Forcing a new cluster on one manager, once: `docker swarm init --force-new-cluster` behind a latch on its host.

Source: swarm-dr.md §3 and §4. With autolock on, Docker refuses it on a manager that runs, and hangs on one that is
locked: Docker is stopped, the key file is unlocked here and written back, docker-state.json is set aside (so that
Docker starts in no Swarm and calls nobody), Docker is started, and the cluster forced from the files.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass

from swarmtui.errors import EngineError
from swarmtui.link.ssh import SshHost
from swarmtui.model.swarm import SwarmInfo
from swarmtui.model.text import one_line
from swarmtui.runbooks.runbook import ConflictError, Danger, Facts, Shown, StepError, Voice
from swarmtui.runbooks.swarm.recovery.fence_steps import (
    FILE_SECONDS,
    ROOT,
    docker_runs,
    must,
    start_docker,
    start_line,
)
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, swarm_state
from swarmtui.runbooks.swarm.rejoining.rejoin_steps import OnHost
from swarmtui.runbooks.swarm.unlock_steps import UnlockNode
from swarmtui.session import Session

FORCING, FORCED = "swarm.forcing-", "swarm.forced-"
"""The latch beside the Swarm directory: the first is made before the force, and renamed into the second by it."""
INIT_SECONDS = 120.0
ANSWER_SECONDS = 60.0
"""How long an engine may take until it says how it is: one that looks for the others takes 20 s, twice at worst."""
LEAD_SECONDS = 45.0
"""How long a forced manager may take to lead itself, after its Docker was restarted."""
POLL_SECONDS = 0.5
LOOK = "Look there: docker info; journalctl -u docker -n 50. Then retry."


async def latches(host: SshHost, at: Where, root: str = ROOT) -> tuple[str, ...]:
    """Names of the latches beside the Swarm directory: of recoveries that began to force, and never completed.

    Raises:
        StepError, LinkError: it cannot be told.
    """
    told = await host.run(at.root(f"ls -1 {shlex.quote(root)}"), timeout=FILE_SECONDS)
    if told.code != 0:
        raise StepError(f"{at.name} does not say what is in {root}: {told.words}.", "Mend that, then retry.")
    return tuple(one_line(name) for name in told.out.split() if name.startswith((FORCING, FORCED)))


@dataclass(frozen=True, kw_only=True)
class Force(OnHost):
    """Forces a new cluster from what this manager has, once: a latch on its host keeps a resume from doing it twice.

    `node_id` is who it must be afterwards: damaged files give an empty Swarm behind a success (swarm-dr.md §1).

    Attributes:
        job: what names this recovery on the hosts.
        cluster_id: which Swarm it must be afterwards.
        advertise: its own address, "IP" or "IP:PORT".
        listen: where it listens as a manager.
        data_path: address for the tasks' traffic; "" for the same.
        autolock: the Swarm had autolock on: else it would silently be off.
        root: Docker's data root.
    """

    job: str
    cluster_id: str
    advertise: str
    listen: str = "0.0.0.0:2377"
    data_path: str = ""
    autolock: bool = False
    root: str = ROOT
    danger: Danger = Danger.DESTRUCTIVE

    @property
    def latch(self) -> tuple[str, str]:
        """The latch before, and after."""
        return f"{self.root}/{FORCING}{self.job}", f"{self.root}/{FORCED}{self.job}"

    @property
    def _touch(self) -> str:
        return self.at.root(f"touch {shlex.quote(self.latch[0])}")

    @property
    def _init(self) -> str:
        options = f"--advertise-addr {shlex.quote(self.advertise)} --listen-addr {shlex.quote(self.listen)}"
        options += f" --data-path-addr {shlex.quote(self.data_path)}" if self.data_path else ""
        options += " --autolock" if self.autolock else ""
        # docker prints a join token here, and the unlock key.
        force = self.at.root(f"docker swarm init --force-new-cluster {options} >/dev/null")
        return f"{force} && {self.at.root(f'mv {shlex.quote(self.latch[0])} {shlex.quote(self.latch[1])}')}"

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.there(self._touch), self.there(start_line(self.at)), self.there(self._init))

    async def already_done(self, session: Session, before: Facts) -> str:
        host = await self.at.reach(session)
        if f"{FORCED}{self.job}" not in await latches(host, self.at, self.root):
            return ""
        if not await docker_runs(host, self.at) or await self._not_leading(host):
            return ""  # forced, but it stands still: `run` gets it going, and forces nothing
        return f"{self.name} was forced by this run already, and leads the Swarm."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        host = await self.at.reach(session)
        found = await latches(host, self.at, self.root)
        ours = tuple(name for name in found if name.endswith(self.job))
        if foreign := [name for name in found if name not in ours]:
            raise ConflictError(
                f"Another recovery has begun to force a cluster on {self.name}, and did not complete: {foreign[0]}.",
                f"Resume that one (swarmtui journal lists it). Is it given up? Then remove {self.root}/{foreign[0]} "
                "there, and retry.",
            )
        if not ours:
            await must(host, self.at, self._touch)
        if not await docker_runs(host, self.at):
            await start_docker(host, self.at)
        state = await self._settled(host, voice)
        forced = f"{FORCED}{self.job}" in ours
        if state.local_node_state == "locked" and ours:
            # Locked again: the force took effect (it locks the key file), and Docker was restarted since.
            await self._unlock(session, voice)
            forced = True
        if forced or (ours and state.local_node_state in ("active", "pending")):
            # It may have taken effect although nobody heard of it: then it leads itself, if it is given the time.
            why = await self._not_leading_soon(host, voice, LEAD_SECONDS if forced else LEAD_SECONDS / 2)
            if not why:
                if not forced:
                    await must(host, self.at, self.at.root(f"mv {' '.join(map(shlex.quote, self.latch))}"))
                voice.say("It was forced before; it is not forced again.")
                return
            if forced:
                raise StepError(f"{self.name} was forced, and does not lead the Swarm: {why}.", LOOK)
        if state.local_node_state == "locked":
            raise StepError(
                f"{self.name} is locked: nothing can be forced on it.",
                "Its key file must be unlocked first, with Docker stopped: make a new plan.",
            )
        told = await host.run(self._init, timeout=INIT_SECONDS)
        if told.code != 0:
            raise StepError(f"`docker swarm init --force-new-cluster` failed on {self.name}: {told.words}.", LOOK)
        voice.say(f"A new cluster is forced on {self.name}.")

    async def _settled(self, host: SshHost, voice: Voice) -> SwarmInfo:
        """What its engine says of its Swarm, when it has made up its mind."""
        end = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return await swarm_state(host, self.at)
            except EngineError as error:
                if time.monotonic() >= end:
                    raise StepError(f"Docker on {self.name} does not answer: {error.what}", LOOK) from error
            await asyncio.sleep(POLL_SECONDS)

    async def _unlock(self, session: Session, voice: Voice) -> None:
        unlock = UnlockNode(
            id=self.id,
            title=self.title,
            why=self.why,
            name=self.name,
            target=self.at.target,
            sudo=self.at.sudo,
            patience=int(ANSWER_SECONDS),
            cluster_id=self.cluster_id,
        )
        await unlock.run(session, {}, voice)

    async def _not_leading(self, host: SshHost) -> str:
        """Why it does not lead a Swarm in which it is the only manager, for a sentence; "" where it does. Without a
        leader that takes 20 s to be told."""
        line = self.at.root("docker node ls --format '{{.ID}} {{.ManagerStatus}}'")
        told = await host.run(line, timeout=ANSWER_SECONDS)
        if told.code != 0:
            return told.words
        managers = [line.split() for line in told.out.splitlines() if len(line.split()) > 1]
        if managers == [[self.node_id, "Leader"]]:
            return ""
        return f"its managers are {one_line(', '.join(' '.join(one) for one in managers)) or 'none'}"

    async def _not_leading_soon(self, host: SshHost, voice: Voice, seconds: float) -> str:
        """Like `_not_leading`, after some time at most."""
        end = time.monotonic() + seconds
        while why := await self._not_leading(host):
            if time.monotonic() >= end:
                return why
            voice.progress(0, 1, f"{self.name} does not lead a Swarm yet.")
            await asyncio.sleep(POLL_SECONDS)
        return ""

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        host = await self.at.reach(session)
        state = await swarm_state(host, self.at)
        cluster = state.cluster.id if state.cluster is not None else ""
        if (state.node_id, cluster) != (self.node_id, self.cluster_id):
            raise StepError(
                f"What {self.name} leads is not the Swarm it was: it is node {state.node_id or '(none)'} of Swarm "
                f"{cluster or '(none)'}, and should be {self.node_id} of {self.cluster_id}.",
                "Its Swarm directory was damaged, and Docker began an empty one. Take another survivor, or a backup.",
            )
        if why := await self._not_leading_soon(host, voice, LEAD_SECONDS):
            raise StepError(f"{self.name} does not lead the Swarm as its only manager: {why}.", LOOK)
        voice.say(f"{self.name} leads Swarm {cluster[:12]}, as its only manager.")


@dataclass(frozen=True, kw_only=True)
class ClearLatch(OnHost):
    """Takes away what this recovery left beside the Swarm directory: the latch, the locked key file, docker-state.json.

    Only when all is well. Fenced directories stay: a person removes them.
    """

    job: str
    root: str = ROOT

    @property
    def names(self) -> tuple[str, ...]:
        """What it takes away, beside the Swarm directory."""
        return (f"{FORCING}{self.job}", f"{FORCED}{self.job}", f"swarm.key-{self.job}", f"swarm.state-{self.job}")

    @property
    def shown(self) -> tuple[Shown, ...]:
        paths = " ".join(shlex.quote(f"{self.root}/{name}") for name in self.names)
        return (self.there(self.at.root(f"rm -f {paths}")),)

    async def _left(self, session: Session) -> list[str]:
        told = await (await self.at.reach(session)).run(
            self.at.root(f"ls -1 {shlex.quote(self.root)}"), timeout=FILE_SECONDS
        )
        return [name for name in told.out.split() if name in self.names] if told.code == 0 else list(self.names)

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await self._left(session) else f"Nothing of this recovery is left beside {self.root}/swarm."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await must(await self.at.reach(session), self.at, self.shown[0].line)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if left := await self._left(session):
            raise StepError(f"On {self.name} there is still {', '.join(left)} in {self.root}.", "Retry.")
