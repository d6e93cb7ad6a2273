"""The steps that take UCP off a Swarm: the image's own command, and then what it left (ucp-dtr.md §1.7)."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from swarmtui.errors import SwarmtuiError
from swarmtui.model.services import Service
from swarmtui.model.text import one_line
from swarmtui.model.ucp import facts, logs, status
from swarmtui.model.ucp.facts import Version
from swarmtui.runbooks.image.job import ClearJob, ImageJob, ask_image, run_image
from swarmtui.runbooks.runbook import ConflictError, Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp import places
from swarmtui.runbooks.ucp.image import Command
from swarmtui.runbooks.ucp.places import Place
from swarmtui.session import Session

SECONDS = 1800.0
"""How long the command is waited for: it works on every node; MKE gives its agents two minutes."""
NO_JOIN = "no node can join, and no node's certificate can be renewed, until UCP is installed or restored again"


def uninstall_steps(
    version: Version, instance: str, manager: Place, nodes: tuple[Place, ...], job_id: str, *, selinux: bool = False
) -> tuple[Step, ...]:
    """The steps that take UCP off a Swarm, and leave nothing of it on any node; `ucp.restore` begins with them too.

    Args:
        instance: the id of UCP, which the command wants as a confirmation.
        manager: where the command is run.
        nodes: those that answer; each is looked at for what was left.
        job_id: from `jobs.new_id`.
    """
    command = Command(version=version, name="uninstall-ucp", options=(("id", instance),), selinux=selinux)
    after = f"UCP is taken off the Swarm, or partly: {NO_JOIN}. Services and their tasks go on."
    return (
        Uninstall(
            id="uninstall",
            title=f"Take UCP off the Swarm, from {manager.name}",
            why="It removes UCP from every node. The Swarm, its services and its data stay.",
            danger=Danger.DESTRUCTIVE,
            at=manager.at,
            command=command,
            job_id=job_id,
            instance=instance,
            if_stopped="UCP is still there, as it was.",
        ),
        ClearServices(
            id="clear-services",
            title="Remove the services that UCP left",
            why="Where its removal took too long, its helpers stay as services, and would go on removing.",
            danger=Danger.DESTRUCTIVE,
            if_stopped=after,
        ),
        ClearHosts(
            id="clear-hosts",
            title="Remove what UCP left on any node",
            why="A restore or a new install is refused, or fails, while parts of the old one are there.",
            danger=Danger.DESTRUCTIVE,
            skippable=True,
            nodes=nodes,
        ),
        ClearJob(
            id="clear-uninstall",
            title=f"Clean up on {manager.name}",
            why="The job's log and scripts are of no use any more.",
            at=manager.at,
            job_id=job_id,
        ),
    )


async def ucp_services(session: Session) -> list[Service]:
    """UCP's services as the Swarm lists them now: its agents, and what it removes itself with. Raises LinkError."""
    snapshot = await session.refresh()
    ours = [one for one in snapshot.services.values() if one.name in facts.UNINSTALL_SERVICES]
    return sorted((*status.agents(snapshot), *ours), key=lambda one: one.name)


@dataclass(frozen=True, kw_only=True)
class Uninstall(Step):
    """Runs `uninstall-ucp` on a manager, as a job that survives us.

    Attributes:
        at: the manager's host.
        instance: UCP's id as the plan knows it.
    """

    at: Where
    command: Command
    job_id: str
    instance: str

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.command.shown(self.at),)

    async def already_done(self, session: Session, before: Facts) -> str:
        if (await ImageJob(self.at, self.command, self.job_id).state(session)).alive:
            return ""
        if await ucp_services(session):
            return ""
        there = await places.look(session, self.at)
        runs = [part.name for part in there.parts if part.runs]
        return "" if runs else "UCP is not on the Swarm any more."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        work = ImageJob(self.at, self.command, self.job_id)
        state = await work.state(session)
        if not state.alive:
            await work.over(session, state, voice)
            await self._same(session)
        result = await run_image(session, self.at, self.command, {}, voice, job_id=self.job_id, seconds=SECONDS)
        if not result.ok and not await ucp_services(session):
            voice.say(f"It says that it failed ({logs.why_failed(result.lines)}); what is there is looked at now.")
            return
        if not result.ok:
            await work.end_of(session)
        result.must(self.command, self.at, f"Look at {facts.CONTAINER}'s last words above, then retry. Now {NO_JOIN}.")

    async def _same(self, session: Session) -> None:
        """Raises ConflictError where another UCP is there than the plan was made for."""
        command = Command(version=self.command.version, name="id", selinux=self.command.selinux)
        answer = await ask_image(session, self.at, command)
        now = one_line(answer.out.strip().splitlines()[-1]) if answer.out.strip() else ""
        # Of one that is broken, the command may tell nothing: then the id of the plan is what counts.
        if answer.ok and now and now != self.instance:
            raise ConflictError(
                f"The UCP on {self.at.name} is {now}, and the plan was made for {self.instance}.", "Make a new plan."
            )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        agents = [one.name for one in await ucp_services(session) if one.name not in facts.UNINSTALL_SERVICES]
        if agents:
            raise StepError(
                f"UCP is still on the Swarm: {', '.join(map(one_line, agents))}.",
                "Look at what the command said, then retry.",
            )
        voice.say(f"UCP's services are gone. From now on {NO_JOIN}.")


