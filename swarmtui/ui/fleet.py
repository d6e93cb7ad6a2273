"""Several clusters side by side: one session each, and what a row says of each. No widgets here.

Sessions live only while the page that shows them does: nobody wants connections to ten clusters that nobody looks at.
They ask nobody anything. A cluster that needs a person, or whose refusal no second try would mend, is asked once and
left alone from then on: knocking again every half a minute with keys that are refused gets an address banned.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swarmtui.config import ClusterConfig, Config
from swarmtui.errors import SwarmtuiError
from swarmtui.link.hostkeys import HostKeyQuestion
from swarmtui.model.health import Finding, Severity, alarms, findings
from swarmtui.model.quorum import Quorum, quorum
from swarmtui.model.snapshot import Snapshot
from swarmtui.opening import Opening, find

if TYPE_CHECKING:
    from swarmtui.session import Session

CLOSE_SECONDS = 3.0
"""How long leaving waits for connections to end; a host that hangs must not keep anybody."""


class Unattended:
    """Stands for the person while nobody is to be disturbed: says no to everything, and remembers what it was.

    Attributes:
        asked: what a person was needed for, one sentence; "" as long as nobody was.
    """

    def __init__(self) -> None:
        self.asked = ""

    async def trust_host_key(self, q: HostKeyQuestion) -> bool:
        self.asked = f"The host key of {q.host}:{q.port} is not known yet."
        return False

    async def passphrase(self, key_file: str) -> str | None:
        self.asked = f"The key {key_file} wants its passphrase."
        return None

    async def password(self, user_at_host: str) -> str | None:
        self.asked = f"{user_at_host} wants a password."
        return None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a cluster: the newest snapshot and what follows from it."""

    snapshot: Snapshot
    raft: Quorum
    ready: int
    alarms: tuple[Finding, ...]

    @classmethod
    def of(cls, snapshot: Snapshot, zone_label: str) -> Seen:
        """Looks at a snapshot; takes a while where there are many tasks."""
        found = findings(snapshot, now=time.time(), zone_label=zone_label)
        nodes = snapshot.nodes.values()
        return cls(snapshot, quorum(nodes), sum(node.is_ready for node in nodes), tuple(alarms(found)))

    @property
    def quorum_lost(self) -> bool:
        return self.snapshot.info.swarm.no_leader or (self.snapshot.nodes_known and not self.raft.held)

    @property
    def critical(self) -> int:
        return sum(finding.severity is Severity.CRITICAL for finding in self.alarms)


@dataclass(slots=True)
class Member:
    """One cluster of the fleet.

    Attributes:
        opening: how it is opened; None until that is found out, or when its configuration cannot be meant.
        session: its connection, while it has one.
        left_alone: why there is no further try before somebody asks for it: its configuration cannot be meant, it needs
            a person, or it refuses us.
        seen: what was seen of it last; stays when the connection goes.
    """

    name: str
    cluster: ClusterConfig
    find: Callable[[], Opening]
    opening: Opening | None = None
    session: Session | None = None
    person: Unattended = field(default_factory=Unattended)
    left_alone: SwarmtuiError | None = None
    seen: Seen | None = None
    unsubscribe: Callable[[], None] = lambda: None

    @property
    def needs_person(self) -> bool:
        """Somebody must answer a question before it can be connected to."""
        return bool(self.person.asked) and not self.live

    @property
    def live(self) -> bool:
        return self.session is not None and self.session.live


