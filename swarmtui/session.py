"""One opened cluster: the manager we talk through, its snapshot, and the way to every host. Everyone above uses this.

The session connects by itself, fails over to another manager by itself, and says so in `connection`. It never speaks to
another Swarm than the one it first met: a manager with another cluster id is refused.

Before `start` a session is no more than a way to hosts (`reach`, `engine_of`): that is all there is before a Swarm is
built, and while no manager answers. `begin` names the manager to start with once there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from swarmtui.errors import EngineError
from swarmtui.finding import USABLE, Attempt, Connection, Phase, first_usable, fitness
from swarmtui.link import sshlib  # noqa: F401  # before anything that imports asyncssh
from swarmtui.link.certificates import keep_reading
from swarmtui.link.changes import Changes
from swarmtui.link.decode import decode_one
from swarmtui.link.heard import Heard
from swarmtui.link.hosts import Hosts
from swarmtui.link.locked import keep_looking
from swarmtui.link.logs import Batch, LogQuery, follow
from swarmtui.link.manager import Manager
from swarmtui.link.memory import give_back_large_blocks
from swarmtui.link.person import Nobody, Person
from swarmtui.link.reasons import LinkError, Reason, standing
from swarmtui.link.ssh import SshHost
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.target import SshTarget, Target
from swarmtui.link.watch import Watch
from swarmtui.model.objects import SwarmEvent, without_local
from swarmtui.model.swarm import COLLECTIONS, ON_DEMAND, Info, KeyHolding, Node, Snapshot
from swarmtui.opening import Opening, node_target
from swarmtui.vault import Sources, Vault, shared
from swarmtui.vault.holding import compare, keep_comparing
from swarmtui.vault.person import VaultPerson

if TYPE_CHECKING:
    from swarmtui.link.engine import Engine

__all__ = ["SETTLE_SECONDS", "Connection", "Phase", "Session"]

BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
SETTLE_SECONDS = 45.0
"""How long an operation waits for a lost connection to come back: an election and a restart of Docker fit into it."""

NO_MANAGER = ("not a swarm manager", "needs to be unlocked", "swarm/control.sock")
"""What an engine answers (503) when it stopped being a manager, is just stopping to be one (it cannot dial its own
control socket any more: seen with 26.1 after a demotion), or was restarted and is locked (swarm-dr.md §5)."""


class Session:
    """An opened cluster.

    Args:
        opening: which cluster, and how it is reached.
        person: who answers questions about host keys and passphrases.
        vault: where secrets are kept; the program's own where none is given.
    """

    def __init__(self, opening: Opening, person: Person, vault: Vault | None = None) -> None:
        self.opening = opening
        self.person = person
        self._vault = vault
        self._asked = VaultPerson(lambda: self.person, lambda: self.vault)
        self._unasked = VaultPerson(Nobody, lambda: self.vault)
        self.snapshot = Snapshot()
        self.connection = Connection()
        self.tell_look: Callable[[str], None] = lambda line: None
        """Called with each command that only looks at a host ("HOST$ COMMAND"), before it runs."""
        self._settings: SshSettings = opening.ssh
        self._listeners: list[Callable[[], None]] = []
        self._manager: Manager | None = None
        self._watch: Watch | None = None
        self._hosts = Hosts(self.host_label, opening.ssh)
        self._infos: dict[Manager, Info] = {}
        self._led_to: dict[Target, tuple[str, str]] = {}
        self._moving_from = ""
        self._avoided: frozenset[str] = frozenset()
        self._left: asyncio.Future[None] | None = None
        self._changes = Changes()
        self._heard = Heard(self._tell)
        self._wanted: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    # -- life ----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.opening.name

    @property
    def vault(self) -> Vault:
        """Where this cluster's secrets are kept, with what its configuration names outside."""
        if self._vault is None:
            self._vault = shared().with_sources(Sources.of(self.name, self.opening.cluster.secrets))
        return self._vault

    def start(self) -> None:
        """Begins to connect, and keeps the snapshot fresh from then on."""
        if self._task is None:
            give_back_large_blocks()
            self._task = asyncio.create_task(self._run(), name=f"session {self.name}")

    @property
    def begun(self) -> bool:
        """Whether it was started; before that only hosts can be reached."""
        return self._task is not None

    def begin(self, through: SshTarget, addresses: Mapping[str, str]) -> None:
        """Starts a session that named no manager, now that there is one.

        Args:
            through: the first manager to connect to; the others are found by themselves.
            addresses: hostname → SSH target, where a node's own address may not be the one to use.
        """
        if self._task is None:
            known = {**addresses, **self.opening.cluster.addresses}
            cluster = replace(self.opening.cluster, addresses=known)
            self.opening = dataclasses.replace(self.opening, targets=(through,), cluster=cluster)
            self.start()

    async def close(self) -> None:
        """Ends every connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._heard.close()
        await self._hosts.close()

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Session]:
        """Runs the session for the length of a block."""
        self.start()
        try:
            yield self
        finally:
            await self.close()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` after every change of snapshot, connection or events; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()
        self._changes.tell()

    # -- what everyone above asks for --------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        return self.connection.phase is Phase.LIVE

    async def until_live(self, timeout: float) -> Snapshot:
        """Waits until the nodes are read from a live connection; before `start`, until the lost hosts are back.

        Raises:
            LinkError: it did not get there in time; says what was tried.
            SwarmtuiError: nothing that waiting could mend.
        """
        if not self.begun:
            await self._hosts.until_back(self._asked, timeout)
            return self.snapshot
        try:
            async with asyncio.timeout(timeout):
                await self._changes.until(lambda: self.live and bool(self.snapshot.readings.get("nodes")))
        except TimeoutError:
            raise self.why_not_live() from None
        return self.snapshot

    async def until_tried(self, timeout: float) -> Snapshot:
        """Like `until_live`, but gives up as soon as every manager was tried once.

        Raises:
            LinkError: no manager could be used; says what was tried.
        """

        def decided() -> bool:
            return (self.live and bool(self.snapshot.readings.get("nodes"))) or self.connection.next_try_at > 0.0

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changes.until(decided)
        if not (self.live and self.snapshot.readings.get("nodes")):
            raise self.why_not_live()
        return self.snapshot

    async def until_complete(self, timeout: float) -> Snapshot:
        """Waits until every collection was read or could not be, at most this long; returns what there is then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changes.until(lambda: all(name in self.snapshot.readings for name in COLLECTIONS))
        return self.snapshot

    def why_not_live(self) -> LinkError:
        """The error that tells why there is no live connection: the most telling of all attempts."""
        return self.connection.why_not_live(self.name)

    async def refresh(self) -> Snapshot:
        """Returns a snapshot whose info, nodes, services and tasks were all asked for after this call.

        Not what is only read on demand: a plan must not wait for a volume plugin that hangs. `look_now`, which the
        refresh key asks for, has that read anew too.

        Raises:
            LinkError: not connected, or the connection was lost meanwhile.
        """
        watch = self._watch
        if watch is None or not self.live:
            raise self.why_not_live()
        polls = watch.ask()
        await self._changes.until(lambda: self._watch is not watch or watch.polls >= polls)
        if self._watch is not watch:
            raise self.why_not_live()
        return self.snapshot

    def look_now(self) -> None:
        """Asks for fresh data soon."""
        if self._watch is not None:
            self._watch.look_now()
        self._wake.set()

    def want(self, names: Iterable[str]) -> None:
        """From now on exactly these collections are read besides those that always are (`ON_DEMAND`).

        Through whichever manager is in use, at once and after every poll; their readings tell when, and what failed.
        Those that are not wanted any more keep their last value.

        Raises:
            ValueError: there is no collection of that name.
        """
        wanted = frozenset(names) - frozenset(COLLECTIONS)
        if unknown := wanted - frozenset(ON_DEMAND):
            raise ValueError(f"no collections: {', '.join(sorted(unknown))}")
        self._wanted = wanted
        if self._watch is not None:
            self._watch.want(wanted)

    @property
    def events(self) -> tuple[SwarmEvent, ...]:
        """The newest events of the Swarm since the session began, the oldest first, with a mark where some may be
        missing; the same object until there is another one."""
        return self._heard.all

    def _engine_manager(self) -> Manager:
        if self._manager is None:
            raise self.why_not_live()
        return self._manager

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, clean: bool = True) -> bytes:
        """GETs from the engine of the manager in use. Raises LinkError or EngineError.

        Args:
            clean: make the body harmless. Without it the body is only for giving it back to the engine, as it was.
        """
        return await self._ask(lambda engine: engine.get(path, params=params, clean=clean))

    async def post(self, path: str, params: Mapping[str, str] | None = None, json: Any = None) -> bytes:
        """POSTs to the engine of the manager in use. Raises LinkError or EngineError."""
        return await self._ask(lambda engine: engine.post(path, params=params, json=json))

    async def delete(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """DELETEs on the engine of the manager in use. Raises LinkError or EngineError."""
        return await self._ask(lambda engine: engine.delete(path, params=params))

    async def _ask(self, call: Callable[[Engine], Awaitable[bytes]]) -> bytes:
        """Makes one call; an engine that is no manager any more counts as a lost connection, not as an answer."""
        manager = self._engine_manager()
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
        await self._changes.until(lambda: self.live and self._manager is not None)
        return self._engine_manager().engine

    def logs(self, query: LogQuery) -> AsyncGenerator[Batch, None]:
        """Follows a log through whichever manager is in use. Raises EngineError where there is none to read."""
        return follow(self.engine, query)

    @contextlib.contextmanager
    def avoiding(self, node_ids: Iterable[str]) -> Iterator[None]:
        """For the length of a block these managers are only used if there is no other: they are to become workers."""
        before, self._avoided = self._avoided, self._avoided | frozenset(node_ids)
        try:
            yield
        finally:
            self._avoided = before

    async def node(self, node_id: str) -> tuple[Node, bytes]:
        """Reads one node now; returns it (harmless), and the very bytes it came in. Raises LinkError or EngineError."""
        body = await self.get(f"/nodes/{node_id}", clean=False)
        node = decode_one(body, Node, "the node")
        if node.id != node_id:
            raise EngineError(
                f"The engine's answer about node {node_id[:12]} cannot be read: it is about another one, or none.",
                "Is it a Docker engine, and not a proxy that answers in its place?",
            )
        return node, body

    async def host(self, node: Node, *, ask: bool = True) -> SshHost:
        """Opens (or finds open) an SSH connection to a node's host.

        Args:
            ask: whether the person may be asked about host keys and passphrases on the way; without, it fails instead.

        Raises:
            LinkError: it cannot be reached, or nobody knows how.
        """

        def through() -> SshHost | None:
            manager = self._manager
            return manager.host if manager is not None and node.id == self.connection.node_id else None

        return await self._hosts.open(node, self._asked if ask else self._unasked, through)

    async def reach(self, target: SshTarget, *, ask: bool = True) -> SshHost:
        """Opens (or finds open) an SSH connection to a host by its address, be it a node or not.

        Raises:
            LinkError: it cannot be reached.
        """
        return await self._hosts.reach(target, self._asked if ask else self._unasked)

    async def engine_of(self, target: SshTarget) -> Engine:
        """The engine of that host's own socket, be it in this Swarm, in none, or without a leader.

        Raises:
            LinkError: the host cannot be reached, or no engine answers there; says why.
        """
        return await self._hosts.engine(target, self._asked)

    def host_label(self, node: Node) -> SshTarget:
        """Where `host` would go for this node."""
        return node_target(self.opening, node)

    async def move_away_from(self, node_id: str, timeout: float = SETTLE_SECONDS) -> str:
        """Goes on through another manager than this one; returns the label of the one used then.

        Raises:
            LinkError: no other manager could be used; the old connection is taken up again.
        """
        if self.connection.node_id != node_id:
            return self.connection.through
        self._moving_from = node_id
        manager = self._manager
        if manager is not None:
            await manager.close()
        try:
            async with asyncio.timeout(timeout):
                await self._changes.until(lambda: self.live and self.connection.node_id not in ("", node_id))
        except TimeoutError:
            raise LinkError(
                Reason.UNREACHABLE,
                self.name,
                "No other manager could be used in place of the one that is to leave.",
                "Name another manager in the configuration, or its SSH address under addresses.",
            ) from None
        finally:
            self._moving_from = ""
        return self.connection.through

    # -- connecting --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        failures = 0
        last: Target | None = None
        while True:
            self._infos.clear()
            voters = [n for n in self.snapshot.nodes.values() if n.is_voter and n.id != self._moving_from]
            candidates = self.opening.candidates(voters, last, self._led_to)
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
            self._set(next_try_at=time.time() + pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._set(next_try_at=0.0)

    async def _use(self, manager: Manager) -> bool:
        """Stays with a manager until it is lost; tells whether it ever answered a whole poll."""
        try:
            await self._stay(manager)
        except LinkError as error:
            self._lose(manager, error)
        finally:
            watch, self._watch, self._manager = self._watch, None, None
            self._changes.tell()
            await manager.close()
        return watch is not None and watch.polls > 0

    async def _open(self, target: Target) -> tuple[Manager, LinkError | None]:
        """Connects to one manager and checks that it is one, of the right Swarm. Raises LinkError where it is not."""
        manager = await Manager.open(target, self._settings, self._asked)
        try:
            info = await manager.info()
            reserve = fitness(
                info,
                manager.label,
                cluster_id=self.snapshot.cluster_id,
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
        before = self.connection
        self._manager = manager
        left = self._left = asyncio.get_running_loop().create_future()

        def publish(snapshot: Snapshot) -> None:
            trouble = standing(snapshot.info, manager.label)
            if trouble is not None and trouble.reason not in USABLE:
                if not left.done():
                    left.set_exception(trouble)
                return
            kept = self.snapshot
            self.snapshot = replace(
                snapshot, certificates=kept.certificates, unlock_key=kept.unlock_key, locked=kept.locked
            )
            node_id = snapshot.info.swarm.node_id
            if self.connection.phase is not Phase.LIVE or self.connection.node_id != node_id:
                # The same host may be reached under another name: only another node is a move.
                moved = before.node_id not in ("", node_id)
                note = f"Moved from {before.through} to {manager.label}." if moved else ""
                self.connection = Connection(Phase.LIVE, manager.label, manager.via, node_id, note)
            self._tell()

        info = self._infos.pop(manager)
        known = self.snapshot if before.node_id in ("", info.swarm.node_id) else without_local(self.snapshot)
        watch = self._watch = Watch(
            manager.engine,
            name=manager.label,
            start=replace(known, info=info),
            publish=publish,
            polled=self._changes.tell,
            heard=self._heard,
            wanted=self._wanted,
        )
        jobs = [asyncio.ensure_future(watch.run()), asyncio.ensure_future(self._lost(manager)), left]
        beside = [
            asyncio.ensure_future(work)
            for work in (
                self._read_certificates(manager),
                keep_comparing(self.get, lambda: self.vault, lambda: self.snapshot, self._key_compared),
                keep_looking(lambda: self.snapshot, self._engine_unasked, self._locked_found),
            )
        ]
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
        if self.connection.phase is not Phase.LOST:
            attempts = (Attempt.failed(manager.label, error),)
            self._set(phase=Phase.LOST, note=f"Lost {manager.label}: {error.what}", attempts=attempts)

    def _tried(self, attempt: Attempt) -> None:
        others = tuple(other for other in self.connection.attempts if other.target != attempt.target)
        self._set(attempts=(*others, attempt))

    async def _lost(self, manager: Manager) -> None:
        await manager.wait_lost()
        raise LinkError(Reason.CONNECTION_LOST, manager.label)

    async def _read_certificates(self, manager: Manager) -> None:
        if manager.host is None and manager.via != "socket":
            return
        opener = manager.host.open_tcp if manager.host is not None else asyncio.open_connection

        def found(node_id: str, expires: float) -> None:
            if self.snapshot.certificates.get(node_id) != expires:
                certificates = {**self.snapshot.certificates, node_id: expires}
                self.snapshot = replace(self.snapshot, certificates=certificates)
                self._tell()

        await keep_reading(opener, lambda: self.snapshot.nodes.values(), found)

    async def compare_key(self) -> None:
        """Compares the cluster's unlock key with the vault's now, where autolock is on. Raises as `get` does."""
        cluster = self.snapshot.info.swarm.cluster
        if cluster is not None and cluster.spec.encryption_config.auto_lock_managers:
            self._key_compared(await compare(self.get, self.vault, cluster.id))

    async def _engine_unasked(self, node: Node) -> Engine:
        return await self._hosts.engine(node_target(self.opening, node), self._unasked)

    def _locked_found(self, locked: frozenset[str]) -> None:
        self.snapshot = replace(self.snapshot, locked=locked)
        self._tell()

    def _key_compared(self, holding: KeyHolding) -> None:
        before = self.snapshot.unlock_key
        if before is None or replace(before, at=holding.at) != holding:
            self.snapshot = replace(self.snapshot, unlock_key=holding)
            self._tell()

    def _set(self, **changes: Any) -> None:
        connection = replace(self.connection, **changes)
        if connection != self.connection:
            self.connection = connection
            self._tell()
