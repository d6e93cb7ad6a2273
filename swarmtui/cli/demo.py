"""`swarmtui demo`: the console on a simulated cluster, which runs in a process of its own.

The console reaches it as it reaches a real one: through a configuration, over SSH. A scenario with a goal is a drill:
what is asked for is told at the beginning, how it went at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swarmtui import config
from swarmtui.demo.report import as_text
from swarmtui.errors import SwarmtuiError, UsageError

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Catalogue, Entry
    from swarmtui.vault import Secret

START_SECONDS = 30.0
END_SECONDS = 5.0
GOAL_SECONDS = 10.0
"""How long the goal of a drill lies over the console."""


@dataclass
class _Simulated:
    """A simulated cluster.

    Attributes:
        line: how to reach it.
        keys: how many keys were pressed in its console.
        report: how the drill went; empty before its end.
    """

    line: dict[str, Any]
    keys: int = 0
    report: dict[str, Any] = field(default_factory=dict)


def main(arguments: Sequence[str]) -> int:
    """Runs the demo: with --serve or --list in this process, else a console on a child process that serves."""
    if any(argument in ("--serve", "--list", "--help", "-h") for argument in arguments):
        from swarmtui.demo.run import main as serve

        return serve(list(arguments))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("The demo's console needs a terminal.", "Without one use: swarmtui demo --serve")
    with _served(arguments) as simulated:
        code = _console(simulated)
    if simulated.report:
        print(as_text({**simulated.report, "keys": simulated.keys}), end="")
    return code


def _console(simulated: _Simulated) -> int:
    """Runs the console on a simulated cluster until it is left, or until it is told to end by a signal."""
    from textual import events

    from swarmtui.cli.console import open_console
    from swarmtui.ui.app import Console

    class DrillConsole(Console):
        """The console; counts keys, tells the goal, and ends in order however it is ended."""

        def on_mount(self) -> None:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, self.exit, 128 + number)
            goal = simulated.line["goal"]
            if goal:
                self.notify(goal, title=f"Drill: {simulated.line['scenario']}", markup=False, timeout=GOAL_SECONDS)

        async def on_event(self, event: events.Event) -> None:
            # A key that was handed to a widget comes back here if the widget has no use for it.
            if isinstance(event, events.Key) and not event.is_forwarded:
                simulated.keys += 1
            await super().on_event(event)

    file = Path(simulated.line["config"])
    # What it writes goes with the cluster: runs on a cluster that is no more can be neither read nor resumed, and its
    # managers need not be remembered.
    os.environ["XDG_STATE_HOME"] = str(file.parent)
    return open_console("simulated", config.load(file), read_only=False, make=DrillConsole, folder=file.parent)


def _take_in(line: dict[str, Any]) -> None:
    """The backups that a scenario brings lie in the catalogue, its own, and verified, when its console opens."""
    platform: dict[str, Any] = line.get("platform", {})
    files = [Path(path) for path in dict.fromkeys([*line.get("backups", ()), *platform.get("backups", ())])]
    if files:
        from swarmtui.backups.catalogue import Catalogue
        from swarmtui.backups.verify import verify
        from swarmtui.vault import Secret

        catalogue = Catalogue(config.backups_dir(config.load(Path(line["config"])).backups_of("simulated")))
        sealed = [Secret(text) for name, text in platform.get("admin", {}).items() if name == "passphrase"]
        for file in files:
            entry = _imported(catalogue, file, platform, sealed)
            catalogue.add_verification(entry, verify(entry, (), None, passphrases=sealed))


def _imported(catalogue: Catalogue, file: Path, platform: dict[str, Any], sealed: list[Secret]) -> Entry:
    """Takes in one archive of UCP, of DTR, or of a manager's directory."""
    from swarmtui.backups import imports
    from swarmtui.backups.dtr import imports as dtr_imports
    from swarmtui.backups.ucp import imports as ucp_imports

    instance = str(platform.get("instance", ""))
    if ucp_imports.is_one(file):
        found, version = ucp_imports.look(file, *sealed), str(platform.get("version", ""))
        return ucp_imports.import_file(catalogue, file, found, instance=instance, version=version, cluster="simulated")
    dtr = dtr_imports.look(file)
    if dtr is not None:
        return dtr_imports.import_file(catalogue, file, dtr, instance=instance, cluster="simulated")
    return imports.import_file(catalogue, file, cluster="simulated")


def _keep_secrets(line: dict[str, Any]) -> None:
    """Who works on a simulated platform knows its administrator's password, and what its backups are sealed with."""
    admin: dict[str, str] = line.get("platform", {}).get("admin", {})
    folder = Path(line["config"]).parent / "credentials"
    folder.mkdir(mode=0o700)
    for name, kind in (("password", "ucp-password"), ("passphrase", "ucp-passphrase")):
        if name in admin:
            file = folder / f"swarmtui.{kind}.simulated"
            file.touch(0o600)
            file.write_text(admin[name])
    os.environ["CREDENTIALS_DIRECTORY"] = str(folder)


@contextlib.contextmanager
def _served(arguments: Sequence[str]) -> Iterator[_Simulated]:
    """A simulated cluster for the length of a block; ends with it, and with this process however that ends.

    Raises:
        UsageError: the arguments are wrong.
        SwarmtuiError: it did not start.
    """
    command = [sys.executable, "-m", "swarmtui.demo", "--serve", "--until-stdin-closes", *arguments]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints) as child,
    ):
        assert child.stdin is not None and child.stdout is not None
        try:
            # What the console needs is loaded while the other process starts.
            import swarmtui.ui.app  # noqa: F401

            line = child.stdout.readline()
            if not line:
                child.wait(START_SECONDS)
                complaints.seek(0)
                words = complaints.read().decode(errors="replace").strip().removeprefix("swarmtui: ")
                kind = UsageError if child.returncode == 2 else SwarmtuiError
                raise kind(words or f"The simulated cluster ended with exit code {child.returncode}.")
            simulated = _Simulated(json.loads(line))
            _take_in(simulated.line)
            _keep_secrets(simulated.line)
            yield simulated
            child.stdin.close()
            last = child.stdout.readline()
            if last:
                simulated.report = json.loads(last)["report"]
        finally:
            child.stdin.close()
            try:
                child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                child.terminate()
                child.wait(END_SECONDS)
