"""What the runbooks on stacks need to know before they plan. No value of an environment or a secret is in it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from swarmtui.errors import EngineError, SwarmtuiError, UsageError
from swarmtui.model.compose import NAMESPACE, Named, Stack
from swarmtui.model.placement import constraint_holds
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.stack_diff import StackDiff, compare, shape_of
from swarmtui.model.text import one_line
from swarmtui.runbooks.blob_steps import BLOB_BYTES
from swarmtui.runbooks.compose_files import Blob, ComposeFile, load
from swarmtui.runbooks.files import read_file
from swarmtui.runbooks.manager_docker import check_way
from swarmtui.runbooks.stack_steps import KINDS, Json, labels_of, listed, name_of
from swarmtui.session import Session

OF_THE_ENGINE = frozenset({"host", "bridge", "none", "default"})
"""Names of networks that docker does not look up."""


class WantedService(msgspec.Struct, frozen=True):
    """A service of the file. replicas: None for a global one."""

    name: str
    image: str
    mode: str
    replicas: int | None


class WantedBlob(msgspec.Struct, frozen=True):
    """A secret or config that is made of a file.

    Attributes:
        id: of the one that is there already, "" for none.
        same: whether that one has the content of the file; None where nobody can see it.
    """

    kind: str
    name: str
    path: str
    labels: dict[str, str]
    id: str = ""
    same: bool | None = None


class DeployFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What deploying is about.

    Attributes:
        file: absolute path; digest: of all that comes from the operator's machine.
        ids: service name → id, of those that run.
        ignored: keys that docker stack leaves out; uncompared: those that are deployed unseen, per service.
        binds: relative mounts, as absolute paths.
        homeless: service → the constraint that no node satisfies.
    """

    file: str
    digest: str
    diff: StackDiff
    services: tuple[WantedService, ...]
    blobs: tuple[WantedBlob, ...]
    ignored: tuple[str, ...]
    uncompared: dict[str, tuple[str, ...]]
    binds: tuple[str, ...]
    homeless: dict[str, str]


class RemoveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What removing is about: names of what the stack has; held: things of it that services outside it use."""

    services: tuple[str, ...]
    networks: tuple[str, ...]
    secrets: tuple[str, ...]
    configs: tuple[str, ...]
    running: int
    volumes: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


async def _everything(session: Session) -> dict[str, list[Json]]:
    lists = await asyncio.gather(*(listed(session, kind) for kind in KINDS))
    return dict(zip(KINDS, lists, strict=True))


async def _fresh(session: Session) -> Snapshot:
    snapshot = await session.refresh()
    if trouble := snapshot.readings["nodes"].trouble:
        raise SwarmtuiError(f"The nodes cannot be read now: {trouble}", "Nothing was changed. See: swarmtui status")
    return snapshot


async def facts_of_deploy(session: Session, name: str, path: Path, *, prune: bool) -> DeployFacts:
    """Reads the file, and compares it with what runs.

    Raises:
        UsageError: the file is wrong, or names what the Swarm does not have.
        LinkError, EngineError: the cluster cannot be asked.
    """
    check_way(session, "stack deploy")
    file = await asyncio.to_thread(load, path, name, os.environ)
    snapshot = await _fresh(session)
    there = await _everything(session)
    _check_externals(file, there)
    ours = {name_of(s): s for s in there["services"] if labels_of(s).get(NAMESPACE) == name}
    others = [service for service in there["services"] if labels_of(service).get(NAMESPACE) != name]
    _check_others(file, others)
    networks = await _network_names(session, there["networks"], ours.values())
    existing = {kind: [name_of(item) for item in there[kind]] for kind in ("networks", "secrets", "configs")}
    diff = compare(file.stack, {key: shape_of(s, networks) for key, s in ours.items()}, prune=prune, existing=existing)
    return DeployFacts(
        file=str(path),
        digest=file.digest,
        diff=_harmless(diff),
        services=tuple(
            WantedService(key, shape.image, shape.mode, shape.replicas)
            for key, shape in sorted(file.stack.services.items())
        ),
        blobs=tuple([await asyncio.to_thread(_blob, blob, there) for blob in file.blobs]),
        ignored=file.stack.ignored,
        uncompared={key: keys for key, keys in file.stack.uncompared.items() if keys and key in ours},
        binds=file.binds,
        homeless=_homeless(file.stack, snapshot),
    )


async def _network_names(session: Session, listed: Iterable[Json], services: Iterable[Json]) -> dict[str, str]:
    """Id → name, also of the Swarm's own "host" and "bridge", which are in no list but have ids of their own."""
    names = {str(n.get("Id") or n.get("ID")): name_of(n) for n in listed}
    for target in {target for service in services for target in shape_of(service, {}).networks} - names.keys():
        with contextlib.suppress(EngineError, ValueError, AttributeError):  # then it goes by its id
            names[target] = name_of(json.loads(await session.get(f"/networks/{quote(target, safe='')}"))) or target
    return names


def _harmless(diff: StackDiff) -> StackDiff:
    """Names and images come from the cluster and a file: none may carry what a terminal obeys."""

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return one_line(value)
        if isinstance(value, dict):
            return {key: clean(inner) for key, inner in value.items()}
        return [clean(inner) for inner in value] if isinstance(value, list | tuple) else value

    return msgspec.convert(clean(msgspec.to_builtins(diff)), StackDiff)


