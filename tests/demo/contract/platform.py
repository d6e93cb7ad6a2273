"""Two platforms with one face: the simulator, and the lab of real engines."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from swarmtui.demo.hosts.commands import HostShell
from swarmtui.demo.scenarios.base import Scenario, Size
from swarmtui.demo.scenarios.builder import DAY, Builder
from swarmtui.demo.serve import Demo
from swarmtui.demo.world.world import World
from tests.lab import Lab

T = TypeVar("T")

MANAGERS = ("mgr1", "mgr2", "mgr3")
WORKERS = ("wrk1", "wrk2")


@dataclass(frozen=True)
class Answer:
    """What an engine answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body.strip() else None

    @property
    def message(self) -> str:
        """The words of a refusal."""
        try:
            return str(self.json["message"])
        except (ValueError, TypeError, KeyError):
            return self.body.decode()


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Platform(Protocol):
    """What the contract tests do to a platform."""

    name: str
    speed: float

    def socket(self, host: str) -> Path: ...
    def address(self, host: str) -> str: ...
    def docker_runs(self, host: str) -> bool: ...
    def stop_docker(self, host: str) -> None: ...
    def restart_docker(self, host: str) -> None: ...
    def start_docker(self, host: str) -> None: ...
    def kill(self, host: str) -> None: ...
    def run(self, host: str, line: str, stdin: str = "") -> tuple[str, int]: ...


class Client:
    """Asks the engines of a platform."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def ask(
        self,
        host: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        timeout: float = 60,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        link = _Unix(self.platform.socket(host), timeout)
        data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        given = {"Content-Type": "application/json"} if data is not None else {}
        try:
            link.request(method, path, data, {**given, **(headers or {})})
            response = link.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            link.close()

    def get(self, path: str, host: str = "mgr1") -> Any:
        answer = self.ask(host, "GET", path)
        assert answer.status == 200, answer
        return answer.json

    def ok(self, method: str, path: str, body: Any = None, host: str = "mgr1") -> Any:
        answer = self.ask(host, method, path, body)
        assert answer.status in (200, 201, 204), (method, path, answer)
        return answer.json

    def node(self, hostname: str, host: str = "mgr1") -> Any:
        found = [n for n in self.get("/nodes", host) if n["Description"].get("Hostname") == hostname]
        assert len(found) == 1, (hostname, found)
        return found[0]

    def service(self, name: str) -> Any:
        return self.get(f"/services/{name}")

    def tasks(self, service: str) -> list[Any]:
        return list(self.get(f"/tasks?filters={filters(service=[service])}"))

    def change_node(self, hostname: str, host: str = "mgr1", **spec: Any) -> Answer:
        node = self.node(hostname, host)
        changed = {**node["Spec"], **spec}
        path = f"/nodes/{node['ID']}/update?version={node['Version']['Index']}"
        return self.ask(host, "POST", path, changed)

    def change_service(self, name: str, change: Callable[[Any], None], query: str = "") -> Answer:
        service = self.service(name)
        spec = service["Spec"]
        change(spec)
        path = f"/services/{service['ID']}/update?version={service['Version']['Index']}{query}"
        return self.ask("mgr1", "POST", path, spec)

    def until(self, what: str, holds: Callable[[], T], seconds: float = 40) -> T:
        """Wait until something is true, at most as long as real engines need."""
        end = time.monotonic() + seconds
        last: T | None = None
        while time.monotonic() < end:
            last = holds()
            if last:
                return last
            time.sleep(0.05 if self.platform.speed > 1 else 0.2)
        raise AssertionError(f"not in {seconds} s: {what}; last: {last!r}")

    def running(self, service: str, number: int, seconds: float = 60) -> list[Any]:
        """Wait until so many tasks of a service run; returns them."""

        def look() -> list[Any]:
            found = [t for t in self.tasks(service) if t["Status"]["State"] == "running"]
            wanted = [t for t in found if t["DesiredState"] == "running"]
            return wanted if len(wanted) == len(found) == number else []

        if number == 0:
            return self.until(f"{service} at 0", lambda: self.tasks(service) == [] and [True], seconds)  # type: ignore[return-value]
        return self.until(f"{service} at {number}", look, seconds)


def filters(**wanted: list[str]) -> str:
    """A `filters` parameter; `node_label` stands for `node.label`."""
    from urllib.parse import quote

    return quote(json.dumps({k.replace("node_label", "node.label"): v for k, v in wanted.items()}))


class Real:
    """The lab."""

    speed = 1.0

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.name = f"engine {lab.engine}"

    def socket(self, host: str) -> Path:
        return Path(f"/proc/{self.lab[host].leader.pid}/root/run/docker.sock")

    def address(self, host: str) -> str:
        return self.lab[host].address

    def docker_runs(self, host: str) -> bool:
        return self.lab[host].docker_unit_active()

    def stop_docker(self, host: str) -> None:
        self.lab[host].stop_docker()

    def start_docker(self, host: str) -> None:
        self.lab[host].start_docker()

    def restart_docker(self, host: str) -> None:
        self.lab[host].restart_docker()

    def kill(self, host: str) -> None:
        self.lab[host].power_off()

    def run(self, host: str, line: str, stdin: str = "") -> tuple[str, int]:
        """Run a line as root; returns what it printed, and its exit status."""
        done = self.lab[host].sh(line, check=False, data=stdin.encode())
        return done.stdout, done.returncode


def _plain(world: World, size: Size) -> None:
    """The same Swarm as the lab's: three managers, two workers, nothing on them."""
    build = Builder(world)
    hosts = [
        world.add_host(name, f"10.77.9.{n}", cpus=2, memory=8 << 30) for n, name in enumerate((*MANAGERS, *WORKERS), 1)
    ]
    build.swarm(hosts[:3], hosts[3:], age=DAY)
    for host in hosts:
        world.remember_image(host, "alpine:latest", 2_000_000)


