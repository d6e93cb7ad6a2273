"""A tiny app around one table, and the table's figures.

`python -m tests.ui.table_app` prints the figures; `--demo` opens the app in this terminal.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from typing import Any

from rich.color import ColorSystem
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from swarmtui.ui.table import Cell, Column, Row, Rows, Table, natural
from tests.ui.terminal import CountingDriver

SIZE = (160, 50)
COLUMNS = (
    Column("name", "NAME"),
    Column("status", "STATUS", priority=9),
    Column("availability", "AVAILABILITY", priority=8),
    Column("role", "ROLE", priority=7),
    Column("tasks", "TASKS", align="right", priority=6),
    Column("zone", "ZONE", priority=2),
    Column("engine", "ENGINE", wide=True),
    Column("address", "ADDRESS", wide=True),
    Column("labels", "LABELS", flex=1, min_width=8, priority=1),
)
SMALL = (Column("name", "NAME"), Column("state", "STATE"))


class TableApp(App[None]):
    """One table that fills the screen. Messages of the table are kept in `seen`."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, table: Table | None = None) -> None:
        super().__init__(driver_class=CountingDriver if "--demo" not in sys.argv else None)
        # The longest sequences, whatever terminal the tests run in: so bytes can be compared.
        self.console._color_system = ColorSystem.TRUECOLOR
        self.table = table or Table(COLUMNS)
        self.seen: list[Any] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self.table.focus()

    def on_table_highlighted(self, message: Table.Highlighted) -> None:
        self.seen.append(message)

    def on_table_selected(self, message: Table.Selected) -> None:
        self.seen.append(message)

    def on_table_marked(self, message: Table.Marked) -> None:
        self.seen.append(message)

    @property
    def output(self) -> CountingDriver:
        """What the terminal got."""
        assert isinstance(self._driver, CountingDriver)
        return self._driver


def make_row(number: int, **changes: str) -> Row:
    """A row that looks like a node's."""
    down = number % 17 == 3
    fields = {
        "name": f"node-{number}.example",
        "status": "Down" if down else "Ready",
        "availability": ("Active", "Active", "Drain", "Pause")[number % 4],
        "role": ("worker", "Reachable", "worker", "Leader")[number % 4] if number < 5 else "worker",
        "tasks": str(number * 7 % 101),
        "zone": f"zone-{'abc'[number % 3]}",
        "engine": ("20.10.24", "26.1.5")[number % 2],
        "address": f"10.{number >> 8}.{number & 255}.7",
        "labels": f"disk=ssd rack={number % 40}",
        **changes,
    }
    styles = {
        "status": "bad" if fields["status"] == "Down" else "good",
        "availability": "" if fields["availability"] == "Active" else "warn",
        "role": "accent" if fields["role"] != "worker" else "",
        "labels": "dim",
    }
    sort: dict[str, Any] = {"name": natural(fields["name"]), "tasks": int(fields["tasks"])}
    return tuple(Cell(fields[c.key], styles.get(c.key, ""), sort.get(c.key)) for c in COLUMNS)


def make_rows(count: int) -> dict[str, Row]:
    """Rows by id, in random but repeatable order."""
    numbers = list(range(count))
    random.Random(7).shuffle(numbers)
    return {f"id{number}": make_row(number) for number in numbers}


async def settle(pilot: Pilot[None]) -> None:
    """Waits until what was asked for is painted."""
    await pilot.pause()
    await asyncio.sleep(0.05)
    await pilot.pause()


def row(name: str, state: str = "Ready", sort: Any = None) -> Row:
    """A row of a table with the columns SMALL."""
    return (Cell(name, "", sort), Cell(state))


def rows_of(*names: str) -> dict[str, Row]:
    return {name: row(name) for name in names}


@asynccontextmanager
async def opened(table: Table, size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[TableApp, Pilot[None]]]:
    """An app around a table that was painted once."""
    app = TableApp(table)
    async with app.run_test(headless=False, size=size) as pilot:
        await settle(pilot)
        yield app, pilot


def screen(app: TableApp) -> list[str]:
    """What the terminal shows, line by line."""
    return [app.output.screen.line(y, app.size.width) for y in range(app.size.height)]


