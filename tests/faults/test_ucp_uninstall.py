"""ucp.uninstall struck in the middle, and where the image's own command does not do all of its work.

In the end nothing of UCP is on any node that answers, and the Swarm with its services is as it was.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from swarmtui.demo.world.host import Container
from swarmtui.runbooks.image import job as image_job
from tests.faults.strikes import Strike, resume, strikes, swarmtui
from tests.faults.ucp_stage import left_on_hosts, run
from tests.lab.fixtures import FULL

RUN = "20261122T041500Z-ucp.uninstall-0001"
HOST = "mgr1"
THERE = ("--target", "simulated", "--yes")
STRIKES: dict[str, Strike] = strikes(HOST)
WORKING = "Uninstalling UCP on each node..."
STEPS = ("uninstall", "clear-services", "clear-hosts", "clear-uninstall")
CASES = [
    *((strike, WORKING) for strike in STRIKES),
    *((strike, f"uninstall/{point}") for strike in (STRIKES if FULL else ["kill"]) for point in ("intent", "proof")),
    *((strike, "uninstall/effect") for strike in (STRIKES if FULL else ["reboot"])),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.02)


def of_ucp(demo: Demo) -> list[str]:
    """What of UCP is on the simulated hosts and in their Swarm, but for the volume that stays as documented."""
    hosts = demo.world.hosts.values()
    found = [f"{h.name}/{c.name}" for h in hosts for c in h.containers.values() if c.name.startswith("ucp")]
    found += [f"{h.name}/{v}" for h in hosts for v in h.volumes if v.startswith("ucp-") and "server-certs" not in v]
    (cluster,) = demo.world.clusters
    return found + [service.name for service in cluster.services.values() if service.name.startswith("ucp-")]


def services(demo: Demo) -> set[str]:
    (cluster,) = demo.world.clusters
    return {service.name for service in cluster.services.values() if not service.name.startswith("ucp-")}


@pytest.mark.parametrize(("strike", "case"), CASES, ids=[f"{strike}-{case.split()[0]}" for strike, case in CASES])
async def test_it_is_gone_in_the_end(
    strike: str, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform-3", speed=40, seed=1, nodes=4) as demo:
        before = services(demo)
        outcome = await run(demo, tmp_path, RUN, "ucp.uninstall", case, STRIKES[strike], steps=STEPS, host=HOST)
        code = 0 if outcome is not None and outcome.ok else 1
        for _ in range(4):
            if code == 0:
                break
            code = await resume(demo, RUN)
        assert code == 0, capsys.readouterr().err
        assert of_ucp(demo) == []
        assert services(demo) == before
        assert left_on_hosts(demo) == []


async def test_what_its_own_command_leaves_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    async with Demo("platform-mke", speed=40, seed=1, nodes=4) as demo:
        demo.world.hosts["wrk1"].faults.add(faults.UCP_UNINSTALL_HANGS)
        assert await swarmtui(demo, "run", "ucp.uninstall", f"host={HOST}", *THERE) == 0, capsys.readouterr().err
        told = capsys.readouterr().out
        assert "took too long" in told
        assert "On wrk1 there are" in told
        assert of_ucp(demo) == []


async def test_what_stands_in_its_way_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    async with Demo("platform-3", speed=40, seed=1, nodes=4) as demo:
        host = demo.world.hosts[HOST]
        now = demo.world.kernel.now()
        container = Container(
            id="f" * 64, name="ucp", image="docker/ucp:3.2.7", command=["backup"], created=now - 60, labels={},
            state="running", started=now - 60, finished=0.0, pid=host.next_pid(), restart=False,
        )  # fmt: skip
        host.containers[container.id] = container
        assert await swarmtui(demo, "run", "ucp.uninstall", f"host={HOST}", *THERE) == 1
        told = capsys.readouterr().err
        assert "A container named ucp is on mgr1 already: docker/ucp:3.2.7, Up" in told
        assert "docker wait ucp" in told
        del host.containers[container.id]
        image = host.images.pop("docker/ucp:3.2.7")
        assert await swarmtui(demo, "run", "ucp.uninstall", f"host={HOST}", *THERE) == 1
        assert "The image docker/ucp:3.2.7 is not on mgr1." in capsys.readouterr().err
        host.images["docker/ucp:3.2.7"] = image
        assert await swarmtui(demo, "run", "ucp.uninstall", f"host={HOST}", "version=2.2.5", *THERE) == 2
        assert "UCP 3.2.7 runs here" in capsys.readouterr().err
        # Nothing of all that has touched anything.
        assert demo.world.ucp is not None and not demo.world.ucp.ill(host)
        host.faults.add(faults.SELINUX)
        assert await swarmtui(demo, "run", "ucp.uninstall", f"host={HOST}", *THERE) == 0
        assert "--security-opt label=disable" in capsys.readouterr().out
