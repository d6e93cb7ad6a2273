"""The keyrings that may hold secrets, by allow-list, and nothing else that the keyring library would find.

Among what it finds are backends that write files in clear, that keep nothing, and that ask for a password on the
terminal, which is fatal under a console. So its own choice is never used: the backends named here are tried one by one,
and a person's choice (PYTHON_KEYRING_BACKEND, keyringrc.cfg) only counts where it is one of them.
"""

from __future__ import annotations

import configparser
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarmtui.vault.store import SERVICE, Store, StoreError


@dataclass(frozen=True, slots=True)
class Allowed:
    """A backend of the keyring library.

    Attributes:
        most_characters: the longest item. Windows: CRED_MAX_CREDENTIAL_BLOB_SIZE is 2,560 bytes (wincred.h), and the
            backend writes UTF-16 with a byte-order mark.
    """

    backend: str
    label: str
    most_characters: int | None = None


ALLOWED = (
    Allowed("keyring.backends.macOS.Keyring", "the OS keyring (macOS Keychain)"),
    Allowed("keyring.backends.Windows.WinVaultKeyring", "the OS keyring (Windows Credential Locker)", 1279),
    Allowed("keyring.backends.SecretService.Keyring", "the OS keyring (Secret Service)"),
    Allowed("keyring.backends.kwallet.DBusKeyring", "the OS keyring (KWallet)"),
)


class KeyringStore:
    """A backend of the keyring library as a store.

    Args:
        backend: an instance of one that is allowed.
    """

    durable = True

    def __init__(self, backend: Any, allowed: Allowed) -> None:
        self._backend = backend
        self.label = allowed.label
        self.most_characters = allowed.most_characters

    def read(self, name: str) -> str | None:
        try:
            text = self._backend.get_password(SERVICE, name)
        except Exception as error:  # noqa: BLE001
            raise _broken(self.label, error) from None
        return None if text is None else str(text)

    def write(self, name: str, text: str) -> None:
        try:
            self._backend.set_password(SERVICE, name, text)
        except Exception as error:  # noqa: BLE001
            raise _broken(self.label, error) from None

    def delete(self, name: str) -> None:
        try:
            if self._backend.get_password(SERVICE, name) is not None:
                self._backend.delete_password(SERVICE, name)
        except Exception as error:  # noqa: BLE001
            raise _broken(self.label, error) from None


def _broken(label: str, error: Exception) -> StoreError:
    """A backend raises what its system raises: D-Bus errors, pywintypes.error, OSError. Only the kind of error is told,
    for its text may hold what was to be kept."""
    kind = type(error).__name__
    if kind in ("KeyringLocked", "PromptDismissedException", "LockedException"):
        return StoreError(f"{label} is locked, and was not unlocked")
    if kind == "InitError":
        return StoreError(f"{label} has no keyring yet, and none could be made")
    return StoreError(f"{label} failed ({kind})")


def open_keyring(environ: Mapping[str, str] | None = None) -> Store:
    """Opens the keyring of this system. Blocks; imports the keyring library.

    Raises:
        StoreError: there is none that may hold secrets, or it does not work.
    """
    environ = os.environ if environ is None else environ
    chosen, by = _chosen(environ)
    candidates = [allowed for allowed in ALLOWED if chosen in ("", allowed.backend)]
    if not candidates:
        raise StoreError(f"{by} chooses {chosen}, which is no keyring of the operating system")
    for allowed in candidates:
        backend = _viable(allowed)
        if backend is None:
            continue
        store = KeyringStore(backend, allowed)
        # It may be there and not answer, or be locked: better known now than when a key must be kept.
        store.read("probe")
        return store
    raise StoreError("this system has no keyring that can be used")


def _viable(allowed: Allowed) -> Any:
    module, _, name = allowed.backend.rpartition(".")
    try:
        backend = getattr(importlib.import_module(module), name)
        # viable asks for the priority, which looks at the system (and raises inside where it is not there).
        return backend() if backend.viable else None
    except Exception:  # noqa: BLE001
        # One that cannot even say whether it works does not.
        return None


def _chosen(environ: Mapping[str, str]) -> tuple[str, str]:
    """The backend that a person chose for all programs, and where; without making one of it."""
    if name := environ.get("PYTHON_KEYRING_BACKEND", ""):
        return name, "PYTHON_KEYRING_BACKEND"
    from keyring.util import platform_

    file = Path(platform_.config_root()) / "keyringrc.cfg"
    parser = configparser.RawConfigParser()
    try:
        parser.read(file)
        return parser.get("backend", "default-keyring").strip(), str(file)
    except (configparser.Error, OSError, ValueError):
        return "", ""
