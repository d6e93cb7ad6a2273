"""node.rejoin: the mildest thing that brings a node back (procedures.md N4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import RefusedError, UsageError
from swarmtui.model.impact import Impact
from swarmtui.model.quorum import Quorum
from swarmtui.model.swarm import Role
from swarmtui.runbooks import params
from swarmtui.runbooks.node_draft import Draft
from swarmtui.runbooks.node_facts import with_impact
from swarmtui.runbooks.nodes import WAIT
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Rule, Runbook, Step, binding_of
from swarmtui.runbooks.swarm.rejoining.rejoin_draft import (
    RejoinFacts,
    forget,
    join,
    ladder_lines,
    look_at_fresh,
    survey,
    twin_warnings,
)
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import ssh_address
from swarmtui.runbooks.swarm.rejoining.rejoin_join import LeaveByForce
from swarmtui.runbooks.swarm.rejoining.rejoin_ladder import ORDER, Rung, in_order, in_use_elsewhere
from swarmtui.runbooks.swarm.rejoining.rejoin_steps import Reboot, RestartDocker, WaitBack
from swarmtui.runbooks.swarm.unlock_steps import UnlockNode
from swarmtui.session import Session

CHOICES = ("auto", Rung.RESTART, Rung.REBOOT, Rung.REJOIN)
TITLES = {
    Rung.WAIT: ": wait for it",
    Rung.UNLOCK: ": unlock it",
    Rung.TIDY: ": it is back, remove its stale entry",
    Rung.RESTART: ": restart Docker",
    Rung.REBOOT: ": reboot its host",
    Rung.REJOIN: ": join it anew",
}
START_SECONDS = 60
"""How long the engine of a host that was just restarted may take until it answers."""


def rung(value: str) -> str:
    """auto, restart, reboot or rejoin."""
    if value not in CHOICES:
        raise ValueError(f"is none of {', '.join(CHOICES)}")
    return value


class Rejoin(Runbook):
    name = "node.rejoin"
    summary = "bring a node back: unlock, restart Docker, reboot or join it anew, the mildest that can help"
    params: ClassVar[Sequence[Param]] = (
        Param("node", "the node, by hostname or id", params.text, "NAME", required=True),
        Param(
            "rung",
            "how far to go; auto: the mildest that can help and was not tried",
            rung,
            "|".join(CHOICES),
            default="auto",
        ),
        Param("host", "where its host is reached now, if not where it was", ssh_address, "ssh://[USER@]HOST[:PORT]"),
        WAIT,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        try:
            facts = await survey(session, (params["node"],), params.get("host", ""))
        except UsageError as error:
            raise await self._stranger(session, error, params.get("host", "")) from error
        nodes = with_impact(facts.nodes, session.snapshot, {facts.node.id: None})
        built: Facts = msgspec.to_builtins(msgspec.structs.replace(facts, nodes=nodes))
        return built

    @staticmethod
    async def _stranger(session: Session, error: UsageError, host: str) -> UsageError:
        """What is to be said of a name that is nobody's, where its host can be asked."""
        if not host:
            return UsageError(error.what, f"{error.next_step} Was it removed, and came back? Then add host=ssh://….")
        seen = await look_at_fresh(session, host)
        state, node_id = seen.swarm.local_node_state, seen.swarm.node_id
        if state == "inactive":
            way = f"swarmtui run swarm.join host={host} role=manager|worker"
            return UsageError(error.what, f"{seen.at.name} is in no Swarm: let it join anew: {way}")
        if not node_id or node_id in session.snapshot.nodes:
            return error
        return UsageError(
            f"{seen.at.name} is node {node_id}, which is no entry of this Swarm any more: it was removed (its Docker "
            f"says {state}).",
            "Let it leave there (docker swarm leave --force), then join it anew: swarmtui run swarm.join.",
        )

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, RejoinFacts)
        verdict = known.verdict
        chosen = verdict.rung if params["rung"] == "auto" else Rung(params["rung"])
        if verdict.rung is Rung.REPLACE:
            raise RefusedError(
                verdict.because,
                f"Replace it: swarmtui run node.replace dead={known.name} promote=WORKER (or host=ssh://…). Has its "
                "host another address now? Say so: host=ssh://….",
            )
        if verdict.rung in (Rung.NONE, Rung.TIDY) and chosen is not verdict.rung and known.elsewhere:
            raise RefusedError(
                f"{verdict.because} Nothing is done to that host in the name of {known.name}.",
                "If that is the host of another node, name that node. Else give its own address: host=ssh://….",
            )
        if known.seen.unit == "masked":
            raise RefusedError(
                f"docker.service is masked on {known.seen.at.name}: somebody does not want it to run.",
                "Find out why; then `systemctl unmask docker` there.",
            )
        if chosen is Rung.NONE:
            return self._made(params, facts, known, chosen, nothing=verdict.because)
        rules = []
        if ORDER.index(chosen) > ORDER.index(verdict.rung):
            rules.append(Rule("ladder", known.name, f"The milder way was not tried: {verdict.rung}. {verdict.because}"))
        add: dict[Rung, Callable[[RejoinFacts, int], tuple[list[Step], Draft | None]]] = {
            Rung.WAIT: self._wait,
            Rung.UNLOCK: self._unlock,
            Rung.RESTART: self._restart,
            Rung.REBOOT: self._reboot,
            Rung.TIDY: self._tidy,
            Rung.REJOIN: self._rejoin,
        }
        if chosen in (Rung.RESTART, Rung.REBOOT):
            rules += self._missing(known)
        steps, draft = add[chosen](known, params["wait"])
        return self._made(params, facts, known, chosen, steps=steps, draft=draft, rules=rules)

    @staticmethod
    def _missing(known: RejoinFacts) -> list[Rule]:
        """The rule that is broken where the raft can do nothing while this manager is away."""
        node = known.node
        if not (node.is_voter and node.is_reachable) or known.seen.docker_down:
            return []
        now = Quorum(known.nodes.voters, known.nodes.reachable)
        then = Quorum(now.voters, now.reachable - 1)
        if then.held or not now.held:
            return []
        because = (
            f"Without {known.name} only {then.reachable} of {then.voters} managers answer, and {then.needed} are "
            "needed: the Swarm stands still until it is back."
        )
        return [Rule("quorum", known.name, because)]

    def _made(
        self,
        params: Mapping[str, Any],
        facts: Facts,
        known: RejoinFacts,
        chosen: Rung,
        *,
        steps: Sequence[Step] = (),
        draft: Draft | None = None,
        rules: Sequence[Rule] = (),
        nothing: str = "",
    ) -> Plan:
        node = known.node
        warnings = twin_warnings(known)
        rules = (*rules, *(draft.rules if draft else ()))
        impact: Impact | None = None
        if draft is not None:
            draft.warn_counts()
            warnings += draft.warnings
            impact = known.nodes.impact
        elif node.is_ready and chosen in (Rung.RESTART, Rung.REBOOT):
            warnings.append(f"{known.name} still runs its tasks: its containers stop, and are started again.")
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Bring back {known.name}{TITLES.get(chosen, '')}",
            why=known.verdict.because,
            steps=tuple(steps),
            touches=(known.name,),
            impact=impact,
            quorum=draft.quorum_change if draft else None,
            notes=(*ladder_lines(known.verdict), *(draft.notes if draft else ())),
            warnings=tuple(warnings),
            rules=tuple(rules),
            binding=binding_of(
                [node.id, node.spec, known.nodes.voters, known.nodes.reachable],
                [chosen, known.seen.swarm.node_id, known.seen.swarm.local_node_state],
                [str(rule) for rule in rules],
                warnings,
            ),
            leaving=tuple(draft.leaving) if draft else (),
            nothing=nothing,
        )

    @staticmethod
    def _back(known: RejoinFacts, wait: int, otherwise: Rung) -> WaitBack:
        node = known.node
        again = f"swarmtui run node.rejoin node={known.name} rung={otherwise}"
        return WaitBack(
            id=f"back-{node.id}",
            title=f"Wait until the managers hear from {known.name}",
            why="Its own word is not enough: what counts is what the others see.",
            node_id=node.id,
            name=known.name,
            at=known.seen.at,
            otherwise=f"The next rung: {again}",
            manager=node.spec.role == Role.MANAGER,
            seconds=wait,
        )

    def _wait(self, known: RejoinFacts, wait: int) -> tuple[list[Step], None]:
        return [self._back(known, wait, Rung.REBOOT)], None

    def _unlock(self, known: RejoinFacts, wait: int) -> tuple[list[Step], None]:
        return [self._key(known), self._back(known, wait, Rung.RESTART)], None

    def _unlocked(self, known: RejoinFacts) -> list[Step]:
        """What a manager needs after its Docker was restarted."""
        manager = known.node.is_voter or known.node.spec.role == Role.MANAGER
        return [self._key(known)] if known.autolock and manager else []

    @staticmethod
    def _key(known: RejoinFacts) -> UnlockNode:
        at = known.seen.at
        return UnlockNode(
            id=f"unlock-{known.node.id}",
            title=f"Unlock {known.name}",
            why="A manager whose Docker was restarted waits for its key; until then the others see it as down.",
            name=known.name,
            target=at.target,
            sudo=at.sudo,
            patience=START_SECONDS,
            cluster_id=known.cluster_id,
        )

    def _restart(self, known: RejoinFacts, wait: int) -> tuple[list[Step], None]:
        node = known.node
        restart = RestartDocker(
            id=f"restart-{node.id}",
            title=f"Restart Docker on {known.name}",
            why="The mildest thing that can help; the node keeps its id, its labels and its data.",
            node_id=node.id,
            name=known.name,
            at=known.seen.at,
            otherwise=f"The next rung: swarmtui run node.rejoin node={known.name} rung=reboot",
        )
        return [restart, *self._unlocked(known), self._back(known, wait, Rung.REBOOT)], None

    def _reboot(self, known: RejoinFacts, wait: int) -> tuple[list[Step], None]:
        node = known.node
        reboot = Reboot(
            id=f"reboot-{node.id}",
            title=f"Reboot {known.name}",
            why="A restart of Docker did not help, or cannot: the kernel, its network or its disks may hang.",
            node_id=node.id,
            name=known.name,
            at=known.seen.at,
            otherwise=f"The next rung: swarmtui run node.rejoin node={known.name} rung=rejoin",
            seconds=wait,
        )
        return [reboot, *self._unlocked(known), self._back(known, wait, Rung.REJOIN)], None

    def _tidy(self, known: RejoinFacts, wait: int) -> tuple[list[Step], Draft]:
        draft = Draft(known.nodes, wait)
        forget(draft, known.node)
        return draft.steps, draft

    def _rejoin(self, known: RejoinFacts, wait: int) -> tuple[list[Step], Draft]:
        node, at = known.node, known.seen.at
        if known.seen.docker_down or known.seen.silent:
            raise RefusedError(
                f"Docker does not answer on {at.name}, and only a Docker that runs can join.",
                f"Mend it there (journalctl -u docker), or replace it: swarmtui run node.replace dead={known.name} …",
            )
        if not known.remotes:
            raise RefusedError("No other manager is reachable that could be joined.", "See: swarmtui status")
        draft = Draft(known.nodes, wait)
        role = Role.MANAGER if node.is_voter or node.spec.role == Role.MANAGER else Role.WORKER
        if in_use_elsewhere(known.seen, known=frozenset(known.known), cluster_id=known.cluster_id):
            draft.rules.append(
                Rule(
                    "other-swarm",
                    known.name,
                    f"{at.name} works in another Swarm now: it is taken out of that one by force. If it is a manager "
                    "there, that Swarm may lose its quorum.",
                )
            )
        forget(draft, node)
        if known.seen.swarm.local_node_state not in ("inactive", ""):
            draft.steps.insert(-2, self._leave(known))
            draft.notes.append(
                f"Lost by `docker swarm leave --force` on {at.name}, which wipes its Swarm folder itself: its keys and "
                "certificate and, of a manager, its copy of the raft, which the others have. Images and volumes stay."
            )
        if in_order(node) and node.is_ready:
            draft.warnings.append(f"{known.name} is ready: its tasks stop at once. Drain it first: node.drain")
        join(draft, known, at, role, node.address if node.address in known.seen.addresses else "")
        draft.notes.append(f"{known.name} gets a new id; labels, availability and role are given back.")
        if known.nodes.ucp:
            draft.warnings.append("UCP manages this Swarm: it installs its agent on a node that joins by itself.")
        return draft.steps, draft

    @staticmethod
    def _leave(known: RejoinFacts) -> LeaveByForce:
        node = known.node
        return LeaveByForce(
            id=f"leave-{node.id}",
            title=f"Leave the Swarm on {known.seen.at.name}",
            why="Its engine forgets what it believes to be; the old state is of no use any more.",
            node_id=node.id,
            name=known.seen.at.name,
            at=known.seen.at,
            believed=known.seen.swarm.node_id,
        )
