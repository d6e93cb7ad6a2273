"""The steps that take a host out of what it believes to be in, and make it join anew (swarm-dr.md §4, §6)."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from dataclasses import dataclass

from msgspec.structs import replace

from swarmtui.model.swarm import Node, Role
from swarmtui.runbooks.node_steps import UpdateNode, entry, spec_command
from swarmtui.runbooks.node_waits import WaitStep
from swarmtui.runbooks.runbook import ConflictError, Danger, Facts, Shown, StepError, Voice
from swarmtui.runbooks.swarm.building.joining import JoinRequest
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, swarm_state
from swarmtui.runbooks.swarm.rejoining.rejoin_steps import PAUSE_SECONDS, OnHost, is_back
from swarmtui.session import Session

LEAVE_SECONDS = 90.0
LISTEN = "0.0.0.0:2377"
JOIN_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class LeaveByForce(OnHost):
    """Takes the host out of whatever Swarm it believes to be in; its containers of the Swarm stop.

    The engine itself wipes its Swarm folder then: keys, certificates and, of a manager, its copy of the raft.

    Attributes:
        believed: id of the node that the host took itself for when the plan was made; "" where it did not tell.
    """

    believed: str = ""
    danger: Danger = Danger.DESTRUCTIVE

    @property
    def _line(self) -> str:
        return self.at.root("docker swarm leave --force")

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.there(self._line),)

    async def before(self, session: Session) -> Facts:
        host = await self.at.reach(session)
        return {"node": (await swarm_state(host, self.at)).node_id}

    async def already_done(self, session: Session, before: Facts) -> str:
        host = await self.at.reach(session)
        state = await swarm_state(host, self.at)
        if state.local_node_state in ("inactive", ""):
            return f"The Docker of {self.name} is in no Swarm."
        if state.node_id and before["node"] and state.node_id != before["node"]:
            return f"{self.name} has left, and joined again as {state.node_id}."
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        host = await self.at.reach(session)
        now = (await swarm_state(host, self.at)).node_id
        if self.believed and now and now != self.believed:
            raise ConflictError(
                f"{self.name} is node {now} by now, and the plan was made when it was {self.believed}.",
                "Nothing was changed there. Make a new plan: it recognises what the host is now.",
            )
        completed = await host.run(self._line, timeout=LEAVE_SECONDS)
        if completed.code != 0 and "not part of a swarm" not in completed.err:
            raise StepError(
                f"`docker swarm leave --force` failed on {self.name}: {completed.words}.",
                "Mend that, then retry.",
            )
        voice.say(completed.out.strip() or "Left the Swarm.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"{self.name} still is in a Swarm.", "Retry.")


@dataclass(frozen=True, kw_only=True)
class JoinAgain(OnHost):
    """Makes the host join, through its own engine's API: the token travels in a request's body and in no argv.

    Attributes:
        role: worker or manager.
        remotes: "address:2377" of managers that are reachable.
        advertise: its own address as the others shall see it; "" lets its engine choose.
        old: ids that it had or that others have: what it must not come back as.
    """

    role: str
    remotes: tuple[str, ...]
    availability: str
    advertise: str = ""
    old: tuple[str, ...] = ()
    danger: Danger = Danger.DISRUPTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        # read and printf are builtins of the shell: the token is in nobody's argv here either.
        body = json.dumps(self._request.body("%s"), separators=(",", ":"))
        post = self.at.root(
            "curl -sSf --unix-socket /var/run/docker.sock -H 'Content-Type: application/json' --data-binary @- "
            "http://docker/swarm/join"
        )
        token = Shown(f"docker swarm join-token -q {self.role}")
        line = f'read -r token; printf {shlex.quote(body)} "$token" | {post}'
        return (Shown(line, self.at.host, self.at.port, feed=token),)

    @property
    def _request(self) -> JoinRequest:
        return JoinRequest(
            role=self.role,
            remotes=self.remotes,
            advertise=self.advertise,
            listen=LISTEN,
            availability=self.availability,
        )

    async def already_done(self, session: Session, before: Facts) -> str:
        host = await self.at.reach(session)
        state = await swarm_state(host, self.at)
        node_id = state.node_id
        if state.local_node_state != "active" or node_id in ("", *self.old):
            return ""
        node = await entry(session, node_id)
        return f"{self.name} is in the Swarm as {node_id}." if node is not None else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self._request.send(session, self.at.ssh, self.name, voice)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        end = time.monotonic() + JOIN_SECONDS
        while not (done := await self.already_done(session, before)):
            if time.monotonic() > end:
                raise StepError(
                    f"{self.name} did not get into the Swarm within {JOIN_SECONDS:g} s.",
                    "Can it reach the managers on 2377/tcp and 7946? Its log tells: journalctl -u docker -n 50.",
                )
            await asyncio.sleep(PAUSE_SECONDS)
        voice.say(done)


@dataclass(frozen=True, kw_only=True)
class Restore(OnHost):
    """Gives the node that joined what the old entry had: its labels, its annotation and its availability.

    Attributes:
        as_it_was: the old entry.
    """

    as_it_was: Node

    @property
    def shown(self) -> tuple[Shown, ...]:
        old = self.as_it_was.spec
        return (Shown(self.anew(spec_command("NODE", replace(old, labels={}, availability=""), old))),)

    async def before(self, session: Session) -> Facts:
        return {"node": await new_node(session, self.at, self.name)}

    async def _update(self, session: Session, before: Facts) -> UpdateNode:
        node, _ = await session.node(before["node"])
        old = self.as_it_was.spec
        labels = {**(node.spec.labels or {}), **(old.labels or {})}
        return UpdateNode(
            id=self.id,
            title=self.title,
            why=self.why,
            node_id=node.id,
            name=self.name,
            expected=node.spec,
            wanted=replace(node.spec, labels=labels, availability=old.availability),
        )

    async def already_done(self, session: Session, before: Facts) -> str:
        update = await self._update(session, before)
        same = update.wanted == replace(update.expected, labels=dict(update.expected.labels or {}))
        return f"{self.name} has its labels and availability." if same else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await (await self._update(session, before)).run(session, before, voice)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"{self.name} has not all of its labels, or another availability.", "Retry.")


@dataclass(frozen=True, kw_only=True)
class WaitIn(OnHost, WaitStep):
    """Waits until the node that joined is ready, and reachable as a manager; then looks that it is there only once.

    Attributes:
        role: worker or manager.
        twins: ids of other entries of its hostname that the plan named.
    """

    role: str
    twins: tuple[str, ...] = ()

    @property
    def condition(self) -> str:
        return self.anew(is_back("NODE", manager=self.role == Role.MANAGER))

    async def before(self, session: Session) -> Facts:
        return {"node": await new_node(session, self.at, self.name)}

    async def missing(self, session: Session, before: Facts) -> tuple[str, int]:
        return await self.not_back(session, before["node"], manager=self.role == Role.MANAGER)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await super().verify(session, before, voice)
        snapshot = await session.refresh()
        node = snapshot.nodes.get(before["node"])
        if node is None:
            raise StepError(f"{self.name} is no entry of the Swarm any more.", "Look at the nodes: swarmtui status")
        others = [n for n in snapshot.nodes.values() if n.hostname == node.hostname and n.id != node.id]
        if stale := [n.id for n in others if n.id not in self.twins]:
            raise StepError(
                f"{self.name} is there more than once: {', '.join(stale)} has its name too.",
                "Remove what is stale, by its id: swarmtui run node.remove node=ID",
            )
        voice.say(f"{self.name} is {node.status.state} as {node.id}, once.")


async def new_node(session: Session, at: Where, name: str) -> str:
    """Id of the node that a host is now, which must be an entry of this Swarm.

    Raises:
        StepError: it is none.
    """
    state = await swarm_state(await at.reach(session), at)
    if not state.node_id or await entry(session, state.node_id) is None:
        raise StepError(f"{name} is no node of this Swarm yet.", "Let it join first: resume or retry the run.")
    return state.node_id
