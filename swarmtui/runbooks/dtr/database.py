"""The database of a replica, which an offline backup stops: that it runs again is seen, and brought about (T5).

Whether the command starts it again where it fails in the middle is not documented (ucp-dtr.md §2.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from swarmtui.model.dtr import facts
from swarmtui.model.text import one_line
from swarmtui.runbooks.dtr.hosts import DATABASE
from swarmtui.runbooks.dtr.waits import WaitReplica
from swarmtui.runbooks.image import host as engine
from swarmtui.runbooks.runbook import Danger, Facts, Shown, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session


async def start_again(session: Session, at: Where, replica_id: str) -> str:
    """Starts the database of a replica where it stands still; a sentence, "" where it runs or is not there.

    Args:
        at: the replica's host.

    Raises:
        LinkError, EngineError: its Docker cannot be asked, or does not do it.
    """
    name = facts.container(DATABASE, replica_id)
    held = await engine.holder(session, at, name)
    if held is None or held.runs:
        return ""
    await (await session.engine_of(at.ssh)).post(f"/containers/{name}/start")
    return f"{name} on {one_line(at.name)} stood still ({held.status or 'not started'}), and was started."


@dataclass(frozen=True, kw_only=True)
class BackAgain(WaitReplica):
    """Waits until a replica is well whose database was stopped; starts it first, where nobody did."""

    danger: Danger = field(default=Danger.SAFE)

    @property
    def shown(self) -> tuple[Shown, ...]:
        start = self.at.root(f"docker start {facts.container(DATABASE, self.replica_id)}")
        return (Shown(start, self.at.host, self.at.port), *super().shown)

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        if told := await start_again(session, self.at, self.replica_id):
            voice.say(told)
        await super().run(session, before, voice)
