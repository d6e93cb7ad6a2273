"""The hosts of a Swarm as the runbooks of UCP see them: where each is, and what of UCP is on it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from swarmtui.errors import EngineError
from swarmtui.link import jobs
from swarmtui.model.swarm import Node, Snapshot
from swarmtui.model.text import one_line
from swarmtui.model.ucp import facts
from swarmtui.model.ucp.facts import Version
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, where
from swarmtui.session import Session

_IMAGE: Final = re.compile(r"(?:^|/)(?:docker|mirantis)/ucp(?:-[a-z0-9-]+)?(?::|@|$)")
_KNOWN: Final = frozenset(
    name for tag in ("2.2.5", "3.2.0") for name in facts.containers(Version.parse(tag), "manager")
) | frozenset(facts.AGENT_SERVICES + facts.UNINSTALL_SERVICES)

_TASKS: Final = tuple(f"{name}." for name in (*facts.AGENT_SERVICES, *facts.UNINSTALL_SERVICES, "ucp-auth-api"))
"""How the containers of services are named: what a service runs goes with it, unless its node was away."""
NOT_FOUND: Final = 404
MOST_NODES: Final = 4
"""Nodes that one sentence names."""
T = TypeVar("T")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A node, and how commands are run on its host.

    Attributes:
        down: the Swarm has not heard from it.
        address: as the other nodes know it.
    """

    id: str
    name: str
    at: Where
    manager: bool = False
    leader: bool = False
    down: bool = False
    address: str = ""


class Part(msgspec.Struct, frozen=True):
    """A container on a host, as `docker ps` lists it. created: when it was made, unix seconds."""

    name: str
    image: str
    status: str
    created: int = 0

    @property
    def runs(self) -> bool:
        return self.status.startswith("Up")

    @property
    def well(self) -> bool:
        """It runs and says nothing else; or it is the one that runs once, and has ended with 0."""
        if self.name == facts.ONCE and not self.runs:
            return "Exited (0)" in self.status
        return self.runs and "unhealthy" not in self.status and "health: starting" not in self.status

    @property
    def state(self) -> str:
        """How it is, without since when: starting, unhealthy, up, or what `docker ps` says."""
        for sign, word in (("health: starting", "starting"), ("unhealthy", "unhealthy")):
            if sign in self.status:
                return word
        return "up" if self.runs else self.status.partition(" ago")[0].partition(")")[0].replace("(", "") or "created"

    @property
    def replaced(self) -> bool:
        """It is a container of a service's task, and has ended: the service has another one in its place."""
        return self.name.startswith(_TASKS) and self.status.startswith("Exited")


class OnHost(msgspec.Struct, frozen=True):
    """What of UCP is on a host.

    Attributes:
        parts: its containers. volumes: its volumes, but for the one that an uninstall leaves as documented.
        others: containers whose names begin like UCP's, and that are none of its.
    """

    parts: tuple[Part, ...] = ()
    volumes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.parts or self.volumes)

    @property
    def counts(self) -> str:
        """How much is there, in words."""
        found = ((len(self.parts), "container"), (len(self.volumes), "volume"))
        return " and ".join(_count(number, what) for number, what in found if number)

    @property
    def words(self) -> str:
        """What is there, for a sentence."""
        found = []
        if self.parts:
            found.append(f"{_count(len(self.parts), 'container')} ({_some([part.name for part in self.parts])})")
        if self.volumes:
            found.append(f"{_count(len(self.volumes), 'volume')} ({_some(self.volumes)})")
        return " and ".join(found)


