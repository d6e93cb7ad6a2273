"""Which rung of the ladder a node in trouble needs (procedures.md N4). Pure.

Unlock, restart the daemon, reboot, rejoin, replace: each is offered only when the one before has failed or cannot be
tried. Whether a restart was tried is seen on the host itself: its Docker has been running for less time than its node
has been out.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from swarmtui.model.swarm import Node, Role, host_of
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import HostSeen

SETTLE_DOCKER = 60.0
"""Seconds after a start of Docker in which a manager may still find the others; blocked for 20 of them without a
leader (swarm-dr.md §4)."""
SETTLE_HOST = 120.0
MARGIN = 5.0


class Rung(StrEnum):
    """What is to be done with a node in trouble, the mildest first."""

    NONE = "none"
    WAIT = "wait"
    UNLOCK = "unlock"
    TIDY = "tidy"
    RESTART = "restart"
    REBOOT = "reboot"
    REJOIN = "rejoin"
    REPLACE = "replace"


ORDER = (Rung.NONE, Rung.WAIT, Rung.UNLOCK, Rung.TIDY, Rung.RESTART, Rung.REBOOT, Rung.REJOIN, Rung.REPLACE)


class Verdict(Struct, frozen=True):
    """Which rung, and why: one sentence each.

    Attributes:
        others: what was found about the other rungs: (rung, sentence).
    """

    rung: Rung
    because: str
    others: tuple[tuple[Rung, str], ...] = ()


def moved(node: Node, seen: HostSeen) -> str:
    """The manager's address in the raft, where its host has it no more; "" where it has it, or nobody knows."""
    if node.manager_status is None or not seen.addresses:
        return ""
    address = host_of(node.manager_status.addr)
    return "" if address in seen.addresses or address in ("", "0.0.0.0", "127.0.0.1") else address


def in_order(node: Node) -> bool:
    """The managers hear from it, as a manager too if it is to be one."""
    return node.is_ready and (node.is_reachable if node.spec.role == Role.MANAGER or node.is_voter else True)


def judge(node: Node, seen: HostSeen, *, known: frozenset[str], cluster_id: str, out_seconds: float) -> Verdict:
    """Finds the mildest rung that can help.

    Args:
        known: ids of all nodes of the Swarm.
        out_seconds: how long the node has been out at least; -1.0 where nobody knows.
    """
    name, swarm = seen.at.name, seen.swarm
    if seen.trouble:
        if in_order(node):
            return Verdict(Rung.NONE, f"The managers hear from {name}; only its SSH fails: {seen.trouble}")
        why = f"nobody can log in to {name}: {seen.trouble}"
        return Verdict(
            Rung.REPLACE,
            f"Restart, reboot and rejoin cannot be tried, because {why}",
            tuple((rung, "cannot be tried without SSH") for rung in (Rung.RESTART, Rung.REBOOT, Rung.REJOIN)),
        )
    if in_order(node) and (other := another(node, seen, cluster_id)):
        # A live engine is this node: it is not stale, and nothing may be done to whoever else answers there.
        return Verdict(
            Rung.NONE, f"The managers hear from {name}, but the Docker at {seen.at.host} {other}: is that its host?"
        )
    if seen.docker_down or seen.silent:
        because = f"docker.service is {seen.unit} on {name}." if seen.docker_down else seen.silent
        return Verdict(Rung.RESTART, because, _after_restart(seen))
    if swarm.local_node_state == "locked":
        return Verdict(
            Rung.UNLOCK,
            f"{name} is only locked: its Docker was restarted and waits for the unlock key. The others see it as down.",
            ((Rung.RESTART, "a restart would leave it locked"),),
        )
    if swarm.local_node_state in ("inactive", ""):
        return Verdict(
            Rung.REJOIN,
            f"The Docker of {name} is in no Swarm: it left, or its state there is gone.",
            ((Rung.RESTART, "there is no state that a restart could bring back"),),
        )
    if swarm.node_id and swarm.node_id != node.id:
        if swarm.node_id in known:
            because = f"{name} is back already, as node {swarm.node_id}: entry {node.id} is a stale duplicate."
            return Verdict(Rung.TIDY, because)
        return Verdict(
            Rung.REJOIN,
            f"The Docker of {name} is node {swarm.node_id}, which is no entry of this Swarm: it belongs to another, or "
            "was removed.",
            ((Rung.RESTART, "a restart would find the same state"),),
        )
    if seen.cluster_id and cluster_id and seen.cluster_id != cluster_id:
        return Verdict(Rung.REJOIN, f"{name} is a manager of another Swarm ({seen.cluster_id[:12]}).")
    if in_order(node):
        return Verdict(Rung.NONE, f"The managers hear from {name}, and its Docker is {swarm.local_node_state}.")
    if old := moved(node, seen):
        return Verdict(
            Rung.REJOIN,
            f"The address of {name} has changed: the raft knows it at {old}, its host has "
            f"{', '.join(seen.addresses[:3])}. A manager's address in the raft never follows by itself.",
            ((Rung.RESTART, f"it would go on announcing {old}; right only if that is a NAT or load balancer address"),),
        )
    return _by_what_was_tried(name, seen, out_seconds)


