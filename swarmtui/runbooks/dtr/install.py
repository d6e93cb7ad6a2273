"""The runbook dtr.install: the first replica of DTR, on a worker of its own (procedures.md T1)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.link import jobs
from swarmtui.link.https import endpoint
from swarmtui.model.dtr import facts
from swarmtui.model.preflight import Level
from swarmtui.model.text import listed
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr import settings
from swarmtui.runbooks.dtr.commanding import INSECURE, Work
from swarmtui.runbooks.dtr.elsewhere import Elsewhere, look_elsewhere
from swarmtui.runbooks.dtr.hosts import look_at_all
from swarmtui.runbooks.dtr.image import Command
from swarmtui.runbooks.dtr.new_node import Judged, NewNode, judge, look_at_node
from swarmtui.runbooks.dtr.new_replica import CreateReplica, wait_balancer, wait_replica
from swarmtui.runbooks.dtr.settings import LOCAL
from swarmtui.runbooks.dtr.way import way_to_ucp
from swarmtui.runbooks.dtr.where import at
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Rule, Runbook, Step, binding_of
from swarmtui.runbooks.ucp import own_certificates
from swarmtui.runbooks.ucp.own_certificates import OwnCertificates
from swarmtui.session import Session
from swarmtui.vault import Secret

LEAK = (
    "{product} (2.2 to 2.4.1) writes credentials into the logs of what its backup and join start: so everything runs "
    "with --log-driver none here. Bring it to 2.4.2 or later, and then change those credentials."
)


MAY_BE_THERE: Final = "dtr-may-be-there"


class InstallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts for an installation.

    Attributes:
        node: where it is put. replica_id: what it will be called.
        others: what lies of DTR on other nodes, a sentence each. silent: names of nodes that could not be looked at.
        elsewhere: other signs of a DTR that is there.
        balancer: of UCP, "HOST:PORT"; "" where none is configured.
        now: unix seconds.
    """

    cluster: str
    cluster_id: str
    work: Work
    node: NewNode
    replica_id: str
    others: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    elsewhere: Elsewhere = Elsewhere()
    balancer: str = ""
    own: OwnCertificates | None = None
    now: float = 0.0


class Install(Runbook):
    name = "dtr.install"
    summary = "install the first replica of DTR (MSR) on a worker of its own"
    params: ClassVar[Sequence[Param]] = (
        Param("version", "the version of DTR", facts.version, "X.Y.Z", required=True),
        Param("node", "the worker that it is put on", params.text, "NODE", required=True),
        Param(settings.URL.name, settings.URL.help, settings.URL.kind, settings.URL.shape, required=True),
        Param(
            "storage",
            "where images are kept; a second replica needs a shared place",
            settings.storage,
            "nfs://HOST/PATH|volume:NAME|local",
            default=LOCAL,
        ),
        settings.HTTP,
        settings.HTTPS,
        settings.CERTIFICATES,
        Param("replica", "its id; else a random one", facts.replica, "12 HEX DIGITS"),
        INSECURE,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        snapshot = await session.refresh()
        version = facts.Version.parse(params["version"])
        way = await way_to_ucp(session, insecure=params[INSECURE.name])
        way.must(session.name)
        work = Work(version=version, at=await at(session, version), way=way, job_id=jobs.new_id())
        looked = await look_at_all(session)
        node = await look_at_node(session, params["node"], version, work.at, looked, params["storage"])
        ucp = session.opening.cluster.ucp.url
        names = {one.id: one.name for one in snapshot.nodes.values()}
        built: Facts = msgspec.to_builtins(
            InstallFacts(
                cluster=session.name,
                cluster_id=snapshot.cluster_id,
                work=work,
                node=node,
                replica_id=params.get("replica") or secrets.token_hex(6),
                others=tuple(one.words for one in looked.found if one.node.id != node.place.id),
                silent=tuple(sorted(names.get(each, each) for each in looked.silent)),
                elsewhere=await look_elsewhere(session, looked, params["url"]),
                balancer=_host_port(ucp) if ucp else "",
                own=await settings.certificates_of(params),
                now=time.time(),
            )
        )
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, InstallFacts)
        known.work.way.must(known.cluster)
        _refuse(known, params)
        judged = judge(known.node, known.work.version, params["http-port"], params["https-port"])
        told, notes = _certificates(known, params["url"])
        product = known.work.version.product
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Install {product} on {known.node.name}",
            why=f"It becomes the first replica, {known.replica_id}; more are joined to it one by one.",
            steps=tuple(_steps(known, params)),
            touches=(known.node.name,),
            notes=(*_notes(known, params), *notes, *judged.notes),
            warnings=(*_warnings(known, params), *told, *judged.warnings),
            rules=_rules(known, judged),
            binding=binding_of(
                known.cluster_id, str(known.work.version), known.node.place.id, params.get("replica", ""),
                params["url"],
                params["storage"], params["http-port"], params["https-port"], known.work.way.url,
                known.own.digest if known.own else "", [str(rule) for rule in _rules(known, judged)],
            ),
        )  # fmt: skip


def _host_port(url: str) -> str:
    target = endpoint(url)
    return f"{target.host}:{target.port}"


def _rules(known: InstallFacts, judged: Judged) -> tuple[Rule, ...]:
    unseen: tuple[Rule, ...] = ()
    if known.silent:
        signs = "".join(f", and {sign}" for sign in known.elsewhere.signs)
        what = (
            f"What lies of DTR on {listed(known.silent)} cannot be seen{signs}: where that host is only off, start it "
            "first. A second DTR knows none of the images of the first, and takes its name and its network."
        )
        unseen = (Rule(MAY_BE_THERE, known.cluster, what),)
    return (*known.work.way.rules, *unseen, *judged.as_rules)


