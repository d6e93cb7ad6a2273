from __future__ import annotations

from tests.actions.conftest import cli, truth
from tests.leaks.fixtures import leaks

__all__ = ["cli", "leaks", "truth"]
