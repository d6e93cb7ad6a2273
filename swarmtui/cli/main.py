"""Finds out what was asked for, and shows every error in one place: one sentence, and the exit code of the design."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from swarmtui import __version__
from swarmtui.errors import SwarmtuiError, UsageError

DESCRIPTION = "The console for Docker Swarm, UCP (MKE) and DTR (MSR) when it matters."
EPILOG = """\
TARGET is a named cluster of the configuration, ssh://[USER@]HOST[:PORT], unix:///PATH, a docker context, or a folder or
zip of a UCP client bundle. Without one, all named clusters are shown side by side; enter opens one, N builds a new one.

subcommands:
  demo                       the console on a simulated cluster
  status [TARGET]            how the cluster is; exit 0 fine, 1 warning, 2 critical, 3 unknown
  doctor [TARGET]            the same, and each manager asked by its own way, also when none answers; the vault
  recover [TARGET]           what happened, and the least destructive way out; changes nothing
  run NAME [KEY=VALUE ...]   an operation without a screen; `run --list` names them all
  journal [RUN]              what was done
  backups list|show|verify|diff|import|unlock
                             what is kept, what is in it, and whether it would restore
  clusters list|add|remove   the clusters that have a name; without TARGET the console shows them all
  secrets list|set|remove|export
                             the vault: unlock keys, passwords and passphrases in the OS keyring
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence instead of printing usage over it."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", f"See: {self.prog} --help")


def main(arguments: Sequence[str]) -> int:
    """Runs one command line.

    Returns:
        The exit code: what the subcommand says; for errors 2 wrong usage, 3 unreachable, 4 refused, 1 anything else;
        130 after Ctrl-C. Wrong usage of `status` and `doctor` is 3, as monitoring systems expect.
    """
    name = arguments[0] if arguments else ""
    command = COMMANDS.get(name)
    try:
        if command is not None:
            return command(arguments[1:])
        return _console(arguments)
    except SwarmtuiError as error:
        print(f"swarmtui: {error}", file=sys.stderr)
        return 3 if name in ("status", "doctor") else error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone: nothing can be told any more, and nothing is wrong.
        sys.stderr.close()
        return 0


def with_config(parser: argparse.ArgumentParser) -> None:
    """Adds the option that every subcommand with a target has."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration instead of the usual one")


def _console(arguments: Sequence[str]) -> int:
    parser = Parser(
        "swarmtui", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", nargs="?", metavar="TARGET", help="which cluster")
    parser.add_argument("--read-only", action="store_true", help="bind no key that changes anything")
    parser.add_argument("--version", action="version", version=f"swarmtui {__version__}")
    with_config(parser)
    options = parser.parse_args(arguments)
    from swarmtui import config

    known = config.load(options.config)
    if options.target is None and not known.clusters and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "Say which cluster: swarmtui TARGET, such as ssh://root@10.0.0.1 (or `swarmtui demo` for a simulated one).",
            f"Named clusters: none yet, they would be in {known.path}.",
        )
    from swarmtui.cli.console import open_console

    return open_console(options.target, known, read_only=options.read_only)


def _demo(arguments: Sequence[str]) -> int:
    from swarmtui.cli.demo import main as run

    return run(arguments)


def _status(arguments: Sequence[str]) -> int:
    from swarmtui.cli.status import main as run

    return run(arguments)


def _doctor(arguments: Sequence[str]) -> int:
    from swarmtui.cli.doctor import main as run

    return run(arguments)


def _recover(arguments: Sequence[str]) -> int:
    from swarmtui.cli.recover import main as run

    return run(arguments)


def _run(arguments: Sequence[str]) -> int:
    from swarmtui.cli.run import main as run

    return run(arguments)


def _journal(arguments: Sequence[str]) -> int:
    from swarmtui.cli.journal import main as run

    return run(arguments)


def _clusters(arguments: Sequence[str]) -> int:
    from swarmtui.cli.clusters import main as run

    return run(arguments)


def _secrets(arguments: Sequence[str]) -> int:
    from swarmtui.cli.secrets import main as run

    return run(arguments)


def _backups(arguments: Sequence[str]) -> int:
    from swarmtui.cli.backups import main as run

    return run(arguments)


def _help(arguments: Sequence[str]) -> int:
    return _console(["--help"])


def _version(arguments: Sequence[str]) -> int:
    return _console(["--version"])


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "demo": _demo,
    "status": _status,
    "doctor": _doctor,
    "recover": _recover,
    "run": _run,
    "journal": _journal,
    "clusters": _clusters,
    "secrets": _secrets,
    "backups": _backups,
    "help": _help,
    "version": _version,
}
