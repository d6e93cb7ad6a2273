"""Opens the console on a cluster, or the start page on all that have a name."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from swarmtui.config import Config, state_dir
from swarmtui.errors import UsageError
from swarmtui.opening import Opening, find

if TYPE_CHECKING:
    from swarmtui.ui.app import Console
    from swarmtui.ui.fleet import Fleet

SWITCH_SECONDS = 0.001
"""How long a background thread may keep the interpreter from the event loop; Python's default is 5 ms."""


def open_console(
    target: str | None,
    config: Config,
    *,
    read_only: bool,
    make: Callable[..., Console] | None = None,
    folder: Path | None = None,
) -> int:
    """Runs the console until it is left; returns its exit code.

    Args:
        target: the cluster to begin with; None for the start page.
        make: makes the console in place of its class.
        folder: where its journal and its passing files go, in place of the usual folders.

    Raises:
        UsageError: the target means nothing, or there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("The console needs a terminal.", "Without one use: swarmtui status, swarmtui run.")
    with tempfile.TemporaryDirectory(prefix="swarmtui-", dir=folder) as name:
        passing = Path(name)
        opening = find(target, config, bundles=passing / "bundle") if target is not None else None
        from swarmtui.ui.keys import check_keys

        check_keys(config.keys, config.path)
        sys.setswitchinterval(SWITCH_SECONDS)
        journal = (folder or state_dir()) / "journal"
        from swarmtui.ui.staying import leave

        try:
            return asyncio.run(_consoles(opening, config, passing, journal=journal, make=make, read_only=read_only))
        finally:
            leave()


async def _consoles(
    opening: Opening | None,
    config: Config,
    folder: Path,
    *,
    journal: Path,
    make: Callable[..., Console] | None,
    read_only: bool,
) -> int:
    """Shows one cluster at a time, and the start page between two. Each console knows its own cluster only."""
    fleet: Fleet | None = None
    session, at = None, ""
    while True:
        if opening is not None:
            from swarmtui.ui.app import TO_CLUSTERS, Console

            console = (make or Console)(
                opening,
                journal=journal,
                read_only=read_only,
                keys=config.keys,
                session=session,
                clusters=fleet is not None or bool(config.clusters),
                theme=config.ui.theme,
            )
            code = await console.run_async()
            if code != TO_CLUSTERS:
                return code if code is not None else console.return_code or 0
            session = console.session
        # Not loaded before somebody wants it: the first paint of a console does not wait for it.
        from swarmtui.cli.clusters import give_name
        from swarmtui.ui.fleet import Fleet
        from swarmtui.ui.screens.clusters import ClustersApp

        fleet = fleet or Fleet(config, folder)
        if opening is not None:
            at = fleet.include(opening)
            fleet.give_back(at, session)
        page = ClustersApp(
            fleet,
            at=at,
            journal=journal,
            naming=partial(give_name, config.path),
            read_only=read_only,
            keys=config.keys,
            theme=config.ui.theme,
        )
        chosen = await page.run_async()
        if chosen is None:
            return page.return_code or 0
        opening, session, at = await fleet.opening(chosen), page.session, chosen
