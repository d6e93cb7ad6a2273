"""`swarmtui backups show`."""

from __future__ import annotations

import asyncio
import json
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from swarmtui import config
from swarmtui.backups.catalogue import Entry
from swarmtui.backups.dtr.contents import product
from swarmtui.backups.errors import BackupError
from swarmtui.backups.manifest import HOT, DtrManifest, Manifest, UcpManifest
from swarmtui.backups.raft import Contents
from swarmtui.cli.backups.common import (
    SCHEMA,
    identity_of,
    in_thread,
    keys_for,
    size_words,
    the_entry,
    with_cluster,
    with_identity,
)
from swarmtui.cli.backups.inside import look
from swarmtui.cli.backups.list import as_json
from swarmtui.cli.main import Parser
from swarmtui.model.inventory import KINDS, Inventory, NodeItem, ServiceItem
from swarmtui.model.text import one_line


def main(arguments: Sequence[str]) -> int:
    """Shows one backup. Returns 0, or raises."""
    parser = Parser("swarmtui backups show", description="One backup, in words. Changes nothing.")
    parser.add_argument("backup", nargs="?", default="latest", metavar="BACKUP", help="its id or latest (the default)")
    parser.add_argument(
        "--inventory",
        action="store_true",
        help="what is in it, by name, as the archive itself says if it can be opened",
    )
    with_identity(parser)
    with_cluster(parser)
    options = parser.parse_args(arguments)
    return asyncio.run(_show(options, config.load(options.config)))


async def _show(options: Namespace, known: config.Config) -> int:
    _, entry = the_entry(known, options.cluster, options.backup)
    contents: Contents | None = None
    why = ""
    if options.inventory and not entry.broken:
        keys = await keys_for(known, entry, identity_of(options.identity))
        try:
            contents = await in_thread(lambda stop: look(entry, keys))
            if contents.inventory is None:
                why = contents.fatal[0].what if contents.fatal else "It is locked, and no key of the vault opens it."
        except BackupError as error:
            why = error.what
    inside = contents.inventory if contents is not None else None
    told = inside or (entry.manifest.inventory if entry.manifest is not None else None)
    if options.json:
        document = {"schema": SCHEMA, **as_json(entry)}
        if options.inventory:
            document["inventory"] = msgspec.to_builtins(told)
            document["inventory_from"] = "archive" if inside is not None else "manifest" if told is not None else None
            document["inventory_trouble"] = why
        print(json.dumps(document, indent=2))
        return 0
    print("\n".join(described(entry)))
    if options.inventory:
        print()
        print("\n".join(_inside(told, from_archive=inside is not None, why=why)))
    return 0


def described(entry: Entry) -> list[str]:
    """A backup in words."""
    manifest = entry.manifest
    lines = [f"Backup {entry.id}", f"  would restore: {entry.would_restore}, because {one_line(entry.because)}"]
    if manifest is not None:
        lines += _manifest(manifest)
    last = entry.last_verified
    if last is not None:
        lines.append(f"  verified {when(last.at)}:")
        for result in last.tiers:
            lines.append(f"    {result.tier} {result.name}: {mark(result.ok)}")
            lines += [f"        {one_line(sentence)}" for sentence in result.what]
    for copy in entry.copies:
        good = one_line(copy.trouble) if copy.trouble else f"digest compared {when(copy.checked_at or copy.at)}"
        lines.append(f"  copy: {one_line(copy.where)} ({good})")
    lines.append(f"  archive: {entry.archive}")
    return lines


def mark(ok: bool | None) -> str:
    """How a tier ended, in a word."""
    return "not proved" if ok is None else "yes" if ok else "NO"


