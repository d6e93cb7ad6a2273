"""The commands of DTR that make a replica: install, join and restore."""

from __future__ import annotations

import re
from collections.abc import Callable

from swarmtui.demo.platform import dtr_archive
from swarmtui.demo.platform.commands import Failed
from swarmtui.demo.platform.dtr import LOCAL, Dtr, Replica, leave, shared, stored_on
from swarmtui.demo.platform.dtr_call import DtrCall, Phase2
from swarmtui.demo.platform.dtr_releases import COMPONENTS
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.platform.ucp_call import STEP
from swarmtui.demo.platform.ucp_install import used_ports
from swarmtui.demo.world import faults
from swarmtui.demo.world.host import Host

_ID = re.compile(r"^[0-9a-f]{12}$")
_BROKEN_AFTER = 4
"""Containers that are made before the fault strikes."""


def _node(call: DtrCall, ucp: Ucp) -> Host:
    """The node that was named, or any worker. Raises Failed."""
    name, hosts = call.given.get("ucp-node", ""), ucp.hosts()
    managers = ucp.managers()
    if name:
        host = next((host for host in hosts if host.name == name), None)
        if host is None:
            raise Failed(f"Couldn't find the UCP node '{name}'")
    else:
        workers = [host for host in hosts if host not in managers]
        if not workers:
            raise Failed("There is no UCP node for a replica")
        host = call.world.ids.random.choice(workers)
    if host in managers:
        call.log.warn(
            f"Node: {host.name} is a manager, it is **not** recommended for DTR to reside on a UCP manager node..."
        )
    return host


def _place(call: DtrCall, ucp: Ucp) -> tuple[Host, Replica]:
    """Where a new replica goes, and which it is. Raises Failed."""
    host = _node(call, ucp)
    replica_id = call.given.get("replica-id") or f"{call.world.ids.random.getrandbits(48):012x}"
    if not _ID.match(replica_id):
        raise Failed(f"'{replica_id}' is no replica ID: twelve hexadecimal digits are needed")
    ports = {}
    for name, usual in (("http", 80), ("https", 443)):
        text = call.given.get(f"replica-{name}-port") or str(usual)
        if not text.isdigit() or not 0 < int(text) < 65536:
            raise Failed(f"'{text}' is no port")
        ports[name] = int(text)
    call.log.info(f"verifying [{ports['http']} {ports['https']}] ports on {host.name}")
    clash = sorted({*ports.values()} & used_ports(host))
    if clash:
        raise Failed(f"Port {clash[0]} is already in use on {host.name}")
    if replica_id in stored_on(host, images=False):
        # Images are put back into their volume before a restore.
        raise Failed(f"There are volumes of a replica {replica_id} on {host.name} already")
    return host, Replica(replica_id, host.name, ports["http"], ports["https"], seen=call.world.kernel.now())


async def _make(phase: Phase2, dtr: Dtr, host: Host, replica: Replica, ready: Callable[[], None]) -> None:
    """The containers of a replica; a member of the database it is only at the end, when `ready` is called."""
    phase.say("Verifying your system is compatible with DTR")
    phase.say("Checking if the node is okay to install on")
    phase.pull()
    phase.say("Creating network: dtr-ol")
    phase.say("Starting UCP connectivity test")
    phase.say("UCP connectivity test passed")
    phase.say("Setting up replica volumes...")
    dtr.begin(replica, host)
    phase.say("Creating initial CA certificates")
    phase.say("Bootstrapping rethink...")
    await phase.sleep(STEP)
    for number, component in enumerate(COMPONENTS):
        if number == _BROKEN_AFTER and faults.DTR_PHASE2_FAILS in host.faults:
            raise Failed(f"Failed to create dtr-{component}-{replica.id}: context deadline exceeded")
        phase.say(f"Creating dtr-{component}-{replica.id}...")
        dtr.create(replica, host, component)
        if number == 0:
            # The database is the first, and the others wait until it is up: what ends here has left half a replica.
            await phase.sleep(STEP)
    phase.say("Migrating db...")
    phase.say("Starting all containers...")
    await phase.sleep(STEP)
    replica.seen = phase.call.world.kernel.now()
    dtr.replicas[replica.id] = replica
    ready()
    phase.call.changed()


