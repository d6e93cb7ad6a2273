"""What the tests of the actions share: a Swarm of either engine, a command line, a console, and the truth."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from swarmtui.config import Config, load, state_dir
from swarmtui.opening import find
from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.driver import Driver, driven
from tests.lab import Lab

Open = Callable[..., AbstractAsyncContextManager[Driver]]


@pytest.fixture(params=[pytest.param("lab", marks=pytest.mark.lab), pytest.param("lab26", marks=pytest.mark.lab26)])
def swarm(request: pytest.FixtureRequest) -> Lab:
    """3 managers and 2 workers, once with engine 20.10 and once with 26.1."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Lab)
    return found


def the_lab(request: pytest.FixtureRequest) -> Lab:
    """The lab that the test asked for: `swarm` for both engines, `lab` for the first only."""
    found = request.getfixturevalue("swarm" if "swarm" in request.fixturenames else "lab")
    assert isinstance(found, Lab)
    return found


@pytest.fixture
def cli(request: pytest.FixtureRequest) -> Cli:
    """The command line, on mgr1."""
    lab = the_lab(request)
    return Cli(lab.ssh_env(), lab["mgr1"].target)


@pytest.fixture
def truth(request: pytest.FixtureRequest) -> Truth:
    """What the docker CLI on mgr1 says."""
    return Truth(the_lab(request))


@pytest.fixture
def console(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Open:
    """Opens a console in this process, through mgr1 or whatever target is named."""
    lab = the_lab(request)
    monkeypatch.setenv("HOME", str(lab.home))

    def open_console(target: str = "", *, config: Config | None = None, **options: Any) -> Any:
        opening = find(target or lab["mgr1"].target, config or load(), bundles=tmp_path / "bundle")
        return driven(opening, state_dir() / "journal", **options)

    return open_console
