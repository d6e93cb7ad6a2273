"""The runbook swarm.end-split: of two Swarms with the same members that live side by side, one is ended.

That is what a forced cluster becomes when old managers come back (swarm-dr.md §4). Nothing of the other side is
deleted: its managers are fenced, their swarm directories lie aside, and they join the one that stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import msgspec

from swarmtui.model.swarm import Role
from swarmtui.model.text import listed
from swarmtui.runbooks import params
from swarmtui.runbooks.node_steps import UpdateNode
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, Step, binding_of
from swarmtui.runbooks.swarm.building.build_base import Seed
from swarmtui.runbooks.swarm.recovery.after_force import RemoveGone, join_back, led, seed_of
from swarmtui.runbooks.swarm.recovery.fence_steps import Fence, not_fenced
from swarmtui.runbooks.swarm.recovery.forced_checks import OneLeader, RealReplicas
from swarmtui.runbooks.swarm.recovery.restore_workers import ManagerAt, worker_steps
from swarmtui.runbooks.swarm.recovery.split_facts import Leaving, SplitFacts, as_facts, survey
from swarmtui.session import Session

WAIT = Param("wait", "how long to wait for each host, in seconds", params.seconds, "SECONDS", default=120)
SHOWN = 8
"""Names of what is lost, in one warning."""


class EndSplit(Runbook):
    """Ends one of two Swarms."""

    name = "swarm.end-split"
    summary = "two Swarms live side by side after a forced one: keep one, fence the other's managers, join them back"
    needs_manager = False
    on_hosts: ClassVar[bool] = True
    needs_target: ClassVar[bool] = True
    params: ClassVar[Sequence[Param]] = (
        Param("keep", "a manager of the Swarm that stays; else the one that recover proposes", params.text, "NAME"),
        Param("dead", "managers that are lost for good, by hostname, id or address", params.names, "NAME[,NAME…]"),
        WAIT,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        return as_facts(await survey(session, params))

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, SplitFacts)
        steps = _steps(known, params["wait"]) if known.seed is not None else ()
        keeps = known.seed.name if known.seed is not None else ""
        names = tuple(one.at.name for one in known.leaving)
        rules = tuple(not_fenced(name, why) for name, why in known.not_fenced)
        warnings = _warnings(known)
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Keep the Swarm of {keeps}, end that of {', '.join(names)}" if steps else "End one of two Swarms",
            why="While both live, each changes what it can reach, and workers follow one or the other.",
            steps=steps,
            touches=names,
            notes=(
                known.situation,
                "Fenced swarm directories stay beside the new ones: delete them only when all is well for good.",
            ),
            warnings=warnings,
            rules=rules,
            cluster_id=known.cluster_id,
            exclusive_hosts=_hosts(known),
            binding=binding_of(
                known.cluster_id,
                keeps,
                [(one.was.id, one.at.target, one.entry) for one in known.leaving],
                [str(rule) for rule in rules],
                warnings,
            ),
            nothing="" if steps else f"Nothing to do: there are no two Swarms. {known.situation}",
        )


def _hosts(known: SplitFacts) -> tuple[str, ...]:
    """Where nobody else works meanwhile."""
    seed = (known.seed,) if known.seed is not None else ()
    return tuple(at.target for at in (*seed, *known.staying, *(one.at for one in known.leaving)))


def _warnings(known: SplitFacts) -> tuple[str, ...]:
    found = []
    if known.lost:
        found.append(f"Only the Swarm that ends has: {listed(known.lost, SHOWN)}. It is lost with it.")
    if known.leaving:
        found.append("Whatever else was changed through the other Swarm since the two parted is lost.")
    if known.strangers:
        found.append(
            f"Workers that only the other Swarm knows do not come back by themselves: {', '.join(known.strangers)}. "
            "Afterwards: docker swarm leave there, then swarmtui run swarm.join."
        )
    return tuple(found)


def _steps(known: SplitFacts, seconds: int) -> tuple[Step, ...]:
    assert known.seed is not None
    seed = seed_of(known.seed, known.remote, known.cluster_id, (*known.staying, *(one.at for one in known.leaving)))
    steps: list[Step] = [
        Fence(
            id=f"fence-{one.was.id}",
            title=f"Fence {one.at.name}",
            why="Its Swarm ends, and cannot come back by itself. Its directory is moved, not deleted.",
            if_stopped="Two Swarms live side by side still; what runs goes on running."
            if number == 0
            else "The other Swarm has lost managers; those that are fenced come back by what `undo` shows.",
            node_id=one.was.id,
            name=one.at.name,
            at=one.at,
            job=known.job,
            root=one.root,
        )
        for number, one in enumerate(known.leaving)
    ]
    for one in known.leaving:
        steps += _back(seed, one, seconds)
    remote = ManagerAt(node_id=known.seed_id, addr=known.remote)
    steps += [
        replace(
            step,
            why="It followed the other Swarm, whose managers are of this one now and lead it here. Only if it does not "
            "come, it is told where to go: that restarts its Docker, and its containers.",
            if_stopped="There is one Swarm; workers that are not back run their containers, and take no orders.",
        )
        for step in worker_steps(known.workers, seed=seed, remotes=(remote,))
    ]
    steps.append(
        RealReplicas(
            id="replicas",
            title="Wait until every service really runs",
            why="Tasks that the other Swarm started are gone: what counts is what runs on nodes that are ready.",
            if_stopped="There is one Swarm, with all its managers.",
            seed=seed,
            seconds=max(seconds, 180),
        )
    )
    steps.append(
        OneLeader(
            id="one-leader",
            title="Ask every manager who leads",
            why="Only when all name the same one is there one Swarm again.",
            seed=seed,
            managers=(known.seed, *known.staying, *(one.at for one in known.leaving)),
        )
    )
    return tuple(steps)


def _back(seed: Seed, one: Leaving, seconds: int) -> list[Step]:
    """A fenced manager joins the Swarm that stays."""
    steps: list[Step] = []
    stopped = "The other Swarm is fenced; this one works, with fewer managers than it may have had."
    name = one.at.name
    if one.voter is not None:
        steps.append(
            led(
                seed,
                UpdateNode(
                    id=f"demote-{one.was.id}",
                    title=f"Take {name} out of the raft",
                    why="Its old entry counts for the quorum, and never answers again.",
                    if_stopped=stopped,
                    node_id=one.was.id,
                    name=one.was.id,
                    expected=one.voter,
                    wanted=msgspec.structs.replace(one.voter, role=Role.WORKER),
                ),
            )
        )
    if one.entry:
        steps.append(
            RemoveGone(
                id=f"remove-{one.was.id}",
                title=f"Remove the old entry of {name}",
                why="It joins under a new id; a stale entry makes its name ambiguous.",
                if_stopped=stopped,
                seed=seed,
                node_id=one.was.id,
                name=name,
            )
        )
    joining = join_back(seed, one.at, one.was, advertise=one.address, seconds=seconds)
    return [*steps, *(replace(step, if_stopped=step.if_stopped or stopped) for step in joining)]
