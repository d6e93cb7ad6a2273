"""What the docker CLI made on a real Swarm, as a session reads it on demand, with a leader and without one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from swarmtui.config import load
from swarmtui.link.person import Nobody
from swarmtui.model.objects import config_users, network_users, secret_users, volume_users
from swarmtui.model.snapshot import ON_DEMAND
from swarmtui.opening import find
from swarmtui.session import Session
from tests.actions.conftest import swarm  # noqa: F401  # a fixture: both engines
from tests.link.watching import until

if TYPE_CHECKING:
    from tests.lab import Host, Lab

LISTED = {"networks": "network", "secrets": "secret", "configs": "config", "volumes": "volume"}


def listed(host: Host, kind: str) -> dict[str, str]:
    """Id → name of what `docker KIND ls` lists; volumes have no id."""
    key = "{{.Name}}" if kind == "volume" else "{{.ID}}"
    lines = host.docker(kind, "ls", "--format", f"{key} {{{{.Name}}}}", *_whole(kind)).stdout.splitlines()
    return dict(line.split() for line in lines)


def _whole(kind: str) -> list[str]:
    return ["--no-trunc"] if kind == "network" else []


def make(host: Host) -> None:
    """Everything there is, with the docker CLI."""
    host.docker("network", "create", "-d", "overlay", "--attachable", "--subnet", "10.9.9.0/24", "back")
    host.docker("network", "create", "-d", "overlay", "idle")
    host.sh("printf hunter2 | docker secret create --label a=b password -", data=b"")
    host.sh("printf 'daemon off;' | docker config create nginx -", data=b"")
    host.docker("volume", "create", "--label", "of=mgr1", "loose")
    host.docker(
        *("service", "create", "-d", "-q", "--no-resolve-image", "--name", "app", "--mode", "global"),
        *("--network", "back", "--secret", "password", "--config", "nginx"),
        *("--mount", "type=volume,source=files,target=/files", "--endpoint-mode", "dnsrr"),
        *("alpine:latest", "sleep", "86400"),
    )


async def test_what_the_docker_cli_made(swarm: Lab, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("HOME", str(swarm.home))
    host = swarm["mgr1"]
    opening = find(host.target, load(), bundles=home / "bundle")
    async with Session(opening, Nobody()).opened() as session:
        await session.until_live(30)
        session.want(ON_DEMAND)
        await session.refresh()
        await asyncio.to_thread(make, host)
        await until(lambda: "files" in session.snapshot.volumes and bool(session.snapshot.services), 60)
        await session.refresh()
        await until(lambda: len(session.snapshot.networks) == len(listed(host, "network")), 20)
        now = session.snapshot
        for collection, kind in LISTED.items():
            ours: Any = {key: value.name for key, value in getattr(now, collection).items()}
            assert ours == listed(host, kind), kind
        assert not any(reading.trouble for reading in now.readings.values())

        back = next(network for network in now.networks.values() if network.name == "back")
        inspected = json.loads(host.docker("network", "inspect", "back").stdout)[0]
        assert (back.id, back.driver, back.scope, back.attachable) == (inspected["Id"], "overlay", "swarm", True)
        assert back.subnets == ("10.9.9.0/24",) and now.volumes["loose"].labels == {"of": "mgr1"}
        secret = next(iter(now.secrets.values()))
        assert (secret.name, secret.spec.labels) == ("password", {"a": "b"}) and "hunter2" not in repr(now)
        services = list(now.services.values())
        for users, key in (
            (secret_users(services), secret.id),
            (config_users(services), next(iter(now.configs))),
            (volume_users(services), "files"),
            (network_users(services, now.networks), back.id),
        ):
            assert [service.name for service in users[key]] == ["app"]
        assert not volume_users(services).get("loose")

        told = {(event.type, event.action, event.name) for event in session.events}
        made = {"network": "back", "secret": "password", "config": "nginx", "service": "app"}
        assert told >= {(kind, "create", name) for kind, name in made.items()}
        assert not {kind for kind, _, _ in told} & {"container", "volume", "image"}

        # Without a leader the engine lists its own networks as if they were all.
        swarm["mgr2"].power_off()
        swarm["mgr3"].power_off()
        await until(lambda: bool(session.snapshot.readings["networks"].trouble), 90)
        assert session.snapshot.networks.keys() == now.networks.keys()
        assert session.snapshot.secrets.keys() == now.secrets.keys()
        raw = {network["Name"] for network in json.loads(await session.get("/networks"))}
        assert "idle" not in raw and "idle" in {network.name for network in session.snapshot.networks.values()}
