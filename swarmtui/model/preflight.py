"""What speaks against making hosts into a Swarm, judged from what was measured on them (procedures.md B1). Pure.

Ports: 2377/tcp to managers (joining, raft, dispatcher), 7946/tcp+udp (gossip) and 4789/udp (VXLAN) between all.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

GIB = 1 << 30
GOSSIP_PORT = 7946
VXLAN_PORT = 4789
MANAGEMENT_PORT = 2377

CLOCK_WARNING_SECONDS = 2.0
CLOCK_BLOCKS_SECONDS = 3600.0
"""A node certificate is valid from one hour before it was made (SwarmKit, ca/certificates.go: CertBackdate): on a host
whose clock is further behind it is not valid yet, and the host cannot join."""

MINIMUM: Mapping[str, tuple[int, int, int]] = {"manager": (2, 2 * GIB, 10 * GIB), "worker": (1, 1 * GIB, 5 * GIB)}
"""Role → CPUs, bytes of memory, bytes free for /var/lib/docker. Docker publishes none for a plain Swarm: these are
ours, below those of UCP (8 GB, 2 CPUs, 10 GB), and only ever a warning."""


class Level(StrEnum):
    """fine: as it should be; warning: it will work, with a risk; blocks: it would not work."""

    FINE = "fine"
    WARNING = "warning"
    BLOCKS = "blocks"


class Finding(Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        id: the kind of finding: engine, swarm, ports, …
        host: hostname (or address, where the name is not known) of the host it is about; "" for all.
        what: one sentence.
        next_step: one sentence; "" where nothing is to be done.
    """

    id: str
    level: Level
    host: str
    what: str
    next_step: str = ""


class Address(Struct, frozen=True):
    """An address of a network card; dynamic: it was leased, and may be another one tomorrow."""

    ip: str
    dynamic: bool = False


class HostFacts(Struct, frozen=True, kw_only=True):
    """What was found on one host.

    Attributes:
        target: its SSH target, as text.
        name: its hostname; the SSH host where it could not be asked.
        role: what it is to be.
        advertise, listen: addresses of the Swarm, "IP" and "IP:PORT".
        port: the port for managers.
        trouble: why it, or its engine, cannot be used; "" where it can.
        engine: version; cpus, memory (bytes), disk (bytes free where Docker keeps its data, None for unknown).
        state: of its Swarm component: inactive, active, pending, locked, error.
        node_id, cluster_id: of the Swarm it is in; a worker does not tell the second.
        manager: whether it is one already.
        addresses: of its network cards; empty for unknown.
        unresolved: hostnames of other hosts that it cannot resolve.
        offset, offset_bound: how far its clock is ahead of ours, and the uncertainty of that, in s; None: unknown.
        taken: ports ("udp 4789") that something listens on already.
        no_listener: why nothing could listen there for the test of the ports; "" where it could.
    """

    target: str
    name: str
    role: str
    advertise: str = ""
    listen: str = ""
    port: int = MANAGEMENT_PORT
    trouble: str = ""
    engine: str = ""
    cpus: int = 0
    memory: int = 0
    disk: int | None = None
    state: str = ""
    node_id: str = ""
    cluster_id: str = ""
    manager: bool = False
    addresses: tuple[Address, ...] = ()
    unresolved: tuple[str, ...] = ()
    offset: float | None = None
    offset_bound: float = 0.0
    taken: tuple[str, ...] = ()
    no_listener: str = ""


class Reach(Struct, frozen=True):
    """Whether one host reaches a port of another.

    Attributes:
        source, to: hostnames; address: what was dialled.
        ok: None where it could not be tried.
        micros: how long a TCP connection took to open, in µs; 0 for unknown.
    """

    source: str
    to: str
    address: str
    protocol: str
    port: int
    ok: bool | None
    micros: int = 0


class Measured(Struct, frozen=True):
    """All that was found before anything is done."""

    hosts: tuple[HostFacts, ...]
    reaches: tuple[Reach, ...] = ()
    skipped_pairs: int = 0


def wanted_ports(to: HostFacts) -> tuple[tuple[str, int], ...]:
    """The ports of a host that the others have to reach: (protocol, port)."""
    management = (("tcp", to.port),) if to.role == "manager" else ()
    return (*management, ("tcp", GOSSIP_PORT), ("udp", GOSSIP_PORT), ("udp", VXLAN_PORT))


