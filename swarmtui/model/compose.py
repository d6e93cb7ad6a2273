"""A compose file of version 3, read as `docker stack deploy` reads it (docker/cli, cli/compose/{loader,convert}).

Works on plain values: the YAML is loaded, and its variables are replaced, before. What `docker stack` refuses is
refused here with the key; what it silently leaves out is told; what changes a service is read into a `Shape`, which
can be compared with that of a running service.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from swarmtui.model.compose_reader import At
from swarmtui.model.objects import STACK_LABEL


def _keys(text: str) -> frozenset[str]:
    return frozenset(text.split())


NAMESPACE = STACK_LABEL
IMAGE_LABEL = "com.docker.stack.image"

TOP = _keys("version services networks volumes secrets configs")
FORBIDDEN = {
    "extends": "write the service out",
    "volume_driver": "name the driver under volumes",
    "volumes_from": "share a named volume",
    "cpu_quota": "use deploy.resources",
    "cpu_shares": "use deploy.resources",
    "cpuset": "use deploy.resources",
    "mem_limit": "use deploy.resources.limits.memory",
    "memswap_limit": "use deploy.resources.limits.memory",
}
IGNORED = _keys(
    "build cgroupns_mode cgroup_parent container_name depends_on devices domainname expose external_links ipc links "
    "mac_address network_mode pid privileged restart security_opt shm_size userns_mode"
)
COMPARED = _keys("image command entrypoint environment labels ports networks volumes secrets configs deploy env_file")
OTHER = _keys(
    "cap_add cap_drop credential_spec dns dns_search extra_hosts healthcheck hostname init isolation logging "
    "oom_score_adj read_only stdin_open stop_grace_period stop_signal sysctls tmpfs tty ulimits user "
    "working_dir"
)
DEPLOY = _keys("mode endpoint_mode replicas labels update_config rollback_config resources restart_policy placement")
DEPLOY_COMPARED = _keys("mode replicas labels resources placement")
MODES = ("replicated", "global", "replicated-job", "global-job")

Mount = tuple[str, str, str, bool]
"""type, source, target, read-only."""


@dataclass(frozen=True, slots=True, order=True)
class PublishedPort:
    """published: 0 where the Swarm chooses. mode: ingress or host."""

    protocol: str
    target: int
    published: int
    mode: str = "ingress"

    def __str__(self) -> str:
        host = " on the host" if self.mode == "host" else ""
        return f"{self.published or 'any'}:{self.target}/{self.protocol}{host}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is compared of a service: as a file wants it, or as it runs.

    Attributes:
        replicas: None for a global service.
        env: name → value; may hold secrets, and is never shown.
        limits: billionths of a core, and bytes; reservations too.
    """

    image: str = ""
    mode: str = "replicated"
    replicas: int | None = 1
    env: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    container_labels: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    ports: frozenset[PublishedPort] = frozenset()
    constraints: frozenset[str] = frozenset()
    spread: tuple[str, ...] = ()
    max_replicas: int = 0
    networks: frozenset[str] = frozenset()
    mounts: frozenset[Mount] = frozenset()
    secrets: frozenset[str] = frozenset()
    configs: frozenset[str] = frozenset()
    limits: tuple[int, int] = (0, 0)
    reservations: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Named:
    """A network, volume, secret or config of the file. name: as the Swarm knows it; external: not of this stack."""

    name: str
    external: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What a file wants, under the names that the Swarm will know.

    Attributes:
        services: service name → its shape.
        networks: those that services use, by the name in the file; so with volumes, secrets and configs (all of them).
        ignored: keys that `docker stack` leaves out.
        uncompared: service name → keys that are deployed, but not compared with what runs.
    """

    name: str
    services: Mapping[str, Shape]
    networks: Mapping[str, Named]
    volumes: Mapping[str, Named]
    secrets: Mapping[str, Named]
    configs: Mapping[str, Named]
    ignored: tuple[str, ...] = ()
    uncompared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def stack_of(document: Any, name: str) -> Stack:
    """Reads a loaded compose file as the stack of this name.

    Raises:
        ComposeError: `docker stack deploy` would refuse it, or it cannot be read.
    """
    return _Reading(document, name).stack()


class _Reading:
    """One file being read."""

    def __init__(self, document: Any, name: str) -> None:
        self.name = name
        self.root = At(document)
        if not isinstance(document, dict):
            raise self.root.wrong("the file is no mapping: it needs services:")
        self.root.only(TOP)
        version = self.root.get("version")
        if version and version.text().partition(".")[0] != "3":
            raise version.wrong(f'is "{version.text()}": docker stack deploys only version 3')
        self.declared = {kind: self._declared(kind) for kind in ("networks", "volumes", "secrets", "configs")}
        self.used: dict[str, Named] = {}
        self.ignored: list[str] = []
        self.uncompared: dict[str, tuple[str, ...]] = {}

    def stack(self) -> Stack:
        services = {self._scoped(key): self._service(key, at) for key, at in self.root.get("services").items()}
        if not services:
            raise self.root.get("services").wrong("names no service")
        return Stack(
            name=self.name,
            services=services,
            networks=self.used,
            volumes=self.declared["volumes"],
            secrets=self.declared["secrets"],
            configs=self.declared["configs"],
            ignored=tuple(self.ignored),
            uncompared=self.uncompared,
        )

    def _scoped(self, name: str) -> str:
        return f"{self.name}_{name}"

    def _declared(self, kind: str) -> dict[str, Named]:
        found = {}
        for key, at in self.root.get(kind).items():
            external = at.get("external")
            inner = external.get("name") if isinstance(external.value, dict) else At(None)
            is_external = isinstance(external.value, dict) or external.flag()
            own = inner or at.get("name")
            found[key] = Named(own.text() if own else key if is_external else self._scoped(key), is_external)
            if kind in ("secrets", "configs") and not is_external and not at.get("file") and not at.get("driver"):
                raise at.wrong("says neither file: nor external: true")
        return found

    def _reference(self, kind: str, key: str, at: At) -> Named:
        if key not in self.declared[kind]:
            raise at.wrong(f'names "{key}", which is not under {kind}: at the top of the file')
        return self.declared[kind][key]

    def _service(self, key: str, at: At) -> Shape:
        if not at:
            raise at.wrong("is empty: it needs an image")
        for name, inner in at.items():
            if name in FORBIDDEN:
                raise inner.wrong(f"cannot be used in a Swarm: {FORBIDDEN[name]}")
        at.only(COMPARED | IGNORED | OTHER)
        deploy = at.get("deploy")
        deploy.only(DEPLOY)
        image = at.get("image")
        if not image or not image.text():
            raise (image if image else at).wrong("names no image, and a Swarm builds none")
        self.ignored += [inner.wrong("").key for name, inner in at.items() if name in IGNORED]
        other = [name for name, _ in at.items() if name in OTHER]
        other += [f"deploy.{name}" for name, _ in deploy.items() if name not in DEPLOY_COMPARED]
        other += [
            f"deploy.resources.{part}.{name}"
            for part in ("limits", "reservations")
            for name, _ in deploy.get("resources").get(part).items()
            if name not in ("cpus", "memory")
        ]
        self.uncompared[self._scoped(key)] = tuple(other)
        mode, replicas = self._mode(deploy)
        placement, resources = deploy.get("placement"), deploy.get("resources")
        limits, reserved = resources.get("limits"), resources.get("reservations")
        return Shape(
            image=image.text(),
            mode=mode,
            replicas=replicas,
            env=at.get("environment").pairs(),
            labels=_labels(deploy.get("labels")),
            container_labels=_labels(at.get("labels")),
            command=_words(at.get("command")),
            entrypoint=_words(at.get("entrypoint")),
            ports=frozenset(port for entry in at.get("ports").each() for port in published(entry)),
            constraints=frozenset(placement.get("constraints").texts()),
            spread=tuple(entry.get("spread").text() for entry in placement.get("preferences").each()),
            max_replicas=number.whole() if (number := placement.get("max_replicas_per_node")) else 0,
            networks=frozenset(self._networks(at.get("networks"))),
            mounts=frozenset(self._mounts(at.get("volumes"))),
            secrets=frozenset(self._references("secrets", at.get("secrets"))),
            configs=frozenset(self._references("configs", at.get("configs"))),
            limits=(limits.get("cpus").cpus(), limits.get("memory").size()),
            reservations=(reserved.get("cpus").cpus(), reserved.get("memory").size()),
        )

    def _mode(self, deploy: At) -> tuple[str, int | None]:
        mode = deploy.get("mode").text() if deploy.get("mode") else "replicated"
        replicas = deploy.get("replicas")
        if mode not in MODES:
            raise deploy.get("mode").wrong(f'is "{mode}", which is none of {", ".join(MODES)}')
        if mode.startswith("global"):
            if replicas:
                raise replicas.wrong("cannot be said of a global service: it has one task on each node")
            return mode, None
        return mode, replicas.whole() if replicas else 1

    def _networks(self, at: At) -> Iterable[str]:
        entries = [(e.text(), e) for e in at.each()] if isinstance(at.value, list) else list(at.items())
        if not entries:
            self.declared["networks"].setdefault("default", Named(self._scoped("default"), False))
            entries = [("default", at)]
        for key, entry in entries:
            self.used[key] = self._reference("networks", key, entry)
            yield self.used[key].name

    def _references(self, kind: str, at: At) -> Iterable[str]:
        for entry in at.each():
            source = entry if isinstance(entry.value, str) else entry.get("source")
            if not source:
                raise entry.wrong("names no source")
            yield self._reference(kind, source.text(), entry).name

    def _mounts(self, at: At) -> Iterable[Mount]:
        for entry in at.each():
            kind, source, target, read_only = mount(entry)
            if kind == "tmpfs":
                continue  # like the key of that name: not compared
            if kind == "volume" and source:
                source = self._reference("volumes", source, entry).name
            yield kind, source, target, read_only


def _labels(at: At) -> dict[str, str]:
    return {key: value or "" for key, value in at.pairs().items()}


def _words(at: At) -> tuple[str, ...]:
    words = at.words()
    if isinstance(words, tuple):
        return words
    try:
        return tuple(shlex.split(words))
    except ValueError:
        raise at.wrong("has a quote that is not closed") from None


def mount(at: At) -> Mount:
    """A mount in either way of writing it: [SOURCE:]TARGET[:OPTIONS], or a mapping. Raises ComposeError."""
    if isinstance(at.value, dict):
        kind = at.get("type")
        if not kind:
            raise at.wrong("says no type: volume, bind or tmpfs")
        origin, target = at.get("source"), at.get("target")
        if not target:
            raise at.wrong("says no target")
        return kind.text(), origin.text() if origin else "", target.text(), at.get("read_only").flag()
    parts = at.text().split(":")
    if len(parts) > 3 or not all(parts):
        raise at.wrong("is not [SOURCE:]TARGET[:OPTIONS]")
    if len(parts) == 1:
        return "volume", "", parts[0], False
    source_kind = "bind" if parts[0][0] in "/.~" else "volume"
    return source_kind, parts[0], parts[1], len(parts) == 3 and "ro" in parts[2].split(",")


def published(at: At) -> list[PublishedPort]:
    """The ports of one entry: [[IP:]PUBLISHED:]TARGET[/PROTOCOL] with ranges, or a mapping. Raises ComposeError."""
    if isinstance(at.value, dict):
        target, public = at.get("target"), at.get("published")
        if not target:
            raise at.wrong("says no target")
        protocol, mode = at.get("protocol"), at.get("mode")
        return [
            PublishedPort(
                protocol.text() if protocol else "tcp",
                target.whole(),
                public.whole() if public else 0,
                mode.text() if mode else "ingress",
            )
        ]
    body, _, protocol_text = at.text().partition("/")
    # The address before the ports means nothing in a Swarm: docker leaves it out, and says so.
    *_, outside, inside = ["", "", *body.rsplit(":", 2)]
    targets, publics = _range(at, inside), _range(at, outside) if outside else []
    if publics and len(publics) != len(targets):
        raise at.wrong("publishes a range of another length than it has targets")
    protocol_name = protocol_text.lower() or "tcp"
    if protocol_name not in ("tcp", "udp", "sctp"):
        raise at.wrong(f'has the protocol "{protocol_name}", which is none of tcp, udp, sctp')
    return [
        PublishedPort(protocol_name, target, public)
        for target, public in zip(targets, publics or [0] * len(targets), strict=True)
    ]


def _range(at: At, text: str) -> list[int]:
    first, dash, last = text.partition("-")
    ends = (first, last if dash else first)
    if not all(end.isascii() and end.isdigit() and 0 < int(end) < 65536 for end in ends) or int(first) > int(ends[1]):
        raise at.wrong("is not [PUBLISHED:]TARGET[/PROTOCOL], with ports from 1 to 65535")
    return list(range(int(first), int(ends[1]) + 1))
