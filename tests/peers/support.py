"""The docker CLI on a simulated host: what another operator sees, who knows nothing of our code."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from typing import Any

import pytest

from swarmtui.demo.serve import Demo

needs_docker = pytest.mark.skipif(shutil.which("docker") is None, reason="there is no docker command here")


class Docker:
    """`docker -H` of one simulated host."""

    def __init__(self, demo: Demo, host: str = "mgr2") -> None:
        self._socket = next(entry["docker"] for entry in demo.hosts if entry["name"] == host)

    async def __call__(self, *words: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        process = await asyncio.create_subprocess_exec(
            "docker", "-H", self._socket, *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0, (words, err.decode())
        return out.decode().strip()

    async def names(self, kind: str) -> set[str]:
        """The names in `docker KIND ls`."""
        return set((await self(kind, "ls", "--format", "{{.Name}}")).split())

    async def service(self, name: str) -> dict[str, Any]:
        """`docker service inspect`."""
        (found,) = json.loads(await self("service", "inspect", name))
        assert isinstance(found, dict)
        return found

    async def everything(self) -> dict[str, Any]:
        """The Specs of all that a key could change."""
        ids = {kind: (await self(kind, "ls", "-q")).split() for kind in ("node", "service", "secret", "config")}
        specs = {kind: json.loads(await self(kind, "inspect", *found)) if found else [] for kind, found in ids.items()}
        told = {kind: {each["ID"]: each["Spec"] for each in found} for kind, found in specs.items()}
        return {**told, "network": await self.names("network"), "volume": await self.names("volume")}
