"""The backups pane: what it shows of a catalogue, and what its keys do, driven by keys."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from swarmtui.backups import verify
from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.imports import told_by
from swarmtui.config import BackupsConfig
from swarmtui.ui import backup_work, tending
from swarmtui.ui.screens.working import WorkScreen
from swarmtui.vault import Kind, Secret
from tests.backups.raft.real import NOW as REAL_NOW
from tests.backups.raft.real import SECRETS, Real, inventory, look, real
from tests.backups.tars import tar_of
from tests.driver import Driver
from tests.ui.catalogue import DAY, HOUR, add, filled
from tests.ui.snapshots import cluster
from tests.ui.snapshots.conftest import stage as stage
from tests.ui.snapshots.stage import NOW, Stage, console
from tests.ui.test_console import opened

PROVED, HOT, MISSING = "20261119T030000Z-mgr2", "20261118T030000Z-mgr1", "20261117T030000Z-mgr2"
NEWEST, DAMAGED = "20261120T180000Z-mgr2", "20261002T030000Z-mgr2"


@asynccontextmanager
async def shown(tmp_path: Path, *, size: tuple[int, int] = (120, 36)) -> AsyncIterator[Driver]:
    """A console with the backups of the catalogue on the screen."""
    async with console(tmp_path, size=size) as driver:
        await driver.here().view("backups")
        await driver.until("the catalogue was read", lambda: driver.app.shelf.turn)
        yield driver


def told(driver: Driver, name: str) -> list[str]:
    """The words of a row."""
    return driver.row(name).split()


async def test_each_state_is_told_in_words(stage: Stage, tmp_path: Path) -> None:
    filled(Catalogue().root, NOW)
    async with shown(tmp_path) as driver:
        await driver.here().title("Backups (6)", "1 damaged").contains(NEWEST, HOT)
        assert next(line.split()[0] for line in driver.lines[4:10]) == NEWEST, "the newest comes first"
        assert told(driver, PROVED)[1:6] == ["2", "d", "yes", "cold", "5/5"]
        assert "1, 1 BAD" in driver.row(PROVED)
        assert told(driver, HOT)[3:6] == ["not", "proved", "HOT!"]
        assert told(driver, MISSING)[3:6] == ["NO", "cold", "1/5"]
        assert "damaged" in driver.row(DAMAGED)
        await driver.here().press("slash").type("HOT").press("enter").title("1 of 6").contains(HOT).lacks(NEWEST)


async def test_a_backup_is_described_in_words(stage: Stage, tmp_path: Path) -> None:
    filled(Catalogue().root, NOW)
    async with shown(tmp_path) as driver:
        await driver.here().select(PROVED).press("enter").at("reading")
        await driver.here().sees("Would restore: yes, because it was restored in an isolated place", "cold: Docker was")
        await driver.here().sees("✓ 5. rehearsed: holds", "2026-11-19 04:00 UTC, 47 h ago", "not the leader")
        await driver.here().press("G").sees("archive.tar was altered there", "3 nodes, 2 services").leave()
        await driver.here().select(MISSING).press("d").sees("Would restore: no", "✗ 2. complete: DOES NOT HOLD").leave()
        await driver.here().select(DAMAGED).press("d").sees("Damaged: Its archive has 7 bytes").leave()
        # What is not usable is not opened either.
        await driver.here().press("o").told("is damaged", "7 bytes").at("main")


async def test_the_pane_follows_its_folder(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tending, "SHOWN_SECONDS", 0.05)
    catalogue = Catalogue()
    async with shown(tmp_path) as driver:
        await driver.here().sees("There is no backup yet", "B takes the first one")
        first = add(catalogue, NOW - HOUR)
        await driver.here().contains(first.id).title("Backups (1)")
        add(catalogue, NOW - 2 * HOUR)
        await driver.here().title("Backups (2)")
        shutil.rmtree(first.folder)
        await driver.here().lacks(first.id).title("Backups (1)")


async def test_nothing_is_read_again_that_did_not_change(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tending, "SHOWN_SECONDS", 0.02)
    filled(Catalogue().root, NOW)
    read = 0
    entries = Catalogue.entries

    def counted(self: Catalogue, cluster_id: str | None = None) -> object:
        nonlocal read
        read += 1
        return entries(self, cluster_id)

    monkeypatch.setattr(Catalogue, "entries", counted)
    async with shown(tmp_path) as driver:
        await driver.here().title("Backups (6)")
        turn, before = driver.app.shelf.turn, read
        looks = 0
        look = driver.app.shelf.look

        def looked(*args: str) -> bool:
            nonlocal looks
            looks += 1
            return look(*args)

        monkeypatch.setattr(driver.app.shelf, "look", looked)
        await driver.until("looked at often", lambda: looks > 5)
        assert (driver.app.shelf.turn, read) == (turn, before)


async def test_what_changed_between_two_and_since_one(stage: Stage, tmp_path: Path) -> None:
    filled(Catalogue().root, NOW)
    async with shown(tmp_path) as driver:
        # Whatever the order in which they were marked: from the older to the newer.
        await driver.here().mark(NEWEST, PROVED).press("s").sees(f"From {PROVED} to {NEWEST}", "- cron removed")
        await driver.here().sees("~ shop_web changed", "image: web:1.4.2 → web:1.5.0", "+ tls-2026.key added").leave()
        await (
            driver.here()
            .select(HOT)
            .press("space")
            .mark_is(3)
            .press("s")
            .told("Two backups can be compared")
            .press("backslash")
        )
        await driver.here().select(PROVED).press("s").sees(f"From {PROVED} to now", "+ wrk2 added").leave()
        await driver.here().select("20261012T030000Z-mgr3").press("s").told("Nobody wrote down what was in the Swarm")


async def test_what_does_not_restore_is_proved_not_to(stage: Stage, tmp_path: Path) -> None:
    catalogue = Catalogue()
    first, second = add(catalogue, NOW - HOUR), add(catalogue, NOW - DAY)
    async with shown(tmp_path) as driver:
        await driver.here().mark(first.id, second.id).press("p").sees("Verify 2 backups", "2 would NOT restore.")
        await driver.here().sees(
            first.id, second.id, "✗ 1. digest and structure", "· 5. rehearsed: not done; H does it"
        )
        await driver.here().leave().sees(f"{first.id} 1 h NO")
    kept = catalogue.entry(None, first.id).last_verified
    assert kept is not None and kept.verdict == "no"


async def test_verifying_can_be_left_and_stopped(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue()
    made = [add(catalogue, NOW - each * HOUR) for each in range(1, 4)]
    real = verify.verify

    def slow(*args: object, cancelled: object, progress: object, passphrases: object) -> object:
        assert callable(cancelled) and callable(progress)
        progress(verify.Progress("reading the archive", 1, 4))
        while not cancelled():
            time.sleep(0.01)
        return real(*args, cancelled=cancelled, progress=progress)  # type: ignore[arg-type]

    monkeypatch.setattr(backup_work, "verify", slow)
    async with shown(tmp_path) as driver:
        await driver.here().press("asterisk").mark_is(3).press("p").sees("reading the archive, 25 %", "0 of 3 done")
        await driver.here().leave().header("verifying 0/3")
        await driver.here().press("q").at("ask").sees("Verify 3 backups is under way. Leaving stops it").leave()
        # Nothing else begins meanwhile; it is shown again.
        await driver.here().press("o").sees("Verify 3 backups").told("one at a time").press("s").sees("Stopped, as you")
        assert isinstance(driver.app.screen, WorkScreen)
        await driver.here().leave()
        await driver.until("nothing under way", lambda: "verifying" not in driver.header)
    assert not any(catalogue.entry(None, each.id).verifications for each in made)


async def test_a_console_that_ends_stops_the_work(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(Catalogue(), NOW - HOUR)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless(*_: object, cancelled: object, progress: object, passphrases: object) -> object:
        assert callable(cancelled)
        while not cancelled():
            time.sleep(0.01)
        loop.call_soon_threadsafe(stopped.set)
        raise verify.Cancelled("It was stopped.")

    monkeypatch.setattr(backup_work, "verify", endless)
    async with shown(tmp_path) as driver:
        await driver.here().press("p").sees("Under way")
    await asyncio.wait_for(stopped.wait(), 5)


# -- copies, pruning, importing ---------------------------------------------------------------------------------------


async def test_a_copy_is_asked_for_made_and_shown(stage: Stage, tmp_path: Path) -> None:
    entry = add(Catalogue(), NOW - HOUR)
    away = tmp_path / "away"
    away.mkdir()
    (away / ".swarmtui-copies").touch()  # somebody who means a folder of the same disk
    async with shown(tmp_path) as driver:
        assert "none" in driver.row(entry.id)
        await driver.here().press("C").at("ask").sees("NOT ENCRYPTED", "Copy 2026").type("nowhere").press("enter")
        await driver.here().sees("A folder for copies is named from the root").press(*["backspace"] * 7)
        await driver.here().type(str(away)).press("enter").sees("would leave this machine so")
        await (
            driver.here()
            .type("yes")
            .press("enter")
            .sees("That is not 'unencrypted'")
            .press(*["backspace"] * 3)
            .type("unencrypted")
        )
        await driver.here().press("enter").sees("1 made, and their digests compared at the far end.")
        await driver.here().leave().press("d").sees(str(away), "its digest compared <1 min ago").leave()
        await driver.until("one copy", lambda: "none" not in driver.row(entry.id))
    there = away / entry.cluster_id / entry.id / "archive.tar"
    assert there.read_bytes() == entry.archive.read_bytes()


async def test_a_copy_that_fails_says_why(stage: Stage, tmp_path: Path) -> None:
    entry = add(Catalogue(), NOW - HOUR)
    async with shown(tmp_path) as driver:
        await driver.here().press("C").answer(str(tmp_path / "not-there")).sees("would leave this machine so")
        await driver.here().answer("unencrypted").sees("1 of 1 copies were not made.")
        assert "not-there" in driver.words
        await driver.here().leave()
        assert "none" in driver.row(entry.id)


async def test_prune_shows_first_and_wants_the_word(stage: Stage, tmp_path: Path) -> None:
    catalogue = Catalogue()
    proved = add(catalogue, NOW - 400 * DAY, tiers=4)
    made = [add(catalogue, NOW - each * DAY) for each in range(1, 40)]
    settings = BackupsConfig(last=2, daily=0, weekly=0, monthly=0)
    async with shown(tmp_path) as driver:
        driver.app.opening = replace(driver.app.opening, backups=settings)
        await driver.here().press("P").sees("Delete 37 of 40 backups", f"DELETE {made[2].id} no rule keeps it")
        await driver.here().type("prun").press("enter").told('That is not "prune": nothing was done.').leave()
        assert len(catalogue.entries()) == 40
        await driver.here().press("P").sees('Type "prune"').press(*["down"] * 40).sees(f"keep {made[0].id} last 1")
        await driver.here().type("prune").press("enter").sees("37 deleted.").leave().title("Backups (3)")
        assert [each.id for each in catalogue.entries()] == [made[0].id, made[1].id, proved.id]
        await driver.here().press("P").told("Nothing is to go by the rules", "3 stay")


async def test_what_is_no_backup_is_not_imported(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "swarm.bkp"
    file.write_bytes(b"nothing of the kind" * 1000)
    async with shown(tmp_path) as driver:
        await driver.here().press("I").answer(str(tmp_path / "none")).sees("There is no such file.").leave()
        await driver.here().press("I").answer(str(file)).sees("Import swarm.bkp", "was not imported.").leave()
        await driver.here().title("Backups (0)")


async def test_a_console_that_only_looks_changes_no_backup(stage: Stage, tmp_path: Path) -> None:
    add(Catalogue(), NOW - HOUR)
    async with console(tmp_path, size=(120, 36), read_only=True) as driver:
        await driver.here().view("backups").title("Backups (1)")
        assert not any(word in driver.text for word in ("Back up", "Prune", "Copy", "Import", "Rehearse"))
        await driver.here().press("B", "P", "C", "I", "H").at("main")
        await driver.here().press("colon").type("backup").press("enter").told("This console is read-only.").at("main")
        await driver.here().press("p").sees("1 would NOT restore.").leave()


# -- genuine ones -----------------------------------------------------------------------------------------------------


def genuine(monkeypatch: pytest.MonkeyPatch) -> Real:
    """The directory of a real, locked Swarm; the console is on that one."""
    found = real("everything-26.1")
    monkeypatch.setattr(time, "time", lambda: REAL_NOW)
    monkeypatch.setitem(cluster.SWARM, "ID", found.before["swarm"]["ID"])
    return found


async def test_the_key_makes_the_difference(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = genuine(monkeypatch)
    cluster_id = found.before["swarm"]["ID"]
    entry = add(
        Catalogue(),
        REAL_NOW - HOUR,
        content=tar_of(found.files),
        cluster_id=cluster_id,
        inventory=inventory(found.before),
        inventory_after=inventory(found.after),
        **told_by(look(found.files, found.keys)),
    )
    await stage.vault.store_unlock_key(cluster_id, Secret(f"SWMKEY-1-{'another':0<43}"), "current", 1.0)
    async with shown(tmp_path) as driver:
        await driver.here().press("p").sees("1 not proved.", "? 3. the vault's key opens it").leave()
        await driver.here().press("o").sees("no key at hand opens it").leave()
        await stage.vault.store_unlock_key(cluster_id, Secret(found.key), "current", 2.0)
        await driver.here().press("p").sees("1 would restore.", "✓ 4. contents equal the inventory: holds").leave()
        await driver.until("it is shown", lambda: told(driver, entry.id)[3:6] == ["yes", "cold", "4/5"])
        await (
            driver.here()
            .press("o")
            .sees("Opened, and read to its end.", "opened by the key", "2 secrets, by name only")
        )
        service = inventory(found.after).services[0]
        await driver.here().sees(f"{service.name} {service.image}").press("g").sees("Managers in it, at their").leave()
    assert not any(secret.decode() in path.read_text("latin-1") for path in _small_files() for secret in SECRETS)


def _small_files() -> list[Path]:
    """All that is written beside an archive."""
    return [path for path in Catalogue().root.rglob("*") if path.is_file() and path.name != "archive.tar"]


async def test_an_archive_made_by_hand_is_taken_in(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = genuine(monkeypatch)
    await stage.vault.store_unlock_key(found.before["swarm"]["ID"], Secret(found.key), "current", 1.0)
    file = tmp_path / "swarm.bkp"
    file.write_bytes(tar_of(found.files, packed=True))
    async with shown(tmp_path) as driver:
        await driver.here().press("I").at("ask").type(str(file)[:-2]).press("right", "enter")
        await driver.here().sees("It is in the catalogue as", "It is kept without encryption").leave().title("(1)")
        await driver.here().press("d").sees("imported from swarm.bkp").leave()
        await driver.here().press("I").answer(str(file)).sees("It is in the catalogue already").leave()


async def test_what_is_taken_in_is_encrypted_with_the_vaults_passphrase(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = genuine(monkeypatch)
    await stage.vault.put(Kind.BACKUP_PASSPHRASE, found.before["swarm"]["ID"], Secret("correct horse battery staple"))
    file = tmp_path / "swarm.bkp"
    file.write_bytes(tar_of(found.files))
    async with shown(tmp_path) as driver:
        await driver.here().press("I").answer(str(file)).sees("It is in the catalogue as").leave().title("Backups (1)")
        assert "without encryption" not in driver.words
    (entry,) = Catalogue().entries()
    assert entry.whole.encrypted == "passphrase" and entry.archive.read_bytes().startswith(b"age-encryption.org/v1")


# -- runs -------------------------------------------------------------------------------------------------------------


async def test_a_backup_is_taken_from_anywhere_and_shown(tmp_path: Path) -> None:
    async with opened(tmp_path, size=(120, 40)) as (_, console):
        await console.nodes().select("wrk1").press("B").told("wrk1 is a worker")
        await console.nodes().select("mgr3").press("B").dialog("from mgr3", "NOT encrypted", "survives no loss").leave()
        await console.here().view("backups").sees("There is no backup yet")
        await console.here().view("services").press("colon").type("backup").press("enter").dialog("Back up simulated")
        await console.here().confirm().until_done().view("backups").title("Backups (1)")
        entry = Catalogue().entries()[0]
        await console.until("proved", lambda: told(console, entry.id)[3:6] == ["yes", "cold", "4/5"])
        await console.here().press("s").sees("Nothing changed").leave()
        await console.nodes().select("wrk1").press("L").answer("rack=7").confirm().until_done()
        await console.here().view("backups").press("s").sees("~ wrk1 changed", "label rack: (none) → 7").leave()
        await console.here().press("H").at("ask").sees(f"Rehearse, for {entry.id}").leave()
