"""`swarmtui backups`: what is kept, what is in it, and whether it would restore."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from swarmtui.cli.main import Parser
from swarmtui.errors import UsageError

SUB: dict[str, tuple[str, str]] = {
    "list": ("swarmtui.cli.backups.list:main", "what there is, how old, whether it would restore, where copies are"),
    "show": ("swarmtui.cli.backups.show:main", "one backup in words; --inventory: what is in it, by name"),
    "verify": ("swarmtui.cli.backups.verify:main", "prove it; exit 0 would restore, 1 not proved, 2 would not"),
    "diff": ("swarmtui.cli.backups.diff:main", "what changed between two backups, or since one until now"),
    "import": ("swarmtui.cli.backups.imported:main", "take in an archive that was made by hand"),
    "copy": ("swarmtui.cli.backups.copy:main", "bring them elsewhere, checked there; --check: are the copies good"),
    "prune": ("swarmtui.cli.backups.prune:main", "remove those that no rule keeps; shows first"),
    "schedule": ("swarmtui.cli.backups.schedule:main", "one every night: a systemd timer or a cron line"),
    "nightly": ("swarmtui.cli.backups.nightly:main", "what the schedule runs: back up, verify, copy, prune"),
    "unlock": ("swarmtui.cli.backups.unlock:main", "an unlocked copy, offline, for a restore"),
}
"""Subcommand → where it is ("module:function"), and what it does. Imported when it is asked for."""


def main(arguments: Sequence[str]) -> int:
    """Runs one subcommand. Returns its exit code."""
    name = arguments[0] if arguments else ""
    if name in ("", "-h", "--help"):
        if not name:
            raise UsageError(f"Say which: {', '.join(SUB)}.", "See: swarmtui backups --help")
        Parser(
            "swarmtui backups",
            description=__doc__,
            epilog=_epilog(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        ).print_help()
        return 0
    if name not in SUB:
        raise UsageError(f'"{name}" is nothing that is done with backups.', f"There is: {', '.join(SUB)}.")
    module, _, function = SUB[name][0].partition(":")
    code: int = getattr(importlib.import_module(module), function)(arguments[1:])
    return code


def _epilog() -> str:
    width = max(map(len, SUB))
    lines = [f"  {name.ljust(width)}  {what}" for name, (_, what) in SUB.items()]
    return "\n".join(["subcommands:", *lines, "", "A backup is taken with: swarmtui run swarm.backup --target TARGET"])
