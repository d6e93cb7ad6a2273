"""The commands of the bootstrapper."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from standin.dtr import archive
from standin.dtr.names import images
from standin.dtr.run import Found, Run
from standin.dtr.table import STORED


def install(run: Run) -> None:
    """The first replica."""
    run.log.info("Beginning Docker Trusted Registry installation")
    run.connect()
    node, address = run.place()
    task: dict[str, Any] = {"id": run.new_id(), "address": address, "ports": run.ports}
    task |= {"settings": run.settings(), "storage": run.storage(), "fails": run.switch("dtr-install-fails")}
    run.ucp.remove(run.phase2(node, task))


def join(run: Run) -> None:
    """One more replica."""
    run.log.info("Beginning Docker Trusted Registry replica join")
    run.connect()
    existing, found = run.existing()
    node, address = run.place()
    key = run.ucp.call("GET", f"/containers/{found.containers['rethinkdb']['Id']}/json")["Config"]["Env"]
    task: dict[str, Any] = {
        "id": run.new_id(),
        "address": address,
        "ports": run.ports,
        "existing": existing,
        "key": _key(key),
    }
    task |= {"unsafe": run.on("unsafe-join"), "fails": run.switch("dtr-install-fails")}
    run.ucp.remove(run.phase2(node, task))


def _key(lines: list[str]) -> str:
    return next(line.removeprefix("DTR_KEY=") for line in lines if line.startswith("DTR_KEY="))


def _with_key(run: Run) -> tuple[str, Found, str]:
    existing, found = run.existing()
    about = run.ucp.call("GET", f"/containers/{found.containers['rethinkdb']['Id']}/json")
    return existing, found, _key(about["Config"]["Env"])


def reconfigure(run: Run) -> None:
    """Change settings."""
    run.log.info("Beginning Docker Trusted Registry reconfiguration")
    run.connect()
    existing, found, key = _with_key(run)
    task: dict[str, Any] = {"existing": existing, "key": key, "settings": run.settings(), "storage": run.storage()}
    run.ucp.remove(run.phase2(found.node, {**task, "migrated": run.on("storage-migrated")}))


def backup(run: Run) -> None:
    """The state of DTR as a tar on standard output."""
    run.log.info("Beginning Docker Trusted Registry backup")
    run.connect()
    existing, found, key = _with_key(run)
    offline = run.on("offline-backup")
    made = run.phase2(found.node, {"existing": existing, "key": key, "offline": offline})
    with_folder = run.ucp.raw("GET", f"/containers/{made}/archive?path=/tmp/state.json")
    run.ucp.remove(made)
    data = archive.made(json.loads(archive.only(with_folder)), run.version, offline=offline)
    if run.switch("dtr-backup-fails"):
        sys.stdout.buffer.write(data[: len(data) // 2])
        sys.stdout.buffer.flush()
        run.log.fatal("Failed to create backup: unexpected EOF")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    run.log.info("Backup completed successfully")


def restore(run: Run) -> None:
    """The first replica, from a backup on standard input."""
    run.log.info("Beginning Docker Trusted Registry restore")
    storage = run.storage()
    if run.number >= STORED and not storage:
        run.log.fatal(
            "One of --dtr-use-default-storage, --dtr-storage-volume or --nfs-storage-url must be given to restore"
        )
    if run.number >= (2, 8) and not run.text("replica-id"):
        run.log.fatal("Required flag --replica-id is missing")
    for name in ("ucp-url", "ucp-username", "ucp-password"):
        if not run.text(name):
            run.log.fatal(f"--{name} is needed: nobody can be asked, standard input is the backup")
    run.connect()
    try:
        state = archive.opened(sys.stdin.buffer.read(), run.version)
    except archive.BadArchive as error:
        run.log.fatal(f"Failed to read the backup: {error}")
    node, address = run.place()
    task: dict[str, Any] = {"id": run.new_id(), "address": address, "ports": run.ports, "state": state}
    task |= {"settings": run.settings(), "storage": storage, "fails": run.switch("dtr-install-fails")}
    run.ucp.remove(run.phase2(node, task))


def remove(run: Run) -> None:
    """Take replicas out of the cluster, and away."""
    run.log.info("Beginning Docker Trusted Registry replica remove")
    run.connect()
    wanted = [name for name in (run.text("replica-ids") or run.text("replica-id")).split(",") if name]
    existing, found, key = _with_key(run)
    if not wanted:
        wanted = [run.ask("Choose a replica to remove: ")]
    if existing in wanted:
        run.log.fatal(f"Replica {existing} cannot remove itself: choose another as --existing-replica-id")
    run.ucp.remove(run.phase2(found.node, {"existing": existing, "key": key, "remove": wanted}))
    _take_away(run, wanted)
    run.log.info("Replica removed.")


def _take_away(run: Run, wanted: list[str], *, volumes: bool = True) -> None:
    there = run.replicas()
    for step in ("Stopping containers", "Removing containers", "Removing volumes"):
        run.log.info(step)
    for name in wanted:
        if name in there:
            run.remove_from(there[name], volumes=volumes)


def destroy(run: Run) -> None:
    """Remove a replica by force; the others are not told."""
    run.log.info("Beginning Docker Trusted Registry replica destroy")
    run.connect()
    there = run.replicas()
    wanted = run.text("replica-id")
    if not wanted:
        run.log.info(f"This cluster contains the replicas: {' '.join(sorted(there))}")
        first = min(there, default="")
        wanted = run.ask(f"Choose a replica to destroy [{first}]: ") or first
    if wanted not in there:
        run.log.fatal(f"Couldn't find replica {wanted} in this cluster")
    run.log.info("Force removing replica")
    _take_away(run, [wanted])
    run.log.info("Replica removed.")


def repair(run: Run) -> None:
    """Make one replica of a cluster without a majority the only one."""
    run.log.info("Beginning Docker Trusted Registry emergency repair")
    run.connect()
    existing, found, key = _with_key(run)
    if not run.on("yes"):
        run.confirm(f"This will make {existing} the only replica. Do you want to proceed?")
    task: dict[str, Any] = {"id": existing, "existing": existing, "key": key}
    run.ucp.remove(run.phase2(found.node, task))
    _take_away(run, sorted(set(run.replicas()) - {existing}), volumes=run.on("prune"))
    run.log.info(f"Repair is complete. Replica {existing} is the only one")


def upgrade(run: Run) -> None:
    """Bring all replicas to this version."""
    run.log.info("Beginning Docker Trusted Registry upgrade")
    run.connect()
    existing, found, key = _with_key(run)
    old = found.containers["rethinkdb"]["Image"].rpartition(":")[2]
    before, now = (tuple(map(int, text.split("."))) for text in (old, run.version))
    if now < before:
        run.log.fatal(f"DTR cannot be downgraded from {old} to {run.version}")
    if now[0] != before[0] or now[1] > before[1] + 1:
        run.log.fatal(f"DTR {old} cannot be upgraded to {run.version}: no minor version may be skipped")
    for name, there in sorted(run.replicas().items()):
        if there.containers:
            run.ucp.remove(run.phase2(there.node, {"id": name, "existing": existing, "key": key}))
    run.log.info("Upgrade is complete")


def show_images(run: Run) -> None:
    """List the images."""
    print("\n".join(images(run.version)))


COMMANDS: dict[str, Callable[[Run], None]] = {
    "install": install,
    "join": join,
    "reconfigure": reconfigure,
    "remove": remove,
    "destroy": destroy,
    "backup": backup,
    "restore": restore,
    "upgrade": upgrade,
    "images": show_images,
    "emergency-repair": repair,
}
