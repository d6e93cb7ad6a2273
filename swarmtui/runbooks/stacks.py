"""The runbooks on stacks (procedures.md S1, S2): deploy from a compose file, with the differences first; remove."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.model.stack_diff import ServiceDiff
from swarmtui.runbooks import params
from swarmtui.runbooks.blob_steps import CreateBlob
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Danger, Facts, Plan, Runbook, Step, binding_of
from swarmtui.runbooks.stack_facts import DeployFacts, RemoveFacts, facts_of_deploy, facts_of_removal
from swarmtui.runbooks.stack_steps import DeployStack, RemoveStack, WaitDeployed, WaitTasksGone
from swarmtui.session import Session

_NAME = re.compile(r"[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*")


def stack_name(value: str) -> str:
    """A name the engine takes as the beginning of its services' names (swarmkit, controlapi/common.go)."""
    if not _NAME.fullmatch(value) or len(value) > 50:
        raise ValueError(
            "is no name of a stack: letters, digits, - and _, at most 50, with a letter or digit at both ends"
        )
    return value


def resolving(value: str) -> str:
    """always, changed or never."""
    if value not in ("always", "changed", "never"):
        raise ValueError("is none of always, changed, never")
    return value


STACK = Param("stack", "the stack", stack_name, "NAME", required=True)
WAIT = Param("wait", "how long to wait for each service, in seconds", params.seconds, "SECONDS", default=600)


class Deploy(Runbook):
    name = "stack.deploy"
    summary = "deploy a stack from a compose file: shows what would change, deploys, waits until it runs"
    params: ClassVar[Sequence[Param]] = (
        STACK,
        Param("file", "the compose file (version 3)", params.text, "PATH", required=True),
        Param(
            "prune",
            "remove services of the stack that are not in the file",
            params.yes_or_no,
            "true|false",
            default=False,
        ),
        Param("resolve-image", "ask the registry for digests", resolving, "always|changed|never", default="always"),
        Param(
            "registry-auth",
            "give the nodes the manager's login at the registry",
            params.yes_or_no,
            "true|false",
            default=False,
        ),
        WAIT,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        path = Path(params["file"]).expanduser().absolute()
        facts = await facts_of_deploy(session, params["stack"], path, prune=params["prune"])
        built: Facts = msgspec.to_builtins(facts)
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, DeployFacts)
        stack = params["stack"]
        _check_modes(known)
        diff = known.diff
        disrupts = bool(diff.changed or diff.removed)
        steps: list[Step] = [
            CreateBlob(
                id=f"{blob.kind}-{blob.name}",
                title=f"Create {blob.kind} {blob.name}",
                why="The stack's services are given it; its content comes from a file on this machine.",
                kind=blob.kind,
                name=blob.name,
                file=blob.path,
                labels=blob.labels,
                alone=False,
            )
            for blob in known.blobs
            if not blob.id
        ]
        steps.append(
            DeployStack(
                id="deploy",
                title=f"Deploy {stack}",
                why="The manager gets the file on its standard input, with variables, env_file and relative paths "
                "resolved here, and compares each service with it by itself.",
                danger=Danger.DISRUPTIVE if disrupts else Danger.SAFE,
                stack=stack,
                file=known.file,
                digest=known.digest,
                options=_options(params),
                wanted={service.name: (service.image, service.mode) for service in known.services},
                pruned=diff.removed,
                anew=len(diff.added) == len(known.services) and not diff.removed and not diff.left,
            )
        )
        steps += [
            WaitDeployed(
                id=f"converged-{service.name}",
                title=f"Wait until {service.name} has converged",
                why="docker stack deploy does not wait; a task that fails or has no place is told here.",
                skippable=True,
                stack=stack,
                name=service.name,
                replicas=service.replicas,
                unwatched=True,
                seconds=params["wait"],
            )
            for service in known.services
            if not service.mode.endswith("-job")
        ]
        warnings = list(_deploy_warnings(known))
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Deploy stack {stack}",
            why=f"From {known.file}: {_counted(known)}.",
            steps=tuple(steps),
            touches=(stack,),
            changes=tuple(_change_lines(known)),
            notes=tuple(_deploy_notes(known, params)),
            warnings=tuple(warnings),
            binding=binding_of(known.digest, known.diff, [blob.id for blob in known.blobs], warnings),
        )


def _options(given: Mapping[str, Any]) -> tuple[str, ...]:
    options = ["--prune"] if given["prune"] else []
    options += ["--with-registry-auth"] if given["registry-auth"] else []
    options += ["--resolve-image", given["resolve-image"]] if given["resolve-image"] != "always" else []
    return tuple(options)


def _check_modes(known: DeployFacts) -> None:
    for service in known.diff.services:
        for change in service.changes:
            if service.kind == "changed" and change.what == "mode":
                raise RefusedError(
                    f"{service.name}: mode {change.told}.",
                    f"Remove it first: swarmtui run service.remove service={service.name}",
                )


