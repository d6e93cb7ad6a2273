"""What a host in trouble says of itself over SSH, next to what the managers say of its node.

Only questions that change nothing: the Docker socket is not touched before systemd has said that Docker runs, because
docker.socket would start it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from swarmtui.errors import EngineError, UsageError
from swarmtui.link.reasons import LinkError
from swarmtui.link.ssh import SshHost
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.link.together import together
from swarmtui.model.swarm import SwarmInfo, when
from swarmtui.model.text import one_line
from swarmtui.session import Session

QUESTION_SECONDS = 10.0
INFO_SECONDS = 30.0
"""A manager without a leader takes 20 s to say so (swarm-dr.md §4)."""
LOGIN_SECONDS = 20.0
UNIT = "systemctl show --property=LoadState,ActiveState,ActiveEnterTimestampMonotonic docker.service"
BOOTED = "systemctl show --property=UserspaceTimestampMonotonic"


class Where(msgspec.Struct, frozen=True):
    """A host, and how commands are run there.

    Attributes:
        name: what people call it.
        target: "ssh://root@10.0.0.5".
        host, port: the same as the ssh command takes it.
        sudo: whether its docker and systemctl need `sudo -n`.
        systemd: whether it has systemctl; else `service` is used.
    """

    name: str
    target: str
    host: str
    port: int | None = None
    sudo: bool = False
    systemd: bool = True

    def root(self, command: str) -> str:
        """The command as root runs it."""
        return f"sudo -n {command}" if self.sudo else command

    @property
    def ssh(self) -> SshTarget:
        target = parse_target(self.target)
        assert isinstance(target, SshTarget)
        return target

    async def reach(self, session: Session) -> SshHost:
        """Logs in, or finds the connection open. Raises LinkError."""
        return await session.reach(self.ssh)


def where(session: Session, name: str, target: SshTarget) -> Where:
    """The host that this address leads to."""
    return Where(name, str(target), target.destination, target.port, session.opening.cluster.sudo)


def ssh_address(text: str) -> str:
    """An SSH address, ssh://[USER@]HOST[:PORT]; the kind of a parameter."""
    try:
        target = parse_target(text if "://" in text else f"ssh://{text}")
    except UsageError as error:
        raise ValueError(f"is no SSH address: {error.what}".rstrip(".")) from error
    if not isinstance(target, SshTarget):
        raise ValueError("is no SSH address")
    return str(target)


class HostSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a host says of itself.

    Attributes:
        at: the host.
        trouble: why nobody can log in, one sentence; then nothing else is known.
        unit: state of docker.service (active, failed, masked, …); "" without systemd.
        docker_seconds, up_seconds: how long Docker, and the host, have been running; -1.0 where nobody knows.
        addresses: its own IP addresses.
        silent: why its engine gives no answer, one sentence.
        swarm: what its engine says of its Swarm.
        version: of its engine.
    """

    at: Where
    trouble: str = ""
    unit: str = ""
    docker_seconds: float = -1.0
    up_seconds: float = -1.0
    addresses: tuple[str, ...] = ()
    silent: str = ""
    swarm: SwarmInfo = SwarmInfo()
    version: str = ""

    @property
    def docker_down(self) -> bool:
        """Docker is not running there."""
        return self.unit in ("inactive", "failed", "deactivating", "masked")

    @property
    def cluster_id(self) -> str:
        return self.swarm.cluster.id if self.swarm.cluster is not None else ""


async def look_at(session: Session, at: Where) -> HostSeen:
    """Asks a host how it is; never fails, and changes nothing."""
    try:
        async with asyncio.timeout(LOGIN_SECONDS + INFO_SECONDS):
            return await _questions(await at.reach(session), at)
    except LinkError as error:
        return HostSeen(at=at, trouble=error.what)
    except TimeoutError:
        return HostSeen(at=at, trouble=f"{at.host} let us in, but did not answer in time.")


async def _questions(host: SshHost, at: Where) -> HostSeen:
    unit, booted, uptime, addresses = await together(
        *(host.run(line, timeout=QUESTION_SECONDS) for line in (UNIT, BOOTED, "cat /proc/uptime", "hostname -I"))
    )
    state = dict(line.partition("=")[::2] for line in unit.out.splitlines()) if unit.code == 0 else {}
    systemd = bool(state)
    at = msgspec.structs.replace(at, systemd=systemd)
    up = _number(uptime.out.split(" ")[0])
    seen = HostSeen(
        at=at,
        unit="" if not systemd else "masked" if state.get("LoadState") == "masked" else state.get("ActiveState", ""),
        docker_seconds=_since(up, state.get("ActiveEnterTimestampMonotonic", "")),
        up_seconds=_since(up, booted.out.strip().rpartition("=")[2] if systemd else ""),
        addresses=tuple(addresses.out.split()) if addresses.code == 0 else (),
    )
    if seen.docker_down:
        return msgspec.structs.replace(seen, docker_seconds=-1.0)
    try:
        swarm, version = await _engine(host, at)
    except LinkError as error:
        swarm, version = error.what, ""
    if isinstance(swarm, str):
        return msgspec.structs.replace(seen, silent=swarm)
    return msgspec.structs.replace(seen, swarm=swarm, version=version)


async def _engine(host: SshHost, at: Where) -> tuple[SwarmInfo | str, str]:
    """What the engine says of its Swarm, and its version; or why it says nothing. Raises LinkError."""
    line = at.root("docker info --format '{{json .Swarm}}'")
    told, version = await together(
        host.run(line, timeout=INFO_SECONDS),
        host.run(at.root("docker info --format '{{.ServerVersion}}'"), timeout=INFO_SECONDS),
    )
    try:
        return msgspec.json.decode(told.out, type=SwarmInfo), one_line(version.out)
    except (msgspec.MsgspecError, ValueError):
        return f"`docker info` on {at.name} says: {told.words}.", ""


async def swarm_state(host: SshHost, at: Where) -> SwarmInfo:
    """What the engine of a host we are logged in to says of its Swarm.

    Raises:
        EngineError: it gives no answer.
        LinkError: the connection was lost.
    """
    swarm, _ = await _engine(host, at)
    if isinstance(swarm, str):
        raise EngineError(swarm, f"Look there: journalctl -u docker -n 50 on {at.name}.")
    return swarm


async def seconds_since(session: Session, updated_at: str) -> float:
    """How long ago the Swarm wrote something, by the clock of the manager in use; -1.0 where nobody knows."""
    written = when(updated_at)
    info: Any = json.loads(await session.get("/info"))
    now = when(str(info.get("SystemTime", ""))) if isinstance(info, dict) else None
    return (now - written).total_seconds() if now is not None and written is not None else -1.0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def _since(up: float, microseconds: str) -> float:
    """Seconds since a time that systemd gives in microseconds of the machine's clock; 0 of those means never."""
    began = _number(microseconds)
    return max(0.0, up - began / 1e6) if up >= 0.0 and began > 0.0 else -1.0
