"""The runbook dtr.repair: one replica's volumes become the whole of DTR (procedures.md T8, ucp-dtr.md §2.4, §5.5 D)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.model.dtr.members import Noted
from swarmtui.model.quorum import quorum_of
from swarmtui.model.text import listed
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr.access import access
from swarmtui.runbooks.dtr.commanding import INSECURE, Work, work_of
from swarmtui.runbooks.dtr.found import DtrAccess, Replica
from swarmtui.runbooks.dtr.images import images_at, lost_images
from swarmtui.runbooks.dtr.leaving import forget_balancer, wait_others
from swarmtui.runbooks.dtr.noted import in_newest
from swarmtui.runbooks.dtr.running import RunDtr
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import ConflictError, Danger, Facts, Plan, Rule, Runbook, Step, Voice, binding_of
from swarmtui.session import Session

STARTABLE: Final = "dtr-others-left"
ALONE: Final = "dtr-database-runs"


class RepairFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        wanted: the replica that is kept. others: those that are given up.
        answers: DTR's API answers: nothing is lost. works: a replica says that it is well, whether the API tells or
            not. trouble: why the API does not.
        away: replicas that nobody sees and that may come back: id → node, "" where nobody noted it. lost: those of
            which nothing is left on their node, which answers. sure: DTR told, while it did, which ones there are.
        silent: name of a node → why it does not tell what lies there.
        balancer: where DTR is reached through a load balancer; "" where that is not known.
        images: where images lie, as `images_at` tells it.
    """

    cluster: str
    cluster_id: str
    work: Work
    wanted: Replica
    others: tuple[Replica, ...]
    answers: bool = False
    works: bool = False
    trouble: str = ""
    away: dict[str, str] = {}
    lost: dict[str, str] = {}
    sure: bool = False
    silent: dict[str, str] = {}
    balancer: str = ""
    images: str = ""

    @property
    def kept(self) -> tuple[Replica, ...]:
        """The others whose database lies on a node."""
        return tuple(other for other in self.others if other.on is not None and other.on.data)

    @property
    def up(self) -> tuple[Replica, ...]:
        """All whose database lies on a node, and runs."""
        return tuple(one for one in (self.wanted, *self.kept) if one.on is not None and one.on.data and one.up)

    @property
    def needed(self) -> int:
        """How many DTR needs to work: a majority of all that it has, also of those that nobody sees."""
        return quorum_of(1 + len(self.kept) + len(self.away) + len(self.lost))

    @property
    def guessed(self) -> bool:
        """Whether the replica that is kept is all that anybody knows of: there may have been others."""
        return not self.sure and not self.kept


class Repair(Runbook):
    name = "dtr.repair"
    summary = "make DTR whole again from one replica, after more than half were lost (2.5 and later)"
    params: ClassVar[Sequence[Param]] = (
        Param("replica", "the replica that is kept, by id or by node", params.text, "ID|NODE", required=True),
        Param("prune", "also delete the volumes of all others", params.yes_or_no, "true|false", default=False),
        Param("overlay-subnet", "subnet for the network dtr-ol, where it is made anew", params.text, "CIDR"),
        INSECURE,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        snapshot = await session.refresh()
        known = await access(session, ask=True)
        refuse_version(known)
        wanted = known.replica(params["replica"])
        named = {node.id: node.name for node in snapshot.nodes.values()}
        counted = known.counted(await in_newest(session) if known.told is None else Noted())
        return msgspec.to_builtins(  # type: ignore[no-any-return]
            RepairFacts(
                cluster=known.cluster,
                cluster_id=known.cluster_id,
                work=await work_of(session, known, params),
                wanted=wanted,
                others=tuple(one for one in known.replicas if one.id != wanted.id),
                answers=known.told is not None,
                works=known.works,
                trouble=known.trouble,
                away={one: node for one, node in counted.away.items() if one != wanted.id},
                lost={one: node for one, node in counted.lost.items() if one != wanted.id},
                sure=counted.sure,
                silent={named.get(node, node): why for node, why in known.silent.items()},
                balancer=known.balancer,
                images=await images_at(session, known),
            )
        )

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, RepairFacts)
        _refuse(known)
        one, product = known.wanted, known.work.version.product
        prune = params.get("prune", False)
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Repair {product} from replica {one.shown}",
            why="Its database becomes the whole of DTR, as it was on this replica; then others join again.",
            steps=_steps(known, params),
            touches=(one.id,),
            changes=tuple(
                ("bad", f"{other.shown}: its containers go{', and its volumes' if prune else ''}.")
                for other in known.others
            ),
            notes=(
                "Nobody can say whether this replica had the newest of everything: what only others had is lost.",
                "Then join replicas until there are 3, 5 or 7 again: swarmtui run dtr.join",
                *(() if prune else ("Volumes of the others stay where they are; clear them when DTR is well: "
                                    "swarmtui run dtr.destroy",)),
            ),
            warnings=tuple(
                f"{node} does not tell what lies there ({why.rstrip('.')}): where a replica comes back with it later, "
                "destroy that one: it does not know that it was given up."
                for node, why in known.silent.items()
            ),
            rules=(*known.work.way.rules, *_rules(known), *_images(known, prune)),
            binding=binding_of(
                known.cluster_id, str(known.work.version), one.id, [other.id for other in known.others], prune
            ),
        )  # fmt: skip


def refuse_version(known: DtrAccess) -> None:
    """Raises RefusedError where this version has no such command: its ways are others."""
    version = known.release
    if not version.emergency_repair:
        raise RefusedError(
            f"{version.product} has no emergency-repair: it came with 2.5.",
            "First start the hosts and containers that are down: a majority brings all back. Where they are lost for "
            "good: swarmtui run dtr.destroy replica=… for each that is left, then swarmtui run dtr.restore",
        )


