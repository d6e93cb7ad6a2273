"""The runbook swarm.restore: a backup brought back to life on a host, by the recipe that works (procedures.md K2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, binding_of
from swarmtui.runbooks.swarm.building.build import WAIT
from swarmtui.runbooks.swarm.recovery.restore_draft import Draft
from swarmtui.runbooks.swarm.recovery.restore_facts import RestoreFacts, survey
from swarmtui.runbooks.swarm.recovery.restore_rules import refuse, rules_of
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import ssh_address
from swarmtui.session import Session


class Restore(Runbook):
    name = "swarm.restore"
    summary = "bring the Swarm back from a backup, when no manager has its state any more"
    params: ClassVar[Sequence[Param]] = (
        Param("backup", "which backup; the latest that would restore", params.text, "latest|ID", default="latest"),
        Param("host", "where: a host with Docker; best at the old address", ssh_address, "ssh://…", required=True),
        Param("dead", "old managers that are gone for good: they cannot be fenced", params.names, "NAME[,NAME…]"),
        Param("advertise", "the address the other nodes use, where the host has several", params.text, "IP"),
        Param("cluster", "whose backup, where there are those of several", params.text, "CLUSTER-ID"),
        WAIT,
    )
    needs_manager: ClassVar[bool] = False
    on_hosts: ClassVar[bool] = True

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        facts: Facts = msgspec.to_builtins(await survey(session, params))
        return facts

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, RestoreFacts)
        refuse(known)
        rules = rules_of(known)
        draft = Draft(known, params["wait"])
        backup, host = known.backup, known.host.seen
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Restore {backup.id} of {backup.cluster} on {host.at.name}",
            why=f"It is {backup.age} old: what changed since then is lost, and everything else comes back.",
            steps=tuple(draft.steps),
            touches=(host.at.name, *(old.name for old in known.others if old.joins)),
            notes=tuple(draft.notes),
            warnings=tuple(draft.warnings),
            rules=rules,
            cluster_id=backup.cluster_id,
            exclusive_hosts=(host.at.target, *(old.seen.at.target for old in known.others if old.joins)),
            binding=binding_of(
                backup.id,
                backup.certificate,
                backup.verdict,
                (host.at.target, known.host.has, known.host.node_id, known.address),
                [(old.node_id, old.seen.at.target) for old in known.others],
                [(step.id, step.title) for step in draft.steps],
                [str(rule) for rule in rules],
            ),
        )
