"""Opens the console on a cluster."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from swarmtui.config import Config, state_dir
from swarmtui.errors import UsageError
from swarmtui.opening import find

if TYPE_CHECKING:
    from swarmtui.ui.app import Console

SWITCH_SECONDS = 0.001
"""How long a background thread may keep the interpreter from the event loop; Python's default is 5 ms."""


def open_console(
    target: str,
    config: Config,
    *,
    read_only: bool,
    make: Callable[..., Console] | None = None,
    folder: Path | None = None,
) -> int:
    """Runs the console until it is left; returns its exit code.

    Args:
        make: makes the console in place of its class.
        folder: where its journal and its passing files go, in place of the usual folders.

    Raises:
        UsageError: the target means nothing, or there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("The console needs a terminal.", "Without one use: swarmtui status, swarmtui run.")
    with tempfile.TemporaryDirectory(prefix="swarmtui-", dir=folder) as passing:
        opening = find(target, config, bundles=Path(passing) / "bundle")
        from swarmtui.ui.app import Console
        from swarmtui.ui.keys import check_keys

        check_keys(config.keys, config.path)
        sys.setswitchinterval(SWITCH_SECONDS)
        journal = (folder or state_dir()) / "journal"
        console = (make or Console)(opening, journal=journal, read_only=read_only, keys=config.keys)
        code = console.run()
        return code if code is not None else console.return_code or 0
