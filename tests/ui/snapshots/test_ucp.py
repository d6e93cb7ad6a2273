"""UCP's view where much of it is not as it should be, one manager, and the load balancer."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from swarmtui.link.ucp.door import Opener
from swarmtui.link.ucp.watching import UcpWatch
from swarmtui.model.ucp.status import BALANCER, Certificate, Component, Door, Parts, UcpSeen
from tests import builders as b
from tests.ucp import seen as s
from tests.ui.snapshots import cluster
from tests.ui.snapshots.conftest import Compare
from tests.ui.snapshots.stage import MIDDLE, NOW, SMALL, Stage, console

DAY = 86_400.0


def _certificate(*names: str, days: float = 200) -> Certificate:
    return Certificate(names, NOW + days * DAY, "UCP Client Root CA")


def _parts(*, manager: bool, **changed: str) -> Parts:
    told = {name.replace("_", "-"): words for name, words in changed.items()}
    return replace(s.parts(manager=manager, changed=told), at=NOW - 12)


def _door(url: str, **how: object) -> Door:
    return Door(url, **{"took": 0.12, "at": NOW - 7, **how})  # type: ignore[arg-type]


SEEN = UcpSeen(
    {
        cluster.MGR1["ID"]: _parts(manager=True, ucp_auth_store="Up 3 hours (unhealthy)"),
        cluster.MGR2["ID"]: _parts(manager=True, ucp_kv="Exited (137) 4 minutes ago"),
        cluster.WRK1["ID"]: _parts(manager=False, ucp_reconcile="Up 4 seconds"),
        cluster.WRK2["ID"]: Parts(trouble="wrk2 cannot be reached: connection refused."),
        cluster.WRK3["ID"]: Parts((Component("ucp-proxy", "docker/ucp-agent:2.2.4", "running", "Up 2 days"),), NOW - 9),
    },
    {
        BALANCER: _door(
            "https://ucp.example.org", status=200, text="OK", certificate=_certificate("mgr1", "10.77.0.1", days=12)
        ),
        cluster.MGR1["ID"]: _door(
            "https://10.77.0.1", status=200, text="OK", certificate=_certificate("mgr1", "10.77.0.1", days=12)
        ),
        cluster.MGR2["ID"]: _door(
            "https://10.77.0.2",
            status=500,
            text="etcd: no leader \x1b[31m[bold]",
            certificate=_certificate("old.example.org"),
        ),
        cluster.MGR3["ID"]: _door("https://10.77.0.3", trouble="nobody answers at https://10.77.0.3: no route."),
    },
)


@pytest.fixture
def under_ucp(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hand-written cluster has UCP's agents, and what is read of UCP is as above."""
    answer = cluster.answer
    agent = {**s.agent(), "CreatedAt": cluster.OLD, "UpdatedAt": cluster.DAY}
    tasks = [b.task(agent, node, 0) for node in cluster.NODES if node["Status"]["State"] == "ready"]

    def with_agent(path: str) -> object:
        found = answer(path)
        more = {"/services": [agent], "/tasks": tasks}.get(path)
        return found if more is None or not isinstance(found, list) else [*found, *more]

    async def keep(self: UcpWatch, opener: Opener) -> None:
        self._found(SEEN)

    monkeypatch.setattr(cluster, "answer", with_agent)
    monkeypatch.setattr(UcpWatch, "keep", keep)


async def test_the_pane(under_ucp: None, stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        await driver.here().view("ucp").shows("mgr2", "UNHEALTHY").shows("ucp.example.org", "Balancer")
        await compare(driver)
        await driver.here().select("mgr2").press("d").at("reading").sees("ucp-kv has ended (137)")
        await compare(driver, "manager", (SMALL, MIDDLE))
        await driver.here().leave().select("ucp.example.org").press("d").at("reading").sees("/_ping: 200")
        await compare(driver, "balancer", (SMALL,))


async def test_without_it(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path) as driver:
        await driver.here().view("ucp").sees("No UCP (MKE) manages this Swarm")
        await compare(driver, sizes=(SMALL,))
