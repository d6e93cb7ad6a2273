"""What a Swarm contains, by name: taken from the engine API or from inside a backup, so that the two can be compared
(model/inventory_diff.py).

Names and labels are data of a cluster or an archive and are harmless for a terminal in here (model/text.py). No
secret's and no config's data is in here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from msgspec import Struct

from swarmtui.model.text import harmless

Mode = Literal["replicated", "global", "replicated-job", "global-job"]
_MODES: dict[str, Mode] = {
    "Replicated": "replicated",
    "Global": "global",
    "ReplicatedJob": "replicated-job",
    "GlobalJob": "global-job",
}
KINDS = ("node", "service", "network", "secret", "config")
"""Of objects, in the order people read them."""


class Item(Struct, frozen=True, kw_only=True):
    """One object of a Swarm.

    Attributes:
        version: `Version.Index`, raft's index of the last write to it; 0 where it is not known: the API has none for
            networks.
    """

    id: str
    name: str
    version: int = 0
    labels: dict[str, str] = {}


AnyItem = TypeVar("AnyItem", bound=Item)


class NodeItem(Item, frozen=True, kw_only=True):
    """A node.

    Attributes:
        role: "manager" or "worker", as it should be.
        availability: "active", "pause" or "drain".
        address: from which it last spoke to a manager.
        labels: those of the Swarm, not of the engine.
    """

    role: str = ""
    availability: str = ""
    address: str = ""


class ServiceItem(Item, frozen=True, kw_only=True):
    """A service.

    Attributes:
        mode: one of `Mode`.
        replicas: how many should run, or complete; None where the mode is a global one.
        networks: names, sorted; the id where a name is not known.
    """

    image: str = ""
    mode: str = "replicated"
    replicas: int | None = None
    networks: tuple[str, ...] = ()


class NetworkItem(Item, frozen=True, kw_only=True):
    """A network.

    Attributes:
        driver, subnets: as they were given out; "" and () where nobody knows, as in a manifest of an older program.
    """

    driver: str = ""
    subnets: tuple[str, ...] = ()


class Inventory(Struct, frozen=True, kw_only=True):
    """Everything that a Swarm contains, by name.

    Attributes:
        networks: only those of the Swarm, with its ingress network.
        tasks: how many, in whatever state.
        index: raft had written at least up to here: the highest version of anything that was seen; from inside a
            backup, the last entry that was agreed on.
    """

    cluster_id: str = ""
    cluster_version: int = 0
    autolock: bool = False
    nodes: tuple[NodeItem, ...] = ()
    services: tuple[ServiceItem, ...] = ()
    networks: tuple[NetworkItem, ...] = ()
    secrets: tuple[Item, ...] = ()
    configs: tuple[Item, ...] = ()
    tasks: int = 0
    index: int = 0

    @classmethod
    def from_api(
        cls,
        swarm: Mapping[str, Any],
        nodes: Sequence[Mapping[str, Any]],
        services: Sequence[Mapping[str, Any]],
        networks: Sequence[Mapping[str, Any]],
        secrets: Sequence[Mapping[str, Any]],
        configs: Sequence[Mapping[str, Any]],
        tasks: int,
        index: int = 0,
    ) -> Inventory:
        """From what the engine API answers (any version), or from objects of that shape.

        Args:
            tasks: how many.
            index: a version that was seen elsewhere, such as the highest of the tasks.
        """
        of_swarm = [network for network in networks if network.get("Scope") == "swarm"]
        names = {_text(network.get("Id")): _text(network.get("Name")) for network in of_swarm}
        locking = _dict(_dict(swarm.get("Spec")).get("EncryptionConfig"))
        return cls(
            cluster_id=_text(swarm.get("ID")),
            cluster_version=_version(swarm),
            autolock=locking.get("AutoLockManagers") is True,
            nodes=_sorted(_node(node) for node in nodes),
            services=_sorted(_service(service, names) for service in services),
            networks=_sorted(
                NetworkItem(
                    id=_text(network.get("Id")),
                    name=_text(network.get("Name")),
                    labels=_labels(network.get("Labels")),
                    driver=_text(network.get("Driver")),
                    subnets=_subnets(network),
                )
                for network in of_swarm
            ),
            secrets=_sorted(_blob(secret) for secret in secrets),
            configs=_sorted(_blob(config) for config in configs),
            tasks=tasks,
            index=max(index, *(_version(one) for one in (swarm, *nodes, *services, *secrets, *configs))),
        )

    def of(self, kind: str) -> tuple[Item, ...]:
        """The objects of one of `KINDS`.

        Raises:
            KeyError: there is no such kind.
        """
        found: dict[str, tuple[Item, ...]] = {
            "node": self.nodes,
            "service": self.services,
            "network": self.networks,
            "secret": self.secrets,
            "config": self.configs,
        }
        return found[kind]


def _sorted(items: Iterable[AnyItem]) -> tuple[AnyItem, ...]:
    return tuple(sorted(items, key=lambda item: (item.name, item.id)))


def _node(node: Mapping[str, Any]) -> NodeItem:
    spec = _dict(node.get("Spec"))
    return NodeItem(
        id=_text(node.get("ID")),
        name=_text(_dict(node.get("Description")).get("Hostname")),
        version=_version(node),
        labels=_labels(spec.get("Labels")),
        role=_text(spec.get("Role")),
        availability=_text(spec.get("Availability")),
        address=_text(_dict(node.get("Status")).get("Addr")),
    )


def _service(service: Mapping[str, Any], names: Mapping[str, str]) -> ServiceItem:
    spec = _dict(service.get("Spec"))
    task = _dict(spec.get("TaskTemplate"))
    mode, settings = next(
        ((name, _dict(value)) for name, value in _dict(spec.get("Mode")).items() if name in _MODES), ("Replicated", {})
    )
    replicas = settings.get("TotalCompletions" if mode == "ReplicatedJob" else "Replicas")
    attached = [*_list(task.get("Networks")), *_list(spec.get("Networks"))]
    targets = {_text(_dict(network).get("Target")) for network in attached}
    return ServiceItem(
        id=_text(service.get("ID")),
        name=_text(spec.get("Name")),
        version=_version(service),
        labels=_labels(spec.get("Labels")),
        image=_text(_dict(task.get("ContainerSpec")).get("Image")),
        mode=_MODES[mode],
        replicas=_number(replicas) if mode.startswith("Replicated") else None,
        networks=tuple(sorted(names.get(target, target) for target in targets)),
    )


def _blob(blob: Mapping[str, Any]) -> Item:
    spec = _dict(blob.get("Spec"))
    return Item(
        id=_text(blob.get("ID")),
        name=_text(spec.get("Name")),
        version=_version(blob),
        labels=_labels(spec.get("Labels")),
    )


def _subnets(network: Mapping[str, Any]) -> tuple[str, ...]:
    configs = _list(_dict(network.get("IPAM")).get("Config"))
    return tuple(sorted(filter(None, (_text(_dict(config).get("Subnet")) for config in configs))))


def _version(thing: Mapping[str, Any]) -> int:
    return _number(_dict(thing.get("Version")).get("Index")) or 0


def _number(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _labels(value: object) -> dict[str, str]:
    return {_text(key): _text(said) for key, said in sorted(_dict(value).items())}


def _text(value: object) -> str:
    # Carriage returns go without a trace, as where the console reads the API (text.harmless_json).
    return harmless(value.replace("\r", "")) if isinstance(value, str) else ""
