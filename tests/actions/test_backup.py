"""swarm.backup on real engines of both versions: Docker runs again, quorum holds, and the archive is what it says."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.actions.backups import check_calm, check_taken, docker_runs, slow_tar, some_content, taken, the_only
from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for

NAMES = ("mgr1", "mgr2", "mgr3")


@pytest.fixture
def named(request: pytest.FixtureRequest, cli: Cli) -> Cli:
    """The command line on a cluster with a name, whose unlock key comes from the environment, as on a headless host."""
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "swarmtui"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f'[clusters.prod]\nmanagers = ["{cli.target}"]\n[clusters.prod.secrets]\nunlock-key = "env:PROD_KEY"\n'
    )
    return Cli(cli.environment, "prod")


def test_a_cold_backup_of_a_manager_that_does_not_lead(swarm: Lab, cli: Cli, truth: Truth) -> None:
    some_content(truth)
    leader = truth.leader()
    plan = cli.plan("swarm.backup")
    (node,) = plan["touches"]
    assert node in NAMES and node != leader
    boots = {
        name: swarm[name].sh("systemctl show -p NRestarts,ExecMainStartTimestampMonotonic docker").stdout
        for name in NAMES
    }

    result = cli.do("swarm.backup", f"node={node}")

    one = the_only()
    check_taken(one, swarm, truth)
    check_calm(swarm, truth)
    about = one.manifest
    assert (about["node"], about["leader"], about["cold"], about["autolock"]) == (node, False, True, False)
    assert (
        about["quorum"] == f"3/3 managers, survives 1 loss before; 2/3 managers, survives no loss while {node} was down"
    )
    assert 0.1 < about["downtime_seconds"] < 60
    told = re.search(r"was down for ([\d.]+) s", result.out)
    assert told and abs(float(told[1]) - about["downtime_seconds"]) < 0.11
    assert truth.leader() == leader
    now = {
        name: swarm[name].sh("systemctl show -p NRestarts,ExecMainStartTimestampMonotonic docker").stdout
        for name in NAMES
    }
    assert [name for name in NAMES if now[name] != boots[name]] == [node]


def test_the_leader_of_a_locked_swarm(swarm: Lab, cli: Cli, named: Cli, truth: Truth) -> None:
    truth.docker("swarm", "update", "--autolock")
    key = truth.docker("swarm", "unlock-key", "-q")
    leader = truth.leader()
    refused = cli.run("swarm.backup", f"node={leader}", "--yes")
    assert refused.code == 4, refused
    assert f"--accept unlock-key={leader}" in refused.err
    assert docker_runs(swarm[leader]) and not taken()

    named.environment["PROD_KEY"] = key
    truth.by = next(name for name in NAMES if name != leader)
    result = named.do("swarm.backup", f"node={leader}")

    assert key not in result.out
    check_calm(swarm, truth)
    one = the_only()
    check_taken(one, swarm, truth)
    assert (one.manifest["node"], one.manifest["leader"], one.manifest["autolock"]) == (leader, True, True)
    assert swarm[leader].swarm_state() == "active"


@pytest.mark.lab
def test_the_script_does_the_same(lab: Lab, cli: Cli, truth: Truth, tmp_path: Path) -> None:
    script = cli.script("swarm.backup", "node=mgr3")
    result = cli.sh(f"cd {tmp_path}\n{script}", path=str(Path(sys.executable).parent))
    assert result.code == 0, f"{result}\n{script}"
    check_calm(lab, truth)
    (file,) = tmp_path.glob("*-mgr3.tar")
    assert file.stat().st_mode & 0o777 == 0o600
    one = the_only()
    assert one.manifest["source"] == "imported"
    assert one.names("nodes") == sorted(truth.names())


@pytest.mark.lab
def test_two_at_a_time(lab: Lab, cli: Cli, truth: Truth) -> None:
    slow_tar(lab["mgr3"], 6)
    try:
        with cli.started("swarm.backup", "node=mgr3") as first:
            first.until("Docker is stopped.")
            other = cli.run("swarm.backup", "node=mgr2", "--accept", "quorum=mgr2", "--yes")
            assert other.code == 4, other
            # By its plan, which sees the job on mgr3, or by the lock.
            assert "Another backup is under way on mgr3" in other.err or "is under way on this cluster" in other.err
            drain = cli.run("node.drain", "node=wrk1", "--yes")
            assert drain.code == 4, drain
            assert "swarm.backup (run " in drain.err and "is under way on this cluster" in drain.err
            # What disturbs nothing is done all the same.
            cli.do("node.label", "node=wrk1", "label=zone=a")
            assert first.end().code == 0
    finally:
        slow_tar(lab["mgr3"], 0)
    check_calm(lab, truth)
    assert the_only().verdicts == ["yes"]


@pytest.mark.lab
def test_a_hot_one_stops_nothing_and_is_marked(lab: Lab, cli: Cli, truth: Truth) -> None:
    since = lab["mgr3"].sh("systemctl show -p ExecMainStartTimestampMonotonic docker").stdout
    # What was written last is not yet agreed on in the files of a running manager.
    lab["mgr1"].sh("docker node update --label-add hot=1 wrk1")
    cli.do("swarm.backup", "node=mgr3", "hot=true")
    assert lab["mgr3"].sh("systemctl show -p ExecMainStartTimestampMonotonic docker").stdout == since
    one = the_only()
    assert (one.manifest["cold"], one.manifest["downtime_seconds"]) == (False, 0)
    assert any("possibly inconsistent" in note for note in one.manifest["notes"])
    assert one.verdicts == ["yes"]
    lab["mgr1"].sh("docker node update --label-rm hot wrk1")
    check_calm(lab, truth)


@pytest.mark.lab
def test_with_sudo_encrypted_and_one_manager_away(lab: Lab, cli: Cli, truth: Truth) -> None:
    """As an ordinary user; 2 of 3 managers are up, so it is a safety rule; for a recipient of age."""
    import pyrage  # type: ignore[import-untyped]

    identity = pyrage.x25519.Identity.generate()
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "swarmtui"
    folder.mkdir(parents=True)
    target = cli.target.replace("root@", "op@")
    (folder / "config.toml").write_text(
        f'[backups]\nrecipients = ["{identity.to_public()}"]\n[clusters.prod]\nmanagers = ["{target}"]\nsudo = true\n'
    )
    named = Cli(cli.environment, "prod")
    lab["mgr2"].stop_docker()
    wait_for("mgr2 is missed", lambda: truth.reachability("mgr2") == "unreachable", 60)
    # It may have led: after an election the new leader takes some seconds to hear the others.
    wait_for(
        "mgr3 is heard",
        lambda: (truth.node("mgr3")["Status"]["State"], truth.reachability("mgr3")) == ("ready", "reachable"),
        60,
    )
    try:
        refused = named.run("swarm.backup", "node=mgr3", "--yes")
        assert refused.code == 4, refused
        assert "--accept quorum=mgr3" in refused.err
        named.do("swarm.backup", "node=mgr3", "--accept", "quorum=mgr3")
    finally:
        lab["mgr2"].start_docker()
    one = the_only()
    assert one.manifest["encrypted"] == "recipients"
    stored = (one.folder / "archive.tar.age").read_bytes()
    plain = pyrage.decrypt(stored, [identity])
    assert b"swarm/certificates/swarm-node.key" in plain
    objects = json.loads(pyrage.decrypt((one.folder / "objects.json.age").read_bytes(), [identity]))
    assert len(objects["nodes"]) == 5
    check_calm(lab, truth)
