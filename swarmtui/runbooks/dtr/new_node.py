"""The node that a new replica is put on: what was found there, and what speaks against it (T1, T3)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.model.dtr import facts
from swarmtui.model.dtr.facts import Version
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import listed, one_line
from swarmtui.model.ucp import facts as ucp_facts
from swarmtui.runbooks.dtr.hosts import Looked, ReplicaOnHost
from swarmtui.runbooks.dtr.image import Command
from swarmtui.runbooks.dtr.nfs import NfsSeen, look_at_nfs, nfs_notes, nfs_warnings
from swarmtui.runbooks.image import host as engine
from swarmtui.runbooks.image.job import ask_image
from swarmtui.runbooks.node_facts import resolve
from swarmtui.runbooks.runbook import Rule
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.install_draft import short_of
from swarmtui.runbooks.ucp.install_facts import HostNow, look_at_host
from swarmtui.runbooks.ucp.places import Place, place
from swarmtui.session import Session

ON_MANAGER: Final = "dtr-on-manager"
WITH_WORKLOADS: Final = "dtr-with-workloads"
_IMAGE: Final = re.compile(r"(?:docker|mirantis)/dtr(?:-[a-z0-9-]+)?:[0-9A-Za-z.-]+")


class NewNode(msgspec.Struct, frozen=True, kw_only=True):
    """The node for a new replica.

    Attributes:
        hostname: as --ucp-node takes it.
        active: it is ready, and takes tasks. state: how it is, in words, where it is not.
        now: measured.
        services: those that have tasks on it, but for UCP's own, and those that have one on every node.
        everywhere: those that have one on every node.
        there: what lies of DTR on it.
        images: those that this version needs there; missing: of these, what is not on the node.
        nfs: whether the server that keeps the images answers there; empty where no NFS does.
    """

    place: Place
    hostname: str
    active: bool
    state: str
    now: HostNow
    services: tuple[str, ...] = ()
    everywhere: tuple[str, ...] = ()
    there: tuple[ReplicaOnHost, ...] = ()
    images: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    nfs: tuple[NfsSeen, ...] = ()

    @property
    def name(self) -> str:
        return one_line(self.place.name)


async def look_at_node(
    session: Session, wanted: str, version: Version, at: Where, looked: Looked, storage: str = ""
) -> NewNode:
    """Looks at the node.

    Args:
        at: where the commands of the image run: it may tell which images a node needs.
        looked: what lies of DTR on the nodes.
        storage: where the images are kept.

    Raises:
        UsageError: there is no such node.
        LinkError, EngineError: it cannot be asked.
    """
    snapshot = session.snapshot
    (node,) = resolve(snapshot, [wanted])
    at_node = place(session, node)
    there = await engine.images(session, at_node.at)
    images = await _needed(session, version, at)
    return NewNode(
        place=at_node,
        hostname=node.hostname,
        active=node.takes_tasks,
        state=f"{node.status.state}, {node.spec.availability}",
        now=await look_at_host(session, at_node),
        services=services_on(snapshot, node.id),
        everywhere=services_on(snapshot, node.id, everywhere=True),
        there=tuple(one for one in looked.found if one.node.id == node.id),
        images=images,
        missing=tuple(image for image in images if image not in there),
        nfs=await look_at_nfs(session, [at_node], storage),
    )


def services_on(snapshot: Snapshot, node_id: str, *, everywhere: bool = False) -> tuple[str, ...]:
    """The services that have tasks on a node, but for UCP's own.

    Args:
        everywhere: those that have one on every node; else the others.
    """
    names = {
        service.name
        for task in snapshot.tasks_on(node_id)
        if not task.is_terminal
        and (service := snapshot.services.get(task.service_id)) is not None
        and service.is_global == everywhere
    }
    return tuple(sorted(one_line(name) for name in names if not ucp_facts.is_ours(name)))


async def _needed(session: Session, version: Version, at: Where) -> tuple[str, ...]:
    """The images of this version, as `images` of it lists them; the one alone where it cannot be asked."""
    try:
        told = await ask_image(session, at, Command(version=version, name="images"))
    except SwarmtuiError:
        return (version.image,)
    found = _IMAGE.findall(told.out) if told.ok else []
    return tuple(sorted({version.image, *found}))


class Judged(msgspec.Struct, frozen=True):
    """What speaks against a node, but does not stop anybody who decides so."""

    rules: tuple[tuple[str, str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def as_rules(self) -> tuple[Rule, ...]:
        return tuple(Rule(*rule) for rule in self.rules)


def judge(node: NewNode, version: Version, http: int, https: int) -> Judged:
    """What speaks against a new replica of this version on a node.

    Args:
        http, https: the ports that it is to have there.

    Raises:
        RefusedError: it cannot be.
    """
    name, product = node.name, version.product
    _refuse(node, product, http, https)
    rules: list[tuple[str, str, str]] = []
    warnings, notes = [*nfs_warnings(node.nfs)], [*nfs_notes(node.nfs)]
    if node.place.manager:
        what = f"{name} is a manager of the Swarm and of UCP: {product} belongs on dedicated workers (ports, load)."
        rules.append((ON_MANAGER, name, what))
    if node.services:
        what = (
            f"{name} runs tasks of {listed(node.services)}: a replica of {product} belongs on a node of its own, "
            "without other work."
        )
        rules.append((WITH_WORKLOADS, name, what))
    if node.everywhere:
        notes.append(f"{name} has tasks of {listed(node.everywhere)} too, as every node has.")
    if less := short_of(node.now, facts.least(version)):
        warnings.append(f"{name} has less than {product} asks of a node at least: {less}.")
    elif less := short_of(node.now, facts.RECOMMENDED):
        warnings.append(f"{name} has less than is recommended for {product} in production: {less}.")
    if node.now.listening is None:
        notes.append(f"Whether the ports {http} and {https} are free on {name} could not be seen.")
    if node.missing:
        warnings.append(
            f"{len(node.missing)} of {len(node.images)} images of {product} are not on {name} "
            f"({listed(node.missing[:3])}{', …' if len(node.missing) > 3 else ''}): Docker pulls them; where there is "
            "no registry, bring them there first (docker image load)."
        )
    return Judged(tuple(rules), tuple(warnings), tuple(notes))


def _refuse(node: NewNode, product: str, http: int, https: int) -> None:
    name = node.name
    if not node.active:
        raise RefusedError(
            f"{name} is {node.state}: nothing can be started there.",
            f"Bring it back, or take another node: swarmtui run node.activate node={name}",
        )
    if node.there:
        told = "; ".join(one.words for one in node.there)
        first = node.there[0].id
        raise RefusedError(
            f"A replica is, or was, on {name} already: {told}.",
            f"Take another node, or take that one off first: swarmtui run dtr.remove replica={first} while DTR counts "
            f"it in, swarmtui run dtr.destroy replica={first} where it is only left over.",
        )
    if http == https:
        raise RefusedError("HTTP and HTTPS cannot have the same port.", "Choose another one.")
    if taken := [str(port) for port in (http, https) if port in (node.now.listening or ())]:
        raise RefusedError(
            f"Something listens on TCP port {' and '.join(taken)} of {name} already, which {product} needs.",
            "Look there what it is: ss -lntp. Other ports are chosen with http-port= and https-port=.",
        )
