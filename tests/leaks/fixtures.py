"""The fixture `leaks`: a test names its secrets and what it looked at; at its end nothing of them may be anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.leaks.harness import Leaks, watched


@pytest.fixture
def leaks(
    private_folders: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Iterator[Leaks]:
    """Watches all processes during the test; searches its private folders, its output and its log after it.

    The test says what is secret (`leaks.secret`) and what else could be read (`seen`, `error`, `console`, `host`).
    """
    with watched() as watching:
        watching.below(private_folders)
        yield watching
        told = capfd.readouterr()
        watching.seen("standard output of the test", told.out)
        watching.seen("standard error of the test", told.err)
        watching.seen("log", caplog.text)
        watching.check()
