"""The managers of one Swarm: who leads, who is reachable, and what happens when too few are left.

The times are those measured on real managers: a crashed leader leaves the Swarm without control plane for 10-26 s;
handing over leadership on purpose takes 0.1 s; a leader that lost its followers steps down after about 13 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarmtui.demo.world import errors
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.kernel import Timer
from swarmtui.demo.world.objects import ManagerStatus
from swarmtui.demo.world.paths import follow_all, route

if TYPE_CHECKING:
    from swarmtui.demo.world.cluster import Cluster
    from swarmtui.demo.world.world import World

ELECTION = (10.0, 26.0)
"""Bounds of the time without a leader after the leader died, in seconds."""
HANDOVER = 0.1
STEP_DOWN = 13.0
REQUEST_TIMEOUT = 20.0
"""How long an engine waits for its Swarm before it gives up."""
COLD_START = (3.0, 6.0)
"""Bounds of the time to the first leader after a start, in seconds."""

SEARCH = (1.0, 8.0)
"""Bounds of the time until workers without a leader have asked at every address they know, in seconds."""


@dataclass(slots=True)
class Member:
    """A voter."""

    node_id: str
    host: str
    address: str
    reachable: bool = True


class Raft:
    """The voters of a cluster. `on_leader` is called after every election.

    Attributes:
        terms: for each election, its term and the first index that belongs to it.
    """

    def __init__(self, world: World, cluster: Cluster) -> None:
        self.world = world
        self.cluster = cluster
        self.members: dict[str, Member] = {}
        self.leader: str | None = None
        self.leaderless_since = world.kernel.now()
        self.losing = False
        self.terms: list[tuple[int, int]] = []
        self.on_leader: Callable[[], None] = lambda: None
        self._election: Timer | None = None
        self._step_down: Timer | None = None
        self._changed: asyncio.Event | None = None

    @property
    def quorum(self) -> int:
        """Votes needed to elect or to write."""
        return len(self.members) // 2 + 1

    def alive(self, member: Member) -> bool:
        """Does this manager take part?"""
        host = self.world.hosts.get(member.host)
        return (
            host is not None
            and host.running
            and host.swarm is not None
            and host.swarm.raft is self
            and host.swarm.node_id == member.node_id
            and not host.swarm.locked
            and not host.swarm.error
            and not host.swarm.superseded
        )

    def linked(self, one: Member, other: Member) -> bool:
        """Do these two get each other's messages, by the addresses that the raft has of them?"""
        if one.host == other.host:
            return True
        hosts = self.world.hosts
        here, there = hosts.get(one.host), hosts.get(other.host)
        return (
            here is not None
            and there is not None
            and route(self.world, here, other.address) is there
            and route(self.world, there, one.address) is here
            and not {"tcp 2377"} & (here.blocked | there.blocked)
        )

    def side_of(self, own: Member) -> set[str]:
        """The node ids of the living members that this one can talk to, itself included."""
        return {node_id for node_id, member in self.members.items() if self.alive(member) and self.linked(own, member)}

    def refresh(self, delay: tuple[float, float] | None = None) -> None:
        """Look again at who lives and who leads; call it after every change of hosts, network or membership.

        Args:
            delay: bounds of the time an election takes now, in seconds.
        """
        side = self.side_of(self.members[self.leader]) if self.leader in self.members else set()
        if self.leader is not None and self.leader in side:
            if len(side) >= self.quorum:
                self.losing = False
                self._cancel_step_down()
            elif self._step_down is None:
                self.losing = True
                self._step_down = self.world.kernel.after(STEP_DOWN, self._lost)
        else:
            if self.leader is not None:
                self.leader = None
                self.leaderless_since = self.world.kernel.now()
                self._note_loss()
            self._cancel_step_down()
            self.losing = False
            if self._candidates() and self._election is None:
                wait = self.world.ids.random.uniform(*(delay or ELECTION))
                self._election = self.world.kernel.after(wait, self._elect)
        self._show(side)
        self._wake()

    def transfer(self, away_from: str) -> None:
        """Hand leadership from a member to another, on purpose."""
        if self.leader == away_from:
            self.leader = None
            self.leaderless_since = self.world.kernel.now()
            self._cancel_election()
            self._election = self.world.kernel.after(HANDOVER, self._elect)

    def add(self, member: Member) -> None:
        """A new voter."""
        self.members[member.node_id] = member
        self.refresh()

    def remove(self, node_id: str) -> None:
        """A voter less."""
        if self.members.pop(node_id, None) is None:
            return
        node = self.cluster.nodes.get(node_id)
        if node is not None:
            node.manager = None
            node.forget()
        if self.leader == node_id:
            self.transfer(node_id)
        self.refresh((HANDOVER, HANDOVER))

    def can_lose(self, node_id: str) -> bool:
        """Would the others still be a quorum without this member? (The engine's own safeguard.)"""
        others = [m for m in self.members.values() if m.node_id != node_id]
        return sum(m.reachable for m in others) >= len(others) // 2 + 1

    def leads_for(self, host: Host) -> bool:
        """Can this manager reach a leader that still leads?"""
        if self.leader is None:
            return False
        lead = self.members[self.leader]
        own = self.members.get(host.swarm.node_id) if host.swarm is not None and host.swarm.raft is self else None
        return self.world.connected(host.name, lead.host) if own is None else self.linked(own, lead)

    async def ready(self, host: Host, *, write: bool = False) -> None:
        """Wait until a request of this manager could be served.

        Raises:
            ApiError: there is no leader, and there was none for as long as the engine waits.
        """
        kernel = self.world.kernel
        started = kernel.now()
        limit = REQUEST_TIMEOUT / kernel.speed
        while not (self.leads_for(host) and not (write and self.losing)):
            leader_seen = host.swarm is not None and host.swarm.seen_leader
            settled = self.leader is None and started - self.leaderless_since >= limit
            if settled or not leader_seen:
                raise errors.ApiError(500, errors.NO_LEADER)
            left = limit - (kernel.now() - started)
            if left <= 0:
                raise errors.ApiError(500, errors.DEADLINE)
            was_losing = self.losing
            await self._wait(left)
            if write and was_losing and self.leader is None:
                raise errors.ApiError(500, errors.LOST_LEADER)

    async def _wait(self, seconds: float) -> None:
        if self._changed is None:
            self._changed = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def follows(self, node_id: str) -> bool:
        """Has this member everything that was agreed on?"""
        member = self.members.get(node_id)
        if member is None or not self.alive(member):
            return False
        return self.leads_for(self.world.hosts[member.host])

    def _new_term(self) -> None:
        term = self.terms[-1][0] + 1 if self.terms else 2
        self.terms.append((term, self.cluster.index + 1 if self.terms else 1))

    def _candidates(self) -> list[Member]:
        for member in self.members.values():
            if self.alive(member):
                side = self.side_of(member)
                if len(side) >= self.quorum:
                    return [m for m in self.members.values() if m.node_id in side]
        return []

    def _elect(self) -> None:
        self._election = None
        candidates = self._candidates()
        if self.leader is not None or not candidates:
            return
        self.leader = self.world.ids.random.choice(candidates).node_id
        self._new_term()
        for member in candidates:
            swarm = self.world.hosts[member.host].swarm
            if swarm is not None:
                swarm.seen_leader = True
        self._show({m.node_id for m in candidates})
        self.on_leader()
        self._wake()

    def elect_now(self, node_id: str) -> None:
        """Make this member the leader at once: how worlds begin."""
        self._cancel_election()
        self.leader = node_id
        self._new_term()
        self._show(self.side_of(self.members[node_id]))
        self._wake()

    def _note_loss(self) -> None:
        kept = bool(self._candidates())
        self.world.journal.note(
            "leader.lost" if kept else "quorum.lost",
            "The leader was lost: no control plane until the election."
            if kept
            else f"Quorum was lost: fewer than {self.quorum} of {len(self.members)} managers were left.",
            # Of two live Swarms one has to go.
            risky=not self._has_successor(),
        )
        wait = self.world.ids.random.uniform(*SEARCH)
        self.world.kernel.after(wait, lambda: follow_all(self.world))

    def _has_successor(self) -> bool:
        others = [one for one in self.world.clusters if one is not self.cluster and one.id == self.cluster.id]
        return any(self.world.control(one).raft.leader is not None for one in others)

    def _lost(self) -> None:
        self._step_down = None
        self.leader = None
        self._note_loss()
        self.losing = False
        self.leaderless_since = self.world.kernel.now()
        self.refresh()

    def _show(self, side: set[str]) -> None:
        for member in self.members.values():
            if self.leader is not None:
                member.reachable = member.node_id in side
            node = self.cluster.nodes.get(member.node_id)
            if node is None:
                continue
            status = ManagerStatus(
                member.node_id == self.leader,
                "reachable" if member.reachable else "unreachable",
                member.address,
            )
            if node.manager != status:
                node.manager = status
                node.forget()

    def _cancel_step_down(self) -> None:
        if self._step_down is not None:
            self._step_down.cancel()
            self._step_down = None

    def _cancel_election(self) -> None:
        if self._election is not None:
            self._election.cancel()
            self._election = None
