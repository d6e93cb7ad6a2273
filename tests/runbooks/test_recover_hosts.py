"""Hosts that several names lead to are one host, also where its Docker says nothing of itself."""

from __future__ import annotations

from swarmtui.runbooks.swarm.recovery.recover_facts import Host, _each_once
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import HostSeen, Where

OURS = ("10.0.0.1", "172.17.0.1", "172.18.0.1")
THEIRS = ("10.0.0.2", "172.17.0.1", "172.18.0.1")


def host(target: str, *addresses: str, name: str = "mgr1", node_id: str = "", trouble: str = "") -> Host:
    at = Where(name, target, target.removeprefix("ssh://"))
    return Host(name=name, node_id=node_id, seen=HostSeen(at=at, addresses=addresses, trouble=trouble))


def targets(*hosts: Host) -> list[str]:
    return [one.seen.at.target for one in _each_once(hosts)]


def test_one_that_is_named_by_its_address_and_by_the_ssh_configuration() -> None:
    assert targets(host("ssh://root@10.0.0.1", *OURS), host("ssh://mgr1", *reversed(OURS))) == ["ssh://root@10.0.0.1"]


def test_two_that_share_what_docker_gives_every_host_are_two() -> None:
    assert len(targets(host("ssh://a", *OURS), host("ssh://b", *THEIRS))) == 2
    assert len(targets(host("ssh://a", *OURS), host("ssh://b", *OURS, name="mgr2"))) == 2


def test_where_no_address_is_told_the_way_there_decides() -> None:
    assert len(targets(host("ssh://a"), host("ssh://b"))) == 2
    assert len(targets(host("ssh://a"), host("ssh://a"))) == 1
