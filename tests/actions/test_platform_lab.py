"""The whole platform on real engines, with stand-ins of UCP and DTR: backed up as one set, destroyed, brought back."""

from __future__ import annotations

import pytest

from tests.actions.dtr_stage import bring, health, platform, push, tags
from tests.actions.ucp_stage import done, gone_on
from tests.lab.fixtures import MakeLab
from tests.lab.host import Host

pytestmark = [pytest.mark.lab, pytest.mark.full]

VERSION, REPLICA = "2.4.1", "00000000000a"


def lose_dtr(host: Host) -> None:
    """Nothing of DTR is left on a worker; the Swarm on it lives."""
    host.sh("docker rm -f $(docker ps -aq --filter name=dtr-)")
    host.sh("docker volume rm $(docker volume ls -q --filter name=dtr-)")


def test_all_is_destroyed_and_brought_back_killed_twice_on_the_way(make_lab: MakeLab) -> None:
    """Two managers with new disks, a worker without its replica: one walkthrough brings all of it back."""
    lab, cli, balancer = platform(make_lab, VERSION, workers=1, managers=2)
    first, second, worker = lab["mgr1"], lab["mgr2"], lab["wrk1"]
    with balancer:
        balancer.lead_to(worker)
        where = f"version={VERSION}", f"node={worker.name}", f"replica={REPLICA}"
        done(cli, "dtr.install", *where, f"url={balancer.url}", "storage=nfs://10.0.0.9/images")
        push(worker, "v1")
        done(cli, "ucp.user", "name=jim", "password-from=env:JIM")
        told = done(cli, "platform.backup", "--accept", "quorum=mgr2", "--accept", "quorum=mgr1").out
        assert all(f"\n{product}: " in told or f" {product}: " in told for product in ("Swarm", "UCP", "DTR")), told

        for host in (first, second):
            host.replace()
            bring(host, VERSION)
        lose_dtr(worker)
        looked = cli("recover", cli.target)
        assert looked.code == 2 and "The whole platform: Swarm, UCP, DTR" in looked.out, looked

        with cli.started("platform.recover", f"host={first.target}") as run:
            run.until("Unpack", 200)
            run.kill()
        with cli.started("--resume", run.run_id) as again:
            again.until("Parsing backup file", 280)
            again.kill()
        gone_on(cli, run.run_id)

        managers = [node for node in lab.nodes() if node.get("ManagerStatus", {}).get("Reachability") == "reachable"]
        assert sorted(node["Description"]["Hostname"] for node in managers) == ["mgr1", "mgr2"]
        assert "jim" in done(cli, "ucp.user", "name=jim", "password-from=env:JIM").out
        assert health(worker) == {REPLICA: "OK"} and tags(worker) == ["v1"]
        assert cli("recover", cli.target).code == 0
