"""The commands of docker/ucp:2.2.5."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable

from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.platform import archive
from swarmtui.demo.platform.commands import Call, Failed, options
from swarmtui.demo.platform.ucp import IMAGES, VERSION, Ucp, UcpError
from swarmtui.demo.world import membership
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.errors import ApiError

_COMMON = {"debug", "jsonlog", "interactive"}
_INSTALL = {
    "admin-username": "UCP_ADMIN_USER",
    "admin-password": "UCP_ADMIN_PASSWORD",
    **dict.fromkeys(
        (
            "san", "host-address", "data-path-addr", "swarm-port", "controller-port", "swarm-grpc-port", "dns",
            "dns-opt", "dns-search", "unlock-key", "pull", "registry-username", "registry-password", "kv-timeout",
            "kv-snapshot-count", "external-service-lb", "license",
        ),
        "",
    ),
}  # fmt: skip
_INSTALL_BARE = {
    "existing-config", "swarm-experimental", "binpack", "random", "disable-tracking", "disable-usage",
    "external-server-cert", "preserve-certs", "enable-profiling", "force-insecure-tcp",
}  # fmt: skip
STEP = 2.0
"""Seconds that one step of a command takes."""


async def run(call: Call) -> Output:
    """Run one command."""
    name, args = (call.args[0], call.args[1:]) if call.args else ("help", [])
    command = _COMMANDS.get(name)
    if command is None:
        call.log.lines.append(f"No help topic for '{name}'")
        return call.log.output(b"", 3)
    call.args = args
    call.log.json = "--jsonlog" in args or "--jsonlog=true" in args
    try:
        return call.log.output(await command(call), 0)
    except (Failed, UcpError) as error:
        call.log.fatal(str(error))
        return call.log.output(b"", 1)


def _cluster(call: Call) -> Cluster:
    """The Swarm this manager belongs to."""
    swarm = call.host.swarm
    if swarm is None or swarm.role != "manager":
        raise Failed("This command must be run on a manager of the Swarm")
    if swarm.locked or not swarm.raft.leads_for(call.host):
        raise Failed("The Swarm of this node does not answer: it is locked or has no leader")
    return swarm.cluster


def _installed(call: Call) -> Ucp:
    cluster = _cluster(call)
    ucp = call.world.ucp
    if ucp is None or ucp.cluster is not cluster:
        raise Failed("UCP is not installed on this cluster")
    return ucp


def _compatible(call: Call) -> None:
    call.log.info(f"Your engine version {call.host.engine}, build 5d6db84 (6.1.0-28-amd64) is compatible")


async def _install(call: Call) -> bytes:
    given = options(call.args, _INSTALL, _COMMON | _INSTALL_BARE, call.env)
    call.log.info(f"Verifying your system is compatible with UCP {VERSION} (42d28d140)")
    _compatible(call)
    if given.get("interactive"):
        raise Failed("unable to prompt: the input is not a terminal")
    if call.world.ucp is not None:
        raise Failed("UCP is already installed on this cluster")
    password = given.get("admin-password", "")
    if len(password) < 8:
        raise Failed("Your admin password must have at least 8 characters")
    call.log.info("Pulling required images... (this may take a while)")
    for image in IMAGES:
        call.log.info(f"Pulling docker/{image}:{VERSION}")
    await call.world.kernel.sleep(STEP)
    call.log.info("All required images are present")
    address = given.get("host-address", call.host.ip)
    if call.host.swarm is None:
        call.log.info(f"Initializing a new swarm at {address}")
        try:
            membership.init(call.world, call.host, {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": address})
        except ApiError as error:
            raise Failed(error.message) from None
    cluster = _cluster(call)
    call.log.info("Establishing mutual Cluster Root CA with Swarm")
    call.log.info(
        f"Installing UCP with host address {address} - If this is incorrect, please specify an alternative address "
        "with the '--host-address' flag"
    )
    call.log.info("Generating UCP Client Root CA")
    call.log.info("Deploying UCP Service")
    sans = given.get("san", "").split("\n") if given.get("san") else []
    ucp = Ucp(call.world, cluster, given.get("admin-username", "admin"), password, sans)
    call.world.ucp = ucp
    ucp.place()
    await call.world.kernel.sleep(STEP)
    call.world.on_platform_change()
    own = call.host.swarm.node_id if call.host.swarm else ""
    call.log.info(f"Installation completed on {call.host.name} (node {own})")
    call.log.info(f"UCP Instance ID: {ucp.instance}")
    call.log.info(f"Login to UCP at https://{address}:{given.get('controller-port', '443')}")
    call.log.info(f"Username: {given.get('admin-username', 'admin')}")
    call.log.info("Password: (your admin password)")
    return b""


async def _id(call: Call) -> bytes:
    options(call.args, {}, set(), call.env)
    return f"{_installed(call).instance}\n".encode()


async def _backup(call: Call) -> bytes:
    given = options(call.args, {"id": "", "passphrase": ""}, _COMMON, call.env)
    ucp = _installed(call)
    if given.get("interactive"):
        raise Failed("unable to prompt: the input is not a terminal")
    if "id" not in given:
        raise Failed(f'We detected the UCP instance "{ucp.instance}": to confirm, specify it with --id')
    if given["id"] != ucp.instance:
        raise Failed(f'The UCP instance here is "{ucp.instance}", not "{given["id"]}"')
    if call.host.name in ucp.paused:
        raise Failed("A backup is under way on this node")
    call.log.info("Temporarily Stopping local UCP containers to ensure a consistent backup")
    ucp.paused.add(call.host.name)
    call.world.on_platform_change()
    call.world.journal.note("ucp.backup", f"UCP was stopped on {call.host.name} for a backup.")
    try:
        call.log.info("Beginning backup")
        await call.world.kernel.sleep(STEP)
        data = ucp.backup(call.host, given.get("passphrase", ""))
        call.log.info("Backup completed successfully")
    finally:
        ucp.paused.discard(call.host.name)
        call.world.on_platform_change()
    call.log.info("Resuming stopped UCP containers")
    return data


async def _restore(call: Call) -> bytes:
    given = options(
        call.args, dict.fromkeys(("passphrase", "san", "host-address", "unlock-key"), ""), _COMMON, call.env
    )
    _compatible(call)
    cluster = _cluster(call)
    if call.world.ucp is not None and call.world.ucp.leftovers():
        raise Failed("UCP is installed on this cluster: run uninstall-ucp first")
    call.log.info("Parsing backup file")
    files = Ucp.open_backup(call.stdin, given.get("passphrase", ""))
    await call.world.kernel.sleep(STEP)
    ucp = Ucp(call.world, cluster, "admin", "replaced by the backup", [])
    ucp.load(files)
    call.log.info("Deploying UCP Agent Service")
    call.world.ucp = ucp
    ucp.place()
    await call.world.kernel.sleep(STEP)
    call.world.on_platform_change()
    call.log.info("Cluster successfully restored.")
    return b""


async def _uninstall(call: Call) -> bytes:
    given = options(
        call.args,
        dict.fromkeys(("id", "pull", "registry-username", "registry-password"), ""),
        _COMMON | {"purge-config"},
        call.env,
    )
    _compatible(call)
    ucp = _installed(call)
    call.log.info("We're about to uninstall from this swarm cluster.")
    if given.get("id") != ucp.instance:
        raise Failed(f'We detected the UCP instance "{ucp.instance}": to confirm, specify it with --id')
    call.log.info("Uninstalling UCP on each node...")
    await call.world.kernel.sleep(STEP)
    ucp.remove()
    call.world.ucp = None
    call.world.on_platform_change()
    call.log.info("UCP has been removed from this cluster successfully.")
    call.log.info("Removing UCP Services")
    call.world.journal.note("ucp.uninstall", "UCP was removed: until it is back, no node can join.")
    return b""


async def _images(call: Call) -> bytes:
    given = options(
        call.args, dict.fromkeys(("pull", "registry-username", "registry-password"), ""), _COMMON | {"list"}, call.env
    )
    if given.get("list"):
        return "".join(f"docker/{image}:{VERSION}\n" for image in IMAGES).encode()
    call.log.info("All required images are present")
    return b""


async def _dump_certs(call: Call) -> bytes:
    given = options(call.args, {}, _COMMON | {"ca", "cluster"}, call.env)
    ucp = _installed(call)
    if given.get("cluster"):
        return ucp.cluster.authority.pem.encode()
    certificate, _ = ucp.root.server(call.host.name, [call.host.name, call.host.ip, *ucp.sans])
    return ucp.root.pem.encode() if given.get("ca") else (ucp.root.pem + certificate).encode()


async def _stop(call: Call) -> bytes:
    options(call.args, {}, _COMMON, call.env)
    ucp = _installed(call)
    call.log.info("Stopping all UCP components on this node")
    await call.world.kernel.sleep(STEP)
    ucp.stop_on(call.host)
    call.world.on_platform_change()
    call.world.journal.note("ucp.stop", f"UCP was stopped on {call.host.name}.")
    return b""


async def _restart(call: Call) -> bytes:
    options(call.args, {}, _COMMON, call.env)
    ucp = _installed(call)
    call.log.info("Restarting all UCP components on this node")
    ucp.stop_on(call.host)
    call.world.on_platform_change()
    await call.world.kernel.sleep(STEP)
    ucp.start_on(call.host)
    call.world.on_platform_change()
    return b""


async def _support(call: Call) -> bytes:
    """A dump of this node; no secret is in it."""
    options(call.args, {}, _COMMON, call.env)
    ucp = _installed(call)
    call.log.info("Gathering the support dump of this node")
    await call.world.kernel.sleep(STEP)
    here = sorted(f"{c.name} {c.image} {c.state}" for c in call.host.containers.values())
    found = {
        "./info/containers.txt": "\n".join(here).encode(),
        "./info/ucp.txt": f"version {VERSION}\ninstance {ucp.instance}\n".encode(),
        "./info/health.txt": f"{ucp.ill(call.host) or 'healthy'}\n".encode(),
    }
    return gzip.compress(archive.pack(found, call.world.kernel.now()), mtime=0)


async def _example_config(call: Call) -> bytes:
    options(call.args, {}, _COMMON, call.env)
    return _EXAMPLE.encode()


_EXAMPLE = """\
[auth]
  default_new_user_role = "restrictedcontrol"
  backend = "managed"
  [auth.sessions]
    lifetime_minutes = 4320
    renewal_threshold_minutes = 1440
[scheduling_configuration]
  enable_admin_ucp_scheduling = true
[log_configuration]
  protocol = "tcp"
  host = ""
  level = "INFO"
"""

_COMMANDS: dict[str, Callable[[Call], Awaitable[bytes]]] = {
    "install": _install,
    "id": _id,
    "backup": _backup,
    "restore": _restore,
    "uninstall-ucp": _uninstall,
    "images": _images,
    "dump-certs": _dump_certs,
    "stop": _stop,
    "restart": _restart,
    "support": _support,
    "example-config": _example_config,
}