def when(at: float) -> str:
    """Unix seconds as a person reads them."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC") if at else "at a time nobody noted"


def _manifest(manifest: Manifest) -> list[str]:
    name = f"{one_line(manifest.cluster)} ({manifest.cluster_id})" if manifest.cluster else manifest.cluster_id
    leader = {True: ", the leader", False: ", not the leader", None: ""}[manifest.leader]
    address = f" at {one_line(manifest.address)}" if manifest.address else ""
    engine = f", Docker {one_line(manifest.engine_version)}" if manifest.engine_version else ""
    lines = [
        f"  cluster: {name}",
        f"  taken: {when(manifest.taken_at)} from {one_line(manifest.node)} ({one_line(manifest.node_id)}){address}"
        f"{leader}{engine}",
    ]
    if manifest.ucp is not None:
        lines += ucp_lines(manifest.ucp)
    if manifest.dtr is not None:
        lines += dtr_lines(manifest.dtr)
    if manifest.source == "imported":
        lines.append(f"  imported from {one_line(manifest.imported_from)}")
    if manifest.cold is False:
        lines.append(f"  hot: {HOT}")
    elif manifest.cold and manifest.kind == "swarm":
        lines.append(f"  cold: Docker was down on that manager for {manifest.downtime_seconds:.1f} s")
    if manifest.quorum:
        lines.append(f"  quorum: {one_line(manifest.quorum)}")
    if manifest.raft_index:
        lines.append(f"  raft: term {manifest.raft_term}, entry {manifest.raft_index}")
    if manifest.kind == "swarm":
        lines.append(f"  autolock: {_lock(manifest)}")
    sealed = {
        "openpgp": "sealed by UCP with its passphrase (OpenPGP)",
        "": "NOT ENCRYPTED",
        "recipients": "encrypted for recipients of age",
        "passphrase": "encrypted with a passphrase",
    }
    size = f"{size_words(manifest.stored_size)}, plain {size_words(manifest.size)}"
    lines.append(f"  size: {size}, {sealed[manifest.protected]}, sha256 {manifest.stored_digest[:16]}…")
    if manifest.inventory is not None:
        lines.append(f"  had: {counted(manifest.inventory)}")
    lines += [f"  note: {one_line(note)}" for note in manifest.notes]
    lines.append(f"  written by swarmtui {one_line(manifest.tool_version)}")
    return lines


def ucp_lines(ucp: UcpManifest) -> list[str]:
    """What only a backup of UCP has, in words."""
    instance = f", instance {one_line(ucp.instance_id)}" if ucp.instance_id else ""
    lines = [f"  of UCP {one_line(ucp.version) or 'of an unknown version'}{instance}: only that version restores it"]
    if ucp.accounts is None:
        return [*lines, "  accounts: nobody could ask UCP for them when it was taken"]
    people = [account for account in ucp.accounts if not account.org]
    admins = sum(account.admin for account in people)
    return [*lines, f"  accounts: {len(people)}, {admins} of them administrators"]


def dtr_lines(dtr: DtrManifest) -> list[str]:
    """What only a backup of DTR has, in words."""
    replica = f", replica {one_line(dtr.replica_id)}" if dtr.replica_id else ""
    of = f" of {len(dtr.replicas)}" if len(dtr.replicas) > 1 else ""
    lines = [f"  of {product(dtr.version)}{replica}{of}: only that version restores it"]
    if dtr.external_url:
        lines.append(f"  external URL: {one_line(dtr.external_url)}")
    many = "nobody could ask DTR for them" if dtr.repositories is None else f"{len(dtr.repositories)}"
    lines.append(f"  repositories: {many}")
    lines.append(f"  images: NOT in it; they are {one_line(dtr.images)}. Users and teams are UCP's.")
    return lines


def _lock(manifest: Manifest) -> str:
    if not manifest.autolock:
        return "off: the archive holds the raft key in clear"
    key = f"key {one_line(manifest.key_fingerprint)}" if manifest.key_fingerprint else "a key nobody noted"
    return f"on, locked with {key}" + (f", version {manifest.kek_version}" if manifest.kek_version else "")


def counted(inventory: Inventory) -> str:
    """How many of everything."""
    numbers = [(kind, len(inventory.of(kind))) for kind in KINDS]
    return ", ".join(f"{number} {kind if number == 1 else f'{kind}s'}" for kind, number in numbers)


def _inside(told: Inventory | None, *, from_archive: bool, why: str) -> list[str]:
    if told is None:
        return [f"Nobody knows what is in it. {one_line(why)}".rstrip()]
    source = "As the archive itself says" if from_archive else "As the manifest says; the archive was not read"
    lines = [f"{source}{f' ({one_line(why)})' if why else ''}: {counted(told)}"]
    for kind in KINDS:
        for item in told.of(kind):
            more = ""
            if isinstance(item, NodeItem):
                more = f"{item.role}, {item.availability}, {item.address}"
            elif isinstance(item, ServiceItem):
                copies = f"{item.replicas} replicas" if item.replicas is not None else item.mode
                more = f"{item.image}, {copies}"
            called = f"{kind} {one_line(item.name) or '(no name)'} ({one_line(item.id)})"
            lines.append(f"  {called}  {one_line(more)}".rstrip())
    return lines
