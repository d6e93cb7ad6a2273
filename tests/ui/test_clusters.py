"""The start page: several simulated clusters side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarmtui.ui.fleet import Seen
from swarmtui.ui.keys import check_keys
from swarmtui.ui.screens.asking import AskScreen
from tests.driver import Driver, Recorded
from tests.ui.clusters import left, line, reads, shown, silent, site


async def test_all_clusters_are_shown_at_once_and_none_waits_for_a_slow_one(tmp_path: Path) -> None:
    async with site(tmp_path, prod="calm", stage="manager-down") as here, silent() as nobody:
        here.name("silent", managers=[nobody])
        here.name("off", managers=["ssh://root@127.0.0.1:1"])
        async with shown(here.fleet()) as page:
            assert [line(page, name).split()[:1] for name in ("prod", "stage", "silent", "off")] == [
                ["prod"],
                ["stage"],
                ["silent"],
                ["off"],
            ]
            await reads(page, "prod", "1 PROD live survives 1 3/3 8/8 none live root@mgr1 -")
            await reads(page, "stage", "2 live survives 0 2/3 7/8 ! ")
            await reads(page, "off", "NOT CONNECTED", "refuses connections")
            assert "connecting - - - - - - -" in line(page, "silent")
            assert "4 clusters 2 live ! " in " ".join(page.lines[0].split())


async def test_a_page_on_which_nothing_changed_is_not_painted(tmp_path: Path) -> None:
    async with site(tmp_path, prod="calm") as here, shown(here.fleet()) as page:
        await reads(page, "prod", "live survives 1")
        screen: Any = page.app.screen
        before = screen.table.rows["prod"]
        painted: list[Any] = []
        screen._head.update = screen._more.update = painted.append
        screen.show()
        assert screen.table.rows["prod"] is before and painted == []


async def test_quorum_that_is_lost_is_told(tmp_path: Path) -> None:
    async with site(tmp_path, prod="calm", stage="calm") as here, shown(here.fleet()) as page:
        await reads(page, "prod", "live survives 1 3/3")
        world = here.demos["prod"].world
        for name in ("mgr2", "mgr3"):
            world.crash(world.hosts[name])
        await reads(page, "prod", "LOST")
        await reads(page, "stage", "live survives 1 3/3")


async def test_data_of_a_cluster_that_went_stays_with_its_age(tmp_path: Path) -> None:
    async with site(tmp_path, prod="calm") as here, shown(here.fleet()) as page:
        await reads(page, "prod", "live survives 1 3/3 8/8 none live")
        for host in here.demos["prod"].world.hosts.values():
            here.demos["prod"].world.crash(host)
        await reads(page, "prod", "NOT CONNECTED survives 1 3/3 8/8", "s old")


async def test_nobody_is_asked_on_the_page_and_the_console_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site(tmp_path, prod="calm") as here:
        mgr1 = here.demos["prod"].hosts[0]["ssh"]
        known = tmp_path / "known"
        here.name("new", managers=[mgr1], known_hosts=str(known))
        fleet = here.fleet()
        async with shown(fleet) as page:
            await reads(page, "new", "needs you: enter", "host key", "is not known yet")
            await reads(page, "prod", "live")
            assert not isinstance(page.app.screen, AskScreen) and not known.exists()
            assert "1 needs you" in page.lines[0]
            # It is not asked again by itself: there is no session left that could.
            assert fleet["new"].session is None
            first = fleet["new"].person
            await page.here().press("down", "ctrl+r")
            await page.until(
                "it is tried again", lambda: fleet["new"].person is not first and fleet["new"].needs_person
            )
            await page.here().press("enter")
            await left(page)
        assert page.app.return_value == "new" and not known.exists()
        app = Recorded(await fleet.opening("new"), journal=tmp_path / "journal", session=page.app.session)
        async with app.run_test(size=(140, 40)) as pilot:
            console = Driver(app, pilot)
            await console.here().at("ask").sees("SHA256:", "is not known")


async def test_a_host_that_refuses_our_keys_is_knocked_at_once_and_not_again(tmp_path: Path) -> None:
    async with site(tmp_path, prod="calm") as here:
        demo = here.demos["prod"]
        plain = tmp_path / "ssh_config"
        plain.write_text(f"Host *\n  UserKnownHostsFile {demo.folder / 'known_hosts'}\n  IdentitiesOnly yes\n")
        here.name("foreign", managers=[demo.hosts[0]["ssh"]], ssh_config=str(plain))
        fleet = here.fleet()
        async with shown(fleet) as page:
            await reads(page, "foreign", "REFUSED", "does not let root in")
            assert fleet["foreign"].session is None and not fleet["foreign"].needs_person
            await reads(page, "prod", "live")


async def test_a_manager_that_wants_a_person_does_not_hide_another_that_needs_none(tmp_path: Path) -> None:
    async with site(tmp_path, prod="calm") as here:
        demo = here.demos["prod"]
        here.name(
            "mixed", managers=[demo.hosts[0]["ssh"], demo.hosts[1]["docker"]], known_hosts=str(tmp_path / "known")
        )
        fleet = here.fleet()
        async with shown(fleet) as page:
            await reads(page, "mixed", "live survives 1")
            assert not fleet["mixed"].person.asked and "need" not in page.lines[0]


async def test_a_configuration_that_cannot_be_meant_is_told_and_not_opened(tmp_path: Path) -> None:
    async with site(tmp_path, prod="calm") as here:
        here.name("typo", context="nosuch")
        async with shown(here.fleet(), at="typo") as page:
            await reads(page, "typo", "misconfigured", 'no docker context "nosuch"')
            await page.here().press("enter").told('no docker context "nosuch"', "docker context ls")
            assert not page.app._exit
            await reads(page, "prod", "live")


async def test_two_names_of_one_swarm_are_told(tmp_path: Path) -> None:
    async with site(tmp_path, prod="calm") as here:
        demo = here.demos["prod"]
        here.name("again", managers=[demo.hosts[1]["docker"]])
        async with shown(here.fleet()) as page:
            await reads(page, "again", "live", "The very same Swarm as prod.")
            assert "very same" not in line(page, "prod")


async def test_everything_known_is_described(tmp_path: Path) -> None:
    async with site(tmp_path, stage="manager-down") as here, shown(here.fleet()) as page:
        await reads(page, "stage", "live", "! ")
        await page.here().press("d").sees("live through root@mgr1", "2/3 managers, survives no loss", "cannot reach")
        await page.here().press("escape").press("question_mark").sees("enter 1-9", "One row up").press("escape")
        assert line(page, "stage")


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_what_matters_most_fits_every_screen(tmp_path: Path, size: tuple[int, int]) -> None:
    async with site(tmp_path, prod="calm", stage="manager-down") as here:
        here.name("eu-west-production-2", context="nosuch")
        async with shown(here.fleet(), size=size) as page:
            await reads(page, "prod", "1 PROD live survives 1 3/3 8/8 none live")
            await reads(page, "stage", "2 live survives 0 2/3 7/8 !")
            long = next(each for each in page.lines if each.split()[:1] and each.split()[0].startswith("eu-w"))
            assert "3" in long.split() and "misconfigured" in long
            assert len(page.lines[-1]) <= size[0] and "q Quit" in page.lines[-1]


async def test_an_error_nobody_expected_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> Seen:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(Seen, "of", fail)
    async with site(tmp_path, prod="calm") as here, shown(here.fleet()) as page:
        await page.here().told("Internal error: ZeroDivisionError: planted")
        page.app.told.clear()


async def test_keys_can_be_remapped(tmp_path: Path) -> None:
    keys = {"clusters.quit": "x"}
    check_keys(keys, tmp_path / "config.toml")
    async with site(tmp_path, prod="calm") as here, shown(here.fleet(), keys=keys) as page:
        await page.here().press("question_mark").at("reading").sees("x Leave").press("escape")
        await page.here().press("q")
        assert not page.app._exit
        await page.here().press("x")
        await left(page)
        assert page.app.return_value is None
