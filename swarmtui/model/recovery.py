"""What happened to a Swarm, and the least destructive way out. Pure: from what was seen of its managers to advice.

Rules: procedures.md K2-K4 and D1; what real Swarm does: swarm-dr.md §3 and §4. A way that loses something is only ever
named when no gentler one can work with the managers that there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from swarmtui.model.quorum import quorum_of
from swarmtui.model.recovery_terms import (
    LOSES_NOTHING,
    ORDER,
    Advice,
    Condition,
    Diagnosis,
    Kept,
    Member,
    Way,
    Worker,
)
from swarmtui.model.recovery_ways import Ways

__all__ = [
    "LOSES_NOTHING",
    "ORDER",
    "Advice",
    "Condition",
    "Diagnosis",
    "Kept",
    "Member",
    "Way",
    "Worker",
    "diagnose",
    "with_lost_accounts",
]

_RUNNING = "Running tasks keep running."
STILL = {
    True: f"{_RUNNING} Changes are possible.",
    False: f"{_RUNNING} Nothing can be changed, and a task that fails is not replaced, until there is a quorum again.",
}
"""swarm-dr.md §4: workers' containers keep running without a quorum."""


def diagnose(
    members: Sequence[Member],
    backups: Iterable[Kept] = (),
    *,
    voters: int = 0,
    workers: Sequence[Worker] = (),
    target: str = "",
    cluster_id: str = "",
) -> Diagnosis:
    """Finds the least destructive way out.

    Args:
        members: every manager that is known, dead ones too.
        backups: of this cluster, the newest first.
        voters: how many managers the Swarm has; 0 where nobody tells: then as many as are known.
        workers: those that are known.
        target: the cluster, as commands name it.
        cluster_id: its id, as the vault names it; "" where nobody tells.
    """
    count = max(voters, len(members))
    kept = tuple(backups)
    ways = Ways(target, workers, cluster_id)
    if not members:
        because = "No manager is known: neither the configuration nor a host that answered names one."
        advice = Advice(Way.UNDECIDED, because, command="swarmtui clusters add NAME ssh://USER@MANAGER …")
        return Diagnosis("Nothing is known about the managers.", "What still works is not known.", advice)
    needed = quorum_of(count)
    working = [member for member in members if member.condition is Condition.WORKS]
    if _are_two(working):
        return _two(working, ways)
    members, working = _without_stale(members, working)
    if len(working) >= needed:
        return _with_quorum(members, kept, count, workers, ways)
    # A leader that was left alone goes on answering for 13 s before it notices (swarm-dr.md §4).
    members = [_leaderless(member) if member in working else member for member in members]
    return _without_quorum(members, kept, count, needed, ways)


def _are_two(working: Sequence[Member]) -> bool:
    """Whether there are leaders of two rafts: one does not count the other among its voters.

    One raft never has two leaders that can change anything; but one that was cut off goes on answering for 13 s before
    it notices (swarm-dr.md §4), and still has all the others among its voters.
    """
    led = {member.leader_id: member.voters for member in working if member.leader_id}
    return any(
        first not in led[second] or second not in led[first]
        for number, first in enumerate(led)
        for second in list(led)[number + 1 :]
    )


def _without_stale(members: Sequence[Member], working: Sequence[Member]) -> tuple[list[Member], list[Member]]:
    """The same, where managers that follow a leader without followers, of a raft that has another one, have none."""
    count = Counter(member.leader_id for member in working if member.leader_id)
    if len(count) > 1:
        ((leader, _),) = count.most_common(1)
        stale = [member for member in working if member.leader_id not in ("", leader)]
        members = [_leaderless(member) if member in stale else member for member in members]
        working = [member for member in working if member not in stale]
    return list(members), list(working)


def _leaderless(member: Member) -> Member:
    return replace(member, condition=Condition.LEADERLESS, leader_id="")


def _with_quorum(
    members: Sequence[Member], kept: Sequence[Kept], count: int, workers: Sequence[Worker], ways: Ways
) -> Diagnosis:
    troubled = [member for member in members if member.condition is not Condition.WORKS]
    advices = sorted((ways.mend(member) for member in troubled), key=lambda advice: ORDER.index(advice.way))
    # The managers come first: with one more of them lost nothing could be mended at all.
    advices += [ways.worker_down(worker) for worker in workers if worker.ready is False]
    situation = f"The quorum holds: {len(members) - len(troubled)} of {count} managers work."
    gone = next((backup for backup in kept if backup.gone and backup.would_restore != "no"), None)
    if gone is not None:
        advices.append(ways.recreate(gone))
    if not advices:
        nothing = Advice(Way.NOTHING, "Every manager works.")
        return Diagnosis(situation, STILL[True], nothing, others=_refused(Way.NOTHING, quorum=True), holds=True)
    best, *then = advices
    return Diagnosis(situation, STILL[True], best, tuple(then), _refused(best.way, quorum=True), holds=True)