def _counted(known: DeployFacts) -> str:
    diff = known.diff
    same = len(known.services) - len(diff.added) - len(diff.changed)
    parts = [
        f"{len(names)} {word}"
        for names, word in ((diff.added, "added"), (diff.changed, "changed"), (diff.removed, "removed"))
        if names
    ]
    parts += [f"{same} as before"] if same else []
    return f"services: {', '.join(parts)}"


def _change_lines(known: DeployFacts) -> Iterator[tuple[str, str]]:
    for service in known.diff.services:
        yield from _service_lines(service)
    made = {(blob.kind, blob.name) for blob in known.blobs if not blob.id}
    for kind, name in sorted({*known.diff.created, *made}):
        yield "plain", f"+ {kind} {name}"


def _service_lines(service: ServiceDiff) -> Iterator[tuple[str, str]]:
    if service.kind == "same":
        yield "dim", f"= {service.name}"
        return
    mark, style = {"added": ("+", "plain"), "changed": ("~", "plain"), "removed": ("-", "warn")}[service.kind]
    yield style, f"{mark} {service.name}{' is removed: it is not in the file' if service.kind == 'removed' else ''}"
    for change in service.changes:
        yield style, f"    {change.what}: {change.told}"


def _deploy_warnings(known: DeployFacts) -> Iterator[str]:
    for name, constraints in sorted(known.homeless.items()):
        yield f"{name} has nowhere to run: no node that takes tasks satisfies {constraints or 'what it asks for'}."
    for bind in known.binds:
        yield f"A mount is relative to the file: every node where it runs needs the folder {bind}."
    for blob in known.blobs:
        if blob.id and blob.same is None:
            yield (
                f"{blob.kind.capitalize()} {blob.name} is there already and stays as it is; whether {blob.path} still "
                "has the same content, nobody can see. For a new content give it a new name."
            )
        elif blob.id and not blob.same:
            yield (
                f"Config {blob.name} is there already, with another content than {blob.path}, and keeps it: Swarm "
                "never changes one. For the new content give it a new name."
            )


def _deploy_notes(known: DeployFacts, given: Mapping[str, Any]) -> Iterator[str]:
    if known.diff.left:
        yield f"Not in the file, and left as they are (prune=true removes them): {', '.join(known.diff.left)}."
    if known.ignored:
        yield f"docker stack leaves out: {', '.join(known.ignored)}."
    for name, keys in sorted(known.uncompared.items()):
        yield f"{name}: deployed as the file says, but not compared with what runs: {', '.join(keys)}."
    if len(known.diff.added) < len(known.services):
        yield (
            "Never compared: aliases on networks, targets and modes of secrets and configs, options of mounts. The "
            "deploy makes them what the file says all the same."
        )
    if given["resolve-image"] == "always":
        yield "A tag that means another image in the registry by now is followed: its service restarts then too."


class Remove(Runbook):
    name = "stack.remove"
    summary = "remove a stack: its services, networks, secrets and configs"
    params: ClassVar[Sequence[Param]] = (STACK, WAIT)

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        built: Facts = msgspec.to_builtins(await facts_of_removal(session, params["stack"]))
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, RemoveFacts)
        stack = params["stack"]
        if known.held:
            raise RefusedError(
                f"Services outside {stack} use what belongs to it: {'; '.join(known.held)}.",
                "The engine would keep that, and leave half a stack: change or remove those services first.",
            )
        kinds = (
            ("service", known.services),
            ("network", known.networks),
            ("secret", known.secrets),
            ("config", known.configs),
        )
        warnings = [f"{known.running} tasks run now: they end, and nothing replaces them."] if known.running else []
        if known.secrets:
            warnings.append(f"The values of its secrets cannot be had back: {', '.join(known.secrets)}.")
        notes = [f"Named volumes stay on their nodes: {', '.join(known.volumes)}."] if known.volumes else []
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Remove stack {stack}",
            why="All that carries its label goes away.",
            steps=(
                RemoveStack(
                    id="remove",
                    title=f"Remove {stack}",
                    why="Services first, then what they used. A network is held until the tasks in it have ended.",
                    stack=stack,
                ),
                WaitTasksGone(
                    id="gone",
                    title="Wait until its tasks have ended",
                    why="Only then are its ports and volumes free, and can it be deployed anew.",
                    skippable=True,
                    stack=stack,
                    seconds=params["wait"],
                ),
            ),
            touches=(stack,),
            changes=tuple(("warn", f"- {kind} {name}") for kind, names in kinds for name in names),
            notes=tuple(notes),
            warnings=tuple(warnings),
            binding=binding_of(known.services, known.networks, known.secrets, known.configs),
        )
