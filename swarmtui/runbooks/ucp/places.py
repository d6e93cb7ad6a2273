"""The hosts of a Swarm as the runbooks of UCP see them: where each is, and what of UCP is on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.text import one_line
from swarmtui.model.ucp import facts
from swarmtui.model.ucp.facts import Version
from swarmtui.runbooks.image import host
from swarmtui.runbooks.image.host import Listed, engine_says, has_image, images, mountpoint, with_systemd
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, where
from swarmtui.session import Session

__all__ = [
    "Listed", "OnHost", "Part", "Place", "engine_says", "has_image", "holder", "images",
    "left_words", "look", "mountpoint", "place", "places", "remove", "with_systemd",
]  # fmt: skip
_IMAGE: Final = re.compile(r"(?:^|/)(?:docker|mirantis)/ucp(?:-[a-z0-9-]+)?(?::|@|$)")
_KNOWN: Final = frozenset(
    name for tag in ("2.2.5", "3.2.0") for name in facts.containers(Version.parse(tag), "manager")
) | frozenset(facts.AGENT_SERVICES + facts.UNINSTALL_SERVICES)

_TASKS: Final = tuple(f"{name}." for name in (*facts.AGENT_SERVICES, *facts.UNINSTALL_SERVICES, "ucp-auth-api"))
"""How the containers of services are named: what a service runs goes with it, unless its node was away."""
MOST_NODES: Final = 4
"""Nodes that one sentence names."""


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


class Part(Listed, frozen=True):
    """A container of UCP on a host."""

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


async def look(session: Session, at: Where) -> OnHost:
    """What of UCP is on a host.

    Raises:
        LinkError, EngineError: its Docker cannot be asked.
    """
    parts: list[Part] = []
    others: list[str] = []
    for each in await host.containers(session, at, "ucp-"):
        part = Part(each.name, each.image, each.status, each.created)
        if not facts.is_ours(part.name):
            continue
        if part.name in _KNOWN or part.name.startswith(_TASKS) or _IMAGE.search(part.image):
            parts.append(part)
        else:
            others.append(part.name)
    removable = set(facts.VOLUMES) - {facts.CERTS_VOLUME}
    volumes = sorted(name for name in await host.volumes(session, at, "ucp-") if name in removable)
    return OnHost(tuple(sorted(parts, key=lambda part: part.name)), tuple(volumes), tuple(sorted(others)))


async def holder(session: Session, at: Where) -> Listed | None:
    """The container that has the name which the image's must have; None where it is free. Raises as `look` does."""
    return await host.holder(session, at, facts.CONTAINER)


async def remove(session: Session, at: Where, found: OnHost) -> None:
    """Removes it from the host: containers, running or not, and then volumes. Raises as `look` does."""
    await host.remove(session, at, [part.name for part in found.parts], list(found.volumes))
