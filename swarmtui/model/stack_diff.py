"""What deploying a stack would change: the services of a file against those that run.

Values of an environment, of labels and of commands may be secrets: a difference names what differs, and shows no value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from swarmtui.model.compose import IMAGE_LABEL, NAMESPACE, PublishedPort, Shape, Stack


class Change(Struct, frozen=True):
    """One difference of a service. what: "image"; told: "nginx:1.24 → nginx:1.25"."""

    what: str
    told: str


class ServiceDiff(Struct, frozen=True):
    """What happens to one service.

    Attributes:
        kind: added, changed, same or removed.
        changes: what differs; for an added service what it will be.
    """

    name: str
    kind: str
    changes: tuple[Change, ...] = ()


class StackDiff(Struct, frozen=True):
    """What deploying does, in the order: services of the file, services that run and are not in it.

    Attributes:
        services: `removed` ones are there only with prune.
        left: services of the stack that are not in the file, and stay.
        created: (network, secret or config; name) that do not exist yet.
    """

    services: tuple[ServiceDiff, ...]
    left: tuple[str, ...] = ()
    created: tuple[tuple[str, str], ...] = ()

    @property
    def added(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.services if s.kind == "added")

    @property
    def changed(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.services if s.kind == "changed")

    @property
    def removed(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.services if s.kind == "removed")


def compare(
    wanted: Stack, running: Mapping[str, Shape], *, prune: bool, existing: Mapping[str, Iterable[str]]
) -> StackDiff:
    """Compares a file with the services of the stack that run.

    Args:
        running: service name → shape, of the services with the stack's label.
        prune: whether services that are not in the file go away.
        existing: networks, secrets and configs of the Swarm by name, under those three keys.
    """
    services = []
    for name, shape in sorted(wanted.services.items()):
        if name not in running:
            services.append(ServiceDiff(name, "added", tuple(_described(shape))))
        else:
            changes = tuple(differences(running[name], shape))
            services.append(ServiceDiff(name, "changed" if changes else "same", changes))
    gone = sorted(set(running) - set(wanted.services))
    if prune:
        services += [ServiceDiff(name, "removed") for name in gone]
    created = [
        (kind.removesuffix("s"), named.name)
        for kind, declared in (("networks", wanted.networks), ("secrets", wanted.secrets), ("configs", wanted.configs))
        for named in declared.values()
        if not named.external and named.name not in set(existing[kind])
    ]
    return StackDiff(tuple(services), () if prune else tuple(gone), tuple(sorted(created)))


def differences(now: Shape, wanted: Shape) -> Iterable[Change]:
    """What a deploy changes of a running service, without a value that may be secret."""
    if not same_image(now.image, wanted.image):
        yield Change("image", f"{_short(now.image)} → {wanted.image}")
    if now.mode != wanted.mode:
        yield Change("mode", f"{now.mode} → {wanted.mode}: the Swarm refuses that, remove the service first")
    elif now.replicas != wanted.replicas:
        yield Change("replicas", f"{now.replicas} → {wanted.replicas}")
    for what, before, after in (
        ("environment", now.env, wanted.env),
        ("labels", now.labels, wanted.labels),
        ("container labels", now.container_labels, wanted.container_labels),
    ):
        if told := _names(before, after):
            yield Change(what, told)
    for what, one, other in (
        ("ports", _told(now.ports), _told(wanted.ports)),
        ("constraints", now.constraints, wanted.constraints),
        ("spread over", frozenset(now.spread), frozenset(wanted.spread)),
        ("networks", now.networks, wanted.networks),
        ("mounts", _told_mounts(now.mounts), _told_mounts(wanted.mounts)),
        ("secrets", now.secrets, wanted.secrets),
        ("configs", now.configs, wanted.configs),
    ):
        if told := _set(one, other):
            yield Change(what, told)
    if now.max_replicas != wanted.max_replicas:
        yield Change("max replicas per node", f"{now.max_replicas or 'any'} → {wanted.max_replicas or 'any'}")
    for what, amounts, new in (
        ("limits", now.limits, wanted.limits),
        ("reservations", now.reservations, wanted.reservations),
    ):
        if amounts != new:
            yield Change(what, f"{_amounts(amounts)} → {_amounts(new)}")
    if now.entrypoint != wanted.entrypoint:
        yield Change("entrypoint", "differs")
    if now.command != wanted.command:
        yield Change("command", "differs")


def _described(shape: Shape) -> Iterable[Change]:
    yield Change("image", shape.image)
    yield Change("replicas", "one on each node" if shape.replicas is None else str(shape.replicas))
    for what, values in (
        ("environment", sorted(shape.env)),
        ("ports", sorted(_told(shape.ports))),
        ("constraints", sorted(shape.constraints)),
        ("networks", sorted(shape.networks)),
        ("secrets", sorted(shape.secrets)),
        ("configs", sorted(shape.configs)),
    ):
        if values:
            yield Change(what, ", ".join(values))


def same_image(now: str, wanted: str) -> bool:
    """Whether a service runs the image that a file names; the engine adds a digest where the file has none."""
    _, at, digest = wanted.partition("@")
    if at:
        return now.partition("@")[2] == digest
    return _image(now) == _image(wanted)


def _image(name: str) -> str:
    """An image as both sides call it: without the digest, with its tag, without the default registry and folder."""
    plain = name.partition("@")[0] or name
    plain = plain.removeprefix("docker.io/").removeprefix("library/")
    return plain if ":" in plain.rpartition("/")[2] else f"{plain}:latest"


def _short(image: str) -> str:
    return image.partition("@")[0] or image


def _names(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> str:
    parts = [f"+{key}" for key in sorted(after.keys() - before.keys())]
    parts += [f"-{key}" for key in sorted(before.keys() - after.keys())]
    parts += [f"{key} differs" for key in sorted(before.keys() & after.keys()) if before[key] != after[key]]
    return ", ".join(parts)


def _set(before: frozenset[str], after: frozenset[str]) -> str:
    return ", ".join([*(f"+{item}" for item in sorted(after - before)), *(f"-{i}" for i in sorted(before - after))])


def _told(ports: frozenset[PublishedPort]) -> frozenset[str]:
    return frozenset(str(port) for port in ports)


def _told_mounts(mounts: Iterable[tuple[str, str, str, bool]]) -> frozenset[str]:
    return frozenset(
        f"{source or kind}:{target}{' (read-only)' if read_only else ''}" for kind, source, target, read_only in mounts
    )


def _amounts(amounts: tuple[int, int]) -> str:
    cpus, memory = amounts
    parts = [f"{cpus / 1e9:g} CPU"] if cpus else []
    parts += [f"{memory / (1 << 20):g} MiB"] if memory else []
    return " and ".join(parts) or "none"


# -- what runs -----------------------------------------------------------------------------------------------------


def shape_of(service: Mapping[str, Any], networks: Mapping[str, str]) -> Shape:
    """The shape of a service as `GET /services` gives it.

    Args:
        networks: id → name.
    """
    spec = service.get("Spec") or {}
    template = spec.get("TaskTemplate") or {}
    container = template.get("ContainerSpec") or {}
    placement, resources = template.get("Placement") or {}, template.get("Resources") or {}
    mode, replicas = _mode(spec.get("Mode") or {})
    attached = template.get("Networks") or spec.get("Networks") or []
    return Shape(
        image=container.get("Image") or "",
        mode=mode,
        replicas=replicas,
        env={
            key: value if equals else None
            for key, equals, value in (entry.partition("=") for entry in container.get("Env") or [])
        },
        labels=_own(spec.get("Labels")),
        container_labels=_own(container.get("Labels")),
        command=tuple(container.get("Args") or ()),
        entrypoint=tuple(container.get("Command") or ()),
        ports=frozenset(
            PublishedPort(
                p.get("Protocol") or "tcp",
                p.get("TargetPort") or 0,
                p.get("PublishedPort") or 0,
                p.get("PublishMode") or "ingress",
            )
            for p in (spec.get("EndpointSpec") or {}).get("Ports") or []
        ),
        constraints=frozenset(placement.get("Constraints") or ()),
        spread=tuple((p.get("Spread") or {}).get("SpreadDescriptor") or "" for p in placement.get("Preferences") or ()),
        max_replicas=placement.get("MaxReplicas") or 0,
        networks=frozenset(networks.get(n.get("Target") or "", n.get("Target") or "") for n in attached),
        mounts=frozenset(
            (m.get("Type") or "", m.get("Source") or "", m.get("Target") or "", bool(m.get("ReadOnly")))
            for m in container.get("Mounts") or []
            if m.get("Type") != "tmpfs"
        ),
        secrets=frozenset(s.get("SecretName") or "" for s in container.get("Secrets") or []),
        configs=frozenset(c.get("ConfigName") or "" for c in container.get("Configs") or []),
        limits=_given(resources.get("Limits")),
        reservations=_given(resources.get("Reservations")),
    )


def _mode(mode: Mapping[str, Any]) -> tuple[str, int | None]:
    if mode.get("Global") is not None:
        return "global", None
    if mode.get("GlobalJob") is not None:
        return "global-job", None
    if mode.get("ReplicatedJob") is not None:
        return "replicated-job", mode["ReplicatedJob"].get("TotalCompletions") or 0
    return "replicated", (mode.get("Replicated") or {}).get("Replicas") or 0


def _own(labels: Mapping[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (labels or {}).items() if key not in (NAMESPACE, IMAGE_LABEL)}


def _given(amounts: Mapping[str, Any] | None) -> tuple[int, int]:
    amounts = amounts or {}
    return amounts.get("NanoCPUs") or 0, amounts.get("MemoryBytes") or 0
