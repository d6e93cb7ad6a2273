"""Which replicas a load balancer leads to, concluded from who answered over many new connections to it. Pure.

Its own list nobody can ask for. DTR tells in its settings which replica it is that answers (`replicaID`, ucp-dtr.md
§3.2), each connection is one turn of the load balancer, and what never answers in many turns is not behind it: with
three replicas and turns by chance, 24 of them miss one that is there once in 17,000 times. A load balancer that leads
one client always the same way (source affinity) cannot be told from one that knows only that replica, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from swarmtui.model.text import listed

TRIES: Final = 8
"""New connections for each replica, before one is said not to be behind it."""


class Turn(Struct, frozen=True):
    """One new connection through the load balancer.

    Attributes:
        replica: who answered; "" where it does not tell.
        trouble: why nothing of this DTR answered, one sentence; "" where something did.
    """

    replica: str = ""
    trouble: str = ""


class Behind(Struct, frozen=True):
    """What is known of the replicas behind the load balancer.

    Attributes:
        url: of the load balancer.
        members: the replicas there were meanwhile; with others it is begun anew.
        turns: the newest ones, the oldest of them first.
        trouble: why the newest look told nothing, one sentence; "" when it did.
        at: when that was, seconds since the epoch.
    """

    url: str = ""
    members: frozenset[str] = frozenset()
    turns: tuple[Turn, ...] = ()
    trouble: str = ""
    at: float = 0.0

    @property
    def enough(self) -> int:
        """How many turns must tell who answered, before anybody is missed."""
        return TRIES * len(self.members)

    @property
    def told(self) -> tuple[str, ...]:
        """Who answered, of the newest turns that told; as many as are enough, where there were so many."""
        return tuple(turn.replica for turn in self.turns if turn.replica)[-self.enough :]

    @property
    def leads_to(self) -> frozenset[str]:
        return frozenset(self.told)

    @property
    def missed(self) -> frozenset[str]:
        """The replicas that never answered in enough turns; none as long as that is not known."""
        return self.members - self.leads_to if len(self.told) >= self.enough else frozenset()

    @property
    def strangers(self) -> frozenset[str]:
        """Who answered and is none of its replicas."""
        return self.leads_to - self.members

    @property
    def lost(self) -> tuple[Turn, ...]:
        """The turns that led to nothing of this DTR."""
        return tuple(turn for turn in self.turns if turn.trouble)

    @property
    def wanted(self) -> int:
        """How many turns the next look takes: all at once, before anything can be said."""
        return 2 * len(self.members) if len(self.told) >= self.enough else self.enough


def words(behind: Behind | None, names: Mapping[str, str]) -> str:
    """Which replicas it leads to, for a person: one clause, with how much that is worth.

    Args:
        names: replica id → what it is called, in the order in which they are told.
    """
    if behind is None:
        return "not known yet"
    known = [name for one, name in names.items() if one in behind.leads_to]
    seen = listed([*known, *sorted(behind.leads_to - set(names))]) or "none"
    if behind.trouble and not behind.leads_to:
        return f"not known: {behind.trouble}"
    count = len(behind.told)
    if count < behind.enough:
        return f"{seen}, by {count} new connections so far; {behind.enough} tell whether one is missing"
    return f"{seen}, by the newest {count} connections from here"


def begun(before: Behind | None, url: str, members: Iterable[str]) -> Behind:
    """What is gone on with: what is known already, as long as it is of the same address and the same replicas."""
    ids = frozenset(members)
    return before if before is not None and (before.url, before.members) == (url, ids) else Behind(url, ids)


def looked(before: Behind, turns: Sequence[Turn], at: float) -> Behind:
    """With a further look. One in which nothing answered tells of the way there, and nothing of its list."""
    if not turns or all(turn.trouble for turn in turns):
        why = turns[0].trouble if turns else "it did not answer in time."
        return replace(before, trouble=why, at=at)
    kept = (*before.turns, *turns)[-2 * before.enough :]
    trouble = "" if any(turn.replica for turn in turns) else "DTR does not tell there which replica answers."
    return replace(before, turns=kept, trouble=trouble, at=at)
