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


class Nobody:
    """There is no person to ask: an unknown host key is refused, an encrypted key stays closed."""

    async def trust_host_key(self, q: HostKeyQuestion) -> bool:
        return False

    async def passphrase(self, key_file: str) -> str | None:
        return None
