"""What `status` and `doctor` say of UCP. What is wrong with it stands among the findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.text import one_line
from swarmtui.model.ucp import status
from swarmtui.model.ucp.status import BALANCER, Certificate, Door, UcpSeen
from swarmtui.runbooks.ucp.missing import Missing


def ucp_words(snapshot: Snapshot) -> str:
    """One sentence: which UCP manages the Swarm, and on how many managers it is healthy; "" where there is none."""
    if not status.runs_ucp(snapshot):
        return ""
    doors = _managers(snapshot)
    told = f"{sum(door.ok for _, door in doors)}/{len(doors)} managers healthy" if doors else "no manager was asked"
    return one_line(f"{status.product(snapshot)} (instance {status.instance_of(snapshot)}): {told}.")


def ucp_lines(snapshot: Snapshot, missing: Missing) -> Iterator[str]:
    """Each web server and each node, one line each; and the accounts, compared with the newest backup's."""
    if not status.runs_ucp(snapshot):
        return
    yield one_line(f"{status.product(snapshot)}, instance {status.instance_of(snapshot)}:")
    seen = snapshot.ucp or UcpSeen()
    if balancer := seen.doors.get(BALANCER):
        yield f"  {door_words('the load balancer', balancer)}"
    for node, door in _managers(snapshot):
        yield f"  {door_words(node.name, door)}"
    for node in sorted(snapshot.nodes.values(), key=lambda node: (not node.is_voter, node.name)):
        health = status.health_of(snapshot, node)
        word = {"unknown": "not known"}.get(health.state, health.state)
        parts, total = seen.parts.get(node.id), len(status.expected(snapshot, node))
        bad = len(status.troubles(snapshot, node))
        count = f", {total - bad} of {total} components well" if parts is not None and parts.at and total else ""
        why = f" ({health.why.rstrip('.')})" if health.why else ""
        yield f"  {one_line(f'UCP on {node.name} is {word}{count}{why}')}"
    if missing.names is None:
        why = one_line(missing.why) or "no manager was asked"
        yield f"  Its accounts were not compared with a backup's: {why}."
    else:
        told = f"{len(missing.names)} are missing" if missing.names else "none is missing"
        yield f"  Of the accounts in its backup {one_line(missing.backup)} {told}."


def ucp_object(snapshot: Snapshot) -> dict[str, Any] | None:
    """For a program; None where there is no UCP."""
    if not status.runs_ucp(snapshot):
        return None
    version, seen = status.version_of(snapshot), snapshot.ucp or UcpSeen()
    balancer = seen.doors.get(BALANCER)
    return {
        "product": status.product(snapshot),
        "version": None if version is None else str(version),
        "instance": status.instance_of(snapshot),
        "balancer": None if balancer is None else door_object(balancer),
        "nodes": [
            {
                "id": node.id,
                "name": node.name,
                "state": (health := status.health_of(snapshot, node)).state,
                "why": health.why,
                "ping": None if (door := seen.doors.get(node.id)) is None else door_object(door),
                "troubles": status.troubles(snapshot, node),
                "components": None
                if (parts := seen.parts.get(node.id)) is None or not parts.at
                else {part.name: part.status for part in parts.components},
            }
            for node in sorted(snapshot.nodes.values(), key=lambda node: (node.name, node.id))
        ],
    }


def _managers(snapshot: Snapshot) -> list[tuple[Node, Door]]:
    doors = snapshot.ucp.doors if snapshot.ucp is not None else {}
    found = [(node, doors[node.id]) for node in snapshot.nodes.values() if node.id in doors]
    return sorted(found, key=lambda each: each[0].name)


def door_words(name: str, door: Door) -> str:
    """How a web server answers, for a person."""
    shown = door.certificate
    names = f"; its certificate is made out to {', '.join(shown.names)}" if shown is not None else ""
    answer = f"answers 200 after {door.took:.1f} s" if door.ok else f"is not healthy: {door.why.rstrip('.')}"
    return one_line(f"{name} ({door.url}) {answer}{names}")


def door_object(door: Door) -> dict[str, Any]:
    """How a web server answers, for a program."""
    return {
        "url": door.url,
        "status": door.status or None,
        "text": door.text,
        "trouble": door.trouble,
        "seconds": round(door.took, 3),
        "certificate": None if door.certificate is None else _certificate(door.certificate),
    }


def _certificate(shown: Certificate) -> dict[str, Any]:
    named = {"names": list(shown.names), "issuer": shown.issuer}
    return {**named, "expires": shown.expires, "self_signed": shown.itself}
