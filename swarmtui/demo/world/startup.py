"""Docker starts on a folder that somebody has put there: a restored backup, or one that was worked on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmtui.demo.world import disk, errors
from swarmtui.demo.world.disk import DamageError
from swarmtui.demo.world.host import File, Host, LocalSwarm
from swarmtui.demo.world.raft import Member, Raft
from swarmtui.demo.world.saved import Log

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World

_RESTART = 2.0
"""Seconds until systemd starts a crashed engine again."""


def found(host: Host) -> dict[str, File]:
    """The files of a Swarm's folder that somebody has put in its place, by their names in it."""
    begin = f"{disk.SWARM}/"
    return {path[len(begin) :]: file for path, file in host.files.items() if path.startswith(begin)}


def clear(host: Host) -> None:
    """What lay in the place of the Swarm's folder is gone: an engine has it in hand, or has removed it.

    The folder itself stays: an engine in no Swarm has an empty one.
    """
    for table in (host.files, host.folders):
        for path in [path for path in table if path == disk.SWARM or path.startswith(f"{disk.SWARM}/")]:
            del table[path]
    host.folders[disk.SWARM] = disk.FOLDERS[""]
    host.swarm_error = ""


def at_start(world: World, host: Host) -> None:
    """A starting engine looks what is there; without docker-state.json it leaves alone what it finds."""
    there = found(host)
    host.swarm_error = ""  # what it suffered from the last time may be gone
    host.folders.setdefault(disk.SWARM, disk.FOLDERS[""])
    if host.swarm is not None or disk.DOCKER_STATE not in there:
        return
    try:
        swarm = take_up(world, host, there)
    except DamageError as damage:
        suffer(world, host, damage)
        return
    log = swarm.log
    if swarm.node_id in swarm.raft.members:
        # Who calls the others under its name is it for them, wherever it is.
        swarm.raft.members[swarm.node_id].host = host.name
    if log is not None and set(log.members) == {swarm.node_id} and swarm.cluster.index != log.cluster.index:
        _go_back(world, host, swarm, log)
    world.bind(swarm.cluster, swarm.node_id, host)


def take_up(world: World, host: Host, there: dict[str, File]) -> LocalSwarm:
    """Make these files the membership of a host again. Nobody else hears of it.

    Raises:
        DamageError: an engine makes none of them.
    """
    swarm = disk.load(world, there)
    clear(host)
    host.swarm = swarm
    return swarm


def _go_back(world: World, host: Host, swarm: LocalSwarm, log: Log) -> None:
    """The only manager of a Swarm has an older log now: what it holds is what is so."""
    old = swarm.cluster
    cluster = log.cluster.twin()
    raft = Raft(world, cluster)
    raft.terms = list(log.terms)
    control = world.adopt(cluster, raft)
    swarm.cluster, swarm.raft, swarm.log = cluster, raft, None
    raft.members[swarm.node_id] = Member(swarm.node_id, host.name, log.members[swarm.node_id])
    for task in cluster.tasks.values():
        control.orchestrator.scheduler.count(task)
        if task.state == "pending":
            control.orchestrator.pending[task.id] = task
    for node_id in cluster.nodes:
        worker = world.host_of(old, node_id)
        if worker is not None and worker.swarm is not None and worker is not host:
            worker.swarm.cluster, worker.swarm.raft = cluster, raft
            world.bind(cluster, node_id, worker)


def suffer(world: World, host: Host, damage: DamageError) -> None:
    """What becomes of an engine that finds such files."""
    if damage.kind == "wiped":
        clear(host)
    elif damage.kind == "panic":
        world.docker_dies(host)
        world.kernel.after(_RESTART, lambda: world.start_docker(host))
    else:
        host.swarm_error = f"manager stopped: {damage}"


def force(world: World, host: Host) -> LocalSwarm | None:
    """`docker swarm init --force-new-cluster` on a host in no Swarm: from the files that lie there; None without any.

    Raises:
        ApiError: an engine makes no Swarm of them.
    """
    there = found(host)
    if not there:
        return None
    try:
        swarm = take_up(world, host, there)
    except DamageError as damage:
        suffer(world, host, damage)
        if damage.kind == "wiped":
            return None
        raise errors.ApiError(500, host.swarm_error or "unexpected EOF") from None
    if swarm.key:
        swarm.locked = True
        raise errors.ApiError(503, errors.NOT_MANAGER)
    return swarm