async def install(call: DtrCall) -> None:
    """`install`: the first replica."""
    call.log.info("Beginning Docker Trusted Registry installation")
    ucp = call.ucp()
    call.log.info("Searching containers in UCP for DTR replicas")
    if found := call.found(ucp):
        raise Failed(f"DTR is already installed in this UCP cluster: it has the replicas {' '.join(found)}; use join")
    host, replica = _place(call, ucp)
    dtr = Dtr(call.world, call.release, call.given.get("dtr-external-url", ""), call.storage() or LOCAL)
    dtr.own = call.own()
    _logs(call, dtr)

    async def work(phase: Phase2) -> None:
        await _make(phase, dtr, host, replica, lambda: leave(call.world, dtr))
        phase.say("Successfully registered dtr with UCP")
        phase.say("Installation is complete")
        phase.say(f"Replica ID is set to: {replica.id}")
        phase.say(
            f"You can use flag '--existing-replica-id {replica.id}' when joining other replicas to your Docker Trusted "
            "Registry Cluster"
        )

    await call.phase2(host, work)


def _logs(call: DtrCall, dtr: Dtr) -> None:
    for flag, name in (("log-protocol", "logProtocol"), ("log-host", "logHost"), ("log-level", "logLevel")):
        if call.given.get(flag):
            dtr.logs[name] = call.given[flag]


async def join(call: DtrCall) -> None:
    """`join`: one more replica."""
    call.log.info("Beginning Docker Trusted Registry replica join")
    ucp = call.ucp()
    dtr = call.dtr()
    call.log.info(f"This cluster contains the replicas: {' '.join(dtr.replicas)}")
    call.existing(dtr)
    sick = [one.id for one in dtr.replicas.values() if dtr.ill(one)]
    if sick and not call.on("unsafe-join"):
        raise Failed(f"The replicas {' '.join(sick)} are not healthy: remove them before you join another one")
    host, replica = _place(call, ucp)
    if replica.id in dtr.replicas:
        raise Failed(f"There is a replica {replica.id} already")

    async def work(phase: Phase2) -> None:
        await _make(phase, dtr, host, replica, lambda: None)
        number = len(dtr.replicas)
        phase.say("Join is complete")
        phase.say(f"Replica ID is set to: {replica.id}")
        phase.say(f"There are currently {number} replicas in your DTR cluster")
        if number % 2 == 0:
            phase.say("You have an even number of replicas which can impact availability")
            phase.say("It is recommended that you have 3, 5 or 7 replicas in your cluster")
        if not shared(dtr.storage):
            phase.say("Warning! You are using DTR with the filesystem driver in an HA setup...")

    await call.phase2(host, work)


async def restore(call: DtrCall) -> None:
    """`restore`: a first replica from a backup on standard input; nothing of DTR may be there."""
    ucp = call.ucp()
    default = call.on("dtr-use-default-storage")
    if call.release.storage_needed and not call.storage() and not default:
        raise Failed(
            "one of --dtr-use-default-storage, --dtr-storage-volume and --nfs-storage-url must be specified to restore"
        )
    if call.release.id_needed and not call.given.get("replica-id"):
        raise Failed("--replica-id must be specified")
    if found := call.found(ucp):
        raise Failed(f"There are DTR replicas in this UCP cluster: destroy them first ({' '.join(found)})")
    dtr = Dtr(call.world, call.release, call.given.get("dtr-external-url", ""), call.storage() or LOCAL)
    dtr_archive.load(call.call.stdin, call.release, dtr)
    dtr.own = call.own() or dtr.own
    _logs(call, dtr)
    host, replica = _place(call, ucp)

    async def work(phase: Phase2) -> None:
        await _make(phase, dtr, host, replica, lambda: leave(call.world, dtr))
        phase.say("Restore is complete")
        phase.say(f"Replica ID is set to: {replica.id}")

    await call.phase2(host, work)
