"""node.replace: another manager in the place of a dead one (procedures.md N4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import RefusedError, UsageError
from swarmtui.model.impact import with_role
from swarmtui.model.quorum import after_promoting
from swarmtui.model.swarm import Availability, Node, Role
from swarmtui.runbooks import params
from swarmtui.runbooks.node_draft import Draft
from swarmtui.runbooks.node_facts import with_impact
from swarmtui.runbooks.nodes import WAIT
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Rule, Runbook, binding_of
from swarmtui.runbooks.swarm.rejoining.rejoin_draft import (
    RejoinFacts,
    forget,
    join,
    ladder_lines,
    survey,
    twin_warnings,
)
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import HostSeen, ssh_address
from swarmtui.runbooks.swarm.rejoining.rejoin_ladder import Rung, in_order
from swarmtui.session import Session

MILDER = (Rung.WAIT, Rung.UNLOCK, Rung.TIDY, Rung.RESTART, Rung.REBOOT)
ONE_OF = "Write promote=WORKER, or host=ssh://[USER@]HOST[:PORT] for a new host."


class Replace(Runbook):
    name = "node.replace"
    summary = "put another manager in the place of a dead one: a promoted worker, or a new host"
    params: ClassVar[Sequence[Param]] = (
        Param("dead", "the manager that is lost, by hostname or id", params.text, "NAME", required=True),
        Param("promote", "the worker that becomes a manager", params.text, "NAME"),
        Param("host", "a new host that joins as a manager", ssh_address, "ssh://[USER@]HOST[:PORT]"),
        WAIT,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        promote, host = params.get("promote", ""), params.get("host", "")
        if bool(promote) == bool(host):
            raise UsageError("Either a worker is promoted or a new host joins, not both and not neither.", ONE_OF)
        facts = await survey(session, [params["dead"], *([promote] if promote else [])], fresh=host)
        if promote and len(facts.nodes.nodes) == 1:
            raise UsageError(f"{facts.name} cannot take its own place.", ONE_OF)
        changed: dict[str, Node | None] = {facts.node.id: None}
        changed |= {node.id: with_role(node, Role.MANAGER) for node in facts.nodes.nodes[1:]}
        nodes = with_impact(facts.nodes, session.snapshot, changed)
        built: Facts = msgspec.to_builtins(msgspec.structs.replace(facts, nodes=nodes))
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, RejoinFacts)
        dead, name = known.node, known.name
        self._check_dead(known)
        draft = Draft(known.nodes, params["wait"])
        if known.verdict.rung in MILDER:
            draft.rules.append(
                Rule("ladder", name, f"A milder way was not tried: {known.verdict.rung}. {known.verdict.because}")
            )
        forget(draft, dead)
        if known.fresh is not None:
            self._join(draft, known, known.fresh)
            successor = known.fresh.at.name
        else:
            worker = known.nodes.nodes[1]
            self._promote(draft, worker)
            successor = draft.name(worker)
            self._tell_difference(draft, known, worker)
        draft.warn_counts()
        draft.notes.append(
            f"If {name} ever comes back, its Docker says pending for ever (its log: the node was removed from the "
            "swarm). Then: docker swarm leave --force on it, and join it anew (swarm.join)."
        )
        warnings = [*twin_warnings(known), *draft.warnings]
        touches = (name, successor)
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Replace {name} by {successor}",
            why="A dead manager counts for quorum as long as its entry stays: it goes first, then another comes.",
            steps=tuple(draft.steps),
            touches=touches,
            impact=known.nodes.impact,
            quorum=draft.quorum_change,
            notes=(*ladder_lines(known.verdict), *draft.notes),
            warnings=tuple(warnings),
            rules=tuple(draft.rules),
            binding=binding_of(
                [(node.id, node.spec) for node in known.nodes.nodes],
                [known.nodes.voters, known.nodes.reachable, known.verdict.rung],
                [(s.name, s.stuck, s.to_zero, s.blinks, s.local_data) for s in known.nodes.impact.services],
                [str(rule) for rule in draft.rules],
                warnings,
            ),
            leaving=tuple(draft.leaving),
        )

    @staticmethod
    def _check_dead(known: RejoinFacts) -> None:
        dead, name = known.node, known.name
        if not dead.is_voter and dead.spec.role != Role.MANAGER:
            raise RefusedError(
                f"{name} is a worker: no manager has to take its place.",
                f"Remove it (swarmtui run node.remove node={name}), and join another host (swarm.join).",
            )
        if in_order(dead):
            raise RefusedError(
                f"{name} is not dead: it is {dead.status.state} and a reachable manager.",
                f"To take it out all the same: swarmtui run node.remove node={name}",
            )

    @staticmethod
    def _promote(draft: Draft, worker: Node) -> None:
        name = draft.name(worker)
        if worker.is_voter or worker.spec.role == Role.MANAGER:
            raise RefusedError(f"{name} is a manager already.", "Promote a worker, or join a new host.")
        if not worker.is_ready:
            raise RefusedError(f"{name} is {worker.status.state}: it cannot become a manager now.", "Take another one.")
        draft.raft = after_promoting(draft.raft, ready=True).after
        draft.become_manager(worker, "Until it is reachable it counts for quorum and helps nobody.")

    @staticmethod
    def _join(draft: Draft, known: RejoinFacts, fresh: HostSeen) -> None:
        name, state = fresh.at.name, fresh.swarm.local_node_state
        if fresh.trouble:
            raise RefusedError(f"Nobody can log in to {name}: {fresh.trouble}", "Mend the way there, or take another.")
        if fresh.docker_down or fresh.silent:
            because = fresh.silent or f"docker.service is {fresh.unit} there."
            raise RefusedError(f"Docker does not run on {name}: {because}", "Start it there: systemctl start docker")
        if state not in ("inactive", ""):
            raise RefusedError(
                f"{name} is part of a Swarm already (its Docker says {state}).",
                "Is it the right host? Else let it leave there first: docker swarm leave --force",
            )
        if not known.remotes:
            raise RefusedError("No manager is reachable that could be joined.", "See: swarmtui status")
        dead = known.node
        advertise = dead.address if dead.address in fresh.addresses else ""
        join(draft, known, fresh.at, Role.MANAGER, advertise)
        draft.notes.append(f"{name} gets the labels and the availability of {known.name}.")
        if (had := dead.description.engine.engine_version) and fresh.version and had != fresh.version:
            draft.warnings.append(f"{name} runs Docker {fresh.version}, {known.name} had {had}.")

    @staticmethod
    def _tell_difference(draft: Draft, known: RejoinFacts, worker: Node) -> None:
        name, dead = draft.name(worker), known.node
        if dead.spec.availability != Availability.ACTIVE:
            draft.notes.append(f"{known.name} was set to {dead.spec.availability}; {name} stays as it is.")
        if lost := [f"{k}={v}" for k, v in sorted(dead.labels.items()) if worker.labels.get(k) != v]:
            draft.notes.append(
                f"Labels that go with {known.name}, and that {name} has not: {', '.join(lost)} (node.label)."
            )
