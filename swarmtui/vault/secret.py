"""What the vault keeps, and how it is handed about: a secret that does not show itself."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NoReturn

from swarmtui.errors import SwarmtuiError


class VaultError(SwarmtuiError):
    """The vault cannot do what was asked. Never holds a secret."""


class Kind(StrEnum):
    """What a secret is for. Every secret is about something: a cluster id, a key file, user@host."""

    UNLOCK_KEY = "unlock-key"
    UCP_PASSWORD = "ucp-password"
    DTR_PASSWORD = "dtr-password"
    BACKUP_PASSPHRASE = "backup-passphrase"
    UCP_PASSPHRASE = "ucp-passphrase"
    SSH_PASSPHRASE = "ssh-passphrase"
    SUDO_PASSWORD = "sudo-password"


class Secret:
    """A secret value that only `reveal` shows: not repr, str, format, a log line, pickle, JSON or a traceback.

    Python cannot wipe it from memory; whoever may read the process's memory may read it.

    Raises:
        ValueError: it is empty.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("a secret must not be empty")
        self.__value = value

    def reveal(self) -> str:
        """The value itself: for stdin of a command or the body of a request, never for argv, a log or an error."""
        return self.__value

    def __eq__(self, other: object) -> bool:
        """Compares in constant time."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled")


def fingerprint(secret: Secret) -> str:
    """What stands for an unlock key on screens and in journals: the first 8 hex digits of a SHA-256.

    Only for unlock keys. They are 256 random bits (swarm-dr.md §5), so 32 bits of a digest tell nothing of use; of a
    password that a person made up, they would tell which guess is right.
    """
    return hashlib.sha256(b"swarmtui unlock key\0" + secret.reveal().encode()).hexdigest()[:8]


KeyState = Literal["current", "pending", "previous"]


@dataclass(frozen=True, slots=True)
class UnlockKey:
    """One unlock key of a cluster.

    Attributes:
        stored_at: unix seconds when it was first kept; 0.0 where nobody knows (environment, systemd credential).
        state: current: the cluster's; pending: made by a rotation that is not verified yet; previous: was current, and
            managers that were down during the rotation still need it.
        kek_version: the raft index under which the Swarm knows it, where known.
        fingerprint: what may be shown instead of it.
    """

    secret: Secret
    stored_at: float
    state: KeyState
    kek_version: int | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Entry:
    """That a secret is kept, without the secret.

    Attributes:
        about: a cluster id, a key file, user@host.
        stored_at: unix seconds; 0.0 where nobody knows.
        where: in plain words, to follow "kept in".
        durable: whether it outlives this program.
        name: what people call it (the cluster's name); may be empty.
        keys: the fingerprints of the unlock keys, the newest first; empty for other kinds.
    """

    kind: Kind
    about: str
    stored_at: float
    where: str
    durable: bool
    name: str = ""
    keys: tuple[str, ...] = ()
