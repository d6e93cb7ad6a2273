"""The runbooks on services: procedures.md S2 (scale, update, roll back, force, restart, remove)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import RefusedError, UsageError
from swarmtui.model.rollout import impact_of_rollouts
from swarmtui.model.services import Service
from swarmtui.model.snapshot import Snapshot
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, binding_of
from swarmtui.runbooks.service_change import Change, Json, tagged
from swarmtui.runbooks.service_draft import Draft
from swarmtui.runbooks.service_facts import (
    ServiceFacts,
    ServicesFacts,
    command_name,
    facts_of_change,
    facts_of_removal,
    facts_of_rollback,
    gather,
)
from swarmtui.session import Session

SERVICE = Param("service", "the service, by name or id", params.text, "NAME", required=True)
SERVICES = Param("service", "the services, by name or id", params.names, "NAME[,NAME…]", required=True)
WAIT = Param(
    "wait", "how long to wait for each, in seconds, besides its own delays", params.seconds, "SECONDS", default=600
)


class ServiceRunbook(Runbook):
    """A runbook on one or more services, one after the other."""

    verb: str
    why: str

    def look(self, snapshot: Snapshot, service: Service, raw: Json, given: Mapping[str, Any]) -> ServiceFacts:
        """The facts of one service."""
        return facts_of_change(snapshot, service, raw, self.asked(service, raw, given))

    def asked(self, service: Service, raw: Json, given: Mapping[str, Any]) -> Change:
        """What shall be different. Raises RefusedError where this service cannot be so."""
        raise NotImplementedError

    def add(self, draft: Draft, facts: ServiceFacts) -> None:
        """Adds the steps for one service to the draft. Raises RefusedError where it cannot be done."""
        raise NotImplementedError

    def title(self, names: str, given: Mapping[str, Any]) -> str:
        return f"{self.verb} {names}"

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        named = params["service"]
        facts = await gather(
            session,
            (named,) if isinstance(named, str) else named,
            lambda snapshot, service, raw: self.look(snapshot, service, raw, params),
        )
        built: Facts = msgspec.to_builtins(facts)
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, ServicesFacts)
        draft = Draft(known, params["wait"])
        for service in known.services:
            self.add(draft, service)
        names = tuple(service.name for service in known.services)
        changed = bool(draft.steps)
        rollouts = [service.rollout for service in known.services if service.service_id in draft.changed]
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=self.title(", ".join(names), params),
            why=self.why,
            steps=tuple(draft.steps),
            touches=names,
            impact=impact_of_rollouts(rollouts) if changed else None,
            changes=tuple(draft.changes),
            notes=tuple(draft.notes),
            warnings=tuple(draft.warnings),
            rules=tuple(draft.rules),
            binding=binding_of(
                # The version of a service grows with every state of a rollout: the Spec is what was looked at.
                [(s.service_id, s.digest, s.goal) for s in known.services],
                [(r.stuck > 0, r.to_zero, r.blinks, r.all_at_once, r.local_data, r.known) for r in rollouts],
                [str(rule) for rule in draft.rules],
                # How many tasks there are, and what is free on the nodes, changes all the time in a busy cluster.
                draft.standing,
            ),
            nothing="" if changed else f"Nothing to do: {'; '.join(draft.idle)}.",
        )


class Scale(ServiceRunbook):
    name = "service.scale"
    summary = "let a service run more or fewer tasks"
    verb = "Scale"
    why = "The orchestrator starts or stops tasks until so many run; which ones stop, it chooses."
    params: ClassVar[Sequence[Param]] = (
        SERVICE,
        Param("replicas", "how many tasks shall run", params.count, "NUMBER", required=True),
        WAIT,
    )

    def title(self, names: str, given: Mapping[str, Any]) -> str:
        return f"Scale {names} to {given['replicas']}"

    def asked(self, service: Service, raw: Json, given: Mapping[str, Any]) -> Change:
        refuse_job(service)
        if service.is_global:
            raise RefusedError(
                f"{command_name(service)} is a global service: it runs one task on each node, and cannot be scaled.",
                "Its constraints say on which nodes: swarmtui run service.update constraint=…",
            )
        return Change(replicas=given["replicas"])

    def add(self, draft: Draft, facts: ServiceFacts) -> None:
        if not facts.change:
            draft.idle.append(f"{facts.name} has {facts.replicas} replicas already")
            return
        draft.about_change(facts)
        draft.update(facts, title=f"Scale {facts.name} to {facts.change.replicas}", why=self.why)


class Update(ServiceRunbook):
    name = "service.update"
    summary = "change what services run, and how they are replaced"
    verb = "Update"
    why = "The engine replaces the tasks that are outdated by this, as the service's own update settings say."
    params: ClassVar[Sequence[Param]] = (
        SERVICES,
        Param("image", "the image, as a reference; it is not resolved to a digest", params.text, "IMAGE"),
        Param(
            "env",
            "environment; KEY- removes, a comma in a value is \\,; anybody who may inspect the service can read it, "
            "and it stays in the journal: what is secret belongs into a secret",
            params.settings,
            "KEY=VALUE|KEY-[,…]",
        ),
        Param(
            "label", "labels of the service; KEY- removes, a comma in a value is \\,", params.settings,
            "KEY=VALUE|KEY-[,…]",
        ),
        Param("limit-cpu", "CPUs a task may use; 0 for no limit", params.cores, "CPUS"),
        Param("limit-memory", "memory a task may use; 0 for no limit", params.memory, "BYTES|512M|2G"),
        Param("reserve-cpu", "CPUs a node must have free for a task; 0 for none", params.cores, "CPUS"),
        Param("reserve-memory", "memory a node must have free for a task; 0 for none", params.memory, "BYTES|512M|2G"),
        Param("constraint", "constraints; a - behind one removes it", params.constraints, "KEY==VALUE|KEY==VALUE-[,…]"),
        Param("parallelism", "how many tasks are replaced at a time; 0 for all", params.count, "NUMBER"),
        Param("delay", "how long between two replacements", params.duration, "10s|1m30s"),
        Param("order", "which of two tasks comes first, new or old", params.update_order, "start-first|stop-first"),
        WAIT,
    )  # fmt: skip

    def asked(self, service: Service, raw: Json, given: Mapping[str, Any]) -> Change:
        refuse_job(service)
        change = Change(
            image=tagged(given["image"]) if "image" in given else "",
            env=_pairs(given.get("env", ())),
            labels=_pairs(given.get("label", ())),
            constraints=tuple((text, added) for text, added in given.get("constraint", ())),
            limit_cpu=given.get("limit-cpu"),
            limit_memory=given.get("limit-memory"),
            reserve_cpu=given.get("reserve-cpu"),
            reserve_memory=given.get("reserve-memory"),
            parallelism=given.get("parallelism"),
            delay=given.get("delay"),
            order=given.get("order", ""),
        )
        if not change:
            known = ", ".join(f"{p.name}=" for p in self.params if p not in (SERVICES, WAIT))
            raise UsageError("service.update was told nothing to change.", f"It changes: {known}.")
        return change

    def add(self, draft: Draft, facts: ServiceFacts) -> None:
        if not facts.change:
            draft.idle.append(f"{facts.name} already is so")
            return
        draft.about_change(facts)
        draft.update(facts, title=f"Update {facts.name}", why=_why_of(facts, self.why))


class Restart(ServiceRunbook):
    name = "service.restart"
    summary = "replace every task of services by a new one, with nothing else changed (force)"
    verb = "Restart"
    why = "Every task is replaced by a new one, as the service's own update settings say; clients may be cut off."
    params: ClassVar[Sequence[Param]] = (SERVICES, WAIT)

    def asked(self, service: Service, raw: Json, given: Mapping[str, Any]) -> Change:
        refuse_job(service)
        return Change(force=int(raw["Spec"].get("TaskTemplate", {}).get("ForceUpdate") or 0) + 1)

    def add(self, draft: Draft, facts: ServiceFacts) -> None:
        draft.update(facts, title=f"Restart {facts.name}", why=self.why)


class RollBack(ServiceRunbook):
    name = "service.rollback"
    summary = "give services back the Spec they had before the newest one"
    verb = "Roll back"
    why = "The engine keeps one Spec back, and returns to it; to do it twice leads forward again."
    params: ClassVar[Sequence[Param]] = (SERVICES, WAIT)

    def look(self, snapshot: Snapshot, service: Service, raw: Json, given: Mapping[str, Any]) -> ServiceFacts:
        refuse_job(service)
        return facts_of_rollback(snapshot, service, raw)

    def add(self, draft: Draft, facts: ServiceFacts) -> None:
        if not facts.goal:
            raise RefusedError(
                f"{facts.name} has no Spec to go back to: it was never updated, or the engine went back already.",
                "Say what it shall be: swarmtui run service.update",
            )
        if facts.goal == facts.digest:
            draft.idle.append(f"the Spec before the newest one of {facts.name} is the same")
            return
        draft.about_change(facts)
        draft.roll_back(facts, title=f"Roll back {facts.name}", why=_why_of(facts, self.why))


class Remove(ServiceRunbook):
    name = "service.remove"
    summary = "remove services, and wait until their tasks have stopped"
    verb = "Remove"
    why = "The service and all its tasks go away. Its Spec is kept nowhere: there is no way back but to make it anew."
    params: ClassVar[Sequence[Param]] = (SERVICES, WAIT)

    def look(self, snapshot: Snapshot, service: Service, raw: Json, given: Mapping[str, Any]) -> ServiceFacts:
        return facts_of_removal(snapshot, service, raw)

    def add(self, draft: Draft, facts: ServiceFacts) -> None:
        draft.remove(facts, title=f"Remove {facts.name}", why=self.why)


def refuse_job(service: Service) -> None:
    """Raises RefusedError for a job: its tasks end by themselves, and nothing here could be waited for."""
    if service.is_job:
        raise RefusedError(
            f"{command_name(service)} is a job: its tasks run to their end, and are not rolled out.",
            "Change it with the docker CLI: docker service update.",
        )


def _pairs(given: Sequence[Sequence[Any]]) -> tuple[tuple[str, str | None], ...]:
    return tuple((key, value) for key, value in given)


def _why_of(facts: ServiceFacts, why: str) -> str:
    return f"{'; '.join(facts.told)}. {why}" if facts.told else why
