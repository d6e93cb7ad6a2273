from __future__ import annotations

from tests.leaks.fixtures import leaks

__all__ = ["leaks"]
