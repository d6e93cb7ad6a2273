"""`swarmtui backups copy`."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import msgspec

from swarmtui import config
from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.copying import Done, check_at, copy_to, known_at
from swarmtui.backups.entries import Entry
from swarmtui.backups.offsite import opened, unencrypted
from swarmtui.cli.backups.common import SCHEMA, all_entries, name_of, size_words, the_entry, vault_of, with_cluster
from swarmtui.cli.main import Parser
from swarmtui.cli.rules import check_rules, with_accept
from swarmtui.config import ClusterConfig
from swarmtui.config.backups import SHAPES, CopyTarget, copy_target
from swarmtui.errors import SwarmtuiError, UnreachableError, UsageError
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.model.text import listed, one_line
from swarmtui.opening import ssh_of
from swarmtui.runbooks.runbook import Rule
from swarmtui.vault.person import VaultPerson

Chosen = list[tuple[Catalogue, Entry]]


def main(arguments: Sequence[str]) -> int:
    """Copies backups to other places, or checks copies. Returns 0 all are there, 1 one is not, 3 a place is away."""
    parser = Parser(
        "swarmtui backups copy",
        description="Brings backups to the places for copies, and checks each file at the far end. What is there is "
        "not sent again. Exit 0 all copies are there, 1 one is not, 3 a place could not be reached, 4 refused.",
    )
    parser.add_argument("backup", nargs="?", metavar="BACKUP", help="its id or latest (the default)")
    parser.add_argument("--all", action="store_true", help="every backup")
    parser.add_argument(
        "--to", action="append", default=[], metavar="PLACE", help="a place, instead of those of the configuration"
    )
    parser.add_argument("--check", action="store_true", help="send nothing: compare the copies with the backups")
    with_accept(parser)
    with_cluster(parser)
    options = parser.parse_args(arguments)
    if options.all and options.backup:
        raise UsageError("--all is every backup.", "Leave the other out.")
    return asyncio.run(_copy(options, config.load(options.config)))


async def _copy(options: Namespace, known: config.Config) -> int:
    everything = all_entries(known, options.cluster)
    chosen = everything if options.all else [the_entry(known, options.cluster, options.backup or "latest")]
    if not chosen:
        raise UsageError("There is no backup to copy.", "Take one: swarmtui run swarm.backup --target TARGET")
    work = _work(options, known, chosen)
    if not work:
        if options.check:
            raise UsageError("There is no copy to check.", "Make one: swarmtui backups copy")
        raise UsageError(
            "No place for copies is named.",
            f"Name it with --to PLACE, or in the configuration: [backups] copies. {SHAPES}",
        )
    if not options.check:
        check_rules(rules_of(work), options.accept)
    elif options.accept:
        raise UsageError("A check sends nothing: there is nothing to accept.", "Leave --accept out.")
    teller = Teller(as_json=options.json)
    done: list[Done] = []
    for target, pairs in work.items():
        done += await _in_one_place(target, pairs, known, teller, check=options.check)
    if options.json:
        print(json.dumps({"schema": SCHEMA, "copies": [_as_json(each) for each in done]}, indent=2))
    return _code(done)


def _work(options: Namespace, known: config.Config, chosen: Chosen) -> dict[CopyTarget, Chosen]:
    """Which backups are meant in which place."""
    told = [_target(place) for place in options.to]
    work: dict[CopyTarget, Chosen] = {}
    for catalogue, entry in chosen:
        if options.check:
            targets = [_target(copy.where) for copy in entry.copies]
            targets = [target for target in targets if not told or target in told]
        else:
            targets = told or [copy_target(place) for place in known.backups_of(name_of(entry)).copies]
        for target in dict.fromkeys(targets):
            work.setdefault(target, []).append((catalogue, entry))
    return work


def _target(place: str) -> CopyTarget:
    try:
        return copy_target(place)
    except ValueError as error:
        # What was typed is not told: somebody may have written a password there.
        raise UsageError(f"A place for copies cannot be meant: {error}.", SHAPES) from None


def rules_of(work: dict[CopyTarget, Chosen]) -> tuple[Rule, ...]:
    """The safety rules that these copies break."""
    rules = []
    for target, pairs in work.items():
        open_ones = [entry.id for _, entry in pairs if unencrypted(entry)]
        if open_ones:
            rules.append(
                Rule(
                    "unencrypted-copy",
                    str(target),
                    f"{listed(open_ones, 1)} would leave this machine unencrypted: whoever can read {target} has all "
                    "secrets, keys and join tokens of the cluster. Name recipients in the configuration, and take a "
                    "new backup.",
                )
            )
    return tuple(rules)


async def _in_one_place(
    target: CopyTarget, pairs: Chosen, known: config.Config, teller: Teller, *, check: bool
) -> list[Done]:
    done: list[Done] = []
    try:
        async with opened(
            target, *way_to(pairs[0][1], known), known=known_at([e for _, e in pairs], str(target))
        ) as at:
            for catalogue, entry in pairs:
                teller.begin(entry, at.where)
                if check:
                    copied = next(copy for copy in entry.copies if _target(copy.where) == target)
                    each = await check_at(catalogue, entry, at, copied)
                else:
                    each = await copy_to(catalogue, entry, at, teller.progress)
                done.append(each)
                teller.end(each, check=check)
                if isinstance(each.error, UnreachableError):
                    break
    except SwarmtuiError as error:
        if isinstance(error, UsageError):
            raise
        done += [Done(entry, str(target), None, error) for _, entry in pairs[len(done) :]]
        teller.away(str(target), error)
        return done
    # Whoever was lost on the way has none of the rest either.
    done += [Done(entry, str(target), None, done[-1].error) for _, entry in pairs[len(done) :]]
    return done


def way_to(entry: Entry, known: config.Config) -> tuple[SshSettings, VaultPerson]:
    """How SSH goes to the places of a backup's cluster, and who is asked on the way."""
    from swarmtui.cli.ask import person

    name = name_of(entry)
    who, vault = person(), vault_of(known, name)
    return ssh_of(known.clusters.get(name, ClusterConfig())), VaultPerson(lambda: who, lambda: vault)


