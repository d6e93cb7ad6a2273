"""How the old address of a restored manager leads to its new one, for as long as raft still knows the old one.

Source: swarm-dr.md §3, "Another IP". Forcing a cluster at another address does not change the address in raft: the
second manager that joins dials the old one, does not get there, and the quorum that was just won is lost. So the old
address leads to the restored host until the address in raft is mended: as an alias of that host where it is free on
the same network, else by a rule (DNAT) on every host that dials it. Neither survives a reboot of its host: whoever
needs the bridge puts it back first (`Bridge.hold`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Sequence

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.link.reasons import LinkError
from swarmtui.link.ssh import SshHost
from swarmtui.model.swarm import host_of
from swarmtui.model.text import one_line
from swarmtui.runbooks.runbook import Shown, StepError
from swarmtui.runbooks.swarm.building import probes
from swarmtui.runbooks.swarm.recovery.fence_steps import must
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import QUESTION_SECONDS, Where
from swarmtui.session import Session

ALIAS, DNAT = "alias", "dnat"
PORT = "2377"
REACH_SECONDS = 20.0
"""How long a neighbour may hold the old owner's hardware address for right (seen: 10 s)."""
POLL_SECONDS = 1.0
_CARD = re.compile(r"^\d+:\s+([\w.@:-]+)\s+inet6?\s+([0-9a-fA-F:.]+)/(\d+)", re.MULTILINE)


class AddressFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a host says about the address that it gets, and the one in the backup.

    Attributes:
        old: "IP:PORT" of the restored manager in raft.
        new: "IP:PORT" where its cluster is forced.
        card: the network card that has the new one; "" where the host does not tell.
        near: the old one belongs to the same network.
        taken: some other host answers at the old one.
    """

    old: str
    new: str
    card: str = ""
    near: bool = False
    taken: bool = False


async def look_at_address(session: Session, at: Where, old: str, new: str) -> AddressFacts:
    """Asks the host that is restored to about both addresses. Changes nothing there but its memory of neighbours.

    Args:
        old, new: "IP:PORT", as in `AddressFacts`.

    Raises:
        LinkError: it cannot be reached.
    """
    host = await at.reach(session)
    told = await host.run(f"ip -o addr show to {_ip(new)}", timeout=QUESTION_SECONDS)
    facts = AddressFacts(old=old, new=new)
    for card, address, bits in _CARD.findall(told.out):
        if address == _ip(new):
            network = ipaddress.ip_network(f"{address}/{bits}", strict=False)
            near = ipaddress.ip_address(_ip(old)) in network
            facts = msgspec.structs.replace(facts, card=card.partition("@")[0], near=near)
    if not facts.near:
        return facts
    return msgspec.structs.replace(facts, taken=await _taken(host, at, old))


async def _taken(host: SshHost, at: Where, old: str) -> bool:
    """Whether another host of the same network has the old address. Raises LinkError."""
    own = await host.run(f"ip -o addr show to {_ip(old)}", timeout=QUESTION_SECONDS)
    if own.out.strip():
        return False  # an alias of before
    # What is remembered of a host that is gone would look like an answer.
    await host.run(at.root(f"ip neigh flush to {_ip(old)}"), timeout=QUESTION_SECONDS)
    if await gets_through(host, old):
        return True
    told = await host.run(f"ip neigh show to {_ip(old)}", timeout=QUESTION_SECONDS)
    return " lladdr " in f" {told.out}"


async def gets_through(host: SshHost, address: str) -> bool | None:
    """Whether a TCP connection from a host to "IP:PORT" opens; None where the host has nothing to try it with."""
    if not probes.can_knock((await host.run(probes.TOOLS, timeout=QUESTION_SECONDS)).out):
        return None
    door = (_ip(address), int(_port(address)))
    told = await host.run(probes.knock("swarmtui", [(door[0], [("tcp", door[1])])]), timeout=QUESTION_SECONDS)
    return door in probes.opened(told.out)


class Bridge(msgspec.Struct, frozen=True, kw_only=True):
    """The way from the old address to the new one. Plain data.

    Attributes:
        kind: ALIAS or DNAT.
        old, new: "IP:PORT".
        at: the restored host.
        card: of an alias: the network card that gets it.
        dialers: hosts that dial the old address: of the manager that joins, which comes first, and of workers. A worker
            that cannot be reached any more is passed over: the quorum does not rest on it.
    """

    kind: str
    old: str
    new: str
    at: Where
    card: str = ""
    dialers: tuple[Where, ...] = ()

    @property
    def hosts(self) -> tuple[Where, ...]:
        """The hosts on which something is changed for it."""
        return (self.at,) if self.kind == ALIAS else self.dialers

    @property
    def words(self) -> str:
        """What it is, for people."""
        if self.kind == ALIAS:
            return f"{_ip(self.old)} as a second address of {self.at.name}"
        return f"a rule on {', '.join(at.name for at in self.dialers) or 'nobody'} that leads {self.old} to {self.new}"

    def _line(self, at: Where, alias: str, rule: str) -> str:
        if self.kind == ALIAS:
            return at.root(f"ip addr {alias} {_alone(self.old)} dev {self.card}")
        tables = "ip6tables" if ":" in _ip(self.old) else "iptables"
        match = f"-p tcp -d {_ip(self.old)} --dport {_port(self.old)}"
        return at.root(f"{tables} -w -t nat {rule} OUTPUT {match} -j DNAT --to-destination {self.new}")

    def put_line(self, at: Where) -> str:
        """The command that lays it on a host."""
        return self._line(at, "add", "-A")

    def drop_line(self, at: Where) -> str:
        """The command that takes it away from a host."""
        return self._line(at, "del", "-D")

    @property
    def shown(self) -> tuple[Shown, ...]:
        return tuple(Shown(self.put_line(at), at.host, at.port) for at in self.hosts)

    @property
    def undo(self) -> tuple[Shown, ...]:
        return tuple(Shown(self.drop_line(at), at.host, at.port) for at in self.hosts)

    async def lies(self, session: Session, at: Where) -> bool:
        """Whether it lies on a host. Raises LinkError."""
        host = await at.reach(session)
        if self.kind == ALIAS:
            told = await host.run(f"ip -o addr show to {_alone(self.old)}", timeout=QUESTION_SECONDS)
            return any(address == _ip(self.old) for _, address, _ in _CARD.findall(told.out))
        return (await host.run(self._line(at, "", "-C"), timeout=QUESTION_SECONDS)).code == 0

    async def _there(self, session: Session) -> dict[Where, bool]:
        """On which hosts it lies, and on which not; without workers that cannot be reached. Raises LinkError."""

        async def ask(at: Where) -> bool | None:
            try:
                return await self.lies(session, at)
            except LinkError:
                if at is self.hosts[0]:
                    raise
                return None

        told = await asyncio.gather(*(ask(at) for at in self.hosts))
        return {at: lies for at, lies in zip(self.hosts, told, strict=True) if lies is not None}

    async def missing(self, session: Session) -> list[Where]:
        """The hosts on which it does not lie. Raises LinkError."""
        return [at for at, lies in (await self._there(session)).items() if not lies]

    async def anywhere(self, session: Session) -> bool:
        """Whether it lies on any host. Raises LinkError."""
        return any((await self._there(session)).values())

    async def hold(self, session: Session) -> list[str]:
        """Puts it back where it does not lie (any more): a reboot takes it away. Returns the names of those hosts.

        Raises:
            StepError: it cannot be put, or another host has the old address.
            LinkError: a host cannot be reached.
        """
        missing = await self.missing(session)
        for at in missing:
            host = await at.reach(session)
            if self.kind == ALIAS and await _taken(host, at, self.old):
                raise StepError(
                    f"Another host answers at {_ip(self.old)}: with the same address on {at.name} nobody would know "
                    "which one is meant.",
                    "Take that host off the network, or off this address; then retry.",
                )
            await must(host, at, self.put_line(at))
        return [at.name for at in missing]

    async def drop(self, session: Session) -> list[str]:
        """Takes it away from all hosts. Returns the names of those it lay on. Raises StepError or LinkError."""
        there = [at for at, lies in (await self._there(session)).items() if lies]
        for at in there:
            await must(await at.reach(session), at, self.drop_line(at))
        return [at.name for at in there]

    async def prove(self, session: Session, dialer: Where) -> None:
        """Proves that a host gets through to the restored manager at the old address, before anything rests on it.

        Raises:
            StepError: it does not.
            LinkError: it cannot be asked.
        """
        host = await dialer.reach(session)
        # Its memory of who had this address may be of the host that is gone; without root it forgets by itself.
        await host.run(dialer.root(f"ip neigh flush to {_ip(self.old)}"), timeout=QUESTION_SECONDS)
        end = asyncio.get_running_loop().time() + REACH_SECONDS
        while await gets_through(host, self.old) is False:
            if asyncio.get_running_loop().time() >= end:
                raise StepError(
                    f"{dialer.name} does not get to {self.at.name} at its old address {self.old}: if it became a "
                    "manager now, the quorum would be lost.",
                    "Nothing was changed by this step. Look for a firewall between them, and whether Docker runs on "
                    f"{self.at.name}; then retry.",
                )
            await asyncio.sleep(POLL_SECONDS)


def bridge_of(facts: AddressFacts, at: Where, dialers: Sequence[Where]) -> Bridge:
    """The bridge that is right here: an alias where the old address is free on the same network, else rules. Pure.

    Args:
        at: the restored host.
        dialers: hosts that will dial the old address: first of the manager that joins, then of workers.

    Raises:
        RefusedError: an address is none.
    """
    for text in (facts.old, facts.new):
        try:
            ipaddress.ip_address(_ip(text))
        except ValueError:
            raise RefusedError(f"{one_line(text)!r} is no address of a manager.", "Take another backup.") from None
    alias = facts.near and not facts.taken and bool(facts.card)
    # A host that is the old address itself, or the restored one, dials nobody there.
    others = tuple(dict.fromkeys(d for d in dialers if d.target != at.target and d.ssh.host != _ip(facts.old)))
    return Bridge(
        kind=ALIAS if alias else DNAT, old=facts.old, new=facts.new, at=at, card=facts.card * alias, dialers=others
    )


def _ip(address: str) -> str:
    return host_of(address)


def _port(address: str) -> str:
    return address.rpartition(":")[2] if address != _ip(address) and not address.endswith("]") else PORT


def _alone(address: str) -> str:
    """The old address as a network of its own, so that no route comes with it."""
    ip = _ip(address)
    return f"{ip}/{128 if ':' in ip else 32}"
