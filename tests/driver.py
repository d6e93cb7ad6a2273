"""Drives the console as a person does: presses keys, reads the screen, waits until it shows something.

Every method of a chain adds to it, and awaiting the chain does it all, in order:

    await console.nodes().select("wrk1").press("D").confirm().until_done()

Nothing here sleeps for a fixed time, and nothing looks into the console where the painted screen can tell.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rich.segment import Segment
from textual.pilot import Pilot

from swarmtui.opening import Opening
from swarmtui.ui.app import Console
from swarmtui.ui.screens.asking import AskScreen
from swarmtui.ui.screens.confirm import ConfirmScreen
from swarmtui.ui.screens.logs import LogScreen
from swarmtui.ui.screens.reading import ReadingScreen
from swarmtui.ui.screens.running import RunScreen

WAIT_SECONDS = 15.0
"""How long a chain waits for what it expects, where nothing else is said."""
RUN_SECONDS = 60.0
POLL_SECONDS = 0.02

KEYS = {
    " ": "space",
    "-": "minus",
    "=": "equals_sign",
    ",": "comma",
    "/": "slash",
    ":": "colon",
    "!": "exclamation_mark",
    ";": "semicolon",
}


class Recorded(Console):
    """The console; keeps what it told in passing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.told: list[str] = []

    def notify(self, message: str, **options: Any) -> None:
        self.told.append(message)
        super().notify(message, **options)


@asynccontextmanager
async def driven(
    opening: Opening,
    journal: Path,
    *,
    read_only: bool = False,
    keys: Mapping[str, str] | None = None,
    size: tuple[int, int] = (140, 40),
) -> AsyncIterator[Driver]:
    """A running console and its driver. Fails when the console had an internal error, or a chain was not awaited."""
    app = Recorded(opening, journal=journal, read_only=read_only, keys=keys)
    async with app.run_test(size=size) as pilot:
        driver = Driver(app, pilot)
        yield driver
        assert not driver.forgotten, f"never awaited: {driver.forgotten}"
        internal = [text for text in app.told if text.startswith("Internal error")]
        assert not internal, internal


