"""swarm.recreate on real engines of both versions: what somebody deleted is there again; the docker CLI tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.backups.make_data import EVERYTHING
from tests.lab import Lab
from tests.lab.machine import wait_for

VALUES = {"tls-key": b"S3CRET-OF-TLS-KEY \xff\x00", "db-password": b"S3CRET-OF-DB-PASSWORD"}
CONFIGS = {"app.yml": b"text of app.yml\n", "nginx.conf": bytes(range(256))}
KINDS = ("network", "secret", "config", "service")
CREATE = (
    *("service", "create", "-q", "--detach", "--no-resolve-image", "--stop-grace-period", "1s"),
    *("--endpoint-mode", "dnsrr"),
)


def furnish(truth: Truth) -> None:
    """Networks, secrets, configs, and services that use them in every way."""
    host = truth.asked
    more = ("--attachable", "--internal", "--opt", "com.docker.network.driver.mtu=1400", "--label", "tier=front")
    place = ("--subnet", "10.209.0.0/24", "--gateway", "10.209.0.7", "--ip-range", "10.209.0.128/25")
    truth.docker("network", "create", "-d", "overlay", *more, *place, "front")
    truth.docker("network", "create", "-d", "overlay", "back")
    host.sh("docker secret create --label owner=web tls-key -", data=VALUES["tls-key"])
    host.sh("docker secret create --template-driver golang db-password -", data=VALUES["db-password"])
    host.sh("docker config create --label owner=web --template-driver golang app.yml -", data=CONFIGS["app.yml"])
    host.sh("docker config create nginx.conf -", data=CONFIGS["nginx.conf"])
    everything = [word for word in EVERYTHING if word not in ("--endpoint-mode", "dnsrr")]
    truth.docker(
        *CREATE, "--name", "everything", *everything, "--replicas", "0", "alpine:latest", "sh", "-c", "sleep 1d"
    )
    used = ("--secret", "tls-key", "--config", "nginx.conf", "--network", "back")
    truth.docker(
        *CREATE, *used, "--name", "web", "--replicas", "2", "--env", "PW=hidden-in-env", "alpine", "sleep", "1d"
    )
    truth.docker(*CREATE, "--name", "agent", "--mode", "global", "--network", "host", "alpine", "sleep", "1d")
    job = ("--mode", "replicated-job", "--replicas", "2", "--restart-condition", "none")
    truth.docker(*CREATE[:-2], "--name", "job", *job, "alpine", "true")
    truth.docker("service", "update", "-q", "--detach", "--force", "everything")
    wait_for("all of it runs", lambda: len(truth.placed("web")) == 2 and len(truth.placed("agent")) == 5, 60, 0.2)


def inspected(truth: Truth) -> dict[str, dict[str, Any]]:
    """Every object by kind and name, as `docker inspect` tells it; ids are replaced by names."""
    found: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    for kind in KINDS:
        scope = ("--filter", "scope=swarm") if kind == "network" else ()
        ids = truth.docker(kind, "ls", *scope, "-q", *(("--no-trunc",) if kind == "network" else ())).split()
        things = json.loads(truth.docker(kind, "inspect", *ids)) if ids else []
        found[kind] = {}
        for thing in things:
            spec = thing.get("Spec") or _network(thing)
            name = thing.get("Name") or spec["Name"]
            names[thing.get("Id") or thing["ID"]] = name
            found[kind][name] = spec
    text = json.dumps(found)
    for id_, name in names.items():
        text = text.replace(f'"{id_}"', f'"{name}"')
    read: dict[str, dict[str, Any]] = json.loads(text)
    return read


def _network(thing: dict[str, Any]) -> dict[str, Any]:
    """What a network is like; the engine shows nothing as null or {}, as a task of its own is on it or not."""
    kept = {key: thing[key] for key in ("Driver", "Internal", "Attachable", "Ingress", "EnableIPv6")}
    ipam = {key: value or {} for key, value in thing["IPAM"].items()}
    options = {key: value for key, value in (thing["Options"] or {}).items() if not key.endswith("vxlanid_list")}
    return kept | {"IPAM": ipam, "Options": options, "Labels": thing["Labels"] or {}}


def lose_all(truth: Truth, lab: Lab) -> None:
    """Somebody deletes it all."""

    def gone() -> bool:
        truth.asked.docker("network", "rm", "front", "back", check=False)
        return not {"front", "back"} & set(truth.docker("network", "ls", "--format", "{{.Name}}").split())

    truth.docker("service", "rm", *truth.docker("service", "ls", "-q").split())
    wait_for("no container runs", lambda: not _containers(truth, lab, ""), 60, 0.2)
    truth.docker("secret", "rm", *VALUES)
    truth.docker("config", "rm", *CONFIGS)
    wait_for("the networks are gone", gone, 30, 0.5)


def _containers(truth: Truth, lab: Lab, start: str) -> list[str]:
    return [name for host in lab.hosts for name in truth.containers(host.name) if name.startswith(start)]


def check_values(truth: Truth, lab: Lab) -> None:
    """The containers have what they had before."""
    node = truth.placed("web")[0]
    container = next(name for name in truth.containers(node) if name.startswith("web."))
    for path, value in (("/run/secrets/tls-key", VALUES["tls-key"]), ("/nginx.conf", CONFIGS["nginx.conf"])):
        read = lab[node].sh(f"docker exec {container} od -An -v -tx1 {path}").stdout
        assert bytes.fromhex("".join(read.split())) == value, path


def test_what_was_deleted_is_there_again(swarm: Lab, cli: Cli, truth: Truth) -> None:
    furnish(truth)
    cli.do("swarm.backup", "node=mgr2")
    before = inspected(truth)
    assert "Nothing to do: the Swarm has everything" in cli.do("swarm.recreate").out

    # One service and what it needs, by name.
    truth.docker("service", "rm", "web")
    wait_for("its containers are gone", lambda: not _containers(truth, swarm, "web."), 60, 0.2)
    plan = cli.plan("swarm.recreate", "service=web")
    assert [step["title"] for step in plan["steps"]] == [
        "Create service web",
        "Wait until the tasks of web run",
    ]
    cli.do("swarm.recreate", "service=web")
    assert len(truth.placed("web")) == 2
    assert inspected(truth) == before

    # Everything.
    lose_all(truth, swarm)
    refused = cli.run("swarm.recreate", "service=nosuch", "--yes")
    assert refused.code == 2 and 'The backup has no service "nosuch"' in refused.err
    done = cli.do("swarm.recreate")
    after = inspected(truth)
    for kind in KINDS:
        for name, thing in before[kind].items():
            assert after[kind][name] == thing, (kind, name)
    assert after == before
    assert len(truth.placed("web")) == 2 and len(truth.placed("agent")) == 5
    check_values(truth, swarm)
    assert "Nothing to do" in cli.do("swarm.recreate").out

    # Nobody saw a value.
    journals = "".join(file.read_text() for file in Path(cli.environment["XDG_STATE_HOME"]).rglob("*.jsonl"))
    for text in (journals, done.out, done.err, json.dumps(plan)):
        assert "S3CRET" not in text and "UzNDUkVU" not in text and "hidden-in-env" not in text
