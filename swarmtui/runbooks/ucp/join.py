"""The runbook ucp.join: one host more, and the wait until UCP on it is well (procedures.md U3).

It is swarm.join: since UCP 2.0 there is no command of the image for it (ucp-dtr.md §1.2). UCP's agent comes to the new
node by itself, and a manager takes minutes until it is one of UCP's too: the next one only comes after that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.model.text import one_line
from swarmtui.model.ucp import status
from swarmtui.model.ucp.facts import Role, Version
from swarmtui.model.url import https_url
from swarmtui.runbooks import params
from swarmtui.runbooks.node_waits import wait_line
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Rule, Shown, StepError, Voice, binding_of
from swarmtui.runbooks.swarm.building.build import ADVERTISE, HOST, LISTEN_AT, WAIT, ZONE
from swarmtui.runbooks.swarm.building.build_base import BuildStep, Seed
from swarmtui.runbooks.swarm.building.build_facts import BuildFacts
from swarmtui.runbooks.swarm.building.join import LABEL, ROLE, Join
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import where
from swarmtui.runbooks.ucp.access import access, pings
from swarmtui.runbooks.ucp.waits import SECONDS, WaitUcp
from swarmtui.session import Session

UNHEALTHY = "ucp-unhealthy"


class UcpNow(msgspec.Struct, frozen=True):
    """UCP as it was found.

    Attributes:
        ill: name of a manager → why UCP on it is not healthy.
        unknown: why nobody could ask, one sentence; "" where UCP was asked.
    """

    version: Version
    ill: dict[str, str] = {}
    unknown: str = ""


class JoinUcp(Join):
    name = "ucp.join"
    summary = "make one host join a Swarm under UCP, and wait until UCP on it is well"
    params: ClassVar[Sequence[Param]] = (
        HOST,
        ROLE,
        ADVERTISE,
        LISTEN_AT,
        ZONE,
        LABEL,
        WAIT,
        Param("wait-ucp", "how long to wait for UCP on it, in seconds", params.seconds, "SECONDS", default=SECONDS),
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        version = status.version_of(await session.refresh())
        if version is None:
            raise RefusedError(
                f"No UCP runs on {session.name}: the service of its agents is not there.",
                "To join a host without it: swarmtui run swarm.join. After an uninstall no host can join until UCP is "
                "back: swarmtui run ucp.restore, or ucp.install.",
            )
        found = await super().survey(session, {**params, "drain": False})
        now = UcpNow(version)
        try:
            known = await access(session)
            ill = {name: one_line(ping.text) for name, ping in (await pings(known)).items() if not ping.ok}
            now = UcpNow(version, ill)
        except SwarmtuiError as error:
            now = UcpNow(version, unknown=error.what)
        return {**found, "ucp_now": msgspec.to_builtins(now)}

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        built = msgspec.convert({key: value for key, value in facts.items() if key != "ucp_now"}, BuildFacts)
        now = msgspec.convert(facts["ucp_now"], UcpNow)
        plan = super().plan({**params, "drain": False}, facts)
        host = built.measured.hosts[0]
        wait = WaitNew(
            id="well",
            title=f"Wait until UCP on {host.name} is well",
            why="Its agent, and on a manager all its components, come by themselves; the next node only after that.",
            seed=_seed(built),
            target=host.target,
            name=host.name,
            role="manager" if params["role"] == "manager" else "worker",
            version=now.version,
            address=host.advertise,
            seconds=params["wait-ucp"],
            if_stopped=f"{host.name} is in the Swarm; UCP goes on putting itself on it.",
        )
        rules, warnings = list(plan.rules), list(plan.warnings)
        if now.unknown:
            warnings.append(f"How UCP is now could not be asked: {now.unknown}")
        elif now.ill and params["role"] == "manager":
            told = "; ".join(f"{name}: {why}" for name, why in now.ill.items())
            what = f"UCP is not healthy now ({told[:300]}): a manager that joins meanwhile may stay half of one."
            rules.append(Rule(UNHEALTHY, host.name, what))
        elif now.ill:
            warnings.append(f"UCP is not healthy on {', '.join(now.ill)}.")
        notes = [*plan.notes, "UCP's managers are Linux hosts; Windows hosts can be workers only."]
        return dataclasses.replace(
            plan,
            runbook=self.name,
            params=params,
            title=f"Join {host.name} to {now.version.product} as a {params['role']}",
            why="It joins the Swarm through its own engine; UCP then puts itself on it.",
            steps=(*plan.steps, wait),
            rules=tuple(rules),
            warnings=tuple(warnings),
            notes=tuple(notes),
            touches=plan.touches or (host.name,),
            binding=binding_of(plan.binding, str(now.version), sorted(now.ill)),
            nothing="",
        )


def _seed(built: BuildFacts) -> Seed:
    seed = next(host for host in built.measured.hosts if host.target == built.seed)
    return Seed(target=built.seed, name=seed.name, remote="", cluster_id=built.cluster_id, sudo=built.sudo)


@dataclass(frozen=True, kw_only=True)
class WaitNew(BuildStep):
    """Waits until UCP on a host is well that is a node only since a step before."""

    role: Role
    version: Version
    address: str
    seconds: int

    def _wait(self, session: Session, node_id: str) -> WaitUcp:
        return WaitUcp(
            id=self.id,
            title=self.title,
            why=self.why,
            node_id=node_id,
            name=self.name,
            at=where(session, self.name, self.ssh),
            version=self.version,
            role=self.role,
            url=https_url(self.address),
            seconds=self.seconds,
        )

    async def _now(self, session: Session) -> WaitUcp:
        node = await self.node(session)
        if node is None:
            raise StepError(f"{self.name} is not in the Swarm.", "Let it join first: make a new plan.")
        return self._wait(session, node.id)

    @property
    def shown(self) -> tuple[Shown, ...]:
        if self.role == "manager":
            probe = f"curl -sk -o /dev/null -w '%{{http_code}}' https://{self.address}/_ping"
            return (Shown(wait_line(f'[ "$({probe})" = 200 ]', self.seconds), here=True),)
        sudo = "sudo -n " if self.seed.sudo else ""
        line = wait_line(f'[ -n "$({sudo}docker ps -q --filter name=^ucp-proxy$)" ]', self.seconds)
        return (Shown(line, self.ssh.destination, self.ssh.port),)

    async def already_done(self, session: Session, before: Facts) -> str:
        return await (await self._now(session)).already_done(session, before)

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await (await self._now(session)).run(session, before, voice)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await (await self._now(session)).verify(session, before, voice)
        voice.say(f"UCP on {self.name} is well.")
