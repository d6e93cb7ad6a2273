"""The list of an engine's containers, as UCP's and DTR's parts are found in it, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import msgspec

from swarmtui.errors import EngineError
from swarmtui.model.text import one_line

CONTAINERS: Final = "/containers/json"

Get = Callable[[str, Mapping[str, str]], Awaitable[bytes]]
"""GETs from an engine. Raises LinkError or EngineError."""
T = TypeVar("T")


class Port(msgspec.Struct, rename="pascal"):
    """A port of a container, and where it is published; 0 for nowhere."""

    private_port: int = 0
    public_port: int = 0


class Listed(msgspec.Struct, rename="pascal"):
    """One entry of the list."""

    names: list[str] | None = None
    image: str = ""
    state: str = ""
    status: str = ""
    labels: dict[str, str] | None = None
    ports: list[Port] | None = None

    @property
    def name(self) -> str:
        """Its first name, as the engine or UCP writes it."""
        return next(iter(self.names or []), "")

    def published(self, private_port: int) -> int:
        """The port on the host at which one of its own is published; 0 for none."""
        ports = (port.public_port for port in self.ports or () if port.private_port == private_port)
        return next((port for port in ports if port), 0)

    @property
    def shown(self) -> tuple[str, str, str]:
        """Image, state and status, harmless for a terminal."""
        return one_line(self.image), one_line(self.state), one_line(self.status)


async def containers(get: Get, name: str) -> list[Listed]:
    """All containers, running or not, with this in their name.

    Raises:
        LinkError: the engine is not reached.
        EngineError: it refused, or its answer cannot be read.
    """
    return decoded(await get(CONTAINERS, {"all": "1", "filters": f'{{"name":["{name}"]}}'}), list[Listed], "containers")


def decoded(body: bytes, shape: type[T], what: str) -> T:
    """A list of an engine's, of what it is. Raises EngineError for one that cannot be read."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as error:
        raise EngineError(
            f"The list of {what} cannot be read: {one_line(str(error))[:200]}.",
            "Is it a Docker engine, and not a proxy before it?",
        ) from error
