"""UCP's components on a node, from that node's own engine, or those of all nodes from UCP's."""

from __future__ import annotations

from typing import Final

from swarmtui.link.listed import Get, Listed, containers
from swarmtui.model.text import one_line
from swarmtui.model.ucp import facts
from swarmtui.model.ucp.status import Component

_WEB_PORT: Final = 8080
"""What the controller listens on in its container (ucp-dtr.md §4.1)."""


async def read_parts(get: Get) -> dict[str, tuple[Component, ...]]:
    """Reads UCP's containers that an engine has.

    Returns:
        Node name → its components, by name. UCP writes each node's name before its containers' (ucp-dtr.md §3.1); what
        a plain engine has of its own is under "".

    Raises:
        LinkError: the engine is not reached.
        EngineError: it refused, or its answer cannot be read.
    """
    found: dict[str, list[Component]] = {}
    for container in await containers(get, "ucp-"):
        for full in (container.names or [])[:1]:
            node, _, name = full.removeprefix("/").rpartition("/")
            if facts.is_ours(name):
                found.setdefault(one_line(node), []).append(_component(name, container))
    return {node: tuple(sorted(parts, key=lambda part: part.name)) for node, parts in found.items()}


def _component(name: str, container: Listed) -> Component:
    port = container.published(_WEB_PORT) if name == "ucp-controller" else 0
    return Component(one_line(name), *container.shown, port)
