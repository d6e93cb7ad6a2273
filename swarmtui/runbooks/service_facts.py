"""What the runbooks on services need to know before they plan, gathered once and kept in the journal.

The environment of a service may hold secrets: its values are compared here, and only names go any further.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from swarmtui.errors import EngineError, SwarmtuiError, UsageError
from swarmtui.link.decode import decode_one
from swarmtui.model.health import runs_ucp
from swarmtui.model.objects import stack_of
from swarmtui.model.rollout import Rollout, removal_of, rollout_of
from swarmtui.model.services import Service, ServiceSpec, UpdateStatus
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import ApiStruct
from swarmtui.model.text import one_line
from swarmtui.runbooks.service_change import Change, Json, differences, digest_of, restarts_all
from swarmtui.session import Session


class _Container(ApiStruct, frozen=True):
    env: list[str] | None = None


class _Template(ApiStruct, frozen=True):
    container_spec: _Container | None = None


class _Spec(ApiStruct, frozen=True):
    task_template: _Template = _Template()


class _Shape(ApiStruct, frozen=True):
    """The parts of an answer that we go through although the model has no use for them."""

    spec: _Spec
    previous_spec: _Spec | None = None


class ServiceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about one service that an operation is for.

    Attributes:
        name: what to call it in a command: its name, or its id where that is not plain.
        digest: of its whole Spec as the engine gave it.
        goal: digest of the Spec a rollback leads to; "" for everything else, or where there is none.
        image: what it runs now.
        replicas: asked for now, and wanted: asked for afterwards; None for a global service.
        update: the rollout under way, or the last one.
        stack: the stack it belongs to, "" for none.
        ports: what it publishes, for a person.
        change: what is asked and is not so yet.
        told: what will be different, in words.
        rollout: what that makes of its tasks.
    """

    service_id: str
    name: str
    digest: str
    goal: str = ""
    image: str = ""
    replicas: int | None = None
    wanted: int | None = None
    is_global: bool = False
    is_job: bool = False
    update: UpdateStatus | None = None
    stack: str = ""
    ports: tuple[str, ...] = ()
    change: Change = Change()
    told: tuple[str, ...] = ()
    rollout: Rollout


class ServicesFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about all of them.

    Attributes:
        voters: raft members; reachable: those the leader hears from.
        ucp: whether UCP manages this Swarm.
    """

    services: tuple[ServiceFacts, ...]
    voters: int
    reachable: int
    ucp: bool = False


Look = Callable[[Snapshot, Service, Json], ServiceFacts]
"""Makes the facts of one service from the snapshot and the engine's own answer."""


def resolve(snapshot: Snapshot, wanted: Iterable[str]) -> list[Service]:
    """Finds services by name, id or the start of an id (4 characters or more), each once.

    Raises:
        UsageError: a name is nobody's, or the start of several ids.
    """
    found: dict[str, Service] = {}
    for text in wanted:
        everyone = snapshot.services.values()
        matches = [s for s in everyone if text == s.id] or [s for s in everyone if text == s.name]
        if not matches and len(text) >= 4:
            matches = [s for s in everyone if s.id.startswith(text)]
        if not matches:
            names = sorted(s.name for s in everyone)
            close = difflib.get_close_matches(text, names, 1)
            known = f"The services are: {', '.join(map(one_line, names[:20]))}." if names else "There are none at all."
            raise UsageError(
                f'There is no service "{one_line(text)}".', f'Did you mean "{one_line(close[0])}"?' if close else known
            )
        if len(matches) > 1:
            ids = ", ".join(s.id for s in matches)
            raise UsageError(f'"{one_line(text)}" is the beginning of {len(matches)} ids: {ids}.', "Write more of it.")
        found[matches[0].id] = matches[0]
    return list(found.values())


def command_name(service: Service) -> str:
    """What the docker CLI takes for this service and no other: its name, or its id where that is not plain."""
    plain = service.name.isascii() and service.name.replace("-", "").replace(".", "").replace("_", "").isalnum()
    return service.name if plain and not service.name.startswith("-") else service.id


