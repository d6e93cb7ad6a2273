"""What happens to nodes: the same on the simulator and on real engines."""

from __future__ import annotations

from typing import Any

import pytest

from tests.demo.contract.cases import AGENT, SLEEP
from tests.demo.contract.platform import MANAGERS, WORKERS, Client, Platform


@pytest.fixture(autouse=True)
def tidy(client: Client) -> Any:
    """Every test begins with a Swarm of five ready, active nodes and no services."""
    yield
    for service in client.get("/services"):
        client.ok("DELETE", f"/services/{service['ID']}")
    for name in WORKERS:
        if client.node(name)["Spec"]["Availability"] != "active":
            assert client.change_node(name, Availability="active").status == 200
    client.until("all nodes are ready", lambda: states(client) == dict.fromkeys((*MANAGERS, *WORKERS), "ready"))
    client.until("no tasks are left", lambda: all(t["DesiredState"] == "complete" for t in client.get("/tasks")))


def states(client: Client, host: str = "mgr1") -> dict[str, str]:
    return {n["Description"]["Hostname"]: n["Status"]["State"] for n in client.get("/nodes", host)}


def managers(client: Client, host: str = "mgr1") -> dict[str, str]:
    """Hostname → Leader, reachable or unreachable, of all voters."""
    return {
        n["Description"]["Hostname"]: "Leader"
        if n["ManagerStatus"].get("Leader")
        else n["ManagerStatus"]["Reachability"]
        for n in client.get("/nodes", host)
        if "ManagerStatus" in n
    }


