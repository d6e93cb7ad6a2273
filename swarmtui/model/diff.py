"""The keyed difference of two states, from which a table repaints only what changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Changes(Struct, Generic[T], frozen=True):
    """What turns one keyed state into another: keys added and updated with their new values, keys removed."""

    added: dict[str, T]
    updated: dict[str, T]
    removed: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.updated or self.removed)


def diff(old: Mapping[str, T], new: Mapping[str, T]) -> Changes[T]:
    """Compares two keyed states by value; equal values are no change."""
    if old is new:
        return Changes({}, {}, frozenset())
    added: dict[str, T] = {}
    updated: dict[str, T] = {}
    for key, value in new.items():
        before = old.get(key)
        if before is None:
            added[key] = value
        elif before is not value and before != value:
            updated[key] = value
    removed = frozenset(old.keys() - new.keys()) if len(new) != len(old) + len(added) else frozenset()
    return Changes(added, updated, removed)


def reuse(old: Mapping[str, T], new: Mapping[str, T]) -> Mapping[str, T]:
    """Returns `new` with every value equal to the old one replaced by the old object, or `old` itself if
    nothing changed.

    Everything above can then see by identity that nothing changed, and skip its work.
    """
    same = len(old) == len(new)
    merged: dict[str, T] = {}
    for key, value in new.items():
        before = old.get(key)
        if before is not None and before == value:
            merged[key] = before
        else:
            merged[key] = value
            same = False
    return old if same else merged
