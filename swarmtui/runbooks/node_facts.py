"""What the runbooks on nodes need to know before they plan, gathered once and kept in the journal."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Iterable, Mapping

import msgspec

from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.link.ssh import SshHost
from swarmtui.model.health import runs_ucp
from swarmtui.model.impact import Impact, impact_of
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.text import one_line
from swarmtui.session import Session

CONTAINERS_SECONDS = 6.0


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about the nodes an operation is for.

    Attributes:
        nodes: the nodes named, in that order, as they were.
        names: node id → what to call it in a command: the hostname where only one node has it, else the id.
        voters: raft members; reachable: those the leader hears from.
        voting: per node id, whether it is a raft member, and whether it is reachable.
        impact: what happens to the tasks.
        through: id of the node we talk through, "" where unknown; ways: how many other managers could take its place.
        hosts: node id → SSH destination and port of its host.
        containers: node id → names of containers there that are not of the Swarm; absent where nobody could look.
        ill: node id → those of them that restart over and over, or say that they are unhealthy.
        ucp: whether UCP manages this Swarm.
        sudo: whether host commands need `sudo -n`.
    """

    nodes: tuple[Node, ...]
    names: dict[str, str]
    voters: int
    reachable: int
    impact: Impact
    through: str = ""
    ways: int = 0
    hosts: dict[str, tuple[str, int | None]] = msgspec.field(default_factory=dict)
    containers: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    ill: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    ucp: bool = False
    sudo: bool = False


def resolve(snapshot: Snapshot, wanted: Iterable[str]) -> list[Node]:
    """Finds nodes by hostname, id or the start of an id (4 characters or more), each once.

    Raises:
        UsageError: a name is nobody's, or several nodes'.
    """
    found: dict[str, Node] = {}
    for text in wanted:
        matches = [node for node in snapshot.nodes.values() if text in (node.id, node.hostname)]
        if not matches and len(text) >= 4:
            matches = [node for node in snapshot.nodes.values() if node.id.startswith(text)]
        if not matches:
            names = sorted({node.name for node in snapshot.nodes.values()})
            close = difflib.get_close_matches(text, names, 1)
            hint = f'Did you mean "{close[0]}"?' if close else f"The nodes are: {', '.join(names[:20])}."
            raise UsageError(f'There is no node "{one_line(text)}".', hint)
        if len(matches) > 1:
            ids = ", ".join(f"{n.id} ({n.status.state})" for n in matches)
            raise UsageError(
                f'"{text}" is the name of {len(matches)} nodes: {ids}.', "Name the one you mean by its id."
            )
        found[matches[0].id] = matches[0]
    return list(found.values())


def command_name(snapshot: Snapshot, node: Node) -> str:
    """What the docker CLI takes for this node and no other: its hostname, or its id where that is not unique
    or plain."""
    alone = sum(other.hostname == node.hostname for other in snapshot.nodes.values()) == 1
    plain = node.hostname.isascii() and node.hostname.replace("-", "").replace(".", "").replace("_", "").isalnum()
    return node.hostname if alone and plain and not node.hostname.startswith("-") else node.id


async def gather(
    session: Session, wanted: Iterable[str], changed: Mapping[str, Node | None] | None = None
) -> NodeFacts:
    """Refreshes the snapshot and gathers the facts about the named nodes.

    Args:
        changed: nodes as they would be afterwards; may be given later with `with_impact`.

    Raises:
        UsageError: a node is not there, or is named ambiguously.
        LinkError: the cluster cannot be asked.
    """
    snapshot = await session.refresh()
    if trouble := snapshot.readings["nodes"].trouble:
        raise SwarmtuiError(f"The nodes cannot be read now: {trouble}", "Nothing was changed. See: swarmtui status")
    nodes = resolve(snapshot, wanted)
    voters = [node for node in snapshot.nodes.values() if node.is_voter]
    through = session.connection.node_id
    hosts: dict[str, tuple[str, int | None]] = {}
    for node in nodes:
        target = session.host_label(node)
        hosts[node.id] = (target.destination, target.port)
    return NodeFacts(
        nodes=tuple(nodes),
        names={node.id: command_name(snapshot, node) for node in nodes},
        voters=len(voters),
        reachable=sum(node.is_reachable for node in voters),
        impact=impact_of(snapshot, changed or {}),
        through=through,
        ways=sum(node.is_reachable and node.id != through for node in voters),
        hosts=hosts,
        ucp=runs_ucp(snapshot),
        sudo=session.opening.cluster.sudo,
    )


def with_impact(facts: NodeFacts, snapshot: Snapshot, changed: Mapping[str, Node | None]) -> NodeFacts:
    """The same facts with the impact of these changes."""
    return msgspec.structs.replace(facts, impact=impact_of(snapshot, changed))


async def with_containers(session: Session, facts: NodeFacts) -> NodeFacts:
    """The same facts with the containers on those nodes that the Swarm knows nothing of, where somebody can look."""

    async def look(node: Node) -> tuple[str, dict[str, str]] | None:
        try:
            async with asyncio.timeout(CONTAINERS_SECONDS):
                # A look on the side asks nobody anything: the question would be gone before it could be answered.
                host = await session.host(node, ask=False)
                return node.id, await _containers_outside_swarm(host, "sudo -n " if facts.sudo else "")
        except (SwarmtuiError, TimeoutError):
            return None

    seen = await asyncio.gather(*(look(node) for node in facts.nodes if node.is_ready))
    found = dict(entry for entry in seen if entry is not None)
    return msgspec.structs.replace(
        facts,
        containers={node: tuple(sorted(states)) for node, states in found.items()},
        ill={node: ill for node, states in found.items() if (ill := tuple(sorted(filter(_is_ill(states), states))))},
    )


def _is_ill(states: Mapping[str, str]) -> Callable[[str], bool]:
    return lambda name: "unhealthy" in states[name] or states[name].startswith("Restarting")


async def _containers_outside_swarm(host: SshHost, sudo: str) -> dict[str, str]:
    """What `docker ps` says of each, by name."""
    command = f"{sudo}docker ps --format '{{{{.Names}}}} {{{{.Label \"com.docker.swarm.task.id\"}}}}|{{{{.Status}}}}'"
    completed = await host.run(command, timeout=CONTAINERS_SECONDS)
    if completed.code != 0:
        raise SwarmtuiError(one_line(completed.err))
    lines = ((head.split(), state) for head, _, state in (line.partition("|") for line in completed.out.splitlines()))
    return {parts[0]: state for parts, state in lines if len(parts) == 1}
