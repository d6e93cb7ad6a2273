"""What a night knows of the sets of `platform.backup`: which one it took, whether it is whole, who looked into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from swarmtui.backups.errors import BackupError
from swarmtui.backups.sets import PRODUCTS, Sets, sets_in
from swarmtui.cli.backups.common import all_entries, name_of
from swarmtui.model.text import listed

if TYPE_CHECKING:
    from swarmtui.backups.entries import Entry
    from swarmtui.config import Config


def sets_of(known: Config, name: str) -> Sets:
    """The sets of a cluster, by its name: name of the set → kind → its backup that is of use. Raises BackupError."""
    return sets_in(entry for _, entry in all_entries(known, None) if name_of(entry) == name)


def tell_set(before: Sets, after: Sets) -> int:
    """Says what is in the set that was taken. Returns 0 where it is whole, 1 where it is not.

    Raises:
        BackupError: none was taken.
    """
    name, kinds = _taken(before, after)
    there = [f"{PRODUCTS[kind]} ({kinds[kind].id})" for kind in PRODUCTS if kind in kinds]
    missing = [PRODUCTS[kind] for kind in PRODUCTS if kind not in kinds]
    if not missing:
        print(f"{name} is whole: {listed(there)}.", flush=True)
        return 0
    raise BackupError(
        f"{name} is partial: {listed(there) or 'nothing'} {_is(there)} in it, and {listed(missing)} {_is(missing)} "
        "not. Nothing is pruned.",
        "What is there stays. See above what failed; a cluster that has no DTR is backed up with --ucp.",
    )


def look_into(before: Sets, after: Sets, began: float, more: list[str]) -> int:
    """Whether the run looked into what is in the set besides the Swarm's, which `verify` is asked about. 0, or the code
    of `verify`, which is asked where it did not.

    Args:
        began: unix seconds; a look before that does not count.
    """
    from swarmtui.cli.backups.verify import main as verify

    codes = [0]
    for kind, entry in _taken(before, after)[1].items():
        last = entry.last_verified
        if kind == "swarm":
            continue
        if last is not None and last.at >= began:
            # While it was still in clear; once it is encrypted perhaps nobody here can.
            print(f"{entry.id}: looked into by the run itself, tier {entry.tier}: {entry.would_restore}", flush=True)
        else:
            codes.append(verify([entry.id, "--cluster", entry.cluster_id, *more]))
    return max(codes)


def _taken(before: Sets, after: Sets) -> tuple[str, Mapping[str, Entry]]:
    for name, kinds in after.items():
        if name not in before:
            return name, kinds
    raise BackupError("No set was taken.", "See above what failed.")


def _is(names: list[str]) -> str:
    return "are" if names[1:] else "is"
