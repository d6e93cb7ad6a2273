"""In what two inventories of a Swarm differ: whether a backup is whole, and what changed since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from swarmtui.model.inventory import KINDS, Inventory, Item, NetworkItem, ServiceItem


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
