"""The commands of UCP that install and uninstall it."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from swarmtui.demo.hosts import files
from swarmtui.demo.platform import ucp_nodes
from swarmtui.demo.platform.commands import Failed, on
from swarmtui.demo.platform.releases import GIB, UNINSTALLER, is_component
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.platform.ucp_call import STEP, UcpCall
from swarmtui.demo.world import faults, membership
from swarmtui.demo.world.errors import ApiError
from swarmtui.demo.world.host import Host

_OWN = ("ca.pem", "cert.pem", "key.pem")
_PATIENCE = 120.0
"""Seconds that an uninstallation waits for all nodes."""
_LOOKS = 240
"""How often it looks meanwhile."""


async def install(call: UcpCall) -> None:
    """`install`: in two phases, the second of which counts its seconds anew."""
    given = call.options()
    release, log, host = call.release, call.log, call.host
    log.info(f"Verifying your system is compatible with UCP {release.version} ({release.build})")
    call.compatible()
    call.no_prompt(given)
    _fits(call, given)
    password = given.get("admin-password", "")
    if not password and release.files:
        password = f"{call.world.ids.random.getrandbits(80):020x}"
        log.info(f"Generated random admin password: {password}")
    if len(password) < 8:
        raise Failed("Your admin password must have at least 8 characters")
    log.info("Pulling required images... (this may take a while)")
    call.pull(given.get("pull", "missing"))
    await call.sleep(STEP)
    log.info("All required images are present")
    sans = [one for text in given.get("san", "").split("\n") for one in text.split(",") if one]
    own = _own(call) if on(given, "external-server-cert") else {}
    address = given.get("host-address", host.ip)
    names = [host.name, "127.0.0.1", "172.17.0.1", address, *sans]
    if not any("." in name and not name.replace(".", "").isdigit() for name in names):
        log.warn(
            f"None of the hostnames we'll be using in the UCP certificates [{' '.join(names)}] contain a domain "
            "component.  Your generated certs may fail TLS validation unless you only use one of these shortnames or "
            "IPs to connect.  You can use the --san flag to add more aliases"
        )
    log.restart()
    _swarm(call, address)
    cluster = call.cluster()
    if release.files:
        log.phase2("Step 1 of 35: [Setup Internal Cluster CA]")
    log.phase2("Establishing mutual Cluster Root CA with Swarm")
    log.phase2(
        f"Installing UCP with host address {address} - If this is incorrect, please specify an alternative address "
        "with the '--host-address' flag"
    )
    log.phase2("Generating UCP Client Root CA")
    ucp = Ucp(call.world, cluster, given.get("admin-username", "admin"), password, sans, release)
    ucp.own = own
    for name in ("ucp-cluster-root-ca", "ucp-client-root-ca", "ucp-kv"):
        ucp_nodes.run(call.world, host, release, ucp.instance, name)
    call.world.remember_volume(host, "ucp-node-certs")
    log.phase2("Deploying UCP Service")
    await call.sleep(STEP)
    if faults.UCP_INSTALL_FAILS in host.faults:
        ucp_nodes.serve(call.world, cluster, release, ucp.instance)
        reconcile = ucp_nodes.run(call.world, host, release, ucp.instance, "ucp-reconcile")
        reconcile.exit_code = 1
        log.error('Unable to successfully setup local node. Run "docker logs ucp-reconcile" for more details')
        raise Failed("reconcile exited with non-zero status: 1")
    call.world.ucp, cluster.closed = ucp, False
    ucp.place()
    await call.sleep(STEP)
    call.changed()
    _done(call, ucp, given, address)


def _fits(call: UcpCall, given: dict[str, str]) -> None:
    """Is this host one that UCP can be installed on? Raises Failed."""
    host = call.host
    if host.swarm is not None and host.swarm.role == "manager" and ucp_nodes.instance_of(call.cluster())[0]:
        raise Failed("UCP is already installed on this cluster")
    left = sorted(one.name for one in host.containers.values() if is_component(one.name))
    if left:
        raise Failed(f"UCP components are still on this node: {', '.join(left)}")
    if call.release.files and not on(given, "force-minimums") and (host.memory < 4 * GIB or host.cpus < 2):
        raise Failed("This node does not meet the minimum requirements; continue with --force-minimums")
    if on(given, "existing-config"):
        configs = host.swarm.cluster.configs.values() if host.swarm is not None else ()
        if not any(one.name.startswith("com.docker.ucp.config") for one in configs):
            raise Failed("There is no existing UCP configuration on this cluster")
    port = int(given.get("controller-port") or 443)
    taken = sorted({port, *range(12376, 12388), 2376} & used_ports(call.host))
    if taken:
        raise Failed(
            f"The following required ports are already in use on your host - {', '.join(map(str, taken))}. You may "
            "specify an alternative port number to 443 with the --controller-port argument"
        )


def used_ports(host: Host) -> set[int]:
    """What containers of a host publish."""
    return {
        int(port["PublishedPort"]) for one in host.containers.values() if one.state == "running" for port in one.ports
    }


def _own(call: UcpCall) -> dict[str, str]:
    """The certificates that lie in the volume. Raises Failed."""
    folder = f"/var/lib/docker/volumes/{ucp_nodes.SURVIVES}/_data"
    found = {name: files.read(call.host, f"{folder}/{name}") for name in _OWN}
    missing = [name for name, text in found.items() if text is None]
    if missing or ucp_nodes.SURVIVES not in call.host.volumes:
        raise Failed(f"Unable to read the external certificates in {ucp_nodes.SURVIVES}: {', '.join(missing)}")
    own = {name: text or "" for name, text in found.items()}
    try:
        certificate = load_pem_x509_certificate(own["cert.pem"].encode())
        key = load_pem_private_key(own["key.pem"].encode(), None)
    except (ValueError, TypeError):
        raise Failed(f"Unable to read the external certificates in {ucp_nodes.SURVIVES}: no PEM") from None
    if certificate.public_key() != key.public_key():
        raise Failed("tls: private key does not match public key")
    return own


def _swarm(call: UcpCall, address: str) -> None:
    """A host that is in no Swarm begins one. Raises Failed."""
    if call.host.swarm is not None:
        return
    call.log.phase2(f"Initializing a new swarm at {address}")
    try:
        membership.init(call.world, call.host, {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": address})
    except ApiError as error:
        raise Failed(error.message) from None


def _done(call: UcpCall, ucp: Ucp, given: dict[str, str], address: str) -> None:
    log, host = call.log, call.host
    if call.release.files:
        log.phase2("All Installation Steps Completed")
    pem = load_pem_x509_certificate(ucp.certificate(host)[0].encode())
    fingerprint = ":".join(f"{byte:02X}" for byte in pem.fingerprint(hashes.SHA256()))
    log.phase2(f"Installation completed on {host.name} (node {host.swarm.node_id if host.swarm else ''})")
    log.phase2(f"UCP Instance ID: {ucp.instance}")
    log.phase2(f"UCP Server SSL: SHA-256 Fingerprint={fingerprint}")
    log.phase2(f"Login to UCP at https://{address}:{given.get('controller-port', '443')}")
    log.phase2(f"Username: {given.get('admin-username', 'admin')}")
    log.phase2("Password: (your admin password)")


async def uninstall(call: UcpCall) -> None:
    """`uninstall-ucp`: from every node of the Swarm that can be reached."""
    given = call.options()
    call.compatible(text=True)
    cluster, instance = call.instance()
    call.log.info("We're about to uninstall from this swarm cluster.")
    call.confirmed(given, instance)
    call.log.info("Uninstalling UCP on each node...")
    await call.sleep(STEP)
    slow = frozenset(h.name for h in call.world.hosts.values() if faults.UCP_UNINSTALL_HANGS in h.faults)
    if slow:
        await call.sleep(_PATIENCE)
    ucp_nodes.remove(call.world, cluster, slow)
    if call.world.ucp is not None and call.world.ucp.instance == instance:
        call.world.ucp = None
    cluster.closed = True
    call.changed()
    call.world.journal.note("ucp.uninstall", "UCP was removed: until it is back, no node can join.")
    # The containers of its services go by themselves, in a moment.
    for _ in range(_LOOKS):
        if not ucp_nodes.left_on(call.world, cluster, slow):
            break
        await call.sleep(_PATIENCE / _LOOKS)
    if slow:
        call.world.control(cluster).create_service(
            {
                "Name": UNINSTALLER,
                "TaskTemplate": {"ContainerSpec": {"Image": call.release.component("ucp-agent")}},
                "Mode": {"Global": {}},
            }
        )
        call.log.error("Uninstalling UCP took too long")
        return
    call.log.info("UCP has been removed from this cluster successfully.")
    call.log.info("Removing UCP Services")
