"""`swarmtui doctor`, on the simulated Swarm whose managers the docker CLI and systemctl stop and lock."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.actions.cli import Cli, Result
from tests.demo.conftest import Served, start, stop

Doctor = Callable[..., Result]


@pytest.fixture
def served() -> Iterator[Served]:
    running = start("--scenario", "calm", "--speed", "10", "--seed", "1", folder=Path("/tmp"))
    yield running
    stop(running)


@pytest.fixture
def doctor(served: Served, tmp_path: Path) -> Doctor:
    cli = Cli({"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"}, "simulated")
    return lambda *words: cli("doctor", "simulated", *words, "--config", str(served.line["config"]))


def docker(served: Served, host: str, *words: str) -> str:
    command = ["docker", "-H", served.socket(host), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def systemctl(served: Served, host: str, *words: str) -> None:
    command = ["ssh", "-F", str(served.line["ssh_config"]), host, "systemctl", *words]
    subprocess.run(command, capture_output=True, timeout=30, check=True)


def test_a_healthy_swarm_and_one_with_a_locked_and_a_stopped_manager(served: Served, doctor: Doctor) -> None:
    well = doctor()
    assert well.code == 0, well
    assert all(f"  {name} is a manager that works (ssh://{name})" in well.out for name in ("mgr1", "mgr2", "mgr3"))
    assert "Unlock key: autolock is off, there is none." in well.out
    assert "Secrets are kept in this session's memory only" in well.out

    docker(served, "mgr1", "swarm", "update", "--autolock=true")
    key = docker(served, "mgr1", "swarm", "unlock-key", "-q")
    systemctl(served, "mgr3", "restart", "docker")
    told = doctor()
    assert told.code == 2, told
    assert "  mgr3 is LOCKED: swarmtui run swarm.unlock" in told.out
    assert "Unlock key: the vault has no key of this cluster" in told.out
    assert key not in told.out + told.err

    systemctl(served, "mgr2", "stop", "docker.socket", "docker.service")
    told = doctor("--json")
    assert told.code == 2, told
    found = json.loads(told.out)
    states = {m["name"]: m["state"] for m in found["managers"]}
    assert states.pop("mgr1") in ("active", "pending")  # the quorum is gone
    assert (states["mgr2"], states["mgr3"]) == (None, "locked")
    assert "Docker" in next(m["trouble"] for m in found["managers"] if m["name"] == "mgr2")
    assert key not in told.out + told.err


def test_nobody_there_is_unknown(served: Served, doctor: Doctor) -> None:
    for name in ("mgr1", "mgr2", "mgr3"):
        systemctl(served, name, "stop", "docker.socket", "docker.service")
    told = doctor()
    assert told.code == 3, told
    assert "no manager can be worked with" in told.out and "was not reached" in told.out
