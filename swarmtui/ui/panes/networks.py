"""The networks of the Swarm, and the local ones of the engine in use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from swarmtui.model.objects import Network, Users, network_users
from swarmtui.model.services import Service
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.ui.ages import age_of, moment
from swarmtui.ui.cells import Cell, Column, Row, Rows, labels_cell, natural
from swarmtui.ui.describe import Lines, fact_lines, gone
from swarmtui.ui.panes.used import end_lines, facets_of, stack_cell, users_cell
from swarmtui.ui.views import NO_FACETS, Env, Facets, Kept, Once, View

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

COLUMNS = (
    Column("name", "NETWORK", min_width=10, max_width=40, flex=1),
    Column("driver", "DRIVER", max_width=14, priority=70),
    Column("scope", "SCOPE", priority=80),
    Column("subnet", "SUBNET", max_width=40, priority=60),
    Column("users", "SERVICES", min_width=10, max_width=80, flex=2, priority=90),
    Column("traits", "TRAITS", max_width=40, priority=50),
    Column("stack", "STACK", max_width=30, priority=40),
    Column("age", "AGE", align="right", priority=30, quiet=True),
    Column("labels", "LABELS", max_width=60, wide=True, priority=10),
    Column("id", "ID", width=25, wide=True, priority=5),
)


def _users(snapshot: Snapshot) -> Users:
    return network_users(snapshot.services.values(), snapshot.networks)


_users_of = Once(_users)


class NetworkRows:
    """Makes the rows of the networks view."""

    def __init__(self) -> None:
        self._kept = Kept(_row)

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        users = _users_of(snapshot)
        return self._kept.rows(
            {
                key: (network, users.get(key, ()), age_of(network.created, env.now))
                for key, network in snapshot.networks.items()
            }
        )


def _traits(network: Network) -> str:
    traits = {
        "ingress": network.ingress,
        "internal": network.internal,
        "attachable": network.attachable,
        "encrypted": network.is_encrypted,
        "ipv6": network.enable_ipv6,
        "template": network.config_only,
    }
    return ", ".join(name for name, has in traits.items() if has)


def _row(network: Network, users: tuple[Service, ...], aged: str) -> Row:
    name = one_line(network.name)
    return (
        Cell(name, "dim" if network.is_local else "", natural(name)),
        Cell(one_line(network.driver) or "-"),
        Cell(one_line(network.scope) or "-", "dim" if network.is_local else ""),
        Cell(one_line(", ".join(network.subnets)) or "-"),
        users_cell(users),
        Cell(_traits(network) or "-", "dim"),
        stack_cell(network.labels),
        Cell(aged, "", -moment(network.created)),
        labels_cell(network.labels),
        Cell(one_line(network.id), "dim"),
    )


def _facets(snapshot: Snapshot, key: str) -> Facets:
    network = snapshot.networks.get(key)
    return facets_of(network.labels, _users_of(snapshot).get(key, ())) if network is not None else NO_FACETS


def _describe(derived: Derived, key: str) -> Lines:
    network = derived.snapshot.networks.get(key)
    return list(_lines(network, derived)) if network is not None else gone("network")


def _lines(network: Network, derived: Derived) -> Iterator[tuple[str, str]]:
    snapshot = derived.snapshot
    yield "title", one_line(network.name)
    yield from fact_lines(
        {
            "id": network.id,
            "driver": network.driver,
            "scope": f"local: only on {snapshot.source}" if network.is_local else network.scope,
            "subnets": ", ".join(network.subnets),
            "gateways": ", ".join(each.gateway for each in network.ipam.config or () if each.gateway),
            "traits": _traits(network),
            "options": ", ".join(f"{name}={value}" for name, value in sorted((network.options or {}).items())),
            "made": age_of(network.created, derived.env.now) + " ago",
        }
    )
    yield from end_lines(network.labels, _users_of(snapshot).get(network.id, ()), snapshot)


def _note(derived: Derived) -> str:
    local = any(network.is_local for network in derived.snapshot.networks.values())
    return f"local ones: of {one_line(derived.snapshot.source)}" if local else ""


VIEW = View(
    name="networks",
    one="network",
    columns=COLUMNS,
    maker=NetworkRows,
    describe=_describe,
    reads=("networks", "services"),
    path=lambda snapshot, key: f"/networks/{key}",
    facets=_facets,
    note=_note,
)
