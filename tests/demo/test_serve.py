"""Serving: loopback only, private keys, one line of JSON, and nothing left behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from swarmtui.demo import rundir
from swarmtui.demo.run import main
from swarmtui.demo.scenarios import SCENARIOS
from swarmtui.demo.serve import Demo
from tests.demo.conftest import Serve, Served
from tests.demo.figures import _get


def test_the_line_of_json(serve: Serve, runs: Path) -> None:
    served = serve()
    assert [h["name"] for h in served.line["hosts"]] == [
        *(f"mgr{n}" for n in (1, 2, 3)),
        *(f"wrk{n}" for n in range(1, 6)),
    ]
    for host in served.line["hosts"]:
        assert set(host) == {"name", "role", "ssh", "docker"}
        assert host["role"] == ("manager" if host["name"].startswith("mgr") else "worker")
        assert host["ssh"].startswith("ssh://root@127.0.0.1:")
        assert len(host["docker"].removeprefix("unix://")) < 104
    config = tomllib.loads(Path(served.line["config"]).read_text())
    assert config == {
        "clusters": {
            "simulated": {
                "managers": ["ssh://mgr1", "ssh://mgr2", "ssh://mgr3"],
                "ssh_config": served.line["ssh_config"],
                "zone_label": "zone",
            }
        }
    }
    assert served.folder.parent == runs


def test_files_are_private(serve: Serve, runs: Path) -> None:
    served = serve()
    for folder in (runs, served.folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in served.folder.iterdir():
        mode = stat.S_IMODE(file.stat().st_mode)
        if file.suffix == ".sock" or file.name == "id_ed25519":
            assert mode == 0o600, file
    assert "BEGIN OPENSSH PRIVATE KEY" in (served.folder / "id_ed25519").read_text()


def test_it_listens_on_loopback_only(serve: Serve) -> None:
    served = serve()
    inodes = set()
    for link in Path(f"/proc/{served.process.pid}/fd").iterdir():
        target = str(link.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                listening.append((table, fields[1].partition(":")[0]))
    assert len(listening) == 8
    assert set(listening) == {("tcp", "0100007F")}


def test_two_runs_have_different_keys(serve: Serve) -> None:
    one, other = serve(), serve()
    for name in ("id_ed25519", "known_hosts"):
        assert (one.folder / name).read_text() != (other.folder / name).read_text()


def _world(served: Served) -> tuple[dict[str, str], list[tuple[object, ...]], object]:
    """Ids and placements, as the engine tells them."""
    sock = served.socket("mgr1")
    nodes = {node["ID"]: node["Description"]["Hostname"] for node in json.loads(_get("/nodes", sock))}
    tasks = [
        (task["ID"], task["ServiceID"], nodes[task["NodeID"]], task.get("Slot"), task["Status"]["State"])
        for task in json.loads(_get("/tasks", sock))
    ]
    return nodes, sorted(tasks, key=str), json.loads(_get("/swarm", sock))["ID"]


@pytest.mark.parametrize("scenario", ["calm", "drain-blocked"])
def test_one_seed_is_one_world(serve: Serve, scenario: str) -> None:
    one, same, other = (_world(serve("--scenario", scenario, "--seed", seed)) for seed in ("7", "7", "8"))
    assert len(one[1]) > 40
    assert one == same
    assert not set(one[0]) & set(other[0])


def test_time_can_be_sped_up(serve: Serve) -> None:
    fast = serve("--speed", "200")
    assert fast.ssh("mgr1", "docker node update --availability drain wrk1 && sleep 120 && docker node ps -q wrk1 "
                    "--filter desired-state=running").stdout == "wrk1\n"  # fmt: skip
    begun = int(fast.ssh("mgr1", "date +%s").stdout)
    assert fast.ssh("mgr1", "sleep 600").returncode == 0
    assert int(fast.ssh("mgr1", "date +%s").stdout) - begun < 60, "clocks are not sped up, waiting is"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_nothing_is_left(serve: Serve, runs: Path, number: signal.Signals) -> None:
    served = serve()
    port = served.port("mgr1")
    busy = socket.create_connection(("127.0.0.1", port))
    served.process.send_signal(number)
    assert served.process.wait(10) == 0
    busy.close()
    assert not runs.exists()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    assert served.process.stderr is not None
    assert served.process.stderr.read() == ""


@pytest.mark.parametrize("after", [0.2, 0.4, 0.6])
def test_ended_while_it_starts_it_leaves_nothing(runs: Path, after: float) -> None:
    command = [sys.executable, "-m", "swarmtui.demo", "--serve"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    process.terminate()
    process.wait(20)
    assert list(runs.parent.iterdir()) == []


def test_too_many_hosts_are_refused_before_anything_is_built(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or most > 600_000:
        pytest.skip("this machine allows any number of hosts")
    assert main(["--serve", "--scenario", "big", "--nodes", "100000"]) == 2
    assert "Ask for fewer with --nodes" in capsys.readouterr().err
    assert not runs.exists()


def test_it_ends_when_standard_input_does(serve: Serve, runs: Path) -> None:
    served = serve("--until-stdin-closes", "--scenario", "even-managers")
    assert served.process.stdin is not None
    assert served.process.stdout is not None
    served.process.stdin.close()
    served.process.stdin = None
    assert served.process.wait(10) == 0
    report = json.loads(served.process.stdout.readline())["report"]
    assert (report["scenario"], report["solved"]) == ("even-managers", False)
    assert report["left"] == ["There are 4 managers, an even number."]
    assert not runs.exists()


def test_it_ends_at_once_without_standard_input(runs: Path) -> None:
    command = [sys.executable, "-m", "swarmtui.demo", "--serve", "--until-stdin-closes"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    first, last = map(json.loads, done.stdout.splitlines())
    assert first["hosts"]
    assert last["report"]["scenario"] == "calm"
    assert not runs.exists()


def test_a_killed_run_is_swept_by_the_next(serve: Serve, runs: Path) -> None:
    dead, alive = serve(), serve()
    dead.process.kill()
    dead.process.wait(10)
    assert dead.folder.exists()
    stranger = runs / "notes"
    stranger.mkdir()
    third = serve()
    assert not dead.folder.exists()
    assert alive.folder.exists()
    assert third.folder.exists()
    assert stranger.exists(), "only folders named after a dead process are swept"
    stranger.rmdir()


def test_a_reused_process_id_does_not_protect_a_dead_run(runs: Path) -> None:
    runs.mkdir(mode=0o700)
    dead = runs / f"{os.getpid()}-1-xyz"
    dead.mkdir()
    own = rundir.make()
    assert rundir.sweep() == [dead.name]
    assert own.exists()
    rundir.remove(own)
    assert not runs.exists()


def test_a_folder_of_somebody_else_is_refused(runs: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    runs.symlink_to(target)
    done = subprocess.run(
        [sys.executable, "-m", "swarmtui.demo", "--serve"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert "belongs to somebody else" in done.stderr
    assert list(target.iterdir()) == []


def test_bad_usage(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    assert main(["--serve", "--scenario", "nope"]) == 2
    assert "There is no scenario 'nope'. Choose one of: calm, busy" in capsys.readouterr().err
    for wrong in (["--speed", "0"], ["--nodes", "x"], ["--what"]):
        with pytest.raises(SystemExit) as stopped:
            main(["--serve", *wrong])
        assert stopped.value.code == 2
    assert main(["--list"]) == 0
    text = capsys.readouterr().out
    assert text.count("goal: ") == sum(bool(scenario.goal) for scenario in SCENARIOS.values()) > 5
    listed = text.split()
    assert {"calm", "busy", "even-managers", "manager-down", "split-zones", "stale-nodes", "big"} <= set(listed)
    assert not runs.exists()


async def test_in_process(runs: Path) -> None:
    async with Demo("calm", speed=20) as demo:
        connection = await asyncssh.connect(
            "mgr1", config=[str(demo.ssh_config)], known_hosts=str(demo.folder / "known_hosts")
        )
        async with connection:
            done = await connection.run("hostname")
            assert done.stdout == "mgr1\n"
    assert not runs.exists()


def test_a_run_that_ends_just_then_takes_nothing_away_from_one_that_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one removes the folder of all: between two steps of another that begins."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="d") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        made, gone = tempfile.mkdtemp, iter([True, True])

        def mkdtemp(**options: Any) -> str:
            assert str(options["dir"]).startswith(short)
            if next(gone, False):
                Path(options["dir"]).rmdir()
            return made(**options)

        monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
        folder = rundir.make()
        assert folder.is_dir() and folder.parent == rundir.base_folder()
        assert next(gone, None) is None, "it was taken away twice"
        rundir.remove(folder)
