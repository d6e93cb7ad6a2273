"""The Swarm's own view, its keys, and unlocking from the console; on the simulator, driven by keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events

from swarmtui import session
from swarmtui.link import locked
from swarmtui.runbooks.swarm import unlock_steps
from swarmtui.ui.screens import token
from swarmtui.vault import Secret, Vault, holding
from swarmtui.vault.keeper import Keeper
from swarmtui.vault.store import StoreError
from tests.driver import Driver
from tests.ui.test_console import opened
from tests.vault.stores import Durable


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits, and a vault of its own: the simulator's ids and keys are the same each time."""
    vault = Vault.in_memory()
    monkeypatch.setattr(session, "shared", lambda: vault)
    monkeypatch.setattr(unlock_steps, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(holding, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(locked, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(locked, "AGAIN_SECONDS", 0.5)


async def lock(console: Driver) -> None:
    await console.here().view("swarm").select("Autolock").press("L").answer("true")
    # There is no keyring in a test: the key is in this program's memory only, which has to be accepted.
    await console.here().dialog("SAFETY RULE key-without-custody=simulated").confirm("simulated").until_done()


async def test_the_view_tells_the_lock_who_has_the_key_and_the_certificates(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        await console.here().view("swarm").title("Swarm").shows("Autolock", "off").sees("Root CA", "SHA-256")
        await console.here().sees("Certificate mgr1", "Task history", "Raft snapshots", demo.world.clusters[0].id)
        await lock(console)
        await console.here().shows("Autolock", "on").sees("in memory only (")
        await console.here().header("autolock on, key only in memory").press("a").sees("unlock-key-not-durable").leave()
        key = demo.world.clusters[0].unlock_key
        assert key not in console.text
        await console.here().select("Unlock key").press("p").at("reading").sees(key, "docker swarm unlock").leave()
        assert key not in console.text
        await console.here().press("K").confirm("simulated").until_done()
        assert demo.world.clusters[0].unlock_key != key
        await console.here().press("T").answer("worker").confirm().until_done()
        # Somebody else rotates it: seen without anybody asking.
        cluster = demo.world.clusters[0]
        demo.world.control(cluster).update_cluster(
            cluster.version, dict(cluster.spec), {"rotateManagerUnlockKey": True}
        )
        await (
            console.here()
            .header("VAULT HAS ANOTHER KEY")
            .sees("THE VAULT HAS ANOTHER KEY", "L takes it into the vault")
        )
        await console.here().press("L").at("ask").sees("Autolock: whether", "Now: true, but the vault does not have")
        await console.here().press("enter").dialog("Autolock is on already; the vault gets its key.").leave()
        assert "SWMKEY" not in "".join(file.read_text() for file in (tmp_path / "journal").glob("*.jsonl"))


async def test_a_token_is_shown_for_a_while_on_request_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    async with opened(tmp_path) as (demo, console):
        monkeypatch.setattr(console.app, "copy_to_clipboard", copied.append)
        worker = demo.world.clusters[0].worker_token
        await console.here().view("swarm").select("Worker token").sees("SWMTKN-1-••••")
        assert worker[-25:] not in console.text.replace("\n", "")
        monkeypatch.setattr(token, "SHOWN_SECONDS", 0.5)
        await console.here().press("p").at("reading").sees(worker[-25:], "docker swarm join --token")
        await console.until("hidden again", lambda: worker[-25:] not in console.words)
        await console.here().press("c").told("The join command is copied.")
        assert copied == [f"docker swarm join --token {worker} 10.0.1.11:2377"]
        await console.here().press("p").sees(worker[-25:]).leave()
        await console.here().select("Id").press("p").told("Only the join tokens and the unlock key can be shown")


async def test_locked_managers_are_unlocked_one_or_all_although_nobody_answers(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        await lock(console)
        world = demo.world
        hosts = [world.hosts[name] for name in ("mgr1", "mgr2", "mgr3")]
        world.stop_docker(hosts[2])
        world.start_docker(hosts[2])
        await (
            console.nodes()
            .shows("mgr3", "Locked")
            .header("1 LOCKED")
            .press("a")
            .sees("Manager mgr3 is locked", "manager-locked")
            .leave()
        )
        await console.nodes().select("mgr3").press("U").dialog("Unlock mgr3")
        await console.here().sees("docker swarm unlock").confirm().until_done()
        await console.nodes().shows("mgr3", "Reachable").press("U").told("no manager is locked (mgr3 is active)")
        for host in hosts:
            world.stop_docker(host)
        for host in hosts:
            world.start_docker(host)
        await console.here().header("NOT CONNECTED").press("colon").type("unlock").press("enter")
        await console.here().dialog("Unlock mgr1, mgr2, mgr3").confirm().until_done()
        await console.nodes().live().shows("mgr1", "ready")
        assert not any(host.swarm.locked for host in hosts if host.swarm is not None)


async def test_a_key_the_vault_lacks_is_typed_unseen(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        world = demo.world
        cluster = world.clusters[0]
        spec = {**cluster.spec, "EncryptionConfig": {"AutoLockManagers": True}}
        world.control(cluster).update_cluster(cluster.version, spec, {})
        await console.here().header("KEY NOT KEPT")
        world.stop_docker(world.hosts["mgr3"])
        world.start_docker(world.hosts["mgr3"])
        await console.nodes().select("mgr3").press("U").confirm().at("ask").sees("Unlock key for mgr3")
        await console.here().type("wrong").press("enter").sees("no unlock key")
        pasted = events.Paste(cluster.unlock_key)
        await console.here().at("ask")
        console.app.post_message(pasted)
        await console.here().sees("•" * 20)
        assert cluster.unlock_key[9:] not in console.words
        await console.here().press("enter").until_done()
        await console.nodes().shows("mgr3", "Reachable").header("key only in memory")


async def test_a_keyring_that_is_open_again_unlocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, shut = Durable(), [True]

    def keyring() -> Durable:
        if shut[0]:
            raise StoreError("the keyring of a test is locked, and was not unlocked")
        return kept

    vault = Vault(Keeper(keyring))
    monkeypatch.setattr(session, "shared", lambda: vault)
    async with opened(tmp_path) as (demo, console):
        cluster = demo.world.clusters[0]
        spec = {**cluster.spec, "EncryptionConfig": {"AutoLockManagers": True}}
        demo.world.control(cluster).update_cluster(cluster.version, spec, {})
        shut[0] = False
        await Vault(Keeper(keyring)).store_unlock_key(cluster.id, Secret(cluster.unlock_key), "current", 1.0)
        shut[0] = True
        await console.here().header("KEY NOT KEPT")
        demo.world.stop_docker(demo.world.hosts["mgr3"])
        demo.world.start_docker(demo.world.hosts["mgr3"])
        await console.nodes().shows("mgr3", "Locked")
        assert vault.why_not_durable
        shut[0] = False
        # Nobody is asked for a key: the keyring is, once more.
        await console.here().press("colon").type("unlock").press("enter").confirm().until_done()
        await console.nodes().shows("mgr3", "Reachable").header("key kept")


async def test_a_console_that_only_looks_unlocks_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, read_only=True) as (_, console):
        await console.here().press("colon").type("unlock").press("enter").told("This console is read-only.")
