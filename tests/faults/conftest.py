"""Short waits, and worlds in which no wait is over before it began."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from swarmtui import session
from swarmtui.demo.world import agent
from swarmtui.link import watch
from swarmtui.runbooks import node_steps
from tests.faults.scenes import Scene, slow_to_start
from tests.faults.stage import Stage, staged


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_steps, "POLL_SECONDS", 0.03)
    monkeypatch.setattr(watch, "HINT_SECONDS", 0.005)
    monkeypatch.setattr(session, "BACK_OFF_SECONDS", (0.05, 0.1, 0.2))
    monkeypatch.setattr(agent, "behaviour", slow_to_start)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scene], AbstractAsyncContextManager[Stage]]:
    """Puts a scene on."""

    def put_on(scene: Scene) -> Any:
        return staged(scene, monkeypatch)

    return put_on
