"""Secrets, configs, networks and volumes from the command line, read back with the docker CLI."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.actions.cli import PROGRAM, Cli
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for


def test_objects_come_and_go_and_what_is_used_stays(swarm: Lab, cli: Cli, truth: Truth, tmp_path: Path) -> None:
    piped = subprocess.run(
        [*PROGRAM, "run", "secret.create", "name=pw", "file=-", "label=a=b", "--yes", "--target", cli.target],
        input=b"s3cret-stdin",
        capture_output=True,
        timeout=60,
        env=dict(cli.environment),
    )
    assert piped.returncode == 0, piped
    (tmp_path / "conf").write_text("listen 80\n")
    said = cli.do("config.create", "name=conf", f"file={tmp_path / 'conf'}").out
    cli.do("network.create", "name=back", "subnet=10.213.0.0/24", "attachable=true")

    (secret,) = json.loads(truth.docker("secret", "inspect", "pw"))
    (network,) = json.loads(truth.docker("network", "inspect", "back"))
    assert secret["Spec"]["Labels"] == {"a": "b"}
    assert (network["Scope"], network["Attachable"]) == ("swarm", True)
    assert network["IPAM"]["Config"][0]["Subnet"] == "10.213.0.0/24"

    truth.docker(
        *("service", "create", "-q", "--detach", "--no-resolve-image", "--endpoint-mode", "dnsrr", "--name", "user"),
        *("--secret", "pw", "--config", "conf", "--network", "host", "--mount", "type=volume,source=data,target=/d"),
        *("--constraint", "node.hostname==wrk1", "--stop-grace-period", "1s", "alpine", "sleep", "1d"),
    )
    wait_for("the service runs", lambda: truth.placed("user") == ["wrk1"], 30, 0.1)
    (container,) = truth.containers("wrk1")
    host = swarm["wrk1"]
    assert host.docker("exec", container, "cat", "/run/secrets/pw").stdout == "s3cret-stdin"
    assert host.docker("exec", container, "cat", "/conf").stdout == "listen 80\n"

    for kind, name in (("secret", "pw"), ("config", "conf")):
        assert f"The {kind} {name} is used by user." in cli.do(f"{kind}.remove", f"{kind}={name}", code=4).err
    held = cli.do("volume.remove", "node=wrk1", "volume=data", code=4)
    assert "The volume data on wrk1 is in 1 of its containers" in held.err

    truth.docker("service", "rm", "user")
    wait_for("its container is gone", lambda: host.docker("ps", "-aq").stdout == "", 30, 0.2)
    cli.do("secret.remove", "secret=pw")
    cli.do("config.remove", "config=conf")
    cli.do("network.remove", "network=back")
    cli.do("volume.remove", "node=wrk1", "volume=data")
    assert truth.docker("secret", "ls", "-q") + truth.docker("config", "ls", "-q") == ""
    assert "back" not in truth.docker("network", "ls", "--format", "{{.Name}}").split()
    assert host.docker("volume", "ls", "-q").stdout == ""

    journals = "".join(file.read_text() for file in Path(cli.environment["XDG_STATE_HOME"]).rglob("*.jsonl"))
    assert "secret.create" in journals
    for text in (journals, said, piped.stdout.decode(), piped.stderr.decode()):
        assert "s3cret" not in text and "czNjcmV0" not in text
