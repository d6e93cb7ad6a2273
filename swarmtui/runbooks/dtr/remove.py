"""The runbook dtr.remove: replicas leave gracefully, and the others know (procedures.md T6, ucp-dtr.md §2.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.link.dtr.errors import DtrError
from swarmtui.model.dtr.facts import COUNTS
from swarmtui.model.dtr.seen import Storage
from swarmtui.model.quorum import quorum_of, tolerance_of
from swarmtui.model.text import listed
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr.access import access, opened, password_of
from swarmtui.runbooks.dtr.commanding import INSECURE, Work, work_of
from swarmtui.runbooks.dtr.found import DtrAccess, Replica, through
from swarmtui.runbooks.dtr.leaving import clear_step, forget_balancer, wait_others
from swarmtui.runbooks.dtr.running import RunDtr, must_be_same
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Rule, Runbook, Step, Voice, binding_of
from swarmtui.session import Session

LOCAL: Final = "dtr-local-storage"


class RemoveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        wanted: the replicas that go. others: those that DTR counts in besides.
        trouble: why DTR's API does not answer; "" where it does.
        storage: where images lie; None where DTR does not tell. kind: of storage, where DTR tells that too.
        balancer: where DTR is reached through a load balancer; "" where that is not known.
    """

    cluster: str
    cluster_id: str
    work: Work
    wanted: tuple[Replica, ...]
    others: tuple[Replica, ...]
    trouble: str = ""
    storage: Storage | None = None
    kind: str = ""
    balancer: str = ""


class Remove(Runbook):
    name = "dtr.remove"
    summary = "take replicas out of DTR gracefully; all the others must be healthy"
    params: ClassVar[Sequence[Param]] = (
        Param("replica", "the replicas, by id or by node", params.names, "ID|NODE[,…]", required=True),
        INSECURE,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        await session.refresh()
        known = await access(session, ask=True)
        wanted = tuple({one.id: one for one in map(known.replica, params["replica"])}.values())
        ids = {one.id for one in wanted}
        return msgspec.to_builtins(  # type: ignore[no-any-return]
            RemoveFacts(
                cluster=known.cluster,
                cluster_id=known.cluster_id,
                work=await work_of(session, known, params),
                wanted=wanted,
                others=tuple(one for one in known.members if one.id not in ids),
                trouble=known.trouble,
                storage=known.told.storage if known.told is not None else None,
                kind=await storage_kind(session, known),
                balancer=known.balancer,
            )
        )

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, RemoveFacts)
        _refuse(known)
        ids = tuple(one.id for one in known.wanted)
        before, after = len(known.wanted) + len(known.others), len(known.others)
        product = known.work.version.product
        what = f"replica {ids[0]}" if len(ids) == 1 else f"replicas {listed(ids)}"
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Remove {what} from {product}",
            why="It leaves with the consent of the others, which take over what it led, and count it in no more.",
            steps=_steps(known),
            touches=ids,
            changes=(
                *(("bad", f"{one.shown}: its containers and volumes go.") for one in known.wanted),
                ("plain", f"Replicas: {before} ({may_be_lost(before)}) → {after} ({may_be_lost(after)})."),
            ),
            notes=_notes(known),
            warnings=_warnings(known),
            rules=(*known.work.way.rules, *_rules(known)),
            binding=binding_of(
                known.cluster_id, str(known.work.version), ids, [(one.id, one.health) for one in known.others]
            ),
        )


def _refuse(known: RemoveFacts) -> None:
    """Raises RefusedError where no replica can be removed."""
    version = known.work.version
    if known.trouble:
        ways = (
            "start the hosts that are down; else dtr.repair"
            if version.emergency_repair
            else ("start the hosts that are down; else, with 2.4, dtr.destroy of each replica and dtr.restore")
        )
        raise RefusedError(
            f"A replica is removed only while a majority is up to agree to it, and {version.product} does not answer: "
            f"{known.trouble.rstrip('.')}.",
            f"See what happened: swarmtui doctor. Where more than half are lost: {ways}.",
        )
    if gone := [one.shown for one in known.wanted if not one.member]:
        raise RefusedError(
            f"{version.product} does not count {listed(gone)} in: there is nothing to remove.",
            f"What lies there is cleared by: swarmtui run dtr.destroy replica={known.wanted[0].id}",
        )
    if not known.others:
        raise RefusedError(
            f"{listed([one.shown for one in known.wanted])} is all that is left of {version.product}: a replica leaves "
            "to others.",
            "Join another one first: swarmtui run dtr.join; or take all of it away: swarmtui run dtr.destroy",
        )
    if ill := [one for one in known.others if not one.well]:
        told = "; ".join(f"{one.shown}: {one.health or 'it says nothing'}" for one in ill)
        raise RefusedError(
            f"All other replicas must be healthy, and not all are ({told}).", _way_past(known, [*known.wanted, *ill])
        )
    if len(known.wanted) > 1 and not _agrees(known, len(known.wanted)):
        count = len(known.wanted) + len(known.others)
        raise RefusedError(
            f"{len(known.wanted)} of {count} replicas at once are too many: fewer than a majority would be left to "
            "agree to it.",
            _way_past(known, known.wanted),
        )


def _agrees(known: RemoveFacts, gone: int) -> bool:
    """Whether a majority is left to agree when so many go at once."""
    count = len(known.wanted) + len(known.others)
    return count - gone >= quorum_of(count)


