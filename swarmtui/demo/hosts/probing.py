"""What people try between hosts before they make them a Swarm: who reaches whom on which port, names, addresses.

Listening and knocking take more of a shell than these hosts have: only lines of exactly these shapes are known. Nobody
listens on anything, and no program is run: the world itself knows what its network carries.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from dataclasses import dataclass

from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.paths import route
from swarmtui.demo.world.world import World

_LISTENER = re.compile(r"(?:tcp|udp):\d{1,5}")
_PROGRAM = re.compile(r"use IO::Socket::IP; use IO::Select; .*\balarm \d+;.*STDIN.*", re.DOTALL)
_TCP = re.compile(
    r"timeout \d+ bash -c 's=\$EPOCHREALTIME; : </dev/tcp/([\w.:-]+)/(\d+) && e=\$EPOCHREALTIME && "
    r'echo "tcp ([\w.:-]+) (\d+) \$\(\(10#0\$\{e/\[\.,\]/\}-10#0\$\{s/\[\.,\]/\}\)\)"\' 2>/dev/null & '
)
_UDP = re.compile(
    r"bash -c 'for i in 1 2 3; do ((?:echo [\w-]+ >/dev/udp/[\w.:]+/\d+; )+)sleep [\d.]+; done' 2>/dev/null & "
)
_DATAGRAM = re.compile(r"echo ([\w-]+) >/dev/udp/([\w.:]+)/(\d+); ")
_PATIENCE = 4.0
_NFS = "2049"


@dataclass(slots=True)
class Listener:
    """Ports that a program of an operator listens on, and what it has heard."""

    host: Host
    ports: tuple[str, ...]
    taken: tuple[str, ...]
    heard: list[str]


def listen(world: World, host: Host, line: str) -> Listener | None:
    """A listener for a line that asks for one; None for any other line."""
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    if words[:2] != ["perl", "-e"] or len(words) < 5 or not _PROGRAM.fullmatch(words[2]):
        return None
    if words[3] not in ("0.0.0.0", "::") or not all(_LISTENER.fullmatch(word) for word in words[4:]):
        return None
    wanted = [word.replace(":", " ") for word in words[4:]]
    busy = {port for other in world.listeners if other.host is host for port in other.ports} | _of_docker(host)
    free, taken = ([port for port in wanted if (port in busy) == side] for side in (False, True))
    listener = Listener(host, tuple(free), tuple(taken), [])
    world.listeners.append(listener)
    return listener


def _open(world: World, source: Host, address: str, port: str) -> tuple[Host, Listener | None] | None:
    """Who gets what a host sends to a port ("udp 7946"); None where it does not arrive, or nobody takes it."""
    to = route(world, source, address)
    if to is None or port in to.blocked:
        return None
    listener = next((known for known in world.listeners if known.host is to and port in known.ports), None)
    return (to, listener) if listener is not None or port in _of_docker(to) else None


def _of_docker(host: Host) -> set[str]:
    """The ports that a host's Docker has, being in a Swarm."""
    if not host.running or host.swarm is None or host.swarm.locked:
        return set()
    manager = {"tcp 2377"} if host.swarm.role == "manager" else set()
    return {*manager, "tcp 7946", "udp 7946", "udp 4789"}


async def knock(world: World, host: Host, line: str) -> Output | None:
    """Try ports of other hosts, if that is what the line asks for; None for any other line."""
    if not line.endswith("& wait") or "/dev/" not in line:
        return None
    rest, asked, sent = line, [], []
    while rest != "wait":
        if match := _TCP.match(rest):
            if match.group(1, 2) != match.group(3, 4):
                return None
            asked.append((match[1], match[2]))
        elif match := _UDP.match(rest):
            sent += _DATAGRAM.findall(match[1])
        else:
            return None
        rest = rest[match.end() :]
    opened = [
        (address, port)
        for address, port in asked
        if _open(world, host, address, f"tcp {port}") or (port == _NFS and address in world.nas)
    ]
    for name, address, port in sent:
        found = _open(world, host, address, f"udp {port}")
        if found is not None and found[1] is not None:
            found[1].heard += [f"heard udp {port} {name}"] * 3
    await world.kernel.sleep(_PATIENCE if len(opened) < len(asked) else 0.6)
    micros = 180 + sum(map(ord, host.name)) % 90
    return Output(out="".join(f"tcp {address} {port} {micros + 7 * at}\n" for at, (address, port) in enumerate(opened)))


@command("perl", "bash")
async def unknown(context: Context) -> Output:
    return Output(err="sh: 1: this program is not simulated beyond a listener for ports\n", code=126)


@command("getent")
async def getent(context: Context) -> Output:
    if context.args[:1] != ["hosts"]:
        return Output(err="getent: only `getent hosts NAME…' is known on a simulated host\n", code=1)
    found = [context.world.hosts.get(name) for name in context.args[1:]]
    lines = [f"{host.ip:<15} {host.name}\n" for host in found if host is not None and host.named]
    return Output(out="".join(lines), code=0 if len(lines) == len(found) else 2)


async def serve(listener: Listener, world: World, ended: asyncio.Event) -> str:
    """Listen until somebody ends it; returns what was heard."""
    try:
        await ended.wait()
    finally:
        world.listeners.remove(listener)
    return "".join(f"{line}\n" for line in listener.heard)
