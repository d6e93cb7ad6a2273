"""What happens to services and their tasks: the same on the simulator and on real engines."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any

import pytest

from tests.demo.contract.cases import SLEEP
from tests.demo.contract.platform import Client, _Unix, filters


@pytest.fixture(autouse=True)
def tidy(client: Client) -> Any:
    """Every test begins without services. (Engine 20.10 never forgets the complete tasks of a removed job.)"""
    yield
    for service in client.get("/services"):
        client.ok("DELETE", f"/services/{service['ID']}")
    client.until("no tasks are left", lambda: all(t["DesiredState"] == "complete" for t in client.get("/tasks")))


def spec(name: str, replicas: int, args: list[str] | None = None, **more: Any) -> dict[str, Any]:
    container = {"Image": "alpine:latest", "Args": args or SLEEP, "StopGracePeriod": 1_000_000_000}
    return {
        "Name": name,
        "TaskTemplate": {"ContainerSpec": container, "RestartPolicy": {"Delay": 1_000_000_000}},
        "Mode": {"Replicated": {"Replicas": replicas}},
        **more,
    }


def slots(tasks: list[Any]) -> list[int]:
    return sorted(t["Slot"] for t in tasks)


def status(client: Client, name: str) -> Any:
    return client.service(name).get("UpdateStatus", {})


def test_scaling_up_and_down(client: Client) -> None:
    client.ok("POST", "/services/create", spec("web", 2))
    assert slots(client.running("web", 2)) == [1, 2]

    def to(number: int) -> Any:
        return lambda service: service["Mode"]["Replicated"].__setitem__("Replicas", number)

    first = {t["ID"] for t in client.tasks("web")}
    assert client.change_service("web", to(4)).json == {"Warnings": None}
    assert slots(client.running("web", 4)) == [1, 2, 3, 4]
    assert first <= {t["ID"] for t in client.tasks("web")}, "scaling restarts nothing"
    assert "UpdateStatus" not in client.service("web")
    client.change_service("web", to(1))
    client.running("web", 1)
    client.until("only one task is listed", lambda: len(client.tasks("web")) == 1)
    client.change_service("web", to(0))
    client.running("web", 0)
    listed = client.get(f"/services?status=true&filters={filters(name=['web'])}")[0]
    assert listed["ServiceStatus"] == {"RunningTasks": 0, "DesiredTasks": 0, "CompletedTasks": 0}
    assert listed["PreviousSpec"]["Mode"] == {"Replicated": {"Replicas": 1}}


def test_a_rollout_goes_one_by_one_and_keeps_history(client: Client) -> None:
    config = {"Parallelism": 1, "Monitor": 1_000_000_000}
    client.ok("POST", "/services/create", spec("web", 3, UpdateConfig=config))
    before = {t["ID"] for t in client.running("web", 3)}

    def change(service: Any) -> None:
        service["TaskTemplate"]["ContainerSpec"]["Env"] = ["RELEASE=2"]

    assert client.change_service("web", change).status == 200
    assert status(client, "web").get("State", "updating") == "updating"
    most = 0

    def complete() -> bool:
        nonlocal most
        wanted = [t for t in client.tasks("web") if t["DesiredState"] in ("running", "ready")]
        most = max(most, 3 - sum(t["Status"]["State"] == "running" for t in wanted))
        return bool(status(client, "web").get("State") == "completed")

    client.until("the rollout is complete", complete, 60)
    assert most <= 1, "one task at a time"
    found = status(client, "web")
    assert set(found) == {"State", "StartedAt", "CompletedAt", "Message"}
    assert found["Message"] == "update completed"
    tasks = client.tasks("web")
    assert slots([t for t in tasks if t["ID"] in before]) == [1, 2, 3]
    old = [t for t in tasks if t["ID"] in before]
    assert {(t["DesiredState"], t["Status"]["State"]) for t in old} == {("shutdown", "shutdown")}
    assert all(t["Spec"]["ContainerSpec"]["Env"] == ["RELEASE=2"] for t in tasks if t["ID"] not in before)
    assert client.change_service("web", lambda service: None, "&rollback=previous").status == 200
    assert status(client, "web")["State"] == "rollback_started"
    assert status(client, "web")["Message"] == "manually requested rollback"
    client.until("the rollback is complete", lambda: status(client, "web").get("State") == "rollback_completed", 60)
    assert status(client, "web")["Message"] == "rollback completed"
    assert "Env" not in client.service("web")["Spec"]["TaskTemplate"]["ContainerSpec"]


@pytest.mark.parametrize(
    ("action", "state", "words"),
    [
        ("pause", "paused", "update paused due to failure or early termination of task "),
        ("rollback", "rollback_completed", "rollback completed"),
    ],
)
def test_a_bad_release(client: Client, action: str, state: str, words: str) -> None:
    config = {"Parallelism": 1, "Delay": 4_000_000_000, "Monitor": 3_000_000_000, "FailureAction": action}
    client.ok("POST", "/services/create", spec("web", 2, UpdateConfig=config))
    client.running("web", 2)

    def change(service: Any) -> None:
        service["TaskTemplate"]["ContainerSpec"]["Args"] = ["sh", "-c", "sleep 1; exit 3"]

    assert client.change_service("web", change).status == 200
    client.until(f"it is {state}", lambda: status(client, "web").get("State") == state, 60)
    assert status(client, "web")["Message"].startswith(words)
    if action == "rollback":
        assert client.service("web")["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"] == SLEEP
        client.running("web", 2)
    else:
        running = [t for t in client.tasks("web") if t["Status"]["State"] == "running"]
        assert any(t["Spec"]["ContainerSpec"]["Args"] == SLEEP for t in running), "the rest stays as it was"


def test_failing_tasks_are_started_again_and_five_are_remembered(client: Client) -> None:
    client.ok("POST", "/services/create", spec("bad", 1, ["sh", "-c", "sleep 1; exit 3"]))
    client.until("five are listed", lambda: len(client.tasks("bad")) == 5, 90)
    failed = [t for t in client.tasks("bad") if t["Status"]["State"] == "failed"]
    assert len(failed) >= 3
    for task in failed:
        assert task["Status"]["Err"] == "task: non-zero exit (3)"
        assert task["Status"]["Message"] == "started"
        assert task["Status"]["ContainerStatus"]["ExitCode"] == 3
        assert task["DesiredState"] in ("shutdown", "running")
    seen = {t["ID"] for t in client.tasks("bad")}
    client.until("an old one is forgotten", lambda: not seen <= {t["ID"] for t in client.tasks("bad")}, 60)
    assert len(client.tasks("bad")) <= 6


@pytest.mark.parametrize(
    ("policy", "args", "state"),
    [
        ({"Condition": "none"}, ["sh", "-c", "sleep 1; exit 3"], "failed"),
        ({"Condition": "on-failure"}, ["sleep", "1"], "complete"),
    ],
)
def test_a_restart_policy_that_ends_it(client: Client, policy: dict[str, Any], args: list[str], state: str) -> None:
    body = spec("once", 1, args)
    body["TaskTemplate"]["RestartPolicy"] = policy
    client.ok("POST", "/services/create", body)
    client.until("it has ended", lambda: [t["Status"]["State"] for t in client.tasks("once")] == [state])
    task = client.until("it is over", lambda: (t := client.tasks("once"))[0]["DesiredState"] == "shutdown" and t[0])
    assert task["Status"]["Message"] == ("finished" if state == "complete" else "started")
    import time

    time.sleep(4 / client.platform.speed)
    assert len(client.tasks("once")) == 1


def test_an_image_that_is_nowhere(client: Client) -> None:
    body = spec("web", 1)
    body["TaskTemplate"]["ContainerSpec"]["Image"] = "nosuch:1"
    client.ok("POST", "/services/create", body)
    task = client.until(
        "it is rejected", lambda: next((t for t in client.tasks("web") if t["Status"]["State"] == "rejected"), None)
    )
    assert task["Status"]["Err"] == "No such image: nosuch:1"
    assert task["Status"]["Message"] == "preparing"
    assert task["Status"]["ContainerStatus"]["ContainerID"] == ""


def test_a_global_job_and_a_replicated_job(client: Client) -> None:
    body = spec("job", 0, ["sleep", "1"])
    del body["TaskTemplate"]["RestartPolicy"]
    body["Mode"] = {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 3}}
    client.ok("POST", "/services/create", body)
    client.until(
        "three are complete",
        lambda: sum(t["Status"]["State"] == "complete" for t in client.tasks("job")) == 3,
    )
    assert {t["DesiredState"] for t in client.tasks("job")} == {"complete"}
    listed = client.get(f"/services?status=true&filters={filters(mode=['replicated-job'])}")[0]
    assert listed["ServiceStatus"] == {"RunningTasks": 0, "DesiredTasks": 2, "CompletedTasks": 3}
    assert set(listed["JobStatus"]) == {"JobIteration", "LastExecution"}


def test_a_secret_in_use_cannot_go(client: Client) -> None:
    made = client.ok("POST", "/secrets/create", {"Name": "s9", "Data": "eAo="})
    try:
        body = spec("web", 1)
        reference = {"File": {"Name": "s9", "UID": "0", "GID": "0", "Mode": 292}}
        body["TaskTemplate"]["ContainerSpec"]["Secrets"] = [{**reference, "SecretID": made["ID"], "SecretName": "s9"}]
        client.ok("POST", "/services/create", body)
        answer = client.ask("mgr1", "DELETE", f"/secrets/{made['ID']}")
        assert (answer.status, answer.message) == (
            400,
            "rpc error: code = InvalidArgument desc = secret 's9' is in use by the following service: web",
        )
        assert "Data" not in client.get("/secrets/s9")["Spec"]
        client.ok("DELETE", "/services/web")
    finally:
        client.until("it can go now", lambda: client.ask("mgr1", "DELETE", "/secrets/s9").status == 204)


def test_events_tell_of_services_and_nodes(client: Client) -> None:
    seen: list[Any] = []
    ready = threading.Event()

    def listen() -> None:
        link = _Unix(client.platform.socket("mgr2"), 60)
        link.request("GET", f"/events?filters={filters(scope=['swarm'])}")
        response = link.getresponse()
        ready.set()
        try:
            while not any(e["Action"] == "remove" for e in seen):
                seen.append(json.loads(response.readline()))
        except (OSError, ValueError, http.client.HTTPException):
            pass
        link.close()

    listener = threading.Thread(target=listen)
    listener.start()
    assert ready.wait(10)
    client.ok("POST", "/services/create", spec("web", 1))
    client.running("web", 1)
    client.change_service("web", lambda s: s["Mode"]["Replicated"].__setitem__("Replicas", 2))
    client.running("web", 2)
    assert client.change_node("wrk1", Availability="pause").status == 200
    assert client.change_node("wrk1", Availability="active").status == 200
    service = client.service("web")
    node = client.node("wrk1")
    client.ok("DELETE", "/services/web")
    listener.join(20)
    assert not listener.is_alive()
    told = [(e["Type"], e["Action"], e["Actor"]["ID"], e["Actor"]["Attributes"]) for e in seen]
    assert ("service", "create", service["ID"], {"name": "web"}) in told
    replicas = {"name": "web", "replicas.new": "2", "replicas.old": "1"}
    assert ("service", "update", service["ID"], replicas) in told
    paused = {"availability.new": "pause", "availability.old": "active", "name": "wrk1"}
    assert ("node", "update", node["ID"], paused) in told
    assert ("service", "remove", service["ID"], {"name": "web"}) in told
    assert all(
        e["scope"] == "swarm" and set(e) == {"Type", "Action", "Actor", "scope", "time", "timeNano"} for e in seen
    )


def test_logs_are_followed(client: Client) -> None:
    body = spec("web", 1)
    body["TaskTemplate"]["ContainerSpec"] |= {"Command": ["sh", "-c", "echo one; sleep 1000000"], "Args": []}
    client.ok("POST", "/services/create", body)
    client.running("web", 1)
    link = _Unix(client.platform.socket("mgr2"), 60)
    try:
        link.request("GET", "/services/web/logs?stdout=1&stderr=1&follow=1&timestamps=1")
        response = link.getresponse()
        assert response.status == 200
        lines = [_one_line(response)]
        assert client.change_service("web", lambda s: s["TaskTemplate"].__setitem__("ForceUpdate", 1)).status == 200
        lines.append(_one_line(response))
        assert client.change_service("web", lambda s: s["TaskTemplate"].__setitem__("ForceUpdate", 2)).status == 200
        lines.append(_one_line(response))
    finally:
        link.close()
    assert [text for _, text in lines] == ["one"] * 3
    times = [when for when, _ in lines]
    assert times == sorted(set(times)), "each of another task, and none twice"
    client.ok("DELETE", "/services/web")


def _one_line(response: http.client.HTTPResponse) -> tuple[str, str]:
    """The next line of a log in the engine's framing: time and text."""
    head = response.read(8)
    when, _, text = response.read(int.from_bytes(head[4:], "big")).decode().partition(" ")
    return when, text.rstrip("\n")
