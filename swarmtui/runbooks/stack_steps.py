"""The steps that deploy and remove a stack: the stock `docker stack` command on a manager, proved by the engine."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from swarmtui.errors import EngineError
from swarmtui.model.compose import NAMESPACE
from swarmtui.model.services import Task
from swarmtui.model.stack_diff import same_image, shape_of
from swarmtui.model.text import one_line
from swarmtui.runbooks.compose_files import load
from swarmtui.runbooks.manager_docker import docker
from swarmtui.runbooks.node_steps import POLL_SECONDS, SAID_LINES
from swarmtui.runbooks.node_waits import wait_line, waiting
from swarmtui.runbooks.runbook import ConflictError, Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.service_waits import Missing, WaitRollout
from swarmtui.session import Session

DEPLOY_SECONDS = 300.0
"""docker asks the registry about every image first, and waits for one that does not answer."""
REMOVE_SECONDS = 60
RETRY_SECONDS = 1.0
KINDS = ("services", "networks", "secrets", "configs")

Json = dict[str, Any]


async def listed(session: Session, kind: str, **filters: str) -> list[Json]:
    """A list of the engine (services, tasks, networks, secrets, configs) as plain values, made harmless.

    Raises:
        EngineError: the engine refused, or did not answer with a list.
        LinkError: the connection is lost.
    """
    wire = {"filters": json.dumps({name: [value] for name, value in filters.items()})} if filters else None
    body = await session.get(f"/{kind}", wire)
    try:
        found = json.loads(body) or []
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise EngineError(
            f"The engine's list of {kind} cannot be read.",
            "Is it a Docker engine, and not a proxy that answers in its place?",
        )
    return found


def name_of(item: Mapping[str, Any]) -> str:
    """The name of a service, network, secret or config."""
    return str(item.get("Name") or (item.get("Spec") or {}).get("Name") or "")


def labels_of(item: Mapping[str, Any]) -> Mapping[str, str]:
    return item.get("Labels") or (item.get("Spec") or {}).get("Labels") or {}


async def of_stack(session: Session, kind: str, stack: str) -> list[Json]:
    """What the stack has of one kind. Raises as `listed` does."""
    # Asked for by label, and looked at all the same: an old engine leaves a filter it does not know out.
    found = await listed(session, kind, label=f"{NAMESPACE}={stack}")
    return [item for item in found if labels_of(item).get(NAMESPACE) == stack]


@dataclass(frozen=True, kw_only=True)
class DeployStack(Step):
    """Deploys a stack: `docker stack deploy` on a manager, which gets the file on its standard input.

    Attributes:
        stack: its name.
        file: the compose file; digest: of what it was when the plan was made.
        options: further options of the command.
        wanted: service name → image and mode ("nginx:1.25", "replicated") that shall be there.
        pruned: services that shall be gone.
        anew: whether the stack has no service yet: removing it takes the deploy back.
    """

    stack: str
    file: str
    digest: str
    options: tuple[str, ...] = ()
    wanted: Mapping[str, tuple[str, str]]
    pruned: tuple[str, ...] = ()
    anew: bool = False

    @property
    def shown(self) -> tuple[Shown, ...]:
        words = ["docker", "stack", "deploy", "--compose-file", self.file, *self.options, self.stack]
        return (Shown(shlex.join(words)),)

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (Shown(f"docker stack rm {shlex.quote(self.stack)}"),) if self.anew else ()

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""  # deploying the same file again changes nothing: a resume does it again

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        file = await asyncio.to_thread(load, Path(self.file), self.stack, os.environ)
        if file.digest != self.digest:
            raise ConflictError(
                f"{self.file}, a file it names or a variable in it changed after you confirmed.",
                "Nothing was deployed by this step. Begin anew, and look at the differences again.",
            )
        words = ["stack", "deploy", "--compose-file", "-", *self.options, self.stack]
        ran = await docker(session, words, stdin=file.content, timeout=DEPLOY_SECONDS)
        for line in (*ran.lines, *ran.errors)[:SAID_LINES]:
            voice.say(line)
        if ran.code != 0:
            raise StepError(
                f"`docker stack deploy` failed on {ran.where}: {ran.why}.",
                "Some of it may be done. Mend that, then retry: what is there already stays as it is.",
            )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        running = {
            name_of(service): shape_of(service, {}) for service in await of_stack(session, "services", self.stack)
        }
        for name, (image, mode) in sorted(self.wanted.items()):
            if name not in running:
                raise StepError(f"{name} is not there, although the stack was deployed.", "Look at it, then retry.")
            if not same_image(running[name].image, image) or running[name].mode != mode:
                raise StepError(
                    f"{name} does not run as the file says: it is {running[name].mode}, with image "
                    f"{one_line(running[name].image)}.",
                    "Somebody may have changed it at the same moment: look at it, then retry.",
                )
        if left := sorted(set(self.pruned) & set(running)):
            raise StepError(f"Still there, although they are not in the file: {', '.join(left)}.", "Retry.")
        voice.say(f"{len(self.wanted)} services are as the file says.")


@dataclass(frozen=True, kw_only=True)
class WaitDeployed(WaitRollout):
    """Waits until a service of the stack, which may not have had an id when the plan was made, has converged."""

    service_id: str = ""
    stack: str

    async def look(self, session: Session) -> tuple[Missing, list[Task]]:
        for service in await of_stack(session, "services", self.stack):
            if name_of(service) == self.name:
                return await WaitRollout.look(replace(self, service_id=str(service.get("ID"))), session)
        raise StepError(f"{self.name} is no service any more.", "Did somebody remove the stack meanwhile?")


@dataclass(frozen=True, kw_only=True)
class RemoveStack(Step):
    """Removes a stack: `docker stack rm` on a manager, again while networks are still held by tasks that end."""

    stack: str
    danger: Danger = Danger.DESTRUCTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(wait_line(f"docker stack rm {shlex.quote(self.stack)}", REMOVE_SECONDS)),)

    async def already_done(self, session: Session, before: Facts) -> str:
        left = await self._left(session)
        return "" if left else f"Nothing of the stack {self.stack} is there any more."

    async def _left(self, session: Session) -> list[str]:
        return [
            f"{kind.removesuffix('s')} {name_of(item)}"
            for kind in KINDS
            for item in await of_stack(session, kind, self.stack)
        ]

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        end = time.monotonic() + REMOVE_SECONDS
        while True:
            ran = await docker(session, ["stack", "rm", self.stack], timeout=DEPLOY_SECONDS)
            for line in (*ran.lines, *ran.errors)[:SAID_LINES]:
                voice.say(line)
            if ran.code == 0 or not await self._left(session):
                return
            if time.monotonic() >= end:
                raise StepError(
                    f"`docker stack rm` failed on {ran.where}: {ran.why}.",
                    "What is removed is gone. Mend that, then retry: it removes the rest.",
                )
            await asyncio.sleep(RETRY_SECONDS)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        end = time.monotonic() + REMOVE_SECONDS
        while left := await self._left(session):
            if time.monotonic() >= end:
                raise StepError(f"Still there: {', '.join(left)}.", "Retry: it removes the rest.")
            await asyncio.sleep(POLL_SECONDS)
        voice.say(f"Services, networks, secrets and configs of {self.stack} are gone.")


@dataclass(frozen=True, kw_only=True)
class WaitTasksGone(Step):
    """Waits until the tasks of a removed stack have ended: only then are ports and volumes free."""

    stack: str
    seconds: int

    @property
    def shown(self) -> tuple[Shown, ...]:
        # Only docker's own word that there is none counts: another error of docker is no answer.
        gone = f"docker stack ps -q {shlex.quote(self.stack)} 2>&1 | grep -qi '^nothing found in stack'"
        return (waiting(self.title, gone, self.seconds),)

    async def _left(self, session: Session) -> int:
        return len(await listed(session, "tasks", label=f"{NAMESPACE}={self.stack}"))

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await self._left(session) else "There is nothing left to wait for."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        end = time.monotonic() + self.seconds
        most = 0
        while left := await self._left(session):
            most = max(most, left)
            voice.progress(most - left, most, f"{left} {'task' if left == 1 else 'tasks'} still to end.")
            if time.monotonic() >= end:
                raise StepError(
                    f"{left} tasks of {self.stack} have not ended within {self.seconds} s.",
                    "A task on a node that is down ends when the node is back; look at the others, then retry.",
                )
            await asyncio.sleep(POLL_SECONDS)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if left := await self._left(session):
            raise StepError(f"{left} tasks of {self.stack} are there again.", "Did somebody deploy it anew?")