class Fleet:
    """The clusters a person named.

    Args:
        config: names them; the newest is the attribute of this name.
        folder: a folder of our own, for client bundles that come as a zip.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        self.config = config
        self._folder = folder
        self._unpacked = 0
        self._members: dict[str, Member] = {}
        for name in config.clusters:
            self.name(name, config)
        self._changed: set[str] = set()
        self._dirty = asyncio.Event()
        self._listener: Callable[[], None] = lambda: None
        self._failed: Callable[[BaseException], None] = lambda error: None
        self._jobs: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._running = False

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __getitem__(self, name: str) -> Member:
        return self._members[name]

    def include(self, opening: Opening) -> str:
        """Gives an open cluster its place; returns the name it has here."""
        for member in self:
            if member.opening is opening:
                return member.name
        name = opening.name
        known = self._members.get(name)
        if known is not None and known.cluster is opening.cluster:
            known.opening = opening
            return name
        if known is not None:  # a docker context, say, that is called like a cluster
            name = f"{name} ({', '.join(str(target) for target in opening.targets)})"
        self._members[name] = Member(name, opening.cluster, lambda: opening, opening=opening)
        if self._running:
            self._spawn(self._jobs, self._begin(self._members[name]))
        return name

    def name(self, name: str, config: Config) -> None:
        """Takes in a cluster that the configuration names; it is not connected to before it is opened, or `start`."""
        self.config = config
        self._members[name] = Member(name, config.clusters[name], partial(self._find, name, config))

    def _find(self, name: str, config: Config) -> Opening:
        self._unpacked += 1
        return find(f"cluster:{name}", config, bundles=self._folder / f"bundle-{self._unpacked}")

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self, listener: Callable[[], None], failed: Callable[[BaseException], None]) -> None:
        """Connects to all of them at once. Needs a running event loop.

        Args:
            listener: called after every change.
            failed: called with what nobody expected, which would vanish otherwise.
        """
        self._listener, self._failed = listener, failed
        self._running = True
        self._spawn(self._jobs, self._look())
        for member in self:
            self._spawn(self._jobs, self._begin(member))

    async def stop(self, keep: str = "") -> Session | None:
        """Ends every connection but one; others end in the background where a host does not answer.

        Args:
            keep: the cluster that is to be opened.

        Returns:
            Its session: the live one, or one not started yet that goes on from what was seen; None when nothing is
            known. The next owner answers its questions.
        """
        self._running = False
        self._listener, self._failed = (lambda: None), (lambda error: None)
        for job in list(self._jobs):
            job.cancel()
        kept: Session | None = None
        for member in self:
            member.unsubscribe()
            session, member.session = member.session, None
            if session is not None and member.name == keep and session.live:
                kept = session
            elif session is not None:
                self._spawn(self._closing, session.close())
        if kept is None and keep:
            kept = self._unstarted(self._members[keep])
        if self._closing:
            await asyncio.wait(self._closing, timeout=0.0 if keep else CLOSE_SECONDS)
        return kept

    def _unstarted(self, member: Member) -> Session | None:
        """A session that goes on from what was seen: another Swarm under the same address is told, never shown."""
        if member.seen is None or member.opening is None:
            return None
        session: Session = importlib.import_module("swarmtui.session").Session(member.opening, member.person)
        session.snapshot = member.seen.snapshot
        return session

    def give_back(self, name: str, session: Session | None) -> None:
        """Takes over the session of a cluster that is not shown by itself any more."""
        member = self._members[name]
        if session is None:
            return
        if session.snapshot.seq:
            member.seen = Seen.of(session.snapshot, member.cluster.zone_label)
        if session.live:
            member.person = Unattended()
            session.person = member.person
            member.session = session
        else:
            self._spawn(self._closing, session.close())

    async def opening(self, name: str) -> Opening:
        """How a cluster is opened; the same each time, so that what a person answered once is not asked again.

        Raises:
            SwarmtuiError: its configuration cannot be meant.
        """
        member = self._members[name]
        if member.opening is None:
            found = await asyncio.to_thread(member.find)
            member.opening = member.opening or found
        return member.opening

    def look_again(self) -> None:
        """Asks all of them for fresh data, and tries again those that were left alone."""
        for member in self:
            if member.session is not None:
                member.session.look_now()
            elif self._running and member.left_alone is not None:
                self._spawn(self._jobs, self._begin(member))

    def _spawn(self, into: set[asyncio.Task[None]], job: Coroutine[Any, Any, None]) -> None:
        def over(task: asyncio.Task[None]) -> None:
            into.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._failed(error)

        task = asyncio.create_task(job)
        into.add(task)
        task.add_done_callback(over)

    async def _begin(self, member: Member) -> None:
        """Opens one cluster, unless that cannot be; nobody else waits for it."""
        member.left_alone = None
        module = await asyncio.to_thread(importlib.import_module, "swarmtui.session")
        try:
            opening = await self.opening(member.name)
        except SwarmtuiError as error:
            member.left_alone = error
            self._tell(member)
            return
        if member.session is None:
            member.person = Unattended()
            member.session = self._unstarted(member) or module.Session(opening, member.person)
        member.unsubscribe = member.session.subscribe(lambda: self._hear(member))
        member.session.start()
        self._tell(member)

    def _hear(self, member: Member) -> None:
        """Something changed in one session."""
        session = member.session
        if session is not None and session.live:
            member.person.asked = ""
        elif session is not None and session.connection.next_try_at and not _worth_trying(session):
            member.left_alone = session.why_not_live()
            member.unsubscribe()
            member.session = None
            self._spawn(self._closing, session.close())
        self._tell(member)

    def _tell(self, member: Member) -> None:
        self._changed.add(member.name)
        self._dirty.set()

    async def _look(self) -> None:
        """Works out what the newest snapshots mean, off the loop; what came meanwhile is taken together."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            names, self._changed = self._changed, set()
            for name in names:
                member = self._members[name]
                snapshot = member.session.snapshot if member.session is not None else None
                if snapshot is not None and snapshot.seq and (not member.seen or member.seen.snapshot is not snapshot):
                    member.seen = await asyncio.to_thread(Seen.of, snapshot, member.cluster.zone_label)
            self._listener()

    def twins(self) -> Mapping[str, str]:
        """Name → another name under which the very same Swarm was seen."""
        first: dict[str, str] = {}
        found: dict[str, str] = {}
        for member in self:
            swarm = member.seen.snapshot.cluster_id if member.seen else ""
            if swarm and swarm in first:
                found[member.name] = first[swarm]
            elif swarm:
                first[swarm] = member.name
        return found


def _worth_trying(session: Session) -> bool:
    """Whether a further try can help, and does no harm where keys were refused."""
    from swarmtui.link.reasons import Reason

    reasons = {Reason(attempt.reason) for attempt in session.connection.attempts}
    knocking = reasons & {Reason.AUTH_FAILED, Reason.KEY_ENCRYPTED}
    return not reasons or (not knocking and any(reason.retry_helps for reason in reasons))
