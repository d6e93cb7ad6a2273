"""The runbooks on networks of the Swarm."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from swarmtui.errors import RefusedError, UsageError
from swarmtui.model.objects import Network, network_users
from swarmtui.model.text import one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.object_steps import (
    CreateNetwork,
    RemoveObject,
    network_named,
)
from swarmtui.runbooks.objects import (
    LABEL,
    NAME,
    Removable,
    RemoveObjects,
    all_of,
    find,
    named,
    refuse_used,
    removable,
    with_services,
)
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, Step, binding_of
from swarmtui.session import Session

UNTOUCHABLE = frozenset({"host", "bridge", "none", "docker_gwbridge", "ingress"})


def subnet(value: str) -> str:
    """A network in CIDR form."""
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError("is no network such as 10.20.0.0/24") from None


def address(value: str) -> str:
    """An IP address."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("is no address such as 10.20.0.1") from None


class Remove(RemoveObjects):
    name = "network.remove"
    summary = "remove networks of the Swarm that no service is on"
    kind = "network"
    loses = "The network goes away on all nodes."
    params: ClassVar[Sequence[Param]] = named("network")

    async def found(self, session: Session, wanted: Sequence[str]) -> list[Removable]:
        networks = await all_of(session, "/networks", Network)
        items = find(self.kind, wanted, networks)
        for item in items:
            if item.is_local or item.ingress or item.name in UNTOUCHABLE:
                what = "carries the ports of all services" if item.ingress else "is not one of the Swarm"
                raise RefusedError(f"The network {one_line(item.name)} {what}.", "It stays as it is.")
        users = network_users((await with_services(session)).services.values(), {n.id: n for n in networks})
        refuse_used(self.kind, items, users)
        return [removable(item) for item in items]

    def step(self, item: Removable) -> Step:
        return RemoveObject(
            id=f"remove-{item.id}",
            title=f"Remove network {item.name}",
            why="No service is on it; the engine refuses while a container is.",
            kind="network",
            object_id=item.id,
            name=item.name,
        )


class Create(Runbook):
    name = "network.create"
    summary = "create an overlay network of the Swarm"
    params: ClassVar[Sequence[Param]] = (
        NAME,
        Param("subnet", "its addresses; the Swarm chooses without", subnet, "10.20.0.0/24"),
        Param("gateway", "its gateway, inside the subnet", address, "10.20.0.1"),
        Param("attachable", "also for containers outside services", params.yes_or_no, "true|false", default=False),
        Param("internal", "without a way out", params.yes_or_no, "true|false", default=False),
        Param(
            "encrypted",
            "encrypt its data between nodes (ESP)",
            params.yes_or_no,
            "true|false",
            default=False,
        ),
        LABEL,
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        name, wanted, gateway = params["name"], params.get("subnet"), params.get("gateway")
        if await network_named(session, name) is not None:
            raise UsageError(f"There is a network {name} already.", "Choose another name.")
        if gateway and not wanted:
            raise UsageError("A gateway needs the subnet it is in.", "Add subnet=.")
        if not wanted:
            return {}
        net = ipaddress.ip_network(wanted)
        if gateway and ipaddress.ip_address(gateway) not in net:
            raise UsageError(f"The gateway {gateway} is not in {wanted}.", "Name one that is.")
        for network in await all_of(session, "/networks", Network):
            for other in network.subnets:
                if not network.is_local and overlap(net, other):
                    raise UsageError(
                        f"{wanted} overlaps {other}, which the network {one_line(network.name)} has.", "Choose another."
                    )
        return {}

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        name = params["name"]
        step = CreateNetwork(
            id=f"create-{name}",
            title=f"Create network {name}",
            why="It comes to a node with the first task that is on it.",
            name=name,
            attachable=params["attachable"],
            internal=params["internal"],
            encrypted=params["encrypted"],
            subnet=params.get("subnet") or "",
            gateway=params.get("gateway") or "",
            labels=dict(params.get("label") or ()),
        )
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Create network {name}",
            why="An overlay network, over which tasks on different nodes reach each other.",
            steps=(step,),
            touches=(name,),
            binding=binding_of(name),
        )


def overlap(net: ipaddress.IPv4Network | ipaddress.IPv6Network, other: str) -> bool:
    """Whether a network has addresses that this other one, in CIDR form, has too."""
    try:
        there = ipaddress.ip_network(other, strict=False)
    except ValueError:
        return False
    if isinstance(net, ipaddress.IPv4Network):
        return isinstance(there, ipaddress.IPv4Network) and net.overlaps(there)
    return isinstance(there, ipaddress.IPv6Network) and net.overlaps(there)
