"""`python -m tests.lab`: a lab to play with, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import time

from tests.lab import base, state
from tests.lab.lab import Lab, fill_template
from tests.lab.limits import lower_limits
from tests.lab.machine import STATE, LabError, remove_tree
from tests.lab.why import why_no_lab


def main() -> int:
    """Keep a lab up and say how to reach it; or make the base trees, or sweep."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("--managers", type=int, default=3, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--engine", choices=sorted(base.RELEASES), default="20.10")
    parser.add_argument("--no-swarm", action="store_true", help="hosts with Docker and no Swarm")
    parser.add_argument("--autolock", action="store_true", help="turn autolock on")
    parser.add_argument("--base", action="store_true", help="only make the base trees of both engines")
    parser.add_argument(
        "--sweep", action="store_true", help="only take down what killed runs left, and base trees of old recipes"
    )
    asked = parser.parse_args()
    if asked.managers < 1 or asked.workers < 0 or asked.managers + asked.workers > 60:
        parser.error("a lab has 1 manager at least, and 60 hosts at most")
    if reason := why_no_lab(asked.engine):
        print(f"No lab: {reason}.", file=sys.stderr)
        return 1
    try:
        if asked.base:
            return _bases()
        if asked.sweep:
            return _sweep()
        return _play(asked)
    except LabError as error:
        print(f"No lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _bases() -> int:
    failed = 0
    for release in base.RELEASES.values():
        try:
            print(base.ensure(release, fill_template).path)
        except LabError as error:
            print(f"{release}: {error}", file=sys.stderr)
            failed = 1
    return failed


def _sweep() -> int:
    swept = state.sweep()
    lower_limits()
    print(f"Labs left behind and taken down: {', '.join(f'10.77.{n}.0/24' for n in swept) or 'none'}.")
    if not list(STATE.glob("*")):  # a running lab of another checkout may stand on an old tree
        for tree in base.old_trees():
            remove_tree(tree)
            print(f"Removed the base tree of an old recipe: {tree}.")
    return 0


def _play(asked: argparse.Namespace) -> int:
    started = time.monotonic()
    with Lab(asked.managers, asked.workers, asked.engine) as lab:
        if not asked.no_swarm:
            lab.swarm(autolock=asked.autolock)
        first = lab.hosts[0]
        print(f"{len(lab.hosts)} hosts are up ({time.monotonic() - started:.1f} s).")
        print("Users: root, op (docker group, sudo), nodocker.\n")
        for host in lab.hosts:
            print(f"  {host.name:6} {host.address}")
        if asked.autolock and not asked.no_swarm:
            print(f"\nUnlock key: {lab.unlock_key}")
        swarmtui = shutil.which("swarmtui") or f"{sys.prefix}/bin/swarmtui"
        home, path = lab.home, f"PATH={lab.home}/bin:$PATH"
        print(f"\nConsole:  HOME={home} {swarmtui} {first.target}")
        print(f"A shell:  ssh -F {home}/.ssh/config {first.name}")
        print(f"Docker:   {path} DOCKER_HOST={first.target} docker node ls")
        with contextlib.suppress(KeyboardInterrupt):
            print("\nCtrl-C ends it and takes everything down.", flush=True)
            while True:
                time.sleep(3600)
        print("Taking the lab down.", flush=True)
    return 0


sys.exit(main())
