"""The vault over a real Secret Service."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from swarmtui.vault import Kind, Secret, Vault, custody_of, fingerprint
from swarmtui.vault.keeper import Keeper
from swarmtui.vault.keyrings import open_keyring

CLUSTER = "kmm8u0o7ky9bs9axfidsilwhq"


def the_vault(lock: Path, **seconds: float) -> Vault:
    return Vault(Keeper(open_keyring, lock, **seconds))


async def test_what_one_program_keeps_another_finds(keyring_here: dict[str, str], tmp_path: Path) -> None:
    one = the_vault(tmp_path / "lock")
    assert await one.put(Kind.SUDO_PASSWORD, "ops@mgr1", Secret("pässwörd ✓ \" ' \\"))
    assert await one.store_unlock_key(CLUSTER, Secret("first"), "current", 100.0, kek_version=11, name="prod")
    assert await one.store_unlock_key(CLUSTER, Secret("second"), "pending", 200.0)
    assert await one.mark_current(CLUSTER, fingerprint(Secret("second")))
    assert (one.durable, one.where, one.why_not_durable) == (True, "the OS keyring (Secret Service)", "")

    other = the_vault(tmp_path / "lock")
    assert await other.get(Kind.SUDO_PASSWORD, "ops@mgr1") == Secret("pässwörd ✓ \" ' \\")
    keys = await other.unlock_keys(CLUSTER)
    assert [(key.secret.reveal(), key.state, key.stored_at, key.kek_version) for key in keys] == [
        ("second", "current", 200.0, None),
        ("first", "previous", 100.0, 11),
    ]
    assert {(entry.kind, entry.about, entry.name, entry.durable) for entry in await other.entries()} == {
        (Kind.UNLOCK_KEY, CLUSTER, "prod", True),
        (Kind.SUDO_PASSWORD, "ops@mgr1", "", True),
    }
    assert (await custody_of(other, Kind.UNLOCK_KEY, CLUSTER, new=True)).durable

    assert await other.remove(Kind.SUDO_PASSWORD, "ops@mgr1")
    assert not await one.remove(Kind.SUDO_PASSWORD, "ops@mgr1")
    assert await one.get(Kind.SUDO_PASSWORD, "ops@mgr1") is None


async def test_the_keyring_itself_has_it_and_no_file_has_it_in_clear(
    keyring_here: dict[str, str], tmp_path: Path
) -> None:
    vault = the_vault(tmp_path / "lock")
    await vault.store_unlock_key(CLUSTER, Secret("planted-7f3a9c"), "current", 1.0)
    # Read by another library than the one we write with, and in another process.
    code = (
        "import secretstorage; bus = secretstorage.dbus_init();"
        "print(*(item.get_secret().decode() for item in secretstorage.search_items(bus, {'service': 'swarmtui'})))"
    )
    found = subprocess.run([sys.executable, "-c", code], env=keyring_here, capture_output=True, text=True, check=True)
    assert "planted-7f3a9c" in found.stdout
    files = [path for path in Path(keyring_here["HOME"]).rglob("*") if path.is_file()]
    assert any(path.suffix == ".keyring" for path in files)
    assert not [path for path in files if b"planted-7f3a9c" in path.read_bytes()]


async def test_two_programs_that_write_at_once_lose_no_key(keyring_here: dict[str, str], tmp_path: Path) -> None:
    code = """
import asyncio, sys
from pathlib import Path
from swarmtui.vault import Kind, Secret, Vault
from swarmtui.vault.keeper import Keeper
from swarmtui.vault.keyrings import open_keyring

async def go(lock, cluster, who):
    vault = Vault(Keeper(open_keyring, Path(lock)))
    for n in range(4):
        assert await vault.store_unlock_key(cluster, Secret(f"{who}-{n}"), "previous", n), vault.why_not_durable
        assert await vault.put(Kind.SSH_PASSPHRASE, f"/{who}/{n}", Secret("x")), vault.why_not_durable

