"""Large answers give their memory back.

10,000 tasks are a body of 9 MB, read in one of several threads. glibc keeps blocks of that size for the thread, once it
has seen one: after some minutes that is 100 MB which nobody uses (measured: `tests.bench.churn`).
"""

from __future__ import annotations

import ctypes
import sys

M_MMAP_THRESHOLD = -3
LARGE = 1 << 20
"""Blocks of more bytes than this are mapped by themselves, and unmapped when they are freed."""


def give_back_large_blocks() -> bool:
    """Tells the C library so, for the whole process; repeating does no harm.

    Returns:
        Whether it could be told. Others than glibc do so by themselves, or cannot be told.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(M_MMAP_THRESHOLD, LARGE) == 1
