"""What the plan of ucp.install is made from: the hosts as they are, what the operator brings, and the vault (U1)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.link import jobs
from swarmtui.link.https import endpoint
from swarmtui.link.reasons import LinkError
from swarmtui.link.together import together
from swarmtui.model.preflight import HostFacts
from swarmtui.model.text import one_line
from swarmtui.model.ucp import status
from swarmtui.model.ucp.facts import Version
from swarmtui.runbooks.files import read_file, slow_digest
from swarmtui.runbooks.runbook import Facts
from swarmtui.runbooks.swarm.building.build_spec import HostSpec
from swarmtui.runbooks.swarm.building.preflight import Preflight
from swarmtui.runbooks.swarm.custody import custody_facts
from swarmtui.runbooks.ucp import own_certificates, places
from swarmtui.runbooks.ucp.own_certificates import OwnCertificates
from swarmtui.runbooks.ucp.places import OnHost, Place
from swarmtui.runbooks.ucp.uninstall import manager_of
from swarmtui.runbooks.ucp.uninstall_steps import look_at_all
from swarmtui.session import Session
from swarmtui.vault import Kind

LICENCE_MAX: Final = 64 << 10
"""Bytes of a licence file; real ones are below 2 KB."""
AT_ONCE: Final = 8
LISTENING: Final = "cat /proc/net/tcp /proc/net/tcp6"
_LISTENS: Final = re.compile(r"^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 0A ", re.MULTILINE)


class HostNow(msgspec.Struct, frozen=True, kw_only=True):
    """One node, looked at.

    Attributes:
        measured: as a preflight of a Swarm sees it.
        kernel: its version. selinux: whether its engine is confined by SELinux.
        listening: TCP ports that something listens on; None where that cannot be read.
        there: what of UCP is on it.
    """

    place: Place
    measured: HostFacts
    kernel: str = ""
    selinux: bool = False
    listening: tuple[int, ...] | None = None
    there: OnHost = OnHost()


class InstallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts for an installation.

    Attributes:
        at: the manager on which it is installed; hosts: all nodes that answer, this one among them.
        unasked: why another node could not be looked at, by its name.
        address: what is advertised to the other nodes. admin: name of the administrator.
        agents: UCP's services that are there already.
        images: the tags of UCP's images on that manager.
        balancer: host of the load balancer, where one is configured.
        own: the operator's certificates; None without.
        licence: path here; "" without. licence_digest: of its content. licence_odd: it is no JSON.
        kept: where the vault has the administrator's password; "" where one must be made.
        custody: what `custody_rules` needs.
        now: unix seconds.
    """

    version: Version
    cluster: str
    cluster_id: str
    at: Place
    hosts: tuple[HostNow, ...]
    unasked: dict[str, str]
    address: str
    sans: tuple[str, ...]
    admin: str
    expected_admin: str
    port: int
    agents: tuple[str, ...]
    images: tuple[str, ...]
    balancer: str
    own: OwnCertificates | None
    licence: str
    licence_digest: str
    licence_odd: bool
    kept: str
    custody: Facts
    job_id: str
    now: float

    @property
    def here(self) -> HostNow:
        """The manager on which it is installed."""
        return next(host for host in self.hosts if host.place.id == self.at.id)


