"""The events of one engine: what was, for `since`, and who listens."""

from __future__ import annotations

import asyncio
from collections import deque

from swarmtui.demo.world.objects import Json

_MEMORY = 256
"""Events an engine remembers for `since`."""


class EventLog:
    """What an engine tells about itself and its Swarm. Forgotten when the engine stops."""

    def __init__(self) -> None:
        self.past: deque[Json] = deque(maxlen=_MEMORY)
        self._listeners: set[asyncio.Queue[Json | None]] = set()

    def publish(self, message: Json) -> None:
        """Add an event."""
        self.past.append(message)
        for queue in self._listeners:
            queue.put_nowait(message)

    def listen(self) -> asyncio.Queue[Json | None]:
        """A queue of all events from now on; None ends it."""
        queue: asyncio.Queue[Json | None] = asyncio.Queue()
        self._listeners.add(queue)
        return queue

    def leave(self, queue: asyncio.Queue[Json | None]) -> None:
        """Listen no more."""
        self._listeners.discard(queue)

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return len(self._listeners)

    def end(self) -> None:
        """The engine stops: end all streams and forget."""
        for queue in self._listeners:
            queue.put_nowait(None)
        self._listeners.clear()
        self.past.clear()
