"""`swarmtui backups verify`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui import config
from swarmtui.backups.catalogue import Catalogue, Entry
from swarmtui.backups.records import TierResult, Verdict
from swarmtui.backups.verify import Progress, verify
from swarmtui.cli.backups.common import (
    SCHEMA,
    all_entries,
    identity_of,
    in_thread,
    keys_for,
    the_entry,
    with_cluster,
    with_identity,
)
from swarmtui.cli.backups.show import mark
from swarmtui.cli.main import Parser
from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.model.text import one_line

CODES: dict[Verdict, int] = {"yes": 0, "not proved": 1, "no": 2}


class UnverifiedError(SwarmtuiError):
    """Nothing could be verified: 2 would say that a backup would not restore."""

    exit_code: ClassVar[int] = 3


def main(arguments: Sequence[str]) -> int:
    """Verifies one backup or all. Returns 0 would restore, 1 not proved, 2 would not; with --all the worst of them.

    Raises:
        UnverifiedError: wrong usage, or a catalogue that cannot be read; exit code 3.
    """
    parser = Parser(
        "swarmtui backups verify",
        description="Proves a backup, offline: its digest, its structure, that it is complete, that the vault's key "
        "opens it, that it has what the cluster had. Exit 0 would restore, 1 not proved, 2 would not, 3 not tried.",
    )
    parser.add_argument("backup", nargs="?", metavar="BACKUP", help="its id or latest (the default)")
    parser.add_argument("--all", action="store_true", help="every backup; exit with the worst")
    parser.add_argument(
        "--rehearse",
        metavar="HOST",
        help="restore it for real as well, in an isolated Docker on ssh://HOST or here (local); asks nothing",
    )
    with_identity(parser)
    with_cluster(parser)
    try:
        options = parser.parse_args(arguments)
        if options.all and (options.backup or options.rehearse):
            raise UsageError("--all is every backup, and is not rehearsed.", "Leave the others out.")
        if options.rehearse and options.identity:
            raise UsageError(
                "A rehearsal takes what opens the backup from the vault only, so that it can be resumed.",
                "Keep the identity there first, by pipe: swarmtui secrets set backup-passphrase CLUSTER_ID",
            )
        known = config.load(options.config)
        code = asyncio.run(_verify(options, known))
        if options.rehearse and code != CODES["no"]:
            return _rehearse(options, known)
        return code
    except SwarmtuiError as error:
        raise UnverifiedError(error.what, error.next_step) from None


async def _verify(options: Namespace, known: config.Config) -> int:
    chosen = all_entries(known, options.cluster) if options.all else []
    if not options.all:
        chosen = [the_entry(known, options.cluster, options.backup or "latest")]
    if not chosen:
        raise UsageError("There is no backup to verify.", "Take one: swarmtui run swarm.backup --target TARGET")
    done: list[Entry] = []
    teller = _Teller(len(chosen), as_json=options.json)
    try:
        for catalogue, entry in chosen:
            after = await _one(catalogue, entry, options, known, teller)
            done.append(after)
            if not options.json and not options.rehearse:
                teller.result(after, brief=options.all)
    except asyncio.CancelledError:
        teller.clear()
        print(f"swarmtui: Stopped: {len(done)} of {len(chosen)} were verified, and that is kept.", file=sys.stderr)
        raise
    if options.json and not options.rehearse:
        print(json.dumps({"schema": SCHEMA, "backups": [_as_json(entry) for entry in done]}, indent=2))
    return max(CODES[entry.would_restore] for entry in done)


async def _one(catalogue: Catalogue, entry: Entry, options: Namespace, known: config.Config, teller: _Teller) -> Entry:
    keys = await keys_for(known, entry, identity_of(options.identity))
    teller.begin(entry)
    found = await in_thread(
        lambda stop: verify(
            entry, keys.unlock, keys.identity, progress=teller.progress, cancelled=stop, passphrases=keys.ucp
        )
    )
    teller.clear()
    if entry.broken:
        return entry  # its folder may not even be one: nothing is written there
    return await asyncio.to_thread(catalogue.add_verification, entry, found)


def _rehearse(options: Namespace, known: config.Config) -> int:
    """Restores it for real, through the runbook, which adds tier 5."""
    from swarmtui.cli.run import main as run

    catalogue, entry = the_entry(known, options.cluster, options.backup or "latest")
    arguments = [
        "swarm.rehearse",
        f"backup={entry.id}",
        f"host={options.rehearse}",
        f"cluster={entry.cluster_id}",
        "--yes",
    ]
    if entry.manifest is not None and entry.manifest.cluster in known.clusters:
        arguments += ["--target", f"cluster:{entry.manifest.cluster}"]
    if options.config is not None:
        arguments += ["--config", str(options.config)]
    with _stdout_to_stderr(options.json):
        run(arguments)
    after = catalogue.entry(entry.cluster_id, entry.id)
    if _rehearsal(after) in (None, _rehearsal(entry)):
        raise UnverifiedError(f"{entry.id} was not rehearsed: the rehearsal itself failed.", "See: swarmtui journal")
    if options.json:
        print(json.dumps({"schema": SCHEMA, "backups": [_as_json(after)]}, indent=2))
    else:
        _Teller(1, as_json=False).result(after, brief=False)
    return CODES[after.would_restore]


def _rehearsal(entry: Entry) -> TierResult | None:
    return entry.last_verified.result(5) if entry.last_verified is not None else None


def _stdout_to_stderr(wanted: bool) -> contextlib.AbstractContextManager[Any]:
    """With --json, what the run tells is not part of the document."""
    return contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext()


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "cluster_id": entry.cluster_id,
        "would_restore": entry.would_restore,
        "because": entry.because,
        "tier": entry.tier,
        "verification": msgspec.to_builtins(entry.last_verified),
    }


class _Teller:
    """Says how far it is (on stderr, on a terminal only) and what was found."""

    def __init__(self, total: int, *, as_json: bool) -> None:
        self._total, self._number = total, 0
        self._live = sys.stderr.isatty() and not as_json
        self._entry = ""
        self._last = ""

    def begin(self, entry: Entry) -> None:
        self._number += 1
        self._entry = entry.id

    def progress(self, now: Progress) -> None:
        if not self._live:
            return
        percent = 100 * now.done // now.total if now.total else 0
        text = f"{self._number}/{self._total} {self._entry}: {now.doing}, {percent} %"
        if text != self._last:
            self._last = text
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def result(self, entry: Entry, *, brief: bool) -> None:
        because = one_line(entry.because)
        if brief:
            print(f"{self._number}/{self._total} {entry.id}: {entry.would_restore}, because {because}", flush=True)
            return
        print(f"{entry.id}")
        last = entry.last_verified
        for result in last.tiers if last is not None and not entry.broken else ():
            print(f"  {result.tier} {result.name}: {mark(result.ok)}")
            for sentence in result.what:
                print(f"      {one_line(sentence)}")
        print(f"Would restore: {entry.would_restore}, because {because}.")
