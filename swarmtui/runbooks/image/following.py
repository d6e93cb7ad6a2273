"""Following a job on a host until it is over, over a connection that may be lost meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from swarmtui.link import jobs
from swarmtui.link.jobs import Job, JobError, JobState
from swarmtui.link.reasons import LinkError
from swarmtui.runbooks.runbook import Voice

LOST_SECONDS: Final = 900.0
"""How long a host may be away while its job runs: a reboot of a large machine takes ten minutes."""


async def follow(
    job: Callable[[], Awaitable[Job]],
    heard: Callable[[Job, JobState], Awaitable[None]],
    voice: Voice,
    *,
    seconds: float,
    poll: float,
) -> str | None:
    """Waits until a job is over; a connection that is lost meanwhile is made again.

    Args:
        job: the job, over the connection as it is now.
        heard: gets what it says of itself, each time it was asked; what it raises of LinkError or JobError is taken
            for a lost connection.
        seconds: how long it is waited for; the job itself goes on after that.
        poll: seconds between two questions.

    Returns:
        None when it is over. Else why it could not be asked any more; "" where only the time was up.
    """
    end = time.monotonic() + seconds
    lost_at, why = 0.0, ""
    never = time.monotonic() + jobs.SECONDS
    while time.monotonic() < end:
        try:
            now = await job()
            state = await now.state()
            await heard(now, state)
        except (LinkError, JobError) as error:
            lost_at = lost_at or time.monotonic()
            if isinstance(error, LinkError) and why != error.what:
                why = error.what
                voice.say(f"{why} The job goes on by itself; we come back to it.")
            if time.monotonic() - lost_at > LOST_SECONDS:
                break
            await asyncio.sleep(2 * poll)
            continue
        lost_at = 0.0
        # A unit that was only just asked for has not written anything yet.
        if state.over and (state.there or time.monotonic() > never):
            return None
        await asyncio.sleep(poll)
    return why
