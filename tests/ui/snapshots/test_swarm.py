"""The Swarm's own view where its key is not as it should be, its questions, unlocking, and the screens of secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.runbooks.swarm import unlock
from swarmtui.runbooks.swarm.managers import Seen
from swarmtui.session import Session
from swarmtui.ui.screens.token import PeekScreen
from swarmtui.vault import Secret, Vault
from tests import builders as b
from tests.ui.snapshots import cluster
from tests.ui.snapshots.conftest import Compare, lines
from tests.ui.snapshots.stage import MIDDLE, SMALL, Stage, console

NARROW = (SMALL, MIDDLE)
SECRETS = {"Worker token": cluster.TOKENS["Worker"], "Manager token": cluster.TOKENS["Manager"]}
SECRETS |= {"Unlock key": cluster.UNLOCK_KEY}


async def test_the_vault_lacks_the_key(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path, keeps_key=False) as driver:
        await driver.here().view("swarm").select("Unlock key").sees("NOT IN THE VAULT")
        await compare(driver, sizes=NARROW)
        await driver.here().press("L").at("ask")
        await compare(driver, "autolock", (SMALL,))
        await driver.here().press("enter").at("confirm")
        await compare(driver, "take", (SMALL,))


async def test_the_vault_has_another_key(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    await stage.vault.store_unlock_key(b.CLUSTER, Secret(f"SWMKEY-1-{'another':0<43}"), "current", 1.0)
    async with console(tmp_path, keeps_key=False) as driver:
        await driver.here().view("swarm").select("Unlock key").sees("THE VAULT HAS ANOTHER KEY")
        await compare(driver, sizes=NARROW)


async def test_the_key_is_in_memory_only(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    stage.vault = Vault.in_memory()
    await stage.vault.store_unlock_key(b.CLUSTER, Secret(cluster.UNLOCK_KEY), "current", 1.0)
    async with console(tmp_path, keeps_key=False) as driver:
        await driver.here().view("swarm").select("Unlock key").sees("in memory only (")
        await compare(driver, sizes=NARROW)
        await driver.here().press("K").at("confirm")
        await compare(driver, "rotate", (SMALL,))


async def test_questions(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        for key, name in (("L", "autolock"), ("T", "tokens")):
            await driver.here().view("swarm").press(key).at("ask")
            await compare(driver, name, NARROW)
            await driver.here().leave()


async def test_unlock(stage: Stage, compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(_: Session) -> tuple[Seen, ...]:
        return (
            Seen(name="mgr1", target="ssh://root@mgr1", node_id=cluster.MGR1["ID"], state="active"),
            Seen(name="mgr2", target="ssh://root@mgr2", node_id=cluster.MGR2["ID"], state="locked"),
            Seen(name="mgr3", target="ssh://root@mgr3", why="root@mgr3 does not answer. Look at it on its console."),
        )

    monkeypatch.setattr(unlock, "look", look)
    async with console(tmp_path) as driver:
        await driver.here().press("colon").type("unlock").press("enter").at("confirm")
        await compare(driver, sizes=NARROW)


@pytest.mark.parametrize("row", SECRETS)
async def test_a_secret_that_is_hidden_again(row: str, stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        await driver.here().view("swarm").select(row).press("p").at("reading")
        screen = driver.app.screen
        assert isinstance(screen, PeekScreen)
        await driver.until("the secret", lambda: SECRETS[row][-12:] in driver.words.replace(" ", ""))
        screen._hide()
        await driver.until("hidden", lambda: SECRETS[row][-12:] not in driver.words.replace(" ", ""))
        await compare(driver, sizes=NARROW)
        await driver.here().leave()
    for picture in (Path(__file__).parent / "__snapshots__").rglob("*.svg"):
        assert SECRETS[row][-20:] not in "".join("".join(lines(picture.read_text("utf-8"))).split()), picture