class Gaps:
    """Measures the longest time, in ms, in which the event loop did not get round.

    Keeps the loop busy meanwhile. With `time.thread_time` as the clock it is what the loop itself computed, however
    busy the machine is with something else; with `time.perf_counter` it is what a person would wait.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.longest = 0.0
        self._clock = clock

    async def __aenter__(self) -> Gaps:
        gc.collect()
        self._task = asyncio.create_task(self._watch())
        await asyncio.sleep(0.01)
        self.longest = 0.0
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _watch(self) -> None:
        last = self._clock()
        while True:
            await asyncio.sleep(0)  # round and round, so that every callback of the loop lies between two readings
            now = self._clock()
            self.longest = max(self.longest, (now - last) * 1000)
            last = now


async def longest_gap(act: Callable[[], object]) -> float:
    """Returns the longest time in ms that the loop computed at a stretch, from the call until its effect is painted."""
    async with Gaps(time.thread_time) as gaps:
        act()
        await asyncio.sleep(0.15)
    return gaps.longest


async def bytes_of(app: TableApp, pilot: Pilot[None], act: Callable[[], object]) -> int:
    """Returns the bytes that go to the terminal for what the call does."""
    app.output.clear()
    act()
    await settle(pilot)
    return app.output.bytes


async def repaint_ms(app: TableApp, key: str) -> float:
    """Returns the time in ms from a key that comes in from the terminal to the first byte that goes out."""
    app.output.clear()
    app.output.drawn.clear()
    start = time.perf_counter()
    app.output.process_message(events.Key(key, None))
    await asyncio.wait_for(app.output.drawn.wait(), 2)
    return (time.perf_counter() - start) * 1000


def matches(_: str, row: Row) -> bool:
    """A filter that looks at every cell, as a typed filter does."""
    return any("7" in cell.text for cell in row)


async def loop_figures(count: int) -> dict[str, float]:
    """Runs every big change once and returns the longest loop gap of each in ms."""
    rng = random.Random(1)
    rows = make_rows(count)
    changed, renamed = dict(rows), dict(rows)
    for key in rng.sample(list(rows), count // 10):
        changed[key] = make_row(int(key[2:]), labels=f"changed {rng.random()}")
        renamed[key] = make_row(int(key[2:]), name=f"new-{rng.randint(0, 99999)}")
    fewer = {key: row for key, row in rows.items() if rng.random() > 0.01}
    equal = {key: tuple(map(copy, row)) for key, row in rows.items()}
    table = Table(COLUMNS)
    app = TableApp(table)
    cases: tuple[tuple[str, Callable[[], object], Callable[[], object]], ...] = (
        ("populate, sorted by name", lambda: None, lambda: table.set_rows(rows)),
        ("change 10 % of the rows", lambda: None, lambda: table.set_rows(changed)),
        ("no change", lambda: None, lambda: table.set_rows(dict(changed))),
        ("equal rows, other objects", lambda: table.set_rows(rows), lambda: table.set_rows(equal)),
        ("change 10 % of the sort keys", lambda: table.set_rows(rows), lambda: table.set_rows(renamed)),
        ("remove 1 %", lambda: table.set_rows(rows), lambda: table.set_rows(fewer)),
        ("replace all", lambda: table.set_rows({}), lambda: table.set_rows(rows)),
        ("sort by number", lambda: None, lambda: table.set_sort("tasks")),
        ("sort by text, at once, nothing prepared", natural.cache_clear, lambda: table.set_sort("labels")),
        ("sort by unique text, on request", natural.cache_clear, lambda: table.request_sort("address")),
        ("reverse", lambda: table.set_sort("name"), lambda: table.set_sort("name", True)),
        ("filter by any cell, at once", lambda: None, lambda: table.set_filter(matches)),
        ("filter by any cell, on request", lambda: table.set_filter(None), lambda: table.request_filter(matches)),
    )
    found = {}
    async with app.run_test(headless=False, size=SIZE) as pilot:
        table.set_sort("name")
        for name, prepare, act in cases:
            prepare()
            await settle(pilot)
            found[f"{name}: longest stall, ms"] = await longest_gap(act)
    return found


async def byte_figures(count: int) -> dict[str, float]:
    """Counts what goes to the terminal for a changed cell, a key and nothing; times a key."""
    table = Table(COLUMNS)
    app = TableApp(table)
    async with app.run_test(headless=False, size=SIZE) as pilot:
        table.set_sort("name")
        table.set_rows(make_rows(count))
        table.move_to(table.visible_keys[count // 2])
        await settle(pilot)
        shown = str(table.cursor_key)
        number, off_screen = int(shown[2:]), table.visible_keys[5]
        changes: dict[str, Rows] = {
            "same value": {shown: make_row(number)},
            "one off-screen cell": {off_screen: make_row(int(off_screen[2:]), labels="x")},
            "one visible cell": {shown: make_row(number, zone="zone-x")},
        }
        found: dict[str, float] = {"idle: bytes": await bytes_of(app, pilot, lambda: None)}
        for name, rows in changes.items():
            found[f"{name}: bytes"] = await bytes_of(app, pilot, partial(table.apply, {}, rows, ()))
        app.output.clear()
        await asyncio.sleep(table.FLASH_SECONDS + 0.2)
        found["its sign goes away: bytes"] = app.output.bytes
        app.output.clear()
        await asyncio.sleep(0.5)
        found["idle afterwards: bytes"] = app.output.bytes
        found["cursor one up: bytes"] = await bytes_of(app, pilot, lambda: table.action_move(-1))
        found["key to repaint: ms"] = await repaint_ms(app, "up")
        table.action_page(-1)
        await settle(pilot)
        found["key that scrolls to repaint: ms"] = await repaint_ms(app, "pageup")
        await settle(pilot)
        found["key that scrolls: bytes"] = app.output.bytes
    return found


def main() -> None:
    """Prints every figure as median and maximum, or opens the app."""
    if "--demo" in sys.argv:
        table = Table(COLUMNS)
        table.set_sort("name")
        table.set_rows(make_rows(200))
        TableApp(table).run()
        return
    repeat = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    runs: dict[str, list[float]] = {}
    for _ in range(repeat):
        for figures in (loop_figures, byte_figures):
            for name, value in asyncio.run(figures(10_000)).items():
                runs.setdefault(name, []).append(value)
    print(f"{'':62} {'best':>8} {'median':>8} {'worst':>8}   ({repeat} runs)")
    for name, values in runs.items():
        print(f"{name:62} {min(values):8.1f} {statistics.median(values):8.1f} {max(values):8.1f}")


if __name__ == "__main__":
    main()
