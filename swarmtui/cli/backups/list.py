"""`swarmtui backups list`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from swarmtui import config
from swarmtui.backups.catalogue import Entry
from swarmtui.backups.draft import Leftover
from swarmtui.backups.dtr.contents import product
from swarmtui.backups.manifest import Manifest
from swarmtui.cli.backups.common import (
    SCHEMA,
    age_words,
    all_entries,
    catalogues,
    name_of,
    size_words,
    table,
    with_cluster,
)
from swarmtui.cli.main import Parser
from swarmtui.model.text import one_line

HEADINGS = ("ID", "AGE", "CLUSTER", "NODE", "SIZE", "TAKEN", "ENCRYPTED", "TIER", "WOULD RESTORE", "COPIES")


def main(arguments: Sequence[str]) -> int:
    """Lists the backups, the newest first. Returns 0, or raises."""
    parser = Parser("swarmtui backups list", description="All backups, the newest first. Changes nothing.")
    with_cluster(parser)
    options = parser.parse_args(arguments)
    known = config.load(options.config)
    entries = [entry for _, entry in all_entries(known, options.cluster)]
    left = [each for catalogue in catalogues(known) for each in catalogue.leftovers()]
    if options.json:
        print(
            json.dumps({"schema": SCHEMA, "backups": [as_json(e) for e in entries], "leftovers": _left(left)}, indent=2)
        )
        return 0
    if entries:
        now = time.time()
        rows = [HEADINGS, *(_row(entry, now) for entry in entries)]
        lines = table(rows)
        print(lines[0])
        for entry, line in zip(entries, lines[1:], strict=True):
            print(line)
            print(f"    {one_line(entry.because)}")
    else:
        roots = ", ".join(str(catalogue.root) for catalogue in catalogues(known))
        print(f"There is no backup in {roots}. Take one: swarmtui run swarm.backup --target TARGET")
    for each in left:
        print(f"swarmtui: {each} It goes when the next backup is taken.", file=sys.stderr)
    return 0


def _row(entry: Entry, now: float) -> tuple[str, ...]:
    manifest = entry.manifest
    if manifest is None:
        return (entry.id, "-", entry.cluster_id, "-", "-", "-", "-", "-", "no", "-")
    good = sum(not copy.trouble for copy in entry.copies)
    bad = len(entry.copies) - good
    return (
        entry.id,
        age_words(now - manifest.taken_at) if manifest.taken_at else "-",
        one_line(name_of(entry)) or entry.cluster_id,
        one_line(manifest.node),
        size_words(manifest.stored_size),
        f"imported, {_how(manifest)}" if manifest.source == "imported" else _how(manifest),
        manifest.protected or "NO",
        f"{entry.tier} of 5" if entry.tier else "-",
        entry.would_restore,
        f"{good}" + (f" ({bad} bad)" if bad else ""),
    )


def _how(manifest: Manifest) -> str:
    if manifest.dtr is not None:
        return product(manifest.dtr.version)
    return manifest.how if manifest.ucp is None else f"UCP {one_line(manifest.ucp.version)}"


def as_json(entry: Entry) -> dict[str, Any]:
    """A backup for programs, without its inventory."""
    manifest: dict[str, Any] | None = None
    if entry.manifest is not None:
        manifest = msgspec.to_builtins(entry.manifest)
        del manifest["inventory"], manifest["inventory_after"]
    return {
        "id": entry.id,
        "cluster_id": entry.cluster_id,
        "folder": str(entry.folder),
        "archive": str(entry.archive),
        "broken": entry.broken,
        "tier": entry.tier,
        "would_restore": entry.would_restore,
        "because": entry.because,
        "last_verified": msgspec.to_builtins(entry.last_verified),
        "copies": msgspec.to_builtins(entry.copies),
        "manifest": manifest,
    }


def _left(leftovers: Sequence[Leftover]) -> list[dict[str, Any]]:
    return [{"folder": str(e.folder), "pid": e.pid, "host": e.host, "age_seconds": int(e.age)} for e in leftovers]
