"""Becoming part of a Swarm, leaving it, unlocking it, and forcing a new one out of what is left."""

from __future__ import annotations

import re

from swarmtui.demo.world import errors, paths, startup
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.disk import current_log
from swarmtui.demo.world.host import Host, LocalSwarm
from swarmtui.demo.world.objects import Json, Node
from swarmtui.demo.world.raft import COLD_START, Member, Raft
from swarmtui.demo.world.resources import Network
from swarmtui.demo.world.world import World

JOIN_TIME = 0.6
JOIN_TIMEOUT = 20.0
UNLOCK_TIME = 0.5
FORCE_TIME = 0.8
_KEY = re.compile(r"^SWMKEY-1-[A-Za-z0-9+/]{43}$")


def address_of(host: Host, advertise: str) -> str:
    """The address a node announces: what was asked for, without its port, or the host's own."""
    if not advertise:
        return host.ip
    bare, colon, port = advertise.rpartition(":")
    return bare if colon and port.isdigit() else advertise


def init(world: World, host: Host, request: Json) -> str:
    """Make a new Swarm on this host. Returns the node's id.

    Raises:
        ApiError: it is part of one already, or the request is malformed.
    """
    if host.swarm is not None:
        raise errors.ApiError(503, errors.IN_SWARM)
    _check_listen(request)
    startup.clear(host)
    cluster = world.found()
    spec = request.get("Spec") or {}
    lock = request.get("AutoLockManagers") or (spec.get("EncryptionConfig") or {}).get("AutoLockManagers")
    if lock:
        cluster.spec["EncryptionConfig"] = {"AutoLockManagers": True}
        cluster.unlock_key = cluster.ids.unlock_key()
    cluster.commit_cluster()
    for label, driver, ingress in (("ingress", "overlay", True), ("host", "host", False)):
        if ingress:
            world.control(cluster).networks.create({"Name": label, "Driver": driver, "Ingress": True})
        else:
            cluster.commit(Network(id=world.ids.object(), label=label, driver=driver, predefined=True))
    node = add_node(world, cluster, host, "manager", request)
    world.control(cluster).raft.elect_now(node.id)
    world.update_remotes(cluster)
    return node.id


def _check_listen(request: Json) -> None:
    if not request.get("ListenAddr"):
        raise errors.ApiError(400, 'invalid ListenAddr "": invalid empty address')


def add_node(world: World, cluster: Cluster, host: Host, role: str, request: Json) -> Node:
    """Make this host a node of a cluster, at once."""
    control = world.control(cluster)
    address = address_of(host, str(request.get("AdvertiseAddr") or ""))
    node = Node(
        id=world.ids.object(),
        hostname=host.name,
        address=address,
        wanted_role=role,
        role=role,
        availability=str(request.get("Availability") or "active"),
        cpus=host.cpus,
        memory=host.memory,
        engine=host.engine,
        tls=cluster.authority.tls_info(),
    )
    host.swarm = LocalSwarm(
        cluster=cluster,
        raft=control.raft,
        node_id=node.id,
        role=role,
        address=address,
        listen=str(request.get("ListenAddr") or "0.0.0.0:2377"),
        key=cluster.unlock_key if role == "manager" else "",
    )
    if role == "manager" and (control.raft.members or cluster.unlock_key):
        host.swarm.key_version = cluster.version
    host.swarm.renew(world.kernel.now())
    host.swarm.remotes = {member.node_id: member.address for member in control.raft.members.values()}
    world.bind(cluster, node.id, host)
    cluster.commit(node)
    if role == "manager":
        control.raft.add(Member(node.id, host.name, f"{address}:2377"))
    cluster.announce(node, "create")
    control.orchestrator.touch_all()
    return node


