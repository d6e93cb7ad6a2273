"""The lab for pytest: `lab` and `lab26` (3 managers, 2 workers, a calm Swarm before each test), `make_lab`.

Where the lab cannot run, its tests are left out with one line that says why; under CI, as root on Debian, they fail.
Under pytest-xdist a lab stays with one worker: see tests/lab/groups.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.lab import base
from tests.lab.groups import on_lab
from tests.lab.lab import Lab, fill_template
from tests.lab.why import lab_must_run, why_no_lab

MakeLab = Callable[..., Lab]
FULL = os.environ.get("SWARMTUI_FAULTS") == "full"
"""The full matrix (make faults): every fault at every step, and not a choice."""
_left_out = pytest.StashKey[tuple[int, str]]()


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the lab's tests out where it cannot run; the summary has one line for all of them."""
    if later := [item for item in items if not in_this_run(item)]:
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if item not in later]
    ours = [item for item in items if on_lab(item)]
    if ours and (reason := why_no_lab()) and not lab_must_run():
        config.stash[_left_out] = (len(ours), reason)
        config.hook.pytest_deselected(items=ours)
        left = set(ours)
        items[:] = [item for item in items if item not in left]
        if hasattr(config, "workeroutput"):
            config.workeroutput["left_out"] = (len(ours), reason)


def in_this_run(item: pytest.Item) -> bool:
    """Whether a test belongs to this run: some are of the full matrix only (SWARMTUI_FAULTS=full, `make faults`)."""
    marked = item.get_closest_marker("full")
    if marked is None or FULL:
        return True
    parameters = getattr(item, "callspec", None)
    return bool(marked.args) and (parameters is None or not set(marked.args) & set(parameters.id.split("-")))


class LeftOut:
    """Brings what the workers of pytest-xdist left out to the process that tells it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker has ended; each of them collected the same tests."""
        if "left_out" in getattr(node, "workeroutput", {}):
            self._config.stash[_left_out] = tuple(node.workeroutput["left_out"])


def pytest_configure(config: pytest.Config) -> None:
    """Listen to the workers, if there are any."""
    config.pluginmanager.register(LeftOut(config))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out, and why."""
    if _left_out in config.stash:
        count, reason = config.stash[_left_out]
        terminalreporter.write_line(
            f"Left out: {count} test{'s' if count > 1 else ''} on the lab, because {reason}.", yellow=True
        )


def demand_lab(engine: str) -> None:
    """Skip the test (or, under CI, fail it) if the lab cannot run here; makes the base tree if it is not there."""
    reason = why_no_lab(engine)
    if reason is None:
        try:
            base.ensure(base.release_for(engine), fill_template)
        except base.NoBase as error:
            reason = str(error)
    if reason:
        if lab_must_run():
            pytest.fail(f"CI is set, so the lab must run: {reason}", pytrace=False)
        pytest.skip(reason)


def _session(engine: str) -> Iterator[Lab]:
    demand_lab(engine)
    with Lab(managers=3, workers=2, engine=engine) as lab:
        yield lab.swarm()


@pytest.fixture(scope="session")
def lab_session() -> Iterator[Lab]:
    """The one lab with engine 20.10 of this test run; tests take `lab`."""
    yield from _session("20.10")


@pytest.fixture(scope="session")
def lab26_session() -> Iterator[Lab]:
    """The one lab with engine 26.1 of this test run, started when first asked for; tests take `lab26`."""
    yield from _session("26.1")


@pytest.fixture
def lab(lab_session: Lab) -> Lab:
    """A calm Swarm of mgr1..mgr3 and wrk1, wrk2 with engine 20.10.24."""
    lab_session.reset()
    return lab_session


@pytest.fixture
def lab26(lab26_session: Lab) -> Lab:
    """A calm Swarm of mgr1..mgr3 and wrk1, wrk2 with engine 26.1.5."""
    lab26_session.reset()
    return lab26_session


@pytest.fixture
def make_lab() -> Iterator[MakeLab]:
    """Make labs of other sizes: `make_lab(managers=1, workers=0, engine="26.1", swarm=True, autolock=False)`.

    They are taken down at the end of the test.
    """
    with ExitStack() as stack:

        def make(
            managers: int = 3,
            workers: int = 0,
            engine: str = "20.10",
            *,
            swarm: bool = True,
            autolock: bool = False,
            disk_mb: int | None = None,
        ) -> Lab:
            demand_lab(engine)
            lab = stack.enter_context(Lab(managers, workers, engine, disk_mb=disk_mb))
            return lab.swarm(autolock=autolock) if swarm else lab

        yield make
