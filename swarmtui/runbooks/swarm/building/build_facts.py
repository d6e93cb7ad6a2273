"""What the plans that build a Swarm are made from, gathered once and kept in the journal."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.model.health import runs_ucp
from swarmtui.model.preflight import HostFacts, Measured
from swarmtui.model.snapshot import Snapshot
from swarmtui.runbooks.runbook import Facts
from swarmtui.runbooks.swarm.building.build_spec import HostSpec, SwarmSpec
from swarmtui.runbooks.swarm.building.preflight import Preflight, all_answer, clusters_of
from swarmtui.runbooks.swarm.cluster_steps import read_key
from swarmtui.runbooks.swarm.custody import custody_facts
from swarmtui.session import SETTLE_SECONDS, Session
from swarmtui.vault import Kind


class NodeNow(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a Swarm that is there already.

    Attributes:
        down: the Swarm has not heard from it.
    """

    id: str
    name: str
    manager: bool
    drained: bool
    down: bool = False
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class BuildFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts for a Swarm that is to be built, or built on.

    Attributes:
        spec: what was asked for.
        measured: what was found on the hosts, in the order of the spec's.
        cluster_id: the Swarm that is there already; "" for none.
        seed: SSH target of its manager that is asked, or of the host that makes it.
        nodes: the nodes it has.
        autolock: whether it has autolock on, and key_kept: whether the vault has its key.
        custody: what `custody_rules` needs.
        zone_label: the label that names the zone.
    """

    spec: SwarmSpec
    measured: Measured
    seed: str
    cluster_id: str = ""
    nodes: tuple[NodeNow, ...] = ()
    autolock: bool = False
    key_kept: bool = False
    custody: Facts = msgspec.field(default_factory=dict)
    zone_label: str = "zone"
    sudo: bool = False
    ucp: bool = False

    def node_of(self, host: HostFacts) -> NodeNow | None:
        """The node that a host is; None where it is none of this Swarm."""
        return next((node for node in self.nodes if node.id == host.node_id), None) if host.node_id else None


async def survey(session: Session, spec: SwarmSpec) -> BuildFacts:
    """Looks at all hosts, and at the Swarm that some of them may be already.

    Raises:
        RefusedError: hosts are managers of different Swarms.
        UnreachableError: a host, or its engine, does not answer.
        LinkError: the Swarm that is there cannot be asked.
        UsageError: which address a host should advertise is not clear.
    """
    measured = await Preflight(session, spec.hosts, session.tell_look).measure()
    all_answer(measured.hosts)
    clusters = clusters_of(measured.hosts)
    if len(clusters) > 1:
        told = "; ".join(f"{', '.join(h.name for h in hosts)} in {key[:12]}" for key, hosts in clusters.items())
        raise RefusedError(f"These hosts are managers of {len(clusters)} Swarms: {told}.", OTHER)
    first = next(host for host in spec.hosts if host.role == "manager")
    facts = BuildFacts(
        spec=spec,
        measured=measured,
        seed=str(first.target),
        custody=await custody_facts(session.vault, Kind.UNLOCK_KEY, str(first.target), new=True)
        if spec.autolock
        else {},
        zone_label=session.opening.cluster.zone_label,
        sudo=session.opening.cluster.sudo,
    )
    for cluster_id, managers in clusters.items():
        return await with_cluster(session, msgspec.structs.replace(facts, cluster_id=cluster_id), managers)
    return facts


OTHER = "Name the hosts that are of no use there any more, and let them leave: docker swarm leave. Else leave them out."


async def with_cluster(session: Session, facts: BuildFacts, managers: Sequence[HostFacts]) -> BuildFacts:
    """The same facts with what is known of the Swarm that these managers are in."""
    seed = next((host for host in managers if host.target == facts.seed), managers[0])
    target = HostSpec(seed.target).target
    session.begin(target, {host.name: host.target for host in facts.measured.hosts})
    snapshot = await session.until_live(SETTLE_SECONDS)
    key = await read_key(session)
    kept = await session.vault.unlock_keys(facts.cluster_id) if key is not None else ()
    return msgspec.structs.replace(
        facts,
        seed=seed.target,
        nodes=nodes_of(snapshot),
        autolock=key is not None,
        key_kept=any(known.state == "current" and known.secret == key for known in kept),
        ucp=runs_ucp(snapshot),
    )


def nodes_of(snapshot: Snapshot) -> tuple[NodeNow, ...]:
    """The nodes of a Swarm, as the plans need them."""
    return tuple(
        NodeNow(
            id=node.id,
            name=node.hostname,
            manager=node.is_voter,
            drained=node.spec.availability == "drain",
            down=node.status.state == "down",
            labels=dict(node.labels),
        )
        for node in snapshot.nodes.values()
    )
