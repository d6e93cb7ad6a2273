"""How often a manager is asked: a sixth of its time is ours at most, and about a seventh of a core here."""

from __future__ import annotations

LOAD = 5.0
"""What took t seconds is not repeated before LOAD·t."""
READING = 35.0
"""What took t seconds of a processor to decode is not repeated before READING·t. At 10,000 tasks of which many change,
everything else that an answer costs (SSH, rows, painting) is about four times that: `tests.bench.churn`."""
REST_SECONDS = 10.0
"""... but after so long it is: a Swarm without a leader answers after 20 s, and may have one again at any moment."""


def rest(seconds: float, decoding: float = 0.0) -> float:
    """Seconds to leave a manager alone after it took so many to answer.

    Args:
        decoding: seconds of a processor that it took to decode the answer.
    """
    return min(max(LOAD * seconds, READING * decoding), REST_SECONDS)
