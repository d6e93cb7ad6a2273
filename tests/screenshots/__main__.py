"""Draws screenshots/*.svg from the simulated cluster: `make screenshots`; or only those of some scenarios:
`python -m tests.screenshots quorum-lost …`."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from swarmtui import config
from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.imports import import_file
from swarmtui.demo.serve import Demo
from swarmtui.opening import find
from swarmtui.ui.screens.confirm import ConfirmScreen
from tests.driver import KEYS, Driver, driven

FOLDER = Path(__file__).resolve().parents[2] / "screenshots"
WAIT_SECONDS = 15.0
"""For what takes its time: a run, a look at every manager."""
NARROW, MIDDLE, WIDE = (80, 24), (140, 40), (160, 48)
RUN_SECONDS = 120.0
Shots = tuple[str, tuple[int, int], dict[str, list[str]]]
"""A scenario, a size, and the pictures to draw: name → keys before it."""
BEGINS = ("mgr1 ", "cannot be read", "Nobody answers")
"""One of these is on the screen when it was looked at the cluster."""
SPECIAL = ("wait", "word", "hold", "done")
"""No keys: wait a while · type the word that a plan asks for · hold the run as soon as it begins · wait for its end."""


async def _draw(scenario: str, size: tuple[int, int], shots: dict[str, list[str]]) -> None:
    """Opens a console on a scenario; for each shot presses its keys, waits until all is painted, and draws."""
    with tempfile.TemporaryDirectory() as folder:
        async with Demo(scenario, speed=20, seed=1) as demo:
            known = config.load(demo.config)
            catalogue = Catalogue(config.backups_dir(known.backups_of("simulated")))
            for backup in demo.backups:
                await asyncio.to_thread(import_file, catalogue, backup, cluster="simulated")
            opening = find("simulated", known, bundles=Path(folder) / "bundle")
            async with driven(opening, Path(folder) / "journal", size=size) as console:
                await console.until("what it begins with", lambda: any(word in console.words for word in BEGINS))
                await _settled(console)
                for name, keys in shots.items():
                    for key in keys:
                        if key in SPECIAL:
                            await _special(console, key)
                        else:
                            await console.pilot.press(key)
                        await _settled(console)
                    (FOLDER / f"{name}.svg").write_text(console.app.export_screenshot(title="swarmtui"), "utf-8")
                    print(f"screenshots/{name}.svg")


async def _special(console: Driver, what: str) -> None:
    match what:
        case "wait":
            await asyncio.sleep(WAIT_SECONDS)
        case "word":
            await console.until("a plan", lambda: console.screen == "confirm")
            screen = console.app.screen
            assert isinstance(screen, ConfirmScreen)
            word = screen.plan.typed
            await console.pilot.press(*(KEYS.get(letter, letter) for letter in word), "enter" if word else "y")
        case "hold":
            await console.until("a run", lambda: console.screen == "run", RUN_SECONDS)
            await console.pilot.press("p")
        case _:
            await console.until("its end", lambda: "Done and verified." in console.words, RUN_SECONDS)


async def _settled(console: Driver) -> None:
    """Waits until the screen has not changed for a moment."""
    before = ""
    for _ in range(100):
        await console.pilot.pause(0.4)
        if console.text == before:
            return
        before = console.text


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        os.environ["XDG_DATA_HOME"] = data  # the catalogue of the demo's backups
        for scenario, size, shots in _all():
            if len(sys.argv) == 1 or scenario in sys.argv[1:]:
                asyncio.run(_draw(scenario, size, shots))


def _walkthroughs(size: tuple[int, int]) -> list[Shots]:
    """Each disaster: what happened, the plan, the run held half-way, its end."""
    at = f"{size[0]}x{size[1]}"
    dead = ["x", "m", "right", "comma", "right"]
    led = {f"plan-{at}": ["1", "wait"], f"run-{at}": ["word", "hold"], f"done-{at}": ["p", "done"]}

    def named(name: str, first: dict[str, list[str]]) -> Shots:
        return name, size, {f"{name}-{shot}": keys for shot, keys in {**first, **led}.items()}

    seen = {f"recover-{at}": ["exclamation_mark", "wait"]}
    return [
        named("quorum-lost", {**seen, f"dead-{at}": dead, f"way-{at}": ["enter", "wait"]}),
        named("all-managers-lost", seen),
        named("content-deleted", seen),
    ]


def _ucp(size: tuple[int, int]) -> list[Shots]:
    """UCP: its view, and one manager of it."""
    at = f"{size[0]}x{size[1]}"
    view = [*":ucp", "enter", "wait"]
    return [("platform", size, {f"ucp-{at}": view, f"ucp-manager-{at}": ["down", "d"]})]


def _dtr(size: tuple[int, int]) -> list[Shots]:
    """DTR: its view and one replica, where a majority of them is down, and where all is well."""
    at = f"{size[0]}x{size[1]}"
    view = [*":dtr", "enter", "wait"]
    return [
        ("platform", size, {f"dtr-{at}": view}),
        ("dtr-quorum-lost", size, {f"dtr-quorum-lost-{at}": view, f"dtr-replica-{at}": ["down", "d"]}),
    ]


def _all() -> list[Shots]:
    small = {
        "nodes-80x24": [],
        "plan-80x24": ["end", "up", "up", "D"],
        "run-80x24": ["y"],
        "help-80x24": ["escape", "?"],
    }
    taken = {
        "backup-plan-80x24": [*":backup", "enter"],
        "backup-run-80x24": ["y", "wait"],
        "backups-80x24": ["escape", *":backups", "enter"],
        "backup-80x24": ["enter"],
    }
    views = {"tasks-80x24": [*":tasks", "enter"], "log-80x24": ["l"]}
    return [
        ("calm", NARROW, small),
        ("calm", WIDE, {"console-160x48": [], "demote-160x48": ["down", "M"]}),
        ("calm", NARROW, taken),
        ("manager-down", NARROW, {"recover-80x24": [*":recover", "enter", "wait"]}),
        ("busy", NARROW, views),
        ("manager-down", WIDE, {"alarms-160x48": ["a"], "describe-160x48": ["escape", "d"]}),
        *_walkthroughs(NARROW),
        *_walkthroughs(MIDDLE),
        *_ucp(NARROW),
        *_ucp(MIDDLE),
        *_dtr(NARROW),
        *_dtr(MIDDLE),
    ]


if __name__ == "__main__":
    main()
