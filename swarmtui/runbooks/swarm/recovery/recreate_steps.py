"""The steps of swarm.recreate. What is secret comes from the backup when a step runs, and goes to the engine only."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass, field, replace
from typing import Any

from swarmtui.model.services import Task
from swarmtui.model.text import one_line
from swarmtui.runbooks import node_steps
from swarmtui.runbooks.blob_steps import NewBlob
from swarmtui.runbooks.object_steps import CreateNetwork, network_named
from swarmtui.runbooks.runbook import ConflictError, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.service_change import differences
from swarmtui.runbooks.service_facts import read_service
from swarmtui.runbooks.service_waits import Missing, WaitRollout
from swarmtui.runbooks.stack_steps import listed
from swarmtui.runbooks.swarm.recovery.recreate_facts import Source
from swarmtui.runbooks.swarm.recovery.recreate_objects import (
    Json,
    by_name,
    id_of,
    name_of,
    network_words,
    subnets,
    with_references,
)
from swarmtui.session import Session

ALLOCATION_SECONDS = 15.0
"""How long the leader may take to give a new network its addresses."""


def ourselves(source: Source, kind: str, name: str) -> Shown:
    """The command that creates just this: what it is made of is in the backup, and belongs on no command line."""
    what = shlex.join(["swarmtui", "run", "swarm.recreate", f"backup={source.backup}", f"{kind}={name}"])
    return Shown(f"{what} --target {shlex.quote(source.target)} --yes", here=True)


async def named(session: Session, kind: str, name: str) -> Json | None:
    """The service, secret or config of this very name; None where there is none. Raises EngineError or LinkError."""
    found = await listed(session, f"{kind}s", name=name)
    return next((one for one in found if name_of(one) == name), None)


@dataclass(frozen=True, kw_only=True)
class RecreateNetwork(CreateNetwork):
    """Creates a network as the backup has it. body: what the engine is given."""

    body: Json = field(default_factory=dict)

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(shlex.join(["docker", "network", "create", *network_words(self.body), self.name])),)

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await session.post("/networks/create", json=self.body)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        end = asyncio.get_running_loop().time() + ALLOCATION_SECONDS
        while True:
            found = await network_named(session, self.name)
            if found is not None and found.get("Scope") == "swarm" and self._placed(found):
                voice.say(f"The network {self.name} is there: {', '.join(subnets(found)) or 'without a subnet'}.")
                return
            if asyncio.get_running_loop().time() >= end:
                told = "is not there" if found is None else "did not get its addresses"
                raise StepError(
                    f"The network {self.name} {told}.",
                    f"Look at it: docker network inspect {shlex.quote(self.name)}; then retry.",
                )
            await asyncio.sleep(node_steps.POLL_SECONDS)

    def _placed(self, found: Any) -> bool:
        """Whether it has the addresses that were asked for, or any: Swarm gives them a moment later."""
        wanted = subnets(self.body)
        return set(wanted) <= set(subnets(found)) if wanted else bool(subnets(found)) or self.driver != "overlay"


@dataclass(frozen=True, kw_only=True)
class RecreateBlob(NewBlob):
    """Creates a secret or config as the backup has it.

    Attributes:
        old_id: its id in the backup.
        outside: its value is kept by a driver, and not in the backup.
    """

    source: Source
    old_id: str
    outside: bool = False

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (ourselves(self.source, self.kind, self.name),)

    async def spec(self, session: Session) -> dict[str, Any]:
        saved = (await self.source.thing(session, self.kind, self.old_id)).get("Spec") or {}
        made: dict[str, Any] = {"Name": self.name, "Labels": saved.get("Labels") or {}}
        made |= {key: saved[key] for key in ("Driver", "Templating") if saved.get(key)}
        if self.kind == "config":
            made["Data"] = saved.get("Data") or ""
        elif not self.outside:
            made["Data"] = (await self.source.data(session, self.old_id)).reveal()
        return made


@dataclass(frozen=True, kw_only=True)
class RecreateService(Step):
    """Creates a service as the backup has it, on the networks and with the secrets and configs of today.

    Attributes:
        old_id: its id in the backup.
    """

    source: Source
    old_id: str
    name: str
    skippable: bool = True

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (ourselves(self.source, "service", self.name),)

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (Shown(f"docker service rm {shlex.quote(self.name)}"),)

    async def before(self, session: Session) -> Facts:
        found = await named(session, "service", self.name)
        return {"id": id_of(found) if found else ""}

    async def already_done(self, session: Session, before: Facts) -> str:
        found = await named(session, "service", self.name)
        if found is None:
            return ""
        if before.get("id"):
            raise ConflictError(
                f"There is a service {self.name} already, which somebody created after you confirmed.",
                "Nothing was changed by this step.",
            )
        await self._compare(session, id_of(found))
        return f"The service {self.name} is there: it was created before the answer was lost."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        saved = await self.source.thing(session, "service", self.old_id)
        old = await self._names(session)
        there = {
            (kind, name_of(one)): id_of(one)
            for kind in ("network", "secret", "config")
            for one in await listed(session, f"{kind}s")
            if kind != "network" or one.get("Scope") == "swarm"
        }

        def today(kind: str, id_: str, name: str) -> str:
            called = old.get(id_) or name
            if not called:
                return id_  # of the Swarm's own networks "host" and "bridge", which no list has: they keep their ids
            if (kind, called) not in there:
                raise StepError(
                    f"{self.name} needs the {kind} {one_line(called)}, and the Swarm has none of that name.",
                    "Create it first, then retry; or skip the service.",
                )
            return there[kind, called]

        await session.post("/services/create", json=with_references(saved.get("Spec") or {}, today))

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        found = await named(session, "service", self.name)
        if found is None:
            raise StepError(f"The service {self.name} is not there.", "Retry.")
        await self._compare(session, id_of(found))
        voice.say(f"The service {self.name} is there, with the settings that the backup has.")

    async def _names(self, session: Session) -> dict[str, str]:
        """Id → name of what the backup's services refer to."""
        objects = await self.source.objects(session)
        return {id_of(one): name_of(one) for kind in ("networks", "secrets", "configs") for one in objects[kind]}

    async def _compare(self, session: Session, service_id: str) -> None:
        """Raises StepError where the service is not as the backup has it."""
        saved = await self.source.thing(session, "service", self.old_id)
        _, raw = await read_service(session, service_id)
        names = await self._names(session)
        for kind in ("networks", "secrets", "configs"):
            names |= {id_of(one): name_of(one) for one in await listed(session, kind)}
        if told := differences(by_name(saved.get("Spec") or {}, names), by_name(raw["Spec"], names)):
            raise StepError(
                f"The service {self.name} is there, and not as in the backup: {one_line('; '.join(told))}.",
                "Somebody may have created or changed it just now: look at it, then skip this step with the reason.",
            )


@dataclass(frozen=True, kw_only=True)
class WaitRecreated(WaitRollout):
    """Waits until the tasks of a service run for which there was no id yet when this was planned."""

    service_id: str = ""
    unwatched: bool = True
    skippable: bool = True

    async def look(self, session: Session) -> tuple[Missing, list[Task]]:
        if self.service_id:
            return await super().look(session)
        found = await named(session, "service", self.name)
        if found is None:
            raise StepError(f"There is no service {self.name}.", "It was not created: skip this, or make a new plan.")
        return await replace(self, service_id=id_of(found)).look(session)
