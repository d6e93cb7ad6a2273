"""Ages as people say them, in steps so coarse that an idle screen stays as it is."""

from __future__ import annotations

from functools import lru_cache

from swarmtui.model.swarm import when

MINUTE, HOUR, DAY = 60, 3_600, 86_400
_STEPS = (1, 2, 3, 5, 10, 15, 20, 30, 45)
"""Minutes after which an age below an hour reads otherwise."""


def age(seconds: float) -> str:
    """An age: "<1 min", "5 min", "3 h", "2 d"."""
    if seconds < MINUTE:
        return "<1 min"
    if seconds < HOUR:
        return f"{max(step for step in _STEPS if step * MINUTE <= seconds)} min"
    if seconds < 2 * DAY:
        return f"{int(seconds // HOUR)} h"
    return f"{int(seconds // DAY)} d"


@lru_cache(maxsize=1 << 15)
def moment(text: str) -> float:
    """Seconds since the epoch of a time of the engine API; 0.0 for none."""
    parsed = when(text)
    return parsed.timestamp() if parsed is not None else 0.0


def age_of(text: str, now: float) -> str:
    """How long ago a time of the engine API was; "-" for none."""
    at = moment(text)
    return age(now - at) if at else "-"