def _refuse(known: RepairFacts) -> None:
    one = known.wanted
    if known.answers:
        bad = [other.id for other in known.others if other.member and not other.well]
        way = f"swarmtui run dtr.remove replica={','.join(bad)}, then dtr.join" if bad else "Nothing is to be repaired."
        raise RefusedError(
            f"{known.work.version.product} answers: a majority of its replicas is up, and a repair would give up the "
            "others.",
            way,
        )
    if known.works:
        raise RefusedError(
            f"{known.work.version.product} says by /_ping that it is well, so a majority of its replicas is up, and a "
            f"repair would give up the others; only its API does not tell more: {known.trouble.rstrip('.')}.",
            f"Mend that first: swarmtui doctor; swarmtui secrets set ucp-password {known.cluster}",
        )
    if one.on is None or not one.on.data:
        left = [other.shown for other in known.kept]
        raise RefusedError(
            f"The database of replica {one.shown} is on no node that answers, and a repair begins from it.",
            f"It is there for {listed(left)}: name one of these."
            if left
            else "Restore a backup: swarmtui run dtr.restore",
        )
    if len(known.up) >= known.needed and not known.guessed:
        raise RefusedError(
            f"The database runs on {listed([each.shown for each in known.up])}, which is a majority, and still DTR "
            f"does not answer: {known.trouble.rstrip('.')}.",
            "Mend that first: swarmtui doctor; docker logs of dtr-nginx, dtr-api and dtr-rethinkdb on those nodes. A "
            "repair is for a majority that is lost.",
        )


def _rules(known: RepairFacts) -> tuple[Rule, ...]:
    """That gentler ways may be left: enough other replicas still have their data."""
    found = []
    if known.guessed and known.up:
        what = (
            f"The database of {known.wanted.shown} runs, and nobody noted which other replicas there were: where it "
            "was the only one, nothing is lost, and a repair mends nothing. See why it is silent: swarmtui doctor"
        )
        found.append(Rule(ALONE, known.wanted.id, what))
    kept, unseen = known.kept, set(known.away.values()) | set(known.silent)
    maybe = len(kept) + len(known.away) + len(set(known.silent) - set(known.away.values()))
    if not maybe or 1 + maybe < known.needed:
        return tuple(found)
    told = listed([other.shown for other in kept])
    cannot = listed(sorted(filter(None, unseen))) or listed(list(known.away))
    where = f"The databases of {told} are still there" if kept else f"{cannot} cannot be asked"
    what = (
        f"{where}: where their hosts, Docker and containers can be started, a majority comes back with nothing lost. A "
        "repair gives them up."
    )
    return (*found, Rule(STARTABLE, known.wanted.id, what))


def _images(known: RepairFacts, prune: bool) -> Iterator[Rule]:
    """That images go with the volumes of the others."""
    if prune:
        yield from lost_images([other.on for other in known.others if other.on is not None], known.images)


def _steps(known: RepairFacts, params: Mapping[str, Any]) -> tuple[Step, ...]:
    work, one = known.work, known.wanted
    assert one.on is not None
    options = [("existing-replica-id", one.id), ("yes", "")]
    options += [("prune", "")] if params.get("prune") else []
    options += [("overlay-subnet", params["overlay-subnet"])] if params.get("overlay-subnet") else []
    after = f"DTR is made anew from {one.id}, or partly; others do not belong to it any more."
    steps: list[Step] = [
        work.pull,
        RepairFrom(
            id="repair",
            title=f"Repair DTR from {one.shown}",
            why="The containers of all other replicas are removed, and this one's database counts alone.",
            danger=Danger.DESTRUCTIVE,
            **work.runs(work.command("emergency-repair", *options)),
            nodes=(one.on.node.at,),
            replica=one,
            needed=known.needed,
            if_stopped="DTR does not answer, as before; nothing was given up.",
        ),
        wait_others(
            work,
            (one.id,),
            one,
            known.balancer,
            title=f"Wait until {one.id} is well, alone",
            why="Nothing may join before.",
            if_stopped=after,
        ),
    ]
    steps += forget_balancer(
        work.at, known.balancer, known.others, 1, title="See that the load balancer leads only there"
    )
    return (*steps, work.clear)


@dataclass(frozen=True, kw_only=True)
class RepairFrom(RunDtr):
    """Runs `emergency-repair`.

    Attributes:
        replica: the one that is kept.
        needed: how many databases make DTR work again.
    """

    replica: Replica
    needed: int

    async def made(self, session: Session) -> str:
        known = await access(session, again=True)
        if known.told is None or [one.id for one in known.members] != [self.replica.id]:
            return ""
        return f"DTR answers, and counts in {self.replica.shown} alone."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        if not (await self.work.state(session)).alive and not await self.phase_2(session):
            known = await access(session, again=True)
            now = [one.id for one in known.members]
            if known.told is not None and now != [self.replica.id]:
                raise ConflictError(
                    f"DTR answers again, and counts in {listed(now)}: a repair would give up what came back.",
                    "Look how it is: swarmtui doctor",
                )
            up = [one for one in known.members if one.up]
            if known.told is None and 1 < self.needed <= len(up):
                raise ConflictError(
                    f"The database runs on {listed([one.shown for one in up])} now, which is a majority: a repair "
                    "would give up what came back.",
                    "Look how it is: swarmtui doctor",
                )
        await super().run(session, before, voice)

    async def left(self, session: Session) -> str:
        return f"DTR is made from the volumes of {self.replica.shown}: leave them. Mend what it names, then retry."