def _blob(blob: Blob, there: Mapping[str, list[Json]]) -> WantedBlob:
    """Looks whether it is there already, and the content of its file with it (blocking)."""
    found = next((item for item in there[f"{blob.kind}s"] if name_of(item) == blob.name), None)
    wanted = WantedBlob(blob.kind, blob.name, str(blob.path), dict(blob.labels))
    if found is None:
        return wanted
    same: bool | None = None
    data = (found.get("Spec") or {}).get("Data")
    if blob.kind == "config" and isinstance(data, str):  # the engine gives no secret
        content = read_file(blob.path, BLOB_BYTES[blob.kind], f"The file of {blob.kind} {blob.name}:")
        same = base64.b64encode(content).decode() == data
    return msgspec.structs.replace(wanted, id=str(found.get("ID")), same=same)


def _check_externals(file: ComposeFile, there: Mapping[str, list[Json]]) -> None:
    made = {(blob.kind, blob.name) for blob in file.blobs}
    for kind in ("networks", "secrets", "configs"):
        declared: Mapping[str, Named] = getattr(file.stack, kind)
        known = {name_of(item): item for item in there[kind]}
        one = kind.removesuffix("s")
        for named in declared.values():
            if not named.external or (one, named.name) in made or (kind == "networks" and named.name in OF_THE_ENGINE):
                continue
            if named.name not in known:
                raise UsageError(
                    f"{file.path}: the {one} {one_line(named.name)} is external, and the Swarm has none of that name.",
                    f"Create it first: swarmtui run {one}.create",
                )
            if kind == "networks" and known[named.name].get("Scope") != "swarm":
                raise UsageError(
                    f"{file.path}: the network {one_line(named.name)} is one of a single host, not of the Swarm.",
                    "Create an overlay network, or name another.",
                )


def _check_others(file: ComposeFile, others: list[Json]) -> None:
    """Refuses what the engine would refuse half-way: names and ports that services outside the stack have."""
    names = {name_of(service) for service in others}
    if taken := sorted(names & set(file.stack.services)):
        raise UsageError(
            f"There is a service {one_line(taken[0])} already, and it is not of this stack.",
            "Remove it first, or choose another name for the stack.",
        )
    ports = {
        (port.protocol, port.published): name_of(service)
        for service in others
        for port in shape_of(service, {}).ports
        if port.published and port.mode == "ingress"
    }
    for name, shape in sorted(file.stack.services.items()):
        for port in sorted(shape.ports):
            if port.mode == "ingress" and (owner := ports.get((port.protocol, port.published))):
                raise UsageError(
                    f"{file.path}: {name} publishes port {port.published}/{port.protocol}, which the service "
                    f"{one_line(owner)} has already.",
                    "Publish another port, or remove that service first.",
                )


def _homeless(stack: Stack, snapshot: Snapshot) -> dict[str, str]:
    nodes = [node for node in snapshot.nodes.values() if node.takes_tasks]
    found = {}
    for name, shape in sorted(stack.services.items()):
        if not any(all(constraint_holds(c, node) for c in shape.constraints) for node in nodes):
            found[name] = ", ".join(sorted(shape.constraints))
    return found


async def facts_of_removal(session: Session, name: str) -> RemoveFacts:
    """Looks at all that a stack has, and who else uses it.

    Raises:
        UsageError: there is no such stack.
        LinkError, EngineError: the cluster cannot be asked.
    """
    check_way(session, "stack rm")
    snapshot = await _fresh(session)
    there = await _everything(session)
    ours = {kind: [i for i in items if labels_of(i).get(NAMESPACE) == name] for kind, items in there.items()}
    if not any(ours.values()):
        stacks = sorted({label for s in there["services"] if (label := labels_of(s).get(NAMESPACE))})
        known = f"The stacks are: {', '.join(map(one_line, stacks[:20]))}." if stacks else "There are none at all."
        raise UsageError(f'There is no stack "{one_line(name)}".', known)
    ids = {str(service.get("ID")) for service in ours["services"]}
    names = {kind: tuple(sorted(one_line(name_of(item)) for item in items)) for kind, items in ours.items()}
    shapes = [shape_of(service, {}) for service in ours["services"]]
    return RemoveFacts(
        services=names["services"],
        networks=names["networks"],
        secrets=names["secrets"],
        configs=names["configs"],
        running=sum(task.service_id in ids and snapshot.is_live(task) for task in snapshot.tasks.values()),
        volumes=tuple(sorted({one_line(m[1]) for shape in shapes for m in shape.mounts if m[0] == "volume" and m[1]})),
        held=tuple(_held(ours, [s for s in there["services"] if str(s.get("ID")) not in ids])),
    )


def _held(ours: Mapping[str, list[Json]], others: list[Json]) -> list[str]:
    """What services outside the stack use of it: the engine does not remove that."""
    network_names = {str(n.get("Id") or n.get("ID")): name_of(n) for n in ours["networks"]}
    found = []
    for service in others:
        shape = shape_of(service, network_names)
        for kind, used in (("networks", shape.networks), ("secrets", shape.secrets), ("configs", shape.configs)):
            mine = {name_of(item) for item in ours[kind]}
            one = kind.removesuffix("s")
            found += [f"{one} {one_line(n)} by {one_line(name_of(service))}" for n in sorted(mine & used)]
    return found
