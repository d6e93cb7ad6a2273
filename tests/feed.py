"""A synthetic engine: bodies as a real one gives them, at sizes no lab reaches, and a manager that serves them.

Everything above the bytes is the product's own: decode, snapshot, derive, table, terminal.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

from swarmtui.link.target import SshTarget
from swarmtui.model.swarm import Info
from swarmtui.opening import Opening
from swarmtui.ui.app import Console

TRUST_ROOT = (
    "-----BEGIN CERTIFICATE-----\n" + "\n".join("MIIB" + "A" * 60 for _ in range(10)) + "\n-----END CERTIFICATE-----\n"
)


def node(number: int, *, state: str = "ready", version: int = 10) -> dict[str, Any]:
    """One node; the first five are managers."""
    body: dict[str, Any] = {
        "ID": f"n{number:05}" + "x" * 19,
        "Version": {"Index": version},
        "CreatedAt": "2026-11-01T10:00:00.123456789Z",
        "UpdatedAt": "2026-11-20T10:00:00.123456789Z",
        "Spec": {
            "Labels": {"zone": "abc"[number % 3], "rack": str(number % 40)},
            "Role": "manager" if number < 5 else "worker",
            "Availability": "active",
        },
        "Description": {
            "Hostname": f"{'mgr' if number < 5 else 'node'}{number + 1}",
            "Platform": {"Architecture": "x86_64", "OS": "linux"},
            "Resources": {"NanoCPUs": 4_000_000_000, "MemoryBytes": 8 << 30},
            "Engine": {
                "EngineVersion": "20.10.24",
                "Plugins": [{"Type": "Network", "Name": n} for n in ("bridge", "host", "ipvlan", "macvlan", "overlay")],
            },
            "TLSInfo": {"TrustRoot": TRUST_ROOT, "CertIssuerSubject": "MBMx", "CertIssuerPublicKey": "MFkw" * 20},
        },
        "Status": {"State": state, "Addr": f"10.1.{number >> 8}.{number & 255}"},
    }
    if number < 5:
        body["ManagerStatus"] = {"Leader": number == 0, "Reachability": "reachable", "Addr": f"10.1.0.{number}:2377"}
    return body


def service(number: int, replicas: int) -> dict[str, Any]:
    """A replicated service."""
    template = {"ContainerSpec": {"Image": "registry/shop/web:1.2.3"}, "Placement": {}, "ForceUpdate": 0}
    return {
        "ID": f"s{number:04}" + "y" * 20,
        "Version": {"Index": 20},
        "CreatedAt": "2026-11-01T10:00:00Z",
        "UpdatedAt": "2026-11-20T10:00:00Z",
        "Spec": {"Name": f"shop_web{number}", "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": replicas}}},
    }


def task(number: int, services: int, nodes: int, *, version: int = 30) -> dict[str, Any]:
    """A running task."""
    return {
        "ID": f"t{number:06}" + "z" * 18,
        "Version": {"Index": version},
        "CreatedAt": "2026-11-01T10:00:00Z",
        "UpdatedAt": "2026-11-20T10:00:00Z",
        "Spec": {"ContainerSpec": {"Image": "registry/shop/web:1.2.3"}, "Placement": {}, "ForceUpdate": 0},
        "ServiceID": service(number % services, 1)["ID"],
        "Slot": number // services + 1,
        "NodeID": f"n{number % nodes:05}" + "x" * 19,
        "Status": {"Timestamp": "2026-11-20T10:00:00Z", "State": "running", "Message": "started"},
        "DesiredState": "running",
    }


class Feed:
    """A cluster whose nodes change, served as an engine would.

    Args:
        nodes: how many nodes; services and tasks likewise.
        churn: share of the nodes that differ after every tick.
    """

    def __init__(
        self, nodes: int = 1000, services: int = 0, tasks: int = 0, *, churn: float = 0.1, seed: int = 1
    ) -> None:
        self._random = random.Random(seed)
        self._churn = churn
        self._nodes = [node(number) for number in range(nodes)]
        self._encoded = [json.dumps(body).encode() for body in self._nodes]
        self._services = (
            b"[" + b",".join(json.dumps(service(n, -(-tasks // services))).encode() for n in range(services)) + b"]"
        )
        self._tasks = b"[" + b",".join(json.dumps(task(n, services, nodes)).encode() for n in range(tasks)) + b"]"
        swarm = {
            "NodeID": self._nodes[0]["ID"],
            "LocalNodeState": "active",
            "ControlAvailable": True,
            "Cluster": {"ID": "c" * 25, "Spec": {}},
        }
        self._info = json.dumps({"ID": "e", "Name": "mgr1", "Swarm": swarm}).encode()
        self.hint = asyncio.Event()
        self.polls = 0

    def tick(self) -> None:
        """Changes its share of the nodes, and tells by an event."""
        count = len(self._nodes)
        for number in self._random.sample(range(5, count), int(count * self._churn)):
            self.change(number)
        self.hint.set()

    def change(self, number: int) -> None:
        """Turns one node from ready to down or back."""
        body = self._nodes[number]
        body["Version"]["Index"] += 1
        body["Status"]["State"] = "down" if body["Status"]["State"] == "ready" else "ready"
        self._encoded[number] = json.dumps(body).encode()

    def move(self, number: int) -> None:
        """Gives one node another address."""
        body = self._nodes[number]
        body["Version"]["Index"] += 1
        body["Status"]["Addr"] = f"10.9.0.{body['Version']['Index'] % 250}"
        self._encoded[number] = json.dumps(body).encode()

    # -- as an engine ----------------------------------------------------------------------------------------------

    async def get(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout: float | None = None, clean: bool = True
    ) -> bytes:
        await asyncio.sleep(0)
        if path == "/nodes":
            self.polls += 1
            return b"[" + b",".join(self._encoded) + b"]"
        return {"/info": self._info, "/services": self._services, "/tasks": self._tasks}[path]

    async def events(self, filters: Mapping[str, list[str]]) -> AsyncIterator[bytes]:
        while True:
            await self.hint.wait()
            self.hint.clear()
            yield b"{}"


class FeedManager:
    """A manager that serves a feed; stands where `swarmtui.link.manager.Manager` would."""

    host = None
    via = "tls"
    label = "mgr1"

    def __init__(self, feed: Feed) -> None:
        self.engine = feed
        self.target = SshTarget("mgr1")
        self._closed = asyncio.Event()

    async def info(self) -> Info:
        from swarmtui.link.decode import decode_one

        return decode_one(await self.engine.get("/info"), Info, "itself")

    async def wait_lost(self) -> None:
        await self._closed.wait()

    async def close(self) -> None:
        self._closed.set()


def console_on(feed: Feed, monkeypatch: Any, journal: Any) -> Console:
    """A console whose session meets this feed instead of a network."""
    from swarmtui import session

    class Managers:
        @staticmethod
        async def open(*_: object) -> FeedManager:
            return FeedManager(feed)

    monkeypatch.setattr(session, "Manager", Managers)
    return Console(Opening("synthetic", (SshTarget("mgr1"),)), journal=journal)
