"""A cluster opened for the length of one command, without a screen."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from swarmtui.cli.ask import person
from swarmtui.config import Config
from swarmtui.errors import UsageError
from swarmtui.link.reasons import LinkError
from swarmtui.opening import Opening, find
from swarmtui.session import Session

CONNECT_SECONDS = 300.0
"""A last resort only: every attempt has its own timeouts, and people take their time to compare a fingerprint."""


@contextlib.asynccontextmanager
async def opened(target: str, config: Config, *, live: bool = True) -> AsyncIterator[Session]:
    """Opens a cluster and waits until its nodes are read.

    Args:
        live: a manager must be found; without, every one was only tried.

    Raises:
        UsageError: the target means nothing, or two things.
        LinkError: every manager was tried and none could be used.
    """
    with tempfile.TemporaryDirectory(prefix="swarmtui-") as folder:
        opening = find(target, config, bundles=Path(folder) / "bundle")
        async with Session(opening, person()).opened() as session:
            try:
                await session.until_tried(CONNECT_SECONDS)
            except LinkError:
                if live:
                    raise
            gc.enable()
            yield session


@contextlib.asynccontextmanager
async def not_begun(target: str | None, config: Config, *, hosts: bool = False) -> AsyncIterator[Session]:
    """A session that is only a way to hosts, for what works where no Swarm is, or answers. Says on stderr what it looks
    at.

    Args:
        target: a cluster whose settings (ssh, sudo, read-only) count, or None for the defaults. It is not connected to.
        hosts: whether its managers count as hosts that are known.

    Raises:
        UsageError: the target means nothing, or two things.
    """
    with tempfile.TemporaryDirectory(prefix="swarmtui-") as folder:
        base = find(target, config, bundles=Path(folder) / "bundle") if target else Opening("", backups=config.backups)
        session = Session(base if hosts else dataclasses.replace(base, targets=()), person())
        session.tell_look = lambda line: print(f"look: {line}", file=sys.stderr, flush=True)
        try:
            gc.enable()
            yield session
        finally:
            await session.close()


def the_target(given: str | None, config: Config) -> str:
    """The target that was given; there is no silent default.

    Raises:
        UsageError: none was given; tells which clusters have a name.
    """
    if given:
        return given
    named = ", ".join(config.clusters) or f"none yet, they would be in {config.path}"
    raise UsageError("Say which cluster.", f"Name a TARGET such as ssh://root@10.0.0.1; named clusters: {named}.")