asyncio.run(go(*sys.argv[1:]))
"""
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock"), CLUSTER, who], env=keyring_here)
        for who in ("a", "b")
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    vault = the_vault(tmp_path / "lock")
    kept = {key.secret.reveal() for key in await vault.unlock_keys(CLUSTER)}
    assert kept == {f"{who}-{n}" for who in "ab" for n in range(4)}
    listed = {entry.about for entry in await vault.entries() if entry.kind is Kind.SSH_PASSPHRASE}
    assert listed == {f"/{who}/{n}" for who in "ab" for n in range(4)}


def test_a_dead_secret_service_costs_the_timeout_and_no_more(
    dead_keyring_environ: dict[str, str], tmp_path: Path
) -> None:
    code = """
import asyncio, json, sys
from pathlib import Path
from swarmtui.vault import Kind, Secret, Vault
from swarmtui.vault.keeper import Keeper
from swarmtui.vault.keyrings import open_keyring

async def go():
    vault = Vault(Keeper(open_keyring, Path(sys.argv[1]), open_seconds=2))
    putting = asyncio.create_task(vault.put(Kind.SUDO_PASSWORD, "ops@mgr1", Secret("pw")))
    turns = 0
    while not putting.done():
        await asyncio.sleep(0.05)
        turns += 1
    got = await vault.get(Kind.SUDO_PASSWORD, "ops@mgr1")
    kept = [got == Secret("pw"), vault.durable, vault.where, vault.why_not_durable]
    print(json.dumps([turns > 3, putting.result(), *kept]))

asyncio.run(go())
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "lock")],
        env=dead_keyring_environ,
        capture_output=True,
        text=True,
        timeout=100,  # a call to a dead service blocks for 120 s, and must not hold up the end of the program either
    )
    assert ended.stderr == ""
    free, durable, got, still_durable, where, why = json.loads(ended.stdout)
    assert free  # the event loop had its turns meanwhile
    assert (durable, got, still_durable) == (False, True, False)
    assert (where, why) == ("this session's memory only", "the keyring did not answer within 2 s")


@pytest.mark.parametrize(
    "backend",
    ["keyring.backends.fail.Keyring", "keyring.backends.null.Keyring", "keyrings.alt.file.PlaintextKeyring"],
)
async def test_another_backend_that_somebody_chose_is_not_trusted(
    backend: str, keyring_here: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", backend)
    vault = the_vault(tmp_path / "lock")
    assert not await vault.put(Kind.SUDO_PASSWORD, "a@b", Secret("x"))
    assert (
        vault.why_not_durable
        == f"PYTHON_KEYRING_BACKEND chooses {backend}, which is no keyring of the operating system"
    )


async def test_a_backend_chosen_in_the_keyring_librarys_own_file_is_judged_the_same(
    keyring_here: dict[str, str], tmp_path: Path
) -> None:
    file = Path(keyring_here["HOME"]) / ".config/python_keyring/keyringrc.cfg"
    file.parent.mkdir(parents=True)
    for name, durable in (
        ("keyrings.cryptfile.cryptfile.CryptFileKeyring", False),
        ("keyring.backends.SecretService.Keyring", True),
    ):
        file.write_text(f"[backend]\ndefault-keyring = {name}\n")
        vault = the_vault(tmp_path / "lock")
        await vault.open()
        assert vault.durable is durable


async def test_a_keyring_that_stays_locked_is_said(keyring_environ: dict[str, str], tmp_path: Path) -> None:
    # There is no display on which it could be asked for.
    lock = str(tmp_path / "lock")
    code = (
        "import asyncio, sys; from pathlib import Path; from swarmtui.vault import *;"
        "from swarmtui.vault.keeper import Keeper; from swarmtui.vault.keyrings import open_keyring;"
        "v = Vault(Keeper(open_keyring, Path(sys.argv[1]))); asyncio.run(v.open());"
        "print(v.where, v.why_not_durable, sep='|')"
    )
    locking = "import secretstorage as s; s.get_default_collection(s.dbus_init()).lock()"
    subprocess.run([sys.executable, "-c", locking], env=keyring_environ, check=True, timeout=60)
    ended = subprocess.run(
        [sys.executable, "-c", code, lock], env=keyring_environ, capture_output=True, text=True, timeout=100
    )
    assert ended.stdout == (
        "this session's memory only|the OS keyring (Secret Service) is locked, and was not unlocked\n"
    )
