"""The runbooks on secrets and configs, and what they share with those on networks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec

from swarmtui.errors import RefusedError, SwarmtuiError, UsageError
from swarmtui.link.decode import Collection
from swarmtui.model.objects import (
    Config,
    Network,
    Secret,
    Users,
    config_users,
    secret_users,
    stack_of,
)
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.blob_steps import STDIN, CreateBlob, blob_id, content_of
from swarmtui.runbooks.files import check_stdin
from swarmtui.runbooks.object_steps import RemoveObject
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, Step, binding_of
from swarmtui.session import Session

_NAME = re.compile(r"[a-zA-Z0-9]+(?:[a-zA-Z0-9\-_.]*[a-zA-Z0-9])?")
T = TypeVar("T", Secret, Config, Network)


def new_name(value: str) -> str:
    """A name that the engine takes (swarmkit, controlapi/common.go: isValidDNSName and secret names)."""
    if not _NAME.fullmatch(value) or len(value) > 64:
        raise ValueError("is no name: at most 64 letters, digits, -, _ and ., with a letter or digit at both ends")
    return value


def new_labels(value: str) -> tuple[tuple[str, str], ...]:
    """Labels of something new: KEY=VALUE, several separated by commas."""
    found = params.labels(value)
    if any(new is None for _, new in found):
        raise ValueError("takes a label away, and there is none yet")
    return tuple((key, new or "") for key, new in found)


NAME = Param("name", "what it shall be called", new_name, "NAME", required=True)
LABEL = Param("label", "its labels", new_labels, "KEY=VALUE[,…]")


async def all_of(session: Session, path: str, kind: type[T]) -> list[T]:
    """All objects of a kind. Raises EngineError or LinkError."""
    return list(Collection(path.removeprefix("/"), kind)(await session.get(path)).values())


async def with_services(session: Session) -> Snapshot:
    """A snapshot whose services were read just now. Raises SwarmtuiError where they could not be."""
    snapshot = await session.refresh()
    if trouble := snapshot.readings["services"].trouble:
        raise SwarmtuiError(f"The services cannot be read now: {trouble}", "Nothing was changed. See: swarmtui status")
    return snapshot


def find(kind: str, wanted: Iterable[str], there: Sequence[T]) -> list[T]:
    """Those named, by name or id, each once. Raises UsageError for one that is not there, or is named ambiguously."""
    found: dict[str, T] = {}
    for text in wanted:
        matches = [item for item in there if text == item.id] or [item for item in there if text == item.name]
        if not matches:
            known = ", ".join(sorted(one_line(item.name) for item in there)[:20]) or "none"
            raise UsageError(f'There is no {kind} "{one_line(text)}".', f"There are: {known}.")
        if len(matches) > 1:
            ids = ", ".join(item.id for item in matches)
            raise UsageError(f'"{one_line(text)}" is the name of {len(matches)} {kind}s: {ids}.', "Name its id.")
        found[matches[0].id] = matches[0]
    return list(found.values())


class Removable(msgspec.Struct, frozen=True):
    """Something to remove. stack: the one it belongs to, "" for none."""

    id: str
    name: str
    stack: str = ""


def refuse_used(kind: str, items: Iterable[T], users: Users) -> None:
    """Refuses what a service uses: so would the engine, or worse."""
    for item in items:
        if used := users.get(item.id):
            names = ", ".join(one_line(service.name) for service in used)
            raise RefusedError(
                f"The {kind} {one_line(item.name)} is used by {names}.", "Change or remove those services first."
            )


def removable(item: Secret | Config | Network) -> Removable:
    """It, as facts keep it."""
    labels = item.labels if isinstance(item, Network) else item.spec.labels
    return Removable(item.id, one_line(item.name), one_line(stack_of(labels)))


def _stack_notes(kind: str, items: Iterable[Removable]) -> tuple[str, ...]:
    return tuple(
        f"The {kind} {item.name} belongs to the stack {item.stack}, whose next deploy makes or needs it."
        for item in items
        if item.stack
    )


class CreateContent(Runbook):
    """Common to secret.create and config.create."""

    kind: str
    warning: str = ""
    params: ClassVar[Sequence[Param]] = (
        NAME,
        Param("file", "where its content is; - for standard input", params.text, "PATH|-", required=True),
        LABEL,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        if await blob_id(session, self.kind, params["name"]):
            raise UsageError(
                f"There is a {self.kind} {params['name']} already, and its content cannot be changed.",
                "Choose a new name, point the services at it, and remove the old one.",
            )
        file = params["file"]
        if file == STDIN:
            check_stdin(f"The content of the {self.kind}:")
            return {"file": STDIN}
        path = str(Path(file).expanduser().absolute())
        await asyncio.to_thread(content_of, self.kind, path)
        return {"file": path}

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        name, source = params["name"], facts["file"]
        step = CreateBlob(
            id=f"create-{name}",
            title=f"Create {self.kind} {name}",
            why="Its content goes to the managers, which keep it in the raft.",
            kind=self.kind,
            name=name,
            file=source,
            labels=dict(params.get("label") or ()),
        )
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Create {self.kind} {name}",
            why=f"From {'standard input' if source == STDIN else source}, byte for byte. It can never be changed.",
            steps=(step,),
            touches=(name,),
            notes=(self.warning,) if self.warning else (),
            binding=binding_of(name, source),
        )


class CreateSecret(CreateContent):
    name = "secret.create"
    summary = "create a secret from a file or standard input"
    kind = "secret"


class CreateConfig(CreateContent):
    name = "config.create"
    summary = "create a config from a file or standard input"
    kind = "config"
    warning = "Everybody who may ask a manager can read a config: what is secret belongs into a secret."


class RemoveObjects(Runbook):
    """Common to the removal of secrets, configs and networks."""

    kind: str
    loses: str

    async def found(self, session: Session, wanted: Sequence[str]) -> list[Removable]:
        """What is to be removed. Raises UsageError where it is not there, RefusedError where it is used."""
        raise NotImplementedError

    def step(self, item: Removable) -> Step:
        """The step that removes one."""
        raise NotImplementedError

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        items = await self.found(session, params[self.kind])
        return {"items": msgspec.to_builtins(items)}

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        items = msgspec.convert(facts["items"], list[Removable])
        names = tuple(item.name for item in items)
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Remove {self.kind} {', '.join(names)}",
            why=self.loses,
            steps=tuple(self.step(item) for item in items),
            touches=names,
            notes=_stack_notes(self.kind, items),
            binding=binding_of([(item.id, item.name) for item in items]),
        )


def named(kind: str) -> tuple[Param, ...]:
    """The parameter that names what is to be removed."""
    return (Param(kind, f"the {kind}s, by name or id", params.names, "NAME[,NAME…]", required=True),)


class RemoveSecret(RemoveObjects):
    name = "secret.remove"
    summary = "remove secrets that no service uses"
    kind = "secret"
    loses = "Its value goes away; Swarm never gives it back."
    params: ClassVar[Sequence[Param]] = named("secret")

    async def found(self, session: Session, wanted: Sequence[str]) -> list[Removable]:
        items = find(self.kind, wanted, await all_of(session, "/secrets", Secret))
        refuse_used(self.kind, items, secret_users((await with_services(session)).services.values()))
        return [removable(item) for item in items]

    def step(self, item: Removable) -> Step:
        return _remove_blob(self.kind, item)


class RemoveConfig(RemoveObjects):
    name = "config.remove"
    summary = "remove configs that no service uses"
    kind = "config"
    loses = "Its content goes away."
    params: ClassVar[Sequence[Param]] = named("config")

    async def found(self, session: Session, wanted: Sequence[str]) -> list[Removable]:
        items = find(self.kind, wanted, await all_of(session, "/configs", Config))
        refuse_used(self.kind, items, config_users((await with_services(session)).services.values()))
        return [removable(item) for item in items]

    def step(self, item: Removable) -> Step:
        return _remove_blob(self.kind, item)


def _remove_blob(kind: str, item: Removable) -> Step:
    return RemoveObject(
        id=f"remove-{item.id}",
        title=f"Remove {kind} {item.name}",
        why="No service uses it; the engine refuses if one does by then.",
        kind=kind,
        object_id=item.id,
        name=item.name,
    )
