"""The terms in which it is told what happened to a Swarm: how its managers are, and which ways out there are. Pure."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field


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
    CERTIFICATES = "renew-certificates"
    RECREATE = "recreate"
    DTR = "mend-dtr"
    SPLIT = "end-split"
    UCP = "restore-ucp"
    DTR_LOSING = "restore-dtr"
    FORCE = "force-new-cluster"
    RESTORE = "restore"
    REBUILD = "rebuild"
    UNDECIDED = "not-decidable"


ORDER = tuple(Way)
LOSES_NOTHING = frozenset(ORDER[: ORDER.index(Way.SPLIT)])


class Member(Struct, frozen=True, kw_only=True):
    """A manager as it was seen.

    Attributes:
        node_id: "" where nobody tells.
        address: as the raft knows it, else as SSH does.
        addresses: those that its host has, where it told.
        host: where it is reached, as the ssh command takes it; "" where nobody knows.
        target: the same as our own commands take it (ssh://USER@HOST).
        why: the words behind the condition, one sentence; "" where there is nothing to add.
        leader_id: the leader it sees; "" for none.
        voters: ids of the members of the raft, as its leader tells them; empty where that was not told.
        ready: how many nodes its leader calls ready; -1 where that was not told.
        disk_full, clock_off, expired: its disk is full; its clock is wrong; its certificate has expired.
        moved: the address that the raft knows it by, where its host has it no more.
        key_held: whether the vault has a key that may open it, where it is locked; None where nobody looked.
        index: of the last entry in its raft log; -1 where it could not be read.
        root: the data root of its Docker.
    """

    name: str
    condition: Condition
    node_id: str = ""
    address: str = ""
    addresses: frozenset[str] = frozenset()
    host: str = ""
    target: str = ""
    why: str = ""
    leader_id: str = ""
    voters: frozenset[str] = frozenset()
    ready: int = -1
    disk_full: bool = False
    clock_off: bool = False
    expired: bool = False
    moved: str = ""
    key_held: bool | None = None
    index: int = -1
    root: str = "/var/lib/docker"

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
        if self.condition in (Condition.LEADERLESS, Condition.BROKEN) and self.expired:
            return Way.CERTIFICATES
        return None

    @property
    def alive(self) -> bool:
        """Its raft runs, and nothing is known that keeps it from the others."""
        return self.condition is Condition.WORKS or (self.condition is Condition.LEADERLESS and self.fix is None)

    @property
    def has_state(self) -> bool:
        """There is a raft log on it that a forced cluster could begin with."""
        return self.condition in (Condition.WORKS, Condition.LEADERLESS) or self.fix is not None


class Worker(Struct, frozen=True):
    """A worker, as the managers see it. ready: None where nobody tells."""

    name: str
    ready: bool | None = None


class Kept(Struct, frozen=True):
    """A backup that could be restored.

    Attributes:
        would_restore: "yes", "no" or "not proved".
        age: in words.
        gone: names of what it holds and the living Swarm has no more.
        addresses: of the managers there were when it was taken; the one that it was taken from first.
    """

    id: str
    would_restore: str
    age: str = ""
    gone: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


class Advice(Struct, frozen=True):
    """One way, and about whom.

    Attributes:
        about: names of managers, or the id of a backup.
        because: one sentence.
        command: what to type next; "" where there is nothing to type.
        runbook: the runbook that does it; "" where none of ours does.
        params: what it is started with, as `swarmtui run` takes it; it may need more, which only a person knows.
    """

    way: Way
    because: str
    about: tuple[str, ...] = ()
    command: str = ""
    runbook: str = ""
    params: dict[str, str] = field(default_factory=dict)


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
        """0 nothing to do, 1 a way that loses nothing, 2 only one that may lose something is left, 3 not decidable."""
        if self.best.way is Way.UNDECIDED:
            return 3
        return 0 if self.best.way is Way.NOTHING else 1 if self.best.way in LOSES_NOTHING else 2
