"""The one vault of this program: all its clusters share the keyring, its thread, and this session's memory."""

from __future__ import annotations

import functools

from swarmtui.config import state_dir
from swarmtui.vault.keeper import Keeper
from swarmtui.vault.keyrings import open_keyring
from swarmtui.vault.vault import Vault


@functools.cache
def shared() -> Vault:
    """The vault over the OS keyring. Nothing is opened, and the keyring library not imported, before it is used."""
    return Vault(Keeper(open_keyring, state_dir() / "vault.lock"))