async def join(world: World, host: Host, request: Json) -> None:
    """Join a Swarm by a token and the address of one of its managers.

    Raises:
        ApiError: in the engine's words.
    """
    if host.swarm is not None:
        raise errors.ApiError(503, errors.IN_SWARM)
    _check_listen(request)
    addresses = [str(address) for address in request.get("RemoteAddrs") or []]
    if not addresses:
        raise errors.ApiError(400, "at least 1 RemoteAddr is required to join")
    remote = paths.route(world, host, addresses[0])
    port = addresses[0] if ":" in addresses[0] else f"{addresses[0]}:2377"
    if (
        remote is None
        or not remote.running
        or "tcp 2377" in remote.blocked
        or remote.swarm is None
        or remote.swarm.role != "manager"
        or remote.swarm.locked
    ):
        await world.kernel.sleep(5.0)
        raise errors.rpc(
            "Unavailable",
            f'connection error: desc = "transport: Error while dialing dial tcp {port}: connect: connection refused"',
        )
    cluster = remote.swarm.cluster
    token = str(request.get("JoinToken") or "")
    if not token.startswith("SWMTKN-1-") or len(token.split("-")) != 4:
        raise errors.ApiError(500, "invalid join token")
    if token.split("-")[2] != cluster.ca_digest:
        raise errors.ApiError(
            500,
            "error while validating Root CA Certificate: remote CA does not match fingerprint. "
            "Expected: " + token.split("-")[2],
        )
    roles = {cluster.worker_token: "worker", cluster.manager_token: "manager"}
    if token not in roles:
        raise errors.rpc("InvalidArgument", "A valid join token is necessary to join this cluster")
    await remote.swarm.raft.ready(remote, write=True)
    await world.kernel.sleep(JOIN_TIME)
    if cluster.closed:
        raise errors.ApiError(503, errors.JOIN_TIMEOUT)
    startup.clear(host)
    add_node(world, cluster, host, roles[token], request)
    raft = world.control(cluster).raft
    until = world.kernel.now() + JOIN_TIMEOUT / world.kernel.speed
    while roles[token] == "manager" and not (raft.leads_for(host) and not raft.losing):
        # The leader is looked for where the raft has it, which may be an address it no longer has.
        if world.kernel.now() >= until:
            raise errors.ApiError(503, errors.JOIN_TIMEOUT)
        await world.kernel.sleep(0.2)
    world.update_remotes(cluster)


async def leave(world: World, host: Host, *, force: bool) -> None:
    """Leave the Swarm; the node stays in its list, down, until somebody removes it.

    Raises:
        ApiError: it is a manager, or locked, and nobody said `force`.
    """
    swarm = host.swarm
    if swarm is None:
        raise errors.ApiError(503, errors.NO_SWARM)
    if swarm.locked and not force:
        raise errors.ApiError(
            503,
            "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.",
        )
    await _settled(world, host, swarm)
    if swarm.role == "manager" and not force:
        raise errors.ApiError(503, _leave_warning(swarm))
    cluster, raft = swarm.cluster, swarm.raft
    world.journal.note(
        "swarm.leave",
        f"{host.name} left the Swarm" + (" by force, as a manager." if swarm.role == "manager" else "."),
        risky=swarm.role == "manager" and swarm.node_id in raft.members,
    )
    host.swarm = None
    world.agents[host.name].forget_all()
    host.events.end()
    raft.refresh()
    world.control(cluster).nodes.check(swarm.node_id)
    world.on_host_change(host)


def _leave_warning(swarm: LocalSwarm) -> str:
    text = "You are attempting to leave the swarm on a node that is participating as a manager. "
    members = swarm.raft.members.values()
    if swarm.raft.leader is not None:
        reachable = sum(member.reachable for member in members)
        if len(members) == 1:
            return (
                text + "Removing the last manager erases all current state of the swarm. "
                "Use `--force` to ignore this message. "
            )
        if reachable - 1 < len(members) // 2 + 1:
            text += (
                f"Removing this node leaves {reachable - 1} managers out of {len(members)}. "
                "Without a Raft quorum your swarm will be inaccessible. "
            )
    else:
        text += "Doing so may lose the consensus of your cluster. "
    return text + (
        "The only way to restore a swarm that has lost consensus is to reinitialize it with "
        "`--force-new-cluster`. Use `--force` to suppress this message."
    )


async def unlock(world: World, host: Host, key: str) -> None:
    """Unlock a locked manager.

    Raises:
        ApiError: it is not locked, or the key is wrong or malformed.
    """
    swarm = host.swarm
    if swarm is None:
        raise errors.ApiError(503, errors.NOT_MANAGER)
    if swarm.role != "manager":
        raise errors.ApiError(503, errors.WORKER)
    if not swarm.locked:
        raise errors.ApiError(409, "swarm is not locked")
    if not _KEY.match(key):
        raise errors.ApiError(400, "invalid key string")
    if key != swarm.key:
        await world.kernel.sleep(UNLOCK_TIME)
        raise errors.ApiError(401, "swarm could not be unlocked: invalid key provided")
    swarm.locked, swarm.unlocking = False, True
    swarm.raft.refresh(COLD_START if swarm.raft.leader is None else None)
    await world.kernel.sleep(UNLOCK_TIME)
    await _settled(world, host, swarm)
    swarm.seen_leader = True
    world.rekey(swarm.cluster)
    world.update_remotes(swarm.cluster)
    world.control(swarm.cluster).nodes.check(swarm.node_id)


