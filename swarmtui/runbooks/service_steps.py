"""The steps that plans on services are made of. Source of the engine's behaviour: swarmkit, manager/controlapi."""

from __future__ import annotations

import asyncio
import json
import shlex
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from swarmtui.errors import EngineError
from swarmtui.model.services import Service
from swarmtui.model.text import one_line
from swarmtui.runbooks import node_steps
from swarmtui.runbooks.node_steps import OUT_OF_SEQUENCE_TRIES
from swarmtui.runbooks.runbook import ConflictError, Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.service_change import Change, Json, digest_of
from swarmtui.runbooks.service_facts import read_service
from swarmtui.session import Session


@dataclass(frozen=True, kw_only=True)
class ServiceStep(Step):
    """A step about one service.

    Attributes:
        service_id: its id.
        name: what the docker CLI calls it.
    """

    service_id: str
    name: str


async def standing(session: Session, service_id: str) -> tuple[Service, Json] | None:
    """The service as it is now; None when it is no more."""
    try:
        return await read_service(session, service_id)
    except EngineError as error:
        if error.status == 404:
            return None
        raise


def rollout_state(service: Service) -> tuple[str, str]:
    """State and beginning of its newest rollout: what tells one rollout from another."""
    update = service.update_status
    return (update.state, update.started_at) if update is not None else ("", "")


@dataclass(frozen=True, kw_only=True)
class WriteService(ServiceStep):
    """Writes a Spec, if the service still is as it was when the plan was confirmed.

    Attributes:
        expected: digest of the Spec as confirmed.
    """

    expected: str
    query: tuple[tuple[str, str], ...] = ()

    @abstractmethod
    def is_so(self, spec: Json) -> bool:
        """Whether a Spec is the one this leads to."""

    @abstractmethod
    def written(self, raw: Json) -> Json:
        """What the engine is given, from its own answer. Raises ConflictError where that is not what was confirmed."""

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (Shown(f"docker service rollback --detach {shlex.quote(self.name)}"),)

    async def before(self, session: Session) -> Facts:
        service, _ = await self._there(session)
        state, started = rollout_state(service)
        return {"version": service.version.index, "rollout": state, "started": started}

    async def _there(self, session: Session) -> tuple[Service, Json]:
        found = await standing(session, self.service_id)
        if found is None:
            raise ConflictError(
                f"{self.name} is no service any more: somebody removed it after you confirmed.",
                "Nothing was changed by this step.",
            )
        return found

    async def already_done(self, session: Session, before: Facts) -> str:
        service, raw = await self._there(session)
        if self.is_so(raw["Spec"]):
            return f"{self.name} already is so by its Spec."
        state, started = rollout_state(service)
        began = started != before.get("started", started)
        if began and state.startswith("rollback") and digest_of(raw["Spec"]) == self.expected:
            # The answer was lost, and the engine has taken the change back since: once more would only fail once more.
            raise rolled_back(self.name, service)
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        for attempt in range(OUT_OF_SEQUENCE_TRIES):
            service, raw = await self._there(session)
            if digest_of(raw["Spec"]) != self.expected:
                raise ConflictError(
                    f"Somebody else changed {self.name} after you confirmed.",
                    "Nothing was changed by this step. Look at the service again and decide anew.",
                )
            query = {"version": str(service.version.index), **dict(self.query)}
            try:
                answer = await session.post(f"/services/{self.service_id}/update", query, self.written(raw))
            except EngineError as error:
                # The version also grows with every state of a rollout: only the Spec is ours to judge.
                if "out of sequence" not in error.message or attempt == OUT_OF_SEQUENCE_TRIES - 1:
                    raise
                await asyncio.sleep(node_steps.POLL_SECONDS)
            else:
                for warning in warnings_in(answer):
                    voice.say(f"The engine warns: {warning}")
                return

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        service, raw = await self._there(session)
        if self.is_so(raw["Spec"]):
            voice.say(f"The Spec of {self.name} is as asked.")
            return
        if rollout_state(service)[0].startswith("rollback"):
            raise rolled_back(self.name, service)
        raise StepError(
            f"{self.name} was changed, but is not as asked.",
            "Somebody may have changed it at the same moment: look at it again.",
        )


def rolled_back(name: str, service: Service, why: str = "") -> StepError:
    """The error of a change that the engine took back.

    Args:
        why: how the task ended that the engine names by its id.
    """
    update = service.update_status
    message = one_line(update.message) if update else ""
    return StepError(
        f"The engine rolled {name} back: {message or 'it does not say why'}{why}.",
        f"See why its tasks failed, with `docker service ps --no-trunc {shlex.quote(name)}` and their logs.",
    )


def warnings_in(answer: bytes) -> list[str]:
    """What the engine warns of in its answer to an update."""
    try:
        told: Any = json.loads(answer or b"null")
    except ValueError:
        return []
    warnings = told.get("Warnings") if isinstance(told, dict) else None
    return [one_line(str(warning)) for warning in warnings] if isinstance(warnings, list) else []


@dataclass(frozen=True, kw_only=True)
class UpdateService(WriteService):
    """Changes what is asked in the engine's own Spec."""

    change: Change

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(self.change.command(self.name)),)

    def is_so(self, spec: Json) -> bool:
        return self.change.applied(spec) == spec

    def written(self, raw: Json) -> Json:
        return self.change.applied(raw["Spec"])


@dataclass(frozen=True, kw_only=True)
class RollBackService(WriteService):
    """Makes the engine go back to the Spec before the newest one.

    Attributes:
        goal: digest of that Spec. A second rollback would lead forward again, so this tells what was done.
    """

    goal: str
    query: tuple[tuple[str, str], ...] = (("rollback", "previous"),)

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(f"docker service rollback --detach {shlex.quote(self.name)}"),)

    def is_so(self, spec: Json) -> bool:
        return digest_of(spec) == self.goal

    def written(self, raw: Json) -> Json:
        if digest_of(raw.get("PreviousSpec") or {}) != self.goal:
            raise ConflictError(
                f"Somebody else updated {self.name} after you confirmed: it would go back to another Spec by now.",
                "Nothing was changed by this step. Look at the service again and decide anew.",
            )
        spec: Json = raw["Spec"]
        return spec


@dataclass(frozen=True, kw_only=True)
class RemoveService(ServiceStep):
    """Removes a service, if it still is as it was when the plan was confirmed."""

    expected: str
    danger: Danger = Danger.DESTRUCTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(f"docker service rm {shlex.quote(self.name)}"),)

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await standing(session, self.service_id) else f"{self.name} is no service any more."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        found = await standing(session, self.service_id)
        if found is not None and digest_of(found[1]["Spec"]) != self.expected:
            raise ConflictError(
                f"Somebody else changed {self.name} after you confirmed.",
                "Nothing was removed. Look at the service again and decide anew.",
            )
        await session.delete(f"/services/{self.service_id}")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if await standing(session, self.service_id):
            raise StepError(f"{self.name} is still there.", "Retry.")
        voice.say(f"{self.name} is removed.")
