"""The runbook ucp.uninstall: UCP goes, the Swarm stays (ucp-dtr.md §1.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import RefusedError, UsageError
from swarmtui.link import jobs
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.ucp import facts, status
from swarmtui.model.ucp.facts import Version
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, binding_of
from swarmtui.runbooks.ucp import places
from swarmtui.runbooks.ucp.places import OnHost, Place
from swarmtui.runbooks.ucp.uninstall_steps import NO_JOIN, look_at_all, uninstall_steps
from swarmtui.session import Session

HOST = Param("host", "the manager to work on; else the one in use", params.text, "NODE")
HOST_ADDRESS = Param(
    "host-address", "what is advertised to the other nodes; else the manager's own", params.address, "IP|CARD"
)
VERSION = Param("version", "the version of UCP; else that of its agents", facts.version, "X.Y.Z")


class UninstallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        manager: where the command runs. nodes: all that are listed.
        found: what of UCP is on each, by id; unasked: why a node could not be asked.
        services: UCP's, by name.
    """

    version: Version
    instance: str
    cluster: str
    cluster_id: str
    manager: Place
    nodes: tuple[Place, ...]
    found: dict[str, OnHost]
    unasked: dict[str, str]
    services: tuple[str, ...]
    job_id: str
    selinux: bool = False


def manager_of(session: Session, snapshot: Snapshot, name: str = "") -> Place:
    """The manager of this name, or the one in use. Raises UsageError where it is none."""
    wanted = name or session.connection.node_id
    for node in snapshot.nodes.values():
        if wanted in (node.id, node.name, node.hostname):
            if not node.is_voter:
                raise UsageError(f"{node.name} is a worker.", "UCP's commands run on a manager: name one with host=.")
            return places.place(session, node)
    raise UsageError(f'There is no node "{wanted}".', "See them with: swarmtui status")


def version_of(snapshot: Snapshot, told: str = "") -> Version:
    """The version of the UCP that runs; the one that was told only where that does not show.

    Raises:
        UsageError: neither tells, or they differ.
        RefusedError: its command line is not known here.
    """
    running, given = status.version_of(snapshot), Version.parse(told) if told else None
    if running is not None and given is not None and running != given:
        raise UsageError(
            f"version={given} was given, and {running.product} runs here.", "Leave it out: that of the agents is used."
        )
    found = running or given
    if found is None:
        raise UsageError("Which version of UCP was here is not known.", "Say it: version=X.Y.Z")
    if not found.supported:
        raise RefusedError(f"The command line of {found.product} is not known here.", "2.2 and 3.x are.")
    return found


class Uninstall(Runbook):
    name = "ucp.uninstall"
    summary = "take UCP off every node; the Swarm and its services stay, and no node can join until UCP is back"
    params: ClassVar[Sequence[Param]] = (HOST, VERSION)

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        snapshot = await session.refresh()
        manager = manager_of(session, snapshot, params.get("host", ""))
        manager = msgspec.structs.replace(manager, at=await places.with_systemd(session, manager.at))
        nodes = places.places(session, snapshot)
        found, unasked = await look_at_all(session, nodes)
        services = [one.name for one in status.agents(snapshot)]
        services += [one.name for one in snapshot.services.values() if one.name in facts.UNINSTALL_SERVICES]
        if not services and all(there.empty for there in found.values()):
            version = Version(0, 0, 0)  # nothing of it is there: no command will be built
        else:
            version = version_of(snapshot, params.get("version", ""))
        return msgspec.to_builtins(  # type: ignore[no-any-return]
            UninstallFacts(
                version=version,
                instance=status.instance_of(snapshot),
                cluster=session.name,
                cluster_id=snapshot.cluster_id,
                manager=manager,
                nodes=nodes,
                found=found,
                unasked=unasked,
                services=tuple(sorted(services)),
                job_id=jobs.new_id(),
                selinux=(await places.engine_says(session, manager.at)).selinux,
            )
        )

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        known = msgspec.convert(facts, UninstallFacts)
        reachable = tuple(node for node in known.nodes if node.id not in known.unasked)
        nothing = not known.services and all(there.empty for there in known.found.values())
        steps = (
            ()
            if nothing
            else uninstall_steps(
                known.version, known.instance, known.manager, reachable, known.job_id, selinux=known.selinux
            )
        )
        name = "UCP" if nothing else known.version.product
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Take {name} off the Swarm",
            why="The Swarm, its services and their data stay. Accounts, teams, grants and settings of UCP go.",
            steps=steps,
            touches=(known.cluster,),
            changes=tuple(
                ("bad", f"{node.name}: {there.words}")
                for node in known.nodes
                if (there := known.found.get(node.id)) is not None and not there.empty
            ),
            notes=(
                f"The volume {_CERTS} with the web server's certificates stays on every manager, as documented.",
                "Client bundles are of no use until UCP is back; over SSH this console works as before.",
            ),
            warnings=(
                f"From then on {NO_JOIN}.",
                "Only a backup of UCP brings accounts and settings back: swarmtui run ucp.backup",
                *_unasked(known),
            ),
            binding=binding_of(
                str(known.version), known.instance, known.cluster_id, known.manager.id,
                [node.id for node in reachable], known.services,
            ),
            nothing=f"Nothing to do: nothing of UCP is on these {len(known.nodes)} nodes." if nothing else "",
        )  # fmt: skip


_CERTS = facts.CERTS_VOLUME


def _unasked(known: UninstallFacts) -> list[str]:
    return [
        f"What of UCP is on {node.name} is not known, and it is not cleaned: {known.unasked[node.id]}"
        for node in known.nodes
        if node.id in known.unasked
    ]
