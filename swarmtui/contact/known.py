"""What is known of an opened cluster by now, and who is told when that changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from swarmtui.finding import Connection, Phase
from swarmtui.link.changes import Changes
from swarmtui.link.reasons import LinkError
from swarmtui.model.snapshot import Snapshot


class Known:
    """The newest snapshot of a cluster, and how it is connected.

    Args:
        name: what the cluster is called.
    """

    def __init__(self, name: Callable[[], str]) -> None:
        self._name = name
        self.snapshot = Snapshot()
        self.connection = Connection()
        self.changes = Changes()
        self._listeners: list[Callable[[], None]] = []

    @property
    def live(self) -> bool:
        return self.connection.phase is Phase.LIVE

    @property
    def nodes_read(self) -> bool:
        """Whether the nodes are read from a live connection."""
        return self.live and bool(self.snapshot.readings.get("nodes"))

    def why_not_live(self) -> LinkError:
        """The error that tells why there is no live connection: the most telling of all attempts."""
        return self.connection.why_not_live(self._name())

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` after every change; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def tell(self) -> None:
        """Something changed: every listener is called, and everybody who waits looks again."""
        for listener in tuple(self._listeners):
            listener()
        self.changes.tell()

    def polled(self, snapshot: Snapshot) -> None:
        """Takes what a poll told; what no poll tells stays as it is. Tells nobody yet."""
        kept = self.snapshot
        self.snapshot = replace(
            snapshot,
            certificates=kept.certificates,
            unlock_key=kept.unlock_key,
            locked=kept.locked,
            rivals=kept.rivals,
            backups=kept.backups,
            ucp=kept.ucp,
            dtr=kept.dtr,
        )

    def learnt(self, **changes: Any) -> None:
        """Takes what was learnt beside the polls, and tells it."""
        self.snapshot = replace(self.snapshot, **changes)
        self.tell()

    def set_connection(self, **changes: Any) -> None:
        """Takes over how it is connected now, and tells it if that is something else than before."""
        connection = replace(self.connection, **changes)
        if connection != self.connection:
            self.connection = connection
            self.tell()
