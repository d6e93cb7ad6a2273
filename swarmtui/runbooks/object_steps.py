"""The steps that create networks, and remove networks, secrets, configs and volumes of one node."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from swarmtui.errors import EngineError
from swarmtui.runbooks.manager_docker import docker_on
from swarmtui.runbooks.runbook import ConflictError, Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.session import Session

VOLUME_SECONDS = 60.0


async def network_named(session: Session, name: str) -> Mapping[str, Any] | None:
    """The network of this very name or id as the engine tells it; None where there is none."""
    try:
        found = json.loads(await session.get(f"/networks/{name}"))
    except EngineError as error:
        if error.status == 404:
            return None
        raise
    except ValueError as error:
        raise EngineError("The engine's answer about the network cannot be read.", "Is it a Docker engine?") from error
    return found if isinstance(found, dict) and name in (found.get("Name"), found.get("Id")) else None


@dataclass(frozen=True, kw_only=True)
class CreateNetwork(Step):
    """Creates a network of the Swarm. subnet, gateway: "" where the Swarm chooses."""

    name: str
    driver: str = "overlay"
    attachable: bool = False
    internal: bool = False
    encrypted: bool = False
    subnet: str = ""
    gateway: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> tuple[Shown, ...]:
        words = ["docker", "network", "create", "--driver", self.driver]
        words += ["--attachable"] if self.attachable else []
        words += ["--internal"] if self.internal else []
        words += ["--opt", "encrypted"] if self.encrypted else []
        words += ["--subnet", self.subnet] if self.subnet else []
        words += ["--gateway", self.gateway] if self.gateway else []
        words += [word for key, value in sorted(self.labels.items()) for word in ("--label", f"{key}={value}")]
        return (Shown(shlex.join([*words, self.name])),)

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (Shown(f"docker network rm {shlex.quote(self.name)}"),)

    async def before(self, session: Session) -> Facts:
        found = await network_named(session, self.name)
        return {"id": found.get("Id") if found else ""}

    async def already_done(self, session: Session, before: Facts) -> str:
        if await network_named(session, self.name) is None:
            return ""
        if before.get("id"):
            raise ConflictError(
                f"There is a network {self.name} already, which somebody created after you confirmed.",
                "Nothing was changed by this step.",
            )
        return f"The network {self.name} is there: it was created before the answer was lost."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        config = {"Subnet": self.subnet, "Gateway": self.gateway}
        given = {key: value for key, value in config.items() if value}
        await session.post(
            "/networks/create",
            json={
                "Name": self.name,
                "CheckDuplicate": True,
                "Driver": self.driver,
                "Attachable": self.attachable,
                "Internal": self.internal,
                "Options": {"encrypted": ""} if self.encrypted else {},
                "Labels": dict(self.labels),
                **({"IPAM": {"Driver": "default", "Config": [given]}} if given else {}),
            },
        )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        found = await network_named(session, self.name)
        if found is None or found.get("Scope") != "swarm":
            told = "is not there" if found is None else "is one of a single host, not of the Swarm"
            raise StepError(f"The network {self.name} {told}.", "Look at it: docker network ls; then retry.")
        voice.say(f"The network {self.name} is there.")


@dataclass(frozen=True, kw_only=True)
class RemoveObject(Step):
    """Removes a secret, config or network by its id.

    Attributes:
        kind: "secret", "config" or "network", as the docker CLI and the engine's API call it.
    """

    kind: str
    object_id: str
    name: str
    danger: Danger = Danger.DESTRUCTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(f"docker {self.kind} rm {shlex.quote(self.name)}"),)

    async def _there(self, session: Session) -> bool:
        try:
            await session.get(f"/{self.kind}s/{self.object_id}")
        except EngineError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await self._there(session) else f"The {self.kind} {self.name} is gone."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await session.delete(f"/{self.kind}s/{self.object_id}")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if await self._there(session):
            raise StepError(f"The {self.kind} {self.name} is still there.", "Retry.")
        voice.say(f"The {self.kind} {self.name} is removed.")


@dataclass(frozen=True, kw_only=True)
class RemoveVolume(Step):
    """Removes a volume of one node, on its host. The engine itself refuses while a container has it.

    Attributes:
        node: its name; host: SSH destination; port: None for the usual one.
    """

    node_id: str
    node: str
    volume: str
    host: str = ""
    port: int | None = None
    sudo: bool = False
    danger: Danger = Danger.DESTRUCTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        sudo = "sudo -n " if self.sudo else ""
        return (Shown(f"{sudo}docker volume rm {shlex.quote(self.volume)}", self.host, self.port),)

    async def _there(self, session: Session) -> bool:
        return self.volume in await volumes_on(session, self.node_id)

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await self._there(session) else f"{self.node} has no volume {self.volume} any more."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        ran = await docker_on(session, self.node_id, ["volume", "rm", self.volume], timeout=VOLUME_SECONDS)
        if ran.code != 0:
            raise StepError(f"`docker volume rm` failed on {self.node}: {ran.why}.", "Mend that, then retry.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if await self._there(session):
            raise StepError(f"The volume {self.volume} is still on {self.node}.", "Retry.")
        voice.say(f"The volume {self.volume} is removed from {self.node}.")


async def volumes_on(session: Session, node_id: str) -> frozenset[str]:
    """Names of the volumes of a node. Raises StepError or LinkError where its Docker cannot be asked."""
    ran = await docker_on(session, node_id, ["volume", "ls", "-q"], timeout=VOLUME_SECONDS)
    if ran.code != 0:
        raise StepError(f"The volumes of {ran.where} cannot be listed: {ran.why}.", "Look at Docker there.")
    return frozenset(ran.lines)


async def containers_with(session: Session, node_id: str, volume: str) -> int:
    """How many containers of a node, also stopped ones, have a volume. Raises as `volumes_on` does."""
    words = ["ps", "-aq", "--filter", f"volume={volume}"]
    ran = await docker_on(session, node_id, words, timeout=VOLUME_SECONDS)
    if ran.code != 0:
        raise StepError(f"The containers of {ran.where} cannot be listed: {ran.why}.", "Look at Docker there.")
    return len(ran.lines)
