"""Locks, lost quorum and forced clusters: the same on the simulator and on real engines."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from swarmtui.link import job_scripts
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


FOLDER = "/var/lib/swarmtui/jobs/20261121T201500Z-3fa2b1c0"
UNIT = "swarmtui-job-20261121T201500Z-3fa2b1c0"
COLD = {
    "swarm/": "drwx------",
    "swarm/certificates/": "drwxr-xr-x",
    "swarm/certificates/swarm-node.crt": "-rw-r--r--",
    "swarm/certificates/swarm-node.key": "-rw-------",
    "swarm/certificates/swarm-root-ca.crt": "-rw-r--r--",
    "swarm/docker-state.json": "-rw-------",
    "swarm/raft/": "drwx------",
    "swarm/raft/snap-v3-encrypted/": "drwx------",
    "swarm/raft/wal-v3-encrypted/": "drwx------",
    "swarm/raft/wal-v3-encrypted/0000000000000000-0000000000000000.wal": "-rw-------",
    "swarm/state.json": "-rw-------",
    "swarm/worker/": "drwxr-xr-x",
    "swarm/worker/tasks.db": "-rw-r--r--",
}
WAL = "raft/wal-v3-encrypted/0000000000000000-0000000000000000.wal"
SIZES = {WAL: "64000000", "worker/tasks.db": "32768"}


def launch(platform: Platform, work: job_scripts.Archiving) -> None:
    """Start a job on mgr3 as the product does."""
    said, code = platform.run("mgr3", f"rm -rf {FOLDER} && mkdir -p -m 0700 /var/lib/swarmtui/jobs {FOLDER}")
    assert (said, code) == ("", 0)
    for name, text in (("job.sh", job_scripts.job(work)), ("after.sh", job_scripts.after(work))):
        assert platform.run("mgr3", f"tee {FOLDER}/{name} > /dev/null", text) == ("", 0)
    line = (
        f"systemd-run --quiet --collect --unit={UNIT} --property=TimeoutStopSec=infinity "
        f"'--property=ExecStopPost=/bin/sh {FOLDER}/after.sh' /bin/sh {FOLDER}/job.sh"
    )
    assert platform.run("mgr3", line) == ("", 0)


def notes(platform: Platform) -> list[str]:
    """What a job has noted so far, without times and sizes."""
    said, _ = platform.run("mgr3", f"cat {FOLDER}/status 2>/dev/null")
    return [line.split(" ")[2] for line in said.splitlines()]


def is_over(client: Client, platform: Platform) -> list[str]:
    """Wait until the unit is gone; returns the notes."""
    client.until("the job is over", lambda: platform.run("mgr3", f"systemctl is-active {UNIT}")[0] == "inactive\n")
    assert platform.run("mgr3", f"systemctl is-active {UNIT}")[1] in (3, 4)
    return notes(platform)


def test_a_job_stops_docker_archives_its_swarm_and_starts_it_again(client: Client, platform: Platform) -> None:
    client.until("all is well", lambda: all_well(client))
    launch(platform, job_scripts.Archiving(FOLDER, "/var/lib/docker", 900))
    client.until("Docker is stopped", lambda: "stopped" in notes(platform), 60)
    assert is_over(client, platform) == ["begin", "stopping", "stopped", "archiving", "archived", "started", "done"]
    listed, code = platform.run("mgr3", f"tar -tvf {FOLDER}/archive.tar")
    assert code == 0
    lines = [line.split() for line in listed.splitlines()]
    # A manager that was away or a worker meanwhile has got a snapshot from the leader.
    found = {words[-1]: words[0] for words in lines if not words[-1].endswith(".snap")}
    assert found == COLD
    assert {words[1] for words in lines} == {"0/0"}
    sizes = {words[-1].removeprefix("swarm/"): words[2] for words in lines}
    assert {name: sizes[name] for name in SIZES} == SIZES
    sums, code = platform.run("mgr3", f"cat {FOLDER}/sum && sha256sum {FOLDER}/archive.tar")
    assert code == 0
    assert len({line.split()[0] for line in sums.splitlines()}) == 1
    assert platform.run("mgr3", f"stat -c '%a %U' {FOLDER} {FOLDER}/archive.tar {FOLDER}/status")[0] == (
        "700 root\n600 root\n600 root\n"
    )
    client.until("it is back", lambda: all_well(client), 60)
    assert platform.run("mgr3", f"rm -rf {FOLDER} && test -e {FOLDER}") == ("", 1)


def test_a_killed_job_leaves_docker_running(client: Client, platform: Platform) -> None:
    client.until("all is well", lambda: all_well(client))
    launch(platform, job_scripts.Archiving(FOLDER, "/var/lib/docker", 900))
    client.until("it has begun", lambda: notes(platform)[:1] == ["begin"], 60)
    pid = platform.run("mgr3", f"systemctl show --property=MainPID --value {UNIT}")[0].strip()
    platform.run("mgr3", f"kill -9 {pid}")
    found = is_over(client, platform)
    assert found[-1] in ("begin", "started", "done"), found
    assert platform.run("mgr3", "systemctl is-active docker.socket docker.service") == ("active\nactive\n", 0)
    client.until("it is back", lambda: all_well(client), 60)


def test_what_a_host_says_while_docker_is_stopped(client: Client, platform: Platform) -> None:
    client.until("all is well", lambda: all_well(client))
    platform.stop_docker("mgr3")
    with pytest.raises(OSError, match=r"refused|No such file"):
        client.ask("mgr3", "GET", "/_ping")
    folder = "/var/lib/docker/swarm"
    assert platform.run("mgr3", "systemctl is-active docker.socket docker.service") == ("inactive\ninactive\n", 3)
    assert platform.run("mgr3", f"test -e {folder}/raft/wal-v3-encrypted/0.tmp")[1] == 1
    head, _ = platform.run("mgr3", f"head -n 2 {folder}/certificates/swarm-node.key")
    # Without autolock too: the cluster's version when it joined, or when autolock was turned off.
    assert re.fullmatch(r"-----BEGIN PRIVATE KEY-----\nkek-version: [1-9]\d*\n", head)
    assert platform.run("mgr3", f"ls {folder}")[0].split() == sorted(
        {name.split("/")[1] for name in COLD if name != "swarm/"}
    )
    sums = [platform.run("mgr3", f"sha256sum {folder}/certificates/swarm-node.key {folder}/{WAL}")[0] for _ in "ab"]
    assert sums[0] == sums[1]
    assert platform.run("mgr3", f"wc -c {folder}/{WAL}")[0].split()[0] == "64000000"
    platform.start_docker("mgr3")
    client.until("all is well", lambda: all_well(client), 60)


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
    # The code that the engine puts before it is now and then another one (20.10, on a busy machine).
    assert answer.message in (DEADLINE, DEADLINE.replace("DeadlineExceeded", "Unknown"), NO_LEADER)
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
