"""What a backup left behind, looked at with stock tools only: tar, sha256sum, the docker CLI, and plain JSON."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.actions.truth import Truth
from tests.lab import Host, Lab
from tests.lab.machine import wait_for

SLOW_TAR = '#!/bin/sh\ncase "$*" in *--create*) sleep {seconds} ;; esac\nexec /usr/bin/tar "$@"\n'


def catalogue() -> Path:
    return Path(os.environ["XDG_DATA_HOME"]) / "swarmtui" / "backups"


@dataclass(frozen=True)
class Taken:
    """A backup in the catalogue."""

    folder: Path
    manifest: dict[str, Any]

    def names(self, kind: str) -> list[str]:
        return sorted(item["name"] for item in self.manifest["inventory"][kind])

    @property
    def verdicts(self) -> list[str]:
        lines = (self.folder / "verifications.jsonl").read_text().splitlines()
        return [json.loads(line)["verdict"] for line in lines]

    def members(self) -> list[str]:
        """What stock tar lists."""
        done = subprocess.run(["tar", "-tf", self.folder / "archive.tar"], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()


def taken() -> list[Taken]:
    """All whole backups of all clusters, the oldest first."""
    found = [path.parent for path in catalogue().glob("*/*/manifest.json") if not path.parent.name.startswith(".")]
    return [Taken(folder, json.loads((folder / "manifest.json").read_bytes())) for folder in sorted(found)]


def the_only() -> Taken:
    (one,) = taken()
    return one


def check_taken(one: Taken, lab: Lab, truth: Truth) -> None:
    """It is whole, private, has what `docker` lists, and neither tokens nor keys are in clear beside the archive."""
    archive = one.folder / "archive.tar"
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == one.manifest["digest"] == one.manifest["stored_digest"]
    assert one.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in one.folder.iterdir()} == {0o600}
    members = one.members()
    for name in ("swarm-node.key", "swarm-node.crt", "swarm-root-ca.crt"):
        assert f"swarm/certificates/{name}" in members
    assert any(name.endswith(".wal") for name in members)
    assert one.names("nodes") == sorted(truth.docker("node", "ls", "--format", "{{.Hostname}}").splitlines())
    for kind in ("service", "network", "secret", "config"):
        scope = ("--filter", "scope=swarm") if kind == "network" else ()
        listed = truth.docker(kind, "ls", *scope, "--format", "{{.Name}}").splitlines()
        assert one.names(f"{kind}s") == sorted(listed), kind
    for path in one.folder.glob("*.json*"):
        text = path.read_text()
        assert "SWMTKN-" not in text and "SWMKEY-" not in text, path
    objects = json.loads((one.folder / "objects.json").read_bytes())
    assert sorted(each["Spec"]["Name"] for each in objects["services"]) == one.names("services")
    assert one.manifest["cluster_id"] == truth.docker("info", "-f", "{{.Swarm.Cluster.ID}}")
    assert one.verdicts == ["yes"]


def docker_runs(host: Host) -> bool:
    """Whether Docker and its socket are up, as systemd says."""
    units = host.sh("systemctl is-active docker.service docker.socket", check=False).stdout.split()
    return units == ["active", "active"]


def check_calm(lab: Lab, truth: Truth) -> None:
    """Docker runs everywhere, all managers are reachable, and nothing of ours is left on any host."""
    for host in lab.hosts:
        wait_for(f"Docker runs on {host.name}", lambda host=host: docker_runs(host), 60)  # type: ignore[misc]
    # As a table: for a moment after an election the CLI finds no node by its name.
    row = "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"

    def rows() -> list[str]:
        lines = truth.asked.docker("node", "ls", "--format", row, check=False).stdout.splitlines()
        return sorted(line.strip().replace("Leader", "Reachable") for line in lines)

    wanted = [f"{host.name} Ready{' Reachable' * host.name.startswith('mgr')}" for host in lab.hosts]
    wait_for("all nodes are ready, all managers reachable", lambda: rows() == sorted(wanted), 60)
    for host in lab.hosts:
        left = host.sh("find /var/lib/swarmtui/jobs /run/swarmtui -mindepth 1 ! -type d 2>/dev/null", check=False)
        assert left.stdout == "", (host.name, left.stdout)
        jobs = host.sh(
            "ls /var/lib/swarmtui/jobs 2>/dev/null; systemctl list-units --no-legend 'swarmtui-job-*'", check=False
        )
        assert jobs.stdout == "", (host.name, jobs.stdout)


def slow_tar(host: Host, seconds: float) -> None:
    """tar takes at least so long on this host, when it makes an archive; 0: as usual."""
    if not seconds:
        host.sh("rm -f /usr/local/bin/tar")
        return
    script = SLOW_TAR.format(seconds=seconds)
    host.sh("cat > /usr/local/bin/tar && chmod 755 /usr/local/bin/tar", data=script.encode())


def some_content(truth: Truth) -> None:
    """A service, a network, a secret and a config."""
    truth.docker("network", "create", "-d", "overlay", "backnet")
    truth.asked.sh("printf geheim | docker secret create db-password -; printf x=1 | docker config create app.cfg -")
    truth.service("web", 2)
