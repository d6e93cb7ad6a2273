"""What services use: networks, secrets, configs and volumes; who uses them; and what the engine tells as events.

Fields are those of the engine API 1.24 to the newest. The API never gives the value of a secret; that of a config is
given and not kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from swarmtui.model.services import NetworkAttachment, Service
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import ApiStruct, Version

STACK_LABEL = "com.docker.stack.namespace"
"""Label by which `docker stack` knows what it made."""


class Driver(ApiStruct, frozen=True):
    name: str = ""
    options: dict[str, str] | None = None


class IpamConfig(ApiStruct, frozen=True):
    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""


class Ipam(ApiStruct, frozen=True):
    driver: str = ""
    options: dict[str, str] | None = None
    config: list[IpamConfig] | None = None


class Network(ApiStruct, frozen=True):
    """A network of the Swarm, or a local one of the engine that was asked.

    Attributes:
        scope: "swarm", "local" or "global".
        ingress: the routing mesh goes over it.
        config_only: no network, but a template for some.
    """

    id: str = field(default="", name="Id")
    name: str = ""
    created: str = ""
    scope: str = ""
    driver: str = ""
    enable_ipv6: bool = False
    ipam: Ipam = Ipam()
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None

    @property
    def subnets(self) -> tuple[str, ...]:
        return tuple(config.subnet for config in self.ipam.config or () if config.subnet)

    @property
    def is_encrypted(self) -> bool:
        """An overlay whose data is encrypted between the nodes: the option is there, with whatever value."""
        return "encrypted" in (self.options or {})

    @property
    def is_local(self) -> bool:
        """Known to one engine only."""
        return self.scope == "local"


class SecretSpec(ApiStruct, frozen=True):
    """driver: the plugin that keeps the value outside the Swarm."""

    name: str = ""
    labels: dict[str, str] | None = None
    driver: Driver | None = None
    templating: Driver | None = None


class Secret(ApiStruct, frozen=True):
    id: str = ""
    version: Version = Version()
    created_at: str = ""
    updated_at: str = ""
    spec: SecretSpec = SecretSpec()

    @property
    def name(self) -> str:
        return self.spec.name or self.id[:12]


class ConfigSpec(ApiStruct, frozen=True):
    name: str = ""
    labels: dict[str, str] | None = None
    templating: Driver | None = None


class Config(ApiStruct, frozen=True):
    id: str = ""
    version: Version = Version()
    created_at: str = ""
    updated_at: str = ""
    spec: ConfigSpec = ConfigSpec()

    @property
    def name(self) -> str:
        return self.spec.name or self.id[:12]


class Volume(ApiStruct, frozen=True):
    """A volume of one engine; it has no id, its name is unique there.

    Attributes:
        scope: "local", or "global" where its driver shows the same volume to every engine.
    """

    name: str = ""
    driver: str = ""
    mountpoint: str = ""
    created_at: str = ""
    scope: str = ""
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None

    @property
    def id(self) -> str:
        return self.name


def stack_of(labels: Mapping[str, str] | None) -> str:
    """Name of the stack that something with these labels belongs to; "" for none."""
    return (labels or {}).get(STACK_LABEL, "")


# -- who uses it -------------------------------------------------------------------------------------------------

Users = Mapping[str, tuple[Service, ...]]
"""Id of an object (name, for volumes) → the services whose Spec names it, in the order of the services."""


def secret_users(services: Iterable[Service]) -> Users:
    """The services that use each secret, by the secret's id."""
    return _users(services, _secrets_of)


def config_users(services: Iterable[Service]) -> Users:
    """The services that use each config, by the config's id."""
    return _users(services, _configs_of)


def volume_users(services: Iterable[Service]) -> Users:
    """The services that mount each named volume, by its name. Which engine has it depends on where their tasks run."""
    return _users(services, _volumes_of)


def network_users(services: Iterable[Service], networks: Mapping[str, Network]) -> Users:
    """The services on each network, by the network's id; those that publish through the mesh are on the ingress one."""
    ingress = [network.id for network in networks.values() if network.ingress]
    by_name = {network.name: network.id for network in networks.values() if not network.is_local}

    def of(service: Service) -> Iterable[str]:
        ports = service.spec.endpoint_spec.ports if service.spec.endpoint_spec is not None else None
        if any(port.publish_mode == "ingress" for port in ports or ()):
            yield from ingress
        for attached in _attached(service):
            # Engines put ids in the place of names when a service is made; very old ones did not.
            yield attached.target if attached.target in networks else by_name.get(attached.target, attached.target)

    return _users(services, of)


def _users(services: Iterable[Service], used: Callable[[Service], Iterable[str]]) -> Users:
    found: dict[str, list[Service]] = defaultdict(list)
    for service in services:
        for key in dict.fromkeys(used(service)):
            if key:
                found[key].append(service)
    return {key: tuple(users) for key, users in found.items()}


def _attached(service: Service) -> list[NetworkAttachment]:
    return service.spec.task_template.networks or service.spec.networks or []


def _secrets_of(service: Service) -> Iterable[str]:
    container = service.spec.task_template.container_spec
    return [] if container is None else [reference.secret_id for reference in container.secrets or ()]


def _configs_of(service: Service) -> Iterable[str]:
    container = service.spec.task_template.container_spec
    return [] if container is None else [reference.config_id for reference in container.configs or ()]


def _volumes_of(service: Service) -> Iterable[str]:
    container = service.spec.task_template.container_spec
    mounts = (container.mounts if container is not None else None) or ()
    return [mount.source for mount in mounts if mount.type in ("volume", "cluster")]


# -- of one engine -----------------------------------------------------------------------------------------------


def without_local(snapshot: Snapshot) -> Snapshot:
    """What is still true when another engine tells of the Swarm: volumes and local networks were the old one's."""
    readings = {name: reading for name, reading in snapshot.readings.items() if name != "volumes"}
    networks = {key: network for key, network in snapshot.networks.items() if not network.is_local}
    return replace(snapshot, volumes={}, networks=networks, readings=readings)


# -- events ------------------------------------------------------------------------------------------------------


class SwarmEvent(Struct, frozen=True):
    """Something that an engine told of its Swarm; or a gap, in which nobody listened.

    Attributes:
        at: seconds since the epoch, by the clock of the manager that told; of a gap, by ours.
        type: node, service, network, secret or config. Tasks have no events.
        action: create, update or remove.
        name: of the object, else the start of its id.
        attributes: what the engine adds, such as state.old and state.new of a node.
        through: label of the manager that told it.
        gap: why events may be missing between this place and the next event, one sentence; "" for an event.
    """

    at: float
    type: str = ""
    action: str = ""
    name: str = ""
    id: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    through: str = ""
    gap: str = ""
