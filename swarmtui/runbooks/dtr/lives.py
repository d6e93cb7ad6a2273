"""Nothing that lives is destroyed: what a plan took for lost is looked at again, right before anything of it goes.

A run may be gone on with hours after it was planned: hosts that were only off may be back by then, and DTR with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarmtui.errors import RefusedError
from swarmtui.model.text import listed
from swarmtui.runbooks.dtr.access import access
from swarmtui.runbooks.dtr.found import DtrAccess, Replica
from swarmtui.runbooks.runbook import ConflictError
from swarmtui.session import Session

LOOK = "Nothing more was destroyed. Look how DTR is: swarmtui doctor. Then make a new plan, where one is still needed."


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What a plan took for lost.

    Attributes:
        needed: how many databases would make DTR work again; 0 where so many ran when the plan was made.
        lay: the replicas of which data lay on a node then, by `key`.
        replica: the only one that goes; "" where all of DTR does.
    """

    needed: int
    lay: tuple[str, ...] = ()
    replica: str = ""

    async def must(self, session: Session, own: tuple[str, str] = ("", "")) -> None:
        """Looks whether it is still so.

        Args:
            own: id of a replica that the run itself makes, and of its node: it is not what came back.

        Raises:
            ConflictError: DTR answers, or a majority is back.
        """
        try:
            known = await access(session)
        except RefusedError:
            return  # nothing of DTR is there, and nobody answers in its name
        mine = [one for one in known.replicas if _is(one, own)]
        others = [one for one in known.replicas if one not in mine]
        if known.told is not None:
            self._told(known, others, alone=bool(mine))
        elif known.works and not self.replica:
            raise ConflictError("DTR answers again, and the plan was made when it did not.", LOOK)
        if known.told is None and self.needed:
            self._majority(others)

    def _told(self, known: DtrAccess, others: Sequence[Replica], *, alone: bool) -> None:
        counted = [one for one in others if one.member]
        if self.replica:
            if any(one.id == self.replica for one in counted):
                raise ConflictError(
                    f"DTR answers, and counts {self.replica} in, which it did not when the plan was made.",
                    f"{LOOK} Out of a DTR that works it is taken by: swarmtui run dtr.remove replica={self.replica}",
                )
            return
        if counted or not alone:
            told = f", and counts in {listed([one.shown for one in counted])}" if counted else ""
            raise ConflictError(f"{known.product} answers again{told}: it is not lost any more.", LOOK)

    def _majority(self, others: Sequence[Replica]) -> None:
        runs = [one for one in others if one.on is not None and one.on.database]
        if len(runs) >= self.needed:
            raise ConflictError(
                f"The database runs again on {listed([one.shown for one in runs])}, which is a majority.", LOOK
            )
        lie = [one for one in others if one.on is not None and (one.on.data or one.on.database)]
        back = [one for one in lie if key(one) not in self.lay]
        if not self.replica and back and len(lie) >= self.needed:
            raise ConflictError(
                f"{listed([one.shown for one in back])} could not be seen when the plan was made, and is there now: "
                "enough data for a majority, with which DTR comes back and loses nothing.",
                LOOK,
            )


def key(one: Replica) -> str:
    """What lies of one replica on one node: its id, and the node's."""
    return f"{one.id}-{one.on.node.id}" if one.on is not None else one.id


def _is(one: Replica, own: tuple[str, str]) -> bool:
    return one.on is not None and (one.id, one.on.node.id) == own
