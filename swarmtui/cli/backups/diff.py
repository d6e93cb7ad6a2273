"""`swarmtui backups diff`."""

from __future__ import annotations

import asyncio
import json
from argparse import Namespace
from collections.abc import Sequence

import msgspec

from swarmtui import config
from swarmtui.backups.catalogue import belongs
from swarmtui.cli.backups.common import (
    SCHEMA,
    identity_of,
    in_thread,
    keys_for,
    the_entry,
    with_cluster,
    with_identity,
)
from swarmtui.cli.backups.inside import inventory_of
from swarmtui.cli.main import Parser
from swarmtui.errors import UsageError
from swarmtui.model.inventory import Inventory
from swarmtui.model.inventory_diff import Difference, differences
from swarmtui.model.text import one_line


def main(arguments: Sequence[str]) -> int:
    """Says what changed. Returns 0, also where something did; or raises."""
    parser = Parser(
        "swarmtui backups diff",
        description="What changed between two backups of a cluster, or since one was taken until now. Changes nothing.",
    )
    parser.add_argument("old", metavar="BACKUP", help="its id or latest")
    parser.add_argument("new", nargs="?", metavar="BACKUP", help="the other one")
    parser.add_argument("--live", metavar="TARGET", help="the cluster as it is now, instead of the other backup")
    with_identity(parser)
    with_cluster(parser)
    options = parser.parse_args(arguments)
    if (options.new is None) == (options.live is None):
        raise UsageError("Say with what it is compared.", "Name another backup, or --live TARGET.")
    return asyncio.run(_diff(options, config.load(options.config)))


async def _diff(options: Namespace, known: config.Config) -> int:
    identity = identity_of(options.identity)
    _, old = the_entry(known, options.cluster, options.old)
    keys = await keys_for(known, old, identity)
    before = await in_thread(lambda stop: inventory_of(old, keys))
    if options.live is not None:
        after, new_name = await _live(options.live, known, old.cluster_id, old.id), "now"
    else:
        _, new = the_entry(known, options.cluster, options.new)
        belongs(new, old.cluster_id)
        after, new_name = await in_thread(lambda stop: inventory_of(new, keys)), new.id
    found = differences(before, after)
    if options.json:
        document = {
            "schema": SCHEMA,
            "cluster_id": old.cluster_id,
            "old": old.id,
            "new": new_name,
            "differences": msgspec.to_builtins(found),
        }
        print(json.dumps(document, indent=2))
        return 0
    print(f"From {old.id} to {new_name}:")
    print("\n".join(lines(found)) if found else "  Nothing changed.")
    return 0


async def _live(target: str, known: config.Config, cluster_id: str, backup: str) -> Inventory:
    from swarmtui.cli.opened import opened
    from swarmtui.runbooks.swarm.backups.backup_objects import read_contents

    async with opened(target, known) as session:
        if session.snapshot.cluster_id != cluster_id:
            raise UsageError(
                f"The backup {backup} is of the cluster {cluster_id}, and {one_line(session.name)} is "
                f"{session.snapshot.cluster_id}.",
                "Name a target of the same cluster.",
            )
        await session.until_complete(5.0)
        return (await read_contents(session)).inventory


def lines(found: Sequence[Difference]) -> list[str]:
    """Differences in words."""
    out: list[str] = []
    for each in found:
        details = "; ".join(one_line(detail) for detail in each.details)
        name = one_line(each.name) or one_line(each.id)
        out.append(f"  {each.what:8} {each.kind} {name}" + (f": {details}" if details else ""))
    return out
