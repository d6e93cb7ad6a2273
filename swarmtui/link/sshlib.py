"""Imports asyncssh without its detour over the C compiler. Import it before anything that imports asyncssh.

asyncssh looks for liboqs with `ctypes.util.find_library`, which runs ldconfig, then gcc, then ld where the library is
not installed: 60 ms of our first paint where there is a compiler. Meanwhile the same question is answered from the
loader's cache alone; a liboqs that is installed is found as before.
"""

from __future__ import annotations

import ctypes.util
import re
from pathlib import Path

_CACHE = Path("/etc/ld.so.cache")


def _in_loader_cache(name: str) -> str | None:
    """Returns the name under which the loader knows a library, such as "liboqs.so.8"; None where it knows none."""
    try:
        cache = _CACHE.read_bytes()
    except OSError:
        return _find_library(name)  # not glibc's loader: ask as usual
    # Names end with a NUL; the loader's cache keeps "libz.so.1" as the end of "/lib/…/libz.so.1".
    found = re.search(rb"[\0/](lib" + re.escape(name.encode()) + rb"\.so[.0-9]*)\0", cache)
    return found[1].decode() if found else None


_find_library = ctypes.util.find_library
ctypes.util.find_library = _in_loader_cache
try:
    import asyncssh
finally:
    ctypes.util.find_library = _find_library

__all__ = ["asyncssh"]
