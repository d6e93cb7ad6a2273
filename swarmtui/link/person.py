"""Whom a connection asks: about host keys, passphrases and passwords."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from swarmtui.link.hostkeys import HostKeyQuestion


class Person(Protocol):
    """Answers questions that only a person can. Time spent here does not count against any timeout."""

    async def trust_host_key(self, q: HostKeyQuestion) -> bool:
        """Whether a host key never seen before may be trusted from now on."""
        ...

    async def passphrase(self, key_file: str) -> str | None:
        """The passphrase of an encrypted key; None to go without it. Asked again after a wrong one."""
        ...


@runtime_checkable
class PasswordPerson(Person, Protocol):
    """A person who can be asked for a password too. Only asked where the server offers it and no key was accepted."""

    async def password(self, user_at_host: str) -> str | None:
        """The password of a user on a host; None to go without it."""
        ...


@runtime_checkable
class KeyPerson(Person, Protocol):
    """A person who can be asked for the unlock key of a locked manager, where the vault has none that is right."""

    async def unlock_key(self, about: str) -> str | None:
        """The key; None to go without it.

        Args:
            about: which manager, and why the vault's keys do not do: "mgr1: the vault has no key for it".
        """
        ...


@runtime_checkable
class SecretPerson(Person, Protocol):
    """A person who can be asked for a password or passphrase that an operation needs."""

    async def secret(self, what: str) -> str | None:
        """It; None to go without it.

        Args:
            what: what it is: "Password of admin on the UCP of prod".
        """
        ...


@runtime_checkable
class KeepingPerson(Person, Protocol):
    """A person who can say whether what was typed may be kept."""

    async def keep(self, what: str, where: str) -> bool:
        """Whether to keep it.

        Args:
            what: what it is: "the passphrase of ~/.ssh/id_ed25519".
            where: where it would be kept: "the OS keyring (Secret Service)".
        """
        ...


@runtime_checkable
class RememberingPerson(Person, Protocol):
    """Somebody who wants to know which passphrase was right."""

    async def passphrase_worked(self, key_file: str) -> None:
        """The passphrase last given for that key opened it."""
        ...


@runtime_checkable
class SudoPerson(Person, Protocol):
    """Somebody who may know sudo passwords. Not asked by a question on the screen: looked up."""

    async def sudo_password(self, user_at_host: str) -> str | None:
        """The password that sudo wants of that login; None where it is not known."""
        ...

    def sudo_refused(self, user_at_host: str) -> None:
        """That password was wrong, and must not be given again."""
        ...


class Nobody:
    """There is no person to ask: an unknown host key is refused, an encrypted key stays closed."""

    async def trust_host_key(self, q: HostKeyQuestion) -> bool:
        return False

    async def passphrase(self, key_file: str) -> str | None:
        return None
