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
from swarmtui.model.recovery import Advice, Condition, Diagnosis
from swarmtui.runbooks.platform import lead
from swarmtui.runbooks.swarm.recovery.recover import Around, happened
from swarmtui.runbooks.swarm.recovery.recover_words import Lines, told
from swarmtui.session import Session

SCHEMA = 1
WIDTH = 100


def main(arguments: Sequence[str]) -> int:
    """Prints the diagnosis. Returns 0 nothing to do, 1 a way that loses nothing, 2 only one that may lose something, 3
    nothing could be reached, or it cannot be decided."""
    parser = Parser(
        "swarmtui recover",
        description="What happened, and the least destructive way out. Looks only; changes nothing. "
        "Exit 0 nothing to do, 1 a way that loses nothing, 2 only one that may lose something, 3 nothing was reached.",
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
        around, found = await happened(session, dead, products=True)
        way = await lead.platform_way(session, around.cluster_id, found)
        if as_json:
            print(json.dumps(_as_json(session, around, found, way), indent=2))
        else:
            _print([*told(session.name, around, found, dead), *lead.told(way)])
        reached = any(member.condition not in (Condition.UNREACHABLE, Condition.DEAD) for member in around.members)
        return max(found.exit_code, 2 if way is not None else 0) if reached else 3


def _print(lines: Lines) -> None:
    for style, line in lines:
        blank = " " * (len(line) - len(line.lstrip()))
        # A command stays in one piece: somebody will copy it.
        print(
            line
            if style == "command" or not line
            else textwrap.fill(
                line, WIDTH, initial_indent="", subsequent_indent=blank, break_on_hyphens=False, drop_whitespace=True
            )
        )


def _as_json(session: Session, around: Around, found: Diagnosis, way: Advice | None) -> dict[str, Any]:
    def advice(one: Advice) -> dict[str, Any]:
        return msgspec.to_builtins(one)  # type: ignore[no-any-return]

    return {
        "schema": SCHEMA,
        "cluster": {"name": session.name, "id": around.cluster_id, "voters": around.voters},
        "situation": found.situation,
        "still": found.still,
        "two_swarms": found.two,
        "remembered_at": around.remembered_at or None,
        "workers": [msgspec.to_builtins(worker) for worker in around.workers],
        "managers": [msgspec.to_builtins(member) for member in around.members],
        "best": advice(found.best),
        "then": [advice(one) for one in found.then],
        "others": [advice(one) for one in found.others],
        "platform": advice(way) if way is not None else None,
    }
