"""Short waits, and worlds in which no wait is over before it began."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmtui.contact import line
from swarmtui.demo.world import agent
from swarmtui.runbooks import node_steps
from tests.faults.scenes import Scene, slow_to_start
from tests.faults.stage import SPEED, PutOn, staged


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is killed or cut off in the middle of a call closes nothing: what it leaves open is no mistake here."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:coroutine 'SSHConnection:RuntimeWarning"))


@pytest.fixture(autouse=True, scope="module")
def nothing_left() -> Iterator[None]:
    """What was left open goes now, and not in the middle of somebody else's test."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_steps, "POLL_SECONDS", 0.04)
    monkeypatch.setattr(line, "BACK_OFF_SECONDS", (0.05, 0.1, 0.2))
    monkeypatch.setattr(agent, "behaviour", slow_to_start)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> PutOn:
    """Puts a scene on."""

    def put_on(scene: Scene, speed: float = SPEED) -> Any:
        return staged(scene, monkeypatch, speed)

    return put_on
