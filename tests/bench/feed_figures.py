"""1,000 nodes, a tick a second, 10 % of them changing: loop gaps, key to repaint, bytes to the terminal, memory."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from textual import events

from swarmtui.cli.console import SWITCH_SECONDS
from swarmtui.ui.app import Console
from tests.bench.gaps import LoopGaps
from tests.feed import Feed, console_on
from tests.ui.terminal import CountingDriver

SIZE = (160, 50)


class Patch:
    """What pytest's monkeypatch would do."""

    def setattr(self, where: Any, name: str, value: Any) -> None:
        setattr(where, name, value)


async def _until(so: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not so():
        if time.monotonic() > end:
            raise TimeoutError(f"it never came so: {so}")
        await asyncio.sleep(0.01)


async def _key_to_repaint(app: Console, key: str) -> float:
    driver = app._driver
    assert isinstance(driver, CountingDriver)
    driver.clear()
    driver.drawn.clear()
    start = time.perf_counter()
    driver.process_message(events.Key(key, None))
    await asyncio.wait_for(driver.drawn.wait(), 2)
    return (time.perf_counter() - start) * 1000


async def feed_figures(nodes: int = 1000, ticks: int = 12) -> dict[str, float]:
    """Runs the console on a synthetic feed; returns the figures by name."""
    sys.setswitchinterval(SWITCH_SECONDS)
    feed = Feed(nodes)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        app = console_on(feed, Patch(), Path(folder))
        app.driver_class = CountingDriver
        async with app.run_test(headless=False, size=SIZE) as pilot:
            await _until(lambda: app.derived is not None and len(app.derived.rows["nodes"]) == nodes)
            await pilot.pause()
            await asyncio.sleep(4)
            driver = app._driver
            assert isinstance(driver, CountingDriver)

            driver.clear()
            polls = feed.polls
            await asyncio.sleep(10)
            found["bytes to the terminal, idle for 10 s (with polls)"] = driver.bytes
            found["polls meanwhile"] = feed.polls - polls

            table = app.main.table("nodes")
            assert table is not None
            table.action_first()
            await asyncio.sleep(1)
            driver.clear()
            feed.change(0)
            feed.hint.set()
            await _until(lambda: driver.bytes > 0)
            await asyncio.sleep(0.5)
            found["bytes for one node that goes down (state, alarms in the header, sign of change)"] = driver.bytes
            await asyncio.sleep(6)
            driver.clear()
            feed.move(1)
            feed.hint.set()
            await _until(lambda: driver.bytes > 0)
            await asyncio.sleep(0.5)
            found["bytes for one changed cell (an address)"] = driver.bytes
            await asyncio.sleep(6)

            gaps: list[float] = []
            computed: list[float] = []
            keys: list[float] = []
            for _ in range(ticks):
                async with LoopGaps() as gap:
                    feed.tick()
                    await asyncio.sleep(0.9)
                gaps.append(gap.longest)
                computed.append(gap.computed)
            for tick in range(ticks):
                feed.tick()
                for _ in range(12):
                    keys.append(await _key_to_repaint(app, "down" if tick % 2 == 0 else "up"))
                    await asyncio.sleep(0.07)
            found["event loop, longest gap of a tick: median, ms"] = statistics.median(gaps)
            found["event loop, longest gap of all ticks, ms"] = max(gaps)
            found["of which the loop itself computed, longest of all ticks, ms"] = max(computed)
            found["key to repaint under churn: median, ms"] = statistics.median(keys)
            found["key to repaint under churn: p95, ms"] = statistics.quantiles(keys, n=20)[18]
            found["resident memory with this many nodes, MiB"] = resident_mib(os.getpid())
    return found


def resident_mib(pid: int) -> float:
    """Resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no VmRSS of {pid}")


def main() -> None:
    figures = asyncio.run(feed_figures())
    for name, value in figures.items():
        print(f"  {value:10.1f}  {name}")


if __name__ == "__main__":
    main()
