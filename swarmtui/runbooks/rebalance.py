"""The runbook that spreads tasks evenly again (procedures.md N6): Swarm never does that by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import SwarmtuiError
from swarmtui.model.rollout import impact_of_rollouts
from swarmtui.model.snapshot import COLLECTIONS
from swarmtui.model.spread import ServiceSpread, Spread, spread_of
from swarmtui.model.text import one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, Step, Voice, binding_of
from swarmtui.runbooks.service_change import Change
from swarmtui.runbooks.service_draft import Draft
from swarmtui.runbooks.service_facts import ServicesFacts, facts_of_change, gather, resolve
from swarmtui.runbooks.service_waits import WaitRollout
from swarmtui.session import Session

SHOWN_NODES = 12
UNCERTAIN = (
    "Where the tasks come to, the scheduler decides while they restart, in no certain order: it may come out less even "
    "than is shown here."
)


class RebalanceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What rebalancing is about. nodes: id → name."""

    services: ServicesFacts
    spread: Spread
    nodes: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class WaitSpread(WaitRollout):
    """Waits until a restarted service has converged, and says where its tasks are now."""

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await super().verify(session, before, voice)
        snapshot = session.snapshot
        counts: dict[str, int] = {}
        for task in snapshot.tasks.values():
            if task.service_id == self.service_id and snapshot.is_live(task):
                counts[task.node_id] = counts.get(task.node_id, 0) + 1
        names = {node.id: one_line(node.name) for node in snapshot.nodes.values()}
        told = sorted(f"{names.get(node_id, node_id[:12])} {count}" for node_id, count in counts.items())
        voice.say(
            f"{self.name} runs on {', '.join(told[:SHOWN_NODES])}{' and others' if len(told) > SHOWN_NODES else ''}."
        )


class Rebalance(Runbook):
    name = "swarm.rebalance"
    summary = "restart services whose tasks are spread unevenly, one at a time, so that the scheduler places them anew"
    params: ClassVar[Sequence[Param]] = (
        Param("service", "only these services, by name or id", params.names, "NAME[,NAME…]"),
        Param(
            "single",
            "also services of one replica: each is down for a moment",
            params.yes_or_no,
            "true|false",
            default=False,
        ),
        Param(
            "wait",
            "how long to wait for each, in seconds, besides its own delays",
            params.seconds,
            "SECONDS",
            default=600,
        ),
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        snapshot = await session.refresh()
        for name in COLLECTIONS:
            if trouble := snapshot.readings[name].trouble:
                raise SwarmtuiError(
                    f"The {name} cannot be read now: {trouble}", "Nothing was changed. See: swarmtui status"
                )
        named = params.get("service")
        only = frozenset(service.id for service in resolve(snapshot, named)) if named else None
        # Off the event loop: a large cluster takes a moment.
        spread = await asyncio.to_thread(spread_of, snapshot, only=only, singles=params["single"])
        services = await gather(
            session,
            [found.service_id for found in spread.services],
            lambda now, service, raw: facts_of_change(
                now, service, raw, Change(force=int(raw["Spec"].get("TaskTemplate", {}).get("ForceUpdate") or 0) + 1)
            ),
        )
        facts = RebalanceFacts(
            services=services,
            spread=spread,
            nodes={node.id: one_line(node.name) for node in snapshot.nodes.values()},
        )
        built: Facts = msgspec.to_builtins(facts)
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, RebalanceFacts)
        draft = Draft(known.services, params["wait"])
        spreads = {found.service_id: found for found in known.spread.services}
        for service in known.services.services:
            draft.update(service, title=f"Restart {service.name}", why=_why(spreads[service.service_id]))
        rollouts = [service.rollout for service in known.services.services]
        moves = sum(found.moves for found in spreads.values())
        restarts = sum(found.restarts for found in spreads.values())
        warnings = [*draft.warnings, *_warnings(known)]
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title="Rebalance",
            why=f"{restarts} tasks restart, so that {moves} of them come to other nodes; clients of a task may be cut "
            "off when it stops. Swarm never moves a running task by itself."
            if draft.steps
            else "Swarm never moves a running task by itself.",
            steps=tuple(_stopping(draft.steps)),
            touches=tuple(service.name for service in known.services.services),
            impact=impact_of_rollouts(rollouts) if draft.steps else None,
            changes=tuple(_changes(known)) if draft.steps else (),
            notes=(
                *((UNCERTAIN,) if draft.steps else ()),
                *draft.notes,
                *(f"{one_line(name)} is left alone: {why}." for name, why in known.spread.left),
            ),
            warnings=tuple(warnings),
            rules=tuple(draft.rules),
            binding=binding_of(
                [(s.service_id, s.digest) for s in known.services.services],
                # How many tasks are where changes all the time in a busy cluster; which services restart was shown.
                [(r.stuck > 0, r.to_zero, r.blinks, r.all_at_once, r.local_data, r.known) for r in rollouts],
                [str(rule) for rule in draft.rules],
                draft.standing,
            ),
            nothing="" if draft.steps else _nothing(known.spread),
        )


def _stopping(steps: Sequence[Step]) -> Iterator[Step]:
    """The steps, none of which may be skipped: what does not converge is no reason to restart the next service."""
    for step in steps:
        if isinstance(step, WaitRollout):
            values = {name: getattr(step, name) for name in step.__dataclass_fields__}
            yield WaitSpread(**{**values, "skippable": False})
        else:
            yield replace(step, skippable=False)


def _why(spread: ServiceSpread) -> str:
    reason = "other nodes are nearly empty" if spread.crowded else "some nodes have more of it than others"
    return f"{spread.restarts} tasks are replaced one after the other as its update settings say, because {reason}."


def _changes(known: RebalanceFacts) -> Iterator[tuple[str, str]]:
    for found in known.spread.services:
        many = f"{found.restarts} tasks restart, {found.moves} move" if found.restarts > 1 else "its only task moves"
        yield "plain", f"{one_line(found.name)}: {many}"
        yield "plain", f"    {_counts(known, found.now, found.after)}"
    yield "plain", "all tasks of the Swarm"
    yield "plain", f"    {_counts(known, known.spread.now, known.spread.after)}"


def _counts(known: RebalanceFacts, now: Mapping[str, int], after: Mapping[str, int]) -> str:
    different = [node_id for node_id in {*now, *after} if now.get(node_id, 0) != after.get(node_id, 0)]
    different.sort(key=lambda node_id: (-now.get(node_id, 0), known.nodes.get(node_id, node_id)))
    told = [f"{known.nodes.get(n, n[:12])} {now.get(n, 0)} → {after.get(n, 0)}" for n in different[:SHOWN_NODES]]
    same = len({*now, *after}) - len(different)
    more = len(different) - len(told)
    told += [f"{more} more nodes"] if more > 0 else []
    told += [f"{same} {'node' if same == 1 else 'nodes'} as before"] if same else []
    return ", ".join(told)


def _warnings(known: RebalanceFacts) -> Iterator[str]:
    for found in known.spread.services:
        name = one_line(found.name)
        if found.single:
            yield f"{name} has one replica: it is down from the moment its task stops until the new one runs."
        if found.local_data:
            yield f"{name} keeps data on its nodes; a task that moves does not find it: {', '.join(found.local_data)}."


def _nothing(spread: Spread) -> str:
    left = "; ".join(f"{one_line(name)}: {why}" for name, why in spread.left)
    if left:
        return f"Nothing to do: no service can be spread more evenly ({left})."
    return "Nothing to do: every service is spread as evenly as its constraints and the room on the nodes allow."