async def _settled(world: World, host: Host, swarm: LocalSwarm) -> None:
    """An engine that was just unlocked does nothing else about its Swarm before it has found a leader: maybe never.

    Raises:
        ApiError: Docker was stopped meanwhile.
    """
    while swarm.unlocking and not swarm.raft.leads_for(host):
        await world.kernel.sleep(0.2)
        if host.swarm is not swarm or not host.running:
            raise errors.ApiError(500, "context canceled")
    swarm.unlocking = False


async def force_new_cluster(world: World, host: Host, request: Json) -> str:
    """Make this manager, alone, the whole Swarm again. Returns its node id.

    The others keep what they have: a manager that returns still belongs to the old cluster, and two live ones
    are possible, as with real engines.

    Raises:
        ApiError: it is no manager, or locked; with autolock on, its swarm component stays stopped.
    """
    from_disk = host.swarm is None
    swarm = host.swarm or startup.force(world, host)
    if swarm is None:
        return init(world, host, request)
    if swarm.locked:
        raise errors.ApiError(503, errors.LOCKED)
    if swarm.role != "manager":
        raise errors.ApiError(503, errors.WORKER)
    await _settled(world, host, swarm)
    if not request.get("ListenAddr"):
        swarm.error = "swarm component is stopped"
        swarm.raft.refresh()
        _check_listen(request)
    if swarm.key:
        swarm.error = errors.LOCKED
        swarm.raft.refresh()
        raise errors.ApiError(503, errors.LOCKED)
    _note_force(world, host, swarm)
    await world.kernel.sleep(FORCE_TIME)
    return found_anew(world, host, swarm, request, from_disk=from_disk)


def found_anew(world: World, host: Host, swarm: LocalSwarm, request: Json, *, from_disk: bool = False) -> str:
    """Make what a manager has a Swarm of its own, at once. Returns its node id.

    Args:
        from_disk: it was just put there, and never was a part of the Swarm that may still live.
    """
    node_id = swarm.node_id
    # What was just put there has not caught up with anybody.
    log = swarm.log if from_disk and swarm.log is not None else current_log(swarm, running=True)
    cluster = log.cluster.twin()
    raft = Raft(world, cluster)
    raft.terms = list(log.terms)
    control = world.adopt(cluster, raft)
    node = cluster.nodes[node_id]
    for other in cluster.nodes.values():
        other.manager = None
        other.forget()
    lock = bool(request.get("AutoLockManagers"))
    cluster.spec["EncryptionConfig"] = {"AutoLockManagers": lock}
    if lock and not cluster.unlock_key:
        cluster.unlock_key = cluster.ids.unlock_key()
    elif not lock:
        cluster.unlock_key = ""
    cluster.commit_cluster()
    host.swarm = LocalSwarm(
        cluster=cluster,
        raft=raft,
        node_id=node_id,
        role="manager",
        address=address_of(host, str(request.get("AdvertiseAddr") or "")),
        listen=swarm.listen,
        key=cluster.unlock_key,
        key_version=swarm.key_version if cluster.unlock_key == swarm.key else cluster.version,
        cert_begin=swarm.cert_begin,
        cert_end=swarm.cert_end,
    )
    swarm.raft.refresh()
    world.bind(cluster, node_id, host)
    # What it advertises now changes nothing about where the raft looks for it.
    raft.members[node_id] = Member(node_id, host.name, log.members.get(node_id, f"{swarm.address}:2377"))
    for task in cluster.tasks.values():
        control.orchestrator.scheduler.count(task)
        if task.state == "pending":
            control.orchestrator.pending[task.id] = task
    raft.elect_now(node_id)
    paths.follow_all(world)
    cluster.change_node(node, state="ready", message="")
    control.nodes.new_leader()
    world.update_remotes(cluster)
    control.orchestrator.touch_all()
    return node_id


def _note_force(world: World, host: Host, swarm: LocalSwarm) -> None:
    others = [m for m in swarm.raft.members.values() if m.host != host.name]
    alive = [m.host for m in others if swarm.raft.alive(m)]
    startable = [
        m.host
        for m in others
        if m.host not in alive and (found := world.hosts[m.host]).powered
        if found.swarm is not None and found.swarm.node_id == m.node_id
    ]
    text = f"A new cluster was forced on {host.name}"
    if alive:
        text += f" although {' and '.join(sorted(alive))} still lived"
    elif startable:
        text += f" although {' and '.join(sorted(startable))} could be started"
    world.journal.note("swarm.force", text + ".", risky=bool(alive or startable))
