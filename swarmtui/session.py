"""One opened cluster: the manager we talk through, its snapshot, and the way to every host. Everyone above uses this.

The session connects by itself, fails over to another manager by itself, and says so in `connection`.

Before `start` a session is no more than a way to hosts (`reach`, `engine_of`): that is all there is before a Swarm is
built, and while no manager answers. `begin` names the manager to start with once there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from swarmtui.backups.freshness import Watched
from swarmtui.config.remembered import remembered_folder
from swarmtui.contact.beside import Beside, keep_remembering, suspects
from swarmtui.contact.known import Known
from swarmtui.contact.line import SETTLE_SECONDS, Line
from swarmtui.errors import EngineError
from swarmtui.finding import Connection, Phase
from swarmtui.link.decode import decode_one
from swarmtui.link.hosts import Hosts
from swarmtui.link.logs import Batch, LogQuery, follow
from swarmtui.link.manager import Manager
from swarmtui.link.memory import give_back_large_blocks
from swarmtui.link.person import Nobody, Person
from swarmtui.link.reasons import LinkError
from swarmtui.link.rivals import keep_watching
from swarmtui.link.ssh import SshHost
from swarmtui.link.target import SshTarget, Target
from swarmtui.model.objects import SwarmEvent
from swarmtui.model.snapshot import COLLECTIONS, DTR, ON_DEMAND, UCP, Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.ucp.status import UcpSeen
from swarmtui.opening import Opening, node_target
from swarmtui.vault import Sources, Vault, shared
from swarmtui.vault.person import VaultPerson

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Catalogue
    from swarmtui.link.engine import Engine

__all__ = ["SETTLE_SECONDS", "Connection", "Phase", "Session"]


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
        self.tell_look: Callable[[str], None] = lambda line: None
        """Called with each command that only looks at a host ("HOST$ COMMAND"), before it runs."""
        self._settings = opening.ssh
        self._known = Known(lambda: self.name)
        self._hosts = Hosts(self.host_label, opening.ssh)
        held = Watched(lambda: self.backups, lambda: self.opening.backups)
        self._beside = Beside(
            self._known,
            self.get,
            self._engine_unasked,
            lambda: self.vault,
            held,
            lambda: self.opening,
            lambda node: self._hosts.reach(node_target(self.opening, node), self._unasked),
        )
        self._line = Line(lambda: self.opening, self._known, self._connect, self._works)
        self._task: asyncio.Task[None] | None = None

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

    @property
    def backups(self) -> Catalogue:
        """Where this cluster's backups are kept."""
        from swarmtui.backups.catalogue import Catalogue, backups_dir

        return Catalogue(backups_dir(self.opening.backups.folder))

    def start(self) -> None:
        """Begins to connect, and keeps the snapshot fresh from then on."""
        if self._task is None:
            give_back_large_blocks()
            self._task = asyncio.create_task(self._line.run(), name=f"session {self.name}")

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
        self._line.heard.close()
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
        return self._known.subscribe(listener)

    # -- what everyone above asks for --------------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """The newest there is; a later one is another object."""
        return self._known.snapshot

    @snapshot.setter
    def snapshot(self, seen: Snapshot) -> None:
        """Begins with what was seen of the cluster before."""
        self._known.snapshot = seen

    @property
    def connection(self) -> Connection:
        return self._known.connection

    @property
    def live(self) -> bool:
        return self._known.live

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
                await self._known.changes.until(lambda: self._known.nodes_read)
        except TimeoutError:
            raise self.why_not_live() from None
        return self.snapshot

    async def until_tried(self, timeout: float) -> Snapshot:
        """Like `until_live`, but gives up as soon as every manager was tried once.

        Raises:
            LinkError: no manager could be used; says what was tried.
        """

        def decided() -> bool:
            return self._known.nodes_read or self.connection.next_try_at > 0.0

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._known.changes.until(decided)
        if not self._known.nodes_read:
            raise self.why_not_live()
        return self.snapshot

    async def until_complete(self, timeout: float) -> Snapshot:
        """Waits until every collection was read or could not be, at most this long; returns what there is then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._known.changes.until(lambda: all(name in self.snapshot.readings for name in COLLECTIONS))
        return self.snapshot

    def why_not_live(self) -> LinkError:
        """The error that tells why there is no live connection: the most telling of all attempts."""
        return self._known.why_not_live()

    async def refresh(self) -> Snapshot:
        """Returns a snapshot whose info, nodes, services and tasks were all asked for after this call.

        Not what is only read on demand: a plan must not wait for a volume plugin that hangs. `look_now`, which the
        refresh key asks for, has that read anew too.

        Raises:
            LinkError: not connected, or the connection was lost meanwhile.
        """
        return await self._line.refresh()

    def look_now(self) -> None:
        """Asks for fresh data soon."""
        self._line.look_now()
        self._beside.ucp.look_now()
        self._beside.dtr.look_now()

    def want(self, names: Iterable[str]) -> None:
        """From now on exactly these collections are read besides those that always are (`ON_DEMAND`).

        Through whichever manager is in use, at once and after every poll; their readings tell when, and what failed.
        Those that are not wanted any more keep their last value. What is read of UCP (`UCP`) is so of all nodes then,
        and not of its managers only; what is read of DTR (`DTR`), oftener.

        Raises:
            ValueError: there is no collection of that name.
        """
        wanted = frozenset(names) - frozenset(COLLECTIONS)
        self._beside.ucp.want(UCP in wanted)
        self._beside.dtr.want(DTR in wanted)
        wanted -= {UCP, DTR}
        if unknown := wanted - frozenset(ON_DEMAND):
            raise ValueError(f"no collections: {', '.join(sorted(unknown))}")
        self._line.want(wanted)

    @property
    def events(self) -> tuple[SwarmEvent, ...]:
        """The newest events of the Swarm since the session began, the oldest first, with a mark where some may be
        missing; the same object until there is another one."""
        return self._line.heard.all

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, clean: bool = True) -> bytes:
        """GETs from the engine of the manager in use. Raises LinkError or EngineError.

        Args:
            clean: make the body harmless. Without it the body is only for giving it back to the engine, as it was.
        """
        return await self._line.ask(lambda engine: engine.get(path, params=params, clean=clean))

    async def post(self, path: str, params: Mapping[str, str] | None = None, json: Any = None) -> bytes:
        """POSTs to the engine of the manager in use. Raises LinkError or EngineError."""
        return await self._line.ask(lambda engine: engine.post(path, params=params, json=json))

    async def delete(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """DELETEs on the engine of the manager in use. Raises LinkError or EngineError."""
        return await self._line.ask(lambda engine: engine.delete(path, params=params))

    async def engine(self) -> Engine:
        """The engine of the manager in use; waits for one as long as that takes."""
        return await self._line.engine()

    def logs(self, query: LogQuery) -> AsyncGenerator[Batch, None]:
        """Follows a log through whichever manager is in use. Raises EngineError where there is none to read."""
        return follow(self.engine, query)

    def avoiding(self, node_ids: Iterable[str]) -> AbstractContextManager[None]:
        """For the length of a block these managers are only used if there is no other: they are to become workers."""
        return self._line.avoiding(node_ids)

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
        person = self._asked if ask else self._unasked
        return await self._hosts.open(node, person, lambda: self._line.host_of(node.id))

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
        return await self._line.move_away_from(node_id, timeout)

    async def compare_key(self) -> None:
        """Compares the cluster's unlock key with the vault's now, where autolock is on. Raises as `get` does."""
        await self._beside.compare_key()

    async def look_at_backups(self) -> None:
        """Looks at once at what there is of backups of this cluster; what it finds is in the snapshot."""
        await self._beside.look_at_backups()

    async def look_at_ucp(self, *, everything: bool = False) -> None:
        """Looks once how UCP is, where there is one; what it finds is in the snapshot. Takes seconds where nobody
        answers, and raises nothing.

        Args:
            everything: looks at the workers as well.
        """
        await self._beside.ucp.look(everything=everything)

    async def look_at_dtr(self, *, everything: bool = False) -> None:
        """Looks once how DTR is, where there is one; what it finds is in the snapshot. Takes seconds where nobody
        answers, and raises nothing.

        Args:
            everything: also at the nodes where it is not likely.
        """
        await self._beside.dtr.look(everything=everything)

    def note_missing_accounts(self, names: tuple[str, ...]) -> None:
        """Somebody compared UCP's accounts with those of its newest backup: these are missing."""
        seen = self.snapshot.ucp or UcpSeen()
        if names != seen.missing_accounts:
            self._known.learnt(ucp=replace(seen, missing_accounts=names))

    async def _engine_unasked(self, node: Node) -> Engine:
        return await self._hosts.engine(node_target(self.opening, node), self._unasked)

    # -- what the line is given --------------------------------------------------------------------------------------

    async def _connect(self, target: Target) -> Manager:
        return await Manager.open(target, self._settings, self._asked)

    def _works(self, manager: Manager) -> tuple[Coroutine[Any, Any, None], ...]:
        kept = keep_remembering(self._known, lambda: self.opening, remembered_folder)
        rivals = keep_watching(
            lambda: self.snapshot,
            lambda now: suspects(now, self.opening, remembered_folder()),
            lambda target: self._hosts.reach(target, self._unasked),
            lambda target: self._hosts.engine(target, self._unasked),
            lambda names: self._known.learnt(rivals=names),
        )
        opener = manager.host.open_tcp if manager.host is not None else asyncio.open_connection
        ucp = self._beside.ucp.keep(opener)
        dtr = self._beside.dtr.keep(opener)
        return (self._read_certificates(manager), kept, rivals, ucp, dtr, *self._beside.works())

    async def _read_certificates(self, manager: Manager) -> None:
        if manager.host is not None:
            await self._beside.read_certificates(manager.host.open_tcp)
        elif manager.via == "socket":
            await self._beside.read_certificates(asyncio.open_connection)
