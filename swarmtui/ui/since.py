"""From when on, as people type it: 30s, 5m, 1h, 2d, 1h30m, a time in UTC, or all."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from swarmtui.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPAN = re.compile(r"(?:\d{1,9}[smhd])+")
_PART = re.compile(r"(\d+)([smhd])")


def since(text: str, now: float) -> float:
    """Returns the time meant, in seconds since the epoch; 0.0 for all.

    Args:
        now: seconds since the epoch.

    Raises:
        UsageError: that is neither.
    """
    word = text.strip().lower()
    if word in ("all", ""):
        return 0.0
    if _SPAN.fullmatch(word):
        return max(1.0, now - sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(word)))
    try:
        when = datetime.fromisoformat(text.strip())
        return max(1.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise UsageError(
            f'"{text.strip()}" is no time to begin at.',
            "Give how long back (30s, 5m, 1h30m, 2d), a time (2026-11-21T03:00, UTC), or all.",
        ) from None
