"""Fencing: an old manager is proved unable to come back by itself, and how it comes back when all is well.

After a cluster was forced, old managers that return form a second live one (swarm-dr.md §4). So each of them is either
fenced (Docker and its socket stopped, its Swarm directory moved aside, never deleted), or declared dead by name.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from swarmtui.link.ssh import SshHost
from swarmtui.runbooks.runbook import Danger, Facts, Rule, Shown, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.swarm.rejoining.rejoin_steps import OnHost
from swarmtui.session import Session

ROOT = "/var/lib/docker"
"""Docker's data root, where nobody says otherwise."""
STOP_SECONDS = 180.0
"""Stopping waits for the tasks' grace periods."""
START_SECONDS = 180.0
"""A manager without a leader looks for it for 20 s while it starts (swarm-dr.md §4)."""
FILE_SECONDS = 30.0
LOOK = "Look there: journalctl -u docker -n 50. Then retry."


def not_fenced(name: str, why: str) -> Rule:
    """The rule that is broken by an old manager that is neither reached nor declared dead.

    Args:
        why: it cannot be reached, one sentence.
    """
    return Rule(
        "not-fenced",
        name,
        f"{name} cannot be fenced: {why.rstrip('.')}. If it comes back it forms a second Swarm beside the new one. "
        f"Is it gone for good? Then declare it dead by name: dead={name}",
    )


# -- small things that are done on hosts ---------------------------------------------------------------------------


def stop_line(at: Where) -> str:
    """Stops Docker, and the socket that would start it again."""
    return at.root("systemctl stop docker.socket docker.service" if at.systemd else "service docker stop")


def start_line(at: Where) -> str:
    """Starts Docker; its socket comes with it."""
    return at.root("systemctl start docker.service" if at.systemd else "service docker start")


async def docker_runs(host: SshHost, at: Where) -> bool:
    """Whether Docker runs, or its socket listens and would start it. Touches no socket. Raises LinkError."""
    if not at.systemd:
        return (await host.run("service docker status", timeout=FILE_SECONDS)).code == 0
    told = await host.run("systemctl is-active docker.service docker.socket", timeout=FILE_SECONDS)
    return any(word in ("active", "activating", "reloading", "deactivating") for word in told.out.split())


async def stop_docker(host: SshHost, at: Where) -> None:
    """Stops Docker and its socket, and looks that both are stopped.

    Raises:
        StepError: they are not.
        LinkError: the connection was lost.
    """
    told = await host.run(stop_line(at), timeout=STOP_SECONDS)
    # An engine that was installed without docker.socket is told to stop what is not there: what counts is what runs.
    if await docker_runs(host, at):
        raise StepError(f"Docker on {at.name} does not stop: {told.words}.", LOOK)


async def start_docker(host: SshHost, at: Where) -> None:
    """Starts Docker. Raises StepError where it does not start, LinkError."""
    if at.systemd:
        # After too many failures systemd starts nothing until it is told to forget them.
        await host.run(at.root("systemctl reset-failed docker.service"), timeout=FILE_SECONDS)
    told = await host.run(start_line(at), timeout=START_SECONDS)
    if told.code != 0:
        raise StepError(f"Docker on {at.name} does not start: {told.words}.", LOOK)


async def exists(host: SshHost, at: Where, path: str) -> bool:
    """Whether a path is there. Raises StepError where that cannot be told, LinkError."""
    told = await host.run(at.root(f"test -e {shlex.quote(path)}"), timeout=FILE_SECONDS)
    if told.code not in (0, 1):
        raise StepError(f"{at.name} does not say whether {path} is there: {told.words}.", "Mend that, then retry.")
    return told.code == 0


async def must(host: SshHost, at: Where, line: str, *, stdin: bytes | None = None) -> None:
    """Runs a line that is quick and must work.

    Raises:
        StepError: it did not; without the line where it reads something, which may be secret.
        LinkError: the connection was lost.
    """
    told = await host.run(line, stdin=stdin, timeout=FILE_SECONDS)
    if told.code != 0:
        raise StepError(f"On {at.name} this failed: {line}: {told.words}.", "Mend that, then retry.")


async def is_member(host: SshHost, at: Where, root: str) -> bool:
    """Whether there is anything that would make Docker a node of a Swarm when it starts. Raises StepError, LinkError.

    An engine in no Swarm makes the directory when it starts, and leaves it empty.
    """
    certificate = f"{root}/swarm/certificates/swarm-node.crt"
    return await exists(host, at, f"{root}/swarm/docker-state.json") or await exists(host, at, certificate)


