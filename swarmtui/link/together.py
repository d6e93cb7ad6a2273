"""Several coroutines at once, with plain errors."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def together(*jobs: Coroutine[Any, Any, Any]) -> list[Any]:
    """Runs all jobs at once and returns their results in order.

    The first that fails ends the others, and its error is raised as it is: a TaskGroup would wrap it, and gather would
    let the others run on.
    """
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
