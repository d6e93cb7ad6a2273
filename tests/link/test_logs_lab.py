"""Logs of real dockerds: what they send, what they refuse, and what happens when the manager goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from swarmtui.link.log_frames import STDERR, STDOUT, SYSTEM, LogLine
from swarmtui.link.logs import Batch, LogQuery, follow
from swarmtui.link.manager import Manager
from swarmtui.link.person import Nobody
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.target import SshTarget

if TYPE_CHECKING:
    from tests.lab import Host, Lab


@pytest.fixture(params=[pytest.param("lab", marks=pytest.mark.lab), pytest.param("lab26", marks=pytest.mark.lab26)])
def swarm(request: pytest.FixtureRequest) -> Lab:
    """A Swarm of real dockerds, of both versions."""
    found: Lab = request.getfixturevalue(request.param)
    return found


@asynccontextmanager
async def opened(lab: Lab, host: Host, home: Path) -> AsyncIterator[Manager]:
    (home / ".ssh" / "id_ed25519").write_bytes((lab.home / ".ssh" / "id_ed25519").read_bytes())
    settings = SshSettings(known_hosts=lab.home / ".ssh" / "known_hosts")
    manager = await Manager.open(SshTarget(host.address, "root"), settings, Nobody())
    try:
        yield manager
    finally:
        await manager.close()


def service(host: Host, name: str, script: str, *options: str) -> None:
    base = ["-d", "-q", "--no-resolve-image", "--endpoint-mode", "dnsrr", "--name", name, "--restart-condition", "none"]
    host.docker("service", "create", *base, *options, "alpine:latest", "sh", "-c", script)


async def taken(manager: Manager, query: LogQuery, so: Callable[[list[LogLine]], Any]) -> list[LogLine]:
    async def engine() -> Any:
        return manager.engine

    found: list[LogLine] = []
    async with asyncio.timeout(40), aclosing(follow(engine, query)) as batches:
        async for batch in batches:
            found += batch.lines
            if so(found):
                break
    return found


def texts(found: list[LogLine]) -> str:
    return "\n".join(line.text for line in found)


async def test_what_real_engines_send(swarm: Lab, home: Path) -> None:
    host = swarm["mgr1"]
    service(
        host, "both", r"printf 'o\tut\n'; echo err >&2; printf '\033[31mred\033[2J\n'; sleep 3600", "--replicas", "2"
    )
    service(host, "tty", r"echo first; printf '\033[2Jlast\n'; sleep 3600", "--tty")
    service(host, "long", "head -c 70000 /dev/zero | tr '\\0' x; echo; echo end; sleep 3600")
    service(host, "mute", "echo unheard; sleep 3600", "--log-driver", "none")
    async with opened(swarm, host, home) as manager:
        found = await taken(manager, LogQuery("services", "both"), lambda lines: len(lines) >= 6)
        assert sorted({(line.stream, line.text) for line in found}) == [
            (STDOUT, "o       ut"),
            (STDOUT, "red\ufffd[2J"),
            (STDERR, "err"),
        ]
        tasks = {task["ID"]: task for task in json.loads(await manager.engine.get("/tasks"))}
        assert {tasks[line.origin.task]["NodeID"] == line.origin.node for line in found} == {True}
        assert len({line.origin.task for line in found}) == 2
        one = found[0].origin.task
        alone = await taken(manager, LogQuery("tasks", one), lambda lines: len(lines) >= 3)
        assert {line.origin.task for line in alone} == {one}

        found = await taken(manager, LogQuery("services", "tty"), lambda lines: len(lines) >= 2)
        assert [line.text for line in found] == ["first", "\ufffd[2Jlast"] and all(line.origin.task for line in found)

        found = await taken(manager, LogQuery("services", "long"), lambda lines: "end" in texts(lines))
        assert "".join(line.text for line in found) == "x" * 70_000 + "end"
        assert [line.joined for line in found][-1] is False and sum(not line.joined for line in found) == 2

        found = await taken(manager, LogQuery("services", "mute"), bool)
        assert found[0].stream == SYSTEM and "cannot be read back" in found[0].text, found


async def test_a_manager_that_goes_away_costs_no_line_and_repeats_none(swarm: Lab, home: Path) -> None:
    host = swarm["mgr1"]
    count = "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.2; done"
    service(host, "count", count, "--constraint", "node.role==worker")
    found: list[Batch] = []

    def numbers() -> list[int]:
        return [int(line.text.split()[1]) for batch in found for line in batch.lines if line.text.startswith("line")]

    async with opened(swarm, host, home) as first, opened(swarm, swarm["mgr2"], home) as second:
        using = first

        async def engine() -> Any:
            return using.engine

        async with asyncio.timeout(90), aclosing(follow(engine, LogQuery("services", "count"))) as batches:
            async for batch in batches:
                found.append(batch)
                if using is first and len(numbers()) > 10:
                    using = second
                    await asyncio.to_thread(host.stop_docker)
                elif using is second and batch.live and len(numbers()) > 60:
                    break
    assert numbers() == list(range(numbers()[-1] + 1))
    assert any(batch.note for batch in found)
