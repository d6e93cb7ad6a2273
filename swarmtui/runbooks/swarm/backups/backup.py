"""swarm.backup: the Swarm's directory of one manager, into the catalogue, proved (procedures.md K1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.runbooks import params
from swarmtui.runbooks.nodes import WAIT
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, binding_of
from swarmtui.runbooks.swarm.backups.backup_draft import BackupDraft, locked_on
from swarmtui.runbooks.swarm.backups.backup_facts import BackupFacts, survey
from swarmtui.session import Session


class Backup(Runbook):
    name = "swarm.backup"
    summary = "back up the Swarm from one manager: stop Docker there, archive, start it, fetch, encrypt, verify"
    params: ClassVar[Sequence[Param]] = (
        Param("node", "the manager; without it a reachable one that is not the leader", params.text, "NAME"),
        Param(
            "hot",
            "leave Docker running: no downtime, but the backup may be inconsistent, and is marked so for ever",
            params.yes_or_no,
            "true|false",
            default=False,
        ),
        WAIT,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        built: Facts = msgspec.to_builtins(await survey(session, params))
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, BackupFacts)
        hot = params["hot"]
        draft = BackupDraft(known, hot=hot, wait=params["wait"])
        node = known.manager
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Back up {known.cluster} from {node.name}" + (" while its Docker runs" if hot else ""),
            why="High availability is no backup: what somebody deletes is gone on every manager at once.",
            steps=draft.steps(),
            touches=(node.name,),
            changes=tuple(draft.changes),
            notes=tuple(draft.notes),
            warnings=tuple(draft.warnings),
            rules=tuple(draft.rules),
            binding=binding_of(
                known.cluster_id,
                known.chosen,
                hot,
                [(m.id, m.up, m.leader) for m in known.managers],
                known.nodes.impact,
                known.key.autolock,
                known.key.kept,
                known.here.encryption,
            ),
            leaving=() if hot else (node.id,),
            exclusive=locked_on(known),
        )
