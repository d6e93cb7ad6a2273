"""What happened to a Swarm, and the least destructive way out. Pure: from what was seen of its managers to advice.

Rules: procedures.md K2-K4 and D1; what real Swarm does: swarm-dr.md §3 and §4. A way that loses something is only ever
named when no gentler one can work with the managers that there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from swarmtui.model.quorum import quorum_of


class Condition(StrEnum):
    """How a manager is, as far as getting the Swarm back goes.

    works: it sees a leader. leaderless: its raft runs and hears of no leader. locked: it waits for its key. stopped:
    its Docker does not run. silent: its Docker runs and does not answer. broken: its Swarm state is in error. out: it
    is in no Swarm. elsewhere: it is in another one. unreachable: nobody gets to its host. dead: a person said so.
    """

    WORKS = "works"
    LEADERLESS = "leaderless"
    LOCKED = "locked"
    STOPPED = "stopped"
    SILENT = "silent"
    BROKEN = "broken"
    OUT = "out"
    ELSEWHERE = "elsewhere"
    UNREACHABLE = "unreachable"
    DEAD = "dead"


class Way(StrEnum):
    """What is to be done, the least destructive first."""

    NOTHING = "nothing"
    START = "start-docker"
    UNLOCK = "unlock"
    BRING_BACK = "bring-back"
    FREE_DISK = "free-disk"
    FIX_CLOCK = "fix-clock"
    REJOIN = "rejoin"
    REPLACE = "replace"
    NETWORK = "mend-network"
    RECREATE = "recreate"
    FORCE = "force-new-cluster"
    RESTORE = "restore"
    REBUILD = "rebuild"
    UNDECIDED = "not-decidable"


ORDER = tuple(Way)
LOSES_NOTHING = frozenset(ORDER[: ORDER.index(Way.FORCE)])


class Member(Struct, frozen=True, kw_only=True):
    """A manager as it was seen.

    Attributes:
        node_id: "" where nobody tells.
        address: as the raft knows it, else as SSH does.
        host: where it is reached, as the ssh command takes it; "" where nobody knows.
        why: the words behind the condition, one sentence; "" where there is nothing to add.
        leader_id: the leader it sees; "" for none.
        disk_full, clock_off, expired: its disk is full; its clock is wrong; its certificate has expired.
        moved: the address that the raft knows it by, where its host has it no more.
        key_held: whether the vault has a key that may open it, where it is locked; None where nobody looked.
        index: of the last entry in its raft log; -1 where it could not be read.
    """

    name: str
    condition: Condition
    node_id: str = ""
    address: str = ""
    host: str = ""
    why: str = ""
    leader_id: str = ""
    disk_full: bool = False
    clock_off: bool = False
    expired: bool = False
    moved: str = ""
    key_held: bool | None = None
    index: int = -1

    @property
    def fix(self) -> Way | None:
        """What would make it a living member of the raft again, with nothing lost; None where nothing gentle would."""
        if self.condition in (Condition.BROKEN, Condition.STOPPED, Condition.LEADERLESS, Condition.SILENT):
            if self.disk_full:
                return Way.FREE_DISK
            if self.clock_off:
                return Way.FIX_CLOCK
        if self.condition in (Condition.STOPPED, Condition.SILENT):
            return Way.START
        if self.condition is Condition.LOCKED and self.key_held is not False:
            return Way.UNLOCK
        if self.condition is Condition.LEADERLESS and self.moved:
            return Way.NETWORK
        return None

    @property
    def alive(self) -> bool:
        """Its raft runs, and nothing is known that keeps it from the others."""
        return self.condition is Condition.WORKS or (
            self.condition is Condition.LEADERLESS and self.fix is None and not self.expired
        )

    @property
    def has_state(self) -> bool:
        """There is a raft log on it that a forced cluster could begin with."""
        return self.condition in (Condition.WORKS, Condition.LEADERLESS) or self.fix is not None


class Kept(Struct, frozen=True):
    """A backup that could be restored.

    Attributes:
        would_restore: "yes", "no" or "not proved".
        age: in words.
        gone: names of what it holds and the living Swarm has no more.
    """

    id: str
    would_restore: str
    age: str = ""
    gone: tuple[str, ...] = ()


class Advice(Struct, frozen=True):
    """One way, and about whom.

    Attributes:
        about: names of managers, or the id of a backup.
        because: one sentence.
        command: what to type next; "" where it is no command of ours.
    """

    way: Way
    because: str
    about: tuple[str, ...] = ()
    command: str = ""


class Diagnosis(Struct, frozen=True):
    """What happened, and what to do.

    Attributes:
        situation: what is so, in one sentence.
        still: what still works, and what does not.
        best: the least destructive way out.
        then: what else is to be done of the same kind, after it.
        others: the ways that it is not, each with the reason.
        two: whether two Swarms live side by side.
        holds: whether the quorum holds.
    """

    situation: str
    still: str
    best: Advice
    then: tuple[Advice, ...] = ()
    others: tuple[Advice, ...] = ()
    two: bool = False
    holds: bool = False

    @property
    def exit_code(self) -> int:
        """0 nothing to do, 1 a way that loses nothing, 2 only forcing or restoring is left, 3 not decidable."""
        if self.best.way is Way.UNDECIDED:
            return 3
        return 0 if self.best.way is Way.NOTHING else 1 if self.best.way in LOSES_NOTHING else 2


_RUNNING = "Running tasks keep running."
STILL = {
    True: f"{_RUNNING} Changes are possible.",
    False: f"{_RUNNING} Nothing can be changed, and a task that fails is not replaced, until there is a quorum again.",
}
"""swarm-dr.md §4: workers' containers keep running without a quorum."""


