"""What the steps that build a Swarm have in common: the manager it grows from, and a host reached over SSH."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.target import SshTarget
from swarmtui.model.swarm import Info, Node
from swarmtui.runbooks.node_steps import entry
from swarmtui.runbooks.runbook import ConflictError, Facts, Shown, Step
from swarmtui.runbooks.swarm.building.build_spec import HostSpec
from swarmtui.runbooks.swarm.building.preflight import shown_on
from swarmtui.session import SETTLE_SECONDS, Session

POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Seed:
    """The manager from which the Swarm grows.

    Attributes:
        target: its SSH target, as text.
        remote: "IP:PORT" that joining hosts dial.
        cluster_id: the Swarm it is in already; "" where it is to make one.
        sudo: whether docker on hosts needs `sudo -n`.
        addresses: hostname → SSH target of all hosts, for when another manager has to take over.
    """

    target: str
    name: str
    remote: str
    cluster_id: str = ""
    sudo: bool = False
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def ssh(self) -> SshTarget:
        return HostSpec(self.target).target

    def docker(self, command: str) -> Shown:
        """A docker command on it."""
        return shown_on(self.ssh, f"{'sudo -n ' if self.sudo else ''}docker {command}")

    async def lead(self, session: Session) -> None:
        """Makes sure that the session is live, and in the right Swarm. Raises LinkError or ConflictError."""
        session.begin(self.ssh, self.addresses)
        await session.until_live(SETTLE_SECONDS)
        if self.cluster_id and not session.snapshot.cluster_id:
            await self._told(session)
        now = session.snapshot.cluster_id
        if self.cluster_id and now != self.cluster_id:
            raise ConflictError(
                f"{self.name} is in Swarm {now[:12]} now, and the plan was made for {self.cluster_id[:12]}.",
                "Find out who did that, then make a new plan.",
            )

    async def _told(self, session: Session) -> None:
        """Waits until the manager says which Swarm it is in: one without a leader does not. Raises LinkError."""
        end = time.monotonic() + SETTLE_SECONDS
        while not session.snapshot.cluster_id:
            if time.monotonic() >= end:
                raise LinkError(Reason.NO_LEADER, self.name)
            await asyncio.sleep(POLL_SECONDS)
            await session.until_live(SETTLE_SECONDS)


@dataclass(frozen=True, kw_only=True)
class BuildStep(Step):
    """A step about one host.

    Attributes:
        target: its SSH target, as text; name: its hostname.
    """

    seed: Seed
    target: str
    name: str

    @property
    def ssh(self) -> SshTarget:
        return HostSpec(self.target).target

    async def info(self, session: Session) -> Info:
        """What the host's own engine says. Raises LinkError or EngineError."""
        return await (await session.engine_of(self.ssh)).info()

    async def node(self, session: Session) -> Node | None:
        """Its entry in the Swarm, by the id that its own engine has; None where there is none."""
        node_id = (await self.info(session)).swarm.node_id
        if not node_id:
            return None
        await self.seed.lead(session)
        return await entry(session, node_id)

    async def before(self, session: Session) -> Facts:
        swarm = (await self.info(session)).swarm
        return {"state": swarm.local_node_state, "node": swarm.node_id}
