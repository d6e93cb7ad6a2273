"""UCP's components on a node, from that node's own engine, or those of all nodes from UCP's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from swarmtui.errors import EngineError
from swarmtui.model.text import one_line
from swarmtui.model.ucp import facts
from swarmtui.model.ucp.status import Component

PATH: Final = "/containers/json"
ASKED: Final[Mapping[str, str]] = {"all": "1", "filters": '{"name":["ucp-"]}'}
_WEB_PORT: Final = 8080
"""What the controller listens on in its container (ucp-dtr.md §4.1)."""

Get = Callable[[str, Mapping[str, str]], Awaitable[bytes]]
"""GETs from an engine. Raises LinkError or EngineError."""


class _Port(msgspec.Struct, rename="pascal"):
    private_port: int = 0
    public_port: int = 0


class _Container(msgspec.Struct, rename="pascal"):
    names: list[str] | None = None
    image: str = ""
    state: str = ""
    status: str = ""
    ports: list[_Port] | None = None


_DECODER = msgspec.json.Decoder(list[_Container])


async def read_parts(get: Get) -> dict[str, tuple[Component, ...]]:
    """Reads UCP's containers that an engine has.

    Returns:
        Node name → its components, by name. UCP writes each node's name before its containers' (ucp-dtr.md §3.1); what
        a plain engine has of its own is under "".

    Raises:
        LinkError: the engine is not reached.
        EngineError: it refused, or its answer cannot be read.
    """
    body = await get(PATH, ASKED)
    try:
        containers = _DECODER.decode(body)
    except msgspec.MsgspecError as error:
        raise EngineError(
            "The list of containers cannot be read.", "Is it a Docker engine, and not a proxy before it?"
        ) from error
    found: dict[str, list[Component]] = {}
    for container in containers:
        for full in (container.names or [])[:1]:
            node, _, name = full.removeprefix("/").rpartition("/")
            if facts.is_ours(name):
                found.setdefault(one_line(node), []).append(_component(name, container))
    return {node: tuple(sorted(parts, key=lambda part: part.name)) for node, parts in found.items()}


def _component(name: str, container: _Container) -> Component:
    web = name == "ucp-controller"
    ports = (port.public_port for port in container.ports or () if web and port.private_port == _WEB_PORT)
    return Component(
        one_line(name),
        one_line(container.image),
        one_line(container.state),
        one_line(container.status),
        next((port for port in ports if port), 0),
    )