def left_words(left: Sequence[tuple[Place, OnHost]]) -> str:
    """What is left where, as counts: a sentence that stays short on many nodes; "" for nothing."""
    told = [f"{there.counts} on {one_line(node.name)}" for node, there in left if not there.empty]
    more = len(told) - MOST_NODES
    return "; ".join(told[:MOST_NODES]) + (f"; and more on {_count(more, 'other node')}" if more > 0 else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _some(names: tuple[str, ...] | list[str]) -> str:
    told = ", ".join(one_line(name) for name in names[:3])
    return f"{told}, …" if len(names) > 3 else told


def place(session: Session, node: Node) -> Place:
    """Where a node is."""
    return Place(
        id=node.id,
        name=node.name,
        at=where(session, node.name, session.host_label(node)),
        manager=node.is_voter,
        leader=node.is_leader,
        down=node.status.state == "down",
        address=node.address,
    )


def places(session: Session, snapshot: Snapshot) -> tuple[Place, ...]:
    """All nodes that are listed, the managers first."""
    found = [place(session, node) for node in snapshot.nodes.values()]
    return tuple(sorted(found, key=lambda one: (not one.manager, one.name)))


async def with_systemd(session: Session, at: Where) -> Where:
    """The same, knowing whether jobs can be units there. Raises LinkError."""
    return msgspec.structs.replace(at, systemd=await jobs.has_systemd(await at.reach(session)))


class _Container(msgspec.Struct, frozen=True, rename="pascal"):
    """One entry of `GET /containers/json`."""

    id: str = ""
    names: tuple[str, ...] | None = None
    image: str = ""
    status: str = ""
    created: int = 0


class _Image(msgspec.Struct, frozen=True, rename="pascal"):
    repo_tags: tuple[str, ...] | None = None


class _Volume(msgspec.Struct, frozen=True, rename="pascal"):
    name: str = ""
    mountpoint: str = ""


class _Volumes(msgspec.Struct, frozen=True, rename="pascal"):
    volumes: tuple[_Volume, ...] | None = None


async def look(session: Session, at: Where) -> OnHost:
    """What of UCP is on a host.

    Raises:
        LinkError, EngineError: its Docker cannot be asked.
    """
    parts: list[Part] = []
    others: list[str] = []
    for part in await _containers(session, at, "ucp-"):
        if not facts.is_ours(part.name):
            continue
        if part.name in _KNOWN or part.name.startswith(_TASKS) or _IMAGE.search(part.image):
            parts.append(part)
        else:
            others.append(part.name)
    engine = await session.engine_of(at.ssh)
    listed = _decoded(await engine.get("/volumes", params={"filters": '{"name":["ucp-"]}'}), _Volumes, at)
    removable = set(facts.VOLUMES) - {facts.CERTS_VOLUME}
    volumes = sorted(volume.name for volume in listed.volumes or () if volume.name in removable)
    return OnHost(tuple(sorted(parts, key=lambda part: part.name)), tuple(volumes), tuple(sorted(others)))


async def holder(session: Session, at: Where) -> Part | None:
    """The container that has the name which the image's must have; None where it is free. Raises as `look` does."""
    found = await _containers(session, at, facts.CONTAINER)
    return next((part for part in found if part.name == facts.CONTAINER), None)


async def has_image(session: Session, at: Where, image: str) -> bool:
    """Whether an image is on the host. Raises as `look` does."""
    engine = await session.engine_of(at.ssh)
    try:
        await engine.get(f"/images/{image}/json")
    except EngineError as error:
        if error.status == NOT_FOUND:
            return False
        raise
    return True


async def mountpoint(session: Session, at: Where, volume: str) -> str:
    """The folder of a volume on the host; "" where there is no such volume. Raises as `look` does."""
    engine = await session.engine_of(at.ssh)
    try:
        return _decoded(await engine.get(f"/volumes/{volume}"), _Volume, at).mountpoint
    except EngineError as error:
        if error.status == NOT_FOUND:
            return ""
        raise


async def images(session: Session, at: Where) -> frozenset[str]:
    """The tags of all images on the host. Raises as `look` does."""
    engine = await session.engine_of(at.ssh)
    listed = _decoded(await engine.get("/images/json"), tuple[_Image, ...], at)
    return frozenset(tag for image in listed for tag in image.repo_tags or ())


class EngineSays(msgspec.Struct, frozen=True, rename="pascal"):
    """What an engine says of its host. kernel_version: as `uname -r`."""

    kernel_version: str = ""
    security_options: tuple[str, ...] | None = None

    @property
    def selinux(self) -> bool:
        """Whether its containers are confined by SELinux."""
        return any(option.startswith("name=selinux") for option in self.security_options or ())

    @property
    def kernel(self) -> str:
        return self.kernel_version


async def engine_says(session: Session, at: Where) -> EngineSays:
    """What its engine says of a host. Raises as `look` does."""
    engine = await session.engine_of(at.ssh)
    return _decoded(await engine.get("/info"), EngineSays, at)


async def remove(session: Session, at: Where, found: OnHost) -> None:
    """Removes it from the host: containers, running or not, and then volumes. Raises as `look` does."""
    engine = await session.engine_of(at.ssh)
    for path, query in (
        *((f"/containers/{part.name}", {"force": "1"}) for part in found.parts),
        *((f"/volumes/{name}", {}) for name in found.volumes),
    ):
        try:
            await engine.delete(path, query)
        except EngineError as error:
            # Somebody, or an answer that was lost, was quicker.
            if error.status != NOT_FOUND:
                raise


async def _containers(session: Session, at: Where, name: str) -> list[Part]:
    """Containers, running or not, with this in their name."""
    engine = await session.engine_of(at.ssh)
    query = {"all": "1", "filters": json.dumps({"name": [name]})}
    listed = _decoded(await engine.get("/containers/json", params=query), tuple[_Container, ...], at)
    return [
        Part(one_line(name.removeprefix("/")), one_line(each.image), one_line(each.status), each.created)
        for each in listed
        for name in (each.names or ())[:1]
    ]


def _decoded(body: bytes, shape: type[T], at: Where) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as error:
        raise EngineError(
            f"The engine of {at.name} does not tell what is on it: {one_line(str(error))[:200]}.",
            "Is it a Docker engine, and not a proxy that answers in its place?",
        ) from error
