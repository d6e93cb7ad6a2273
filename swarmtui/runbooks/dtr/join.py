"""The runbook dtr.join: another replica, of the same version, on a worker of its own (procedures.md T3)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.model.dtr.facts import COUNTS, replica
from swarmtui.model.dtr.seen import Storage
from swarmtui.model.text import listed
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr import running, settings
from swarmtui.runbooks.dtr.access import access
from swarmtui.runbooks.dtr.commanding import INSECURE, Work, work_of
from swarmtui.runbooks.dtr.found import Replica, through
from swarmtui.runbooks.dtr.hosts import look_at_all
from swarmtui.runbooks.dtr.image import Command
from swarmtui.runbooks.dtr.install import LEAK
from swarmtui.runbooks.dtr.leaving import WaitOthers
from swarmtui.runbooks.dtr.new_node import Judged, NewNode, judge, look_at_node
from swarmtui.runbooks.dtr.new_replica import CreateReplica, wait_balancer, wait_replica
from swarmtui.runbooks.dtr.remove import LOCAL, may_be_lost, storage_kind
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Rule, Runbook, Step, binding_of
from swarmtui.session import Session


class JoinFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts for joining a replica.

    Attributes:
        node: where it is put. replica_id: what it will be called.
        members: the replicas that DTR counts in. leftovers: what else lies on nodes.
        versions: that replicas run.
        trouble: why DTR's API does not answer; "" where it does.
        storage: where images lie; None where DTR does not tell. kind: of storage, where DTR tells that too.
        url: external URL, else where DTR is reached through a load balancer; "" where neither is known.
    """

    cluster: str
    cluster_id: str
    work: Work
    node: NewNode
    replica_id: str
    members: tuple[Replica, ...]
    leftovers: tuple[Replica, ...] = ()
    versions: tuple[str, ...] = ()
    trouble: str = ""
    storage: Storage | None = None
    kind: str = ""
    url: str = ""


class Join(Runbook):
    name = "dtr.join"
    summary = "join another replica to DTR (MSR), on a worker of its own; the load balancer learns it last"
    params: ClassVar[Sequence[Param]] = (
        Param("node", "the worker that it is put on", params.text, "NODE", required=True),
        settings.HTTP,
        settings.HTTPS,
        Param("replica", "its id; else a random one", replica, "12 HEX DIGITS"),
        INSECURE,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        await session.refresh()
        known = await access(session, ask=True)
        work = await work_of(session, known, params)
        storage = known.told.storage if known.told is not None else None
        images = storage.where if storage is not None else ""
        node = await look_at_node(session, params["node"], work.version, work.at, await look_at_all(session), images)
        built: Facts = msgspec.to_builtins(
            JoinFacts(
                cluster=known.cluster,
                cluster_id=known.cluster_id,
                work=work,
                node=node,
                replica_id=params.get("replica") or secrets.token_hex(6),
                members=known.members,
                leftovers=known.leftovers,
                versions=tuple(sorted(known.versions)),
                trouble=known.trouble,
                storage=storage,
                kind=await storage_kind(session, known),
                url=known.external or known.balancer,
            )
        )
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, JoinFacts)
        known.work.way.must(known.cluster)
        _refuse(known)
        judged = judge(known.node, known.work.version, params["http-port"], params["https-port"])
        rules = tuple(_rules(known, judged))
        before, product = len(known.members), known.work.version.product
        after = before + 1
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Join a replica of {product} on {known.node.name}",
            why="It gets a copy of every table; with three replicas one may be lost, with five two.",
            steps=tuple(_steps(known, params)),
            touches=(known.node.name,),
            changes=(("plain", f"Replicas: {before} ({may_be_lost(before)}) → {after} ({may_be_lost(after)})."),),
            notes=(*_notes(known, params), *judged.notes),
            warnings=(*_warnings(known), *judged.warnings),
            rules=rules,
            binding=binding_of(
                known.cluster_id, str(known.work.version), known.node.place.id, params.get("replica", ""),
                params["http-port"], params["https-port"], known.work.way.url, [str(rule) for rule in rules],
                [(one.id, one.health) for one in known.members],
            ),
        )  # fmt: skip


def _refuse(known: JoinFacts) -> None:
    product = known.work.version.product
    if known.trouble or not known.members:
        way = "dtr.repair" if known.work.version.emergency_repair else "dtr.destroy of each replica and dtr.restore"
        raise RefusedError(
            f"A replica joins a DTR that is healthy, and {product} does not answer: "
            f"{known.trouble.rstrip('.') or 'it counts no replica in'}.",
            f"See what happened: swarmtui doctor. Start the hosts that are down; where a majority is lost: {way}.",
        )
    if len(known.versions) > 1:
        raise RefusedError(
            f"The replicas run several versions ({listed(known.versions)}): a new one could be of none of them.",
            "Finish the upgrade first: it can be run again after it was broken off.",
        )
    if ill := [one for one in known.members if not one.well]:
        told = "; ".join(f"{one.shown}: {one.health or 'it says nothing'}" for one in ill)
        raise RefusedError(
            f"A replica that is not healthy is removed before another one joins, or the cluster may split: {told}.",
            f"swarmtui run dtr.remove replica={','.join(one.id for one in ill)}",
        )
    if known.replica_id in {one.id for one in (*known.members, *known.leftovers)}:
        raise RefusedError(
            f"There is a replica {known.replica_id} already, or something of one.", "Take another id, or none."
        )