@dataclass(frozen=True, kw_only=True)
class Fence(OnHost):
    """Proves that an old manager cannot come back by itself: Docker and its socket stopped, its Swarm directory moved.

    Attributes:
        job: what names this recovery on the hosts.
        root: Docker's data root there.
    """

    job: str
    root: str = ROOT
    danger: Danger = Danger.DISRUPTIVE

    @property
    def aside(self) -> str:
        """Where the directory is afterwards."""
        return f"{self.root}/swarm.fenced-{self.job}"

    @property
    def _move(self) -> str:
        return self.at.root(f"mv {shlex.quote(f'{self.root}/swarm')} {shlex.quote(self.aside)}")

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.there(stop_line(self.at)), self.there(self._move))

    @property
    def undo(self) -> tuple[Shown, ...]:
        swarm, empty = f"{self.root}/swarm", f"{self.root}/swarm.empty-{self.job}"
        # Where Docker was started meanwhile there is a new directory, which must not swallow the old one.
        return (
            self.there(stop_line(self.at)),
            self.there(
                self.at.root(f"test ! -e {shlex.quote(swarm)}")
                + " || "
                + self.at.root(f"mv {shlex.quote(swarm)} {shlex.quote(empty)}")
            ),
            self.there(self.at.root(f"mv {shlex.quote(self.aside)} {shlex.quote(swarm)}")),
            self.there(start_line(self.at)),
        )

    async def already_done(self, session: Session, before: Facts) -> str:
        host = await self.at.reach(session)
        if await is_member(host, self.at, self.root):
            return ""
        if await exists(host, self.at, self.aside):
            return f"{self.name} is fenced: its Swarm directory is {self.aside} now."
        if await exists(host, self.at, f"{self.root}/swarm/raft"):
            return ""  # half a directory: aside with it
        return f"{self.name} has nothing that would bring it back into the Swarm."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        host = await self.at.reach(session)
        await stop_docker(host, self.at)
        voice.say(f"Docker on {self.name} is stopped, and its socket with it.")
        if await exists(host, self.at, self.aside):
            raise StepError(
                f"{self.name} has a Swarm directory again, though this recovery has moved one to {self.aside} before.",
                f"Somebody made it part of a Swarm since. Look at it; if it is of no use, move {self.root}/swarm away.",
            )
        await must(host, self.at, self._move)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        host = await self.at.reach(session)
        if await docker_runs(host, self.at):
            raise StepError(f"Docker on {self.name} runs again: somebody, or something, has started it.", "Retry.")
        if not (done := await self.already_done(session, before)):
            raise StepError(f"{self.name} still has its Swarm directory.", "Retry.")
        voice.say(done)


@dataclass(frozen=True, kw_only=True)
class StopDocker(OnHost):
    """Stops Docker and its socket on the host."""

    danger: Danger = Danger.DISRUPTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.there(stop_line(self.at)),)

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (self.there(start_line(self.at)),)

    async def already_done(self, session: Session, before: Facts) -> str:
        runs = await docker_runs(await self.at.reach(session), self.at)
        return "" if runs else f"Docker does not run on {self.name}."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await stop_docker(await self.at.reach(session), self.at)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"Docker on {self.name} runs again: somebody, or something, has started it.", "Retry.")
        voice.say(f"Docker on {self.name} is stopped, and its socket with it.")


@dataclass(frozen=True, kw_only=True)
class StartDocker(OnHost):
    """Starts Docker on the host, for instance on one that was fenced: it is in no Swarm then."""

    danger: Danger = Danger.DISRUPTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.there(start_line(self.at)),)

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (self.there(stop_line(self.at)),)

    @property
    def _asks(self) -> str:
        return self.at.root("docker version -f '{{.Server.Version}}'")

    async def already_done(self, session: Session, before: Facts) -> str:
        host = await self.at.reach(session)
        if not await docker_runs(host, self.at):
            return ""
        answers = await host.run(self._asks, timeout=START_SECONDS)
        return f"Docker runs on {self.name}." if answers.code == 0 else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await start_docker(await self.at.reach(session), self.at)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"Docker on {self.name} was started, and does not answer.", LOOK)
        voice.say(f"Docker runs on {self.name}.")
