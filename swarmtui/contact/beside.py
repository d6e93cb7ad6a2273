"""What no poll tells, learnt while a manager is in use: certificates, who holds the unlock key, who is only locked, how
fresh the backups are. And what is remembered of it when no manager answers any more."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from swarmtui.backups.freshness import Look, keep_looking_at
from swarmtui.config import state_dir
from swarmtui.config.remembered import Remembered, former_targets, remember, seen
from swarmtui.contact.known import Known
from swarmtui.link.certificates import Opener, keep_reading
from swarmtui.link.dtr.watching import DtrWatch
from swarmtui.link.locked import EngineOf, keep_looking
from swarmtui.link.node_engines import HostOf
from swarmtui.link.target import SshTarget, TcpTarget, parse_target
from swarmtui.link.ucp.watching import UcpWatch
from swarmtui.model.backups import BackupHolding
from swarmtui.model.snapshot import KeyHolding, Snapshot
from swarmtui.opening import Opening, node_target
from swarmtui.vault import Kind, Vault, VaultError
from swarmtui.vault.holding import compare, keep_comparing

if TYPE_CHECKING:
    from swarmtui.link.dtr.asking import Asking

REMEMBER_SECONDS = 2.0
"""How often it is looked whether the nodes are others than those that were written down; that costs nothing."""
AGAIN_SECONDS = 600.0
"""How often it is written down that they were seen, where nothing changed."""


class Get(Protocol):
    """GETs from the engine of the manager in use. Raises LinkError or EngineError."""

    def __call__(self, path: str, params: Mapping[str, str] | None = None) -> Awaitable[bytes]: ...


class Beside:
    """Works beside the polls, and adds what it finds to what is known.

    Args:
        get: GETs from the engine of the manager in use.
        engine_of: the engine of a node's own socket; asks nobody anything.
        vault: where the unlock key may be. Not opened while autolock is off.
        look: what there is of backups of a cluster (blocking).
        opening: what was said of the cluster: where the web servers of UCP and DTR are, and as whom they are asked.
        host_of: a node's host over SSH; asks nobody anything.
    """

    def __init__(
        self,
        known: Known,
        get: Get,
        engine_of: EngineOf,
        vault: Callable[[], Vault],
        look: Look,
        opening: Callable[[], Opening],
        host_of: HostOf,
    ) -> None:
        self._known = known
        self._get = get
        self._engine_of = engine_of
        self._vault = vault
        self._look = look

        def through() -> tuple[str, str]:
            return known.connection.node_id, known.connection.via

        def snapshot() -> Snapshot:
            return known.snapshot

        def ucp() -> tuple[str, Mapping[str, str]]:
            return _ucp_addresses(opening())

        def dtr() -> tuple[str, Mapping[str, str]]:
            return opening().cluster.dtr.url, opening().cluster.dtr.replicas

        def asking() -> Asking:
            return _asking_dtr(opening, vault, lambda: known.snapshot.cluster_id)

        self.ucp = UcpWatch(snapshot, through, get, host_of, engine_of, ucp, lambda seen: known.learnt(ucp=seen))
        self.dtr = DtrWatch(
            snapshot,
            through,
            get,
            host_of,
            engine_of,
            dtr,
            asking,
            lambda seen: known.learnt(dtr=seen),
            state_dir() / "dtr",
        )

    def works(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What is to run as long as a manager is in use, each until it is cancelled."""
        known = self._known
        return (
            keep_comparing(self._get, self._vault, lambda: known.snapshot, self._key_compared),
            keep_looking(lambda: known.snapshot, self._engine_of, lambda locked: known.learnt(locked=locked)),
            keep_looking_at(self._look, lambda: known.snapshot, self._looked),
        )

    async def read_certificates(self, opener: Opener) -> None:
        """Reads when the managers' certificates expire, until it is cancelled.

        Args:
            opener: opens a TCP connection to a manager, from where the others can be reached.
        """

        def found(node_id: str, expires: float) -> None:
            before = self._known.snapshot.certificates
            if before.get(node_id) != expires:
                self._known.learnt(certificates={**before, node_id: expires})

        await keep_reading(opener, lambda: self._known.snapshot.nodes.values(), found)

    async def compare_key(self) -> None:
        """Compares the cluster's unlock key with the vault's now, where autolock is on.

        Raises:
            SwarmtuiError: the cluster could not be asked.
        """
        cluster = self._known.snapshot.info.swarm.cluster
        if cluster is not None and cluster.spec.encryption_config.auto_lock_managers:
            self._key_compared(await compare(self._get, self._vault(), cluster.id))

    async def look_at_backups(self) -> None:
        """Looks at what there is of backups now, where it is known which cluster it is."""
        if cluster_id := self._known.snapshot.cluster_id:
            self._looked(await asyncio.to_thread(self._look, cluster_id))

    def _looked(self, held: BackupHolding) -> None:
        if held != self._known.snapshot.backups:
            self._known.learnt(backups=held)

    def _key_compared(self, holding: KeyHolding) -> None:
        before = self._known.snapshot.unlock_key
        if before is None or replace(before, at=holding.at) != holding:
            self._known.learnt(unlock_key=holding)


