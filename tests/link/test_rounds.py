"""Questions that are asked again and again: they end when they are cancelled, whenever that comes."""

from __future__ import annotations

import asyncio

import pytest

from swarmtui.link.rounds import Rounds


@pytest.mark.parametrize("turns", range(6))
async def test_cancelled_just_as_somebody_asks_it_ends(turns: int) -> None:
    """A session is closed while a poll wakes this up: whoever closes it waits for its end."""
    rounds = Rounds(lambda key, wanted: 60.0, "test")
    asked = asyncio.Event()

    async def ask() -> None:
        asked.set()

    keep = asyncio.create_task(rounds.keep(lambda: [("one", ask)] if not asked.is_set() else [], first=0.0, look=60.0))
    async with asyncio.timeout(5):
        await asked.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    rounds.look_now()
    for _ in range(turns):
        await asyncio.sleep(0)
    keep.cancel()
    done, _ = await asyncio.wait([keep], timeout=2.0)
    assert done and keep.cancelled()
