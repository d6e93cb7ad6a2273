"""What comes after a forced cluster: the same on the simulator and on real engines. One story, told in this order.

The counts that lie, old managers that come back alone and together, fencing, another address, workers that are told.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.demo.contract.platform import Client, Platform
from tests.demo.contract.test_swarm import NO_LEADER, managers

SWARM = "/var/lib/docker/swarm"
SLEEP = {"Image": "alpine:latest", "Args": ["sleep", "1000000"], "StopGracePeriod": 1_000_000_000}

pytestmark = pytest.mark.full("26.1")


def states(client: Client, host: str = "mgr1") -> dict[str, str]:
    return {n["Description"]["Hostname"]: n["Status"]["State"] for n in client.get("/nodes", host)}


def swarm(client: Client, host: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/info", host)["Swarm"]
    return found


def listed(platform: Platform, host: str = "mgr1") -> dict[str, str]:
    """What `docker service ls` says."""
    told, code = platform.run(host, "docker service ls --format '{{.Name}} {{.Replicas}}'")
    assert code == 0
    return dict(line.split() for line in told.splitlines())


def force(client: Client, platform: Platform, host: str, address: str = "") -> None:
    body = {"ForceNewCluster": True, "AdvertiseAddr": address or platform.address(host), "ListenAddr": "0.0.0.0:2377"}
    answer = client.ask(host, "POST", "/swarm/init", body)
    assert answer.status == 200, answer


def fence(platform: Platform, host: str) -> None:
    assert platform.run(host, "systemctl stop docker.socket docker.service")[1] == 0
    assert platform.run(host, f"mv {SWARM} {SWARM}.fenced-1") == ("", 0)


def test_counts_lie_after_a_force(client: Client, platform: Platform) -> None:
    for name, mode in (("agent", {"Global": {}}), ("web", {"Replicated": {"Replicas": 5}})):
        endpoint = {"Mode": "dnsrr"}
        spec = {"Name": name, "TaskTemplate": {"ContainerSpec": SLEEP}, "Mode": mode, "EndpointSpec": endpoint}
        client.ok("POST", "/services/create", spec)
        client.running(name, 5)
    for name in ("mgr2", "mgr3"):
        platform.stop_docker(name)
    force(client, platform, "mgr1")
    client.until("it leads", lambda: managers(client) == {"mgr1": "Leader"})
    gone = {"mgr2": "down", "mgr3": "down"}
    there = dict.fromkeys(("mgr1", "wrk1", "wrk2"), "ready")
    client.until("the dead are seen to be", lambda: states(client) == {**there, **gone}, 90)
    dead = {client.node(name)["ID"] for name in gone}

    def replaced() -> bool:
        alive = [t for t in client.tasks("web") if t.get("NodeID") not in dead and t["Status"]["State"] == "running"]
        return len(alive) == 5 and all(t["DesiredState"] == "running" for t in alive)

    client.until("the replicas run elsewhere", replaced, 60)
    lost = [t for t in client.tasks("web") if t.get("NodeID") in dead]
    assert {(t["Status"]["State"], t["DesiredState"]) for t in lost} == {("running", "shutdown")}
    assert listed(platform) == {"agent": "5/3", "web": f"{5 + len(lost)}/5"}
    for node_id in sorted(dead):
        client.ok("DELETE", f"/nodes/{node_id}")
    client.until("it tells the truth again", lambda: listed(platform) == {"agent": "3/3", "web": "5/5"})


def test_one_that_was_removed_is_pending_for_ever(client: Client, platform: Platform) -> None:
    platform.start_docker("mgr2")
    for _ in range(2):
        found = swarm(client, "mgr2")
        assert (found["LocalNodeState"], found["ControlAvailable"], found["Error"]) == ("pending", True, NO_LEADER)
    answer = client.ask("mgr2", "GET", "/nodes")
    assert (answer.status, answer.message) == (500, NO_LEADER)
    assert len(found["RemoteManagers"]) == 3, "it knows the old ones only"
    said = "journalctl -u docker --no-pager -n 400"
    client.until("it is told why", lambda: "was removed from swarm" in platform.run("mgr2", said)[0], 60)
    assert states(client).keys() == {"mgr1", "wrk1", "wrk2"}


def test_two_of_them_are_a_second_cluster(client: Client, platform: Platform) -> None:
    platform.start_docker("mgr3")

    def second() -> bool:
        answer = client.ask("mgr2", "GET", "/nodes")
        found = managers(client, "mgr2") if answer.status == 200 else {}
        return sorted(found.values()) == ["Leader", "reachable", "unreachable"] and found["mgr1"] == "unreachable"

    client.until("they lead a Swarm", second, 90)
    one, other = swarm(client, "mgr1"), swarm(client, "mgr2")
    assert one["Cluster"]["ID"] == other["Cluster"]["ID"]
    assert (one["Nodes"], one["Managers"], other["Nodes"], other["Managers"]) == (3, 1, 5, 3)
    assert managers(client) == {"mgr1": "Leader"}
    wanted = {"mgr1": "down", "mgr2": "ready", "mgr3": "ready", "wrk1": "down", "wrk2": "down"}
    client.until("workers stay with the one they have", lambda: states(client, "mgr2") == wanted, 90)
    assert states(client) == dict.fromkeys(("mgr1", "wrk1", "wrk2"), "ready")


def test_fenced_ones_are_in_no_swarm_and_join_again(client: Client, platform: Platform) -> None:
    for name in ("mgr2", "mgr3"):
        fence(platform, name)
        assert platform.run(name, f"test -e {SWARM}")[1] == 1
        platform.start_docker(name)
        assert platform.run(name, f"stat -c '%a %F' {SWARM} && ls {SWARM}") == ("700 directory\n", 0)
        assert swarm(client, name)["LocalNodeState"] == "inactive"
    token = client.get("/swarm")["JoinTokens"]["Manager"]
    address = platform.address("mgr1")
    assert platform.run("mgr2", f"docker swarm join --token {token} {address}:2377 >/dev/null") == ("", 0)
    client.until("it is a manager", lambda: managers(client).get("mgr2") == "reachable", 60)
    client.until("nobody is missed", lambda: set(states(client).values()) == {"ready"}, 60)


def test_another_address_is_not_the_rafts(client: Client, platform: Platform) -> None:
    """mgr1 is forced with another address than the raft has of it, as in a restore elsewhere; nobody checks it."""
    fence(platform, "mgr2")
    extra = platform.address("mgr1").rpartition(".")[0] + ".99"
    force(client, platform, "mgr1", extra)
    client.until("it leads", lambda: managers(client) == {"mgr1": "Leader"})
    node = client.node("mgr1")
    assert node["ManagerStatus"]["Addr"] == f"{platform.address('mgr1')}:2377"
    assert swarm(client, "mgr1")["NodeAddr"] == extra


def test_a_worker_that_is_told_where_its_manager_is(client: Client, platform: Platform) -> None:
    before = swarm(client, "wrk1")
    assert platform.run("wrk1", "systemctl stop docker.socket docker.service")[1] == 0
    nowhere = '[{"node_id":"%s","addr":"%s:2377"}]'
    gone = nowhere % (swarm(client, "mgr1")["NodeID"], platform.address("mgr1").rpartition(".")[0] + ".77")
    assert platform.run("wrk1", f"umask 077; cat >{SWARM}/state.json", gone) == ("", 0)
    platform.start_docker("wrk1")
    client.until("it is missed", lambda: states(client)["wrk1"] == "down", 60)
    assert platform.run("wrk1", "systemctl stop docker.socket docker.service")[1] == 0
    told = nowhere % (swarm(client, "mgr1")["NodeID"], platform.address("mgr1"))
    assert platform.run("wrk1", f"umask 077; cat >{SWARM}/state.json", told) == ("", 0)
    platform.start_docker("wrk1")
    client.until("it is back", lambda: states(client)["wrk1"] == "ready", 60)
    assert swarm(client, "wrk1")["NodeID"] == before["NodeID"]
