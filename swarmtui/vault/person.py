"""A person with the vault at hand: SSH passphrases are looked up before anybody is asked, and kept if wanted; sudo
passwords are looked up."""

from __future__ import annotations

from collections.abc import Callable

from swarmtui.link.hostkeys import HostKeyQuestion
from swarmtui.link.person import KeepingPerson, PasswordPerson, Person
from swarmtui.vault.secret import Kind, Secret, VaultError
from swarmtui.vault.sources import about_of
from swarmtui.vault.vault import Vault


class VaultPerson:
    """Answers what the vault can answer, and passes on the rest.

    Args:
        person: whom to ask now.
        vault: where to look first. Not opened before the first encrypted key.
    """

    def __init__(self, person: Callable[[], Person], vault: Callable[[], Vault]) -> None:
        self._person = person
        self._vault = vault
        self._looked_up: set[str] = set()
        self._typed: dict[str, Secret] = {}
        self._refused: set[str] = set()

    async def trust_host_key(self, q: HostKeyQuestion) -> bool:
        return await self._person().trust_host_key(q)

    async def password(self, user_at_host: str) -> str | None:
        person = self._person()
        return await person.password(user_at_host) if isinstance(person, PasswordPerson) else None

    async def sudo_password(self, user_at_host: str) -> str | None:
        if user_at_host in self._refused:
            return None
        try:
            kept = await self._vault().get(Kind.SUDO_PASSWORD, user_at_host)
        except VaultError:
            # Named and not there, or damaged: sudo may do without, and says itself where it does not.
            return None
        return kept.reveal() if kept is not None else None

    def sudo_refused(self, user_at_host: str) -> None:
        self._refused.add(user_at_host)

    async def passphrase(self, key_file: str) -> str | None:
        """From the vault the first time; asked again, what the vault has is wrong, and a person must know."""
        about = about_of(Kind.SSH_PASSPHRASE, key_file)
        if about not in self._looked_up:
            self._looked_up.add(about)
            try:
                if (kept := await self._vault().get(Kind.SSH_PASSPHRASE, about)) is not None:
                    return kept.reveal()
            except VaultError:
                # A source that is named and not there, or a damaged item: a person can still type it.
                pass
        typed = await self._person().passphrase(key_file)
        if typed:
            self._typed[about] = Secret(typed)
        return typed

    async def passphrase_worked(self, key_file: str) -> None:
        """Offers to keep what was typed, where that outlives this program; asks once, and takes no for an answer."""
        about = about_of(Kind.SSH_PASSPHRASE, key_file)
        typed, person, vault = self._typed.pop(about, None), self._person(), self._vault()
        if typed is None or not isinstance(person, KeepingPerson):
            return
        await vault.open()
        if not vault.durable or await vault.declined(Kind.SSH_PASSPHRASE, about):
            return
        if not await person.keep(f"the passphrase of {key_file}", vault.where):
            await vault.decline(Kind.SSH_PASSPHRASE, about)
            return
        try:
            await vault.put(Kind.SSH_PASSPHRASE, about, typed)
        except VaultError:
            # Too long for this keyring: it is asked for again the next time.
            await vault.decline(Kind.SSH_PASSPHRASE, about)
