"""The step that makes a replica: `install` makes the first, `join` the others (ucp-dtr.md §2.4)."""

from __future__ import annotations

from dataclasses import dataclass

from swarmtui.errors import SwarmtuiError
from swarmtui.model.dtr import facts
from swarmtui.model.text import one_line
from swarmtui.runbooks.dtr.commanding import Work
from swarmtui.runbooks.dtr.hosts import ReplicaOnHost, look, on
from swarmtui.runbooks.dtr.new_node import NewNode
from swarmtui.runbooks.dtr.running import RunDtr
from swarmtui.runbooks.dtr.waits import WaitBalancer, WaitReplica, ping_there
from swarmtui.runbooks.runbook import StepError
from swarmtui.runbooks.ucp.places import Place
from swarmtui.session import Session


def wait_replica(node: NewNode, replica_id: str, https: int, *, if_stopped: str) -> WaitReplica:
    """The step that waits until the new replica is well by itself."""
    return WaitReplica(
        id="well",
        title=f"Wait until the replica on {node.name} is well",
        why="Its components start one after another; its own web server says when they are ready.",
        node_id=node.place.id,
        name=node.name,
        at=node.place.at,
        replica_id=replica_id,
        https=https,
        if_stopped=if_stopped,
    )


def wait_balancer(
    work: Work, node: NewNode, replica_id: str, https: int, url: str, *, title: str, why: str, if_stopped: str = ""
) -> WaitBalancer:
    """The step that sees whether the load balancer leads to the new replica."""
    return WaitBalancer(
        id="balancer",
        title=title,
        why=why,
        at=work.at,
        url=url,
        replica_id=replica_id,
        name=node.name,
        address=node.place.address,
        https=https,
        if_stopped=if_stopped,
    )


@dataclass(frozen=True, kw_only=True)
class CreateReplica(RunDtr):
    """Runs the command, and finds the replica on its node. Its id is given to it, so that it is known beforehand.

    Attributes:
        node: where it is put. https: its port there.
    """

    node: Place
    replica_id: str
    https: int = facts.HTTPS_PORT

    async def _there(self, session: Session) -> ReplicaOnHost | None:
        held = await look(session, self.node.at)
        return next((one for one in on(self.node, held) if one.id == self.replica_id), None)

    async def made(self, session: Session) -> str:
        there = await self._there(session)
        if there is None or not there.runs:
            return ""
        # Docker starts half a replica too, with its host: what runs is whole where the command said so, or the replica.
        if not await self._ended_well(session) and not (await self._ping(session)):
            return ""
        return f"Replica {self.replica_id} runs on {one_line(self.node.name)}."

    async def begun(self, session: Session) -> bool:
        there = await self._there(session)
        return there is not None and there.runs

    async def _ended_well(self, session: Session) -> bool:
        state = await self.work.state(session)
        return state.done and (await self.work.result(session)).ok

    async def _ping(self, session: Session) -> bool:
        try:
            return (await ping_there(session, self.node.at, self.https)).ok
        except SwarmtuiError:
            return False

    async def must_be_gone(self, session: Session) -> None:
        there = await self._there(session)
        if there is not None and there.data:
            raise StepError(
                f"`{self.command.name}` of {self.command.version.product} ended well, and not all runs of what it "
                f"made: there are {there.words}.",
                self._to_start,
            )

    @property
    def _to_start(self) -> str:
        """What to do about a replica that was made well, and does not run."""
        return (
            f"Start it on {one_line(self.node.name)}, and look why it does not stay up (docker ps -a --filter "
            f"name=dtr-; docker logs); then retry. It is made anew only after: swarmtui run dtr.destroy "
            f"replica={self.replica_id}"
        )

    async def left(self, session: Session) -> str:
        there = await self._there(session)
        if there is None:
            return "It left nothing. Mend that, then retry."
        if there.data and await self._ended_well(session):
            return f"There are {there.words}, and not all of it runs. {self._to_start}"
        return f"It left {there.words}. {await self.way_off(session)}"

    async def way_off(self, session: Session) -> str:
        """How what a failed try left is taken off."""
        return f"Take that off, then retry: swarmtui run dtr.destroy replica={self.replica_id}"
