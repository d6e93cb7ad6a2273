"""What the subcommands of `swarmtui backups` share: which catalogue, which backup, which keys."""

from __future__ import annotations

import asyncio
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from swarmtui.backups.catalogue import Catalogue, Entry, backups_dir
from swarmtui.backups.crypt import identity_file
from swarmtui.backups.keys import Keys, keys_of
from swarmtui.cli.main import with_config
from swarmtui.config import Config
from swarmtui.errors import UsageError
from swarmtui.model.text import one_line
from swarmtui.vault import Secret, Sources, Vault, shared

SCHEMA = 1
T = TypeVar("T")


def with_cluster(parser: ArgumentParser) -> None:
    """Adds the options that every subcommand has."""
    parser.add_argument("--cluster", metavar="ID|NAME", help="whose backups, where there are those of several")
    parser.add_argument("--json", action="store_true", help="for programs; the schema has a version")
    with_config(parser)


def with_identity(parser: ArgumentParser) -> None:
    """Adds the option for what opens the encryption."""
    parser.add_argument(
        "--identity", type=Path, metavar="FILE", help="identities of age, or an SSH key, instead of the vault's"
    )


def identity_of(path: Path | None) -> Secret | None:
    """What was given to open the encryption. Raises UsageError where it is none."""
    return identity_file(path) if path is not None else None


def catalogues(known: Config) -> tuple[Catalogue, ...]:
    """All that the configuration names: clusters may have folders of their own."""
    folders = [known.backups.folder, *(known.backups_of(name).folder for name in known.clusters)]
    roots = dict.fromkeys(Catalogue(backups_dir(folder)).root for folder in folders)
    return tuple(Catalogue(root) for root in roots)


def all_entries(known: Config, cluster: str | None) -> list[tuple[Catalogue, Entry]]:
    """All backups, or those of a cluster by its id or name, the newest first.

    Raises:
        UsageError: there is no backup of such a cluster.
        BackupError: a catalogue cannot be read.
    """
    found = [(catalogue, entry) for catalogue in catalogues(known) for entry in catalogue.entries()]
    found.sort(key=lambda pair: (pair[1].id[:16], len(pair[1].id), pair[1].id), reverse=True)
    if cluster is None:
        return found
    ids = {entry.cluster_id for _, entry in found if cluster in (entry.cluster_id, name_of(entry))}
    if len(ids) > 1:
        raise UsageError(f'"{one_line(cluster)}" is the name of several clusters.', "Give the id: --cluster ID")
    if not ids:
        roots = ", ".join(str(catalogue.root) for catalogue in catalogues(known))
        raise UsageError(
            f'There is no backup of a cluster "{one_line(cluster)[:60]}" in {roots}.', "See: swarmtui backups list"
        )
    return [pair for pair in found if pair[1].cluster_id in ids]


def name_of(entry: Entry) -> str:
    """What people call its cluster; "" where nobody said."""
    return entry.manifest.cluster if entry.manifest is not None else ""


def the_entry(known: Config, cluster: str | None, name: str) -> tuple[Catalogue, Entry]:
    """The backup of that name, with where it lies.

    Raises:
        UsageError: there is none, or there are several.
    """
    if cluster is not None:
        cluster = all_entries(known, cluster)[0][1].cluster_id
    wrong: UsageError | None = None
    found: list[tuple[Catalogue, Entry]] = []
    for catalogue in catalogues(known):
        try:
            found.append((catalogue, catalogue.entry(cluster, name)))
        except UsageError as error:
            # That there are several says more than that there is none.
            wrong = error if wrong is None or "several" in error.what else wrong
    if wrong is not None and (not found or "several" in wrong.what):
        raise wrong
    if len(found) > 1 and (name != "latest" or len({entry.cluster_id for _, entry in found}) > 1):
        raise UsageError(
            f'There are several backups "{one_line(name)[:80]}", in different folders.',
            "Say more of its id, or --cluster.",
        )
    return max(found, key=lambda pair: pair[1].id)


def vault_of(known: Config, name: str) -> Vault:
    """The vault, with what the configuration names for a cluster."""
    cluster = known.clusters.get(name)
    return shared().with_sources(Sources.of(name, cluster.secrets if cluster is not None else {}))


async def keys_for(known: Config, entry: Entry, identity: Secret | None) -> Keys:
    """What the vault has to open a backup; what it could not be asked is told on stderr."""
    ucp = entry.id if entry.kind == "ucp" else None
    keys = await keys_of(vault_of(known, name_of(entry)), entry.cluster_id, identity, ucp=ucp)
    if keys.trouble:
        print(f"swarmtui: {keys.trouble}", file=sys.stderr)
    return keys


async def in_thread(work: Callable[[Callable[[], bool]], T]) -> T:
    """Runs what blocks in a thread. After Ctrl-C it is told to stop, and waited for.

    Args:
        work: is given a function that says whether it should stop.
    """
    stop = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(work, stop.is_set))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()
        raise


def size_words(size: int) -> str:
    """Bytes in words: 512 B, 4 KB, 1.2 MB."""
    if size < 1000:
        return f"{size} B"
    for unit in ("KB", "MB", "GB"):
        size_in = size / {"KB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
        if size_in < 999.5 or unit == "GB":
            return f"{size_in:.1f} {unit}" if size_in < 9.95 else f"{size_in:.0f} {unit}"
    raise AssertionError


def age_words(seconds: float) -> str:
    """How long ago, coarsely: 3 min, 5 h, 12 d."""
    minutes = max(0, int(seconds // 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as lines with columns under each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
