"""Locks, lost quorum and forced clusters: the same on the simulator and on real engines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.demo.contract.platform import MANAGERS, Client, Platform

LOCKED = (
    'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.'
)
NO_LEADER = (
    "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers "
    "are online. Make sure more than half of the managers are online."
)
DEADLINE = "rpc error: code = DeadlineExceeded desc = context deadline exceeded"


def managers(client: Client, host: str = "mgr1") -> dict[str, str]:
    """Hostname → Leader, reachable or unreachable, of all voters."""
    return {
        n["Description"]["Hostname"]: "Leader"
        if n["ManagerStatus"].get("Leader")
        else n["ManagerStatus"]["Reachability"]
        for n in client.get("/nodes", host)
        if "ManagerStatus" in n
    }


def update_swarm(client: Client, query: str = "", **change: Any) -> Any:
    swarm = client.get("/swarm")
    spec = {**swarm["Spec"], **change}
    return client.ask("mgr1", "POST", f"/swarm/update?version={swarm['Version']['Index']}{query}", spec)


def all_well(client: Client) -> bool:
    found = managers(client)
    return set(found) == set(MANAGERS) and sorted(found.values()) == ["Leader", "reachable", "reachable"]


@pytest.fixture(autouse=True)
def all_dockers_run(request: pytest.FixtureRequest, platform: Platform) -> Iterator[None]:
    """A test that failed half-way does not take those after it along."""
    yield
    if "forced" not in request.node.name and "force_new" not in request.node.name:
        for name in MANAGERS:
            if not platform.docker_runs(name):
                platform.start_docker(name)


def test_rotating_tokens(client: Client) -> None:
    before = client.get("/swarm")["JoinTokens"]
    assert update_swarm(client, "&rotateWorkerToken=true").status == 200
    after = client.get("/swarm")["JoinTokens"]
    assert after["Manager"] == before["Manager"]
    assert after["Worker"] != before["Worker"]
    assert after["Worker"].split("-")[2] == before["Worker"].split("-")[2], "the same CA"
    assert update_swarm(client, "&rotateManagerToken=1").status == 200
    assert client.get("/swarm")["JoinTokens"]["Manager"] != before["Manager"]


def test_autolock(client: Client, platform: Platform) -> None:
    assert client.get("/swarm/unlockkey") == {"UnlockKey": ""}
    locking = {"EncryptionConfig": {"AutoLockManagers": True}}
    assert update_swarm(client, **locking).status == 200
    key = client.get("/swarm/unlockkey")["UnlockKey"]
    assert key.startswith("SWMKEY-1-")
    assert len(key) == len("SWMKEY-1-") + 43
    time.sleep(3 / platform.speed)
    platform.restart_docker("mgr3")
    swarm = client.get("/info", "mgr3")["Swarm"]
    assert (swarm["LocalNodeState"], swarm["ControlAvailable"], swarm["Error"]) == ("locked", False, LOCKED)
    for method, path, body in (
        ("GET", "/nodes", None),
        ("GET", "/services", None),
        ("GET", "/tasks", None),
        ("GET", "/swarm", None),
        ("GET", "/swarm/unlockkey", None),
        ("POST", "/swarm/update?version=1", {}),
    ):
        answer = client.ask("mgr3", method, path, body)
        assert (answer.status, answer.message) == (503, LOCKED), path
    answer = client.ask("mgr3", "POST", "/swarm/leave")
    assert (answer.status, answer.message) == (
        503,
        "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.",
    )
    for wrong, expected in (
        ("nonsense", (400, "invalid key string")),
        ("SWMKEY-1-" + "A" * 43, (401, "swarm could not be unlocked: invalid key provided")),
    ):
        answer = client.ask("mgr3", "POST", "/swarm/unlock", {"UnlockKey": wrong})
        assert (answer.status, answer.message) == expected
    assert client.ask("mgr3", "POST", "/swarm/unlock", {"UnlockKey": key}).status == 200
    client.until("mgr3 answers", lambda: client.ask("mgr3", "GET", "/nodes").status == 200)
    client.until("all is well", lambda: all_well(client))
    assert update_swarm(client, "&rotateManagerUnlockKey=true", **locking).status == 200
    rotated = client.get("/swarm/unlockkey", "mgr2")["UnlockKey"]
    assert rotated != key
    time.sleep(3 / platform.speed)
    platform.stop_docker("mgr3")
    assert update_swarm(client, "&rotateManagerUnlockKey=true", **locking).status == 200
    newest = client.get("/swarm/unlockkey")["UnlockKey"]
    platform.start_docker("mgr3")
    answer = client.ask("mgr3", "POST", "/swarm/unlock", {"UnlockKey": newest})
    assert answer.status == 401, "a manager that was down during the rotation needs the old key"
    assert client.ask("mgr3", "POST", "/swarm/unlock", {"UnlockKey": rotated}).status == 200
    client.until("all is well", lambda: all_well(client))
    assert update_swarm(client, EncryptionConfig={"AutoLockManagers": False}).status == 200
    assert client.get("/swarm/unlockkey") == {"UnlockKey": ""}
    time.sleep(3 / platform.speed)
    platform.restart_docker("mgr3")
    client.until("mgr3 answers without a key", lambda: client.ask("mgr3", "GET", "/nodes").status == 200)
    client.until("all is well", lambda: all_well(client))


def test_lost_quorum(client: Client, platform: Platform) -> None:
    client.until("all is well", lambda: all_well(client))
    leader = next(name for name, status in managers(client).items() if status == "Leader")
    survivor, other = [name for name in MANAGERS if name != leader]
    platform.stop_docker(other)
    platform.stop_docker(leader)
    begun = time.monotonic()
    answer = client.ask(survivor, "GET", "/nodes")
    took = (time.monotonic() - begun) * platform.speed
    assert answer.status == 500
    assert answer.message in (DEADLINE, NO_LEADER)
    # A real manager hangs, unless stopping the leader took so long that an election has already failed by now.
    assert took < 45
    assert platform.speed == 1 or took > 15, "the simulator's hangs before it gives up"
    client.until("it says so at once", lambda: client.ask(survivor, "GET", "/nodes").message == NO_LEADER, 90)
    begun = time.monotonic()
    for method, path, body in (
        ("GET", "/nodes", None),
        ("GET", "/services", None),
        ("GET", "/tasks", None),
        ("GET", "/swarm", None),
        ("POST", "/services/create", {"Name": "x", "TaskTemplate": {"ContainerSpec": {"Image": "alpine"}}}),
    ):
        answer = client.ask(survivor, method, path, body)
        assert (answer.status, answer.message) == (500, NO_LEADER), path
    assert time.monotonic() - begun < 5
    swarm = client.get("/info", survivor)["Swarm"]
    assert (swarm["LocalNodeState"], swarm["ControlAvailable"], swarm["Error"]) == ("active", True, NO_LEADER)
    assert "Nodes" not in swarm
    assert "Managers" not in swarm
    assert swarm["Cluster"]["ID"] == ""
    assert client.get("/_ping".replace("_ping", "version"), survivor)["ApiVersion"]
    platform.start_docker(other)
    client.until("it is back with two of three", lambda: client.ask(survivor, "GET", "/nodes").status == 200, 90)
    platform.start_docker(leader)
    client.until("all is well", lambda: client.ask("mgr1", "GET", "/nodes").status == 200 and all_well(client), 90)
    client.until("all nodes are ready", lambda: {n["Status"]["State"] for n in client.get("/nodes")} == {"ready"}, 60)


def test_restarted_without_quorum(client: Client, platform: Platform) -> None:
    client.until("all is well", lambda: all_well(client))
    for name in ("mgr2", "mgr3", "mgr1"):
        platform.stop_docker(name)
    platform.start_docker("mgr1")
    swarm = client.get("/info")["Swarm"]
    assert (swarm["LocalNodeState"], swarm["ControlAvailable"], swarm["Error"]) == ("pending", True, NO_LEADER)
    answer = client.ask("mgr1", "GET", "/nodes")
    assert (answer.status, answer.message) == (500, NO_LEADER)
    platform.start_docker("mgr2")
    platform.start_docker("mgr3")
    client.until("all is well", lambda: client.ask("mgr1", "GET", "/nodes").status == 200 and all_well(client), 90)
    client.until("all nodes are ready", lambda: {n["Status"]["State"] for n in client.get("/nodes")} == {"ready"}, 60)


def test_force_new_cluster(client: Client, platform: Platform) -> None:
    """The last one: it breaks the Swarm for good."""
    client.until("all is well", lambda: all_well(client))
    before = client.get("/info")["Swarm"]
    ids = {n["Description"]["Hostname"]: n["ID"] for n in client.get("/nodes")}
    for name in ("mgr2", "mgr3"):
        platform.stop_docker(name)
    request = {"ForceNewCluster": True, "AdvertiseAddr": platform.address("mgr1")}
    request["ListenAddr"] = "0.0.0.0:2377"
    answer = client.ask("mgr1", "POST", "/swarm/init", request)
    assert (answer.status, answer.json) == (200, before["NodeID"])
    swarm = client.until("it leads", lambda: (s := client.get("/info")["Swarm"]).get("Managers") == 1 and s)
    assert (swarm["Cluster"]["ID"], swarm["Nodes"]) == (before["Cluster"]["ID"], 5)
    assert managers(client) == {"mgr1": "Leader"}
    dead = client.node("mgr2")
    assert dead["Spec"]["Role"] == "manager"
    assert "ManagerStatus" not in dead
    answer = client.change_node("mgr2", Role="worker")
    assert (answer.status, answer.message) == (
        404,
        "rpc error: code = NotFound desc = can't find manager in raft memberlist",
    )
    client.until(
        "the dead are down",
        lambda: (
            {n["Description"]["Hostname"] for n in client.get("/nodes") if n["Status"]["State"] == "down"}
            == {"mgr2", "mgr3"}
        ),
        60,
    )
    for name in ("mgr2", "mgr3"):
        assert client.ask("mgr1", "DELETE", f"/nodes/{ids[name]}").status == 200
    client.until(
        "the workers are back",
        lambda: (
            {n["Description"]["Hostname"]: n["Status"]["State"] for n in client.get("/nodes")}
            == {"mgr1": "ready", "wrk1": "ready", "wrk2": "ready"}
        ),
        60,
    )


@pytest.mark.parametrize("path", ["/nodes", "/services"])
def test_a_forced_cluster_still_answers(client: Client, path: str) -> None:
    assert isinstance(client.get(path), list)
