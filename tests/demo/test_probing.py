"""Listening and knocking on simulated hosts: exact shapes only, and no program is ever run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from swarmtui.demo.hosts import probing
from swarmtui.demo.hosts.commands import HostShell
from swarmtui.demo.scenarios import SCENARIOS, Size
from swarmtui.demo.world.world import World

PROGRAM = "use IO::Socket::IP; use IO::Select; alarm 60; STDIN"
TCP = (
    "timeout 4 bash -c 's=$EPOCHREALTIME; : </dev/tcp/10.0.1.12/7946 && e=$EPOCHREALTIME && "
    'echo "tcp 10.0.1.12 7946 $((10#0${e/[.,]/}-10#0${s/[.,]/}))"\' 2>/dev/null & wait'
)
UDP = "bash -c 'for i in 1 2 3; do echo h1 >/dev/udp/10.0.1.12/7946; sleep 0.2; done' 2>/dev/null & wait"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(1, speed=1000)
    SCENARIOS["bare"].build(made, Size())
    made.kernel.attach(asyncio.get_running_loop())
    yield made
    made.kernel.detach()


async def test_what_is_sent_arrives_where_somebody_listens(world: World) -> None:
    shell = HostShell(world, world.hosts["mgr1"])
    assert (await shell.run(TCP)).out == ""
    listener = probing.listen(world, world.hosts["mgr2"], f"perl -e '{PROGRAM}' 0.0.0.0 tcp:7946 udp:7946")
    assert listener is not None
    assert (await shell.run(TCP)).out.startswith("tcp 10.0.1.12 7946 ")
    await shell.run(UDP)
    assert listener.heard == ["heard udp 7946 h1"] * 3
    again = probing.listen(world, world.hosts["mgr2"], f"perl -e '{PROGRAM}' 0.0.0.0 tcp:7946 tcp:2377")
    assert again is not None and (again.taken, again.ports) == (("tcp 7946",), ("tcp 2377",))
    world.hosts["mgr2"].blocked |= {"tcp 7946", "udp 7946"}
    assert (await shell.run(TCP)).out == ""
    await shell.run(UDP)
    assert len(listener.heard) == 3


OTHER_LINES = [
    TCP.replace("& wait", "& rm -rf /var; wait"),
    TCP.replace("tcp 10.0.1.12 7946 $", "tcp 10.0.1.12 1 $"),
    TCP.replace(": </dev/tcp", "cat /etc/shadow; : </dev/tcp"),
    UDP.replace("echo h1 >", "echo $(id) >"),
    UDP.replace("sleep 0.2", "reboot"),
    "bash -c 'echo x >/dev/udp/10.0.1.12/7946' & wait",
    f"perl -e '{PROGRAM}' 0.0.0.0 tcp:7946 && reboot",
    "perl -e 'system(\"reboot\")' 0.0.0.0 tcp:7946",
    f"perl -e '{PROGRAM}' 10.0.0.1 tcp:7946",
    f"perl -e '{PROGRAM}' 0.0.0.0 7946",
    f"perl -e '{PROGRAM}'",
    "perl -v",
    "timeout five reboot",
    "getent passwd",
]


@pytest.mark.parametrize("line", OTHER_LINES)
async def test_any_other_line_is_refused(world: World, line: str) -> None:
    shell = HostShell(world, world.hosts["mgr1"])
    assert probing.listen(world, world.hosts["mgr1"], line) is None
    result = await shell.run(line)
    assert result.code != 0 and result.err
    assert not world.listeners
    assert world.hosts["mgr1"].powered


async def test_names_and_addresses(world: World) -> None:
    shell = HostShell(world, world.hosts["mgr1"])
    found = await shell.run("getent hosts mgr2 nosuch")
    assert (found.out.split(), found.code) == (["10.0.1.12", "mgr2"], 2)
    world.hosts["mgr1"].leased = True
    assert "inet 10.0.1.11/24 scope global dynamic eth0" in (await shell.run("ip -o addr show")).out
