"""The runbook swarm.join: one host more in the Swarm that is opened (procedures.md B5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import RefusedError, UsageError
from swarmtui.model.health import runs_ucp
from swarmtui.model.preflight import Measured
from swarmtui.model.snapshot import Snapshot
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, binding_of
from swarmtui.runbooks.swarm.building.build import ADVERTISE, HOST, LISTEN_AT, WAIT, ZONE
from swarmtui.runbooks.swarm.building.build_draft import Draft
from swarmtui.runbooks.swarm.building.build_facts import BuildFacts, nodes_of
from swarmtui.runbooks.swarm.building.build_spec import HostSpec, SwarmSpec, checked
from swarmtui.runbooks.swarm.building.preflight import Preflight, all_answer
from swarmtui.session import Session


def role(value: str) -> str:
    """worker or manager."""
    if value not in ("worker", "manager"):
        raise ValueError("is neither worker nor manager")
    return value


ROLE = Param("role", "what it is to be", role, "worker|manager", default="worker")
LABEL = Param("label", "labels it gets", params.labels, "KEY=VALUE[,…]")


class Join(Runbook):
    name = "swarm.join"
    summary = "make one host join the Swarm, after a look at it and at its way to the managers"
    params: ClassVar[Sequence[Param]] = (
        HOST,
        ROLE,
        ADVERTISE,
        LISTEN_AT,
        ZONE,
        LABEL,
        Param("drain", "whether it joins drained, and runs no tasks", params.yes_or_no, "true|false", default=False),
        WAIT,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        snapshot = await session.refresh()
        labels = dict(params.get("label", ()))
        if None in labels.values():
            raise UsageError("A host that joins has no label that could be removed.", "Write label=KEY=VALUE.")
        new = HostSpec(
            params["host"],
            params["role"],
            params.get("zone", ""),
            {key: value for key, value in labels.items() if value is not None},
            params.get("advertise", ""),
            params["listen"],
        )
        measured, seed = await self._measure(session, snapshot, new)
        built: Facts = msgspec.to_builtins(
            BuildFacts(
                spec=SwarmSpec((new,), drain_managers=params["drain"]),
                measured=measured,
                seed=seed,
                cluster_id=snapshot.cluster_id,
                nodes=nodes_of(snapshot),
                zone_label=session.opening.cluster.zone_label,
                sudo=session.opening.cluster.sudo,
                ucp=runs_ucp(snapshot),
            )
        )
        return built

    async def _measure(self, session: Session, snapshot: Snapshot, new: HostSpec) -> tuple[Measured, str]:
        """Looks at the new host, at the managers, and at the ways between it and them; returns the seed as well."""
        voters = [node for node in snapshot.nodes.values() if node.is_reachable]
        # The one we talk through first: it is the one that the new host will dial.
        voters.sort(key=lambda node: (node.id != session.connection.node_id, node.id))
        managers = [HostSpec(str(session.host_label(node)), "manager", advertise=node.address) for node in voters]
        others = [spec for spec in managers if spec.target != new.target]
        checked(SwarmSpec((msgspec.structs.replace(new, role="manager"), *others)), "The command line")
        about = Preflight(session, (new, *others), session.tell_look, about=str(new.target))
        measured = await about.measure()
        first, *rest = measured.hosts
        all_answer([first])
        seen = [host for host in rest if not host.trouble]
        if not seen:
            if first.node_id in snapshot.nodes:
                return measured, first.target
            raise RefusedError(
                f"No manager's host can be reached over SSH: {rest[0].trouble if rest else 'there is none'}",
                "The new host is told where to join, and the way there is tried first: mend that way.",
            )
        return msgspec.structs.replace(measured, hosts=(first, *seen)), seen[0].target

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, BuildFacts)
        draft = Draft(known, params["wait"], alone=False)
        (spec, host), *_ = draft.hosts
        node = known.node_of(host)
        if node is None:
            draft.join(spec, host)
        draft.label(spec, host)
        zones = [n.labels.get(known.zone_label, "") for n in known.nodes if n.manager]
        if node is None and spec.role == "manager":
            draft.advise([*zones, spec.zone])
        draft.warn_drain()
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Join {host.name} as a {spec.role}",
            why="It joins through its own engine, and counts once the managers hear from it.",
            steps=tuple(draft.steps),
            touches=draft.touched,
            quorum=draft.quorum,
            notes=tuple(draft.notes),
            warnings=tuple(draft.warnings),
            rules=tuple(draft.rules),
            binding=binding_of(
                known.spec,
                (host.target, host.name, host.advertise, host.state, host.node_id),
                known.cluster_id,
                [n.id for n in known.nodes if n.manager],
                [(finding.id, finding.level, finding.host) for finding in draft.findings],
                [str(rule) for rule in draft.rules],
            ),
            nothing="" if draft.steps else f"Nothing to do: {host.name} is in the Swarm, as a {spec.role}.",
        )
