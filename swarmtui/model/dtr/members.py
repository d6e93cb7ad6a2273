"""How many replicas DTR has, whether they can be seen now or not: the number that a majority is counted of. Pure.

Without a quorum DTR tells nobody who is in it (ucp-dtr.md §3.2), and a host that was rebuilt shows nothing of the
replica it had. Counted among what can be seen, one replica of three would be a majority of itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct, field

from swarmtui.model.quorum import quorum_of


class Noted(Struct, frozen=True):
    """Whom DTR counted in when it told that to somebody who kept it: this machine, or the manifest of a backup.

    Attributes:
        nodes: replica id → its node, by name or hostname; "" where nobody noted that.
        at: when it was told, seconds since the epoch; 0.0 where nobody knows.
    """

    nodes: Mapping[str, str] = field(default_factory=dict)
    at: float = 0.0


class Members(Struct, frozen=True, kw_only=True):
    """The replicas of which a majority must be up.

    Attributes:
        seen: ids of those of which the data lies on a node that answers, or that DTR itself counts in now.
        away: id → node of those that nobody sees, and that may come back: "" where their node is not known.
        lost: id → node of those of which nothing is left on their own node, which answers. DTR counts them too.
        sure: DTR itself told who is in it, now or to whoever noted it; else there may be more.
    """

    seen: tuple[str, ...] = ()
    away: dict[str, str] = {}
    lost: dict[str, str] = {}
    sure: bool = False

    @property
    def total(self) -> int:
        return len(self.seen) + len(self.away) + len(self.lost)

    @property
    def needed(self) -> int:
        """How many must be up; 1 of none."""
        return quorum_of(max(self.total, 1))


def total_members(seen: Iterable[str], noted: Iterable[Noted], answering: Collection[str]) -> Members:
    """All replicas that DTR has while it does not tell: those that are seen, and those that were noted last.

    Of several notes the newest counts alone. What an older one names besides was removed, given up by a repair, or is
    of a DTR from before a restore: counted in, it would make a majority that is there look lost.

    Args:
        seen: ids of replicas of which the data lies on some node.
        answering: names and hostnames of the nodes that answer: what does not lie there is not there.
    """
    there = tuple(sorted(set(seen)))
    newest = max((one for one in noted if one.nodes), key=lambda one: one.at, default=Noted())
    missing = {replica: node for replica, node in sorted(newest.nodes.items()) if replica not in there}
    return Members(
        seen=there,
        away={replica: node for replica, node in missing.items() if node not in answering},
        lost={replica: node for replica, node in missing.items() if node in answering},
        sure=bool(newest.nodes),
    )