def _way_past(known: RemoveFacts, going: Sequence[Replica]) -> str:
    """What to do, so that these can go: together where a majority stays, else those that are not well before others."""
    if _agrees(known, len(going)):
        return f"Mend them, or remove them with it: {_line(going)}"
    bad = [one for one in going if not one.well]
    if not bad:
        return f"Remove them one after the other: {_line(going[:1])}"
    if len(bad) == 1 or _agrees(known, len(bad)):
        return f"Remove {listed([one.id for one in bad])} before the others, which are well: {_line(bad)}"
    return f"Mend {listed([one.id for one in bad])} first, until more than half are well; then remove what is left bad."


def _line(going: Sequence[Replica]) -> str:
    return f"swarmtui run dtr.remove replica={','.join(one.id for one in going)}"


def may_be_lost(replicas: int) -> str:
    """How many of so many replicas may be lost, in words."""
    lost = tolerance_of(replicas)
    return f"{lost or 'none'} of them may be lost"


def _rules(known: RemoveFacts) -> tuple[Rule, ...]:
    if known.storage is None or known.storage.kind != "unnamed" or known.kind not in ("", "filesystem"):
        return ()
    unless = "" if known.kind else ", unless an object storage was set, which DTR does not tell"
    what = (
        f"Images lie on each replica's own disk{unless}: what was pushed to {listed([one.id for one in known.wanted])} "
        "and to no other is gone with it. Copy its volume dtr-registry-ID first."
    )
    return (Rule(LOCAL, known.wanted[0].id, what),)


def _warnings(known: RemoveFacts) -> tuple[str, ...]:
    found = []
    after = len(known.others)
    if after not in COUNTS:
        found.append(
            f"Then there are {after} replicas: an even number survives no more losses than one fewer. Join one."
        )
    elif after == 1:
        found.append("Then there is one replica: when it is lost, only a backup brings DTR back.")
    unseen = [one.shown for one in known.wanted if one.on is None]
    if unseen:
        found.append(
            f"What lies of {listed(unseen)} cannot be seen now: when that host comes back its containers "
            "start again. Clear it then: swarmtui run dtr.destroy"
        )
    if ill := [one for one in known.others if one.on is not None and not one.on.runs]:
        found.append(f"Not all components run of {listed([one.shown for one in ill])}.")
    return tuple(found)


def _notes(known: RemoveFacts) -> tuple[str, ...]:
    found = ["A replica that is not healthy is removed before another one joins; then: swarmtui run dtr.join"]
    if not known.balancer:
        found.append("Where the load balancer is reached is not known: take the replica out of it yourself.")
    return tuple(found)


def _steps(known: RemoveFacts) -> tuple[Step, ...]:
    work, ids = known.work, tuple(one.id for one in known.wanted)
    left = tuple(one.id for one in known.others)
    by = through(known.others)
    command = work.command("remove", ("existing-replica-id", by.id), ("replica-ids", ",".join(ids)))
    gone = f"{listed(ids)} {'is' if len(ids) == 1 else 'are'} out of DTR"
    steps: list[Step] = [
        work.pull,
        RemoveReplicas(
            id="remove",
            title=f"Remove {listed(ids)}, through {by.shown}",
            why="The healthy replica that is named agrees with the others that it goes.",
            danger=Danger.DESTRUCTIVE,
            **work.runs(command),
            nodes=tuple(one.on.node.at for one in (*known.wanted, by) if one.on is not None),
            gone=ids,
            stay=left,
            if_stopped="All replicas are counted in, as before.",
        ),
    ]
    steps += [clear_step(one, one.on.node) for one in known.wanted if one.on is not None]
    steps.append(
        wait_others(
            work,
            left,
            by,
            known.balancer,
            title=f"Wait until {listed(left)} {'is' if len(left) == 1 else 'are'} well without it",
            why="The tables that it led are led by others now; nothing else is to be changed before they are.",
            if_stopped=f"{gone}; the load balancer may still lead there.",
        )
    )
    steps += forget_balancer(
        work.at, known.balancer, known.wanted, len(left), title="See that the load balancer leads there no more"
    )
    return (*steps, work.clear)


async def storage_kind(session: Session, known: DtrAccess) -> str:
    """Which kind of storage DTR says that it uses; "" where it does not tell. Raises UsageError for no password."""
    if known.told is None:
        return ""
    try:
        async with await opened(session, known, password=await password_of(session, known)) as client:
            return await client.storage_kind()
    except DtrError:
        return ""


@dataclass(frozen=True, kw_only=True)
class RemoveReplicas(RunDtr):
    """Runs `remove`.

    Attributes:
        gone: the ids of the replicas that go. stay: those of the others.
    """

    gone: tuple[str, ...]
    stay: tuple[str, ...]

    async def made(self, session: Session) -> str:
        known = await access(session, again=True)
        if known.told is None or any(one.id in self.gone for one in known.members):
            return ""
        return f"DTR counts {listed(self.gone)} in no more."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        if not (await self.work.state(session)).alive:
            await must_be_same(session, self.stay, self.gone)
        await super().run(session, before, voice)

    async def left(self, session: Session) -> str:
        try:
            known = await access(session, again=True)
        except SwarmtuiError as error:
            return f"Then retry. {error.what}"
        now = listed([one.id for one in known.members])
        return f"DTR counts in {now} now. Mend what it names, then retry." if known.told is not None else known.trouble
