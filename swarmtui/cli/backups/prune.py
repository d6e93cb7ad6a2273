"""`swarmtui backups prune`."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from swarmtui import config
from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.copying import decided_at, remove_at
from swarmtui.backups.entries import Entry
from swarmtui.backups.offsite import opened
from swarmtui.backups.retention import Decision, Kept, Rules, decide
from swarmtui.cli.backups.common import SCHEMA, all_entries, name_of, table, with_cluster
from swarmtui.cli.backups.copy import way_to
from swarmtui.cli.main import Parser
from swarmtui.config.backups import CopyTarget, copy_target
from swarmtui.errors import RefusedError, SwarmtuiError, UnreachableError, UsageError
from swarmtui.model.text import one_line

HERE = ""
"""The place of the backups themselves."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The backups of one cluster in one place, and what becomes of each.

    Attributes:
        name: what people call the cluster.
        target: None for the catalogue itself.
        entries: of that cluster in the catalogue.
    """

    catalogue: Catalogue
    cluster_id: str
    name: str
    target: CopyTarget | None
    entries: tuple[Entry, ...]
    rules: Rules
    decisions: tuple[Decision, ...]

    @property
    def goes(self) -> tuple[str, ...]:
        return tuple(decision.backup.id for decision in self.decisions if not decision.keep)

    def __str__(self) -> str:
        where = str(self.target) if self.target is not None else str(self.catalogue.root)
        return f"{one_line(self.name) or self.cluster_id} in {where} (keep {self.rules})"


def main(arguments: Sequence[str]) -> int:
    """Shows what goes, and removes it. Returns 0 done or nothing to do, 1 something stayed, 3 a place is away."""
    parser = Parser(
        "swarmtui backups prune",
        description="Removes the backups that no rule keeps, and shows first which. The newest one that is proved "
        "never goes. Exit 0 done, 1 one could not be removed, 3 a place could not be reached.",
    )
    for name in ("last", "daily", "weekly", "monthly"):
        parser.add_argument(f"--{name}", type=_count, metavar="N", help="instead of the configuration's")
    parser.add_argument(
        "--copies", action="store_true", help="prune the copies in other places too, each place by itself"
    )
    parser.add_argument("--yes", action="store_true", help="remove without asking")
    parser.add_argument("--dry-run", action="store_true", help="show only")
    with_cluster(parser)
    options = parser.parse_args(arguments)
    if options.yes and options.dry_run:
        raise UsageError("Only one of --dry-run and --yes can be meant.", "Leave the other out.")
    return asyncio.run(_prune(options, config.load(options.config)))


def _count(text: str) -> int:
    if not text.isdigit() or int(text) > 10_000:
        raise ValueError
    return int(text)


async def _prune(options: Namespace, known: config.Config) -> int:
    shelves = _shelves(options, known)
    away: list[SwarmtuiError] = []
    if options.copies:
        for shelf in tuple(shelves):
            shelves += await _far(shelf, known, away)
    if not options.json:
        _show(shelves)
    goes = sum(len(shelf.goes) for shelf in shelves)
    if options.dry_run or not goes:
        _print_json(options, shelves, [])
        return _code(away)
    if not options.yes:
        await _confirm(goes)
    removed: list[tuple[str, str]] = []
    for shelf in shelves:
        removed += await _remove(shelf, known, away, quiet=options.json)
    _print_json(options, shelves, removed)
    return _code(away)


def _shelves(options: Namespace, known: config.Config) -> list[Shelf]:
    pairs = all_entries(known, options.cluster)
    shelves = []
    for root, cluster_id in dict.fromkeys((catalogue.root, entry.cluster_id) for catalogue, entry in pairs):
        mine = [(c, entry) for c, entry in pairs if (c.root, entry.cluster_id) == (root, cluster_id)]
        entries = tuple(entry for _, entry in mine)
        name = next((name_of(entry) for entry in entries if name_of(entry)), "")
        told = {each: n for each in ("last", "daily", "weekly", "monthly") if (n := getattr(options, each)) is not None}
        rules = replace(Rules.of(known.backups_of(name)), **told)
        decisions = decide(map(Kept.of, entries), rules)
        shelves.append(Shelf(mine[0][0], cluster_id, name, None, entries, rules, decisions))
    return shelves


async def _far(shelf: Shelf, known: config.Config, away: list[SwarmtuiError]) -> list[Shelf]:
    """The same cluster in its other places: those of the configuration, and where copies are known to be."""
    places = [copy_target(place) for place in known.backups_of(shelf.name).copies]
    places += [copy_target(copy.where) for entry in shelf.entries for copy in entry.copies]
    found = []
    for target in dict.fromkeys(places):
        try:
            async with opened(target, *way_to(shelf.entries[0], known)) as place:
                decisions = await decided_at(shelf.entries, shelf.cluster_id, place, shelf.rules)
        except SwarmtuiError as error:
            if isinstance(error, UsageError):
                raise
            away.append(error)
            print(f"swarmtui: {target}: {one_line(str(error))}", file=sys.stderr)
            continue
        found.append(replace(shelf, target=target, decisions=decisions))
    return found


def _show(shelves: Sequence[Shelf]) -> None:
    if not shelves:
        print("There is no backup.")
    for shelf in shelves:
        print(f"{shelf}:")
        rows = [
            (
                f"  {decision.backup.id}",
                decision.backup.verdict if not decision.backup.broken else "-",
                ("kept: " if decision.keep else "GOES: ") + one_line("; ".join(decision.because)),
            )
            for decision in shelf.decisions
        ]
        print("\n".join(table([("  ID", "WOULD RESTORE", ""), *rows])))
    if shelves and not any(shelf.goes for shelf in shelves):
        print("Nothing goes.")


async def _confirm(goes: int) -> None:
    if not sys.stdin.isatty():
        raise UsageError("There is no terminal to confirm on.", "Add --yes if it is meant, or --dry-run to look only.")
    print(f'\nType "yes" to remove {goes}, anything else to leave them: ', end="", file=sys.stderr, flush=True)
    if (await asyncio.to_thread(sys.stdin.readline)).strip() != "yes":
        raise RefusedError("Not confirmed.", "Nothing was removed.")


async def _remove(
    shelf: Shelf, known: config.Config, away: list[SwarmtuiError], *, quiet: bool
) -> list[tuple[str, str]]:
    """Removes what was shown to go, unless a look just now would keep it; returns (place, id)."""
    where = str(shelf.target) if shelf.target is not None else HERE
    removed = []
    try:
        if shelf.target is None:
            entries = await asyncio.to_thread(shelf.catalogue.entries, shelf.cluster_id)
            now = {d.backup.id for d in decide(map(Kept.of, entries), shelf.rules) if not d.keep}
            for entry in entries:
                if entry.id in shelf.goes and entry.id in now:
                    await asyncio.to_thread(shelf.catalogue.remove, entry)
                    removed.append((where, entry.id))
                    _say(f"removed {entry.id}", quiet=quiet)
            await asyncio.to_thread(shelf.catalogue.sweep, shelf.cluster_id)
        elif shelf.goes:
            async with opened(shelf.target, *way_to(shelf.entries[0], known)) as place:
                decided = await decided_at(shelf.entries, shelf.cluster_id, place, shelf.rules)
                here = {entry.id: entry for entry in shelf.entries}
                for name in [d.backup.id for d in decided if not d.keep and d.backup.id in shelf.goes]:
                    await remove_at(shelf.catalogue, here.get(name), shelf.cluster_id, name, place)
                    removed.append((where, name))
                    _say(f"removed {name} from {where}", quiet=quiet)
    except SwarmtuiError as error:
        away.append(error)
        print(f"swarmtui: {one_line(str(error))}", file=sys.stderr)
    return removed


def _say(text: str, *, quiet: bool) -> None:
    if not quiet:
        print(text, flush=True)


def _code(away: Sequence[SwarmtuiError]) -> int:
    if not away:
        return 0
    return 3 if all(isinstance(error, UnreachableError) for error in away) else 1


def _print_json(options: Namespace, shelves: Sequence[Shelf], removed: Sequence[tuple[str, str]]) -> None:
    if not options.json:
        return
    told: list[dict[str, Any]] = [
        {
            "cluster_id": shelf.cluster_id,
            "cluster": shelf.name,
            "where": str(shelf.target) if shelf.target is not None else str(shelf.catalogue.root),
            "copies": shelf.target is not None,
            "backups": [
                {
                    "id": decision.backup.id,
                    "keep": decision.keep,
                    "because": list(decision.because),
                    "removed": (str(shelf.target) if shelf.target else HERE, decision.backup.id) in removed,
                }
                for decision in shelf.decisions
            ],
        }
        for shelf in shelves
    ]
    print(json.dumps({"schema": SCHEMA, "places": told}, indent=2))
