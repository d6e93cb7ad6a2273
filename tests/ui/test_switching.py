"""From one cluster to another: one console at a time, each with its own cluster only."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

from swarmtui.cli.console import _consoles
from swarmtui.config import state_dir
from swarmtui.opening import find
from swarmtui.session import Session
from swarmtui.ui import app as console_module
from swarmtui.ui import staying
from swarmtui.ui.app import TO_CLUSTERS
from swarmtui.ui.screens import clusters as page_module
from tests.actions.cli import Cli, Result
from tests.driver import Driver, Recorded
from tests.ui.clusters import Page, Site, left, line, reads, shown, silent, site

Script = Callable[[Driver], Awaitable[None]]


async def test_a_cluster_is_opened_with_its_live_connection_and_the_others_are_let_go(tmp_path: Path) -> None:
    async with site(tmp_path, prod="calm", stage="calm") as here:
        async with shown(here.fleet()) as page:
            await reads(page, "prod", "live survives")
            await reads(page, "stage", "live survives")
            await page.here().press("2")
            await left(page)
            session = page.app.session
            assert page.app.return_value == "stage" and isinstance(session, Session)
            assert session.name == "stage" and session.live and session.snapshot.nodes
            await page.until("prod is let go", lambda: here.connections("prod") == 0)
            assert here.connections("stage") == 1
        await session.close()


async def test_leaving_ends_every_connection_also_of_a_host_that_hangs(tmp_path: Path) -> None:
    async with site(tmp_path, prod="calm") as here, silent() as nobody:
        here.name("silent", managers=[nobody])
        async with shown(here.fleet()) as page:
            await reads(page, "prod", "live")
            await page.here().press("q")
            await left(page)
            assert page.app.return_value is None
            await page.until("prod is let go", lambda: here.connections("prod") == 0)


async def test_another_swarm_under_the_same_name_is_refused(tmp_path: Path) -> None:
    """What was shown under a name is what is opened under it: somebody may have moved the address meanwhile."""
    async with site(tmp_path, prod="calm", stage="calm") as here:
        link = tmp_path / "docker.sock"
        sockets = {name: demo.hosts[0]["docker"].removeprefix("unix://") for name, demo in here.demos.items()}
        link.symlink_to(sockets["prod"])
        here.text = ""
        here.name("moved", managers=[f"unix://{link}"])
        fleet = here.fleet()
        async with shown(fleet) as page:
            await reads(page, "moved", "live survives 1")
        swarm = fleet["moved"].seen.snapshot.cluster_id  # type: ignore[union-attr]
        link.unlink()
        link.symlink_to(sockets["stage"])
        async with shown(fleet) as page:
            await reads(page, "moved", "NOT CONNECTED", "survives 1", " old")
            await page.here().sees("belongs to another Swarm")
            await page.here().press("enter")
            await left(page)
        assert page.app.session is not None and page.app.session.snapshot.cluster_id == swarm


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Awaitable[int]]:
    """Runs what `swarmtui` runs, without a terminal: each app that it shows is driven by the next script."""

    async def run(here: Site, *scripts: Script, target: str | None = None, read_only: bool = False) -> int:
        waiting = list(scripts)

        async def run_async(self: Any) -> Any:
            async with self.run_test(size=(140, 40)) as pilot:
                driver = Driver(self, pilot)
                await waiting.pop(0)(driver)
                await left(driver)
                assert not driver.forgotten
            return self.return_value

        monkeypatch.setattr(App, "run_async", run_async)
        monkeypatch.setattr(console_module, "Console", Recorded)
        monkeypatch.setattr(page_module, "ClustersApp", Page)
        known = here.config
        opening = find(target, known, bundles=tmp_path / "bundle") if target else None
        code = await _consoles(
            opening, known, tmp_path, journal=state_dir() / "journal", make=None, read_only=read_only
        )
        assert not waiting
        return code

    return run


async def test_switching_takes_one_key_and_what_is_done_is_done_to_the_cluster_shown(
    tmp_path: Path, play: Callable[..., Awaitable[int]]
) -> None:
    async with site(tmp_path, prod="calm", stage="calm") as here:

        async def choose_prod(page: Driver) -> None:
            await reads(page, "prod", "live survives")
            await reads(page, "stage", "live survives")
            await page.here().press("enter")

        async def in_prod(console: Driver) -> None:
            await console.nodes().live().header("PRODUCTION", "prod").contains("mgr1", "wrk1")
            assert console.app.main.header.has_class("production")
            # A mark and a dialog are left behind, and go nowhere.
            await console.nodes().mark("wrk2", "wrk3").press("S").dialog("PRODUCTION On prod", "Pause wrk2, wrk3")
            await console.here().leave()
            await console.nodes().press("ctrl+o")

        async def choose_stage(page: Driver) -> None:
            # The data of before is there from the first moment, and prod was never let go.
            assert "prod 1 PROD live survives 1" in line(page, "prod")
            assert page.app.screen.table.cursor_key == "prod"  # type: ignore[attr-defined]
            await page.here().press("2")

        async def in_stage(console: Driver) -> None:
            await console.nodes().live().header("stage").contains("mgr1", "wrk1")
            assert "PRODUCTION" not in console.header and not console.app.main.header.has_class("production")
            await console.nodes().mark_is(0).select("wrk1").press("D").dialog("wrk1").confirm().until_done()
            await console.nodes().shows("wrk1", "drain").press("colon").type("clusters").press("enter")

        async def back(page: Driver) -> None:
            await page.here().press("q")

        assert await play(here, choose_prod, in_prod, choose_stage, in_stage, back) == 0
        assert here.availability("stage", "wrk1") == "drain"
        assert {here.availability("prod", f"wrk{n}") for n in range(1, 6)} == {"active"}
        assert {here.availability("stage", f"wrk{n}") for n in range(2, 6)} == {"active"}


async def test_an_operation_under_way_keeps_its_cluster_on_the_screen(
    tmp_path: Path, play: Callable[..., Awaitable[int]]
) -> None:
    # Slow, so that the drain is under way for all that is looked at meanwhile, however busy the machine is.
    async with site(tmp_path, speed=0.4, prod="calm", stage="calm") as here:

        async def drain(console: Driver) -> None:
            await console.nodes().live().select("wrk1").press("D").confirm().at("run")
            await console.here().sees("PRODUCTION Drain wrk1 on prod").press("escape").at("main")
            await console.here().header("Drain wrk1").press("ctrl+o").told("Drain wrk1 is under way on prod")
            await console.here().press("colon").type("clusters").press("enter").at("main").header("prod", "Drain wrk1")
            assert not console.app._exit
            await console.here().told("Drain wrk1", "done and verified", within=150)
            await console.here().press("ctrl+o")

        async def leave(page: Driver) -> None:
            assert line(page, "prod").startswith("prod 1 PROD live")
            await page.here().press("q")

        assert await play(here, drain, leave, target="prod") == 0


async def test_a_plan_that_is_being_made_does_not_vanish_behind_the_page(tmp_path: Path) -> None:
    over = asyncio.Event()

    class Slow(Recorded):
        async def _confirmed(self, prepare: Callable[[], Any]) -> Any:
            await over.wait()
            return await super()._confirmed(prepare)

    async with site(tmp_path, prod="calm") as here:
        opening = find("prod", here.config, bundles=tmp_path / "bundle")
        app = Slow(opening, journal=tmp_path / "journal", clusters=True)
        async with app.run_test(size=(140, 40)) as pilot:
            console = Driver(app, pilot)
            await console.nodes().live().select("wrk1").press("D", "ctrl+o").told("is being planned on prod")
            over.set()
            await console.here().dialog("wrk1").leave()
            await console.here().press("ctrl+o")
            await left(console)
            assert app.return_value == TO_CLUSTERS and app.session is not None and app.session.live
        await app.session.close()


async def test_a_cluster_without_a_name_has_its_place_too(tmp_path: Path, play: Callable[..., Awaitable[int]]) -> None:
    async with site(tmp_path, prod="calm", other="calm") as here:
        target = here.demos["other"].hosts[0]["docker"]
        here.text = here.text.partition("[clusters.other]")[0]

        async def look(console: Driver) -> None:
            await console.nodes().contains("mgr1").press("ctrl+o")

        async def return_to_it(page: Driver) -> None:
            await reads(page, "prod", "live survives")
            assert page.app.screen.table.cursor_key == target  # type: ignore[attr-defined]
            await page.until("it is live", lambda: page.lines[0].split()[3:5] == ["2", "live"])
            await page.here().press("enter")

        async def leave(console: Driver) -> None:
            await console.nodes().contains("mgr1").header("read-only").press("q")

        assert await play(here, look, return_to_it, leave, target=target, read_only=True) == 0


async def test_without_names_there_is_no_page_to_go_to(tmp_path: Path) -> None:
    async with site(tmp_path, prod="calm") as here:
        opening = find("prod", here.config, bundles=tmp_path / "bundle")
        app = Recorded(opening, journal=tmp_path / "journal", clusters=False)
        async with app.run_test(size=(140, 40)) as pilot:
            console = Driver(app, pilot)
            await console.nodes().live().press("ctrl+o").told("No cluster has a name", "swarmtui clusters add")
            assert app.return_value != TO_CLUSTERS


async def test_in_a_real_terminal_the_page_opens_a_console_and_comes_back(tmp_path: Path) -> None:
    async with site(tmp_path, prod="calm") as here:
        file = here.config.path
        cli = Cli({**os.environ, "TERM": "xterm-256color"})

        def go() -> Result:
            with cli.at_terminal("--config", str(file)) as process:
                process.until("survives 1")
                process.type("1")
                process.until("leader mgr1")
                begin = len(process.text)
                process.type("\x0f")
                while "KEY PROD STATE" not in process.text[begin:]:
                    process.more()
                # Nobody saw the shell in between: the other screen was entered once, and not left yet.
                assert process.text.count("\x1b[?1049h") == 1 and "\x1b[?1049l" not in process.text
                process.type("q")
                return process.end()

        done = await asyncio.to_thread(go)
        assert done.code == 0
        assert done.out.count("\x1b[?1049l") == 1 and done.out.rindex("\x1b[?1049l") < done.out.rindex("\x1b[?25h")


def test_a_console_that_does_not_come_leaves_no_terminal_behind(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(staying.Between, "there", True)
    staying.leave()
    staying.leave()
    assert capfd.readouterr().err == "\x1b[?1049l\x1b[?25h"
