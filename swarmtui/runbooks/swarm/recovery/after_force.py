"""What belongs behind every forced cluster: compare, clean out, join back. What is checked then: forced_checks.

All of it goes through the one manager that is left, until others have joined it (`Seed`).
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from swarmtui.errors import EngineError
from swarmtui.model.inventory import Inventory, NodeItem
from swarmtui.model.inventory_diff import differences
from swarmtui.model.swarm import Availability, Node, NodeSpec
from swarmtui.runbooks.node_steps import entry
from swarmtui.runbooks.runbook import Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.backups.backup_objects import read_contents
from swarmtui.runbooks.swarm.building.build_base import Seed
from swarmtui.runbooks.swarm.building.build_spec import LISTEN
from swarmtui.runbooks.swarm.building.build_steps import JoinHost
from swarmtui.runbooks.swarm.recovery.fence_steps import StartDocker
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.swarm.rejoining.rejoin_join import Restore
from swarmtui.runbooks.swarm.unlock_steps import UnlockNode
from swarmtui.session import Session

POLL_SECONDS = 0.5
UP_SECONDS = 60
"""How long a host that was booted may take until its Docker answers."""
DOWN_SECONDS = 90.0
"""How long the Swarm may take until it sees that a node is down: 15 s, and half a minute after a force."""
GHOST_SECONDS = 5.0
"""How long an entry may be without the name of its host, which the host tells with its first word."""


@dataclass(frozen=True, kw_only=True)
class ForcedSeed(Seed):
    """The manager that was forced: with autolock on it is locked again whenever its Docker restarts."""

    async def lead(self, session: Session) -> None:
        """Makes sure that the session is live, and in the right Swarm; unlocks the manager where it is locked.

        Raises:
            StepError: it cannot be asked, or stays locked.
            LinkError, ConflictError: as of any seed.
        """
        if not session.live:
            unlock = UnlockNode(
                id="unlock",
                title=f"Unlock {self.name}",
                why="Nothing can be asked of a manager that is locked.",
                name=self.name,
                target=self.target,
                sudo=self.sudo,
                patience=UP_SECONDS,
                cluster_id=self.cluster_id,
            )
            if not await unlock.already_done(session, {}):
                await unlock.run(session, {}, Voice(lambda line: None, lambda done, total, text: None))
        await super().lead(session)


def seed_of(at: Where, remote: str, cluster_id: str, addresses: Iterable[Where] = ()) -> Seed:
    """The manager that was forced, as the steps after it use it.

    Args:
        remote: "IP:PORT" that joining hosts dial.
        addresses: the hosts of the other nodes, for when another manager has to take over.
    """
    return ForcedSeed(
        target=at.target,
        name=at.name,
        remote=remote,
        cluster_id=cluster_id,
        sudo=at.sudo,
        addresses={one.name: one.target for one in (at, *addresses)},
    )


@dataclass(frozen=True, kw_only=True)
class Led(Step):
    """Another step, done through the manager that was forced: where no Swarm answered, its session begins there."""

    seed: Seed
    inner: Step

    @property
    def shown(self) -> tuple[Shown, ...]:
        return tuple(self._there(shown) for shown in self.inner.shown)

    @property
    def undo(self) -> tuple[Shown, ...]:
        return tuple(self._there(shown) for shown in self.inner.undo)

    def _there(self, shown: Shown) -> Shown:
        """What is for any manager's docker command is for this one's."""
        if shown.host or shown.here:
            return shown
        told, pipe, rest = shown.line.partition(" | swarmtui ")
        if pipe:  # what it tells goes into a program of ours, which runs here
            return Shown(f"swarmtui {rest}", feed=self._there(Shown(told)), here=True)
        line = shown.line.replace("docker ", "sudo -n docker ") if self.seed.sudo else shown.line
        ssh = self.seed.ssh
        return replace(shown, line=line, host=ssh.destination, port=ssh.port)

    async def before(self, session: Session) -> Facts:
        await self.seed.lead(session)
        return await self.inner.before(session)

    async def already_done(self, session: Session, before: Facts) -> str:
        await self.seed.lead(session)
        return await self.inner.already_done(session, before)

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)
        await self.inner.run(session, before, voice)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)
        await self.inner.verify(session, before, voice)


def led(seed: Seed, step: Step) -> Led:
    """A step that uses the session's manager, made fit for a plan that begins without any."""
    return Led(
        id=step.id,
        title=step.title,
        why=step.why,
        danger=step.danger,
        skippable=step.skippable,
        if_stopped=step.if_stopped,
        seed=seed,
        inner=step,
    )


@dataclass(frozen=True, kw_only=True)
class CompareInventory(Step):
    """Compares what the forced Swarm has with what it should have, by id; not only its name (swarm-dr.md §1).

    Attributes:
        expected: what it should have: of the survivor's own log, or of a backup's manifest.
        skippable: a person may know better.
    """

    seed: Seed
    expected: Inventory
    skippable: bool = True

    @property
    def shown(self) -> tuple[Shown, ...]:
        kinds = ("node", "service", "network", "secret", "config")
        return tuple(self.seed.docker(f"{kind} ls") for kind in kinds)

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)
        now = (await read_contents(session)).inventory
        for one in differences(self.expected, now):
            details = f": {'; '.join(one.details)}" if one.details else ""
            voice.say(f"{one.kind} {one.name or one.id}: {one.what}{details}")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)
        now = (await read_contents(session)).inventory
        if lost := missing(self.expected, now):
            raise StepError(
                f"The Swarm is not what it was: {'; '.join(lost[:8])}{' …' * (len(lost) > 8)}.",
                "Nothing is deleted yet. Look at it; skip this step only if that is known and right.",
            )
        counts = ", ".join(f"{len(now.of(kind))} {kind}s" for kind in ("service", "network", "secret", "config"))
        voice.say(f"Swarm {now.cluster_id[:12]} has all that it had: {counts}.")


