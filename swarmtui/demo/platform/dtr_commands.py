"""The commands of docker/dtr:2.4.1."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from swarmtui.demo.platform.commands import Call, Failed, options
from swarmtui.demo.platform.dtr import COMPONENTS, VERSION, Dtr, DtrError
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.world.host import Host

_COMMON = {
    "ucp-url": "UCP_URL",
    "ucp-username": "UCP_USERNAME",
    "ucp-password": "UCP_PASSWORD",
    "ucp-ca": "UCP_CA",
}
_BARE = {"debug", "help-extended", "ucp-insecure-tls"}
_PLACE = {
    "ucp-node": "UCP_NODE",
    "replica-id": "DTR_INSTALL_REPLICA_ID",
    "replica-http-port": "",
    "replica-https-port": "",
}
_SETTINGS = {
    "dtr-external-url": "DTR_EXTERNAL_URL",
    "dtr-storage-volume": "DTR_STORAGE_VOLUME",
    "nfs-storage-url": "NFS_STORAGE_URL",
    "overlay-subnet": "DTR_OVERLAY_SUBNET",
    **dict.fromkeys(
        (
            "dtr-ca", "dtr-cert", "dtr-key", "http-proxy", "https-proxy", "no-proxy", "log-protocol", "log-host",
            "log-level",
        ),
        "",
    ),
}  # fmt: skip
_EXISTING = {"existing-replica-id": "DTR_REPLICA_ID"}
_ID = re.compile(r"^[0-9a-f]{12}$")
STEP = 2.0


async def run(call: Call) -> int:
    """Run one command; returns its exit status."""
    name, args = (call.args[0], call.args[1:]) if call.args else ("help", [])
    command = _COMMANDS.get(name)
    if command is None:
        call.log.write(f"No help topic for '{name}'\n")
        return 3
    call.args = args
    try:
        call.write(await command(call))
    except (Failed, DtrError) as error:
        call.log.fatal(str(error))
        return 1
    return 0


def _ucp(call: Call, given: dict[str, str]) -> Ucp:
    """The UCP that the options lead to, after a log-in as an administrator."""
    for name in ("ucp-url", "ucp-username", "ucp-password"):
        if not given.get(name):
            raise Failed(f"unable to prompt for {name}: the input is not a terminal")
    url = urlsplit(given["ucp-url"] if "//" in given["ucp-url"] else f"https://{given['ucp-url']}")
    ucp = call.world.ucp
    named = url.hostname or ""
    known = ucp is not None and (
        named in ("127.0.0.1", "localhost", *ucp.sans) or any(named in (host.name, host.ip) for host in ucp.managers())
    )
    if ucp is None or not known or not any(not ucp.ill(host) for host in ucp.managers()):
        raise Failed(f"Couldn't connect to UCP at {given['ucp-url']}")
    if not given.get("ucp-insecure-tls") and given.get("ucp-ca", "").strip() != ucp.root.pem.strip():
        raise Failed("Failed to validate UCP cert: x509: certificate signed by unknown authority")
    call.log.info("Validating UCP cert")
    account = ucp.accounts.check(given["ucp-username"], given["ucp-password"])
    if account is None or not account.admin:
        raise Failed("Failed to log in to UCP: an administrator's name and password are needed")
    call.log.info("Connecting to UCP")
    return ucp


def _dtr(call: Call) -> Dtr:
    if call.world.dtr is None or not call.world.dtr.replicas:
        raise Failed("There are no DTR replicas in this UCP cluster")
    return call.world.dtr


def _healthy(dtr: Dtr, replica_id: str) -> None:
    """Refuse to work through a replica that is not healthy."""
    if replica_id not in dtr.replicas:
        raise Failed(f"No such replica: {replica_id}; this cluster contains the replicas: {' '.join(dtr.replicas)}")
    if dtr.ill(dtr.replicas[replica_id]):
        raise Failed(f"The existing replica {replica_id} is not healthy")


def _place(call: Call, ucp: Ucp, given: dict[str, str]) -> tuple[Host, str, int, int]:
    """Where a new replica goes: host, id and ports."""
    name = given.get("ucp-node", "")
    workers = [host for host in ucp.hosts() if host not in ucp.managers()]
    if name:
        host = next((host for host in ucp.hosts() if host.name == name), None)
        if host is None:
            raise Failed(f"Couldn't find the UCP node '{name}'")
    elif workers:
        host = call.world.ids.random.choice(workers)
    else:
        raise Failed("There is no UCP node for a replica")
    if host in ucp.managers():
        call.log.warn(
            f"Node: {host.name} is a manager, it is **not** recommended for DTR to reside on a UCP manager node..."
        )
    replica_id = given.get("replica-id") or f"{call.world.ids.random.getrandbits(48):012x}"
    if not _ID.match(replica_id):
        raise Failed(f"'{replica_id}' is no replica ID: twelve hexadecimal digits are needed")
    http, https = int(given.get("replica-http-port") or 80), int(given.get("replica-https-port") or 443)
    call.log.info(f"verifying [{http} {https}] ports on {host.name}")
    taken = {int(port["PublishedPort"]) for c in host.containers.values() if c.state == "running" for port in c.ports}
    if host in ucp.managers():
        taken.add(443)
    clash = sorted({http, https} & taken)
    if clash:
        raise Failed(f"Port {clash[0]} is already in use on {host.name}")
    return host, replica_id, http, https


async def _phase2(call: Call, replica_id: str) -> None:
    call.log.info("starting phase 2")
    await call.world.kernel.sleep(STEP)
    call.log.info("Verifying your system is compatible with DTR")
    call.log.info("Setting up replica volumes...")
    for component in COMPONENTS:
        call.log.info(f"Creating dtr-{component}-{replica_id}...")
    call.log.info("Starting all containers...")
    await call.world.kernel.sleep(STEP)


async def _install(call: Call) -> bytes:
    given = options(call.args, {**_COMMON, **_PLACE, **_SETTINGS}, _BARE | {"enable-pprof"}, call.env)
    call.log.info("Beginning Docker Trusted Registry installation")
    ucp = _ucp(call, given)
    if call.world.dtr is not None and call.world.dtr.replicas:
        raise Failed("DTR is already installed in this UCP cluster; use join")
    host, replica_id, http, https = _place(call, ucp, given)
    call.log.info("Creating network: dtr-ol")
    await _phase2(call, replica_id)
    call.world.dtr = _new(call, ucp, given)
    call.world.dtr.add(replica_id, host, http, https)
    call.world.on_platform_change()
    call.log.info("Successfully registered dtr with UCP")
    call.log.info("Installation is complete")
    call.log.info(f"Replica ID is set to: {replica_id}")
    call.log.info(
        f"You can use flag '--existing-replica-id {replica_id}' when joining other replicas to your Docker Trusted "
        "Registry Cluster"
    )
    return b""


def _new(call: Call, ucp: Ucp, given: dict[str, str]) -> Dtr:
    old = call.world.dtr
    storage = given.get("nfs-storage-url") or given.get("dtr-storage-volume") or "local"
    dtr = Dtr(call.world, ucp, given.get("dtr-external-url", ""), storage)
    if old is not None and old.storage == storage and storage != "local":
        dtr.images = old.images
    return dtr


async def _join(call: Call) -> bytes:
    given = options(
        call.args, {**_COMMON, **_PLACE, **_EXISTING}, _BARE | {"skip-network-test", "unsafe-join"}, call.env
    )
    call.log.info("Beginning Docker Trusted Registry replica join")
    ucp = _ucp(call, given)
    dtr = _dtr(call)
    call.log.info(f"This cluster contains the replicas: {' '.join(dtr.replicas)}")
    if "existing-replica-id" not in given:
        raise Failed("unable to prompt for the replica to join to: the input is not a terminal")
    _healthy(dtr, given["existing-replica-id"])
    sick = [r.id for r in dtr.replicas.values() if dtr.ill(r)]
    if sick and not given.get("unsafe-join"):
        raise Failed(f"The replicas {' '.join(sick)} are not healthy: remove them before you join another one")
    host, replica_id, http, https = _place(call, ucp, given)
    if replica_id in dtr.replicas:
        raise Failed(f"There is a replica {replica_id} already")
    await _phase2(call, replica_id)
    dtr.add(replica_id, host, http, https)
    call.world.on_platform_change()
    number = len(dtr.replicas)
    call.log.info("Join is complete")
    call.log.info(f"Replica ID is set to: {replica_id}")
    call.log.info(f"There are currently {number} replicas in your DTR cluster")
    if number % 2 == 0:
        call.log.info("You have an even number of replicas which can impact availability")
        call.log.info("It is recommended that you have 3, 5 or 7 replicas in your cluster")
    if number > 1 and dtr.storage == "local":
        call.log.warn("Warning! You are using DTR with the filesystem driver in an HA setup...")
    return b""


async def _remove(call: Call) -> bytes:
    given = options(
        call.args, {**_COMMON, **_EXISTING, "replica-ids": "DTR_REMOVE_REPLICA_IDS", "replica-id": ""}, _BARE, call.env
    )
    call.log.info("Beginning Docker Trusted Registry replica remove")
    _ucp(call, given)
    dtr = _dtr(call)
    _healthy(dtr, given.get("existing-replica-id", ""))
    wanted = (given.get("replica-ids") or given.get("replica-id") or "").split(",")
    for replica_id in wanted:
        if replica_id not in dtr.replicas:
            raise Failed(f"No such replica: {replica_id or '(none given)'}")
        if replica_id == given["existing-replica-id"]:
            raise Failed("A replica cannot be removed through itself")
    sick = [r.id for r in dtr.replicas.values() if r.id not in wanted and dtr.ill(r)]
    if sick:
        raise Failed(f"All other replicas must be healthy, and {' '.join(sick)} are not")
    await call.world.kernel.sleep(STEP)
    for replica_id in wanted:
        dtr.drop(replica_id)
        call.log.info("Replica removed.")
    call.world.on_platform_change()
    return b""


async def _destroy(call: Call) -> bytes:
    given = options(call.args, {**_COMMON, "replica-id": "DTR_DESTROY_REPLICA_ID"}, _BARE, call.env)
    call.log.info("Beginning Docker Trusted Registry replica destroy")
    _ucp(call, given)
    dtr = _dtr(call)
    call.log.info(f"This cluster contains the replicas: {' '.join(dtr.replicas)}")
    replica_id = given.get("replica-id", "")
    if replica_id not in dtr.replicas:
        raise Failed(f"No such replica: {replica_id or '(none given)'}")
    call.log.info("Force removing replica")
    call.log.info("Stopping containers")
    call.log.info("Removing containers")
    await call.world.kernel.sleep(STEP)
    call.log.info("Removing volumes")
    dtr.drop(replica_id)
    call.world.on_platform_change()
    call.world.journal.note("dtr.destroy", f"The DTR replica {replica_id} was destroyed.")
    call.log.info("Replica removed.")
    return b""


async def _backup(call: Call) -> bytes:
    given = options(call.args, {**_COMMON, **_EXISTING}, _BARE, call.env)
    _ucp(call, given)
    dtr = _dtr(call)
    _healthy(dtr, given.get("existing-replica-id", ""))
    await call.world.kernel.sleep(STEP)
    return dtr.backup()


async def _restore(call: Call) -> bytes:
    given = options(call.args, {**_COMMON, **_PLACE, **_SETTINGS}, _BARE | {"enable-pprof"}, call.env)
    ucp = _ucp(call, given)
    if call.world.dtr is not None and call.world.dtr.replicas:
        raise Failed("There are DTR replicas in this UCP cluster: destroy them first")
    repositories = Dtr.open_backup(call.stdin)
    host, replica_id, http, https = _place(call, ucp, given)
    await _phase2(call, replica_id)
    dtr = _new(call, ucp, given)
    dtr.repositories = repositories
    call.world.dtr = dtr
    dtr.add(replica_id, host, http, https)
    call.world.on_platform_change()
    call.log.info(f"Replica ID is set to: {replica_id}")
    return b""


async def _reconfigure(call: Call) -> bytes:
    given = options(call.args, {**_COMMON, **_EXISTING, **_SETTINGS}, _BARE | {"enable-pprof"}, call.env)
    _ucp(call, given)
    dtr = _dtr(call)
    _healthy(dtr, given.get("existing-replica-id", ""))
    await call.world.kernel.sleep(STEP)
    dtr.external_url = given.get("dtr-external-url", dtr.external_url)
    dtr.storage = given.get("nfs-storage-url") or given.get("dtr-storage-volume") or dtr.storage
    return b""


async def _images(call: Call) -> bytes:
    options(call.args, {}, _BARE, call.env)
    return "".join(f"docker/dtr-{component}:{VERSION}\n" for component in COMPONENTS).encode()


_COMMANDS: dict[str, Callable[[Call], Awaitable[bytes]]] = {
    "install": _install,
    "join": _join,
    "remove": _remove,
    "destroy": _destroy,
    "backup": _backup,
    "restore": _restore,
    "reconfigure": _reconfigure,
    "images": _images,
}
