"""Imports asyncssh without its search for liboqs, which runs a C compiler where that library is not installed.

The demo has no use for it, starts faster so, and leaves none of the compiler's files behind when it is ended early.
"""

from __future__ import annotations

import ctypes.util

_find_library = ctypes.util.find_library


def _find(name: str) -> str | None:
    return None if name in ("oqs", "liboqs") else _find_library(name)


ctypes.util.find_library = _find
try:
    import asyncssh
finally:
    ctypes.util.find_library = _find_library

__all__ = ["asyncssh"]