def _refuse(known: InstallFacts, params: Mapping[str, Any]) -> None:
    if known.others:
        raise RefusedError(
            f"DTR is on {known.cluster} already, or a part of it: {listed(known.others, 3)}.",
            "To add a replica: swarmtui run dtr.join. What is only left over: swarmtui run dtr.destroy replica=ID",
        )
    if known.balancer and _host_port(params["url"]) == known.balancer:
        raise RefusedError(
            f"{params['url']} is the load balancer of UCP: both want that port, so DTR needs another name or port.",
            "Give DTR a load balancer of its own, or another port on the same one: url=https://HOST:PORT",
        )
    if answers := known.elsewhere.answers:
        raise RefusedError(
            f"{answers} says by /_ping that it is well, though no node of {known.cluster} that answers has anything of "
            "DTR: one is there already, or something else has its address.",
            "To add a replica: swarmtui run dtr.join. Where it is another's, give another address: url=https://HOST, "
            f"and in the configuration [clusters.{known.cluster}.dtr] url",
        )


def _certificates(known: InstallFacts, url: str) -> tuple[list[str], list[str]]:
    """Warnings and notes on the certificates. Raises RefusedError where DTR would not start with them."""
    host = endpoint(url, "DTR").host
    if known.own is None:
        what = "DTR makes its certificates by an authority of its own: docker on every client must be given it"
        return [], [f"{what} ({url}/ca). Own ones are given with certificates=FOLDER."]
    return judged_certificates(known.own, host, known.now), []


def judged_certificates(own: OwnCertificates, host: str, now: float) -> list[str]:
    """What is warned of. Raises RefusedError where DTR would not start with them."""
    every = "The host of its external URL"
    found = own_certificates.judge(own, [host], now, product="DTR", every=every)
    if blocking := [one for one in found if one.level is Level.BLOCKS]:
        raise RefusedError(" ".join(one.what for one in blocking), blocking[0].next_step)
    return [f"{one.what} {one.next_step}".strip() for one in found]


def _notes(known: InstallFacts, params: Mapping[str, Any]) -> Iterator[str]:
    if told := _command(known, params).exposure:
        yield told
    yield f"Its users are those of UCP ({known.work.way.product}); it has none of its own."
    if params["storage"] == LOCAL:
        yield (
            "Images will lie on this replica's own disk, in no backup of DTR. Before a second replica joins they must "
            "be in a shared place: storage=nfs://HOST/PATH now, or object storage later with swarmtui run dtr.storage."
        )
    else:
        yield f"Images will be in {params['storage']}: DTR's backup does not have them, back that up too."
    yield "What a later change of that place takes: swarmtui run dtr.storage --help. Without care every tag is lost."


def _warnings(known: InstallFacts, params: Mapping[str, Any]) -> Iterator[str]:
    if known.work.version.leaks:
        yield LEAK.format(product=known.work.version.product)
    node, host = known.node, endpoint(params["url"], "DTR").host
    if host in (node.place.address, node.hostname, node.place.name):
        yield (
            f"{params['url']} leads to {node.name} itself: with more replicas it must be the load balancer before all "
            "of them, and every image's name has it in it."
        )
    if not known.silent and known.elsewhere.signs:
        signs = ", and ".join(known.elsewhere.signs)
        yield (
            f"Nothing of DTR lies on any node, yet {signs}: that is left over, or a host that was taken out of the "
            "Swarm still has a replica."
        )


def _command(known: InstallFacts, params: Mapping[str, Any]) -> Command:
    return known.work.command(
        "install",
        ("ucp-node", known.node.hostname),
        ("replica-id", known.replica_id),
        ("dtr-external-url", params["url"]),
        *settings.storage_flags(params["storage"]),
        *settings.ports_flags(params["http-port"], params["https-port"]),
        *settings.certificate_flags(known.own),
    )


def _steps(known: InstallFacts, params: Mapping[str, Any]) -> Iterator[Step]:
    work, node = known.work, known.node
    yield work.pull
    yield InstallReplica(
        id="install",
        title=f"Install {work.version.product} on {node.name}",
        why="UCP starts its second phase on that node, which makes volumes, authorities and containers there.",
        **work.runs(_command(known, params)),
        nodes=(node.place.at,),
        node=node.place,
        replica_id=known.replica_id,
        https=params["https-port"],
        own=known.own,
        if_stopped=f"No DTR works here yet; a try that was broken off may have left parts of it on {node.name}.",
    )
    https = params["https-port"]
    started = "DTR is installed, and may still be starting."
    yield wait_replica(node, known.replica_id, https, if_stopped=started)
    yield wait_balancer(
        work,
        node,
        known.replica_id,
        https,
        params["url"],
        title=f"See whether {params['url']} leads to it",
        why="People and tools reach it by this address only, and it is part of every image's name.",
    )
    yield work.clear


@dataclass(frozen=True, kw_only=True)
class InstallReplica(CreateReplica):
    """Runs `install`.

    Attributes:
        own: the operator's certificates; None without.
    """

    own: OwnCertificates | None = field(default=None)

    async def more_secrets(self) -> Mapping[str, Secret]:
        return await settings.certificate_secrets(self.own)
