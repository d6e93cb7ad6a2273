"""The driver itself: what it must catch, it catches. No cluster is needed for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.config import load
from swarmtui.opening import Opening, find
from tests.driver import driven


@pytest.fixture
def nowhere(tmp_path: Path) -> Opening:
    return find("ssh://root@127.0.0.1:1", load(), bundles=tmp_path)


async def test_a_wait_that_is_in_vain_fails_and_shows_the_screen(nowhere: Opening, tmp_path: Path) -> None:
    async with driven(nowhere, tmp_path) as driver:
        await driver.here().header("ssh://root@127.0.0.1:1")
        with pytest.raises(AssertionError, match=r"(?s)node mgr1: not within.*127\.0\.0\.1"):
            await driver.until("node mgr1", lambda: driver.row("mgr1"), 0.2)
        with pytest.raises(AssertionError, match="the confirm screen"):
            await driver.here().at("confirm", within=0.2)


async def test_a_chain_that_nobody_awaited_fails(nowhere: Opening, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="never awaited"):
        async with driven(nowhere, tmp_path) as driver:
            driver.here().press("q")


async def test_an_internal_error_fails_although_the_console_goes_on(nowhere: Opening, tmp_path: Path) -> None:
    async def broken() -> None:
        raise ZeroDivisionError("planted")

    with pytest.raises(AssertionError, match="ZeroDivisionError: planted"):
        async with driven(nowhere, tmp_path) as driver:
            driver.app.run_worker(broken(), exit_on_error=False)
            await driver.here().told("Internal error")
