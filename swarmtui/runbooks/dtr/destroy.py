"""The runbook dtr.destroy: a replica goes by force, and nobody tells the others (procedures.md T6, ucp-dtr.md §2.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.model.dtr.facts import Version
from swarmtui.model.text import listed
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr.access import access
from swarmtui.runbooks.dtr.commanding import INSECURE, Work, work_of
from swarmtui.runbooks.dtr.found import DtrAccess, Replica
from swarmtui.runbooks.dtr.hosts import look_at_all
from swarmtui.runbooks.dtr.leaving import clear_step
from swarmtui.runbooks.dtr.running import RunDtr
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Rule, Runbook, Step, binding_of
from swarmtui.runbooks.ucp.places import Place
from swarmtui.session import Session

REMOVABLE: Final = "dtr-removable"
COUNTED: Final = "dtr-counted-in"
LAST: Final = "dtr-last-data"


class DestroyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        wanted: the replica that goes. others: those that DTR counts in besides, or whose database lies on a node.
        version: of DTR, as text; "" where nothing tells it: only volumes are left.
        work: None where UCP or the version is not to be had, and `without` says why: then the hosts are cleared only.
        trouble: why DTR's API does not answer; "" where it does.
        silent: how many nodes do not tell what lies there.
    """

    cluster: str
    cluster_id: str
    wanted: Replica
    others: tuple[Replica, ...]
    version: str = ""
    work: Work | None = None
    without: str = ""
    trouble: str = ""
    silent: int = 0


class Destroy(Runbook):
    name = "dtr.destroy"
    summary = "take a replica away by force, and what is left of it; only where it cannot be removed"
    params: ClassVar[Sequence[Param]] = (
        Param("replica", "the replica, by id or by node", params.text, "ID|NODE", required=True),
        INSECURE,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        await session.refresh()
        known = await access(session, ask=True)
        wanted = known.replica(params["replica"])
        work, without = await _work(session, known, params)
        return msgspec.to_builtins(  # type: ignore[no-any-return]
            DestroyFacts(
                cluster=known.cluster,
                cluster_id=known.cluster_id,
                wanted=wanted,
                others=tuple(one for one in known.members if one.id != wanted.id),
                version=known.version,
                work=work,
                without=without,
                trouble=known.trouble,
                silent=len(known.silent),
            )
        )

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, DestroyFacts)
        one = known.wanted
        if one.on is None:
            raise RefusedError(
                f"Nothing of replica {one.shown} is on any node that answers: there is nothing to destroy.",
                "Where its host is down, do it when that is back. Where DTR still counts it in: swarmtui run "
                f"dtr.remove replica={one.id}",
            )
        data = f"dtr-rethink-{one.id}"
        lost = f"The volume of its database, {data}, is there." if one.on.data else "Of its database nothing is left."
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Destroy replica {one.shown}",
            why="Its containers and volumes go by force. The others are not told: where they count it in, they go on "
            "waiting for it.",
            steps=destroy_steps(one, one.on.node, known.work),
            touches=(one.id,),
            changes=(("bad", f"{one.on.words} go."),),
            notes=(lost, *_notes(known)),
            warnings=_warnings(known),
            rules=(*(known.work.way.rules if known.work is not None else ()), *_rules(known)),
            binding=binding_of(
                known.cluster_id, one.id, one.on.node.id, one.on.volumes, [other.id for other in known.others]
            ),
        )


async def _work(session: Session, known: DtrAccess, params: Mapping[str, Any]) -> tuple[Work | None, str]:
    """How the command gets to UCP, or why there is none: then the hosts' own engines will do."""
    try:
        return await work_of(session, known, params), ""
    except SwarmtuiError as error:
        return None, error.what


