"""`swarmtui doctor`: the status, each manager asked by its own way, who has the keys. Also when no manager answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

from swarmtui import config
from swarmtui.cli.dtr_words import dtr_lines
from swarmtui.cli.main import Parser, with_config
from swarmtui.cli.opened import opened, the_target
from swarmtui.cli.status import as_json_object, found_in, print_cluster
from swarmtui.cli.ucp_words import ucp_lines
from swarmtui.errors import SwarmtuiError
from swarmtui.model.health import Severity
from swarmtui.model.snapshot import Snapshot
from swarmtui.runbooks.swarm.managers import Seen, look
from swarmtui.runbooks.ucp.missing import Missing, look_for_missing
from swarmtui.session import Session

SCHEMA = 1
GOOD = "active"
WORDS = {
    "active": "is a manager that works",
    "locked": "is LOCKED: swarmtui run swarm.unlock",
    "pending": "waits for the other managers",
    "error": "is broken: look at `docker info` there",
    "inactive": "is in no Swarm",
    "": "was not reached",
}
"""What LocalNodeState means (swarm-dr.md §4)."""


def main(arguments: Sequence[str]) -> int:
    """Prints the examination. Returns 0 fine, 1 warning, 2 critical, 3 unknown: nothing could be reached."""
    parser = Parser(
        "swarmtui doctor",
        description="How a cluster is, its managers each by its own way, and the vault. Changes nothing. "
        "Exit 0 fine, 1 warning, 2 critical, 3 unknown.",
    )
    parser.add_argument("target", nargs="?", metavar="TARGET")
    parser.add_argument("--json", action="store_true", help="for programs; the schema has a version")
    with_config(parser)
    options = parser.parse_args(arguments)
    known = config.load(options.config)
    return asyncio.run(_doctor(the_target(options.target, known), known, as_json=options.json))


async def _doctor(target: str, known: config.Config, *, as_json: bool) -> int:
    async with opened(target, known, live=False) as session:
        live, missing = session.live, Missing()
        if live:
            await session.until_complete(5.0)
        managers = await look(session)
        if live:
            with contextlib.suppress(SwarmtuiError):
                await session.compare_key()
            await session.look_at_backups()
            await asyncio.gather(session.look_at_ucp(everything=True), session.look_at_dtr(everything=True))
            missing = await look_for_missing(session)
        await session.vault.open()
        if as_json:
            print(json.dumps(_as_json(session, managers, missing, live=live), indent=2))
        else:
            _print(session, managers, missing, live=live)
        return _code(session, managers, live=live)


def _code(session: Session, managers: Sequence[Seen], *, live: bool) -> int:
    if not any(seen.state for seen in managers):
        return 3
    worst = max((finding.severity for finding in found_in(session)[0]), default=Severity.ADVICE)
    if not live or any(seen.state == "locked" for seen in managers):
        return int(Severity.CRITICAL)
    return int(max(worst, Severity.WARNING if any(seen.state != GOOD for seen in managers) else Severity.ADVICE))


def _print(session: Session, managers: Sequence[Seen], missing: Missing, *, live: bool) -> None:
    if live:
        found, unread = found_in(session)
        print_cluster(session.name, session.connection.through, session.snapshot, found, unread)
    else:
        error = session.why_not_live()
        print(f"{session.name}: no manager can be worked with. {error.what} {error.next_step}")
    print("Managers, each by its own way:")
    for seen in managers:
        print(f"  {seen.name} {WORDS.get(seen.state, f'is {seen.state}')} ({seen.target})")
        if seen.why:
            print(f"    {seen.why}")
    for line in (*ucp_lines(session.snapshot, missing), *dtr_lines(session.snapshot)):
        print(line)
    print(f"Unlock key: {key_words(session.snapshot)}")
    because = f" ({session.vault.why_not_durable})" if session.vault.why_not_durable else ""
    print(f"Secrets are kept in {session.vault.where}{because}.")


def key_words(snapshot: Snapshot) -> str:
    """Who has the cluster's unlock key, one sentence."""
    cluster, holding = snapshot.info.swarm.cluster, snapshot.unlock_key
    if cluster is not None and not cluster.spec.encryption_config.auto_lock_managers:
        return "autolock is off, there is none."
    if holding is None:
        return "not known: no manager could be asked."
    if holding.state == "held":
        return f"the vault's key is the cluster's key ({holding.fingerprint}), in {holding.where}."
    if holding.state in ("differs", "missing"):
        has = "other keys, not the cluster's" if holding.state == "differs" else "no key of this cluster"
        return f"the vault has {has}: swarmtui run swarm.autolock enable=true takes it in."
    return f"not known: {holding.trouble or 'it was not compared'}."


def _as_json(session: Session, managers: Sequence[Seen], missing: Missing, *, live: bool) -> dict[str, Any]:
    found, unread = found_in(session) if live else ([], {})
    holding = session.snapshot.unlock_key
    return {
        "schema": SCHEMA,
        "live": live,
        "trouble": "" if live else session.why_not_live().what,
        "status": as_json_object(session.name, session.connection.through, session.snapshot, found, unread),
        "managers": [
            {"name": s.name, "id": s.node_id, "target": s.target, "state": s.state or None, "trouble": s.why}
            for s in managers
        ],
        "ucp_accounts": {
            "backup": missing.backup or None,
            "missing": None if missing.names is None else list(missing.names),
            "trouble": missing.why,
        },
        "unlock_key": None if holding is None else {"state": holding.state, "durable": holding.durable},
        "vault": {"where": session.vault.where, "durable": session.vault.durable},
    }
