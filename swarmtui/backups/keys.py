"""What the vault has to open a cluster's backups: all its unlock keys, and what opens the encryption."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from swarmtui.backups.crypt import Encryption, is_identity
from swarmtui.vault import Kind, Secret, Vault, VaultError


@dataclass(frozen=True, slots=True)
class Keys:
    """What opens a backup.

    Attributes:
        unlock: the unlock keys, the current one first, then the newest.
        identity: of the encryption: a passphrase, or an identity of age.
        ucp: passphrases that UCP may have sealed a backup of its own with; the current one first.
        trouble: why the vault could not be asked, in a sentence; "" where it could.
    """

    unlock: tuple[Secret, ...] = ()
    identity: Secret | None = None
    trouble: str = ""
    ucp: tuple[Secret, ...] = ()


async def passphrase_of(vault: Vault, cluster_id: str) -> Secret | None:
    """The passphrase to encrypt a cluster's backups with; None where there is none. Raises VaultError."""
    found = await vault.get(Kind.BACKUP_PASSPHRASE, cluster_id)
    return None if found is None or is_identity(found.reveal()) else found


async def encryption_of(recipients: Sequence[str], vault: Vault, cluster_id: str) -> Encryption:
    """How a cluster's backups are encrypted: for those whom the configuration names, else with the vault's passphrase.

    Raises:
        UsageError: one is no recipient.
        VaultError: the vault cannot be asked.
    """
    if recipients:
        return await asyncio.to_thread(Encryption.for_recipients, recipients)
    return Encryption(passphrase=await passphrase_of(vault, cluster_id))


async def ucp_passphrases(vault: Vault, cluster_id: str, backup: str = "") -> tuple[Secret, ...]:
    """Those that may open a backup of UCP: the cluster's, then one that is kept for this backup alone, as an imported
    one may need. Raises VaultError."""
    found = [await vault.get(Kind.UCP_PASSPHRASE, about) for about in (cluster_id, backup) if about]
    return tuple(dict.fromkeys(secret for secret in found if secret is not None))


async def keys_of(vault: Vault, cluster_id: str, identity: Secret | None = None, *, ucp: str | None = None) -> Keys:
    """What the vault has for a cluster's backups. A vault that cannot be asked is no error: it is said in `trouble`.

    Args:
        vault: with the sources of that cluster (`Vault.with_sources`).
        identity: what was given on the command line; wins.
        ucp: the name of a backup of UCP, whose passphrases are wanted too; None for a Swarm's.
    """
    trouble = ""
    passphrases: tuple[Secret, ...] = ()
    if ucp is not None:
        try:
            passphrases = await ucp_passphrases(vault, cluster_id, ucp)
        except VaultError as error:
            trouble = str(error)
    unlock: tuple[Secret, ...] = ()
    try:
        kept = await vault.unlock_keys(cluster_id)
        unlock = tuple(key.secret for key in sorted(kept, key=lambda key: key.state != "current"))
    except VaultError as error:
        trouble = trouble or str(error)
    if identity is None:
        try:
            identity = await vault.get(Kind.BACKUP_PASSPHRASE, cluster_id)
        except VaultError as error:
            trouble = trouble or str(error)
    return Keys(unlock, identity, trouble, passphrases)
