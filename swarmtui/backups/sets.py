"""Backups of several products that were taken as one set (procedures.md D3). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from swarmtui.backups.entries import Entry

PRODUCTS: Final = {"swarm": "Swarm", "ucp": "UCP", "dtr": "DTR"}
"""What a platform is made of, in the order in which it is backed up and brought back (ucp-dtr.md §5.3), by the kind of
its backups."""

Sets: TypeAlias = Mapping[str, Mapping[str, "Entry"]]
"""Name of the set → kind → its newest backup in that set that is of use; the newest set first."""


def sets_in(entries: Iterable[Entry]) -> Sets:
    """The sets among backups, which come the newest first. A broken one, or one that would not restore, is in none."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        if entry.broken or entry.manifest is None or not entry.manifest.set:
            continue
        kinds = found.setdefault(entry.manifest.set, {})
        if entry.would_restore != "no":
            kinds.setdefault(entry.kind, entry)
    return found


def whole(kinds: Mapping[str, Entry]) -> bool:
    """Whether a platform could come back from these: each of its products is among them."""
    return all(kind in kinds for kind in PRODUCTS)
