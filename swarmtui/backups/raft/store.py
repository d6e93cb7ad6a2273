"""Swarm's store, replayed: a snapshot, and the log's entries after it. Objects stay bytes until somebody wants them."""

from __future__ import annotations

from collections.abc import Mapping

from swarmtui.backups.raft.contents import Member
from swarmtui.backups.raft.wal import member
from swarmtui.backups.raft.wire import Field, Table, WireError, decode, fields, message, number, octets, text

_CREATE, _UPDATE, _REMOVE = 1, 2, 3
_ADD_MEMBER, _REMOVE_MEMBER, _UPDATE_MEMBER = 0, 1, 2
KINDS: Mapping[int, str] = {2: "node", 3: "service", 4: "task", 5: "network", 6: "cluster", 7: "secret", 10: "config"}
"""Of objects, by their number in an action. Resources, extensions and volumes are not of our concern."""
_IN_SNAPSHOT: Mapping[int, str] = {
    1: "node",
    2: "service",
    3: "network",
    4: "task",
    5: "cluster",
    6: "secret",
    9: "config",
}
_CHANGE: Table = {2: Field("kind", number), 3: Field("raft_id", number), 4: Field("context", octets)}
_MEMBERSHIP: Table = {1: Field("members", octets, "many")}
_SNAPSHOT: Table = {2: Field("membership", message(_MEMBERSHIP)), 3: Field("store", octets)}


class Store:
    """What the Swarm contains.

    Attributes:
        objects: by kind and id, as they are kept. Tasks are only counted: there are thousands, and nobody restores one.
        members: the managers by raft id.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[bytes, bytes]] = {kind: {} for kind in KINDS.values()}
        self.members: dict[int, Member] = {}

    def load(self, snapshot: bytes) -> None:
        """Begins with a decrypted snapshot.

        Raises:
            WireError: it is none.
        """
        found = decode(snapshot, _SNAPSHOT)
        for raw in found.get("membership", {}).get("members", []):
            one = member(raw)
            self.members[one.raft_id] = one
        for field, raw in fields(found.get("store", b"")):
            if (kind := _IN_SNAPSHOT.get(field)) is not None:
                self._put(kind, octets(raw))

    def apply(self, request: bytes) -> None:
        """Applies what one decrypted entry of the log changes in the store.

        Raises:
            WireError: it is no such entry.
        """
        for field, raw in fields(request):
            if field != 2:
                continue
            action, kind, value = 0, "", b""
            for part, inner in fields(octets(raw)):
                if part == 1:
                    action = number(inner)
                elif part in KINDS:
                    kind, value = KINDS[part], octets(inner)
            if not kind:
                continue
            if action in (_CREATE, _UPDATE):
                self._put(kind, value)
            elif action == _REMOVE:
                self.objects[kind].pop(_id(value), None)

    def change(self, change: bytes) -> None:
        """Applies a change of the membership.

        Raises:
            WireError: it is none.
        """
        found = decode(change, _CHANGE)
        kind, raft_id = found.get("kind", _ADD_MEMBER), found.get("raft_id", 0)
        if kind == _REMOVE_MEMBER:
            self.members.pop(raft_id, None)
        elif kind in (_ADD_MEMBER, _UPDATE_MEMBER):
            one = member(found.get("context", b""))
            self.members[raft_id] = Member(raft_id, one.node_id, one.address)

    def _put(self, kind: str, value: bytes) -> None:
        self.objects[kind][_id(value)] = b"" if kind == "task" else value


def _id(value: bytes) -> bytes:
    """The id of an object: its first field, short and at the front wherever Swarm wrote it."""
    if len(value) > 2 and value[0] == 0x0A and value[1] < 0x80 and len(value) >= 2 + value[1]:
        return value[2 : 2 + value[1]]
    for field, raw in fields(value):
        if field == 1:
            return octets(raw)
    raise WireError("an object without an id")


def shown(id_: bytes) -> str:
    """An id for a person."""
    return text(id_)
