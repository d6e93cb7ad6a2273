"""What of DTR lies on a node, from that node's own engine, or on all nodes from UCP's: containers and volumes."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from swarmtui.link.listed import Get, Listed, containers, decoded
from swarmtui.model.dtr import facts
from swarmtui.model.dtr.facts import Named, Version
from swarmtui.model.dtr.seen import Held, Part
from swarmtui.model.text import one_line

VOLUMES: Final = "/volumes"
_PROJECT: Final = "com.docker.compose.project"
"""A label that tells the version where its own one is missing: "Docker Trusted Registry 2.4.1 - …" (§4.4)."""


class _Volume(msgspec.Struct, rename="pascal"):
    name: str = ""


class _Volumes(msgspec.Struct, rename="pascal"):
    volumes: list[_Volume] | None = None


async def read_held(get: Get) -> dict[str, Held]:
    """Reads DTR's containers and volumes that an engine has.

    Returns:
        Node name → what lies there. UCP writes each node's name before its containers' and volumes' (ucp-dtr.md §3.1);
        what a plain engine has of its own is under "", also where that is nothing.

    Raises:
        LinkError: the engine is not reached.
        EngineError: it refused, or its answer cannot be read.
    """
    listed = await containers(get, "dtr-")
    volumes = decoded(await get(VOLUMES, {"filters": '{"name":["dtr-"]}'}), _Volumes, "volumes").volumes or []
    parts: dict[str, list[Part]] = {"": []}
    for container in listed:
        named = facts.parse_container(container.name)
        if named is not None:
            parts.setdefault(one_line(named.node), []).append(_part(named, container))
    held: dict[str, dict[str, str]] = {}
    for volume in volumes:
        if (named := facts.parse_volume(volume.name)) is not None:
            held.setdefault(one_line(named.node), {})[volume.name.rpartition("/")[2]] = named.replica_id
    now = time.time()
    return {
        node: Held(
            tuple(sorted(parts.get(node, []), key=lambda part: part.name)),
            dict(sorted(held.get(node, {}).items())),
            at=now,
        )
        for node in {**parts, **held}
    }


def _part(named: Named, container: Listed) -> Part:
    web = named.kind == "nginx"
    return Part(
        facts.container(named.kind, named.replica_id),
        *container.shown,
        component=named.kind,
        replica=named.replica_id,
        version=_version(container),
        http=container.published(facts.HTTP_PORT) if web else 0,
        https=container.published(facts.HTTPS_PORT) if web else 0,
    )


def _version(container: Listed) -> str:
    labels = container.labels or {}
    # "Docker Trusted Registry <version> - (Replica <id>)": the fourth word (ucp-dtr.md §4.4).
    project = labels.get(_PROJECT, "").split()
    for told in (labels.get(facts.VERSION_LABEL, ""), container.image, *project[3:4]):
        try:
            return str(Version.parse(told))
        except ValueError:
            continue
    return ""
