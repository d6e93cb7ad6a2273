"""What is wrong with UCP, and what to do about it. Rules as in model/health, where they are shown. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from swarmtui.model.finding import Finding, Severity
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Availability, Node, when
from swarmtui.model.text import listed, one_line, sentence
from swarmtui.model.ucp import facts, status
from swarmtui.model.ucp.status import BALANCER, Door

DAY: Final = 86_400.0
EXPIRY_WARNING: Final = 30 * DAY
"""Unlike a node's, the certificate of a web server does not renew itself."""
EXPIRY_CRITICAL: Final = 2 * DAY
SETTLE_SECONDS: Final = 120.0
"""A node that joined just now gets its agent in a moment (facts.MESSAGES: registration takes up to 30 s)."""
REMEDY: Final = (
    "See why: docker ps -a --filter name=ucp- there, and docker logs of what is bad; then restart it with the image "
    "of the running version: docker/ucp restart."
)
NEW_NAMES: Final = (
    "Add the name: on every manager docker node update --label-add com.docker.ucp.SANs=ALL,THE,NAMES NODE; a "
    "certificate of your own is made anew with it."
)


def ucp_findings(snapshot: Snapshot, now: float) -> Iterator[Finding]:
    """Everything that is wrong with UCP; nothing where there is none.

    Args:
        now: seconds since the epoch.
    """
    if not status.runs_ucp(snapshot):
        return
    nodes = sorted(snapshot.nodes.values(), key=lambda node: (node.name, node.id))
    managers = [node for node in nodes if node.is_voter]
    yield from _down(snapshot, managers)
    for node in nodes:
        yield from _node(snapshot, node, now)
    yield from _balancer(snapshot)
    yield from _versions(snapshot)
    yield from _certificates(snapshot, managers, now)
    yield from _accounts(snapshot)


def _down(snapshot: Snapshot, managers: list[Node]) -> Iterator[Finding]:
    doors = [door for node in managers if (door := _door(snapshot, node.id)) is not None]
    if doors and len(doors) == len(managers) and not any(door.ok for door in doors):
        yield Finding(
            "ucp-down",
            Severity.CRITICAL,
            "",
            f"No manager's {status.product(snapshot)} is healthy: its console, its bundles and logins do not work. "
            "Services keep running.",
            "Mend the Swarm's managers first. Where UCP itself is lost, it is restored from its own backup, and the "
            "Swarm is left alone: swarmtui run ucp.restore",
        )


def _node(snapshot: Snapshot, node: Node, now: float) -> Iterator[Finding]:
    name = node.name
    if node.is_voter and node.spec.availability == Availability.DRAIN:
        yield Finding(
            "ucp-manager-drained",
            Severity.WARNING,
            name,
            f"Manager {name} is drained: that took UCP's own agent off it.",
            f"Let it take tasks again: swarmtui run node.activate node={name}",
            node.id,
        )
    elif _lacks_agent(snapshot, node, now):
        yield Finding(
            "ucp-agent-missing",
            Severity.WARNING,
            name,
            f"UCP's agent does not run on {name}: nothing mends UCP's components there.",
            f"See why: docker service ps --no-trunc {_agent_names(snapshot)}",
            node.id,
        )
    if not node.is_ready:
        return  # said already, of the node itself
    health = status.health_of(snapshot, node)
    bad = status.troubles(snapshot, node)
    if bad:
        yield Finding(
            "ucp-component",
            Severity.WARNING,
            name,
            f"UCP on {name}: {listed(bad)}.",
            REMEDY,
            node.id,
        )
    elif health.state == "unhealthy":
        yield Finding(
            "ucp-unhealthy",
            Severity.WARNING,
            name,
            f"UCP on {name} is not healthy: {sentence(health.why)}",
            _meant(health.why) or REMEDY,
            node.id,
        )
    if alarm := status.false_alarm(snapshot, node):
        mended = ".".join(map(str, facts.FALSE_ALARMS[alarm]))
        yield Finding(
            "ucp-false-alarm",
            Severity.ADVICE,
            name,
            f"{alarm} on {name} is called unhealthy, and the manager's own /_ping says that all is well: a known false "
            f"alarm, mended in UCP {mended}.",
            f"Nothing is to be done; it goes with an upgrade to {mended} or later.",
            node.id,
        )


def _lacks_agent(snapshot: Snapshot, node: Node, now: float) -> bool:
    reading = snapshot.readings.get("tasks")
    joined = when(node.created_at)
    fresh = joined is not None and now - joined.timestamp() < SETTLE_SECONDS
    if reading is None or not reading.known or not node.takes_tasks or fresh:
        return False
    ids = {service.id for service in status.agents(snapshot)}
    return not any(task.service_id in ids and task.is_wanted for task in snapshot.tasks_on(node.id))