def missing(expected: Inventory, now: Inventory) -> list[str]:
    """What makes the one not the other's Swarm, or less than it; what is new or newer is no loss. Pure."""
    lost: list[str] = []
    for one in differences(expected, now):
        if one.kind == "swarm":
            lost += one.details
        elif one.what == "removed":
            lost.append(f"{one.kind} {one.name or one.id} is gone")
    return lost


@dataclass(frozen=True, kw_only=True)
class RemoveGone(Step):
    """Removes the entry of a node that cannot come back: fenced, or declared dead. Its tasks move at once.

    Attributes:
        node_id: its id; name: its hostname.
    """

    seed: Seed
    node_id: str
    name: str
    danger: Danger = Danger.DESTRUCTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.seed.docker(f"node rm {shlex.quote(self.node_id)}"),)

    async def already_done(self, session: Session, before: Facts) -> str:
        await self.seed.lead(session)
        return "" if await entry(session, self.node_id) else f"{self.name} is no entry of the Swarm any more."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)
        end = time.monotonic() + DOWN_SECONDS
        while True:
            try:
                await session.delete(f"/nodes/{self.node_id}")
                return
            except EngineError as error:
                if error.status == 404:
                    return
                # A forced cluster takes all nodes for ready or unknown, until it has missed their word.
                if "is not down" not in error.message or time.monotonic() >= end:
                    raise
                voice.progress(0, 1, f"The Swarm has not noticed yet that {self.name} is down.")
            await asyncio.sleep(POLL_SECONDS)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not (done := await self.already_done(session, before)):
            raise StepError(f"{self.name} is still an entry of the Swarm.", "Retry.")
        voice.say(done)


@dataclass(frozen=True, kw_only=True)
class JoinBack(JoinHost):
    """Makes a host join the forced Swarm, and removes what attempts that were cut off have left in it.

    A host that got its certificate and then lost the only manager (that was rebooted, say) has an entry already,
    without a name; when it joins again it gets another one. Seen on 20.10. Nobody else's host is meant: the run holds
    the cluster alone.
    """

    async def _ghosts(self, session: Session) -> list[Node]:
        await self.seed.lead(session)
        nodes = (await session.refresh()).nodes.values()
        return [node for node in nodes if not node.hostname and not node.is_ready and not node.is_voter]

    async def already_done(self, session: Session, before: Facts) -> str:
        done = await super().already_done(session, before)
        return "" if done and await self._ghosts(session) else done

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await super().already_done(session, before):
            await super().run(session, before, voice)
        end = time.monotonic() + GHOST_SECONDS
        while ghosts := await self._ghosts(session):
            if time.monotonic() >= end:
                break
            await asyncio.sleep(POLL_SECONDS)
        for ghost in ghosts:
            voice.say(f"An attempt to join that was cut off has left an entry without a name: {ghost.id} is removed.")
            await session.delete(f"/nodes/{ghost.id}")


def join_back(
    seed: Seed, at: Where, was: NodeItem, *, advertise: str, listen: str = LISTEN, seconds: int = 120
) -> tuple[Step, ...]:
    """The steps that let a fenced manager join anew: it gets a new id, and back its labels and its availability.

    One manager at a time: the steps of the next belong behind these.

    Args:
        at: its host, where Docker is stopped and in no Swarm.
        was: the entry it had.
        advertise: its own address.
        seconds: how long each may take.
    """
    steps: list[Step] = [
        StartDocker(
            id=f"start-{was.id}",
            title=f"Start Docker on {at.name}",
            why="Its old Swarm directory lies aside: it starts in no Swarm.",
            node_id=was.id,
            name=at.name,
            at=at,
        ),
        JoinBack(
            id=f"join-{was.id}",
            title=f"Join {at.name} as a {was.role or 'manager'}",
            why="One at a time: the next comes only when this one is reachable.",
            if_stopped="The Swarm works, with fewer managers than it had.",
            role=was.role or "manager",
            advertise=advertise,
            listen=listen,
            drained=was.availability == Availability.DRAIN,
            seconds=seconds,
            seed=seed,
            target=at.target,
            name=at.name,
        ),
    ]
    if was.labels or was.availability not in (Availability.ACTIVE, Availability.DRAIN, ""):
        spec = NodeSpec(role=was.role, availability=was.availability, labels=was.labels)
        restore = Restore(
            id=f"labels-{was.id}",
            title=f"Give {at.name} its labels and availability",
            why="Placement constraints read the labels; a new entry begins without any.",
            node_id=was.id,
            name=at.name,
            at=at,
            as_it_was=Node(id=was.id, spec=spec),
        )
        steps.append(led(seed, restore))
    return tuple(steps)


def as_facts(inventory: Inventory) -> Facts:
    """An inventory as plain JSON values, for the facts of a plan; `as_inventory` makes it one again."""
    built: Facts = msgspec.to_builtins(inventory)
    return built


def as_inventory(facts: Facts) -> Inventory:
    """The inventory in the facts of a plan."""
    return msgspec.convert(facts, Inventory)
