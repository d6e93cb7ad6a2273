"""The backups: with one of each kind, empty, described, compared, and while nobody answers."""

from __future__ import annotations

from pathlib import Path

from swarmtui.backups.catalogue import Catalogue
from swarmtui.ui.screens.working import WorkScreen
from swarmtui.ui.work import Work
from tests.driver import Driver
from tests.ui.catalogue import DAY, add, filled
from tests.ui.snapshots.conftest import Compare
from tests.ui.snapshots.stage import LARGE, MIDDLE, NOW, SMALL, Stage, console

NARROW = (SMALL, MIDDLE)
BOTH = (SMALL, LARGE)


async def _shown(driver: Driver) -> None:
    await driver.here().view("backups")
    await driver.until("the catalogue was read", lambda: driver.app.shelf.turn)


async def test_the_pane(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    filled(Catalogue().root, NOW)
    async with console(tmp_path) as driver:
        await _shown(driver)
        await driver.here().title("Backups (6)")
        await compare(driver)
        await driver.here().press("z")
        await compare(driver, "zoomed", (LARGE,))
        await driver.here().press("z", "question_mark").at("reading")
        await compare(driver, "keys", NARROW)


async def test_described(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    filled(Catalogue().root, NOW)
    async with console(tmp_path) as driver:
        await _shown(driver)
        for name, row in (
            ("proved", "20261119T030000Z-mgr2"),
            ("hot", "20261118T030000Z-mgr1"),
            ("missing", "20261117T030000Z-mgr2"),
            ("imported", "20261012T030000Z-mgr3"),
            ("damaged", "20261002T030000Z-mgr2"),
        ):
            await driver.here().select(row).press("d").at("reading")
            await compare(driver, name, BOTH if name == "proved" else (SMALL,))
            await driver.here().leave()


async def test_empty(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        await _shown(driver)
        await driver.here().sees("There is no backup yet")
        await compare(driver, sizes=BOTH)


async def test_a_folder_that_others_may_write_to(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    root = filled(Catalogue().root, NOW).root
    root.chmod(0o777)
    async with console(tmp_path) as driver:
        await _shown(driver)
        await driver.here().sees("Others may write to")
        assert "(0)" not in driver.lines[2]


async def test_what_changed(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    filled(Catalogue().root, NOW)
    async with console(tmp_path) as driver:
        await _shown(driver)
        await driver.here().mark("20261120T180000Z-mgr2", "20261119T030000Z-mgr2").press("s").at("reading")
        await compare(driver, "between", BOTH)
        await driver.here().leave().press("backslash").mark_is(0)
        await driver.here().select("20261120T180000Z-mgr2").press("s").at("reading")
        await compare(driver, "since", BOTH)


async def test_nobody_answers(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    """At 3 a.m. with all managers gone: what there is to restore from can still be looked at."""
    filled(Catalogue().root, NOW)
    stage.lose()
    async with console(tmp_path, settled=False) as driver:
        await driver.here().sees("trying again")
        await _shown(driver)
        await driver.here().title("Backups (6)")
        await compare(driver, sizes=(SMALL,))


async def test_what_is_asked_first(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    catalogue = Catalogue()
    add(catalogue, NOW - 400 * DAY, tiers=4)
    for each in range(1, 30):
        add(catalogue, NOW - each * DAY, content=b"x")
    async with console(tmp_path) as driver:
        await _shown(driver)
        await driver.here().press("P").sees('Type "prune"')
        await compare(driver, "prune", NARROW)
        await driver.here().leave().press("C").at("ask")
        await compare(driver, "copy", (SMALL,))
        await driver.here().leave().press("H").at("ask")
        await compare(driver, "rehearse", (SMALL,))


async def test_verifying(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    catalogue = Catalogue()
    add(catalogue, NOW - DAY)
    add(catalogue, NOW - 2 * DAY)
    async with console(tmp_path) as driver:
        await _shown(driver)
        await driver.here().press("asterisk").mark_is(2).press("p").sees("2 would NOT restore.")
        await compare(driver, "done", NARROW)
        await driver.here().leave()
        work = Work("Verify 12 backups", "verifying")
        work.tell(("heading", "20261120T030000Z-mgr2"), ("good", "Would restore: yes, because it is whole."))
        work.progress(3, 12, "20261119T030000Z-mgr2: reading the archive, 40 %")
        driver.app.push_screen(WorkScreen(work, "prod", production=True))
        await driver.here().sees("Safe to leave")
        await compare(driver, "under-way", NARROW)
        await driver.here().press("s").sees("It stops as soon as it can.")
        work.end("1 would restore.")
        await driver.here().sees("Stopped, as you asked.")
        await compare(driver, "stopped", (SMALL,))