async def survey(session: Session, params: Mapping[str, Any], now: float) -> InstallFacts:
    """Looks at every node, and at what the operator brings.

    Raises:
        UsageError: a file cannot be read, or the host is no manager.
        LinkError, EngineError: the manager cannot be asked.
    """
    snapshot = await session.refresh()
    at = manager_of(session, snapshot, params.get("host", ""))
    at = replace(at, at=await places.with_systemd(session, at.at))
    nodes = tuple(at if node.id == at.id else node for node in places.places(session, snapshot))
    hosts, unasked = await _look_at(session, nodes, at)
    config = session.opening.cluster.ucp
    folder = params.get("certificates", "")
    own = await asyncio.to_thread(own_certificates.read, Path(folder).expanduser()) if folder else None
    licence = str(Path(params["licence"]).expanduser()) if params.get("licence") else ""
    content = await asyncio.to_thread(read_file, Path(licence), LICENCE_MAX, "The licence") if licence else b""
    found = await session.vault.find(Kind.UCP_PASSWORD, snapshot.cluster_id)
    return InstallFacts(
        version=Version.parse(params["version"]),
        cluster=session.name,
        cluster_id=snapshot.cluster_id,
        at=at,
        hosts=hosts,
        unasked=unasked,
        address=params.get("host-address", "") or at.address,
        sans=tuple(params.get("san", ())),
        admin=params.get("admin") or config.username,
        expected_admin=config.username,
        port=params["port"],
        agents=tuple(sorted(one.name for one in status.agents(snapshot))),
        images=tuple(sorted(tag for tag in await places.images(session, at.at) if "/ucp" in tag)),
        balancer=endpoint(config.url).host if config.url else "",
        own=own,
        licence=licence,
        licence_digest=slow_digest(content) if licence else "",
        licence_odd=bool(licence) and not _is_json(content),
        kept=found.where if found is not None else "",
        custody=await custody_facts(session.vault, Kind.UCP_PASSWORD, snapshot.cluster_id, new=found is None),
        job_id=jobs.new_id(),
        now=now,
    )


def licence_of(path: str, digest: str) -> bytes:
    """The licence as the plan knew it; blocks. Raises UsageError where it is another one now."""
    content = read_file(Path(path), LICENCE_MAX, "The licence")
    if slow_digest(content) != digest:
        raise UsageError(f"The licence {path} was changed since the plan was made.", "Make a new plan.")
    return content


def _is_json(content: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(content), dict)
    except msgspec.DecodeError:
        return False


async def _look_at(session: Session, nodes: tuple[Place, ...], at: Place) -> tuple[tuple[HostNow, ...], dict[str, str]]:
    """Looks at all nodes; one that cannot be asked is told by name, but for the one that matters."""
    few = asyncio.Semaphore(AT_ONCE)

    async def one(node: Place) -> tuple[HostNow | None, str]:
        async with few:
            try:
                return await look_at_host(session, node), ""
            except SwarmtuiError as error:
                if node.id == at.id:
                    raise
                return None, error.what

    answers = await together(*(one(node) for node in nodes))
    there, _ = await look_at_all(session, tuple(host.place for host, _ in answers if host is not None))
    hosts = tuple(replace(host, there=there.get(host.place.id, OnHost())) for host, _ in answers if host is not None)
    unasked = {node.name: why for node, (host, why) in zip(nodes, answers, strict=True) if host is None}
    return hosts, unasked


async def look_at_host(session: Session, node: Place) -> HostNow:
    """Measures a node, and asks its engine; what of UCP is on it is not looked for.

    Raises:
        LinkError, EngineError, UnusableError: it cannot be asked.
    """
    spec = HostSpec(str(node.at.ssh), "manager" if node.manager else "worker", advertise=node.address)
    measured = (await Preflight(session, (spec,), session.tell_look).measure()).hosts[0]
    if measured.trouble:
        raise UnusableError(measured.trouble)
    said = await places.engine_says(session, node.at)
    host = await node.at.reach(session)
    session.tell_look(f"{node.name}$ {LISTENING}")
    try:
        completed = await host.run(LISTENING, timeout=jobs.SECONDS)
        listening = listening_in(completed.out) if completed.code == 0 else None
    except LinkError:
        listening = None
    return HostNow(
        place=node, measured=measured, kernel=one_line(said.kernel), selinux=said.selinux, listening=listening
    )


class UnusableError(SwarmtuiError):
    """A host, or the engine on it, cannot be asked."""


def listening_in(table: str) -> tuple[int, ...]:
    """The TCP ports that something listens on, by the tables of the kernel."""
    return tuple(sorted({int(port, 16) for port in _LISTENS.findall(table)}))
