"""Workers after a restore: they come back by themselves, or are told where the managers are (swarm-dr.md §3, Workers).

A worker dials the addresses in its state.json. Where one of them leads to a restored manager it is back within seconds,
with its id, its labels and its tasks. Else it never is: Docker is stopped there, the address is written, Docker is
started. That stops its containers, so it is done only to one that did not come back.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from swarmtui.link.target import SshTarget
from swarmtui.link.together import together
from swarmtui.model.text import one_line
from swarmtui.runbooks.node_steps import entry
from swarmtui.runbooks.node_waits import waited, waiting
from swarmtui.runbooks.runbook import ConflictError, Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.building.build_base import Seed
from swarmtui.runbooks.swarm.managers import identity, read_file
from swarmtui.runbooks.swarm.recovery.fence_steps import (
    ROOT,
    exists,
    must,
    start_docker,
    start_line,
    stop_docker,
    stop_line,
)
from swarmtui.runbooks.swarm.rehearsal.rehearse_commands import as_root
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import QUESTION_SECONDS, Where, look_at, where
from swarmtui.session import Session

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 40
"""A worker tries again every few seconds, with growing pauses: seen are 6 to 30 s."""
BACK_SECONDS = 60
CERTIFICATE = "certificates/swarm-node.crt"


class WorkerAt(msgspec.Struct, frozen=True, kw_only=True):
    """A worker, and what its host says.

    Attributes:
        node_id: its id in the Swarm; name: its hostname.
        folder: its Swarm directory.
        trouble: why nobody can log in, one sentence; then it can only be waited for.
    """

    node_id: str
    name: str
    at: Where
    folder: str = f"{ROOT}/swarm"
    trouble: str = ""


class ManagerAt(msgspec.Struct, frozen=True, kw_only=True):
    """Where a worker finds a manager. addr: "IP:PORT"."""

    node_id: str
    addr: str


async def look_at_workers(session: Session, workers: Iterable[tuple[str, str, SshTarget]]) -> tuple[WorkerAt, ...]:
    """Asks the hosts of workers how they are, all at once; never fails, and changes nothing.

    Args:
        workers: of each its node id, its hostname, and where its host is reached.
    """

    async def look(node_id: str, name: str, target: SshTarget) -> WorkerAt:
        seen = await look_at(session, where(session, one_line(name), target))
        worker = WorkerAt(node_id=node_id, name=one_line(name), at=seen.at, trouble=seen.trouble)
        if seen.trouble or seen.docker_down or seen.silent:
            return worker
        host = await seen.at.reach(session)
        told = await host.run(seen.at.root("docker info -f '{{.DockerRootDir}}'"), timeout=QUESTION_SECONDS)
        root = one_line(told.out.strip())
        return replace(worker, folder=f"{root}/swarm") if told.code == 0 and root.startswith("/") else worker

    found: list[WorkerAt] = await together(*(look(*worker) for worker in workers))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class WorkerBack(Step):
    """Gets a worker back: waits for it, and tells it where the manager is if it does not come by itself.

    Attributes:
        worker: the worker.
        remotes: managers that it is told, at the addresses that raft has of them.
        patience: seconds it has to come back by itself; seconds: and after it was told.
    """

    seed: Seed
    worker: WorkerAt
    remotes: tuple[ManagerAt, ...]
    patience: int = PATIENCE_SECONDS
    seconds: int = BACK_SECONDS
    danger: Danger = Danger.DISRUPTIVE
    skippable: bool = True

    @property
    def state(self) -> str:
        """The contents of its state.json."""
        told = [{"node_id": manager.node_id, "addr": manager.addr} for manager in self.remotes]
        return json.dumps(told, separators=(",", ":"))

    @property
    def _write(self) -> str:
        file = shlex.quote(f"{self.worker.folder}/state.json")
        new = shlex.quote(f"{self.worker.folder}/state.json.new")
        return as_root(f"umask 077; printf %s {shlex.quote(self.state)} >{new} && mv {new} {file}", sudo=self.at.sudo)

    @property
    def at(self) -> Where:
        return self.worker.at

    @property
    def shown(self) -> tuple[Shown, ...]:
        status = f"node inspect -f '{{{{.Status.State}}}}' {shlex.quote(self.worker.node_id)}"
        asked = self.seed.docker(status)
        wait = waiting(f"Wait for {self.worker.name}", f'[ "$({asked.line})" = ready ]', self.patience)
        own = Shown(f"( {wait.line} ) || true", asked.host, asked.port, words=wait.words)
        if self.worker.trouble:
            return (own,)
        # It is told only where it is not there: that stops its containers.
        mend = f"{stop_line(self.at)}; {self._write}; {start_line(self.at)}"
        line = f'read -r state; [ "$state" = ready ] || {{ {mend}; }}'
        return (own, Shown(line, self.at.host, self.at.port, feed=asked))

    async def _missing(self, session: Session) -> str:
        """Why it is not back, one sentence; "" when it is. Raises StepError where no waiting helps."""
        await self.seed.lead(session)
        node = await entry(session, self.worker.node_id)
        if node is None:
            raise StepError(
                f"{self.worker.name} is no node of this Swarm: it is newer than the backup, or was removed.",
                "Let it leave the old one (docker swarm leave --force there), and join anew: swarmtui run swarm.join",
            )
        return "" if node.is_ready else f"{self.worker.name} is {node.status.state}."

    async def before(self, session: Session) -> Facts:
        return {}

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await self._missing(session) else f"{self.worker.name} is ready, with the id that it had."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self._wait(session, self.patience, voice):
            return
        if self.worker.trouble:
            raise StepError(
                f"{self.worker.name} is not back, and nobody can log in there: {self.worker.trouble}",
                "Bring its host back, then retry; or skip this with a reason: removing its entry moves its tasks.",
            )
        await self._tell(session, voice)
        if missing := await self._wait(session, self.seconds, voice):
            raise StepError(
                f"{missing} This was waited for {self.seconds} seconds after it was told where the manager is.",
                "Can it reach the manager on 2377/tcp? Its log tells: journalctl -u docker -n 50. Then retry.",
            )

    async def _wait(self, session: Session, seconds: int, voice: Voice) -> str:
        """Waits until it is back; returns what is missing then."""
        more = f" It has {seconds} s to come back."
        return await waited(lambda: self._missing(session), seconds, voice, poll=POLL_SECONDS, more=more)

    async def _tell(self, session: Session, voice: Voice) -> None:
        host = await self.at.reach(session)
        file = f"{self.worker.folder}/{CERTIFICATE}"
        if not await exists(host, self.at, file):
            raise StepError(
                f"{self.worker.name} is in no Swarm any more: {file} is not there.",
                "Let it join anew: swarmtui run swarm.join; then skip this step.",
            )
        who = identity(await read_file(session, self.at.ssh, file))
        if who is None or who.node_id != self.worker.node_id:
            raise ConflictError(
                f"The host of {self.worker.name} is {f'node {who.node_id}' if who else 'another node'}, not "
                f"{self.worker.node_id}.",
                "Nothing was changed there. Look at it; if it is of no use as what it is, let it leave and join anew.",
            )
        voice.say(f"{self.worker.name} does not come back by itself: it is told {self.remotes[0].addr}.")
        await stop_docker(host, self.at)
        await must(host, self.at, self._write)
        await start_docker(host, self.at)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if missing := await self._missing(session):
            raise StepError(missing, "It was ready a moment ago: look at it, then retry.")
        voice.say(f"{self.worker.name} is ready, with the id that it had.")


def worker_steps(
    workers: Sequence[WorkerAt], *, seed: Seed, remotes: Sequence[ManagerAt], patience: int = PATIENCE_SECONDS
) -> tuple[Step, ...]:
    """One step for each worker. Pure.

    Args:
        remotes: the managers, at the addresses that raft has of them by then.
        patience: seconds that each has to come back by itself.
    """
    return tuple(
        WorkerBack(
            id=f"worker-{worker.node_id}",
            title=f"Get the worker {worker.name} back",
            why="It comes back by itself where its old manager's address leads to the restored one; its tasks run on "
            "meanwhile. Only if it does not, it is told the address, which restarts its Docker and its containers.",
            seed=seed,
            worker=worker,
            remotes=tuple(remotes),
            patience=patience,
            if_stopped="The restored Swarm works; workers that are not back run their containers, and take no orders.",
        )
        for worker in workers
    )
