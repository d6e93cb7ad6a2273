"""What the engines told of their Swarm: a bounded list of events, with a mark where some may be missing."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from msgspec import field

from swarmtui.errors import EngineError
from swarmtui.link.decode import decode_one
from swarmtui.link.events import LAGGED
from swarmtui.model.objects import SwarmEvent
from swarmtui.model.swarm import ApiStruct

KEPT = 1_000
TELL_SECONDS = 0.1
"""Events come in bursts: everybody is told this long after the first of them."""


class _Actor(ApiStruct, frozen=True):
    id: str = ""
    attributes: dict[str, str] | None = None


class _Message(ApiStruct, frozen=True):
    type: str = ""
    action: str = ""
    actor: _Actor = _Actor()
    scope: str = field(default="", name="scope")
    time: int = field(default=0, name="time")
    time_nano: int = field(default=0, name="timeNano")


class Heard:
    """The newest events of a Swarm, whichever manager told them. For one event loop.

    Args:
        tell: called soon after something was added.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._ring: deque[SwarmEvent] = deque(maxlen=KEPT)
        self._all: tuple[SwarmEvent, ...] | None = ()
        self._telling: asyncio.TimerHandle | None = None

    @property
    def all(self) -> tuple[SwarmEvent, ...]:
        """The events kept, the oldest first; the same object until there is another one."""
        if self._all is None:
            self._all = tuple(self._ring)
        return self._all

    def add(self, line: bytes, through: str) -> None:
        """Takes one event as the engine gave it; what is none of the Swarm's is left out."""
        if line == LAGGED:
            self.gap("Events came faster than they could be taken: some were dropped.", through)
            return
        try:
            message = decode_one(line, _Message, "an event")
        except EngineError:
            # A hint to look again it was all the same; there is nothing of it to show.
            return
        # An engine that knows no scopes sends its own containers' events as well.
        if message.scope != "swarm":
            return
        attributes = dict(message.actor.attributes or {})
        event = SwarmEvent(
            at=message.time_nano / 1e9 or float(message.time) or time.time(),
            type=message.type,
            action=message.action,
            name=attributes.pop("name", "") or message.actor.id[:12],
            id=message.actor.id,
            attributes=attributes,
            through=through,
        )
        self._append(event)

    def gap(self, why: str, through: str) -> None:
        """From now on, until the next event, some may be missing. A gap right after another one is the same gap."""
        if not self._ring or not self._ring[-1].gap:
            self._append(SwarmEvent(at=time.time(), through=through, gap=why))

    def close(self) -> None:
        """Tells nobody any more."""
        if self._telling is not None:
            self._telling.cancel()

    def _append(self, event: SwarmEvent) -> None:
        self._ring.append(event)
        self._all = None
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TELL_SECONDS, self._told)

    def _told(self) -> None:
        self._telling = None
        self._tell()
