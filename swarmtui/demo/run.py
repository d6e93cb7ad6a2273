"""`swarmtui demo --list` and `--serve`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from swarmtui.errors import SwarmtuiError


def parser() -> argparse.ArgumentParser:
    """The options of the demo."""
    result = argparse.ArgumentParser(prog="swarmtui demo", description="A simulated Swarm on loopback.")
    result.add_argument("--scenario", default="calm", metavar="NAME", help="what to begin with; see --list")
    result.add_argument("--nodes", type=_count, metavar="N", help="how many nodes")
    result.add_argument("--tasks", type=_count, metavar="N", help="how many tasks")
    result.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed, the same world")
    result.add_argument("--speed", type=_speed, default=1.0, metavar="X", help="let time pass X times as fast")
    result.add_argument("--list", action="store_true", help="list the scenarios")
    result.add_argument("--serve", action="store_true", help="serve it, print how to connect as JSON")
    result.add_argument("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)
    return result


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100_000:
        raise argparse.ArgumentTypeError("a number from 1 to 100000")
    return number


def _speed(text: str) -> float:
    number = float(text)
    if not 0.01 <= number <= 1000:
        raise argparse.ArgumentTypeError("a number from 0.01 to 1000")
    return number


def main(argv: Sequence[str]) -> int:
    """List the scenarios, or serve one. Returns the exit status: 130 if it is interrupted before it serves."""
    try:
        return _main(argv)
    except KeyboardInterrupt:
        return 130


def _main(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    from swarmtui.demo.scenarios import SCENARIOS

    if options.list:
        width = max(len(name) for name in SCENARIOS)
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:<{width}}  {scenario.title}")
            if scenario.goal:
                print(f"{'':<{width}}  goal: {scenario.goal}")
        return 0
    if not options.serve:
        print("Say --serve to serve it, or --list to see the scenarios.", file=sys.stderr)
        return 2
    from swarmtui.demo.serve import Demo, serve

    try:
        demo = Demo(
            options.scenario,
            seed=options.seed,
            speed=options.speed,
            nodes=options.nodes,
            tasks=options.tasks,
        )
        asyncio.run(serve(demo, sys.stdout, until_stdin_closes=options.until_stdin_closes))
    except SwarmtuiError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