def _rules(known: DestroyFacts) -> tuple[Rule, ...]:
    one = known.wanted
    if known.trouble:
        return _without_quorum(known)
    if not one.member:
        return ()
    if known.others and all(other.well for other in known.others):
        what = (
            f"DTR works, and {one.id} can be removed gracefully: swarmtui run dtr.remove replica={one.id}. Destroyed, "
            "it is counted in all the same, and the others wait for it."
        )
        return (Rule(REMOVABLE, one.id, what),)
    if not known.others:
        return (Rule(LAST, one.id, f"{one.id} is all of DTR: then only a backup brings its metadata back."),)
    what = (
        f"DTR counts {one.id} in, and will go on doing so: of {len(known.others) + 1} replicas a majority must stay up."
    )
    return (Rule(COUNTED, one.id, what),)


def _without_quorum(known: DestroyFacts) -> tuple[Rule, ...]:
    one = known.wanted
    if one.on is None or not one.on.data:
        return ()
    others = [other.shown for other in known.others if other.on is not None and other.on.data]
    version = known.work.version if known.work is not None else _version(known.version)
    if version is not None and version.emergency_repair:
        way = f"from it {version.product} can be made whole again: swarmtui run dtr.repair replica={one.id}"
    else:
        way = "starting the hosts and containers that are down may bring DTR back, with nothing lost"
    elsewhere = f"; another lies on {listed(others)}" if others else ", and no other is known"
    what = f"DTR does not answer, and a copy of its database lies here{elsewhere}: {way}."
    return (Rule(LAST, one.id, what),)


def _version(text: str) -> Version | None:
    try:
        found = Version.parse(text)
    except ValueError:
        return None
    return found if found.supported else None


def _notes(known: DestroyFacts) -> tuple[str, ...]:
    if known.work is None:
        return (f"It is done on the host itself, without DTR's own command: {known.without}",)
    return ("Where containers of it are there the image's own command runs first; what that leaves goes after it.",)


def _warnings(known: DestroyFacts) -> tuple[str, ...]:
    found = []
    if known.trouble:
        found.append(f"Whether DTR counts it in is not known: {known.trouble}")
    if known.silent:
        nodes = f"{known.silent} node does" if known.silent == 1 else f"{known.silent} nodes do"
        found.append(f"{nodes} not tell what lies there.")
    return tuple(found)


def destroy_steps(replica: Replica, node: Place, work: Work | None) -> tuple[Step, ...]:
    """The steps after which nothing of a replica is left on a node; a restore begins with them too.

    Args:
        work: how the image's command gets to UCP; None where it cannot: then the host is cleared only.
    """
    clear = clear_step(
        replica,
        node,
        why="What lies there would be in the way of a replica that joins or is restored, or come back to life with the "
        "host.",
        skippable=False,
    )
    if work is None or replica.on is None or not replica.on.parts:
        # The command finds a replica by its containers alone.
        return (clear,)
    return (
        work.pull,
        DestroyReplica(
            id=f"destroy-{replica.id}",
            title=f"Destroy replica {replica.id} on {node.name}",
            why="UCP removes its containers and volumes.",
            danger=Danger.DESTRUCTIVE,
            at=work.at,
            command=work.command("destroy", ("replica-id", replica.id)),
            job_id=work.job_id,
            username=work.way.username,
            nodes=(node.at,),
            replica_id=replica.id,
            node=node,
            if_stopped=f"Replica {replica.id} is there, as it was.",
        ),
        clear,
        work.clear,
    )


@dataclass(frozen=True, kw_only=True)
class DestroyReplica(RunDtr):
    """Runs `destroy`. What it leaves, of volumes mostly, is for the step after it."""

    replica_id: str
    node: Place

    async def made(self, session: Session) -> str:
        looked = await look_at_all(session, (self.node,))
        if looked.silent or any(one.parts for one in looked.of(self.replica_id)):
            return ""
        return f"No container of replica {self.replica_id} is on {self.node.name}."

    async def left(self, session: Session) -> str:
        return (
            f"Where it says that there is no such replica, UCP does not see {self.node.name}: look at that node. Else "
            "mend what it names, then retry."
        )