PLAIN = Scenario("plain", "an empty Swarm", "", _plain)


class Simulated:
    """The simulator, in a thread of its own so that tests may block."""

    name = "simulator"

    def __init__(self, speed: float = 10.0) -> None:
        self.speed = speed
        self.demo = Demo(PLAIN, speed=speed)
        self.loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self.loop.run_until_complete, args=(self._main(),))

    def __enter__(self) -> Simulated:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stop is not None
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self.loop.close()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        async with self.demo:
            self._ready.set()
            await self._stop.wait()

    def call(self, function: Callable[[World], T]) -> T:
        """Do something in the simulator's own thread."""

        async def run() -> T:
            return function(self.demo.world)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def socket(self, host: str) -> Path:
        return self.demo.folder / f"{host}.sock"

    def address(self, host: str) -> str:
        return self.demo.world.hosts[host].ip

    def docker_runs(self, host: str) -> bool:
        return self.socket(host).exists()

    def stop_docker(self, host: str) -> None:
        self.call(lambda world: world.stop_docker(world.hosts[host]))

    def start_docker(self, host: str) -> None:
        self.call(lambda world: world.start_docker(world.hosts[host]))
        client = Client(self)
        client.until("Docker is there", lambda: self.socket(host).exists())
        client.ask(host, "GET", "/_ping")

    def restart_docker(self, host: str) -> None:
        self.stop_docker(host)
        self.start_docker(host)

    def kill(self, host: str) -> None:
        self.call(lambda world: world.crash(world.hosts[host]))

    def run(self, host: str, line: str, stdin: str = "") -> tuple[str, int]:
        """Run a line as root; returns what it printed, and its exit status."""
        shell = HostShell(self.demo.world, self.demo.world.hosts[host])
        done = asyncio.run_coroutine_threadsafe(shell.run(line, stdin.encode()), self.loop).result(60)
        return done.out, done.code
