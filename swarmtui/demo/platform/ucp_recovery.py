"""The commands of UCP that back it up and restore it."""

from __future__ import annotations

import posixpath

from swarmtui.demo.hosts import files
from swarmtui.demo.platform import archive, openpgp, ucp_archive, ucp_nodes
from swarmtui.demo.platform.commands import Failed, on
from swarmtui.demo.platform.releases import is_component
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.platform.ucp_call import STEP, UcpCall
from swarmtui.demo.world import faults, membership
from swarmtui.demo.world.errors import ApiError

_BUSY = "backing up"
_BACKUPS = "/backup"
"""Where `--file` writes to, inside the container."""
_NOBODY = ("nobody", "nobody:nogroup", "65534", "65534:65534", "nobody:")


async def backup(call: UcpCall) -> None:
    """`backup`: up to 3.1 it stops the components of this manager and writes to standard output, since 3.2 neither."""
    given = call.options()
    ucp = call.installed()
    call.no_prompt(given)
    passphrase = given.get("passphrase", "")
    if call.release.files:
        if not passphrase and not on(given, "no-passphrase"):
            raise Failed("either --passphrase or --no-passphrase must be specified")
        if passphrase and on(given, "no-passphrase"):
            raise Failed("--passphrase and --no-passphrase exclude each other")
    else:
        call.confirmed(given, ucp.instance)
    if call.host.name in ucp.paused or _BUSY in ucp.sick.values():
        raise Failed("A backup is already in progress")
    if call.release.files:
        await _running(call, ucp, given, passphrase)
    else:
        await _stopped(call, ucp, passphrase)


async def _stopped(call: UcpCall, ucp: Ucp, passphrase: str) -> None:
    """Whoever kills it in the middle leaves the components stopped."""
    host, log = call.host, call.log
    log.info("Temporarily Stopping local UCP containers to ensure a consistent backup")
    ucp.paused.add(host.name)
    ucp.stop_on(host)
    call.changed()
    call.world.journal.note("ucp.backup", f"UCP was stopped on {host.name} for a backup.")
    try:
        log.info("Beginning backup")
        await call.sleep(STEP)
        data = _damaged(call, ucp.backup(host, passphrase))
        call.write(data[: len(data) // 2])
        await call.sleep(STEP)
        call.write(data[len(data) // 2 :])
        log.info("Backup completed successfully")
    finally:
        ucp.paused.discard(host.name)
    log.info("Resuming stopped UCP containers")
    if faults.UCP_STAYS_STOPPED not in host.faults:
        ucp.start_on(host)
    call.changed()


def _damaged(call: UcpCall, data: bytes) -> bytes:
    return data[: len(data) // 3] if faults.UCP_BACKUP_TRUNCATED in call.host.faults else data


async def _running(call: UcpCall, ucp: Ucp, given: dict[str, str], passphrase: str) -> None:
    name = given.get("file", "")
    folder = call.call.mounts.get(_BACKUPS, "")
    if name:
        _writable(call, folder)
    call.log.info("Beginning backup")
    await call.sleep(STEP)
    data = _damaged(call, ucp.backup(call.host, passphrase))
    if not name:
        call.write(data[: len(data) // 2])
        await call.sleep(STEP)
        call.write(data[len(data) // 2 :])
    elif folder:
        write_file(call, ucp, posixpath.join(folder, posixpath.basename(name)), data)
        if on({"include-logs": "true", **given}, "include-logs"):
            text = archive.pack({"./backup.log": b"simulated\n"}, call.world.kernel.now())
            log = openpgp.encrypt(text, passphrase) if passphrase else text
            write_file(call, ucp, posixpath.join(folder, "backup.log"), log)
    call.log.info("Backup completed successfully")


def _writable(call: UcpCall, folder: str) -> None:
    """Files are written as nobody. Raises Failed."""
    if not folder:
        return
    host = call.host
    if files.kind(host, folder) != "folder":
        host.folders[folder.rstrip("/")] = 0o755
    if host.owners.get(folder.rstrip("/"), "root") not in _NOBODY and not files.mode(host, folder) & 0o002:
        raise Failed(f"open {_BACKUPS}: permission denied")


def write_file(call: UcpCall, ucp: Ucp, path: str, data: bytes) -> None:
    """A file of a backup on the host. Raises Failed."""
    try:
        files.write(call.host, path, data, now=ucp.world.kernel.now(), mode=0o600)
    except files.NoSpaceError:
        raise Failed("no space left on device") from None


async def restore(call: UcpCall) -> None:
    """`restore`: from standard input, onto a Swarm on which nothing of UCP is left; begins one where there is none."""
    given = call.options()
    call.compatible(text=True)
    call.no_prompt(given)
    address = given.get("host-address", call.host.ip)
    swarm = call.host.swarm
    if swarm is None:
        left = [one.name for one in call.host.containers.values() if is_component(one.name)]
    else:
        left = ucp_nodes.leftovers(call.world, call.cluster())
    if left:
        raise Failed(f"UCP is still on this cluster: run uninstall-ucp first ({', '.join(sorted(left)[:5])})")
    call.log.info("Parsing backup file")
    found = ucp_archive.unpack(call.call.stdin, given.get("passphrase", ""), call.release, force=on(given, "force"))
    await call.sleep(STEP)
    if swarm is None:
        try:
            membership.init(call.world, call.host, {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": address})
        except ApiError as error:
            raise Failed(error.message) from None
    cluster = call.cluster()
    ucp = Ucp(call.world, cluster, "admin", "replaced by the backup", [], call.release)
    ucp.load(found)
    ucp.sans += [one for one in given.get("san", "").split("\n") if one and one not in ucp.sans]
    call.log.info("Deploying UCP Agent Service")
    call.world.ucp, cluster.closed = ucp, False
    ucp.place()
    await call.sleep(STEP)
    call.changed()
    if faults.UCP_RESTORE_FAILS in call.host.faults:
        ucp.sick[call.host.name] = "ERROR: RethinkDB Health check timed out"
        raise Failed("Cluster was not restored: reconcile exited with non-zero status: 1")
    call.log.info("Cluster successfully restored.")
