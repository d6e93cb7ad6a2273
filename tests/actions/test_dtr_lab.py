"""DTR from end to end on real engines, with its stand-in images: replicas made, lost, replaced, brought back."""

from __future__ import annotations

import pytest

from tests.actions.cli import Cli
from tests.actions.dtr_stage import health, platform, push, tags
from tests.actions.ucp_stage import done
from tests.lab import Lab
from tests.lab.fixtures import MakeLab
from tests.lab.host import Host
from tests.lab.machine import wait_for
from tests.lab.standins.balancer import Balancer

pytestmark = pytest.mark.lab

A, B, C, D = "00000000000a", "00000000000b", "00000000000c", "00000000000d"
NFS = "nfs://10.0.0.9/images"


def _install(cli: Cli, balancer: Balancer, version: str, hosts: list[Host]) -> None:
    """A replica on each of these hosts, the first one from nothing; the balancer is told of each."""
    balancer.lead_to(hosts[0])
    where = f"version={version}", f"node={hosts[0].name}", f"replica={A}"
    done(cli, "dtr.install", *where, f"url={balancer.url}", f"storage={NFS}")
    for place, (host, replica) in enumerate(zip(hosts[1:], (B, C), strict=True), 2):
        balancer.lead_to(*hosts[:place])
        done(cli, "dtr.join", f"node={host.name}", f"replica={replica}")
    assert health(hosts[0]) == dict.fromkeys((A, B, C), "OK")
    push(hosts[1], "v1")
    assert tags(hosts[2]) == ["v1"]


def _nodes(lab: Lab, state: str) -> set[str]:
    return {node["Description"]["Hostname"] for node in lab.nodes() if node["Status"]["State"] == state}


def _off(*hosts: Host) -> None:
    """These hosts are off; the Swarm will notice."""
    for host in hosts:
        host.power_off()


def _down(lab: Lab, *hosts: Host) -> None:
    """The Swarm knows that these hosts are off."""
    names = {host.name for host in hosts}
    wait_for(f"{names} are down", lambda: names <= _nodes(lab, "down"), 60)


def _lost(lab: Lab, *hosts: Host) -> None:
    """These hosts are off, and the Swarm knows."""
    _off(*hosts)
    _down(lab, *hosts)


def _back(lab: Lab, host: Host) -> None:
    """This host is on again, and UCP reaches what is on it."""
    host.power_on()
    host.wait_docker()
    proxy = "docker ps --filter name=ucp-proxy --filter health=healthy -q"
    wait_for(f"{host.name} is ready", lambda: host.name in _nodes(lab, "ready") and host.sh(proxy).stdout != "", 60)


def _not_coming_back(*lost: str) -> list[str]:
    """What accepts that these are lost, though nobody can see that: replicas, or "prod" for any that nobody noted."""
    return [word for one in lost for word in ("--accept", f"dtr-may-come-back={one}")]


def test_replicas_are_replaced_and_all_is_restored(make_lab: MakeLab) -> None:
    """2.4.1: one of three lost → removed and replaced; two lost → what is left destroyed, the backup restored."""
    lab, cli, balancer = platform(make_lab, "2.4.1", 4)
    one, two, three, four = (lab[f"wrk{number}"] for number in (1, 2, 3, 4))
    with balancer:
        _install(cli, balancer, "2.4.1", [one, two, three])
        _lost(lab, three)
        balancer.lead_to(one, two)
        done(cli, "dtr.remove", f"replica={C}")
        assert health(one) == dict.fromkeys((A, B), "OK")
        balancer.lead_to(one, two, four)
        done(cli, "dtr.join", "node=wrk4", f"replica={D}")
        assert health(four) == dict.fromkeys((A, B, D), "OK")
        done(cli, "dtr.backup")

        _off(two, four)
        balancer.lead_to(one)
        refused = cli.run("dtr.repair", f"replica={A}", "--yes")
        assert refused.code != 0 and "dtr.restore" in refused.err
        _down(lab, two, four)
        assert health(one) == {}, "without a majority nothing is told"
        # What joined after the backup might be on wrk3, for all that anybody sees.
        done(cli, "dtr.restore", *_not_coming_back("prod", B, D))
        assert health(one) == {A: "OK"} and tags(one) == ["v1"]


@pytest.mark.full
def test_a_majority_is_lost_and_one_replica_makes_it_whole(make_lab: MakeLab) -> None:
    """2.5 and later: the last of three replicas is repaired from; the others are cleared, and join again."""
    lab, cli, balancer = platform(make_lab, "2.7.6", 3)
    hosts = [lab[f"wrk{number}"] for number in (1, 2, 3)]
    one, two, three = hosts
    with balancer:
        _install(cli, balancer, "2.7.6", hosts)
        _lost(lab, two, three)
        balancer.lead_to(one)
        done(cli, "dtr.repair", f"replica={A}", "--accept", f"dtr-others-left={A}")
        assert health(one) == {A: "OK"} and tags(one) == ["v1"]
        for count, (host, replica) in enumerate(((two, B), (three, C)), 2):
            _back(lab, host)
            done(cli, "dtr.destroy", f"replica={replica}")
            balancer.lead_to(*hosts[:count])
            done(cli, "dtr.join", f"node={host.name}", f"replica={replica}")
        assert health(three) == dict.fromkeys((A, B, C), "OK")


@pytest.mark.full
def test_all_replicas_are_lost(make_lab: MakeLab) -> None:
    """2.7: a backup brings DTR back on a worker that never had it."""
    lab, cli, balancer = platform(make_lab, "2.7.6", 4)
    hosts = [lab[f"wrk{number}"] for number in (1, 2, 3)]
    with balancer:
        _install(cli, balancer, "2.7.6", hosts)
        done(cli, "dtr.backup")
        _lost(lab, *hosts)
        balancer.lead_to(lab["wrk4"])
        done(cli, "dtr.restore", "node=wrk4", *_not_coming_back(A, B, C))
        assert health(lab["wrk4"]) == {A: "OK"} and tags(lab["wrk4"]) == ["v1"]
