"""A cluster opened for the length of one command, without a screen."""

from __future__ import annotations

import contextlib
import gc
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from swarmtui.cli.ask import person
from swarmtui.config import Config
from swarmtui.errors import UsageError
from swarmtui.opening import find
from swarmtui.session import Session

CONNECT_SECONDS = 300.0
"""A last resort only: every attempt has its own timeouts, and people take their time to compare a fingerprint."""


@contextlib.asynccontextmanager
async def opened(target: str, config: Config) -> AsyncIterator[Session]:
    """Opens a cluster and waits until its nodes are read.

    Raises:
        UsageError: the target means nothing, or two things.
        LinkError: every manager was tried and none could be used.
    """
    with tempfile.TemporaryDirectory(prefix="swarmtui-") as folder:
        opening = find(target, config, bundles=Path(folder) / "bundle")
        async with Session(opening, person()).opened() as session:
            await session.until_tried(CONNECT_SECONDS)
            gc.enable()
            yield session


def the_target(given: str | None, config: Config) -> str:
    """The target that was given; there is no silent default.

    Raises:
        UsageError: none was given; tells which clusters have a name.
    """
    if given:
        return given
    named = ", ".join(config.clusters) or f"none yet, they would be in {config.path}"
    raise UsageError("Say which cluster.", f"Name a TARGET such as ssh://root@10.0.0.1; named clusters: {named}.")
