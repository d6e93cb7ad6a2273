"""What is wrong with a cluster, and what to do about it. Header, status, recover and doctor all show these
same findings.

Every rule has an id that never changes its meaning. Rules are pure: the current time is an argument.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from swarmtui.model.backups import BackupHolding, age_words
from swarmtui.model.dtr.health import dtr_findings
from swarmtui.model.finding import Finding, Severity, alarms
from swarmtui.model.quorum import Quorum, quorum, tolerance_of
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Availability, Node
from swarmtui.model.ucp.health import ucp_findings
from swarmtui.model.ucp.status import runs_ucp

__all__ = ["Finding", "Severity", "alarms", "backup_findings", "findings", "runs_ucp"]

DAY = 86_400.0
CERTIFICATE_WARNING = 14 * DAY
CERTIFICATE_CRITICAL = 2 * DAY


def findings(snapshot: Snapshot, *, now: float, zone_label: str = "zone") -> list[Finding]:
    """Everything found in a snapshot, the worst first.

    Args:
        now: seconds since the epoch.
        zone_label: node label that names a node's zone.
    """
    nodes = list(snapshot.nodes.values())
    found = [
        *_rivals(snapshot),
        *_raft(snapshot, quorum(nodes), nodes),
        *_nodes(nodes, snapshot.locked),
        *_duplicates(nodes),
        *_zones(nodes, zone_label),
        *_engines(nodes),
        *_certificates(snapshot, now),
        *_unlock_key(snapshot),
        *backup_findings(snapshot.backups, now),
        *_tasks(snapshot),
        *_workload(snapshot),
        *ucp_findings(snapshot, now),
        *dtr_findings(snapshot, now),
    ]
    found.sort(key=lambda f: (-f.severity, f.rule, f.about))
    return found


def _rivals(snapshot: Snapshot) -> Iterator[Finding]:
    if snapshot.rivals:
        names = ", ".join(sorted(snapshot.rivals))
        word = "follows" if len(snapshot.rivals) == 1 else "follow"
        yield Finding(
            "two-swarms",
            Severity.CRITICAL,
            "",
            f"Two Swarms with the same members live side by side: {names} {word} another leader.",
            "Change nothing before one of them is ended: swarmtui recover tells which, and how.",
        )


def _raft(snapshot: Snapshot, raft: Quorum, nodes: list[Node]) -> Iterator[Finding]:
    if snapshot.info.swarm.no_leader or (raft.voters and not raft.held):
        yield Finding(
            "quorum-lost",
            Severity.CRITICAL,
            "",
            "The Swarm has no quorum: nothing can be changed. Running tasks keep running.",
            "Bring managers back first (start Docker, unlock, mend the network); force a new cluster only when "
            "they are lost for good.",
        )
        return
    if raft.voters == 1:
        yield Finding(
            "single-manager",
            Severity.WARNING,
            "",
            "There is only one manager: its loss is the loss of the Swarm's control.",
            "Add managers until there are 3.",
        )
    elif raft.voters == 2:
        yield Finding(
            "two-managers",
            Severity.WARNING,
            "",
            "Two managers are worse than one: the loss of either stops all changes.",
            "Add a third manager, or demote one.",
        )
    elif raft.voters and raft.voters % 2 == 0:
        yield Finding(
            "even-managers",
            Severity.WARNING,
            "",
            f"{raft.voters} managers survive no more losses ({tolerance_of(raft.voters)}) "
            f"than {raft.voters - 1} would.",
            "Keep the number of managers odd: promote or demote one.",
        )
    if raft.voters > 7:
        yield Finding(
            "many-managers",
            Severity.ADVICE,
            "",
            f"{raft.voters} managers: each one more slows every write.",
            "Keep 3, 5 or 7 managers.",
        )
    if raft.held and raft.slack == 0 and raft.voters > 2:
        yield Finding(
            "no-slack",
            Severity.CRITICAL,
            "",
            f"Quorum hangs on every one of {raft.reachable} managers: one more loss stops all changes.",
            "Bring the missing managers back before anything else.",
        )
    if raft.voters and not any(node.is_leader for node in nodes):
        yield Finding(
            "no-leader",
            Severity.WARNING,
            "",
            "No manager is the leader: an election is under way, or was just decided.",
            "Wait a few seconds and look again.",
        )


def _nodes(nodes: list[Node], locked: frozenset[str]) -> Iterator[Finding]:
    for node in nodes:
        if node.id in locked:
            yield Finding(
                "manager-locked",
                Severity.CRITICAL,
                node.name,
                f"Manager {node.name} is locked: its Docker was restarted, and it counts as lost until it is unlocked.",
                f"Unlock it: swarmtui run swarm.unlock node={node.name} (U in the console).",
                node.id,
            )
        elif node.is_voter and not node.is_reachable:
            yield Finding(
                "manager-unreachable",
                Severity.CRITICAL,
                node.name,
                f"The other managers cannot reach manager {node.name}.",
                "Look first whether it is only locked; then restart Docker there, reboot it, or replace it.",
                node.id,
            )
        elif not node.is_ready:
            message = f" ({node.status.message})" if node.status.message else ""
            yield Finding(
                "node-down",
                Severity.WARNING,
                node.name,
                f"Node {node.name} is {node.status.state or 'in an unknown state'}{message}.",
                "Restart Docker on it or mend its network; if it is gone for good, remove it.",
                node.id,
            )
        if node.spec.role == "manager" and not node.is_voter:
            yield Finding(
                "manager-not-in-raft",
                Severity.WARNING,
                node.name,
                f"{node.name} is to be a manager but is no member of the raft.",
                "It is joining now, or was left behind by a forced cluster: then remove it and join it again.",
                node.id,
            )
        if node.spec.role == "worker" and node.is_voter:
            yield Finding(
                "worker-in-raft",
                Severity.WARNING,
                node.name,
                f"{node.name} was demoted but is still a member of the raft, and counts for quorum.",
                "Bring it or another manager back, so that the demotion can finish.",
                node.id,
            )


def _duplicates(nodes: list[Node]) -> Iterator[Finding]:
    """Rows left behind by a host that joined again (moby#30059)."""
    keys: dict[str, Callable[[Node], str]] = {"hostname": lambda n: n.hostname, "address": lambda n: n.address}
    for what, key in keys.items():
        groups: dict[str, list[Node]] = defaultdict(list)
        for node in nodes:
            if value := key(node):
                groups[value].append(node)
        for value, same in groups.items():
            stale = [n for n in same if not n.is_ready]
            if len(same) < 2 or len(stale) == len(same) or not stale:
                continue
            for node in stale:
                if what == "address" and any(o.hostname == node.hostname and o is not node for o in same):
                    continue  # said already, by its hostname
                yield Finding(
                    f"stale-{what}",
                    Severity.WARNING,
                    node.name,
                    f"{node.name} ({node.id[:12]}) is down while another node has the same {what} {value}: it "
                    f"is an old entry.",
                    "Remove the old entry"
                    + (" after demoting it: it still counts for quorum." if node.is_voter else "."),
                    node.id,
                )


def _zones(nodes: list[Node], zone_label: str) -> Iterator[Finding]:
    """Managers spread over zones so that the loss of one zone never costs the quorum (procedures.md B6)."""
    voters = [node for node in nodes if node.is_voter]
    zones = Counter(node.labels[zone_label] for node in voters if zone_label in node.labels)
    if len(voters) < 3 or sum(zones.values()) < len(voters):
        return
    zone, most = max(zones.items(), key=lambda item: (item[1], item[0]))
    if most > tolerance_of(len(voters)):
        yield Finding(
            "zones-unspread",
            Severity.WARNING,
            zone,
            f"{most} of {len(voters)} managers are in zone {zone}: losing it would cost the quorum.",
            "Spread the managers over at least 3 zones.",
        )


def _engines(nodes: list[Node]) -> Iterator[Finding]:
    versions = Counter(
        node.description.engine.engine_version for node in nodes if node.description.engine.engine_version
    )
    if len(versions) > 1:
        told = ", ".join(f"{version} on {n}" for version, n in versions.most_common())
        yield Finding(
            "mixed-engines",
            Severity.ADVICE,
            "",
            f"The engines differ: {told}.",
            "Bring all nodes to one version.",
        )


def _certificates(snapshot: Snapshot, now: float) -> Iterator[Finding]:
    for node_id, expires in snapshot.certificates.items():
        node = snapshot.nodes.get(node_id)
        left = expires - now
        if node is None or left > CERTIFICATE_WARNING:
            continue
        when = "has expired" if left <= 0 else f"expires in {left / DAY:.0f} days"
        yield Finding(
            "certificate-expiring",
            Severity.CRITICAL if left <= CERTIFICATE_CRITICAL else Severity.WARNING,
            node.name,
            f"The certificate of {node.name} {when}.",
            "It renews itself while the node is up and reaches a manager: look at its clock and network.",
            node.id,
        )


TAKE_KEY = "Take it into the vault: swarmtui run swarm.autolock enable=true."


def _unlock_key(snapshot: Snapshot) -> Iterator[Finding]:
    """A lost unlock key is a lost cluster: engines have it only while an unlocked manager runs (swarm-dr.md §5)."""
    holding = snapshot.unlock_key
    if holding is None or holding.state == "off":
        return
    if holding.state == "missing":
        yield Finding(
            "unlock-key-missing",
            Severity.WARNING,
            "",
            "Autolock is on, and the vault does not have the unlock key: once all managers have restarted, nobody can "
            "unlock the Swarm from here.",
            TAKE_KEY,
        )
    elif holding.state == "differs":
        yield Finding(
            "unlock-key-differs",
            Severity.WARNING,
            "",
            "The vault's unlock key is not the cluster's: it was rotated by somebody else.",
            TAKE_KEY,
        )
    elif holding.state == "unknown":
        yield Finding(
            "unlock-key-unknown",
            Severity.WARNING,
            "",
            f"Autolock is on, and the vault cannot tell whether it has the unlock key: {holding.trouble}",
            "Mend the vault, or keep the key elsewhere: docker swarm unlock-key.",
        )
    elif not holding.durable:
        yield Finding(
            "unlock-key-not-durable",
            Severity.WARNING,
            "",
            f"The unlock key is kept in {holding.where}: it is lost with this program.",
            "Keep it elsewhere as well (swarmtui secrets export), or use a keyring: swarmtui secrets list tells how.",
        )


def backup_findings(held: BackupHolding | None, now: float) -> Iterator[Finding]:
    """HA is no backup (procedures.md K5): a wrong command reaches every manager. Only what is proved counts."""
    if held is None or (state := held.state(now)) == "ok":
        return
    take = "Take one: swarmtui run swarm.backup; every night: swarmtui backups schedule."
    if state == "unknown":
        yield Finding("backup-unknown", Severity.WARNING, "", held.trouble, "Look at its folder and its disk.")
    elif state == "none":
        # Who backs up by other means, and told us nothing of it, gets advice and no alarm.
        severity = Severity.WARNING if held.meant else Severity.ADVICE
        what = "There is no backup of this Swarm's control in the catalogue."
        yield Finding("backup-none", severity, "", what, f"{take} Others' archives: swarmtui backups import FILE.")
    elif state == "not proved":
        newest = f"the newest is {age_words(now - held.newest_at)} old" if held.newest_at else "nobody knows their age"
        what = f"Of no backup is it proved that it would restore ({held.count} in the catalogue, {newest})."
        yield Finding("backup-not-proved", Severity.WARNING, "", what, "Prove it: swarmtui backups verify.")
    else:
        what = f"The newest backup that is proved is {age_words(now - held.proved_at)} old, more than "
        newer = held.newest_at > held.proved_at
        advice = "A newer one is not proved: swarmtui backups verify." if newer else take
        yield Finding("backup-old", Severity.WARNING, "", f"{what}{held.fresh_hours} h.", advice)


def _tasks(snapshot: Snapshot) -> Iterator[Finding]:
    if not all(c in snapshot.readings and snapshot.readings[c].known for c in ("services", "tasks")):
        return
    running = Counter(task.service_id for task in snapshot.tasks.values() if snapshot.is_live(task))
    for service in snapshot.services.values():
        if service.is_job or not service.replicas:
            continue
        live = running[service.id]
        if live == 0:
            yield Finding(
                "service-down",
                Severity.CRITICAL,
                service.name,
                f"Service {service.name} has no running task (0/{service.replicas}).",
                f"See why: docker service ps --no-trunc {service.name}",
            )
        elif live < service.replicas:
            yield Finding(
                "service-short",
                Severity.WARNING,
                service.name,
                f"Service {service.name} runs {live} of {service.replicas} tasks.",
                f"See why: docker service ps --no-trunc {service.name}",
            )


def _workload(snapshot: Snapshot) -> Iterator[Finding]:
    """Managers kept free of user tasks (procedures.md B8); never advised under UCP, whose agents a drain would
    evict."""
    managers = [n for n in snapshot.nodes.values() if n.is_voter]
    if any(not n.is_voter and n.takes_tasks for n in snapshot.nodes.values()) and not runs_ucp(snapshot):
        working = [n.name for n in managers if n.spec.availability == Availability.ACTIVE]
        if working:
            yield Finding(
                "managers-take-tasks",
                Severity.ADVICE,
                "",
                f"Managers take user tasks: {', '.join(sorted(working))}.",
                "Drain the managers, or limit what may run there.",
            )
