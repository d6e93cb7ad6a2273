"""A simulated platform with UCP and DTR, seen from outside."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncssh

from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.platform.ucp_call import STEP
from swarmtui.demo.serve import Demo
from swarmtui.demo.world.world import World

UCP = "docker run --log-driver none --rm -i --name ucp -v /var/run/docker.sock:/var/run/docker.sock docker/ucp:2.2.5"


@dataclass
class Reply:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Platform:
    """A running platform, seen from outside."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.patience = 10.0

    @property
    def password(self) -> str:
        return str(self.demo.platform["admin"]["password"])

    @property
    def dtr_options(self) -> str:
        return "--ucp-url https://mgr1:443 --ucp-username admin --ucp-insecure-tls"

    async def ask(
        self,
        product: str,
        host: str,
        path: str,
        *,
        method: str = "GET",
        body: Any = None,
        **headers: str,
    ) -> Reply:
        """Ask over HTTPS, with the product's own CA."""
        owner = self.demo.world.ucp if product == "ucp" else self.demo.world.dtr
        context = ssl.create_default_context(cadata=owner.root.pem if owner is not None else None)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.demo.platform[product][host] + path, data, headers, method=method)

        def send() -> Reply:
            try:
                with urllib.request.urlopen(request, timeout=self.patience, context=context) as answer:
                    return Reply(answer.status, answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    return Reply(error.code, error.read())

        return await asyncio.to_thread(send)

    async def login(self, name: str = "admin", password: str = "") -> dict[str, str]:
        body = {"username": name, "password": password or self.password}
        answer = await self.ask("ucp", "mgr1", "/auth/login", method="POST", body=body)
        assert answer.status == 200, answer
        return {"Authorization": f"Bearer {answer.json['auth_token']}"}

    def basic(self) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"admin:{self.password}".encode()).decode()}

    async def run(self, host: str, line: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
        """Run a line over SSH: status, output and errors."""
        async with asyncssh.connect(
            host, config=[str(self.demo.ssh_config)], known_hosts=str(self.demo.folder / "known_hosts"), agent_path=None
        ) as connection:
            source = {"input": stdin} if stdin else {"stdin": asyncssh.DEVNULL}
            done = await connection.run(line, encoding=None, **source)
            assert isinstance(done.stdout, bytes)
            assert isinstance(done.stderr, bytes)
            return int(done.exit_status or 0), done.stdout, done.stderr.decode()

    async def until_listening(self, product: str, host: str, path: str = "/_ping") -> Reply:
        for _ in range(200):
            try:
                return await self.ask(product, host, path)
            except (urllib.error.URLError, ConnectionError):
                await asyncio.sleep(0.02)
        raise AssertionError("nothing listens")


async def until(true: Callable[[], object], what: str = "") -> None:
    """Wait for something that the simulator does by itself."""
    for _ in range(3000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(what or "it did not happen")


def ucp_of(platform: Platform) -> Ucp:
    found = platform.demo.world.ucp
    assert found is not None
    return found


def world_of(platform: Platform) -> World:
    return platform.demo.world


def running(platform: Platform, host: str) -> set[str]:
    return {one.name for one in world_of(platform).hosts[host].containers.values() if one.state == "running"}


def health(platform: Platform, host: str, name: str) -> str:
    return next(one.health for one in world_of(platform).hosts[host].containers.values() if one.name == name)


def hold(platform: Platform) -> asyncio.Event:
    """Commands of the image go on only when this is set."""
    kernel, go = world_of(platform).kernel, asyncio.Event()
    sleep = kernel.sleep

    async def held(delay: float) -> None:
        await (go.wait() if delay == STEP else sleep(delay))

    kernel.sleep = held  # type: ignore[method-assign]
    return go