def another(node: Node, seen: HostSeen, cluster_id: str) -> str:
    """What the engine of a host is that is not this node; "" where it is, or nobody knows."""
    if seen.docker_down or seen.silent:
        return ""
    if seen.swarm.local_node_state in ("inactive", ""):
        return "is in no Swarm"
    if seen.swarm.node_id and seen.swarm.node_id != node.id:
        return f"is node {seen.swarm.node_id}"
    if seen.cluster_id and cluster_id and seen.cluster_id != cluster_id:
        return f"is a manager of another Swarm ({seen.cluster_id[:12]})"
    return ""


def in_use_elsewhere(seen: HostSeen, *, known: frozenset[str], cluster_id: str) -> bool:
    """Whether a host works in another Swarm now; a node that was removed from this one is never active again."""
    if seen.cluster_id and cluster_id and seen.cluster_id != cluster_id:
        return True
    own = seen.swarm
    return own.local_node_state == "active" and bool(own.node_id) and own.node_id not in known


def _by_what_was_tried(name: str, seen: HostSeen, out_seconds: float) -> Verdict:
    state = f"Its Docker says {seen.swarm.local_node_state}"
    state += f" ({seen.swarm.error.rstrip('. ')})." if seen.swarm.error else ", but the managers do not hear from it."
    docker, up = seen.docker_seconds, seen.up_seconds
    restarted = docker >= 0.0 and docker + MARGIN < out_seconds
    rebooted = up >= 0.0 and up + MARGIN < out_seconds
    if restarted and docker < SETTLE_DOCKER:
        return Verdict(Rung.WAIT, f"Docker on {name} was started {docker:.0f} s ago: it may still find the others.")
    if rebooted and up < SETTLE_HOST:
        return Verdict(Rung.WAIT, f"{name} was booted {up:.0f} s ago: it may still find the others.")
    if not restarted:
        return Verdict(Rung.RESTART, f"{state} A restart of Docker was not tried since.", _after_restart(seen))
    tried = (Rung.RESTART, f"was tried {_ago(docker)}, and did not help")
    if not rebooted:
        return Verdict(Rung.REBOOT, f"{state} Docker was restarted since, and that did not help.", (tried,))
    return Verdict(
        Rung.REJOIN,
        f"{state} Docker was restarted and {name} rebooted since, and neither helped.",
        (tried, (Rung.REBOOT, f"was tried {_ago(up)}, and did not help")),
    )


def _after_restart(seen: HostSeen) -> tuple[tuple[Rung, str], ...]:
    return (
        (Rung.REBOOT, "if a restart does not help"),
        (Rung.REJOIN, "if a reboot does not help"),
        (Rung.REPLACE, f"if {seen.at.name} is given up"),
    )


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago"
