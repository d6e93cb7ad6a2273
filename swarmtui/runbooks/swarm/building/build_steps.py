"""The steps that make hosts into a Swarm. Each works through the host's own engine, over SSH (procedures.md B2, B5).

Tokens travel in the bodies of requests, and the unlock key goes into the vault: neither is in an argv or a journal.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from swarmtui.model.swarm import Node
from swarmtui.model.text import one_line
from swarmtui.runbooks.node_steps import UpdateNode
from swarmtui.runbooks.node_waits import wait_line, waited
from swarmtui.runbooks.runbook import ConflictError, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.building.build_base import BuildStep, Seed
from swarmtui.runbooks.swarm.building.joining import JoinRequest
from swarmtui.runbooks.swarm.building.preflight import shown_on
from swarmtui.runbooks.swarm.cluster_steps import read_key, read_swarm
from swarmtui.runbooks.swarm.key_steps import KeepKey
from swarmtui.session import Session

POLL_SECONDS = 0.5
LOOK = "Look there: docker info; journalctl -u docker -n 50."


@dataclass(frozen=True, kw_only=True)
class InitSwarm(BuildStep):
    """Makes the first manager."""

    advertise: str
    listen: str
    autolock: bool = False
    drained: bool = False

    @property
    def shown(self) -> tuple[Shown, ...]:
        options = f"--advertise-addr {self.advertise} --listen-addr {self.listen}"
        options += " --autolock" if self.autolock else ""
        options += " --availability drain" if self.drained else ""
        # docker prints a join token here, and the unlock key.
        return (self.seed.docker(f"swarm init {options} >/dev/null"),)

    async def already_done(self, session: Session, before: Facts) -> str:
        info = await self.info(session)
        if info.swarm.local_node_state == "inactive":
            return ""
        if before["state"] != "inactive" or not info.swarm.control_available:
            raise ConflictError(
                f"{self.name} is in a Swarm already ({one_line(info.swarm.local_node_state)}).",
                "Make a new plan: it recognises what is there.",
            )
        # Ours: its answer was lost, or we were. It is a new Swarm of this one node, as it was asked for.
        await self.seed.lead(session)
        if len(session.snapshot.nodes) != 1:
            raise ConflictError(
                f"Somebody else made {self.name} part of another Swarm meanwhile.",
                "Find out who, then make a new plan.",
            )
        return f"{self.name} has made the Swarm {session.snapshot.cluster_id[:12]}."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        engine = await session.engine_of(self.ssh)
        await engine.post(
            "/swarm/init",
            json={
                "AdvertiseAddr": self.advertise,
                "ListenAddr": self.listen,
                "Availability": "drain" if self.drained else "active",
                "AutoLockManagers": self.autolock,
                "Spec": {"EncryptionConfig": {"AutoLockManagers": self.autolock}},
            },
        )
        await self.seed.lead(session)
        voice.say(f"Swarm {session.snapshot.cluster_id[:12]} is made.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)
        node = await self.node(session)
        if node is None or not node.is_leader:
            raise StepError(f"{self.name} has made a Swarm, but does not lead it.", "Retry when it does.")
        if (await read_swarm(session)).autolock != self.autolock:
            raise StepError(
                f"Autolock is not {'on' if self.autolock else 'off'} in the new Swarm.",
                "See: swarmtui run swarm.autolock",
            )


@dataclass(frozen=True, kw_only=True)
class KeepFirstKey(BuildStep):
    """Takes the unlock key of the new Swarm into the vault, before any other host joins.

    Attributes:
        durable: the plan was made with a vault that outlives this program.
    """

    durable: bool = False

    def keeping(self, session: Session) -> KeepKey:
        """The same step as for a Swarm that was there before: only now is its id known."""
        return KeepKey(
            id=self.id,
            title=self.title,
            why=self.why,
            cluster_id=self.seed.cluster_id or session.snapshot.cluster_id,
            cluster=self.name,
            durable=self.durable,
        )

    @property
    def shown(self) -> tuple[Shown, ...]:
        key = self.seed.docker("swarm unlock-key -q")
        cluster = self.seed.docker("info -f '{{.Swarm.Cluster.ID}}'")
        return (Shown(f'swarmtui secrets set unlock-key "$({cluster.as_sh})"', feed=key),)

    async def before(self, session: Session) -> Facts:
        await self.seed.lead(session)
        return await self.keeping(session).before(session)

    async def already_done(self, session: Session, before: Facts) -> str:
        await self.seed.lead(session)
        if await read_key(session) is None:
            return "Autolock is off: there is no key."
        return await self.keeping(session).already_done(session, before)

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.keeping(session).run(session, before, voice)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.keeping(session).verify(session, before, voice)


@dataclass(frozen=True, kw_only=True)
class JoinHost(BuildStep):
    """Makes a host join, and waits until the managers hear from it: the next one only comes after that.

    Attributes:
        drained: it joins drained, so that no task ever comes to it.
        seconds: when it gives up waiting.
    """

    role: str
    advertise: str
    listen: str
    drained: bool = False
    seconds: int = 120

    @property
    def shown(self) -> tuple[Shown, ...]:
        sudo = "sudo -n " if self.seed.sudo else ""
        options = f"--advertise-addr {self.advertise} --listen-addr {self.listen}"
        options += " --availability drain" if self.drained else ""
        line = f'read -r TOKEN && {sudo}docker swarm join --token "$TOKEN" {options} {self.seed.remote}'
        template = "{{with .ManagerStatus}}{{.Reachability}}{{end}}" if self.role == "manager" else "{{.Status.State}}"
        wanted = "reachable" if self.role == "manager" else "ready"
        condition = f"[ \"$({sudo}docker node inspect -f '{template}' {shlex.quote(self.name)})\" = {wanted} ]"
        return (
            shown_on(self.ssh, line, feed=self.seed.docker(f"swarm join-token -q {self.role}")),
            shown_on(self.seed.ssh, wait_line(condition, self.seconds)),
        )

    async def _missing(self, session: Session) -> str:
        """What it still takes until it counts, one sentence; "" when nothing.

        Raises:
            StepError: no waiting helps.
        """
        swarm = (await self.info(session)).swarm
        if swarm.local_node_state == "error":
            raise StepError(f"{self.name} cannot join: {one_line(swarm.error) or 'it does not say why'}.", LOOK)
        if swarm.local_node_state == "locked":
            raise StepError(f"{self.name} is locked.", "Unlock it: swarmtui run swarm.unlock; then retry.")
        if swarm.local_node_state != "active":
            return f"{self.name} is {one_line(swarm.local_node_state) or 'silent'}."
        node = await self.node(session)
        if node is None:
            ours = {known.address for known in session.snapshot.nodes.values()}
            dialled = {peer.addr.rpartition(":")[0].strip("[]") for peer in swarm.remote_managers or ()}
            if dialled and not dialled & ours:
                raise ConflictError(
                    f"{self.name} is in another Swarm: its managers are {', '.join(sorted(map(one_line, dialled)))}.",
                    "If it is of no use there: docker swarm leave on it. Then make a new plan.",
                )
            return f"{self.name} is not yet in the list of nodes."
        if self.role == "manager" and not node.is_reachable:
            return f"{self.name} is not yet a reachable manager."
        if not node.is_ready:
            return f"{self.name} is {node.status.state}, not yet ready."
        return ""

    async def already_done(self, session: Session, before: Facts) -> str:
        await self.seed.lead(session)
        if (await self.info(session)).swarm.local_node_state == "inactive":
            return ""
        return "" if await self._missing(session) else f"{self.name} is in the Swarm, as a {self.role}."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.seed.lead(session)
        await self._request.send(session, self.ssh, self.name, voice)
        if missing := await waited(lambda: self._missing(session), self.seconds, voice, poll=POLL_SECONDS):
            raise StepError(f"{missing} This was waited for {self.seconds} seconds.", LOOK)

    @property
    def _request(self) -> JoinRequest:
        return JoinRequest(
            role=self.role,
            remotes=(self.seed.remote,),
            advertise=self.advertise,
            listen=self.listen,
            availability="drain" if self.drained else "active",
        )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if missing := await self._missing(session):
            raise StepError(missing, "It was so a moment ago: look at the cluster, then retry.")
        node = await self.node(session)
        if node is not None and node.is_voter != (self.role == "manager"):
            raise StepError(f"{self.name} is in the Swarm, but not as a {self.role}.", "Promote or demote it.")
        voice.say(f"{self.name} is in the Swarm, as a {self.role}.")


@dataclass(frozen=True, kw_only=True)
class LabelHost(BuildStep):
    """Gives a node its labels, its zone among them; those it has besides stay."""

    labels: Mapping[str, str]

    @property
    def shown(self) -> tuple[Shown, ...]:
        added = " ".join(f"--label-add {shlex.quote(f'{key}={value}')}" for key, value in sorted(self.labels.items()))
        return (self.seed.docker(f"node update {added} {shlex.quote(self.name)} >/dev/null"),)

    async def _now(self, session: Session) -> Node:
        node = await self.node(session)
        if node is None:
            raise StepError(f"{self.name} is not in the Swarm.", "Let it join first: make a new plan.")
        return node

    async def before(self, session: Session) -> Facts:
        return {"labels": dict((await self._now(session)).labels)}

    async def already_done(self, session: Session, before: Facts) -> str:
        labels = (await self._now(session)).labels
        done = all(labels.get(key) == value for key, value in self.labels.items())
        return f"{self.name} already has these labels." if done else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        node = await self._now(session)
        wanted = replace(node.spec, labels={**node.labels, **self.labels})
        update = UpdateNode(
            id=self.id,
            title=self.title,
            why=self.why,
            node_id=node.id,
            name=self.name,
            expected=node.spec,
            wanted=wanted,
        )
        await update.run(session, before, voice)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"{self.name} was given labels, but does not have them.", "Somebody may have changed them.")
        voice.say(f"{self.name} has its labels.")


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One line of the list of nodes, as it shall be."""

    name: str
    role: str
    drained: bool | None
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ReadBack(Step):
    """Reads the list of nodes, and compares it with what was asked for."""

    seed: Seed
    expected: tuple[Expected, ...]

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.seed.docker("node ls"),)

    async def _wrong(self, session: Session) -> list[str]:
        await self.seed.lead(session)
        nodes = {
            node.hostname: node for node in (await session.refresh()).nodes.values() if node.status.state != "down"
        }
        wrong = []
        for host in self.expected:
            node = nodes.get(host.name)
            if node is None:
                wrong.append(f"{host.name} is missing")
                continue
            if node.is_voter != (host.role == "manager"):
                wrong.append(f"{host.name} is no {host.role}")
            elif host.role == "manager" and not node.is_reachable:
                wrong.append(f"{host.name} is not reachable")
            if host.drained is not None and (node.spec.availability == "drain") != host.drained:
                wrong.append(f"{host.name} is {node.spec.availability}")
            wrong += [
                f"{host.name} lacks {key}={value}"
                for key, value in host.labels.items()
                if node.labels.get(key) != value
            ]
        return wrong

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        nodes = (await self._listed(session)).values()
        for node in sorted(nodes, key=lambda node: (not node.is_voter, node.hostname)):
            role = "leader" if node.is_leader else "manager" if node.is_voter else "worker"
            voice.say(f"{node.name}: {role}, {node.status.state}, {node.spec.availability}, {node.address}")

    async def _listed(self, session: Session) -> Mapping[str, Node]:
        await self.seed.lead(session)
        return (await session.refresh()).nodes

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if wrong := await self._wrong(session):
            raise StepError(f"The Swarm is not as it was asked for: {'; '.join(wrong)}.", "Mend that, then retry.")
        voice.say(f"All {len(self.expected)} are as they were asked for.")
