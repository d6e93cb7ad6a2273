"""Finds a manager to talk through among several: each is tried a little after the one before, and the best one wins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct

from swarmtui.link.manager import Manager
from swarmtui.link.reasons import LinkError
from swarmtui.link.target import Target

STAGGER_SECONDS = 1.5
"""The next manager is tried this long after the one before, without waiting for it to time out."""

Open = Callable[[Target], Awaitable[tuple[Manager, LinkError | None]]]
"""Opens one target; tells why it should be used only if there is nothing better, or raises LinkError."""


class Attempt(Struct, frozen=True):
    """One manager that could not be used, when it was tried (seconds since the epoch), and why."""

    target: str
    at: float
    what: str
    next_step: str
    reason: str

    @classmethod
    def failed(cls, target: str, error: LinkError) -> Attempt:
        """An attempt that failed just now."""
        return cls(target, time.time(), error.what, error.next_step, error.reason)


async def first_usable(
    candidates: Sequence[Target], open_one: Open, tried: Callable[[Attempt], None]
) -> Manager | None:
    """Opens the candidates, staggered, until one is usable; closes all others.

    Args:
        tried: called with every attempt that failed, or was less than wished for.

    Returns:
        The first that is usable without reserve, else the first with one, else None.
    """
    waiting = list(candidates)
    names: dict[asyncio.Task[tuple[Manager, LinkError | None]], str] = {}
    running: set[asyncio.Task[tuple[Manager, LinkError | None]]] = set()
    fallback: Manager | None = None
    winner: Manager | None = None
    try:
        while (waiting or running) and winner is None:
            if waiting:
                target = waiting.pop(0)
                task = asyncio.ensure_future(open_one(target))
                names[task] = str(target)
                running.add(task)
            done, running = await asyncio.wait(
                running, timeout=STAGGER_SECONDS if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                try:
                    manager, reserve = task.result()
                except LinkError as error:
                    tried(Attempt.failed(names[task], error))
                    continue
                if reserve is None and winner is None:
                    winner = manager
                elif reserve is not None and fallback is None and winner is None:
                    fallback = manager
                    tried(Attempt.failed(names[task], reserve))
                else:
                    await manager.close()
    except BaseException:
        await _close(winner)
        await _close(fallback)
        raise
    finally:
        for task in running:
            task.cancel()
        late: list[Any] = await asyncio.gather(*running, return_exceptions=True)
        for result in late:
            if isinstance(result, tuple):
                await result[0].close()
    if winner is None:
        return fallback
    await _close(fallback)
    return winner


async def _close(manager: Manager | None) -> None:
    if manager is not None:
        await manager.close()
