"""The vault over this session's memory, and over keyrings that are slow, locked, forgetful or gone."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from swarmtui.runbooks.swarm.custody import custody_facts, custody_rules
from swarmtui.vault import HOW_TO_GET_ONE, Kind, Named, Secret, Sources, Vault, VaultError, custody_of, fingerprint
from swarmtui.vault.keeper import Keeper
from tests.vault.stores import Durable, Failing, Forgetful, Hanging, Small, none_here

CLUSTER = "kmm8u0o7ky9bs9axfidsilwhq"
NO_SOURCES = Sources(environ={})


def vault_over(store: Durable, **seconds: float) -> Vault:
    return Vault(Keeper(lambda: store, **seconds), NO_SOURCES)


# -- the usual ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vault", [Vault.in_memory(), vault_over(Durable())], ids=["memory", "keyring"])
async def test_what_is_put_in_is_there_until_it_is_taken_out(vault: Vault) -> None:
    assert await vault.get(Kind.UCP_PASSWORD, "prod") is None
    durable = await vault.put(Kind.UCP_PASSWORD, "prod", Secret("one"))
    assert durable is vault.durable
    assert await vault.put(Kind.UCP_PASSWORD, "prod", Secret("two"), name="production") is durable
    await vault.put(Kind.DTR_PASSWORD, "prod", Secret("other"))
    assert await vault.get(Kind.UCP_PASSWORD, "prod") == Secret("two")
    assert [(e.kind, e.about, e.name, e.where, e.durable) for e in await vault.entries()] == [
        (Kind.UCP_PASSWORD, "prod", "production", vault.where, durable),
        (Kind.DTR_PASSWORD, "prod", "", vault.where, durable),
    ]
    assert await vault.remove(Kind.UCP_PASSWORD, "prod")
    assert not await vault.remove(Kind.UCP_PASSWORD, "prod")
    assert await vault.get(Kind.UCP_PASSWORD, "prod") is None
    assert [entry.kind for entry in await vault.entries()] == [Kind.DTR_PASSWORD]


async def test_unlock_keys_have_a_past() -> None:
    vault = Vault.in_memory()
    await vault.store_unlock_key(CLUSTER, Secret("a"), "current", 10.0, kek_version=3, name="prod")
    await vault.store_unlock_key(CLUSTER, Secret("b"), "pending", 20.0)
    assert await vault.get(Kind.UNLOCK_KEY, CLUSTER) == Secret("a")
    await vault.mark_current(CLUSTER, fingerprint(Secret("b")))
    assert await vault.get(Kind.UNLOCK_KEY, CLUSTER) == Secret("b")
    # Putting one in is another way to say that it is the cluster's.
    await vault.put(Kind.UNLOCK_KEY, CLUSTER, Secret("c"))
    assert [(k.secret.reveal(), k.state) for k in await vault.unlock_keys(CLUSTER)] == [
        ("c", "current"),
        ("b", "previous"),
        ("a", "previous"),
    ]
    (entry,) = await vault.entries()
    assert (entry.about, entry.name) == (CLUSTER, "prod")
    assert entry.keys == tuple(fingerprint(Secret(key)) for key in "cba")
    assert await vault.unlock_keys("another") == ()
    assert await vault.remove(Kind.UNLOCK_KEY, CLUSTER)
    assert await vault.unlock_keys(CLUSTER) == ()


async def test_a_key_is_listed_under_the_name_of_the_cluster_whose_vault_it_is() -> None:
    vault = Vault.in_memory()
    await vault.with_sources(Sources("prod", environ={})).store_unlock_key(CLUSTER, Secret("a"), "current", 1.0)
    await vault.with_sources(Sources("ssh://root@h", environ={})).store_unlock_key("other", Secret("b"), "current", 1.0)
    assert [(entry.about, entry.name) for entry in await vault.entries()] == [(CLUSTER, "prod"), ("other", "")]


@pytest.mark.parametrize("about", ["", "a\nb", "a\x1b[31m", "x" * 256])
async def test_what_it_is_about_must_be_one_line(about: str) -> None:
    with pytest.raises(VaultError, match="one line of at most 255 characters"):
        await Vault.in_memory().put(Kind.SUDO_PASSWORD, about, Secret("x"))


async def test_items_say_what_version_they_are_and_a_newer_one_is_not_misread() -> None:
    items: dict[str, str] = {}
    vault = vault_over(Durable(items))
    await vault.put(Kind.SUDO_PASSWORD, "a@b", Secret("pw"))
    await vault.store_unlock_key(CLUSTER, Secret("k"), "current", 1.0)
    assert {name: json.loads(text)["v"] for name, text in items.items()} == {
        "sudo-password/a@b": 1,
        "index/sudo-password": 1,
        f"unlock-key/{CLUSTER}": 1,
        "index/unlock-key": 1,
    }
    items["sudo-password/a@b"] = '{"v":2,"value":"planted"}'
    with pytest.raises(VaultError) as caught:
        await vault.get(Kind.SUDO_PASSWORD, "a@b")
    assert "written by a newer swarmtui, or is damaged" in str(caught.value)
    assert "planted" not in str(caught.value)
    # Its own history is never written over by somebody who cannot read it.
    items[f"unlock-key/{CLUSTER}"] = before = '{"v":2,"keys":{}}'
    with pytest.raises(VaultError, match="newer swarmtui"):
        await vault.store_unlock_key(CLUSTER, Secret("new"), "pending", 2.0)
    assert items[f"unlock-key/{CLUSTER}"] == before


# -- bad days -------------------------------------------------------------------------------------------


async def test_without_a_keyring_it_is_this_sessions_memory_and_says_so() -> None:
    vault = Vault(Keeper(none_here), NO_SOURCES)
    assert not await vault.put(Kind.SUDO_PASSWORD, "a@b", Secret("pw"))
    assert await vault.get(Kind.SUDO_PASSWORD, "a@b") == Secret("pw")
    assert (vault.durable, vault.where) == (False, "this session's memory only")
    assert vault.why_not_durable == "this system has no keyring that can be used"


@pytest.mark.parametrize("good", range(8))
async def test_a_keyring_that_fails_at_any_call_leaves_the_secret_at_least_in_memory(good: int) -> None:
    vault = vault_over(Failing(good=good))
    durable = await vault.put(Kind.SUDO_PASSWORD, "a@b", Secret("pw"))
    assert durable is vault.durable
    assert durable is (good >= 5)
    assert await vault.get(Kind.SUDO_PASSWORD, "a@b") == Secret("pw") or durable
    if not durable:
        assert vault.why_not_durable == "the keyring of a test is locked, and was not unlocked"


async def test_a_keyring_that_keeps_nothing_is_found_out() -> None:
    vault = vault_over(Forgetful())
    assert not await vault.store_unlock_key(CLUSTER, Secret("k"), "current", 1.0)
    assert vault.why_not_durable == "the keyring of a test did not keep what was given to it"
    assert await vault.get(Kind.UNLOCK_KEY, CLUSTER) == Secret("k")


async def test_a_keyring_that_hangs_costs_one_timeout_and_what_is_kept_goes_over_when_it_is_back() -> None:
    store = Hanging({})
    vault = vault_over(store, call_seconds=0.2)
    assert not await vault.put(Kind.SUDO_PASSWORD, "a@b", Secret("pw"))
    assert vault.why_not_durable == "the keyring did not answer within 0.2 s"
    waiting = threading.active_count()
    for _ in range(20):
        await vault.put(Kind.SUDO_PASSWORD, "a@b", Secret("newer"))
    assert threading.active_count() == waiting  # nobody asks it again meanwhile
    await vault.store_unlock_key(CLUSTER, Secret("k2"), "current", 20.0)
    store.let_go.set()
    other = vault_over(store)
    await other.store_unlock_key(CLUSTER, Secret("k1"), "current", 10.0)

    assert await vault.try_again()
    assert (vault.durable, vault.why_not_durable) == (True, "")
    assert await other.get(Kind.SUDO_PASSWORD, "a@b") == Secret("newer")
    assert [(k.secret.reveal(), k.state) for k in await other.unlock_keys(CLUSTER)] == [
        ("k2", "current"),
        ("k1", "previous"),
    ]


async def test_unlock_keys_that_were_seen_are_still_there_when_the_keyring_locks_itself() -> None:
    items: dict[str, str] = {}
    await vault_over(Durable(items)).store_unlock_key(CLUSTER, Secret("old"), "current", 1.0, name="prod")
    store = Failing(items, good=1000)
    vault = vault_over(store)
    await vault.unlock_keys(CLUSTER)
    await vault.store_unlock_key(CLUSTER, Secret("new"), "pending", 2.0)
    assert vault.durable
    store.good = 0
    # In the middle of a rotation: the key is pending in the keyring, and current here.
    assert not await vault.mark_current(CLUSTER, fingerprint(Secret("new")))
    assert not vault.durable
    assert [(k.secret.reveal(), k.state) for k in await vault.unlock_keys(CLUSTER)] == [
        ("new", "current"),
        ("old", "previous"),
    ]
    other = vault_over(Durable(items))
    assert [(k.secret.reveal(), k.state) for k in await other.unlock_keys(CLUSTER)] == [
        ("new", "pending"),
        ("old", "current"),
    ]
    store.good = 1000
    assert await vault.try_again()
    assert [(k.secret.reveal(), k.state) for k in await other.unlock_keys(CLUSTER)] == [
        ("new", "current"),
        ("old", "previous"),
    ]


async def test_what_is_removed_is_not_brought_back_by_the_copy_in_memory() -> None:
    store = Failing({}, good=1000)
    vault = vault_over(store)
    await vault.store_unlock_key(CLUSTER, Secret("k"), "current", 1.0)
    await vault.unlock_keys(CLUSTER)
    assert await vault.remove(Kind.UNLOCK_KEY, CLUSTER)
    store.good = 0
    assert await vault.unlock_keys(CLUSTER) == ()
    assert await vault.entries() == ()
    store.good = 1000
    assert await vault.try_again()
    assert await vault.unlock_keys(CLUSTER) == ()


async def test_what_is_newer_in_the_keyring_stays_when_memory_is_handed_over() -> None:
    items: dict[str, str] = {}
    now = 100.0
    failing = Failing(items)
    vault = Vault(Keeper(lambda: failing), NO_SOURCES, lambda: now)
    await vault.put(Kind.SUDO_PASSWORD, "a@b", Secret("from memory"))
    await vault.put(Kind.SUDO_PASSWORD, "c@d", Secret("only here"))
    now = 200.0
    await Vault(Keeper(lambda: Durable(items)), NO_SOURCES, lambda: now).put(Kind.SUDO_PASSWORD, "a@b", Secret("later"))
    failing.good = 1000
    assert await vault.try_again()
    assert await vault.get(Kind.SUDO_PASSWORD, "a@b") == Secret("later")
    assert await vault.get(Kind.SUDO_PASSWORD, "c@d") == Secret("only here")


async def test_a_keyring_with_short_items_refuses_a_long_one_and_keeps_working() -> None:
    vault = vault_over(Small())
    with pytest.raises(VaultError, match="is too long for the keyring of a test: 200 characters at most"):
        await vault.put(Kind.BACKUP_PASSPHRASE, "prod", Secret("x" * 200))
    assert await vault.put(Kind.BACKUP_PASSPHRASE, "prod", Secret("x" * 20))


async def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    items: dict[str, str] = {}
    vaults = [Vault(Keeper(lambda: Durable(items), tmp_path / "lock"), NO_SOURCES) for _ in range(3)]
    await asyncio.gather(
        *(vaults[n % 3].store_unlock_key(CLUSTER, Secret(f"k{n}"), "previous", float(n)) for n in range(9)),
        *(vaults[n % 3].put(Kind.SUDO_PASSWORD, f"u@h{n}", Secret("x")) for n in range(9)),
    )
    assert {k.secret.reveal() for k in await vaults[0].unlock_keys(CLUSTER)} == {f"k{n}" for n in range(9)}
    assert {e.about for e in await vaults[0].entries()} == {CLUSTER, *(f"u@h{n}" for n in range(9))}
    assert (tmp_path / "lock").read_bytes() == b""


async def test_somebody_who_does_not_want_it_kept_is_not_asked_again() -> None:
    vault = vault_over(Durable())
    await vault.decline(Kind.SSH_PASSPHRASE, "/k")
    assert await vault.declined(Kind.SSH_PASSPHRASE, "/k")
    assert await vault.entries() == ()
    await vault.put(Kind.SSH_PASSPHRASE, "/k", Secret("x"))
    assert not await vault.declined(Kind.SSH_PASSPHRASE, "/k")


# -- from outside ---------------------------------------------------------------------------------------


def outside(folder: Path, *named: Named, **environ: str) -> Sources:
    return Sources("prod", named, {"CREDENTIALS_DIRECTORY": str(folder), **environ})


async def test_systemd_credentials_are_found_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "swarmtui.unlock-key.prod").write_text("by name\n")
    (tmp_path / f"swarmtui.backup-passphrase.{CLUSTER}").write_text("by id\r\n")
    (tmp_path / "swarmtui.sudo-password.ops@mgr1").write_bytes(b"exact")
    (tmp_path / "swarmtui.sudo-password.prod").write_bytes(b"of a host that is called as the cluster is")
    (tmp_path / "swarmtui.ucp-password.prod").write_bytes(b"\xff\xfe")
    (tmp_path / "unrelated").write_text("x")
    vault = Vault.in_memory(outside(tmp_path))
    assert await vault.get(Kind.UNLOCK_KEY, CLUSTER) == Secret("by name")
    assert await vault.get(Kind.BACKUP_PASSPHRASE, CLUSTER) == Secret("by id")
    assert await vault.get(Kind.SUDO_PASSWORD, "ops@mgr1") == Secret("exact")
    assert await vault.get(Kind.SUDO_PASSWORD, "ops@mgr2") is None
    assert await vault.get(Kind.UCP_PASSWORD, CLUSTER) is None
    # A name that would lead elsewhere is no name of a credential.
    (tmp_path.parent / "swarmtui.ssh-passphrase.x").write_text("x")
    assert await vault.get(Kind.SSH_PASSPHRASE, "../x") is None
    assert {(e.kind, e.about, e.where, e.durable) for e in await vault.entries()} == {
        (Kind.UNLOCK_KEY, "prod", "the systemd credential swarmtui.unlock-key.prod", True),
        (Kind.BACKUP_PASSPHRASE, CLUSTER, f"the systemd credential swarmtui.backup-passphrase.{CLUSTER}", True),
        (Kind.SUDO_PASSWORD, "ops@mgr1", "the systemd credential swarmtui.sudo-password.ops@mgr1", True),
        (Kind.SUDO_PASSWORD, "prod", "the systemd credential swarmtui.sudo-password.prod", True),
    }


async def test_what_the_configuration_names_comes_first_and_the_exact_line_before_the_general_one(
    tmp_path: Path,
) -> None:
    named = (
        Named(Kind.SUDO_PASSWORD, "", "env:SUDO"),
        Named(Kind.SUDO_PASSWORD, "ops@mgr1", "credential:special"),
    )
    (tmp_path / "special").write_text("special")
    vault = Vault.in_memory(outside(tmp_path, *named, SUDO="general"))
    await vault.put(Kind.SUDO_PASSWORD, "ops@mgr2", Secret("kept"))
    assert await vault.get(Kind.SUDO_PASSWORD, "ops@mgr1") == Secret("special")
    assert await vault.get(Kind.SUDO_PASSWORD, "ops@mgr2") == Secret("general")


async def test_a_source_that_is_named_and_not_there_is_said_unless_the_secret_is_kept(tmp_path: Path) -> None:
    named = (Named(Kind.UNLOCK_KEY, "", "env:KEY"), Named(Kind.UCP_PASSWORD, "", "credential:ucp"))
    vault = Vault.in_memory(outside(tmp_path, *named))
    with pytest.raises(VaultError) as caught:
        await vault.unlock_keys(CLUSTER)
    assert str(caught.value) == (
        "The environment variable KEY, named in the configuration for the unlock-key of prod, is not set. "
        "Set it for this program, or take it out of the configuration."
    )
    with pytest.raises(VaultError, match=r"The systemd credential ucp, named .* is not there\. Give it to the unit"):
        await vault.get(Kind.UCP_PASSWORD, CLUSTER)
    await vault.store_unlock_key(CLUSTER, Secret("kept"), "current", 1.0)
    await vault.put(Kind.UCP_PASSWORD, CLUSTER, Secret("kept"))
    assert await vault.get(Kind.UNLOCK_KEY, CLUSTER) == Secret("kept")
    assert await vault.get(Kind.UCP_PASSWORD, CLUSTER) == Secret("kept")


async def test_an_unlock_key_from_outside_is_one_more_to_try(tmp_path: Path) -> None:
    vault = Vault.in_memory(outside(tmp_path, Named(Kind.UNLOCK_KEY, "", "env:KEY"), KEY="outside"))
    (key,) = await vault.unlock_keys(CLUSTER)
    assert (key.secret, key.state, key.stored_at) == (Secret("outside"), "current", 0.0)
    await vault.store_unlock_key(CLUSTER, Secret("rotated"), "current", 5.0)
    assert [(k.secret.reveal(), k.state) for k in await vault.unlock_keys(CLUSTER)] == [
        ("rotated", "current"),
        ("outside", "previous"),
    ]
    await vault.store_unlock_key(CLUSTER, Secret("outside"), "current", 6.0)
    assert [k.secret.reveal() for k in await vault.unlock_keys(CLUSTER)] == ["outside", "rotated"]


# -- custody --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyring", "in_environment", "new", "durable"),
    [
        (True, False, True, True),
        (True, False, False, True),
        (False, True, False, True),
        (False, True, True, False),  # what is only read cannot take a key that is still to be made
        (False, False, False, False),
        (False, False, True, False),
    ],
)
async def test_custody(keyring: bool, in_environment: bool, new: bool, durable: bool) -> None:
    named = (Named(Kind.UNLOCK_KEY, "", "env:KEY"),)
    sources = Sources("prod", named, {"KEY": "k"}) if in_environment else NO_SOURCES
    vault = Vault(Keeper(Durable if keyring else none_here), sources)
    custody = await custody_of(vault, Kind.UNLOCK_KEY, CLUSTER, new=new)
    assert custody.durable is durable
    if durable:
        where = "the keyring of a test" if keyring else "the environment variable KEY"
        assert (custody.words, custody.next_step) == (f"The unlock-key is kept in {where}.", "")
    else:
        assert custody.words == (
            "The unlock-key would be kept in this session's memory only (this system has no keyring that can be used), "
            "and be lost with this program."
        )
        assert custody.next_step == HOW_TO_GET_ONE


async def test_a_key_in_this_sessions_memory_is_not_in_custody_and_a_named_source_that_is_missing_is_said() -> None:
    vault = Vault(Keeper(none_here), NO_SOURCES)
    await vault.store_unlock_key(CLUSTER, Secret("k"), "current", 1.0)
    assert not (await custody_of(vault, Kind.UNLOCK_KEY, CLUSTER)).durable
    vault = Vault(Keeper(none_here), Sources("prod", (Named(Kind.UNLOCK_KEY, "", "env:KEY"),), {}))
    custody = await custody_of(vault, Kind.UNLOCK_KEY, CLUSTER)
    assert not custody.durable
    assert "The environment variable KEY" in custody.words


@pytest.mark.parametrize("keyring", [True, False])
async def test_the_safety_rule_is_broken_exactly_where_there_is_no_custody(keyring: bool) -> None:
    vault = Vault(Keeper(Durable if keyring else none_here), NO_SOURCES)
    facts = await custody_facts(vault, Kind.UNLOCK_KEY, CLUSTER, new=True)
    assert json.loads(json.dumps(facts)) == facts
    rules = custody_rules(facts, "prod")
    assert [str(rule) for rule in rules] == ([] if keyring else ["key-without-custody=prod"])
    if not keyring:
        assert "lost with this program" in rules[0].what and HOW_TO_GET_ONE in rules[0].what