class Driver:
    """A person at the console. `nodes()` and `here()` begin a chain."""

    def __init__(self, app: Recorded, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot
        self.forgotten: list[Chain] = []

    def here(self) -> Chain:
        """A chain on whatever is on the screen."""
        return Chain(self)

    def nodes(self) -> Chain:
        """A chain on the nodes pane, gone to with its command if another one is shown."""
        return Chain(self).view("nodes")

    # -- what is on the screen -------------------------------------------------------------------------------------

    @property
    def painted(self) -> list[list[Segment]]:
        """The lines of the screen, with their styles."""
        return [list(strip) for strip in self.app.screen._compositor.render_strips()]

    @property
    def lines(self) -> list[str]:
        """The lines of the screen."""
        return ["".join(segment.text for segment in line).rstrip() for line in self.painted]

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.lines)

    @property
    def words(self) -> str:
        """The whole screen as one line with single blanks, so that wrapped sentences can be found."""
        return _squeezed(self.text)

    @property
    def header(self) -> str:
        """The two lines at the top of the main screen."""
        return "\n".join(self.lines[:2])

    @property
    def screen(self) -> str:
        """Which screen is shown: main, confirm, run, reading, ask or logs."""
        shown = self.app.screen
        kinds = {
            ConfirmScreen: "confirm",
            RunScreen: "run",
            ReadingScreen: "reading",
            AskScreen: "ask",
            LogScreen: "logs",
        }
        return next((name for kind, name in kinds.items() if isinstance(shown, kind)), "main")

    def rows(self, name: str) -> list[str]:
        """The painted rows of the nodes pane whose first column is this name."""
        pattern = re.compile(rf"^\s*(?:[^\w\s]\s*)*{re.escape(name)}(?:\s←)?(?:\s|$)")
        return [line for line in self.lines[3:] if pattern.match(line)]

    def row(self, name: str) -> str:
        """The only painted row with this name; "" when there is none or several."""
        found = self.rows(name)
        return found[0] if len(found) == 1 else ""

    # -- waiting ---------------------------------------------------------------------------------------------------

    async def until(self, what: str, condition: Callable[[], Any], seconds: float = WAIT_SECONDS) -> None:
        """Waits until a condition holds; fails with the screen as it is."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not within {seconds:g} s.\nTold: {self.app.told}\n{self.text}")
            await asyncio.sleep(POLL_SECONDS)


class Chain:
    """Things to do one after the other; awaiting it does them."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._todo: list[tuple[str, Callable[[], Awaitable[None]]]] = []

    def __await__(self) -> Generator[Any, None, None]:
        return self._do().__await__()

    def __repr__(self) -> str:
        return " → ".join(name for name, _ in self._todo)

    async def _do(self) -> None:
        todo, self._todo = self._todo, []
        if todo:
            self._driver.forgotten.remove(self)
        for _, do in todo:
            await do()

    def _then(self, name: str, do: Callable[[], Awaitable[None]]) -> Chain:
        if not self._todo:
            self._driver.forgotten.append(self)
        self._todo.append((name, do))
        return self

    def _wait(self, what: str, condition: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Chain:
        return self._then(what, lambda: self._driver.until(what, condition, seconds))

    # -- keys ------------------------------------------------------------------------------------------------------

    def press(self, *keys: str) -> Chain:
        """Presses keys, by Textual's names."""
        return self._then(f"press {' '.join(keys)}", lambda: self._driver.pilot.press(*keys))

    def type(self, text: str) -> Chain:
        """Types a text."""
        return self.press(*(KEYS.get(char, char) for char in text))

    def view(self, name: str) -> Chain:
        """Goes to a view by its command, unless it is shown."""

        async def go() -> None:
            driver = self._driver
            await driver.until("the main screen", lambda: driver.screen == "main")
            if driver.app.main.current != name:
                await driver.pilot.press("colon", *name, "enter")
                await driver.until(f"the view {name}", lambda: driver.app.main.current == name)

        return self._then(f"view {name}", go)

    def select(self, name: str) -> Chain:
        """Moves the cursor to the row of this name, with the arrow keys; the table may move meanwhile."""

        async def move() -> None:
            driver = self._driver
            await driver.until(f"row {name}", lambda: driver.row(name))
            table = driver.app.main.table()
            assert table is not None
            for _ in range(3 * len(table.rows) + 3):
                names = [table.rows[key][0].text.removesuffix(" ←") for key in table.visible_keys]
                at = names.index(name)
                cursor = list(table.visible_keys).index(table.cursor_key or "")
                if at == cursor:
                    return
                await driver.pilot.press("down" if at > cursor else "up")
            raise AssertionError(f"the cursor never got to {name}\n{driver.text}")

        return self._then(f"select {name}", move)

    def cursor_on(self, name: str) -> Chain:
        """Waits until the cursor is on the row of this name."""

        def there() -> bool:
            table = self._driver.app.main.table()
            row = table.cursor_row if table is not None else None
            return row is not None and row[0].text.removesuffix(" ←") == name

        return self._wait(f"the cursor on {name}", there)

    def title(self, *words: str) -> Chain:
        """Waits until the title of the pane (the first, where several are shown) has these words."""
        return self._wait(f"the title says {words}", lambda: all(word in self._driver.lines[2] for word in words))

    def mark(self, *names: str) -> Chain:
        """Marks nodes with the space bar."""
        for name in names:
            self.select(name).press("space")
        return self.mark_is(len(names))

    def mark_is(self, count: int) -> Chain:
        """Waits until the title says that so many nodes are marked; nothing for 0."""

        def told() -> bool:
            found = re.search(r"(\d+) marked", self._driver.lines[2])
            return (int(found[1]) if found else 0) == count

        return self._wait(f"{count} marked", told)

    # -- reading ---------------------------------------------------------------------------------------------------

    def contains(self, *names: str) -> Chain:
        """Waits until the nodes pane has these nodes."""
        return self._wait(f"nodes {', '.join(names)}", lambda: all(self._driver.row(name) for name in names))

    def lacks(self, *names: str) -> Chain:
        """Waits until the nodes pane has none of these nodes."""
        return self._wait(f"no {', '.join(names)}", lambda: not any(self._driver.rows(name) for name in names))

    def shows(self, name: str, *words: str, within: float = WAIT_SECONDS) -> Chain:
        """Waits until the row of a node has these words."""
        what = f"{name} shows {' '.join(words)}"
        return self._wait(what, lambda: all(word in self._driver.row(name).split() for word in words), within)

    def live(self, within: float = WAIT_SECONDS) -> Chain:
        """Waits until the header says that what is shown is live."""
        return self._wait("live", lambda: re.search(r"\blive\b", self._driver.lines[0]), within)

    def header(self, *words: str, within: float = WAIT_SECONDS) -> Chain:
        """Waits until the header has these words."""
        what = f"the header says {words}"
        return self._wait(what, lambda: all(word in self._driver.header for word in words), within)

    def sees(self, *words: str, within: float = WAIT_SECONDS) -> Chain:
        """Waits until these words are on the screen, wherever lines are broken."""
        what = f"the screen says {words}"
        return self._wait(what, lambda: all(_squeezed(word) in self._driver.words for word in words), within)

    def told(self, *words: str, within: float = WAIT_SECONDS) -> Chain:
        """Waits until a passing message had all these words."""
        told = self._driver.app.told
        return self._wait(f"told {words}", lambda: any(all(word in text for word in words) for text in told), within)

    def at(self, screen: str, within: float = WAIT_SECONDS) -> Chain:
        """Waits until that screen is shown: main, confirm, run, reading, ask or logs."""
        return self._wait(f"the {screen} screen", lambda: self._driver.screen == screen, within)

    # -- dialogs ---------------------------------------------------------------------------------------------------

    def dialog(self, *words: str) -> Chain:
        """Waits for a plan to confirm, with these words in it."""
        return self.at("confirm").sees(*words)

    def confirm(self, word: str = "") -> Chain:
        """Confirms the plan on the screen: with `y`, or by typing the word; it must ask for just that."""
        self.at("confirm")
        if not word:
            return self.sees("Run this? y runs it").press("y")
        return self.sees(f'Type "{word}" and press enter').type(word).press("enter")

    def leave(self) -> Chain:
        """Leaves a dialog or a screen with esc, back to the main screen."""
        return self.press("escape").at("main")

    def answer(self, text: str) -> Chain:
        """Answers the question on the screen."""
        return self.at("ask").type(text).press("enter")

    # -- runs ------------------------------------------------------------------------------------------------------

    def until_done(self, within: float = RUN_SECONDS) -> Chain:
        """Waits until the run on the screen is done and verified, and leaves its screen."""
        return self.at("run").sees("Done and verified.", within=within).leave()

    def until_failed(self, *words: str, within: float = RUN_SECONDS) -> Chain:
        """Waits until a step failed and the run asks what to do, with these words."""
        return self.at("run").sees("r retry", "s stop here", *words, within=within)


def _squeezed(text: str) -> str:
    return " ".join(text.split())
