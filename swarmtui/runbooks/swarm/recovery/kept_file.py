"""A file of a manager's Swarm directory written anew; what was there is kept beside the directory until all is well."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import ClassVar

from swarmtui.runbooks.runbook import Danger, Shown
from swarmtui.runbooks.swarm.recovery.fence_steps import ROOT, docker_runs, exists, must, stop_docker
from swarmtui.runbooks.swarm.rehearsal.rehearse_commands import as_root
from swarmtui.runbooks.swarm.rejoining.rejoin_steps import OnHost
from swarmtui.session import Session


@dataclass(frozen=True, kw_only=True)
class KeptFile(OnHost):
    """What such a step needs; Docker is stopped for it.

    Attributes:
        file: below Docker's data root. kept: how what was there is called beside the Swarm directory, before the job's
            name. mode: of the new file.
        job: what names this recovery on the hosts.
        cluster_id: which Swarm: whose unlock keys are tried.
        root: Docker's data root.
    """

    file: ClassVar[str]
    kept: ClassVar[str]
    mode: ClassVar[str]

    job: str
    cluster_id: str
    root: str = ROOT
    danger: Danger = Danger.DISRUPTIVE

    @property
    def path(self) -> str:
        return f"{self.root}/{self.file}"

    @property
    def aside(self) -> str:
        """Where what was there is afterwards."""
        return f"{self.root}/{self.kept}-{self.job}"

    @property
    def keep_line(self) -> str:
        return self.at.root(f"cp -p {shlex.quote(self.path)} {shlex.quote(self.aside)}")

    @property
    def write_line(self) -> str:
        """Takes the new file on its standard input; it is never there in part."""
        new = shlex.quote(f"{self.path}.new")
        line = f"touch {new} && chmod {self.mode} {new} && tee {new} >/dev/null && mv {new} {shlex.quote(self.path)}"
        return as_root(line, sudo=True) if self.at.sudo else line

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (self.there(self.at.root(f"cp -p {shlex.quote(self.aside)} {shlex.quote(self.path)}")),)

    async def stopped(self, session: Session) -> None:
        """Stops Docker once more where it runs: its host was booted since it was stopped, say."""
        host = await self.at.reach(session)
        if await docker_runs(host, self.at):
            await stop_docker(host, self.at)

    async def replace(self, session: Session, content: bytes) -> None:
        """Keeps what is there, unless an earlier try has, and writes the new file."""
        host = await self.at.reach(session)
        if not await exists(host, self.at, self.aside):
            await must(host, self.at, self.keep_line)
        await must(host, self.at, self.write_line, stdin=content)
