"""Whether the vault's key is the cluster's key: compared with `GET /swarm/unlockkey`, without showing either."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from swarmtui.errors import EngineError, SwarmtuiError
from swarmtui.model.snapshot import KeyHolding, Snapshot
from swarmtui.vault.secret import Secret, VaultError
from swarmtui.vault.vault import Vault

LOOK_SECONDS = 2.0
"""How often it is looked whether there is a reason to compare again; that costs nothing."""
AGAIN_SECONDS = 30.0

Get = Callable[[str], Awaitable[bytes]]
"""GETs a path from the engine of the manager in use."""


async def cluster_key(get: Get) -> Secret | None:
    """The unlock key as the cluster has it now; None while autolock is off.

    Raises:
        SwarmtuiError: the cluster could not be asked, or its answer cannot be read.
    """
    try:
        told = json.loads(await get("/swarm/unlockkey")).get("UnlockKey", "")
    except (ValueError, AttributeError):
        told = None
    if not isinstance(told, str):
        # Its words are left out: they may hold the key.
        raise EngineError(
            "The engine's answer about the unlock key cannot be read.",
            "Is it a Docker engine, and not a proxy that answers in its place?",
        ) from None
    return Secret(told) if told else None


async def compare(get: Get, vault: Vault, cluster_id: str) -> KeyHolding:
    """Compares the cluster's unlock key with those that the vault has.

    Raises:
        SwarmtuiError: the cluster could not be asked.
    """
    key = await cluster_key(get)
    now = time.time()
    if key is None:
        return KeyHolding(state="off", at=now)
    try:
        keys = await vault.unlock_keys(cluster_id)
    except VaultError as error:
        return KeyHolding(state="unknown", trouble=str(error), where=vault.where, durable=vault.durable, at=now)
    found = next((known for known in keys if known.secret == key), None)
    state = "differs" if keys else "missing"
    return KeyHolding(
        state="held" if found is not None else state,
        fingerprint=found.fingerprint if found is not None else "",
        where=vault.where,
        # A key from outside (a systemd credential, say) is there again when the program is not.
        durable=vault.durable or (found is not None and found.stored_at == 0.0),
        at=now,
    )


async def keep_comparing(
    get: Get, vault: Callable[[], Vault], snapshot: Callable[[], Snapshot], found: Callable[[KeyHolding], None]
) -> None:
    """Compares whenever the Swarm changed, until it is cancelled; with autolock off the vault is not even opened."""
    last: tuple[str, int, bool] | None = None
    held, at = False, 0.0
    while True:
        cluster = snapshot().info.swarm.cluster
        if cluster is not None and cluster.id:
            now = (cluster.id, cluster.version.index, cluster.spec.encryption_config.auto_lock_managers)
            again = now[2] and (not held or time.monotonic() - at > AGAIN_SECONDS)
            if now != last or again:
                try:
                    holding = await compare(get, vault(), cluster.id) if now[2] else KeyHolding(state="off")
                except SwarmtuiError:
                    holding = None  # asked again soon; what was known stays, with its time
                if holding is not None:
                    last, held, at = now, holding.state in ("held", "off"), time.monotonic()
                    found(holding)
        await asyncio.sleep(LOOK_SECONDS)
