"""What a Swarm contains, by name: taken from the engine API or from inside a backup, so that the two can be compared.

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


class Comparison(Struct, frozen=True):
    """Whether what is inside a backup is what the live cluster had.

    Attributes:
        equal: nothing is missing, extra or different.
        missing: sentences: the cluster had it before and after, the backup has not.
        extra: sentences: the backup has what the cluster never had.
        different: sentences: the backup has it otherwise than the cluster.
        moved: sentences: it changed while the backup was taken. No failure.
    """

    equal: bool
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()


class Difference(Struct, frozen=True):
    """One object that two inventories do not have alike.

    Attributes:
        kind: one of `KINDS`, or "swarm".
        what: from the old to the new.
        details: what of it, each in a few words.
    """

    kind: str
    name: str
    id: str
    what: Literal["added", "removed", "changed"]
    details: tuple[str, ...] = ()


def compare(inside: Inventory, before: Inventory, after: Inventory) -> Comparison:
    """Compares what is inside a backup with what the cluster had just before and just after it was taken.

    An object that nobody wrote to in between must be inside exactly as it was. One whose version moved may be inside at
    any version in between, and is named in `moved`. Tasks come and go by themselves and are not compared.
    """
    missing: list[str] = []
    extra: list[str] = []
    different: list[str] = []
    moved: list[str] = []
    if inside.cluster_id not in {before.cluster_id, after.cluster_id}:
        different.append(
            f"the backup is of the Swarm {inside.cluster_id or '(unknown)'}, not of {after.cluster_id or '(unknown)'}"
        )
    elif not before.cluster_version <= inside.cluster_version <= after.cluster_version:
        different.append(
            f"the Swarm's own settings are those of version {inside.cluster_version} in the backup, "
            f"{_span(before.cluster_version, after.cluster_version)} in the cluster"
        )
    elif before.cluster_version != after.cluster_version:
        moved.append("the Swarm's own settings changed while the backup was taken")
    elif inside.autolock != after.autolock:
        different.append(f"autolock is {_on(inside.autolock)} in the backup, {_on(after.autolock)} in the cluster")
    for kind in KINDS:
        had = {item.id: item for item in before.of(kind)}
        has = {item.id: item for item in after.of(kind)}
        holds = {item.id: item for item in inside.of(kind)}
        for item in _in_order(had, has, holds):
            called = f"{kind} {item.name or item.id}"
            first, last, held = had.get(item.id), has.get(item.id), holds.get(item.id)
            if first is None and last is None:
                if held is not None and held.version > before.index:
                    moved.append(f"{called} was made and removed while the backup was taken")
                else:
                    extra.append(f"{called} is in the backup, and was not in the cluster")
            elif held is None:
                if first is not None and last is not None:
                    missing.append(f"{called} was in the cluster, and is not in the backup")
                else:
                    moved.append(f"{called} was {'made' if first is None else 'removed'} while the backup was taken")
            else:
                low = first.version if first is not None else 0
                high = last.version if last is not None else max(after.index, held.version)
                # In between two versions it may be anything; at one of them it must be as it was then.
                wanted = [known for known in (first, last) if known is not None and known.version == held.version]
                told = [_unlike(known, held) for known in wanted]
                if not low <= held.version <= high:
                    different.append(
                        f"{called} has version {held.version} in the backup, {_span(low, high)} in the cluster"
                    )
                elif told and all(told):
                    different.append(f"{called} is otherwise in the backup: {'; '.join(told[-1])}")
                elif first is None or last is None:
                    moved.append(f"{called} was {'made' if first is None else 'removed'} while the backup was taken")
                elif first != last:
                    moved.append(f"{called} changed while the backup was taken")
    equal = not (missing or extra or different)
    return Comparison(equal, tuple(missing), tuple(extra), tuple(different), tuple(moved))


def differences(old: Inventory, new: Inventory) -> tuple[Difference, ...]:
    """What changed from one inventory to another, in the order of `KINDS`, the Swarm itself first."""
    found: list[Difference] = []
    if old.cluster_id != new.cluster_id:
        said = f"another Swarm: {old.cluster_id or '(unknown)'} → {new.cluster_id or '(unknown)'}"
        found.append(Difference("swarm", new.cluster_id, new.cluster_id, "changed", (said,)))
    elif old.autolock != new.autolock:
        said = f"autolock: {_on(old.autolock)} → {_on(new.autolock)}"
        found.append(Difference("swarm", new.cluster_id, new.cluster_id, "changed", (said,)))
    for kind in KINDS:
        had = {item.id: item for item in old.of(kind)}
        has = {item.id: item for item in new.of(kind)}
        names_had = {item.name for item in had.values()} if kind != "node" else set()
        names_has = {item.name for item in has.values()} if kind != "node" else set()
        for item in _in_order(had, has):
            first, last = had.get(item.id), has.get(item.id)
            if first is None:
                anew = ("made anew: there was another of this name",) if item.name in names_had else ()
                found.append(Difference(kind, item.name, item.id, "added", anew))
            elif last is None:
                anew = ("made anew: there is another of this name",) if item.name in names_has else ()
                found.append(Difference(kind, item.name, item.id, "removed", anew))
            else:
                details = _unlike(first, last)
                # A node's version also moves with its state, which is nobody's change.
                if not details and kind != "node" and first.version != last.version and first.version and last.version:
                    details = (f"something not listed here (version {first.version} → {last.version})",)
                if details:
                    found.append(Difference(kind, item.name, item.id, "changed", details))
    return tuple(found)


def _unlike(old: Item, new: Item) -> tuple[str, ...]:
    """In what two states of one object differ, without their versions."""
    told: list[str] = []
    for field in old.__struct_fields__:
        if field in ("id", "version", "labels", "networks"):
            continue
        one, other = getattr(old, field), getattr(new, field, None)
        if isinstance(old, NetworkItem) and field in ("driver", "subnets") and not (one and other):
            continue  # of one of them nobody knows
        if one != other:
            told.append(f"{field}: {_shown(one)} → {_shown(other)}")
    if isinstance(old, ServiceItem) and isinstance(new, ServiceItem):
        told += [f"network {name} is gone" for name in old.networks if name not in new.networks]
        told += [f"network {name} is new" for name in new.networks if name not in old.networks]
    for key in sorted(old.labels.keys() | new.labels.keys()):
        one, other = old.labels.get(key), new.labels.get(key)
        if one != other:
            told.append(f"label {key}: {_shown(one)} → {_shown(other)}")
    return tuple(told)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return "(none)" if value is None else str(value) or "(empty)"


def _on(value: bool) -> str:
    return "on" if value else "off"


def _span(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first} to {last}"


def _in_order(*groups: Mapping[str, Item]) -> list[Item]:
    """Every id once, as the last group that has it knows it, by name."""
    merged: dict[str, Item] = {}
    for group in groups:
        merged.update(group)
    return sorted(merged.values(), key=lambda item: (item.name, item.id))


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
