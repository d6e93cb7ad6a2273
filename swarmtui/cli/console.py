"""Opens the console on a cluster."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from swarmtui.config import Config, state_dir
from swarmtui.errors import UsageError
from swarmtui.opening import find

SWITCH_SECONDS = 0.001
"""How long a background thread may keep the interpreter from the event loop; Python's default is 5 ms."""


def open_console(target: str, config: Config, *, read_only: bool) -> int:
    """Runs the console until it is left; returns its exit code.

    Raises:
        UsageError: the target means nothing, or there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("The console needs a terminal.", "Without one use: swarmtui status, swarmtui run.")
    with tempfile.TemporaryDirectory(prefix="swarmtui-") as folder:
        opening = find(target, config, bundles=Path(folder) / "bundle")
        from swarmtui.ui.app import Console
        from swarmtui.ui.keys import check_keys

        check_keys(config.keys, config.path)
        sys.setswitchinterval(SWITCH_SECONDS)
        console = Console(opening, journal=state_dir() / "journal", read_only=read_only, keys=config.keys)
        code = console.run()
        return code if code is not None else console.return_code or 0
