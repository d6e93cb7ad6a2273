"""Passphrases of SSH keys: looked up in the vault first, and kept there if the person wants it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from swarmtui.link.person import Nobody, Person
from swarmtui.link.ssh import SshHost
from swarmtui.vault import Kind, Named, Secret, Sources, Vault
from swarmtui.vault.keeper import Keeper
from swarmtui.vault.person import VaultPerson
from tests.link.support import SECRET, Asked, FakeHost, refused, settings, write_locked
from tests.vault.stores import Durable


@dataclass
class Keeping(Asked):
    """A person who is asked whether to keep what was typed."""

    wants: bool = True
    offers: list[tuple[str, str]] = field(default_factory=list)

    async def keep(self, what: str, where: str) -> bool:
        self.offers.append((what, where))
        return self.wants


def a_vault(items: dict[str, str] | None = None) -> Vault:
    return Vault(Keeper(lambda: Durable(items)), Sources(environ={}))


async def connect(host: FakeHost, folder: Path, person: Person, vault: Vault) -> None:
    """Connects as a new start of the program does: nothing is remembered but what the vault has."""
    ssh = await SshHost.connect(host.target(), settings(folder), VaultPerson(lambda: person, lambda: vault))
    assert ssh.user == "op"
    await ssh.close()


async def test_what_was_typed_and_was_right_is_kept_if_wanted_and_not_asked_for_again(
    host: FakeHost, tmp_path: Path, home: Path, user_key: asyncssh.SSHKey
) -> None:
    path, items = write_locked(home, user_key), {}
    person = Keeping(passphrases=["wrong", SECRET])
    await connect(host, tmp_path, person, a_vault(items))
    assert person.keys == [str(path)] * 2
    assert person.offers == [(f"the passphrase of {path}", "the keyring of a test")]
    assert await a_vault(items).get(Kind.SSH_PASSPHRASE, str(path)) == Secret(SECRET)
    # The next start asks nobody, also where there is nobody to ask.
    await connect(host, tmp_path, Nobody(), a_vault(items))


async def test_a_kept_passphrase_that_is_wrong_is_asked_for_and_replaced(
    host: FakeHost, tmp_path: Path, home: Path, user_key: asyncssh.SSHKey
) -> None:
    path, vault = write_locked(home, user_key), a_vault()
    await vault.put(Kind.SSH_PASSPHRASE, str(path), Secret("of an older key"))
    person = Keeping(passphrases=[SECRET])
    await connect(host, tmp_path, person, vault)
    assert person.keys == [str(path)]
    assert await vault.get(Kind.SSH_PASSPHRASE, str(path)) == Secret(SECRET)


async def test_no_is_taken_for_an_answer(host: FakeHost, tmp_path: Path, home: Path, user_key: asyncssh.SSHKey) -> None:
    path, items = write_locked(home, user_key), {}
    person = Keeping(passphrases=[SECRET, SECRET], wants=False)
    for _ in range(2):
        await connect(host, tmp_path, person, a_vault(items))
    assert person.keys == [str(path)] * 2
    assert len(person.offers) == 1
    assert SECRET not in str(items)


async def test_what_would_be_kept_in_memory_only_is_not_offered(
    host: FakeHost, tmp_path: Path, home: Path, user_key: asyncssh.SSHKey
) -> None:
    write_locked(home, user_key)
    person = Keeping(passphrases=[SECRET])
    await connect(host, tmp_path, person, Vault.in_memory())
    assert person.offers == []


async def test_a_named_variable_opens_the_key_and_one_that_is_not_set_leaves_the_question(
    host: FakeHost, tmp_path: Path, home: Path, user_key: asyncssh.SSHKey
) -> None:
    path = write_locked(home, user_key)
    named = (Named(Kind.SSH_PASSPHRASE, str(path), "env:KEY_PASS"),)
    await connect(host, tmp_path, Nobody(), Vault.in_memory(Sources("prod", named, {"KEY_PASS": SECRET})))
    person = Asked(passphrases=[SECRET])
    await connect(host, tmp_path, person, Vault.in_memory(Sources("prod", named, {})))
    assert person.keys == [str(path)]


async def test_without_anybody_it_is_refused_as_before(
    host: FakeHost, tmp_path: Path, home: Path, user_key: asyncssh.SSHKey
) -> None:
    path = write_locked(home, user_key)
    vault = a_vault()
    await vault.put(Kind.SSH_PASSPHRASE, str(path), Secret("planted-wrong"))
    error = await refused(host.target(), tmp_path, VaultPerson(Nobody, lambda: vault))
    assert str(path) in str(error)
    assert "planted-wrong" not in str(error)
