"""`backup` and the small commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from standin import deploying, engine, pgp, saving, state
from standin.call import Call
from standin.components import SERVER_CERTS, VOLUMES, Ucp
from standin.table import NEW

NOBODY = 65534


def backup(call: Call) -> None:
    """Write a backup of this manager to standard output (3.2 and later: or to a file)."""
    log = call.log
    ucp = call.installed()
    if call.number < NEW:
        call.check_id(ucp)
        if call.on("interactive"):
            call.confirm("Do you want proceed with the backup?")
        elif not call.text("id"):
            log.fatal("the ID of the UCP instance is needed (--id) for a backup without --interactive")
    elif bool(call.text("passphrase")) == call.on("no-passphrase"):
        log.fatal("one of --passphrase and --no-passphrase is needed")
    if not any(entry["name"] == "ucp-controller" for entry in engine.containers()):
        log.fatal("this node is not a UCP manager")
    stopped: list[str] = []
    if call.number < NEW:
        log.info("Temporarily Stopping local UCP containers to ensure a consistent backup")
        stopped = saving.stop_local(ucp)
    try:
        log.info("Beginning backup")
        archive = saving.collect(ucp)
        if call.text("passphrase"):
            archive = pgp.encrypt(archive, call.text("passphrase"))
        if call.switch("backup-fails"):
            _write(call, archive[: len(archive) // 2])
            log.fatal("unexpected EOF while reading volume ucp-auth-store-data")
        _write(call, archive)
        log.info("Backup completed successfully")
    finally:
        if stopped:
            log.info("Resuming stopped UCP containers")
            saving.start_local(ucp)


def _write(call: Call, archive: bytes) -> None:
    name = "" if call.on("interactive") else call.text("file")
    if not name:
        sys.stdout.buffer.write(archive)
        sys.stdout.buffer.flush()
        return
    path = Path("/backup") / name
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        path.write_bytes(archive)
        if call.on("include-logs", default=True):
            path.with_suffix(".log").write_bytes(pgp.encrypt(b"backup\n", call.text("passphrase") or "none"))
    except OSError as error:
        call.log.fatal(f"unable to write the backup: open {path}: {(error.strerror or '').lower()}")
    finally:
        os.seteuid(0)
        os.setegid(0)


def show_id(call: Call) -> None:
    """Print the instance ID."""
    print(call.installed().instance)


def dump_certs(call: Call) -> None:
    """Print public certificates."""
    ucp = call.installed()
    with engine.Mounted(ucp.image("agent"), VOLUMES) as volumes:
        files = volumes.read()
    if call.on("cluster"):
        print(engine.call("GET", "/info")["Swarm"]["Cluster"]["TLSInfo"]["TrustRoot"], end="")
        return
    if SERVER_CERTS + "/ca.pem" not in files:
        call.log.fatal("this node is not a UCP manager")
    server = state.volume(files, SERVER_CERTS)
    print(server["ca.pem"].decode() if call.on("ca") else (server["cert.pem"] + server["ca.pem"]).decode(), end="")


def images(call: Call) -> None:
    """Verify, pull or list the images."""
    ucp = Ucp(call.version, "", "")
    if call.on("list"):
        print("\n".join(ucp.images))
    else:
        call.need_images(ucp)


def restart(call: Call) -> None:
    """Start or restart the components of this node."""
    ucp = call.installed()
    saving.stop_local(ucp)
    saving.start_local(ucp)
    call.log.info("UCP components restarted")


def stop(call: Call) -> None:
    """Stop the components of this node."""
    saving.stop_local(call.installed())
    call.log.info("UCP components stopped")


def support(call: Call) -> None:
    """A support dump on standard output."""
    import gzip

    call.installed()
    dump = {"dsinfo/dsinfo.json": state.dump(engine.info())}
    sys.stdout.buffer.write(gzip.compress(engine.tar_of(dump)))


def example_config(_: Call) -> None:
    """An example of the configuration file."""
    print('[auth]\n  default_new_user_role = "restrictedcontrol"\n')


COMMANDS: dict[str, Callable[[Call], None]] = {
    "install": deploying.install,
    "restore": deploying.restore,
    "uninstall-ucp": deploying.uninstall,
    "backup": backup,
    "id": show_id,
    "dump-certs": dump_certs,
    "images": images,
    "restart": restart,
    "stop": stop,
    "support": support,
    "example-config": example_config,
}
