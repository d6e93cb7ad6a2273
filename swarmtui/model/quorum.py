"""Raft arithmetic: how many managers must agree, how many may be lost, and what a change would do to both.

Voters are the nodes with a ManagerStatus, never those whose Spec says manager. Source of the numbers: procedures.md B6.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from swarmtui.model.swarm import Node


def quorum_of(voters: int) -> int:
    """Managers that must agree before anything can change: N//2+1; 0 for no voters."""
    return voters // 2 + 1 if voters > 0 else 0


def tolerance_of(voters: int) -> int:
    """Managers that may be lost before nothing can change any more, all being up now: (N-1)//2."""
    return max(0, (voters - 1) // 2)


class Quorum(Struct, frozen=True):
    """The raft of a Swarm at one moment.

    Attributes:
        voters: members of the raft.
        reachable: members the leader hears from.
    """

    voters: int
    reachable: int

    @property
    def needed(self) -> int:
        return quorum_of(self.voters)

    @property
    def tolerance(self) -> int:
        """Losses this many voters would survive if all were reachable."""
        return tolerance_of(self.voters)

    @property
    def held(self) -> bool:
        return self.voters > 0 and self.reachable >= self.needed

    @property
    def slack(self) -> int:
        """Further losses it survives as it is now; negative: so many must come back."""
        return self.reachable - self.needed

    def __str__(self) -> str:
        if not self.voters:
            return "no managers known"
        head = f"{self.reachable}/{self.voters} managers"
        if not self.held:
            missing = self.needed - self.reachable
            return f"{head}, quorum LOST ({missing} more needed)"
        if self.slack == 0:
            return f"{head}, survives no loss"
        return f"{head}, survives {self.slack} {'loss' if self.slack == 1 else 'losses'}"


def quorum(nodes: Iterable[Node]) -> Quorum:
    """Counts the raft members among the nodes, and those reachable."""
    voters = [node for node in nodes if node.is_voter]
    return Quorum(len(voters), sum(node.is_reachable for node in voters))


class QuorumChange(Struct, frozen=True):
    """Quorum before and after an action, and the one moment between that is worse than both.

    Attributes:
        during: the least favourable moment of the action. On a demotion from two managers to one the leaving one must
            still agree: if it dies in the middle, nobody has quorum (procedures.md N2).
    """

    before: Quorum
    after: Quorum
    during: Quorum | None = None

    @property
    def loses_quorum(self) -> bool:
        return self.before.held and not self.after.held

    @property
    def loses_tolerance(self) -> bool:
        """From surviving the loss of a manager to surviving none."""
        return self.before.slack > 0 >= self.after.slack

    @property
    def lowers_tolerance(self) -> bool:
        return self.after.slack < self.before.slack

    @property
    def two_to_one(self) -> bool:
        return self.before.voters == 2 and self.after.voters == 1


def after_demoting(before: Quorum, *, reachable: bool) -> QuorumChange:
    """What the raft is when one of its members has left it.

    Args:
        reachable: whether the leaving member is reachable now; taking away an unreachable one can only help.
    """
    after = Quorum(before.voters - 1, before.reachable - (1 if reachable else 0))
    return QuorumChange(before, after, during=before if before.voters == 2 else None)


def after_promoting(before: Quorum, *, ready: bool) -> QuorumChange:
    """What the raft is when a node has joined it.

    Args:
        ready: whether the node is up. The Swarm adds a node to the raft only when the node itself asks, so a node that
            is down joins when it comes back; the worst case (a voter that cannot be reached) is what is shown.
    """
    after = Quorum(before.voters + 1, before.reachable + (1 if ready else 0))
    return QuorumChange(before, after)
