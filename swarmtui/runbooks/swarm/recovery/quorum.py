"""The runbook swarm.recover-quorum: a new cluster forced on one survivor, when the quorum is lost for good (K3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, binding_of
from swarmtui.runbooks.swarm.building.build import WAIT
from swarmtui.runbooks.swarm.recovery.quorum_draft import QuorumDraft
from swarmtui.runbooks.swarm.recovery.quorum_facts import QuorumFacts, facts_of, survey
from swarmtui.session import Session


class RecoverQuorum(Runbook):
    name = "swarm.recover-quorum"
    summary = "when too few managers can ever come back: fence the others, force a new cluster on one, join them anew"
    params: ClassVar[Sequence[Param]] = (
        Param("survivor", "the manager to go on with; else the one with the most advanced log", params.text, "NAME"),
        Param("dead", "managers that are gone for good: they cannot be fenced", params.names, "NAME[,NAME…]"),
        Param("promote", "workers that take the places of dead managers", params.names, "NAME[,NAME…]"),
        WAIT,
    )
    needs_manager: ClassVar[bool] = False
    on_hosts: ClassVar[bool] = True
    needs_target: ClassVar[bool] = True

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        return facts_of(await survey(session, params))

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, QuorumFacts)
        draft = QuorumDraft(known, params["wait"], params.get("promote", ()))
        survivor = known.survivor
        rules = draft.rules
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Recover the quorum of {known.cluster}: force a new cluster on {survivor.name}",
            why=known.situation,
            steps=tuple(draft.steps),
            touches=(survivor.name,),
            quorum=draft.quorum,
            notes=tuple(draft.notes),
            warnings=tuple(draft.warnings),
            rules=rules,
            cluster_id=known.cluster_id,
            exclusive_hosts=(survivor.at.target, *(old.at.target for old in known.others if old.fenced and old.at)),
            binding=binding_of(
                known.cluster_id,
                (survivor.id, survivor.index, survivor.direct, survivor.opened_by, survivor.latches),
                [(old.was.id, old.reached, old.dead, old.elsewhere) for old in known.others],
                [(kind, len(known.inventory.of(kind))) for kind in ("service", "network", "secret", "config")],
                [str(rule) for rule in rules],
            ),
        )
