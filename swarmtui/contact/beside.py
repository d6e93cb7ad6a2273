"""What no poll tells, learnt while a manager is in use: certificates, who holds the unlock key, who is only locked, how
fresh the backups are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from swarmtui.backups.freshness import Look, keep_looking_at
from swarmtui.contact.known import Known
from swarmtui.link.certificates import Opener, keep_reading
from swarmtui.link.locked import EngineOf, keep_looking
from swarmtui.model.backups import BackupHolding
from swarmtui.model.swarm import KeyHolding
from swarmtui.vault import Vault
from swarmtui.vault.holding import Get, compare, keep_comparing


class Beside:
    """Works beside the polls, and adds what it finds to what is known.

    Args:
        get: GETs from the engine of the manager in use.
        engine_of: the engine of a node's own socket; asks nobody anything.
        vault: where the unlock key may be. Not opened while autolock is off.
        look: what there is of backups of a cluster (blocking).
    """

    def __init__(self, known: Known, get: Get, engine_of: EngineOf, vault: Callable[[], Vault], look: Look) -> None:
        self._known = known
        self._get = get
        self._engine_of = engine_of
        self._vault = vault
        self._look = look

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
