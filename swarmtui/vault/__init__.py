"""Secrets by kind and by what they are about: in the OS keyring, or in this session's memory, and it says which."""

from swarmtui.vault.custody import Custody, custody_of
from swarmtui.vault.secret import Entry, KeyState, Kind, Secret, UnlockKey, VaultError, fingerprint
from swarmtui.vault.shared import shared
from swarmtui.vault.sources import Named, Sources
from swarmtui.vault.vault import HOW_TO_GET_ONE, Vault

__all__ = [
    "HOW_TO_GET_ONE",
    "Custody",
    "Entry",
    "KeyState",
    "Kind",
    "Named",
    "Secret",
    "Sources",
    "UnlockKey",
    "Vault",
    "VaultError",
    "custody_of",
    "fingerprint",
    "shared",
]
