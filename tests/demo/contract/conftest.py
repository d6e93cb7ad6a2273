"""The platforms that the contract is checked on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.demo.contract.platform import Client, Platform, Real, Simulated
from tests.lab import Lab
from tests.lab.why import lab_must_run, why_no_lab


def _lab_or_skip(engine: str) -> None:
    reason = why_no_lab(engine)
    if reason and lab_must_run():
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(
    scope="module",
    params=[
        "simulator",
        pytest.param("20.10", marks=pytest.mark.lab),
        pytest.param("26.1", marks=pytest.mark.lab26),
    ],
)
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """A Swarm of mgr1-3 and wrk1-2 with nothing on it: simulated, or of real engines."""
    if request.param == "simulator":
        with Simulated() as simulated:
            yield simulated
        return
    _lab_or_skip(request.param)
    with Lab(managers=3, workers=2, engine=request.param) as lab:
        lab.swarm()
        yield Real(lab)


@pytest.fixture
def client(platform: Platform) -> Client:
    """Asks the platform's engines."""
    return Client(platform)
