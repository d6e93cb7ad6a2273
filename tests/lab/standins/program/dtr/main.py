"""Where every process of DTR's images begins."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def main(words: list[str]) -> int:
    """Run a component by its word, or else the bootstrapper; the exit status."""
    if words == ["phase2"] and Path("/tmp/task.json").exists():
        from standin.dtr import phase2

        return phase2.run()
    if "DTR_REPLICA_ID" in os.environ and words in (["rethinkdb"], ["nginx"]):
        from standin.dtr import nginx, store
        from standin.dtr.names import Replica

        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        (store if words == ["rethinkdb"] else nginx).serve(Replica.of_environment())
        return 0
    return _bootstrap(words)


def _bootstrap(words: list[str]) -> int:
    from standin.dtr import table
    from standin.dtr.names import number
    from standin.dtr.phase1 import COMMANDS
    from standin.dtr.run import Run
    from standin.dtr.ucp import UcpError
    from standin.logs import Fatal, Log
    from standin.table import Usage

    version = os.environ["DTR_VERSION"]
    if not words or words[0] in ("help", "--help", "-h"):
        print(
            "Usage: docker/dtr command [arguments...]\n\nCommands:\n  " + "\n  ".join(table.commands(number(version)))
        )
        return 0
    log = Log("text" if sys.stderr.isatty() else "plain")
    environment = {name: value for name, value in os.environ.items() if name != "DTR_VERSION"}
    try:
        given = table.parse(number(version), words[0], words[1:], environment)
    except Usage as error:
        sys.stderr.write(f"Incorrect Usage: {error}\n\n")
        return 1
    run = Run(words[0], version, number(version), given, log, sys.stdin.isatty(), "")
    try:
        try:
            COMMANDS[words[0]](run)
        except UcpError as error:
            log.fatal(f"UCP: {error}")
    except Fatal:
        return run.failed
    finally:
        run.leave()
    return 0