def diagnose(members: Sequence[Member], backups: Iterable[Kept] = (), *, voters: int = 0) -> Diagnosis:
    """Finds the least destructive way out.

    Args:
        members: every manager that is known, dead ones too.
        backups: of this cluster, the newest first.
        voters: how many managers the Swarm has; 0 where nobody tells: then as many as are known.
    """
    count = max(voters, len(members))
    kept = tuple(backups)
    if not members:
        because = "No manager is known: neither the configuration nor a host that answered names one."
        advice = Advice(Way.UNDECIDED, because, command="swarmtui clusters add NAME ssh://USER@MANAGER …")
        return Diagnosis("Nothing is known about the managers.", "What still works is not known.", advice)
    needed = quorum_of(count)
    working = [member for member in members if member.condition is Condition.WORKS]
    if len({member.leader_id for member in working if member.leader_id}) > 1:
        return _two(working)
    if len(working) >= needed:
        return _with_quorum(members, kept, count)
    # A leader that was left alone goes on answering for 13 s before it notices (swarm-dr.md §4).
    members = [
        replace(member, condition=Condition.LEADERLESS, leader_id="") if member in working else member
        for member in members
    ]
    return _without_quorum(members, kept, count, needed)


def _with_quorum(members: Sequence[Member], kept: Sequence[Kept], count: int) -> Diagnosis:
    troubled = [member for member in members if member.condition is not Condition.WORKS]
    advices = sorted((_mend(member) for member in troubled), key=lambda advice: ORDER.index(advice.way))
    up = count - len(troubled) - (count - len(members))
    situation = f"The quorum holds: {up} of {count} managers work."
    gone = next((backup for backup in kept if backup.gone and backup.would_restore != "no"), None)
    if gone is not None:
        names = ", ".join(gone.gone[:5]) + (f" and {len(gone.gone) - 5} more" if len(gone.gone) > 5 else "")
        advices.append(
            Advice(
                Way.RECREATE, f"Backup {gone.id} ({gone.age} old) has what the Swarm has no more: {names}.", (gone.id,)
            )
        )
    if not advices:
        nothing = Advice(Way.NOTHING, "Every manager works.")
        return Diagnosis(situation, STILL[True], nothing, others=_refused(Way.NOTHING, quorum=True), holds=True)
    best, *then = advices
    return Diagnosis(situation, STILL[True], best, tuple(then), _refused(best.way, quorum=True), holds=True)


