"""Which object a person means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from swarmtui.demo.world import errors
from swarmtui.demo.world.objects import StoreObject

Kept = TypeVar("Kept", bound=StoreObject)


def find(table: Mapping[str, Kept], text: str, kind: str) -> Kept:
    """The object a person means: by full id, else by full name, else by the beginning of its id.

    Raises:
        ApiError: 404 for none, 400 for several.
    """
    if text in table:
        return table[text]
    found = [item for item in table.values() if _full_name(item) == text]
    if not found:
        found = [item for key, item in table.items() if key.startswith(text)]
    if not found:
        raise errors.ApiError(404, f"{kind} {text} not found")
    if len(found) > 1:
        raise errors.ApiError(400, f"{kind} {text} is ambiguous ({len(found)} matches found)")
    return found[0]


def _full_name(item: StoreObject) -> str:
    return getattr(item, "hostname", "") or item.name
