"""`swarmtui recover`: what happened to a Swarm, and the least destructive way out. Looks only, changes nothing."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Sequence
from typing import Any

import msgspec

from swarmtui import config
from swarmtui.cli.main import Parser, with_config
from swarmtui.cli.opened import not_begun, the_target
from swarmtui.errors import UsageError
from swarmtui.link.target import SshTarget
from swarmtui.model.recovery import Advice, Condition, Diagnosis, Member, Way
from swarmtui.runbooks.swarm.recover import Around, happened
from swarmtui.session import Session

SCHEMA = 1
WIDTH = 100

WORDS = {
    Condition.WORKS: "works",
    Condition.LEADERLESS: "runs, no leader",
    Condition.LOCKED: "LOCKED",
    Condition.STOPPED: "Docker stopped",
    Condition.SILENT: "Docker silent",
    Condition.BROKEN: "BROKEN",
    Condition.OUT: "in no Swarm",
    Condition.ELSEWHERE: "in another Swarm",
    Condition.UNREACHABLE: "not reached",
    Condition.DEAD: "declared dead",
}
WAYS = {
    Way.NOTHING: "nothing to do",
    Way.START: "start Docker",
    Way.UNLOCK: "unlock",
    Way.BRING_BACK: "bring the host back",
    Way.FREE_DISK: "free the disk",
    Way.FIX_CLOCK: "set the clock right",
    Way.REJOIN: "rejoin",
    Way.REPLACE: "replace",
    Way.NETWORK: "mend the network",
    Way.RECREATE: "create again what was deleted",
    Way.FORCE: "force a new cluster",
    Way.RESTORE: "restore a backup",
    Way.REBUILD: "build it anew",
    Way.UNDECIDED: "find out more",
}


def main(arguments: Sequence[str]) -> int:
    """Prints the diagnosis. Returns 0 nothing to do, 1 a way that loses nothing, 2 only forcing or restoring is left, 3
    nothing could be reached, or it cannot be decided."""
    parser = Parser(
        "swarmtui recover",
        description="What happened, and the least destructive way out. Looks only; changes nothing. "
        "Exit 0 nothing to do, 1 a way that loses nothing, 2 only forcing or restoring is left, 3 nothing was reached.",
    )
    parser.add_argument("target", nargs="?", metavar="TARGET")
    parser.add_argument(
        "--dead", default="", metavar="NAME,…", help="managers that are lost for good: names, node ids or addresses"
    )
    parser.add_argument("--json", action="store_true", help="for programs; the schema has a version")
    with_config(parser)
    options = parser.parse_args(arguments)
    known = config.load(options.config)
    dead = frozenset(name.strip() for name in options.dead.split(",") if name.strip())
    return asyncio.run(_recover(the_target(options.target, known), known, dead, as_json=options.json))


async def _recover(target: str, known: config.Config, dead: frozenset[str], *, as_json: bool) -> int:
    # Not begun: to find a manager, a session touches the Docker socket of each, and docker.socket starts Docker then.
    async with not_begun(target, known, hosts=True) as session:
        if not any(isinstance(one, SshTarget) for one in session.opening.targets):
            raise UsageError(
                f"{session.name} is not reached over SSH, and its hosts cannot be looked at without.",
                "Name a manager: swarmtui recover ssh://USER@MANAGER",
            )
        around, found = await happened(session, dead)
        if as_json:
            print(json.dumps(_as_json(session, around, found), indent=2))
        else:
            _print(session, around, found, dead)
        reached = any(member.condition not in (Condition.UNREACHABLE, Condition.DEAD) for member in around.members)
        return found.exit_code if reached else 3


def _print(session: Session, around: Around, found: Diagnosis, dead: frozenset[str]) -> None:
    print(f"{session.name} (Swarm {around.cluster_id[:12] or 'unknown'})")
    _say(found.situation)
    _say(f"{found.still} Nothing has been changed by looking.")
    for name in sorted(dead - {part for member in around.members for part in _called(member)}):
        _say(f"Nobody knows a manager {name}: --dead names managers by name, node id or address.")
    for member in around.members:
        if member.condition is not Condition.DEAD and dead & set(_called(member)):
            _say(f"{member.name} was declared dead, and answers: it does not count as dead.")
    print("\nManagers")
    wide = max((len(member.name) for member in around.members), default=0)
    for member in around.members:
        print(f"  {member.name:<{wide}}  {WORDS[member.condition]:<16}  {member.address:<15}  {_facts(member)}".rstrip())
        _say(member.why, 4)
    print(f"\nThe way out: {WAYS[found.best.way]}{_about(found.best)}")
    _advice(found.best)
    for advice in found.then:
        print(f"Then: {WAYS[advice.way]}{_about(advice)}")
        _advice(advice)
    if found.best.way is Way.NOTHING:
        return
    print("\nWhy nothing else")
    for advice in found.others:
        _say(f"{WAYS[advice.way]}: {advice.because}", 2)


def _called(member: Member) -> tuple[str, ...]:
    return member.name, member.node_id, member.address


def _facts(member: Member) -> str:
    told = [
        ("disk full", member.disk_full),
        ("clock wrong", member.clock_off),
        ("certificate expired", member.expired),
        (f"the raft knows it at {member.moved}", bool(member.moved)),
        ("its key is in the vault", member.key_held is True),
        ("its key is NOT in the vault", member.key_held is False),
        (f"raft index {member.index}", member.index >= 0),
    ]
    return ", ".join(words for words, so in told if so)


def _about(advice: Advice) -> str:
    return f" ({', '.join(advice.about)})" if advice.about else ""


def _advice(advice: Advice) -> None:
    _say(advice.because, 2)
    if advice.command:
        print(f"  $ {advice.command}")


def _say(text: str, indent: int = 0) -> None:
    blank = " " * indent
    if text:
        print(textwrap.fill(text, WIDTH, initial_indent=blank, subsequent_indent=blank, break_on_hyphens=False))


def _as_json(session: Session, around: Around, found: Diagnosis) -> dict[str, Any]:
    def advice(one: Advice) -> dict[str, Any]:
        return {"way": one.way, "about": one.about, "because": one.because, "command": one.command}

    return {
        "schema": SCHEMA,
        "cluster": {"name": session.name, "id": around.cluster_id, "voters": around.voters},
        "situation": found.situation,
        "still": found.still,
        "two_swarms": found.two,
        "managers": [msgspec.to_builtins(member) for member in around.members],
        "best": advice(found.best),
        "then": [advice(one) for one in found.then],
        "others": [advice(one) for one in found.others],
    }
