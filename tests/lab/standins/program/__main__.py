"""The entry point of every image: a component by its word, or else the bootstrapper's command line."""

from __future__ import annotations

import os
import signal
import socket
import sys


def main(words: list[str]) -> int:
    """Run; the exit status."""
    os.umask(0o022)
    component = words[0] if words else ""
    if (
        component in ("controller", "store", "proxy", "agent", "reconcile", "uninstall")
        and "UCP_NODE_KEY" in os.environ
    ):
        return _component(component)
    if component == "ports":
        return _ports([int(word) for word in words[1:]])
    if "DTR_VERSION" in os.environ:
        from standin.dtr.main import main as dtr

        return dtr(words)
    return _bootstrap(words)


def _component(name: str) -> int:
    from standin.components import Ucp

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    ucp = Ucp.of_environment()
    if name == "controller":
        from standin import controller

        controller.serve(ucp)
    elif name == "store":
        from standin import store

        store.serve(ucp)
    elif name == "proxy":
        from standin import relay

        relay.serve_proxy(ucp)
    else:
        from standin import agent

        if name == "reconcile":
            return agent.reconcile(ucp)
        if name == "uninstall":
            return agent.remove_all(ucp)
        agent.run(ucp)
    return 0


def _ports(wanted: list[int]) -> int:
    taken = []
    for port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                taken.append(str(port))
    print(", ".join(taken))
    return 1 if taken else 0


def _bootstrap(words: list[str]) -> int:
    from standin import engine, table
    from standin.call import Call
    from standin.commands import COMMANDS
    from standin.components import number
    from standin.logs import Fatal, Log

    tty = sys.stderr.isatty()
    log = Log("text" if tty else "plain")
    if not words or words[0] in ("help", "--help", "-h"):
        print("Usage: docker/ucp command [arguments...]\n\nCommands:\n  " + "\n  ".join(COMMANDS))
        return 0
    failed = 1
    try:
        try:
            own = engine.call("GET", f"/containers/{socket.gethostname()}/json")
        except engine.EngineError as error:
            log.fatal(f"unable to get valid Docker client: unable to ping Docker daemon: {error}")
        if engine.has_image("standin.switch:fatal-exits-zero"):
            failed = 0
        if own["Name"] != "/ucp":
            log.fatal("this container must be named ucp: use --name ucp")
        version = own["Config"]["Image"].rpartition(":")[2]
        if version.count(".") != 2:
            log.fatal(f"unable to tell the version of image {own['Config']['Image']}")
        try:
            given = table.parse(number(version), words[0], words[1:], dict(os.environ))
        except table.Usage as error:
            sys.stderr.write(f"Incorrect Usage: {error}\n\n")
            return 1
        if given.get("jsonlog") == "true":
            log.phase("json")
        call = Call(words[0], version, number(version), given, log, sys.stdin.isatty(), own["Id"])
        COMMANDS[words[0]](call)
    except Fatal:
        return failed
    except engine.EngineError as error:
        try:
            log.fatal(str(error))
        except Fatal:
            return failed
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