def _agent_names(snapshot: Snapshot) -> str:
    return " ".join(sorted(service.name for service in status.agents(snapshot)))


def _balancer(snapshot: Snapshot) -> Iterator[Finding]:
    door = _door(snapshot, BALANCER)
    if door is None or door.ok:
        return
    others = [one for key, one in (snapshot.ucp.doors if snapshot.ucp else {}).items() if key != BALANCER]
    if any(one.ok for one in others):
        yield Finding(
            "ucp-balancer",
            Severity.WARNING,
            door.host,
            f"UCP cannot be used through its load balancer {door.host}, although managers are healthy: "
            f"{sentence(door.why)}",
            "Look at the load balancer: TCP passthrough, no TLS of its own, health check GET /_ping.",
        )


def _versions(snapshot: Snapshot) -> Iterator[Finding]:
    found = status.versions(snapshot)
    if len(found) > 1:
        told = "; ".join(f"{version} on {listed(where, 3)}" for version, where in sorted(found.items()))
        yield Finding(
            "ucp-mixed-versions",
            Severity.WARNING,
            "",
            f"UCP's versions differ: {told}.",
            "An upgrade is under way, or was cut off: finish it before a backup, which is good for one version only.",
        )


def _certificates(snapshot: Snapshot, managers: list[Node], now: float) -> Iterator[Finding]:
    balancer = _door(snapshot, BALANCER)
    lacking: list[str] = []
    for node in managers:
        door = _door(snapshot, node.id)
        shown = door.certificate if door is not None else None
        if door is None or shown is None:
            continue
        if shown.names and not any(shown.is_for(name) for name in (node.hostname, node.address, door.host) if name):
            yield Finding(
                "ucp-certificate-names",
                Severity.WARNING,
                node.name,
                f"UCP's certificate on {node.name} is made out to {listed(shown.names)}: not to {node.name} or "
                f"{node.address}.",
                NEW_NAMES,
                node.id,
            )
        if balancer is not None and not shown.is_for(balancer.host):
            lacking.append(node.name)
        if shown.itself:
            yield Finding(
                "ucp-certificate-self-signed",
                Severity.WARNING,
                node.name,
                f"UCP's certificate on {node.name} is signed by itself: nobody can tell it from a forged one.",
                "Use one of your own CA: in UCP's admin settings, Certificates; existing bundles end with that.",
                node.id,
            )
        if shown.leads is False:
            yield Finding(
                "ucp-certificate-chain",
                Severity.WARNING,
                node.name,
                f"UCP's certificate on {node.name}, signed by {one_line(shown.issuer) or 'nobody it names'}, does not "
                "lead to the authority that UCP names (/ca): one between them is not shown with it.",
                "Clients refuse it. In UCP's admin settings, Certificates: put every certificate up to the authority "
                "behind the server's own one, in this order; existing bundles end with that.",
                node.id,
            )
        yield from _expiring(node, shown.expires - now)
    if balancer is not None and lacking:
        yield Finding(
            "ucp-certificate-balancer",
            Severity.WARNING,
            balancer.host,
            f"UCP's certificate is not made out to the load balancer {balancer.host} on {listed(lacking)}: bundles "
            "and browsers that go through it refuse the connection.",
            NEW_NAMES,
        )


def _expiring(node: Node, left: float) -> Iterator[Finding]:
    if left > EXPIRY_WARNING:
        return
    days = round(left / DAY)
    when_told = "has expired" if left <= 0 else f"expires in {days} {'day' if days == 1 else 'days'}"
    yield Finding(
        "ucp-certificate-expiring",
        Severity.CRITICAL if left <= EXPIRY_CRITICAL else Severity.WARNING,
        node.name,
        f"The certificate of UCP's web server on {node.name} {when_told}.",
        "Put a new one in: in UCP's admin settings, Certificates; then download client bundles anew.",
        node.id,
    )


def _accounts(snapshot: Snapshot) -> Iterator[Finding]:
    missing = snapshot.ucp.missing_accounts if snapshot.ucp is not None else None
    if missing:
        count = "1 account" if len(missing) == 1 else f"{len(missing)} accounts"
        yield Finding(
            "ucp-accounts-missing",
            Severity.WARNING,
            "",
            f"UCP has {count} less than its newest backup: {listed(missing)}.",
            "If they were deleted by mistake, UCP alone is restored, and the Swarm is left alone: "
            "swarmtui run ucp.restore",
        )


def _door(snapshot: Snapshot, key: str) -> Door | None:
    return snapshot.ucp.doors.get(key) if snapshot.ucp is not None else None


def _meant(why: str) -> str:
    meaning = facts.meaning(why)
    return f"{meaning[:1].upper()}{meaning[1:]}." if meaning else ""