def _code(done: Sequence[Done]) -> int:
    wrong = [each for each in done if not each.ok]
    if not wrong:
        return 0
    return 3 if all(isinstance(each.error, UnreachableError) for each in wrong) else 1


def _as_json(done: Done) -> dict[str, Any]:
    error = done.error
    return {
        "id": done.entry.id,
        "cluster_id": done.entry.cluster_id,
        "where": done.where,
        "ok": done.ok,
        "copy": msgspec.to_builtins(done.copy),
        "sent": done.sent,
        "error": None if error is None else {"what": error.what, "next_step": error.next_step},
    }


class Teller:
    """Says how far it is (on stderr, on a terminal only) and what came of it."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._live = sys.stderr.isatty() and not as_json
        self._what = ""
        self._last = ""

    def begin(self, entry: Entry, where: str) -> None:
        """One backup in one place is next."""
        self._what = f"{entry.id} → {where}"

    def progress(self, done: int, total: int) -> None:
        """Called from any thread."""
        text = f"{self._what}: {100 * done // total if total else 0} %"
        if self._live and text != self._last:
            self._last = text
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def end(self, done: Done, *, check: bool) -> None:
        """That came of it."""
        self._clear()
        if self._as_json:
            return
        if done.error is not None:
            print(f"{self._what}: FAILED: {one_line(str(done.error))}", flush=True)
        elif done.copy is not None and done.copy.trouble:
            print(f"{self._what}: NO COPY: {one_line(done.copy.trouble)}. Copy it again.", flush=True)
        elif done.copy is not None:
            digest = f"sha256 {done.copy.digest[:12]}… there"
            sent = f"{size_words(done.sent)} sent" if done.sent else "as it was" if check else "was there"
            print(f"{self._what}: {sent}, {digest}", flush=True)

    def away(self, where: str, error: SwarmtuiError) -> None:
        """A place could not be worked with at all."""
        self._clear()
        print(f"swarmtui: {where}: {one_line(str(error))}", file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
