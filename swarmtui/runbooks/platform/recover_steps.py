"""The parts of platform.recover, and the checks between them: nothing is built on what is not there."""

from __future__ import annotations

import asyncio
import dataclasses
import shlex
from collections.abc import Set
from dataclasses import dataclass

from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import listed, one_line
from swarmtui.runbooks.node_waits import wait_line, waited
from swarmtui.runbooks.parts import Stage
from swarmtui.runbooks.platform import dtr_look
from swarmtui.runbooks.platform.ucp_look import UcpLook, look_at_ucp, settled
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.building.build_base import Seed
from swarmtui.runbooks.swarm.recovery.after_force import led
from swarmtui.session import Session

POLL_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class SwarmPart(Stage):
    """How the Swarm comes back. It is planned before the run begins: with it everything else begins.

    Attributes:
        seed: the manager that there is first.
    """

    seed: Seed

    async def already_done(self, session: Session, before: Facts) -> str:
        await self.seed.lead(session)
        return f"The Swarm answers on {self.seed.name}."


@dataclass(frozen=True, kw_only=True)
class Led(Stage):
    """A part that needs a Swarm which answers, in a run that may have begun without one: it goes through a manager.

    Attributes:
        seed: that manager.
    """

    seed: Seed

    async def enter(self, session: Session) -> None:
        await self.seed.lead(session)

    def fit(self, plan: Plan) -> Plan:
        """The same, each step through that manager."""
        return Stage.fit(self, dataclasses.replace(plan, steps=tuple(led(self.seed, step) for step in plan.steps)))


@dataclass(frozen=True, kw_only=True)
class UcpPart(Led):
    """How UCP comes back, planned when the Swarm is there; nothing is to be done where it came back by itself."""

    async def already_done(self, session: Session, before: Facts) -> str:
        await self.enter(session)
        found = await look_at_ucp(session)
        if not found.lives and found.unasked:
            raise StepError(
                f"It cannot be seen whether UCP lives on {listed(found.unasked)}. {found.told}",
                "Have SSH work there, then retry.",
            )
        return "" if found.lost else f"{found.told} It is not restored."

    async def stale(self, session: Session, part: Plan, done: Set[str], begun: Set[str]) -> str:
        if _cannot_turn_back(part, begun):
            return ""
        found = await look_at_ucp(session)
        if not found.lost:
            return found.told
        planned = {str(place["name"]) for place in part.facts["nodes"]}
        new = sorted(node.name for node in session.snapshot.nodes.values() if node.name not in planned)
        return f"Since it was planned {listed(new)} joined: it is planned anew." if new else ""


@dataclass(frozen=True, kw_only=True)
class DtrPart(Led):
    """How DTR comes back: from its backup; from one replica's volumes, where those are left and its version can."""

    async def already_done(self, session: Session, before: Facts) -> str:
        await self.enter(session)
        found = await dtr_look.settled(session, lambda line: None)
        return "" if found.lost else f"{found.told} It is not restored."

    async def stale(self, session: Session, part: Plan, done: Set[str], begun: Set[str]) -> str:
        if _cannot_turn_back(part, begun):
            return ""
        found = await dtr_look.settled(session, lambda line: None)
        if not found.lost:
            return found.told
        return f"{found.told} It is planned anew." if bool(found.repair) != (part.runbook == "dtr.repair") else ""

    async def draft(self, session: Session, before: Facts, voice: Voice) -> Plan:
        await self.enter(session)
        found = await dtr_look.look_at_dtr(session)
        voice.say(found.told)
        if not found.repair:
            return await Stage.draft(self, session, before, voice)
        voice.say(
            f"Nothing is restored: replica {found.repair} still has its data, and is made the whole of DTR again."
        )
        repair = dataclasses.replace(self, runbook="dtr.repair", given={"replica": found.repair})
        return await Stage.draft(repair, session, before, voice)


def _cannot_turn_back(part: Plan, begun: Set[str]) -> bool:
    """Whether a part has begun to remove what it brings back, or to bring it back: then it is gone on with."""
    own = {step.id for step in part.steps if step.danger is Danger.DESTRUCTIVE or step.id.endswith("/restore")}
    return bool(own & begun)


@dataclass(frozen=True, kw_only=True)
class JoinDtr(Led):
    """Another replica of DTR, on the node where it had one.

    Attributes:
        node: its name.
    """

    node: str

    async def already_done(self, session: Session, before: Facts) -> str:
        await self.enter(session)
        found = await dtr_look.look_at_dtr(session)
        return f"The replica on {self.node} is healthy." if self.node in found.healthy else ""


@dataclass(frozen=True, kw_only=True)
class LookAtUcp(Step):
    """Gives a UCP whose agents are on the Swarm the time to show that it lives: then it is not restored."""

    seed: Seed

    @property
    def shown(self) -> tuple[Shown, ...]:
        line = "docker ps -a --filter name=ucp- --format '{{.Names}} {{.Status}}'"
        return (Shown(f"sudo -n {line}" if self.seed.sudo else line, self.seed.ssh.destination, self.seed.ssh.port),)

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)
        voice.say((await settled(session, voice.say)).told)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        return  # it only looks; what is to be done about it is the next step's