async def read_service(session: Session, service_id: str) -> tuple[Service, Json]:
    """Reads one service now; returns it (harmless), and the engine's answer as it came.

    Raises:
        EngineError: there is none (status 404), or the answer is not about it.
        LinkError: the engine cannot be asked.
    """
    body = await session.get(f"/services/{service_id}", clean=False)
    service = decode_one(body, Service, "the service")
    decode_one(body, _Shape, "the service")
    if service.id != service_id:
        raise EngineError(
            f"The engine's answer about service {service_id[:12]} cannot be read: it is about another one, or none.",
            "Is it a Docker engine, and not a proxy that answers in its place?",
        )
    raw: Json = json.loads(body)
    return service, raw


async def gather(session: Session, wanted: Iterable[str], look: Look) -> ServicesFacts:
    """Refreshes the snapshot and gathers the facts about the named services.

    Raises:
        UsageError: a service is not there, or is named ambiguously.
        LinkError: the cluster cannot be asked.
    """
    snapshot = await session.refresh()
    for collection in ("nodes", "services"):
        if trouble := snapshot.readings[collection].trouble:
            raise SwarmtuiError(
                f"The {collection} cannot be read now: {trouble}", "Nothing was changed. See: swarmtui status"
            )
    found = []
    for service in resolve(snapshot, wanted):
        newest, raw = await read_service(session, service.id)
        found.append(look(snapshot, newest, raw))
    voters = [node for node in snapshot.nodes.values() if node.is_voter]
    return ServicesFacts(
        services=tuple(found),
        voters=len(voters),
        reachable=sum(node.is_reachable for node in voters),
        ucp=runs_ucp(snapshot),
    )


def facts_of_change(snapshot: Snapshot, service: Service, raw: Json, asked: Change) -> ServiceFacts:
    """What a change makes of a service."""
    spec = raw["Spec"]
    change = asked.needed(spec)
    after = change.applied(spec)
    goal = spec_of(after)
    rollout = rollout_of(snapshot, service, goal, whole=restarts_all(spec, after))
    told = _harmless(differences(spec, after))
    return _facts(service, spec, rollout, change=change, told=told, wanted=_replicas(goal))


def facts_of_rollback(snapshot: Snapshot, service: Service, raw: Json) -> ServiceFacts:
    """What going back to the previous Spec makes of a service."""
    spec, previous = raw["Spec"], raw.get("PreviousSpec")
    after = previous or spec
    goal = spec_of(after)
    rollout = rollout_of(snapshot, service, goal, whole=restarts_all(spec, after), rollback=True)
    digest = digest_of(previous) if previous else ""
    told = _harmless(differences(spec, after))
    return _facts(service, spec, rollout, goal=digest, told=told, wanted=_replicas(goal))


def facts_of_removal(snapshot: Snapshot, service: Service, raw: Json) -> ServiceFacts:
    """What removing it makes of a service."""
    return _facts(service, raw["Spec"], removal_of(snapshot, service))


def _facts(service: Service, spec: Json, rollout: Rollout, **more: Any) -> ServiceFacts:
    container = service.spec.task_template.container_spec
    endpoint = service.spec.endpoint_spec
    return ServiceFacts(
        service_id=service.id,
        name=command_name(service),
        digest=digest_of(spec),
        image=container.image if container else "",
        replicas=service.replicas,
        is_global=service.is_global,
        is_job=service.is_job,
        update=service.update_status,
        stack=stack_of(service.spec.labels),
        ports=tuple(f"{p.published_port}/{p.protocol}" for p in (endpoint.ports if endpoint else None) or []),
        rollout=rollout,
        **more,
    )


def _replicas(spec: ServiceSpec) -> int | None:
    return spec.mode.replicated.replicas if spec.mode.replicated is not None else None


def spec_of(raw: Json) -> ServiceSpec:
    """A Spec in the engine's form, as a model object."""
    return decode_one(json.dumps(raw).encode(), ServiceSpec, "the service")


def _harmless(told: Iterable[str]) -> tuple[str, ...]:
    return tuple(one_line(line) for line in told)