def _rules(known: JoinFacts, judged: Judged) -> Iterator[Rule]:
    yield from known.work.way.rules
    yield from judged.as_rules
    if known.storage is None or known.storage.kind != "unnamed" or known.kind not in ("", "filesystem"):
        return
    unless = "" if known.kind else ", unless an object storage was set, which DTR does not tell"
    what = (
        f"Images lie on each replica's own disk{unless}: what is pushed to one is missing on the others, and pulls "
        "fail at random. Set a shared storage first: swarmtui run dtr.storage"
    )
    yield Rule(LOCAL, known.node.name, what)


def _warnings(known: JoinFacts) -> Iterator[str]:
    version, after = known.work.version, len(known.members) + 1
    if version.leaks:
        yield LEAK.format(product=version.product)
    if after > COUNTS[-1]:
        yield f"Then there are {after} replicas: more than {COUNTS[-1]} are slower, and no safer."
    elif after not in COUNTS:
        yield f"Then there are {after} replicas: an even number survives no more losses than one fewer. Join one more."
    if known.storage is not None and known.storage.kind == "volume":
        yield (
            f"Images lie in the volume {known.storage.where}: on {known.node.name} a volume of that name must be the "
            "same shared folder, and be there before."
        )
    if known.leftovers:
        first = known.leftovers[0].id
        yield (
            f"Something is left of {listed([one.shown for one in known.leftovers])}, which DTR does not count in. "
            f"Clear it: swarmtui run dtr.destroy replica={first}"
        )
    if not known.url:
        yield "Where the load balancer is reached is not known: tell it of the new replica yourself."


def _notes(known: JoinFacts, params: Mapping[str, Any]) -> Iterator[str]:
    if told := _command(known, params).exposure:
        yield told
    if known.storage is not None and known.storage.kind == "nfs":
        yield f"{known.node.name} must reach {known.storage.where}, and have what mounts NFS (nfs-common, nfs-utils)."


def _command(known: JoinFacts, params: Mapping[str, Any]) -> Command:
    return known.work.command(
        "join",
        ("ucp-node", known.node.hostname),
        ("replica-id", known.replica_id),
        ("existing-replica-id", through(known.members).id),
        *settings.ports_flags(params["http-port"], params["https-port"]),
    )


def _steps(known: JoinFacts, params: Mapping[str, Any]) -> Iterator[Step]:
    work, node = known.work, known.node
    stay = tuple(one.id for one in known.members)
    yield work.pull
    yield JoinReplica(
        id="join",
        title=f"Join a replica on {node.name}",
        why="UCP starts its second phase on that node; the tables are then copied to it.",
        **work.runs(_command(known, params)),
        nodes=(node.place.at,),
        node=node.place,
        replica_id=known.replica_id,
        https=params["https-port"],
        stay=stay,
        if_stopped=f"DTR works as before; a try that was broken off may have left parts of a replica on {node.name}.",
    )
    https = params["https-port"]
    joined = "The replica has joined, and may still be starting; the load balancer does not lead to it yet."
    yield wait_replica(node, known.replica_id, https, if_stopped=joined)
    yield WaitOthers(
        id="counted",
        title=f"Wait until DTR counts in all {len(stay) + 1} replicas, and all are well",
        why="Before the tables are copied a loss would hit as if it had not joined.",
        ids=(*stay, known.replica_id),
        url=known.url or through(known.members).url,
        username=work.way.username,
        at=node.place.at,
        https=https,
    )
    if known.url:
        yield wait_balancer(
            work,
            node,
            known.replica_id,
            https,
            known.url,
            title="See whether the load balancer leads to the new replica",
            why="Only its operator can tell it; until then the new replica takes no load, and saves nobody.",
            if_stopped="The replica has joined and is well; the load balancer does not lead to it yet.",
        )
    yield work.clear


@dataclass(frozen=True, kw_only=True)
class JoinReplica(CreateReplica):
    """Runs `join`. stay: the ids of the replicas that it joins."""

    stay: tuple[str, ...]

    async def look_again(self, session: Session, *, tried: bool) -> None:
        seconds = running.SETTLE_SECONDS if tried else 0.0
        await running.must_be_same(session, self.stay, (self.replica_id,), seconds=seconds)

    async def way_off(self, session: Session) -> str:
        destroy = await super().way_off(session)
        remove = f"swarmtui run dtr.remove replica={self.replica_id}"
        try:
            told = (await access(session, again=True)).told
        except SwarmtuiError:
            told = None
        if told is None:
            return f"{destroy}; or, where DTR counts it in: {remove}"
        if self.replica_id not in told.members:
            return f"DTR does not count it in. {destroy}"
        return f"DTR counts it in already: destroyed, it would be waited for. Take it out, then retry: {remove}"