def _without_quorum(members: Sequence[Member], kept: Sequence[Kept], count: int, needed: int, ways: Ways) -> Diagnosis:
    alive = [member for member in members if member.alive]
    fixable = sorted(
        (member for member in members if not member.alive and member.fix is not None),
        key=lambda member: ORDER.index(member.fix or Way.UNDECIDED),
    )
    expired = [member for member in fixable if member.fix is Way.CERTIFICATES]
    fixes = [ways.fixing(m, m.fix) for m in fixable if m.fix is not None and m not in expired]
    fixes += [ways.certificates(expired)] if expired else []
    away = [member for member in members if member.condition is Condition.UNREACHABLE]
    away_count = len(away) + count - len(members)
    situation = f"The quorum is lost: {len(alive)} of {count} managers are there, {needed} are needed."
    then: list[Advice] = []
    if len(alive) >= needed:
        situation = f"{len(alive)} of {count} managers are there, which is enough, and they have no leader."
        because = (
            "They do not hear each other: look at the network between them (2377/tcp). Or an election is still under "
            "way: it takes up to half a minute."
        )
        best = Advice(Way.NETWORK, because, tuple(member.name for member in alive))
    elif len(alive) + len(fixable) >= needed:
        best, *then = fixes
    elif len(alive) + len(fixable) + away_count >= needed:
        best, then = ways.bring_back(away, needed - len(alive) - len(fixable)), fixes
    else:
        best = ways.last_resort(members, kept)
    return Diagnosis(situation, STILL[False], best, tuple(then), _refused(best.way, quorum=False))


_NOT = {
    Way.NOTHING: "something is to be done",
    Way.START: "no manager is there whose Docker only has to be started, or too few to matter",
    Way.UNLOCK: "no manager is only locked, or too few to matter",
    Way.BRING_BACK: "no manager is merely away, or too few to matter",
    Way.FREE_DISK: "no full disk was seen that this would mend",
    Way.FIX_CLOCK: "no wrong clock was seen that this would mend",
    Way.REJOIN: "it takes a quorum to join",
    Way.REPLACE: "it takes a quorum to replace a manager",
    Way.NETWORK: "managers that live do hear each other, or too few live",
    Way.CERTIFICATES: "no expired certificate was seen that this would mend",
    Way.RECREATE: "it takes a quorum to create anything",
    Way.SPLIT: "no two Swarms live side by side",
    Way.UCP: "UCP is restored into a Swarm that has its quorum",
    Way.DTR: "DTR is mended on a Swarm that has its quorum",
    Way.DTR_LOSING: "DTR is restored on a Swarm that has its quorum",
    Way.FORCE: "managers can still come back, or none is left to force",
    Way.RESTORE: "there is a way that loses nothing, or less",
    Way.REBUILD: "there is something to begin with",
}
_NOT_WITH_TWO = {way: "there must be one Swarm again first" for way in _NOT if way is not Way.SPLIT}
_NOT_WITH_QUORUM = {
    Way.REJOIN: "every manager is in the Swarm, or there is a gentler way first",
    Way.REPLACE: "no manager is lost for good, or there is a gentler way first",
    Way.NETWORK: "the managers hear each other",
    Way.CERTIFICATES: "the managers that work renew their own; one whose certificate has expired joins anew",
    Way.RECREATE: "no backup holds anything that the Swarm has not",
    Way.UCP: "no backup of UCP is known to have accounts that UCP has no more",
    Way.DTR: "nothing is known to be wrong with DTR",
    Way.DTR_LOSING: "no DTR is known that only this would bring back",
    Way.FORCE: "the quorum holds: forcing would only lose managers",
    Way.RESTORE: "the quorum holds: a restore would throw away what is there",
}


def _refused(best: Way, *, quorum: bool) -> tuple[Advice, ...]:
    """Every other way, with the reason why it is not the one."""
    reasons = {**_NOT, **(_NOT_WITH_QUORUM if quorum else {})}
    return tuple(Advice(way, reason) for way, reason in reasons.items() if way is not best)


def with_lost_accounts(found: Diagnosis, backup: str, names: Sequence[str], *, target: str = "") -> Diagnosis:
    """The same, where UCP lost accounts that a backup of it has: UCP alone is restored, and the Swarm is left alone.

    Args:
        names: of those accounts.
    """
    if not found.holds or not names:
        return found
    advice = Ways(target, ()).restore_ucp(backup, names)
    others = tuple(one for one in found.others if one.way is not Way.UCP)
    if found.best.way is not Way.NOTHING:
        return replace(found, then=(*found.then, advice), others=others)
    return replace(found, best=advice, others=(Advice(Way.NOTHING, _NOT[Way.NOTHING]), *others))


def _two(working: Sequence[Member], ways: Ways) -> Diagnosis:
    situation = "Two Swarms with the same members live side by side."
    still = "Each side changes what it can reach: the longer both live, the further they part."
    others = tuple(Advice(way, reason) for way, reason in _NOT_WITH_TWO.items())
    return Diagnosis(situation, still, ways.split(working), others=others, two=True)
