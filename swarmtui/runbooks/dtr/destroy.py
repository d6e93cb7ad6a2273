"""The runbook dtr.destroy: a replica goes by force, and nobody tells the others (procedures.md T6, ucp-dtr.md §2.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.model.dtr.facts import Version
from swarmtui.model.dtr.members import Noted
from swarmtui.model.quorum import quorum_of
from swarmtui.model.text import listed
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr.access import access
from swarmtui.runbooks.dtr.commanding import INSECURE, Work, work_of
from swarmtui.runbooks.dtr.found import DtrAccess, Replica
from swarmtui.runbooks.dtr.hosts import look_at_all
from swarmtui.runbooks.dtr.images import images_at, lost_images
from swarmtui.runbooks.dtr.leaving import clear_step
from swarmtui.runbooks.dtr.lives import Lost, key
from swarmtui.runbooks.dtr.noted import in_newest
from swarmtui.runbooks.dtr.running import RunDtr
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Rule, Runbook, Step, binding_of
from swarmtui.runbooks.ucp.places import Place
from swarmtui.session import Session

REMOVABLE: Final = "dtr-removable"
COUNTED: Final = "dtr-counted-in"
LAST: Final = "dtr-last-data"
STOPS: Final = "dtr-stops"


class DestroyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        wanted: the replica that goes. others: those that DTR counts in besides, or whose database lies on a node.
        version: of DTR, as text; "" where nothing tells it: only volumes are left.
        work: None where UCP or the version is not to be had, and `without` says why: then the hosts are cleared only.
        trouble: why DTR's API does not answer; "" where it does. works: a replica says all the same that it is well.
        needed: how many databases DTR needs to work, by all replicas that anybody knows of; 0 where nobody looked.
        images: where images lie, as `images_at` tells it.
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
    works: bool = False
    needed: int = 0
    images: str = ""
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
                works=known.works,
                needed=known.counted(await in_newest(session) if known.told is None else Noted()).needed,
                images=await images_at(session, known),
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
            steps=destroy_steps(one, one.on.node, known.work, _lost(known)),
            touches=(one.id,),
            changes=(("bad", f"{one.on.words} go."),),
            notes=(lost, *_notes(known)),
            warnings=_warnings(known),
            rules=(
                *(known.work.way.rules if known.work is not None else ()),
                *_rules(known),
                *lost_images((one.on,), known.images),
            ),
            binding=binding_of(
                known.cluster_id, one.id, one.on.node.id, one.on.volumes, [other.id for other in known.others]
            ),
        )


def _lost(known: DestroyFacts) -> Lost | None:
    """What must still be lost when it goes; None where DTR counted it in, and who destroys it knew that."""
    one = known.wanted
    if not known.trouble:
        return None if one.member else Lost(needed=0, replica=one.id)
    there = [each for each in (one, *known.others) if each.on is not None]
    needed = known.needed or quorum_of(len(known.others) + 1)
    # Where a majority ran and DTR did not answer all the same, that it runs is nothing new.
    ran = sum(each.on.database for each in there if each.on is not None)
    return Lost(needed=needed if ran < needed else 0, lay=tuple(key(each) for each in there), replica=one.id)


async def _work(session: Session, known: DtrAccess, params: Mapping[str, Any]) -> tuple[Work | None, str]:
    """How the command gets to UCP, or why there is none: then the hosts' own engines will do."""
    try:
        return await work_of(session, known, params), ""
    except SwarmtuiError as error:
        return None, error.what


def _rules(known: DestroyFacts) -> tuple[Rule, ...]:
    one = known.wanted
    if known.trouble:
        return _without_word(known) if known.works else _without_quorum(known)
    if not one.member:
        return ()
    stops = _stops(known)
    if known.others and all(other.well for other in known.others):
        what = (
            f"DTR works, and {one.id} can be removed gracefully: swarmtui run dtr.remove replica={one.id}. Destroyed, "
            "it is counted in all the same, and the others wait for it."
        )
        return (Rule(REMOVABLE, one.id, what), *stops)
    if not known.others:
        return (Rule(LAST, one.id, f"{one.id} is all of DTR: then only a backup brings its metadata back."),)
    what = (
        f"DTR counts {one.id} in, and will go on doing so: of {len(known.others) + 1} replicas a majority must stay up."
    )
    return stops or (Rule(COUNTED, one.id, what),)


def _stops(known: DestroyFacts) -> tuple[Rule, ...]:
    """That DTR works only as long as this one does."""
    one, count = known.wanted, len(known.others) + 1
    left = [other for other in known.others if other.well and other.up]
    needed = quorum_of(count)
    if not known.others or not (one.well or one.up) or len(left) >= needed:
        return ()
    ill = [other for other in known.others if other not in left]
    mend = (
        f" First mend {listed([other.shown for other in ill])}, or take that out: swarmtui run dtr.remove "
        f"replica={','.join(other.id for other in ill)}"
        if ill
        else ""
    )
    what = (
        f"DTR stops now: it counts {one.id} in, destroyed or not, and of its {count} replicas {len(left)} "
        f"{'is' if len(left) == 1 else 'are'} left that {'is' if len(left) == 1 else 'are'} well, where {needed} are "
        f"needed.{mend}"
    )
    return (Rule(STOPS, one.id, what),)


def _without_word(known: DestroyFacts) -> tuple[Rule, ...]:
    """That DTR works, and may count in what goes."""
    one = known.wanted
    if one.on is None or not (one.on.data or one.on.database):
        return ()
    what = (
        f"DTR works, and does not tell whether it counts {one.id} in, of whose database a copy lies here "
        f"({known.trouble.rstrip('.')}): destroyed, it is counted in all the same, and DTR may stop. Have it tell "
        f"first: swarmtui doctor; then swarmtui run dtr.remove replica={one.id}"
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


def destroy_steps(
    replica: Replica, node: Place, work: Work | None, lost: Lost | None, keep: tuple[str, ...] = ()
) -> tuple[Step, ...]:
    """The steps after which nothing of a replica is left on a node; a restore begins with them too.

    Args:
        work: how the image's command gets to UCP; None where it cannot: then the host is cleared only.
        lost: what must still be lost then; None where it may live.
        keep: volumes that stay, which the image's command would remove too: so only the host is cleared.
    """
    clear = clear_step(
        replica,
        node,
        why="What lies there would be in the way of a replica that joins or is restored, or come back to life with the "
        "host.",
        skippable=False,
        lost=lost,
        keep=keep,
    )
    if work is None or keep or replica.on is None or not replica.on.parts:
        # The command finds a replica by its containers alone.
        return (clear,)
    return (
        work.pull,
        DestroyReplica(
            id=f"destroy-{replica.id}",
            title=f"Destroy replica {replica.id} on {node.name}",
            why="UCP removes its containers and volumes.",
            danger=Danger.DESTRUCTIVE,
            **work.runs(work.command("destroy", ("replica-id", replica.id))),
            nodes=(node.at,),
            replica_id=replica.id,
            node=node,
            lost=lost,
            if_stopped=f"Replica {replica.id} is there, as it was.",
        ),
        clear,
        work.clear,
    )


@dataclass(frozen=True, kw_only=True)
class DestroyReplica(RunDtr):
    """Runs `destroy`. What it leaves, of volumes mostly, is for the step after it.

    Attributes:
        lost: what must still be lost; None where it may live.
    """

    replica_id: str
    node: Place
    lost: Lost | None

    async def look_again(self, session: Session, *, tried: bool) -> None:
        if self.lost is not None:
            await self.lost.must(session)

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