def _mend(member: Member) -> Advice:
    """What to do about one manager while the others hold the quorum."""
    name = member.name
    if (fix := member.fix) is not None and fix is not Way.NETWORK:
        return _fixing(member, fix)
    about, why = (name,), member.why or f"{name} is {member.condition}."
    rejoin = f"swarmtui run node.rejoin node={name}"
    match member.condition:
        case Condition.UNREACHABLE:
            return Advice(Way.BRING_BACK, f"{why} Bring its host back; it takes its place by itself.", about)
        case Condition.DEAD:
            return Advice(Way.REPLACE, f"{name} is lost for good.", about, f"swarmtui run node.replace node={name}")
        case Condition.LOCKED:
            return Advice(Way.REJOIN, f"{name} is locked, and its key is not there: it joins anew.", about, rejoin)
        case _:
            return Advice(Way.REJOIN, why, about, rejoin)


def _fixing(member: Member, fix: Way) -> Advice:
    name = member.name
    at = f"ssh {member.host} " if member.host else ""
    match fix:
        case Way.START:
            silent = member.condition is Condition.SILENT
            sentence = f"Docker does not {'answer' if silent else 'run'} on {name}."
            command = f"{at}systemctl {'restart' if silent else 'start'} docker"
        case Way.UNLOCK:
            sentence = f"{name} is locked: it was restarted, and waits for its key."
            command = f"swarmtui run swarm.unlock node={name}"
        case Way.FREE_DISK:
            sentence, command = f"The disk of {name} is full.", f"{at}df -h /var/lib/docker"
        case Way.FIX_CLOCK:
            sentence, command = f"The clock of {name} is wrong.", f"{at}timedatectl"
        case _:
            sentence = f"{name} has another address than the raft knows ({member.moved}): give it back."
            command = f"{at}ip addr"
    return Advice(fix, sentence if member.why in sentence else f"{sentence} {member.why}", (name,), command)


def _without_quorum(members: Sequence[Member], kept: Sequence[Kept], count: int, needed: int) -> Diagnosis:
    alive = [member for member in members if member.alive]
    fixable = sorted(
        (member for member in members if not member.alive and member.fix is not None),
        key=lambda member: ORDER.index(member.fix or Way.UNDECIDED),
    )
    away = [member for member in members if member.condition is Condition.UNREACHABLE]
    away_count = len(away) + count - len(members)
    situation = f"The quorum is lost: {len(alive)} of {count} managers are there, {needed} are needed."
    if len(alive) >= needed:
        situation = f"{len(alive)} of {count} managers are there, which is enough, and they have no leader."
        because = (
            "They do not hear each other: look at the network between them (2377/tcp). Or an election is still under "
            "way: it takes up to half a minute."
        )
        best, then = Advice(Way.NETWORK, because, _names(alive)), []
    elif len(alive) + len(fixable) >= needed:
        best, *then = (_fixing(member, member.fix) for member in fixable if member.fix is not None)
    elif len(alive) + len(fixable) + away_count >= needed:
        missing = needed - len(alive) - len(fixable)
        hosts = f"{missing} of {', '.join(_names(away))}" if away else f"{missing} managers that nobody knows by name"
        because = (
            f"Bring back {hosts}: the quorum then returns by itself, within half a minute. If they are lost for good, "
            "name them: swarmtui recover --dead NAME,…"
        )
        best = Advice(Way.BRING_BACK, because, _names(away))
        then = [_fixing(member, member.fix) for member in fixable if member.fix is not None]
    else:
        best, then = _last_resort(members, kept), []
    return Diagnosis(situation, STILL[False], best, tuple(then), _refused(best.way, quorum=False))


