"""The line to a cluster: a manager is found, stayed with until it is lost, and another one is found then.

It never leads to another Swarm than the one it first met: a manager with another cluster id is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from swarmtui.contact.known import Known
from swarmtui.errors import EngineError
from swarmtui.finding import USABLE, Attempt, Connection, Phase, first_usable, fitness
from swarmtui.link.heard import Heard
from swarmtui.link.manager import Manager
from swarmtui.link.reasons import LinkError, Reason, standing
from swarmtui.link.ssh import SshHost
from swarmtui.link.target import Target
from swarmtui.link.watch import Watch
from swarmtui.model.objects import without_local
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Info
from swarmtui.opening import Opening

if TYPE_CHECKING:
    from swarmtui.link.engine import Engine

BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
SETTLE_SECONDS = 45.0
"""How long an operation waits for a lost connection to come back: an election and a restart of Docker fit into it."""

NO_MANAGER = ("not a swarm manager", "needs to be unlocked", "swarm/control.sock")
"""What an engine answers (503) when it stopped being a manager, is just stopping to be one (it cannot dial its own
control socket any more: seen with 26.1 after a demotion), or was restarted and is locked (swarm-dr.md §5)."""

Connect = Callable[[Target], Awaitable[Manager]]
Works = Callable[[Manager], Iterable[Coroutine[Any, Any, None]]]


class Line:
    """The one manager of a cluster that is talked through, whichever that is now.

    Args:
        opening: which cluster, and how it is reached.
        known: kept fresh from here.
        connect: connects to one target. Raises LinkError.
        beside: what is to run as long as a manager is in use, besides watching it.
    """

    def __init__(self, opening: Callable[[], Opening], known: Known, connect: Connect, beside: Works) -> None:
        self._opening = opening
        self._known = known
        self._connect = connect
        self._beside = beside
        self.heard = Heard(known.tell)
        self.wanted: frozenset[str] = frozenset()
        self._manager: Manager | None = None
        self._node_id = ""
        """The node of that manager, by its own word."""
        self._watch: Watch | None = None
        self._infos: dict[Manager, Info] = {}
        self._led_to: dict[Target, tuple[str, str]] = {}
        self._moving_from = ""
        self._avoided: frozenset[str] = frozenset()
        self._left: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()

    # -- the manager in use ------------------------------------------------------------------------------------------

    def _in_use(self) -> Manager:
        if self._manager is None:
            raise self._known.why_not_live()
        return self._manager

    def host_of(self, node_id: str) -> SshHost | None:
        """The SSH connection to this node's host, where it is the one that the line runs through."""
        # The connection still tells the one before, until the new manager has told its first whole poll.
        manager = self._manager
        return manager.host if manager is not None and node_id == self._node_id else None

    async def ask(self, call: Callable[[Engine], Awaitable[bytes]]) -> bytes:
        """Makes one call; an engine that is no manager any more counts as a lost connection, not as an answer.

        Raises:
            LinkError: there is no connection, or it was lost.
            EngineError: the engine refused.
        """
        manager = self._in_use()
        try:
            return await call(manager.engine)
        except EngineError as error:
            if error.status != 503 or not any(words in error.message for words in NO_MANAGER):
                raise
            gone = LinkError(Reason.CONNECTION_LOST, manager.label, f"{manager.label} is no manager any more.", "")
            if self._manager is manager:
                self._lose(manager, gone)
                if self._left is not None and not self._left.done():
                    self._left.set_exception(gone)
            raise gone from error

    async def engine(self) -> Engine:
        """The engine of the manager in use; waits for one as long as that takes."""
        await self._known.changes.until(lambda: self._known.live and self._manager is not None)
        return self._in_use().engine

    async def refresh(self) -> Snapshot:
        """Returns a snapshot that was asked for after this call, without what is only read on demand.

        Raises:
            LinkError: not connected, or the connection was lost meanwhile.
        """
        watch = self._watch
        if watch is None or not self._known.live:
            raise self._known.why_not_live()
        polls = watch.ask()
        await self._known.changes.until(lambda: self._watch is not watch or watch.polls >= polls)
        if self._watch is not watch:
            raise self._known.why_not_live()
        return self._known.snapshot

    def look_now(self) -> None:
        """Asks for fresh data soon; tries again at once where there is no connection."""
        if self._watch is not None:
            self._watch.look_now()
        self._wake.set()

    def want(self, names: frozenset[str]) -> None:
        """These collections are read besides those that always are, through whichever manager is in use."""
        self.wanted = names
        if self._watch is not None:
            self._watch.want(names)

    # -- which one it is to be ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def avoiding(self, node_ids: Iterable[str]) -> Iterator[None]:
        """For the length of a block these managers are only used if there is no other."""
        before, self._avoided = self._avoided, self._avoided | frozenset(node_ids)
        try:
            yield
        finally:
            self._avoided = before

    async def move_away_from(self, node_id: str, timeout: float) -> str:
        """Goes on through another manager than this one; returns the label of the one used then.

        Raises:
            LinkError: no other manager could be used; the old connection is taken up again.
        """
        known = self._known
        if known.connection.node_id != node_id:
            return known.connection.through
        self._moving_from = node_id
        manager = self._manager
        if manager is not None:
            await manager.close()
        try:
            async with asyncio.timeout(timeout):
                await known.changes.until(lambda: known.live and known.connection.node_id not in ("", node_id))
        except TimeoutError:
            raise LinkError(
                Reason.UNREACHABLE,
                self._opening().name,
                "No other manager could be used in place of the one that is to leave.",
                "Name another manager in the configuration, or its SSH address under addresses.",
            ) from None
        finally:
            self._moving_from = ""
        return known.connection.through

    # -- connecting --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Finds a manager, stays with it, and finds another one when it is lost; until it is cancelled."""
        failures = 0
        last: Target | None = None
        while True:
            self._infos.clear()
            voters = [n for n in self._known.snapshot.nodes.values() if n.is_voter and n.id != self._moving_from]
            candidates = self._opening().candidates(voters, last, self._led_to)
            manager = await first_usable(candidates, self._open, self._tried)
            if manager is not None:
                last = manager.target
                proved = await self._use(manager)
                if proved or failures == 0:
                    # Another one at once. But one that is lost before it told anything is no reason to storm its sshd.
                    failures = 0 if proved else 1
                    continue
            pause = BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS) - 1)]
            failures += 1
            self._wake.clear()
            self._known.set_connection(next_try_at=time.time() + pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._known.set_connection(next_try_at=0.0)

    async def _use(self, manager: Manager) -> bool:
        """Stays with a manager until it is lost; tells whether it ever answered a whole poll."""
        try:
            await self._stay(manager)
        except LinkError as error:
            self._lose(manager, error)
        finally:
            watch, self._watch, self._manager = self._watch, None, None
            self._known.changes.tell()
            await manager.close()
        return watch is not None and watch.polls > 0

    async def _open(self, target: Target) -> tuple[Manager, LinkError | None]:
        """Connects to one manager and checks that it is one, of the right Swarm. Raises LinkError where it is not."""
        manager = await self._connect(target)
        try:
            info = await manager.info()
            reserve = fitness(
                info,
                manager.label,
                cluster_id=self._known.snapshot.cluster_id,
                avoided=self._avoided,
                leaving=self._moving_from,
            )
        except EngineError as error:
            await manager.close()
            raise LinkError(Reason.NOT_DOCKER, manager.label, error.what, error.next_step) from error
        except BaseException:
            await manager.close()
            raise
        self._infos[manager] = info
        self._led_to[target] = (info.swarm.node_id, info.swarm.node_addr)
        return manager, reserve

    async def _stay(self, manager: Manager) -> None:
        """Watches through one manager until it is lost, or stops being one."""
        known = self._known
        before = known.connection
        info = self._infos.pop(manager)
        self._manager, self._node_id = manager, info.swarm.node_id
        left = self._left = asyncio.get_running_loop().create_future()

        def publish(snapshot: Snapshot) -> None:
            trouble = standing(snapshot.info, manager.label)
            if trouble is not None and trouble.reason not in USABLE:
                if not left.done():
                    left.set_exception(trouble)
                return
            known.polled(snapshot)
            node_id = self._node_id = snapshot.info.swarm.node_id
            if not known.live or known.connection.node_id != node_id:
                # The same host may be reached under another name: only another node is a move.
                moved = before.node_id not in ("", node_id)
                note = f"Moved from {before.through} to {manager.label}." if moved else ""
                known.connection = Connection(Phase.LIVE, manager.label, manager.via, node_id, note)
            known.tell()

        start = known.snapshot if before.node_id in ("", info.swarm.node_id) else without_local(known.snapshot)
        watch = self._watch = Watch(
            manager.engine,
            name=manager.label,
            start=replace(start, info=info),
            publish=publish,
            polled=known.changes.tell,
            heard=self.heard,
            wanted=self.wanted,
        )
        jobs = [asyncio.ensure_future(watch.run()), asyncio.ensure_future(self._lost(manager)), left]
        beside = [asyncio.ensure_future(work) for work in self._beside(manager)]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()
        finally:
            for job in (*jobs, *beside):
                job.cancel()
            await asyncio.gather(*jobs, *beside, return_exceptions=True)

    def _lose(self, manager: Manager, error: LinkError) -> None:
        """From this moment on nobody takes the connection for live."""
        if self._known.connection.phase is not Phase.LOST:
            attempts = (Attempt.failed(manager.label, error),)
            self._known.set_connection(phase=Phase.LOST, note=f"Lost {manager.label}: {error.what}", attempts=attempts)

    def _tried(self, attempt: Attempt) -> None:
        others = tuple(other for other in self._known.connection.attempts if other.target != attempt.target)
        self._known.set_connection(attempts=(*others, attempt))

    async def _lost(self, manager: Manager) -> None:
        await manager.wait_lost()
        raise LinkError(Reason.CONNECTION_LOST, manager.label)