@dataclass(frozen=True, kw_only=True)
class Check(Step):
    """Waits until what the next part is built on is there.

    Attributes:
        seconds: when it gives up.
    """

    seed: Seed
    seconds: int

    async def missing(self, session: Session) -> str:
        """What is missing, one sentence; "" for nothing."""
        raise NotImplementedError

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)

        async def missing() -> str:
            return await self.missing(session)

        await waited(missing, self.seconds, voice, poll=POLL_SECONDS)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)
        if still := await self.missing(session):
            raise StepError(still, self.advice)

    @property
    def advice(self) -> str:
        """What to do about what is missing."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class CheckSwarm(Check):
    """The Swarm has all its managers and a backup of its own before anything of UCP is removed: from then until UCP is
    restored no node can join (ucp-dtr.md §1.7, §5.5 A).

    Attributes:
        managers: how many it had.
        since: unix seconds; its backup is younger.
    """

    cluster_id: str
    managers: int
    since: float
    skippable: bool = True

    @property
    def shown(self) -> tuple[Shown, ...]:
        there = "docker node ls --filter role=manager --format '{{.ManagerStatus}}' | grep -c ."
        line = wait_line(f'[ "$({there})" -ge {self.managers} ]', self.seconds)
        words = f"wait until {self.managers} managers are there, at most {self.seconds} s"
        at = self.seed.ssh
        return (Shown(self._sudo(line), at.destination, at.port, words=words),)

    def _sudo(self, line: str) -> str:
        return line.replace("docker ", "sudo -n docker ") if self.seed.sudo else line

    @property
    def advice(self) -> str:
        return (
            "Until UCP is restored no node can join, so let all that belong to it join now (swarmtui run swarm.join "
            "host=ssh://USER@HOST role=manager), and take a backup (swarmtui run swarm.backup). Then retry; or skip "
            "this with the reason."
        )

    async def missing(self, session: Session) -> str:
        snapshot = await session.refresh()
        return _managers(snapshot, self.managers) or await self._backup(session)

    async def _backup(self, session: Session) -> str:
        entries = await asyncio.to_thread(session.backups.entries, self.cluster_id)
        # Whoever joined after it would be lost with it.
        voters = sum(node.is_voter for node in session.snapshot.nodes.values())
        fresh = any(
            one.kind == "swarm"
            and not one.broken
            and one.whole.taken_at >= self.since
            and one.would_restore != "no"
            and len(one.whole.managers) >= voters
            for one in entries
        )
        return "" if fresh else "There is no backup of the Swarm with all its managers as they are now."

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await Check.verify(self, session, before, voice)
        nodes = session.snapshot.nodes.values()
        voice.say(f"{sum(node.is_voter for node in nodes)} managers, {len(nodes)} nodes, and a backup of it all.")


def _managers(snapshot: Snapshot, wanted: int) -> str:
    """Which managers or nodes are missing; pure."""
    nodes = snapshot.nodes.values()
    voters = [node for node in nodes if node.is_voter]
    away = [one_line(node.name) for node in voters if not (node.is_ready and node.is_reachable)]
    if len(voters) < wanted:
        return f"The Swarm has {len(voters)} of its {wanted} managers."
    if away:
        return f"Managers that are not up: {listed(away)}."
    down = [one_line(node.name) for node in nodes if not node.is_ready]
    return f"Nodes that are not up: {listed(down)}." if down else ""


@dataclass(frozen=True, kw_only=True)
class CheckUcp(Check):
    """UCP is healthy on every manager before DTR is touched, which logs people in through it."""

    skippable: bool = True

    @property
    def shown(self) -> tuple[Shown, ...]:
        line = wait_line("curl -fsk -o /dev/null https://localhost/_ping", self.seconds)
        words = f"wait for UCP on {self.seed.name}, at most {self.seconds} s"
        return (Shown(line, self.seed.ssh.destination, self.seed.ssh.port, words=words),)

    @property
    def advice(self) -> str:
        return "Look there: docker ps -a --filter name=ucp-, docker logs ucp-reconcile. Then retry: it waits on."

    async def missing(self, session: Session) -> str:
        found = await look_at_ucp(session)
        return "" if found.well else found.told

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await Check.verify(self, session, before, voice)
        found = await look_at_ucp(session)
        voice.say(f"{found.told} {_compared(found)}")


def _compared(found: UcpLook) -> str:
    if found.uncompared:
        return f"Accounts were not compared: {found.uncompared}."
    return found.lacks or "It has the accounts of its newest backup."


@dataclass(frozen=True, kw_only=True)
class CheckDtr(Check):
    """DTR answers, with as many replicas as it had.

    Attributes:
        nodes: names of those that had one.
        target: the cluster, as commands name it.
    """

    target: str
    nodes: tuple[str, ...]
    skippable: bool = True

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(shlex.join(["swarmtui", "status", self.target]), here=True),)

    @property
    def advice(self) -> str:
        return (
            "Look at it: swarmtui doctor. Replicas that are missing are joined: swarmtui run dtr.join node=NODE. Then "
            "retry; or skip this with the reason."
        )

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)
        # Without a password its API is not asked, and it would be waited for in vain.
        await dtr_look.look_at_dtr(session, ask=True)
        await Check.run(self, session, before, voice)

    async def missing(self, session: Session) -> str:
        found = await dtr_look.look_at_dtr(session)
        if not found.well:
            return found.told
        away = [one_line(node) for node in self.nodes if node not in found.healthy]
        return f"Replicas of DTR that are not there: on {listed(away)}." if away else ""

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await Check.verify(self, session, before, voice)
        voice.say((await dtr_look.look_at_dtr(session)).told)