def _last_resort(members: Sequence[Member], kept: Sequence[Kept]) -> Advice:
    """Too few managers can ever come back: what is left loses something."""
    survivors = sorted(
        (member for member in members if member.has_state),
        key=lambda member: (member.index, member.alive, not member.expired, member.name),
        reverse=True,
    )
    if survivors:
        best = survivors[0]
        known = f"; its raft log is the most advanced (index {best.index})" if best.index >= 0 else ""
        because = (
            f"Too few managers are left for a quorum, and {best.name} has the Swarm's state{known}. A new cluster "
            "forced on it keeps services, networks, secrets and configs. Every other old manager must be fenced first."
        )
        return Advice(Way.FORCE, because, (best.name,))
    proved = next((backup for backup in kept if backup.would_restore == "yes"), None)
    if proved is not None:
        because = f"No manager has the Swarm's state any more. Backup {proved.id} ({proved.age} old) would restore."
        return Advice(Way.RESTORE, f"{because} What changed since then is lost.", (proved.id,))
    hopeful = next((backup for backup in kept if backup.would_restore != "no"), None)
    if hopeful is not None:
        because = (
            f"No manager has the Swarm's state any more, and backup {hopeful.id} ({hopeful.age} old) is not proved: "
            "verify it first."
        )
        return Advice(Way.RESTORE, because, (hopeful.id,), f"swarmtui backups verify {hopeful.id}")
    if any(member.condition is Condition.LOCKED for member in members):
        because = (
            "Managers are locked, their key is not in the vault, and no backup would restore. Find the unlock key."
        )
        return Advice(Way.UNDECIDED, because, command="swarmtui secrets set unlock-key CLUSTER_ID")
    because = "No manager has the Swarm's state any more, and there is no backup that would restore: build it anew."
    return Advice(Way.REBUILD, because, command="swarmtui run swarm.build --help")


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
    Way.RECREATE: "it takes a quorum to create anything",
    Way.FORCE: "managers can still come back, or none is left to force",
    Way.RESTORE: "there is a way that loses nothing, or less",
    Way.REBUILD: "there is something to begin with",
}
_NOT_WITH_QUORUM = {
    Way.REJOIN: "every manager is in the Swarm, or there is a gentler way first",
    Way.REPLACE: "no manager is lost for good, or there is a gentler way first",
    Way.NETWORK: "the managers hear each other",
    Way.RECREATE: "no backup holds anything that the Swarm has not",
    Way.FORCE: "the quorum holds: forcing would only lose managers",
    Way.RESTORE: "the quorum holds: a restore would throw away what is there",
}


def _refused(best: Way, *, quorum: bool) -> tuple[Advice, ...]:
    """Every other way, with the reason why it is not the one."""
    reasons = {**_NOT, **(_NOT_WITH_QUORUM if quorum else {})}
    return tuple(Advice(way, reason) for way, reason in reasons.items() if way is not best)


def _two(working: Sequence[Member]) -> Diagnosis:
    sides: dict[str, list[str]] = {}
    for member in working:
        sides.setdefault(member.leader_id or "none", []).append(member.name)
    told = "; ".join(f"{', '.join(names)} follow {leader[:12]}" for leader, names in sides.items())
    because = (
        f"Two Swarms live side by side: {told}. Decide which one stays, and fence the managers of the other (stop "
        "Docker there, move its swarm directory away) before anything else is done."
    )
    situation = "Two Swarms with the same members live side by side."
    still = "Each side changes what it can reach: the longer both live, the further they part."
    return Diagnosis(situation, still, Advice(Way.UNDECIDED, because, _names(working)), two=True)


def _names(members: Iterable[Member]) -> tuple[str, ...]:
    return tuple(member.name for member in members)
