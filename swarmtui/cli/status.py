"""`swarmtui status`: how a cluster is, for a person and for a monitoring system."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from typing import Any

from swarmtui import config
from swarmtui.cli.dtr_words import dtr_object, dtr_words
from swarmtui.cli.main import Parser, with_config
from swarmtui.cli.opened import opened, the_target
from swarmtui.cli.ucp_words import ucp_object, ucp_words
from swarmtui.errors import SwarmtuiError
from swarmtui.model.backups import BackupHolding, age_words
from swarmtui.model.health import Finding, Severity, findings
from swarmtui.model.quorum import quorum
from swarmtui.model.snapshot import Snapshot
from swarmtui.session import Session

SCHEMA = 1


def main(arguments: Sequence[str]) -> int:
    """Prints the status. Returns 0 fine, 1 warning, 2 critical, 3 unknown."""
    parser = Parser("swarmtui status", description="How a cluster is. Exit 0 fine, 1 warning, 2 critical, 3 unknown.")
    parser.add_argument("target", nargs="?", metavar="TARGET")
    parser.add_argument("--json", action="store_true", help="for programs; the schema has a version")
    with_config(parser)
    options = parser.parse_args(arguments)
    known = config.load(options.config)
    return asyncio.run(_status(the_target(options.target, known), known, as_json=options.json))


async def _status(target: str, known: config.Config, *, as_json: bool) -> int:
    async with opened(target, known) as session:
        await session.until_complete(5.0)
        with contextlib.suppress(SwarmtuiError):
            await session.compare_key()
        await session.look_at_backups()
        await asyncio.gather(session.look_at_ucp(), session.look_at_dtr())
        snapshot = session.snapshot
        found, unread = found_in(session)
        worst = max((finding.severity for finding in found), default=Severity.ADVICE)
        code = 3 if not snapshot.nodes_known and worst < Severity.CRITICAL else int(worst)
        if as_json:
            print(
                json.dumps(as_json_object(session.name, session.connection.through, snapshot, found, unread), indent=2)
            )
        else:
            print_cluster(session.name, session.connection.through, snapshot, found, unread)
        return code


def found_in(session: Session) -> tuple[list[Finding], dict[str, str]]:
    """What is wrong now, the worst first; and what could not be read, with the reason."""
    snapshot = session.snapshot
    found = findings(snapshot, now=time.time(), zone_label=session.opening.cluster.zone_label)
    return found, {name: reading.trouble for name, reading in snapshot.readings.items() if reading.trouble}


def print_cluster(name: str, through: str, snapshot: Snapshot, found: list[Finding], unread: dict[str, str]) -> None:
    """For a person."""
    raft = quorum(snapshot.nodes.values())
    leader = next((node.name for node in snapshot.nodes.values() if node.is_leader), "none")
    ready = sum(node.is_ready for node in snapshot.nodes.values())
    print(f"{name} (Swarm {snapshot.cluster_id[:12] or 'unknown'}) through {through}")
    print(f"{raft}; leader {leader}; {ready}/{len(snapshot.nodes)} nodes ready; {len(snapshot.services)} services")
    if snapshot.backups is not None and snapshot.backups.state(now := time.time()) == "ok":
        print(f"The newest backup that is proved is {age_words(now - snapshot.backups.proved_at)} old.")
    for words in filter(None, (ucp_words(snapshot), dtr_words(snapshot))):
        print(words)
    for finding in found:
        print(f"{finding.severity.name}: {finding.what} {finding.advice} [{finding.rule}]")
    for part, trouble in unread.items():
        print(f"UNKNOWN: the {part} could not be read: {trouble}")
    if not found and not unread:
        print("Nothing is wrong.")


def as_json_object(
    name: str, through: str, snapshot: Snapshot, found: list[Finding], unread: dict[str, str]
) -> dict[str, Any]:
    """For a program; `schema` changes when a field does."""
    raft = quorum(snapshot.nodes.values())
    return {
        "schema": SCHEMA,
        "cluster": {"name": name, "id": snapshot.cluster_id, "through": through},
        "taken_at": snapshot.taken_at,
        "managers": {
            "voters": raft.voters,
            "reachable": raft.reachable,
            "needed": raft.needed,
            "quorum": raft.held,
            "survives": max(0, raft.slack),
            "leader": next((node.name for node in snapshot.nodes.values() if node.is_leader), None),
        },
        "nodes": [
            {
                "id": node.id,
                "name": node.name,
                "state": node.status.state,
                "availability": node.spec.availability,
                "role": node.spec.role,
                "manager": None
                if node.manager_status is None
                else {"leader": node.is_leader, "reachability": node.manager_status.reachability},
                "address": node.address,
                "engine": node.description.engine.engine_version,
                "labels": dict(node.labels),
                "certificate_expires": snapshot.certificates.get(node.id),
            }
            for node in sorted(snapshot.nodes.values(), key=lambda n: (n.name, n.id))
        ],
        "services": len(snapshot.services),
        "backups": None if snapshot.backups is None else _held(snapshot.backups),
        "ucp": ucp_object(snapshot),
        "dtr": dtr_object(snapshot),
        "findings": [
            {
                "rule": finding.rule,
                "severity": finding.severity.name.lower(),
                "about": finding.about,
                "what": finding.what,
                "advice": finding.advice,
            }
            for finding in found
        ],
        "unread": unread,
    }


def _held(held: BackupHolding) -> dict[str, Any]:
    return {
        "state": held.state(time.time()),
        "count": held.count,
        "newest_at": held.newest_at or None,
        "proved_at": held.proved_at or None,
        "fresh_hours": held.fresh_hours,
    }
