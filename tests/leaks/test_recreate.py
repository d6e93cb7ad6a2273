"""swarm.recreate on real hosts: the values of secrets come out of a backup, and are seen nowhere on their way back."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for
from tests.leaks.test_backups import Operator, locked, operator

__all__ = ["locked", "operator"]
pytestmark = pytest.mark.lab


def test_values_on_their_way_back(lab: Lab, truth: Truth, locked: str, operator: Operator, tmp_path: Path) -> None:
    """Planned, printed, refused without the key, run: from an encrypted backup of a locked Swarm."""
    leaks, host = operator.leaks, lab["mgr1"]
    value = leaks.secret("the secret's value", secrets.token_urlsafe(30))
    content = leaks.secret("the config's content", secrets.token_urlsafe(30))
    environment = leaks.secret("a password in a service's environment", secrets.token_urlsafe(30))
    identity = pyrage.x25519.Identity.generate()
    leaks.secret("the identity", str(identity).removeprefix("AGE-SECRET-KEY-1"))
    operator.configure(str(identity.to_public()))
    operator.has("backup-passphrase", str(identity))
    host.sh("docker secret create pw - && docker network create -d overlay back", data=value.encode())
    host.sh("docker config create conf -", data=content.encode())
    ids = {
        kind: truth.docker(kind, "ls", "-q", "-f", f"name={name}")
        for kind, name in (("secret", "pw"), ("config", "conf"))
    }
    file = {"UID": "0", "GID": "0", "Mode": 292}
    container = {
        "Image": "alpine:latest",
        "Command": ["sleep", "1d"],
        "StopGracePeriod": 10**9,
        "Secrets": [{"File": {"Name": "pw", **file}, "SecretID": ids["secret"], "SecretName": "pw"}],
        "Configs": [{"File": {"Name": "/conf", **file}, "ConfigID": ids["config"], "ConfigName": "conf"}],
    }
    task = {
        "ContainerSpec": container,
        "Placement": {"Constraints": ["node.hostname==wrk1"]},
        "Networks": [{"Target": "back"}],
    }
    spec = {"Name": "web", "TaskTemplate": task, "EndpointSpec": {"Mode": "dnsrr"}}
    host.api("POST", "/services/create", spec)
    # What runs has its environment in its own process, where it belongs; of this one nothing runs.
    still = {"Image": "alpine:latest", "Env": [f"PASSWORD={environment}"]}
    quiet = {"Name": "quiet", "TaskTemplate": {"ContainerSpec": still}, "EndpointSpec": {"Mode": "dnsrr"}}
    host.api("POST", "/services/create", quiet | {"Mode": {"Replicated": {"Replicas": 0}}})
    wait_for("it runs", lambda: truth.placed("web") == ["wrk1"], 60, 0.2)
    operator.backs_up("mgr2")

    def lose() -> None:
        truth.docker("service", "rm", "web", "quiet")
        wait_for("it is gone", lambda: truth.containers("wrk1") == [], 60, 0.2)
        truth.docker("secret", "rm", "pw")
        truth.docker("config", "rm", "conf")
        wait_for(
            "so is its network", lambda: host.docker("network", "rm", "back", check=False).returncode == 0, 30, 0.5
        )

    lose()
    for form in (("--script",), ("--markdown",), ("--dry-run", "--json")):
        operator("run", "swarm.recreate", "--target", "prod", *form)
    credential = operator.credentials / "swarmtui.unlock-key.prod"
    credential.rename(tmp_path / "away")
    refused = operator("run", "swarm.recreate", "--target", "prod", "--yes", code=4)
    assert "The data of its secrets cannot be read" in refused
    (tmp_path / "away").rename(credential)
    operator("run", "swarm.recreate", "--target", "prod", "--yes")
    operator("journal")

    name = truth.containers("wrk1")[0]
    inside = lab["wrk1"].sh(f"docker exec {name} sh -c 'cat /run/secrets/pw; echo; cat /conf'")
    assert inside.stdout.split() == [value, content]
    (found,) = json.loads(truth.docker("service", "inspect", "quiet"))
    same = found["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == still["Env"]
    assert same, "its environment came back otherwise"  # and what it is is not told
    truth.docker("service", "rm", "web", "quiet")
