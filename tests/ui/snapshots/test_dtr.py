"""DTR's view where much of it is not as it should be, one replica, the load balancer; and where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.link.dtr.watching import DtrWatch
from swarmtui.link.node_engines import Opener
from swarmtui.model.dtr.seen import BALANCER, DtrSeen, Held
from swarmtui.model.ucp.status import Certificate, Door
from tests.dtr import seen as s
from tests.ui.snapshots import cluster
from tests.ui.snapshots.conftest import Compare
from tests.ui.snapshots.stage import MIDDLE, NOW, SMALL, Stage, console

ONE, TWO, THREE, FOUR = s.IDS[:4]
PLACES = {ONE: "wrk1", TWO: "wrk2", THREE: "wrk3"}
SHOWN = Certificate(("dtr.example.org", "10.77.0.11"), NOW + 200 * 86_400.0, "DTR CA")


def _held(replica: str, **told: str) -> Held:
    return s.held(replica, at=NOW - 12, told=told)


def _door(url: str, status: int = 200, **how: str) -> Door:
    return Door(url, status, took=0.12, at=NOW - 7, certificate=SHOWN if status else None, **how)


TOLD = s.told(
    s.document(
        PLACES,
        {TWO: "registry: [bold]disk is full \x1b[31m"},
        away=[THREE],
        replica_timestamp=dict.fromkeys(PLACES, "2026-11-21T02:57:10Z"),
        replica_readonly={ONE: False, TWO: True},
        gc_lock_holder=ONE,
    ),
    s.settings(PLACES),
    {"jobs": [{"action": "onlinegc", "status": "running"}]},
)
SEEN = DtrSeen(
    {
        cluster.WRK1["ID"]: _held(ONE),
        cluster.WRK2["ID"]: _held(TWO, garant="Exited (137) 4 minutes ago"),
        cluster.WRK3["ID"]: Held((), {f"dtr-rethink-{FOUR}": FOUR}, NOW - 30),
    },
    {
        BALANCER: _door("https://dtr.example.org", 502, text="Bad Gateway"),
        ONE: _door("https://10.77.0.11"),
        TWO: _door("https://10.77.0.12", 503, text="registry: [bold]disk is full \ufffd[31m"),
    },
    TOLD,
)


@pytest.fixture
def with_dtr(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read of DTR is as above."""

    async def keep(self: DtrWatch, opener: Opener) -> None:
        self._found(SEEN)

    monkeypatch.setattr(DtrWatch, "keep", keep)


async def test_the_pane(with_dtr: None, stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        await driver.here().view("dtr").shows(TWO, "UNHEALTHY").shows(FOUR, "leftover").shows("dtr.example.org", "502")
        await compare(driver)
        await driver.here().select(TWO).press("d").at("reading").sees("DTR says", "has ended (137)")
        await compare(driver, "replica", (SMALL, MIDDLE))
        await driver.here().leave().select("dtr.example.org").press("d").at("reading").sees("leads to not known yet")
        await compare(driver, "balancer", (SMALL,))


async def test_the_four_panes(with_dtr: None, stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        await driver.nodes().contains("mgr1")
        await driver.pilot.resize_terminal(160, 48)
        await driver.here().sees("DTR replicas · DTR 2.4.1", ONE)
        await compare(driver, sizes=((160, 48),))


async def test_without_it(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        await driver.here().view("dtr").sees("No DTR (MSR) is known on this Swarm")
        await compare(driver, sizes=(SMALL,))
