"""swarm.restore on real engines: every manager lost, the Swarm back from a backup, read back with the docker CLI."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.actions.cli import Cli, Result
from tests.actions.struck import cut, kill, reboot, struck
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for

NAMES = ("mgr1", "mgr2", "mgr3")
SERVICE = ("service", "create", "-q", "--detach", "--no-resolve-image", "--endpoint-mode", "dnsrr")
ROOT = "/var/lib/docker"
WIPE = f"systemctl stop docker.socket docker && rm -rf {ROOT}/swarm && systemctl start docker"


@pytest.fixture
def named(cli: Cli) -> Cli:
    return with_name(cli)


@pytest.fixture
def named26(lab26: Lab) -> Cli:
    return with_name(Cli(lab26.ssh_env(), lab26["mgr1"].target))


@pytest.fixture
def truth26(lab26: Lab) -> Truth:
    return Truth(lab26)


def with_name(cli: Cli) -> Cli:
    """The command line on a cluster with a name, whose unlock key comes from the environment, as on a headless host."""
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "swarmtui"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f'[clusters.prod]\nmanagers = ["{cli.target}"]\n[clusters.prod.secrets]\nunlock-key = "env:PROD_KEY"\n'
    )
    return Cli(cli.environment, "prod")


@dataclass(frozen=True)
class Had:
    """What a user of the Swarm sees of it."""

    cluster: str
    nodes: dict[str, tuple[str, dict[str, str], str]]
    objects: dict[str, list[str]]
    services: dict[str, int]

    @classmethod
    def now(cls, truth: Truth) -> Had:
        nodes: dict[str, tuple[str, dict[str, str], str]] = {}
        for node_id, node in truth.nodes().items():
            spec: dict[str, Any] = node["Spec"]
            nodes[node["Description"]["Hostname"]] = (node_id, dict(spec["Labels"]), str(spec["Availability"]))
        objects = {}
        for kind in ("service", "network", "secret", "config"):
            scope = ("--filter", "scope=swarm") if kind == "network" else ()
            objects[kind] = sorted(truth.docker(kind, "ls", *scope, "--format", "{{.ID}} {{.Name}}").splitlines())
        services = {name: len(truth.placed(name)) for name in ("web", "agent")}
        return cls(truth.docker("info", "-f", "{{.Swarm.Cluster.ID}}"), nodes, objects, services)


def update(truth: Truth, *words: str) -> None:
    """`docker node update`; as often as it takes until nothing else wrote to the node at the same moment."""
    line = ("node", "update", *words)
    wait_for(" ".join(line), lambda: truth.asked.docker(*line, check=False).returncode == 0, 20, 0.3)


def content(truth: Truth) -> Had:
    """A Swarm with a bit of everything, and its state."""
    truth.notices_soon()
    truth.docker("network", "create", "-d", "overlay", "backnet")
    truth.asked.sh("printf geheim | docker secret create db-password -; printf x=1 | docker config create app.cfg -")
    given = ("--network", "backnet", "--secret", "db-password", "--config", "app.cfg", "--stop-grace-period", "1s")
    truth.docker(*SERVICE, "--name", "web", "--replicas", "4", *given, "alpine", "sleep", "1d")
    truth.docker(*SERVICE, "--name", "agent", "--mode", "global", "--stop-grace-period", "1s", "alpine", "sleep", "1d")
    update(truth, "--label-add", "zone=a", "--availability", "drain", "mgr1")
    update(truth, "--label-add", "disk=ssd", "wrk1")
    wait_for("all tasks run", lambda: len(truth.placed("web")) == 4 and len(truth.placed("agent")) == 4, 60, 0.3)
    return Had.now(truth)


def check_restored(
    had: Had, lab: Lab, truth: Truth, result: Result, managers: tuple[str, ...], to: str = "mgr2"
) -> None:
    """All that a user sees is as it was; the host that was restored and the workers are the very nodes they were.

    Args:
        to: the host that mgr2's backup was restored to.
    """
    truth.by = to
    now = Had.now(truth)
    assert now.cluster == had.cluster
    assert now.objects == had.objects
    there = sorted((*managers, "wrk1", "wrk2"))
    assert truth.names() == there
    assert truth.managers() == sorted(managers)
    assert [truth.reachability(name) for name in managers] == ["reachable"] * len(managers)
    for name in ("wrk1", "wrk2"):
        assert now.nodes[name] == had.nodes[name], name
    assert now.nodes[to] == had.nodes["mgr2"]
    for name in managers:
        assert name == to or now.nodes[name][1:] == had.nodes[name][1:], name
    wait_for(
        "as many tasks as before",
        lambda: len(truth.placed("web")) == 4 and len(truth.placed("agent")) == len(there) - 1,  # mgr1 is drained
        60,
        0.3,
    )
    running = [line for host in lab.hosts if host.name in there for line in truth.containers(host.name)]
    assert len(running) >= 4 + len(there) - 1
    left = lab[to].sh(f"ls {ROOT}").stdout
    assert "swarm.forc" not in left and "unpacking" not in left, left
    assert "SWMKEY-" not in result.out + result.err and "SWMTKN-" not in result.out + result.err
    fresh = re.search(r"Backup (\S+) was taken since", result.out)
    assert fresh and "Done and verified." in result.out


def restored(cli: Cli, *words: str) -> Result:
    result = cli.run("swarm.restore", *words, "--yes", seconds=240)
    assert result.code == 0, result
    return result


@pytest.mark.full("lab")
def test_a_fresh_host_at_the_same_address_with_autolock(swarm: Lab, named: Cli, truth: Truth) -> None:
    had = content(truth)
    truth.docker("swarm", "update", "--autolock=true")
    key = truth.docker("swarm", "unlock-key", "-q")
    named.environment["PROD_KEY"] = key
    named.do("swarm.backup", "node=mgr2")
    # mgr1 has lost its raft log (its Docker only says that it is locked), mgr2 is a new machine, mgr3 is gone.
    swarm["mgr3"].power_off()
    swarm["mgr2"].replace()
    swarm["mgr1"].sh(
        f"systemctl stop docker.socket docker; rm -rf {ROOT}/swarm/raft; systemctl start docker", check=False
    )

    words = (f"host={swarm['mgr2'].target}", "dead=mgr3", "--accept", "key-without-custody=prod")
    refused = named.run("swarm.restore", *words, "--yes")
    assert refused.code == 4 and "--accept gentler=mgr1" in refused.err, refused
    result = restored(named, *words, "--accept", "gentler=mgr1")

    check_restored(had, swarm, truth, result, ("mgr1", "mgr2"))
    new = truth.docker("swarm", "unlock-key", "-q")
    assert new.startswith("SWMKEY-1-") and new != key
    # Its key file is locked again, with the new key.
    swarm["mgr1"].restart_docker(wait=False)
    wait_for("mgr1 is locked", lambda: swarm["mgr1"].swarm_state() == "locked", 60, 0.5)
    swarm["mgr1"].api("POST", "/swarm/unlock", {"UnlockKey": new})
    wait_for("mgr1 works", lambda: truth.reachability("mgr1") == "reachable", 60, 0.5)


@pytest.mark.full("lab26")
def test_the_same_host_with_its_directory_broken(swarm: Lab, cli: Cli, truth: Truth) -> None:
    had = content(truth)
    cli.do("swarm.backup", "node=mgr2")
    for name in NAMES:
        swarm[name].sh(f"systemctl stop docker.socket docker && rm -rf {ROOT}/swarm/raft/wal-v3-encrypted")
    swarm.each(lambda host: host.sh("systemctl start docker", check=False), [swarm[name] for name in NAMES])

    result = restored(cli, f"host={swarm['mgr2'].target}")

    check_restored(had, swarm, truth, result, NAMES)
    for name in NAMES:
        aside = swarm[name].sh(f"ls -d {ROOT}/swarm.fenced-*/certificates").stdout
        assert aside, name
    again = cli.run("swarm.restore", f"host={swarm['mgr2'].target}", "--yes")
    assert again.code == 4 and "gentler=quorum" in again.err, again


def check_address(lab: Lab, truth: Truth, to: str) -> None:
    """Raft knows the restored manager by the address that it has, and nothing of the bridge is left."""
    assert truth.node(to)["ManagerStatus"]["Addr"] == f"{lab[to].address}:2377"
    for host in lab.hosts:
        if host.name != "mgr2":
            there = host.sh("ip -o addr; iptables-save -t nat", check=False).stdout
            assert f" {lab['mgr2'].address}/" not in there, (host.name, there)


@pytest.mark.full
@pytest.mark.lab
def test_another_address_while_the_old_one_is_taken(lab: Lab, cli: Cli, truth: Truth) -> None:
    had = content(truth)
    cli.do("swarm.backup", "node=mgr2")
    lab.each(lambda host: host.sh(WIPE), [lab[name] for name in NAMES])

    result = restored(cli, f"host={lab['mgr3'].target}")

    check_restored(had, lab, truth, result, NAMES, to="mgr3")
    check_address(lab, truth, "mgr3")


@pytest.mark.lab26
def test_another_address_with_autolock_and_the_old_host_gone(lab26: Lab, named26: Cli, truth26: Truth) -> None:
    had = content(truth26)
    truth26.docker("swarm", "update", "--autolock=true")
    named26.environment["PROD_KEY"] = truth26.docker("swarm", "unlock-key", "-q")
    named26.do("swarm.backup", "node=mgr2")
    lab26["mgr2"].power_off()
    lab26.each(lambda host: host.sh(WIPE), [lab26["mgr1"], lab26["mgr3"]])

    accept = ("--accept", "key-without-custody=prod")
    result = restored(named26, f"host={lab26['mgr3'].target}", "dead=mgr2", *accept)

    check_restored(had, lab26, truth26, result, ("mgr1", "mgr3"), to="mgr3")
    check_address(lab26, truth26, "mgr3")
    assert truth26.docker("swarm", "unlock-key", "-q").startswith("SWMKEY-1-")


STORIES = {
    # Each strike meets each part: unpacking, the force, growing again, the end. All three in `make faults`.
    "a": ("cut", "kill", "reboot", "kill"),
    "b": ("kill", "reboot", "cut", "reboot"),
    "c": ("reboot", "cut", "kill", "cut"),
}


@pytest.mark.full("b", "c")
@pytest.mark.lab
@pytest.mark.parametrize("story", STORIES)
def test_struck_on_its_way_with_autolock(lab: Lab, named: Cli, truth: Truth, story: str) -> None:
    """What was forced once is not forced again; and locked as it is after each reboot, the run unlocks it."""
    had = content(truth)
    truth.docker("swarm", "update", "--autolock=true")
    named.environment["PROD_KEY"] = truth.docker("swarm", "unlock-key", "-q")
    named.do("swarm.backup", "node=mgr2")
    lab.each(lambda host: host.sh(WIPE), [lab[name] for name in NAMES])
    # The last before the key is rotated: a program that is killed takes a key with it that has no other place, as the
    # rule says that is accepted here.
    last = "Wait until every service really runs as many tasks as it should"
    places = ("Unpack ", "Force a new cluster from it on mgr2", "Join mgr1 as a manager", last)
    strikes = {"kill": kill, "cut": cut(lab["mgr2"]), "reboot": reboot(lab["mgr2"])}
    line = ("swarm.restore", f"host={lab['mgr2'].target}", "wait=40", "--accept", "key-without-custody=prod")

    result = struck(named, line, [(place, strikes[each]) for place, each in zip(places, STORIES[story], strict=True)])

    check_restored(had, lab, truth, result, NAMES)
    assert "3 of 3 managers follow the same leader." in result.out, "each host is one, whatever names lead to it"
