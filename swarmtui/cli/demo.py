"""`swarmtui demo`: the console on a simulated cluster, which runs in a process of its own.

The console reaches it as it reaches a real one: through a configuration, over SSH.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from swarmtui import config
from swarmtui.errors import SwarmtuiError, UsageError

START_SECONDS = 30.0


def main(arguments: Sequence[str]) -> int:
    """Runs the demo: with --serve or --list in this process, else a console on a child process that serves."""
    if any(argument in ("--serve", "--list", "--help", "-h") for argument in arguments):
        from swarmtui.demo.run import main as serve

        return serve(list(arguments))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("The demo's console needs a terminal.", "Without one use: swarmtui demo --serve")
    from swarmtui.cli.console import open_console

    with _served(arguments) as served:
        return open_console("simulated", config.load(Path(served["config"])), read_only=False)


@contextlib.contextmanager
def _served(arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A simulated cluster for the length of a block; ends with it, and with this process however that ends."""
    command = [sys.executable, "-m", "swarmtui.demo", "--serve", "--until-stdin-closes", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        try:
            line = child.stdout.readline()
            if not line:
                child.wait(START_SECONDS)
                words = child.stderr.read().decode(errors="replace").strip().removeprefix("swarmtui: ")
                kind = UsageError if child.returncode == 2 else SwarmtuiError
                raise kind(words or f"The simulated cluster ended with exit code {child.returncode}.")
            yield json.loads(line)
        finally:
            child.stdin.close()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.terminate()
                child.wait(5)