def spec(name: str, replicas: int, **more: Any) -> dict[str, Any]:
    container = {"Image": "alpine:latest", "Args": SLEEP, "StopGracePeriod": 2_000_000_000}
    template = {"ContainerSpec": container, **more}
    return {"Name": name, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": replicas}}}


def where(client: Client, tasks: list[Any]) -> list[str]:
    names = {n["ID"]: n["Description"]["Hostname"] for n in client.get("/nodes")}
    return sorted(names[t["NodeID"]] for t in tasks)


def test_drain_moves_replicas_and_stops_global_tasks(client: Client) -> None:
    placement = {"Constraints": ["node.role==worker"]}
    client.ok("POST", "/services/create", spec("web", 4, Placement=placement))
    client.ok("POST", "/services/create", AGENT)
    assert where(client, client.running("web", 4)) == ["wrk1", "wrk1", "wrk2", "wrk2"]
    client.running("agent", 5)
    assert client.change_node("wrk2", Availability="drain").status == 200
    client.until("all moved", lambda: where(client, client.running("web", 4)) == ["wrk1"] * 4)
    client.running("agent", 4)
    wrk2 = client.node("wrk2")
    assert wrk2["Status"]["State"] == "ready"
    old = [t for t in client.get("/tasks") if t.get("NodeID") == wrk2["ID"]]
    assert {(t["Status"]["State"], t["DesiredState"]) for t in old} == {("shutdown", "shutdown")}
    assert {t["Status"]["Message"] for t in old} == {"shutdown"}
    assert client.change_node("wrk2", Availability="active").status == 200
    client.running("agent", 5)
    assert where(client, client.running("web", 4)) == ["wrk1"] * 4, "Swarm never rebalances by itself"


def test_pause_keeps_tasks_and_takes_no_new_ones(client: Client) -> None:
    placement = {"Constraints": ["node.role==worker"]}
    client.ok("POST", "/services/create", spec("web", 2, Placement=placement))
    client.running("web", 2)
    assert client.change_node("wrk1", Availability="pause").status == 200

    def grow(service: Any) -> None:
        service["Mode"]["Replicated"]["Replicas"] = 5

    assert client.change_service("web", grow).status == 200
    client.until(
        "the new ones are on wrk2",
        lambda: where(client, client.running("web", 5)) == ["wrk1", "wrk2", "wrk2", "wrk2", "wrk2"],
    )


def test_nowhere_to_go_is_explained(client: Client) -> None:
    assert client.change_node("wrk2", Availability="drain").status == 200
    tests = {
        "constraint": ({"Placement": {"Constraints": ["node.labels.disk==ssd"]}}, 1),
        "reserve": ({"Resources": {"Reservations": {"NanoCPUs": 10**15}}}, 1),
        "limit": ({"Placement": {"Constraints": ["node.hostname==wrk1"], "MaxReplicas": 1}}, 2),
        "platform": ({"Placement": {"Platforms": [{"Architecture": "s390x", "OS": "linux"}]}}, 1),
    }
    for name, (more, replicas) in tests.items():
        client.ok("POST", "/services/create", spec(name, replicas, **more))

    def explained() -> dict[str, str]:
        found = {}
        for name in tests:
            texts = [t["Status"]["Err"] for t in client.tasks(name) if t["Status"].get("Err")]
            pending = [t for t in client.tasks(name) if t["Status"]["State"] == "pending"]
            if texts and pending:
                found[name] = texts[0]
        return found if len(found) == len(tests) else {}

    found = client.until("all are explained", explained)
    unavailable = "1 node not available for new tasks"
    assert set(found.pop("limit").removeprefix("no suitable node (").removesuffix(")").split("; ")) == {
        "scheduling constraints not satisfied on 3 nodes",
        "max replicas per node limit exceed",
        unavailable,
    }
    assert found == {
        "constraint": f"no suitable node (scheduling constraints not satisfied on 4 nodes; {unavailable})",
        "reserve": f"no suitable node (insufficient resources on 4 nodes; {unavailable})",
        "platform": f"no suitable node (unsupported platform on 4 nodes; {unavailable})",
    }


def test_promote_and_demote(client: Client, platform: Platform) -> None:
    before = client.node("wrk1")
    assert "ManagerStatus" not in before
    assert client.change_node("wrk1", Role="manager").status == 200
    client.until("wrk1 is reachable", lambda: managers(client).get("wrk1") == "reachable")
    node = client.until(
        "wrk1 answers for itself",
        lambda: client.ask("wrk1", "GET", "/nodes").status == 200 and client.node("wrk1", "wrk1"),
    )
    assert node["ManagerStatus"] == {"Reachability": "reachable", "Addr": f"{platform.address('wrk1')}:2377"}
    swarm = client.get("/info", "wrk1")["Swarm"]
    assert (swarm["ControlAvailable"], swarm["Managers"], swarm["LocalNodeState"]) == (True, 4, "active")
    assert node["Version"]["Index"] > before["Version"]["Index"]
    client.until("the promotion has settled", lambda: _quiet(client, "wrk1"))
    stale = client.node("wrk1")
    assert client.change_node("wrk1", Role="worker").status == 200
    client.until("wrk1 is no voter", lambda: "wrk1" not in managers(client))
    path = f"/nodes/{stale['ID']}/update?version={stale['Version']['Index']}"
    answer = client.ask("mgr1", "POST", path, stale["Spec"])
    assert (answer.status, answer.message) == (500, "rpc error: code = Unknown desc = update out of sequence")
    # While its manager stops an engine may say 503 with other words ("... swarm/control.sock: connect: no such file").
    said = "This node is not a swarm manager. Worker nodes"
    client.until("wrk1 is a worker", lambda: client.ask("wrk1", "GET", "/nodes").message.startswith(said))
    assert client.ask("wrk1", "GET", "/nodes").status == 503
    client.until("the demotion has settled", lambda: _quiet(client, "wrk1"))
    assert client.node("wrk1")["Spec"]["Role"] == "worker"


def _quiet(client: Client, name: str) -> bool:
    """Has a node's version stopped changing?"""
    import time

    before = client.node(name)["Version"]["Index"]
    time.sleep(3 / client.platform.speed)
    return bool(client.node(name)["Version"]["Index"] == before)


def test_demoting_the_leader_hands_over(client: Client) -> None:
    leader = next(name for name, status in managers(client).items() if status == "Leader")
    other = next(name for name in MANAGERS if name != leader)
    assert client.change_node(leader, other, Role="worker").status == 200
    client.until(
        "another one leads",
        lambda: leader not in managers(client, other) and "Leader" in managers(client, other).values(),
    )
    client.until("it is a worker", lambda: client.ask(leader, "GET", "/nodes").status == 503)
    client.until("all nodes are ready", lambda: set(states(client, other).values()) == {"ready"})
    client.until("the demotion has settled", lambda: client.node(leader, other)["Spec"]["Role"] == "worker")

    def promoted() -> bool:
        return client.change_node(leader, other, Role="manager").status == 200

    client.until("it is promoted again", promoted)
    client.until("it is reachable", lambda: managers(client, other).get(leader) == "reachable")
    client.until("it answers", lambda: client.ask(leader, "GET", "/nodes").status == 200)


def test_a_stopped_manager_and_a_quorum_that_may_not_be_broken(client: Client, platform: Platform) -> None:
    leader = next(name for name, status in managers(client).items() if status == "Leader")
    down, other = [name for name in MANAGERS if name != leader]
    platform.stop_docker(down)
    try:
        client.until("it is unreachable", lambda: managers(client, leader).get(down) == "unreachable")
        client.until("it is down", lambda: states(client, leader)[down] == "down", 60)
        answer = client.change_node(other, leader, Role="worker")
        assert (answer.status, answer.message) == (
            400,
            "rpc error: code = FailedPrecondition desc = can't remove member from the raft: "
            "this would result in a loss of quorum",
        )
        dead = client.node(down, leader)
        assert dead["Status"]["Message"] == "heartbeat failure"
        answer = client.ask(leader, "DELETE", f"/nodes/{dead['ID']}?force=1")
        assert answer.status == 400
        assert "is a cluster manager and is a member of the raft cluster" in answer.message
    finally:
        platform.start_docker(down)
    client.until("it is back", lambda: managers(client, leader).get(down) == "reachable", 60)
    client.until("it is ready", lambda: states(client, leader)[down] == "ready", 60)
    client.until("it answers", lambda: client.ask(down, "GET", "/nodes").status == 200)


def test_leave_remove_and_join_again(client: Client, platform: Platform) -> None:
    old = client.node("wrk2")
    assert client.ask("wrk2", "POST", "/swarm/leave").status == 200
    assert client.get("/info", "wrk2")["Swarm"]["LocalNodeState"] == "inactive"
    answer = client.ask("wrk2", "POST", "/swarm/leave")
    assert (answer.status, answer.message) == (503, "This node is not part of a swarm")
    client.until("wrk2 is down", lambda: states(client)["wrk2"] == "down", 60)
    assert client.ask("mgr1", "DELETE", f"/nodes/{old['ID']}").status == 200
    assert "wrk2" not in states(client)
    answer = client.ask("mgr1", "GET", f"/nodes/{old['ID']}")
    assert (answer.status, answer.message) == (404, f"node {old['ID']} not found")
    token = client.get("/swarm")["JoinTokens"]["Worker"]
    remote = [f"{platform.address('mgr1')}:2377"]
    request = {"ListenAddr": "0.0.0.0:2377", "RemoteAddrs": remote, "JoinToken": token}
    assert client.ask("wrk2", "POST", "/swarm/join", request).status == 200
    new = client.until("wrk2 is there", lambda: "wrk2" in states(client) and client.node("wrk2"))
    assert new["ID"] != old["ID"]
    assert new["Spec"] == {"Labels": {}, "Role": "worker", "Availability": "active"}
    answer = client.ask("wrk2", "POST", "/swarm/join", request)
    assert (answer.status, "already part of a swarm" in answer.message) == (503, True)


def test_a_node_removed_by_force_while_it_lives(client: Client, platform: Platform) -> None:
    old = client.node("wrk1")
    assert client.ask("mgr1", "DELETE", f"/nodes/{old['ID']}?force=1").status == 200
    swarm = client.get("/info", "wrk1")["Swarm"]
    assert (swarm["LocalNodeState"], swarm["NodeID"]) == ("active", old["ID"]), "it does not notice"
    platform.restart_docker("wrk1")
    swarm = client.get("/info", "wrk1")["Swarm"]
    assert (swarm["LocalNodeState"], swarm["ControlAvailable"], swarm["Error"]) == ("pending", False, "")
    assert client.ask("wrk1", "POST", "/swarm/leave?force=1").status == 200
    token = client.get("/swarm")["JoinTokens"]["Worker"]
    remote = [f"{platform.address('mgr1')}:2377"]
    request = {"ListenAddr": "0.0.0.0:2377", "RemoteAddrs": remote, "JoinToken": token}
    assert client.ask("wrk1", "POST", "/swarm/join", request).status == 200
    client.until("wrk1 is ready", lambda: states(client).get("wrk1") == "ready")


def test_joining_with_a_wrong_token_or_address(client: Client, platform: Platform) -> None:
    assert client.ask("wrk2", "POST", "/swarm/leave").status == 200
    swarm = client.get("/swarm")["JoinTokens"]
    good = swarm["Worker"]
    remote = [f"{platform.address('mgr1')}:2377"]
    base = {"ListenAddr": "0.0.0.0:2377", "RemoteAddrs": remote}
    try:
        wrong_secret = good[:-25] + "0" * 25
        answer = client.ask("wrk2", "POST", "/swarm/join", {**base, "JoinToken": wrong_secret})
        assert (answer.status, answer.message) == (
            400,
            "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster",
        )
        answer = client.ask("wrk2", "POST", "/swarm/join", {**base, "JoinToken": "nonsense"})
        assert (answer.status, answer.message) == (500, "invalid join token")
        answer = client.ask("wrk2", "POST", "/swarm/join", {**base, "RemoteAddrs": [], "JoinToken": good})
        assert (answer.status, answer.message) == (400, "at least 1 RemoteAddr is required to join")
        other_ca = good[:9] + "0" * 50 + good[59:]
        answer = client.ask("wrk2", "POST", "/swarm/join", {**base, "JoinToken": other_ca})
        assert answer.status == 500
        assert "remote CA does not match fingerprint" in answer.message
    finally:
        old = client.node("wrk2")
        client.until("wrk2 is down", lambda: states(client)["wrk2"] == "down", 60)
        client.ok("DELETE", f"/nodes/{old['ID']}")
        assert client.ask("wrk2", "POST", "/swarm/join", {**base, "JoinToken": good}).status == 200
        client.until("wrk2 is ready", lambda: states(client).get("wrk2") == "ready")
