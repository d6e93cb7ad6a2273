"""A synthetic engine: bodies as a real one gives them, at sizes no lab reaches, and a manager that serves them.

Everything above the bytes is the product's own: decode, snapshot, derive, table, terminal.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from swarmtui.link.target import SshTarget
from swarmtui.model.swarm import Info
from swarmtui.opening import Opening
from swarmtui.ui.app import Console

TRUST_ROOT = (
    "-----BEGIN CERTIFICATE-----\n" + "\n".join("MIIB" + "A" * 60 for _ in range(10)) + "\n-----END CERTIFICATE-----\n"
)


def encoded(body: Mapping[str, Any]) -> bytes:
    """As Go does it: without a blank."""
    return json.dumps(body, separators=(",", ":")).encode()


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


def task(number: int, services: int, nodes: int, *, version: int = 30, life: int = 0) -> dict[str, Any]:
    """A running task, of about as many bytes as a real one (swarm-dr.md §7).

    Args:
        life: how many came before it in its slot.
    """
    container = {
        "Image": "registry/shop/web:1.2.3",
        "Env": ["LOG_LEVEL=info", "LISTEN=0.0.0.0:8080"],
        "Isolation": "default",
    }
    return {
        "ID": f"t{number:06}{life:04}" + "z" * 14,
        "Version": {"Index": version},
        "CreatedAt": f"2026-11-01T10:{life // 60 % 60:02}:{life % 60:02}.123456789Z",
        "UpdatedAt": "2026-11-20T10:00:00.123456789Z",
        "Labels": {},
        "Spec": {
            "ContainerSpec": container,
            "Resources": {"Limits": {"MemoryBytes": 268435456}, "Reservations": {"MemoryBytes": 134217728}},
            "RestartPolicy": {"Condition": "any", "MaxAttempts": 0},
            "Placement": {"Platforms": [{"Architecture": "amd64", "OS": "linux"}]},
            "ForceUpdate": 0,
        },
        "ServiceID": service(number % services, 1)["ID"],
        "Slot": number // services + 1,
        "NodeID": f"n{number % nodes:05}" + "x" * 19,
        "Status": {
            "Timestamp": "2026-11-20T10:00:00.123456789Z",
            "State": "running",
            "Message": "started",
            "ContainerStatus": {"ContainerID": f"{number:064x}", "PID": 4242, "ExitCode": 0},
            "PortStatus": {},
        },
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
        self._encoded = [encoded(body) for body in self._nodes]
        self._sizes = (services, nodes)
        self._services = [service(number, -(-tasks // services)) for number in range(services)]
        self._tasks = [task(number, services, nodes) for number in range(tasks)]
        self._lives = [0] * tasks
        self._encoded_services = [encoded(body) for body in self._services]
        self._encoded_tasks = [encoded(body) for body in self._tasks]
        swarm = {
            "NodeID": self._nodes[0]["ID"],
            "LocalNodeState": "active",
            "ControlAvailable": True,
            "Cluster": {"ID": "c" * 25, "Spec": {}},
        }
        self._info = encoded({"ID": "e", "Name": "mgr1", "Swarm": swarm})
        self.hint = asyncio.Event()
        self.polls = 0

    def tick(self) -> None:
        """Changes its share of the nodes, and tells by an event."""
        count = len(self._nodes)
        for number in self._random.sample(range(5, count), int(count * self._churn)):
            self.change(number)
        self.hint.set()

    def tick_all(self) -> None:
        """Like `tick`, and changes the same share of the services and of the tasks; one task in ten is replaced."""
        for number in self._random.sample(range(len(self._services)), int(len(self._services) * self._churn)):
            self._change_service(number)
        changed = self._random.sample(range(len(self._tasks)), int(len(self._tasks) * self._churn))
        for place, number in enumerate(changed):
            self._change_task(number, replace=place % 10 == 0)
        self.tick()

    def _change_service(self, number: int) -> None:
        body = self._services[number]
        body["Version"]["Index"] += 1
        state = "completed" if body.get("UpdateStatus", {}).get("State") == "updating" else "updating"
        body["UpdateStatus"] = {"State": state, "Message": "update in progress"}
        self._encoded_services[number] = encoded(body)

    def _change_task(self, number: int, *, replace: bool) -> None:
        if replace:
            self._lives[number] += 1
            self._tasks[number] = task(number, *self._sizes, life=self._lives[number])
        body = self._tasks[number]
        body["Version"]["Index"] += 1
        status = body["Status"]
        status["State"] = self._random.choice(("running", "running", "starting", "preparing", "failed"))
        status["Message"] = status["State"]
        status["Timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime())
        self._encoded_tasks[number] = encoded(body)

    def change(self, number: int) -> None:
        """Turns one node from ready to down or back."""
        body = self._nodes[number]
        body["Version"]["Index"] += 1
        body["Status"]["State"] = "down" if body["Status"]["State"] == "ready" else "ready"
        self._encoded[number] = encoded(body)

    def move(self, number: int) -> None:
        """Gives one node another address."""
        body = self._nodes[number]
        body["Version"]["Index"] += 1
        body["Status"]["Addr"] = f"10.9.0.{body['Version']['Index'] % 250}"
        self._encoded[number] = encoded(body)

    # -- as an engine ----------------------------------------------------------------------------------------------

    async def get(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout: float | None = None, clean: bool = True
    ) -> bytes:
        await asyncio.sleep(0)
        if path == "/nodes":
            self.polls += 1
        return self.body(path)

    def body(self, path: str) -> bytes:
        """What the engine answers to a GET of this path."""
        if path == "/info":
            return self._info
        lists = {"/nodes": self._encoded, "/services": self._encoded_services, "/tasks": self._encoded_tasks}
        return b"[" + b",".join(lists[path]) + b"]"

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