@dataclass(frozen=True, kw_only=True)
class ClearServices(Step):
    """Removes UCP's services where the command left some."""

    @property
    def shown(self) -> tuple[Shown, ...]:
        known = "|".join((*facts.AGENT_SERVICES, *facts.UNINSTALL_SERVICES))
        return (Shown(f"docker service ls --format '{{{{.Name}}}}' | grep -Ex '{known}' | xargs -r docker service rm"),)

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await ucp_services(session) else "There are none."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        for service in await ucp_services(session):
            await session.delete(f"/services/{service.id}")
            voice.say(f"The service {one_line(service.name)} is removed.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if left := await ucp_services(session):
            raise StepError(f"Still there: {', '.join(one_line(one.name) for one in left)}.", "Retry.")


@dataclass(frozen=True, kw_only=True)
class ClearHosts(Step):
    """Removes containers and volumes of UCP's from the hosts on which there are any."""

    nodes: tuple[Place, ...]

    @property
    def shown(self) -> tuple[Shown, ...]:
        volumes = shlex.quote("|".join(name for name in facts.VOLUMES if name != facts.CERTS_VOLUME))
        found: list[Shown] = []
        for node in self.nodes:
            ps = node.at.root("docker ps -a --filter name=^ucp- --format '{{.Names}} {{.Image}}'")
            ls = node.at.root("docker volume ls -q --filter name=ucp-")
            ours = "grep -E ' (docker|mirantis)/ucp' | cut -d' ' -f1"
            lines = (
                f"{ps} | {ours} | xargs -r {node.at.root('docker rm -f')}",
                f"{ls} | grep -Ex {volumes} | xargs -r {node.at.root('docker volume rm')}",
            )
            found += [Shown(line, node.at.host, node.at.port) for line in lines]
        return tuple(found)

    async def _left(self, session: Session) -> list[tuple[Place, places.OnHost]]:
        """Nodes with something of UCP on them. Raises StepError where one of them does not tell."""
        found, silent = await look_at_all(session, self.nodes)
        if silent:
            names = {node.id: node.name for node in self.nodes}
            told = "; ".join(f"{names[node_id]}: {why}" for node_id, why in silent.items())
            raise StepError(
                f"Not every node tells what UCP left on it: {told}",
                "Mend that and retry, or skip this step and clean them later: swarmtui run ucp.uninstall",
            )
        return [(node, found[node.id]) for node in self.nodes if not found[node.id].empty]

    async def already_done(self, session: Session, before: Facts) -> str:
        left = await self._left(session)
        return "" if left else f"Nothing of UCP is on these {len(self.nodes)} nodes."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        for node, there in await self._left(session):
            for name in there.others:
                voice.say(f"{name} on {node.name} is none of UCP's containers, and stays.")
            voice.say(f"On {node.name} there are {there.words}.")
            await places.remove(session, node.at, there)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if left := await self._left(session):
            raise StepError(
                f"Still there: {'; '.join(f'{there.words} on {node.name}' for node, there in left)}.", "Retry."
            )


async def look_at_all(session: Session, nodes: tuple[Place, ...]) -> tuple[dict[str, places.OnHost], dict[str, str]]:
    """What of UCP is on each node, by its id; and why a node could not be asked. Never fails."""
    from swarmtui.link.together import together

    async def one(node: Place) -> tuple[str, places.OnHost | None, str]:
        try:
            return node.id, await places.look(session, node.at), ""
        except SwarmtuiError as error:
            return node.id, None, error.what

    answers = await together(*(one(node) for node in nodes))
    found = {node_id: there for node_id, there, _ in answers if there is not None}
    return found, {node_id: why for node_id, there, why in answers if there is None}