def judge(measured: Measured, members: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Judges all that was measured; the worst first.

    Args:
        members: hostnames of those that are in the Swarm already: what they listen on is the Swarm's own.
    """
    inside = frozenset(members)
    usable = [host for host in measured.hosts if not host.trouble]
    found = [
        *(Finding("host", Level.BLOCKS, host.name, host.trouble) for host in measured.hosts if host.trouble),
        *_names(measured.hosts),
        *_engines(usable),
        *_clocks(usable),
        *(finding for host in usable for finding in _addresses(host)),
        *_advertised(usable),
        *(finding for host in usable for finding in _size(host)),
        *(finding for host in usable if host.name not in inside for finding in _taken(host)),
        *_ports(measured, inside),
    ]
    order = [Level.BLOCKS, Level.WARNING, Level.FINE]
    return tuple(sorted(found, key=lambda finding: order.index(finding.level)))


def _names(hosts: Sequence[HostFacts]) -> Iterator[Finding]:
    by_name = defaultdict(list)
    for host in hosts:
        if not host.trouble:
            by_name[host.name].append(host)
    for name, same in by_name.items():
        if len(same) > 1:
            yield Finding(
                "names",
                Level.BLOCKS,
                name,
                f'{len(same)} hosts are called "{name}": {", ".join(host.target for host in same)}.',
                "Give each a name of its own (hostnamectl set-hostname), and restart Docker there.",
            )
    for host in hosts:
        if host.unresolved:
            yield Finding(
                "resolve",
                Level.WARNING,
                host.name,
                f"{host.name} cannot resolve {_and(host.unresolved)}.",
                "Swarm itself works with addresses; put the names into DNS or /etc/hosts for people and tools.",
            )


def _engines(hosts: Sequence[HostFacts]) -> Iterator[Finding]:
    by_version = defaultdict(list)
    for host in hosts:
        by_version[host.engine].append(host.name)
    if len(by_version) > 1:
        told = "; ".join(f"{version} on {_and(names)}" for version, names in sorted(by_version.items()))
        yield Finding("engine", Level.WARNING, "", f"The engines differ: {told}.", "Bring all to one version first.")
    elif by_version:
        yield Finding("engine", Level.FINE, "", f"All engines are {next(iter(by_version))}.")


def _clocks(hosts: Sequence[HostFacts]) -> Iterator[Finding]:
    known = [host for host in hosts if host.offset is not None]
    for host in hosts:
        if host.offset is None:
            yield Finding("clock", Level.WARNING, host.name, f"The clock of {host.name} could not be read.")
    if len(known) < 2:
        return
    # The median, and not the first: one wrong clock must not make all the others look wrong.
    middle = sorted(known, key=lambda host: host.offset or 0.0)[(len(known) - 1) // 2]
    worst = 0.0
    for host in known:
        apart = (host.offset or 0.0) - (middle.offset or 0.0)
        bound = host.offset_bound + middle.offset_bound
        worst = max(worst, abs(apart) + bound)
        if abs(apart) - bound <= CLOCK_WARNING_SECONDS:
            continue
        way = "ahead of" if apart > 0 else "behind"
        level = Level.BLOCKS if abs(apart) - bound > CLOCK_BLOCKS_SECONDS else Level.WARNING
        yield Finding(
            "clock",
            level,
            host.name,
            f"The clock of {host.name} is {abs(apart):.1f} s (±{bound:.1f} s) {way} that of {middle.name}.",
            "Let NTP keep the clocks: timedatectl set-ntp true.",
        )
    if worst <= CLOCK_WARNING_SECONDS:
        yield Finding("clock", Level.FINE, "", f"All clocks agree within {worst:.2f} s.")


def _addresses(host: HostFacts) -> Iterator[Finding]:
    found = next((one for one in host.addresses if _same_ip(one.ip, host.advertise)), None)
    if found is None and host.addresses:
        yield Finding(
            "address",
            Level.WARNING,
            host.name,
            f"{host.name} is to advertise {host.advertise}, which none of its network cards has.",
            "That is right only behind NAT or a load balancer that leads there.",
        )
    elif found is not None and found.dynamic and host.role == "manager":
        yield Finding(
            "address",
            Level.WARNING,
            host.name,
            f"The address {host.advertise} of manager {host.name} is leased (DHCP): with another one it would be lost "
            "to the Swarm.",
            "Give it a static address, or a fixed lease.",
        )


def _advertised(hosts: Sequence[HostFacts]) -> Iterator[Finding]:
    by_address = defaultdict(list)
    for host in hosts:
        by_address[host.advertise].append(host.name)
    for address, names in by_address.items():
        if len(names) > 1:
            yield Finding("address", Level.BLOCKS, names[0], f"{_and(names)} would all advertise {address}.")


def _size(host: HostFacts) -> Iterator[Finding]:
    cpus, memory, disk = MINIMUM[host.role]
    short = []
    if 0 < host.cpus < cpus:
        short.append(f"{host.cpus} of {cpus} CPUs")
    # What a machine reports is a little less than what it was given.
    if 0 < host.memory < memory * 0.9:
        short.append(f"{host.memory / GIB:.1f} of {memory // GIB} GiB of memory")
    if host.disk is not None and host.disk < disk:
        short.append(f"{host.disk / GIB:.1f} of {disk // GIB} GiB free on disk")
    if short:
        yield Finding("size", Level.WARNING, host.name, f"{host.name} is small for a {host.role}: {_and(short)}.")


def _taken(host: HostFacts) -> Iterator[Finding]:
    # In a Swarm, whichever, they are its own.
    if host.taken and host.state == "inactive":
        ports = _and([_port(*text.split()) for text in host.taken])
        yield Finding(
            "taken",
            Level.BLOCKS,
            host.name,
            f"Something listens on port {ports} of {host.name} already, although it is in no Swarm.",
            "Look there what it is: ss -lntup. If it is dockerd, from a Swarm it has left: systemctl restart docker.",
        )


def _ports(measured: Measured, inside: frozenset[str]) -> Iterator[Finding]:
    closed: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    unknown: dict[str, set[str]] = defaultdict(set)
    held: dict[str, set[str]] = defaultdict(set)
    for reach in measured.reaches:
        port = f"{reach.port}/{reach.protocol}"
        if reach.ok is False:
            closed[reach.source, reach.to, reach.address].append(port)
        elif reach.ok is None:
            (held if reach.to in inside else unknown)[reach.to].add(port)
    # Those who fail alike are named together: what is wrong is then at the host they knock at.
    blocked: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (source, to, address), ports in closed.items():
        blocked[to, address, _and(sorted(ports))].append(source)
    for (to, address, told), sources in blocked.items():
        yield Finding(
            "ports",
            Level.BLOCKS,
            to,
            f"{_and(sources)} cannot reach {to} at {address} port {told}.",
            f"Open it in the firewalls of {to} and on the way from {_and(sources)}.",
        )
    why = {host.name: host.no_listener for host in measured.hosts}
    for name, untried in unknown.items():
        yield Finding(
            "ports",
            Level.WARNING,
            name,
            f"Whether the others reach {name} on port {_and(sorted(untried))} is not known"
            f"{': ' + why[name] if why.get(name) else ''}.",
        )
    if held:
        # Nobody but the Docker that has such a port can tell whether a datagram arrived, and it does not.
        told = _and(sorted(set().union(*held.values())))
        yield Finding("ports", Level.FINE, "", f"Port {told} of {_and(list(held))} was not tried: Docker there has it.")
    if measured.skipped_pairs:
        what = f"{measured.skipped_pairs} pairs of workers were not tried, as there are so many."
        yield Finding("ports", Level.FINE, "", what)
    if measured.reaches:
        what = "Encrypted overlay networks need IP protocol 50 (ESP) between the hosts as well; that was not tried."
        yield Finding("ports", Level.FINE, "", what)
    if measured.reaches and not (blocked or unknown or held):
        pairs = len({(reach.source, reach.to) for reach in measured.reaches})
        yield Finding("ports", Level.FINE, "", f"The ports of the Swarm are open between the hosts ({pairs} ways).")


def _port(protocol: str, port: str) -> str:
    return f"{port}/{protocol}"


def _same_ip(one: str, other: str) -> bool:
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    except ValueError:
        return one == other


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
