"""The steps that mend a restored manager's address in raft: over a bridge, by a second manager (swarm-dr.md §3)."""

from __future__ import annotations

import asyncio
import dataclasses
import shlex
import time
from dataclasses import dataclass

from msgspec.structs import replace

from swarmtui.errors import EngineError
from swarmtui.link.reasons import LinkError
from swarmtui.model.swarm import Node, Role, host_of
from swarmtui.model.text import one_line
from swarmtui.runbooks.node_steps import UpdateNode, entry
from swarmtui.runbooks.node_waits import waited, waiting
from swarmtui.runbooks.runbook import Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.building.build_base import Seed
from swarmtui.runbooks.swarm.building.build_steps import JoinHost
from swarmtui.runbooks.swarm.recovery.restore_bridge import Bridge
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, swarm_state
from swarmtui.session import Session

POLL_SECONDS = 0.5
STILL_SECONDS = 6.0
"""How long everything must stay reachable without the bridge: a manager that is not heard of shows within this time."""


@dataclass(frozen=True, kw_only=True)
class BridgeStep(Step):
    """A step that stands on the bridge, or is about it."""

    seed: Seed
    bridge: Bridge

    async def before(self, session: Session) -> Facts:
        return {}


@dataclass(frozen=True, kw_only=True)
class PutBridge(BridgeStep):
    """Lets the old address lead to the restored host."""

    @property
    def shown(self) -> tuple[Shown, ...]:
        return self.bridge.shown

    @property
    def undo(self) -> tuple[Shown, ...]:
        return self.bridge.undo

    async def already_done(self, session: Session, before: Facts) -> str:
        missing = await self.bridge.missing(session)
        return "" if missing or not self.bridge.hosts else f"It is there: {self.bridge.words}."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        for name in await self.bridge.hold(session):
            voice.say(f"Laid on {name}. A reboot of {name} takes it away; a resumed run puts it back.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if missing := await self.bridge.missing(session):
            raise StepError(f"It is not there on {', '.join(at.name for at in missing)}.", "Retry.")
        voice.say(f"{host_of(self.bridge.old)} leads to {self.bridge.at.name}.")


@dataclass(frozen=True, kw_only=True)
class JoinSecond(JoinHost):
    """Joins the second manager. From then on the quorum rests on the bridge, so that is proved first."""

    bridge: Bridge
    dialer: Where

    async def before(self, session: Session) -> Facts:
        await self.bridge.hold(session)
        return await super().before(session)

    async def already_done(self, session: Session, before: Facts) -> str:
        # Without the bridge there may be no quorum to ask.
        await self.bridge.hold(session)
        return await super().already_done(session, before)

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.bridge.prove(session, self.dialer)
        await super().run(session, before, voice)


@dataclass(frozen=True, kw_only=True)
class RoleStep(BridgeStep):
    """Makes a node a manager or a worker, through the managers there are.

    Attributes:
        node_id: its id; name: its hostname; at: its host.
        asked: the manager where the command is shown to be typed.
        seconds: when it gives up waiting.
    """

    node_id: str
    name: str
    at: Where
    asked: Where
    seconds: int = 120

    async def _node(self, session: Session) -> Node:
        await self.bridge.hold(session)
        self._begin(session)
        await self.seed.lead(session)
        node = await entry(session, self.node_id)
        if node is None:
            raise StepError(
                f"{self.name} is no entry of the Swarm any more.", "Somebody removed it: look at swarmtui status."
            )
        return node

    def _begin(self, session: Session) -> None:
        """Where a run is resumed, the one that was restored may be a worker: the other one is asked as well."""
        session.begin(self.seed.ssh, self.seed.addresses)
        both = dict.fromkeys((*session.opening.targets, self.at.ssh, self.asked.ssh))
        session.opening = dataclasses.replace(session.opening, targets=tuple(both))

    async def _give(self, session: Session, node: Node, role: str, voice: Voice) -> None:
        update = UpdateNode(
            id=self.id,
            title=self.title,
            why=self.why,
            node_id=node.id,
            name=self.name,
            expected=node.spec,
            wanted=replace(node.spec, role=role),
        )
        if node.spec.role != role:
            await update.run(session, {}, voice)

    async def _until(self, session: Session, voice: Voice) -> None:
        """Waits until nothing is missing. Raises StepError."""
        if missing := await waited(lambda: self._missing_now(session), self.seconds, voice, poll=POLL_SECONDS):
            raise StepError(
                f"{missing} This was waited for {self.seconds} seconds.",
                f"Look at {self.name}: docker info; journalctl -u docker -n 50. Then retry.",
            )

    async def _missing_now(self, session: Session) -> str:
        """The same; while the managers agree on a leader anew nobody can be asked, and that passes."""
        try:
            return await self._missing(session)
        except EngineError as error:
            return f"The Swarm gives no answer now: {error.what}"

    async def _missing(self, session: Session) -> str:
        """What is still missing, one sentence; "" when nothing is."""
        raise NotImplementedError

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await self._missing(session) else self._done

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if missing := await self._missing(session):
            raise StepError(missing, "It was so a moment ago: look at the cluster, then retry.")
        voice.say(self._done)

    @property
    def _done(self) -> str:
        raise NotImplementedError

    def _asking(self, line: str) -> Shown:
        return Shown(self.asked.root(f"docker {line}"), self.asked.host, self.asked.port)


@dataclass(frozen=True, kw_only=True)
class StepDown(RoleStep):
    """Makes a manager a worker, and waits until it is out of the raft and its own engine knows: one that is promoted
    earlier keeps what it had.

    Attributes:
        new: "IP:PORT": with that address in raft there is nothing to do any more; "" for one that shall be a worker.
    """

    new: str = ""
    danger: Danger = Danger.DISRUPTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        question = self.at.root("docker info -f '{{.Swarm.ControlAvailable}}'")
        condition = f'[ "$({question})" = false ]'
        wait = waiting(f"Wait until {self.name} is a worker", condition, self.seconds)
        return (
            self._asking(f"node demote {shlex.quote(self.node_id)}"),
            Shown(wait.line, self.at.host, self.at.port, words=wait.words),
        )

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (self._asking(f"node promote {shlex.quote(self.node_id)}"),)

    async def _missing(self, session: Session) -> str:
        node = await self._node(session)
        if self.new and _has(node, self.new):
            return ""
        if node.is_voter:
            return f"{self.name} is still a member of the raft."
        state = await swarm_state(await self.at.reach(session), self.at)
        if state.local_node_state == "error":
            raise StepError(
                f"{self.name} cannot become a worker: {one_line(state.error) or 'it does not say why'}.",
                "Restart its Docker (systemctl restart docker), then retry.",
            )
        if state.control_available or state.local_node_state != "active":
            return f"{self.name} does not yet know that it is a worker."
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        node = await self._node(session)
        if node.is_voter:
            others = [n for n in (await session.refresh()).nodes.values() if n.is_reachable and n.id != node.id]
            if not others:
                raise StepError(
                    f"{self.name} is the only manager that is reachable: without it there would be none.",
                    "Let another manager join first, or wait until it is reachable; then retry.",
                )
        await self._give(session, node, Role.WORKER, voice)
        await self._until(session, voice)

    @property
    def _done(self) -> str:
        return (
            f"{self.name} is out of the raft, or has its new address there."
            if self.new
            else f"{self.name} is a worker."
        )


@dataclass(frozen=True, kw_only=True)
class StepUp(RoleStep):
    """Makes a node a manager, and waits until it is reachable.

    Attributes:
        new: "IP:PORT": the address that it must have in raft then; "" for any.
    """

    new: str = ""
    danger: Danger = Danger.DISRUPTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        told, wanted = ("{{.Addr}} {{.Reachability}}", f"{self.new} reachable") if self.new else (
            "{{.Reachability}}", "reachable",
        )  # fmt: skip
        question = f"docker node inspect -f '{{{{with .ManagerStatus}}}}{told}{{{{end}}}}' {shlex.quote(self.node_id)}"
        condition = f'[ "$({self.asked.root(question)})" = {shlex.quote(wanted)} ]'
        wait = waiting(f"Wait until {self.name} is reachable", condition, self.seconds)
        return (
            self._asking(f"node promote {shlex.quote(self.node_id)}"),
            Shown(wait.line, self.asked.host, self.asked.port, words=wait.words),
        )

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (self._asking(f"node demote {shlex.quote(self.node_id)}"),)

    async def _missing(self, session: Session) -> str:
        node = await self._node(session)
        if not node.is_reachable:
            return f"{self.name} is not yet a reachable manager."
        if self.new and not _has(node, self.new):
            return f"{self.name} still has {one_line(_addr(node))} in raft, not {self.new}."
        return "" if node.is_ready else f"{self.name} is {node.status.state}, not yet ready."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        node = await self._node(session)
        if not self.new:
            await self.bridge.prove(session, self.at)
        await self._give(session, node, Role.MANAGER, voice)
        await self._until(session, voice)

    @property
    def _done(self) -> str:
        return f"{self.name} is a reachable manager" + (f", and {self.new} in raft." if self.new else ".")


@dataclass(frozen=True, kw_only=True)
class DropBridge(BridgeStep):
    """Takes the bridge away, and looks that everything stays reachable without it.

    Attributes:
        node_id: the restored manager; name: its hostname.
    """

    node_id: str
    name: str
    skippable: bool = True

    @property
    def shown(self) -> tuple[Shown, ...]:
        return self.bridge.undo

    @property
    def undo(self) -> tuple[Shown, ...]:
        return self.bridge.shown

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await self.bridge.anywhere(session) else f"{host_of(self.bridge.old)} leads nowhere any more."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)
        node = await entry(session, self.node_id)
        if node is None or not _has(node, self.bridge.new):
            raise StepError(
                f"The others still know {self.name} at {self.bridge.old}: without that the quorum would be lost.",
                "Nothing was taken away. Demote and promote it from another manager first; then retry.",
            )
        for name in await self.bridge.drop(session):
            voice.say(f"Taken away from {name}.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        end = time.monotonic() + STILL_SECONDS
        while time.monotonic() < end:
            await self._look(session)
            await asyncio.sleep(POLL_SECONDS)
        voice.say("All managers are reachable without it.")

    async def _look(self, session: Session) -> None:
        """Raises StepError where something rested on the bridge."""
        again = (
            f"Put it back ({'; '.join(shown.as_sh for shown in self.bridge.shown)}), and find out who still uses it."
        )
        if not await self.already_done(session, {}):
            raise StepError("It is still there.", "Retry.")
        try:
            await self.seed.lead(session)
            voters = [node for node in (await session.refresh()).nodes.values() if node.is_voter]
        except LinkError as error:
            raise StepError(f"Without it the Swarm does not answer: {error.what}", again) from error
        if gone := [node.name for node in voters if not node.is_reachable]:
            raise StepError(f"Without it {', '.join(gone)} is not reachable any more.", again)


def _addr(node: Node) -> str:
    return node.manager_status.addr if node.manager_status is not None else ""


def _has(node: Node, address: str) -> bool:
    """Whether a node is a member of the raft at this address."""
    return _addr(node) == address