def _ucp_addresses(opening: Opening) -> tuple[str, Mapping[str, str]]:
    told = opening.cluster.ucp
    # A client bundle leads to a load balancer as a rule, and always to where its owner may go.
    bundle = next((str(target) for target in opening.targets if isinstance(target, TcpTarget)), "")
    return told.url or bundle.replace("tcp://", "https://", 1), told.managers


def _asking_dtr(opening: Callable[[], Opening], vault: Callable[[], Vault], cluster_id: Callable[[], str]) -> Asking:
    """What asks DTR's API, as a user of UCP: DTR has none of its own. Nobody is asked for a password."""
    from swarmtui.link.dtr.asking import Asking, Login

    async def login() -> Login:
        cluster = opening().cluster
        user = cluster.dtr.username or cluster.ucp.username
        # The administrator's password belongs to the cluster, that of anybody else to them; it may have been put under
        # the name of the cluster as well as under its id.
        prefix = "" if user == cluster.ucp.username else f"{user}@"
        for about in dict.fromkeys((cluster_id(), opening().name)):
            try:
                secret = await vault().get(Kind.UCP_PASSWORD, f"{prefix}{about}") if about else None
            except VaultError:
                continue
            if secret is not None:
                return Login(user, secret)
        return Login(user)

    return Asking(login, lambda: opening().cluster.dtr.ca, state_dir() / "dtr")


async def keep_remembering(known: Known, opening: Callable[[], Opening], folder: Callable[[], Path]) -> None:
    """Writes down the nodes whenever they are others than before, and that they were seen, until it is cancelled."""
    written: Remembered | None = None
    nodes: object = None
    await known.changes.until(lambda: bool(known.snapshot.cluster_id) and known.nodes_read)
    while True:
        now = known.snapshot
        due = written is None or time.time() - written.seen_at > AGAIN_SECONDS
        if known.nodes_read and (due or now.nodes is not nodes):
            nodes = now.nodes
            # One call: whoever ends a session at once (status) has its nodes written all the same.
            written = await asyncio.to_thread(_noted, now, opening(), folder(), None if due else written)
        await asyncio.sleep(REMEMBER_SECONDS)


def _noted(snapshot: Snapshot, opening: Opening, folder: Path, written: Remembered | None) -> Remembered:
    over_ssh = any(isinstance(target, SshTarget) for target in opening.targets)
    fresh = seen(snapshot, opening.name, time.time(), lambda node: str(node_target(opening, node)) if over_ssh else "")
    if written is not None and (fresh.cluster_id, fresh.nodes) == (written.cluster_id, written.nodes):
        return written
    # A full or read-only disk must not disturb a session: then nothing is remembered.
    with contextlib.suppress(OSError):
        remember(folder, fresh)
    return fresh


def suspects(snapshot: Snapshot, opening: Opening, folder: Path) -> list[SshTarget]:
    """Hosts that should be managers, or were, and are none that the leader hears from: those may follow another one."""
    if not any(isinstance(target, SshTarget) for target in opening.targets):
        return []
    voters = [node for node in snapshot.nodes.values() if node.is_voter]
    heard = {node_target(opening, node) for node in voters if node.is_reachable}
    named = [target for target in opening.targets if isinstance(target, SshTarget)]
    missed = [node_target(opening, node) for node in voters if not node.is_reachable]
    were = [parse_target(text) for text in former_targets(folder, snapshot.cluster_id)]
    former = [target for target in were if isinstance(target, SshTarget)]
    return [target for target in dict.fromkeys((*named, *missed, *former)) if target not in heard]
