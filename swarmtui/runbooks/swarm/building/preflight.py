"""Looks at hosts before they become nodes: over SSH, all at once, changing nothing (procedures.md B1).

What was found is judged by `model.preflight`. Every command is told to whoever listens before it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from swarmtui.errors import EngineError, UnreachableError, UsageError
from swarmtui.link.listening import Listening, listening
from swarmtui.link.reasons import LinkError
from swarmtui.link.ssh import SshHost
from swarmtui.link.target import SshTarget
from swarmtui.link.together import together
from swarmtui.model.preflight import HostFacts, Measured, Reach, wanted_ports
from swarmtui.model.swarm import Info, host_of
from swarmtui.model.text import first_few, one_line
from swarmtui.runbooks.runbook import Shown
from swarmtui.runbooks.swarm.building import probes
from swarmtui.runbooks.swarm.building.build_spec import HostSpec
from swarmtui.session import Session

COMMAND_SECONDS = 20.0
READY_SECONDS = 15.0
CLOCK_TRIES = 3
AT_ONCE = 8
"""Hosts that are logged in to at a time: a jump host's sshd begins to refuse some at ten unfinished logins."""
ARRIVE_SECONDS = 0.3
"""Datagrams may still be on their way when the last of them was sent."""
FULL_MESH = 12
"""Up to so many hosts every pair is tried. Of more, every pair with a manager in it, and each worker with the next."""

DOORS = 16
"""Hosts that one command knocks at: it takes a few processes for each."""

Tell = Callable[[str], None]


class _Machine(Info, frozen=True):
    """What an engine says of its host besides."""

    n_cpu: int = 0
    mem_total: int = 0


def shown_on(target: SshTarget, line: str, feed: Shown | None = None) -> Shown:
    """A command on that host."""
    return Shown(line, target.destination, target.port, feed)


class Preflight:
    """One look at some hosts.

    Args:
        tell: called with each command before it runs.
        about: SSH target of the only host whose ways to and from the others matter; "" for all.
    """

    def __init__(
        self, session: Session, specs: Sequence[HostSpec], tell: Tell = lambda line: None, *, about: str = ""
    ) -> None:
        self._session = session
        self._specs = specs
        self._tell = tell
        self._about = about
        self._few = asyncio.Semaphore(AT_ONCE)
        self._names = {str(spec.target): f"h{number}" for number, spec in enumerate(specs)}
        """What each host calls itself when it knocks."""

    async def measure(self) -> Measured:
        """Looks at the hosts one by one, then at the ways between them."""

        async def look(spec: HostSpec) -> HostFacts:
            async with self._few:
                return await self._look_at(spec)

        hosts: list[HostFacts] = await together(*(look(spec) for spec in self._specs))
        hosts = await together(*(self._resolve(host, hosts) for host in hosts))
        return await self._ways(hosts)

    # -- one host --------------------------------------------------------------------------------------------------

    async def _look_at(self, spec: HostSpec) -> HostFacts:
        target = spec.target
        facts = HostFacts(
            target=str(target), name=target.host, role=spec.role, advertise=host_of(spec.advertise), listen=spec.listen,
            port=spec.port,
        )  # fmt: skip
        try:
            host = await self._session.reach(target)
            engine = await self._session.engine_of(target)
            body = await engine.get("/info")
            info = msgspec.json.decode(body, type=_Machine)
        except (LinkError, EngineError) as error:
            # The address behind a name of the ssh configuration may tell nobody which host it is.
            told = str(error)
            return replace(facts, trouble=told if target.host in told else f"{target.host}: {told}")
        except msgspec.MsgspecError:
            return replace(facts, trouble=f"The engine of {target.host} does not tell of itself what it should.")
        swarm = info.swarm
        addresses = probes.addresses(await self._out(host, target, probes.ADDRESSES))
        offset = await self._clock(host, target)
        disk = probes.free_bytes(await self._out(host, target, probes.free_space(info.docker_root_dir or "/")))
        facts = replace(
            facts,
            name=one_line(info.name) or target.host,
            engine=one_line(info.server_version),
            cpus=info.n_cpu,
            memory=info.mem_total,
            disk=disk,
            state=swarm.local_node_state,
            node_id=swarm.node_id,
            cluster_id=swarm.cluster.id if swarm.cluster is not None else "",
            manager=swarm.control_available,
            addresses=addresses,
            offset=offset[0] if offset else None,
            offset_bound=offset[1] if offset else 0.0,
        )
        return replace(facts, advertise=_advertise(spec, facts, swarm.node_addr))

    async def _out(self, host: SshHost, target: SshTarget, line: str) -> str:
        """What a command wrote; "" where it cannot be run. Raises LinkError."""
        self._tell(f"{target.host}$ {line}")
        return (await host.run(line, timeout=COMMAND_SECONDS)).out

    async def _clock(self, host: SshHost, target: SshTarget) -> tuple[float, float] | None:
        """How far its clock is ahead of ours, and by how much that may be wrong: the quickest of some answers."""
        best: tuple[float, float] | None = None
        for _ in range(CLOCK_TRIES):
            sent, began = time.time(), time.monotonic()
            told = probes.clock(await self._out(host, target, probes.CLOCK))
            took = time.monotonic() - began
            if told is None:
                return best
            bound = took / 2 + told[1]
            if best is None or bound < best[1]:
                best = told[0] - (sent + took / 2), bound
        return best

    async def _resolve(self, host: HostFacts, all_hosts: Iterable[HostFacts]) -> HostFacts:
        names = [other.name for other in all_hosts if not other.trouble and other.name != host.name]
        if host.trouble or not names:
            return host
        target = _target(host)
        output = await self._out(await self._session.reach(target), target, probes.resolve(names))
        return replace(host, unresolved=probes.unresolved(names, output))

    # -- the ways between them -------------------------------------------------------------------------------------

    async def _ways(self, hosts: Sequence[HostFacts]) -> Measured:
        usable = {host.name: host for host in hosts if not host.trouble}
        pairs, skipped = _pairs(list(usable.values()))
        pairs = [(a, b) for a, b in pairs if not self._about or self._about in (a.target, b.target)]
        if not pairs or (len(usable) < len(hosts) and not self._about):
            # With one that cannot be used nothing will be done: no need to try the network first.
            return Measured(tuple(hosts))
        tools = dict(zip(usable, await together(*(self._tools(host) for host in usable.values())), strict=True))
        listeners: dict[str, Listening] = {}
        why: dict[str, str] = {}
        # The listeners of all hosts stand until the last host has knocked.
        async with contextlib.AsyncExitStack() as stack:
            for name, host in usable.items():
                command = probes.listen(tools[name], host.advertise, wanted_ports(host))
                if not command:
                    why[name] = f"there is neither perl nor python3 on {name}"
                    continue
                self._tell(f"{_target(host).host}$ {command}")
                reached = await self._session.reach(_target(host))
                try:
                    listeners[name] = await stack.enter_async_context(listening(reached, command, READY_SECONDS))
                except LinkError as error:
                    why[name] = error.what.rstrip(".")
            doors: dict[str, list[HostFacts]] = {}
            for source, to in pairs:
                if probes.can_knock(tools[source.name]):
                    doors.setdefault(source.name, []).append(to)
            knocks = (self._knock(usable[name], those) for name, those in doors.items())
            opened = dict(zip(doors, await together(*knocks), strict=True))
            await asyncio.sleep(ARRIVE_SECONDS)
            heard = {name: await listener.heard(READY_SECONDS) for name, listener in listeners.items()}
        taken = {name: probes.taken(listener.opened) for name, listener in listeners.items()}
        reaches: list[Reach] = []
        for source, to in pairs:
            open_ports, names = opened.get(source.name), probes.heard(heard.get(to.name, ()))
            for protocol, port in wanted_ports(to):
                listens = to.name in listeners and f"{protocol} {port}" not in taken[to.name]
                ok: bool | None = None
                if open_ports is not None and protocol == "tcp":
                    # What has the port already (a member's Docker) answers as well; silence tells only of a listener.
                    ok = True if (to.advertise, port) in open_ports else False if to.name in listeners else None
                elif open_ports is not None and listens:
                    ok = (self._names[source.target], port) in names
                micros = (open_ports or {}).get((to.advertise, port), 0) if protocol == "tcp" else 0
                reaches.append(Reach(source.name, to.name, to.advertise, protocol, port, ok, micros))
        told = (replace(host, taken=taken.get(host.name, ()), no_listener=why.get(host.name, "")) for host in hosts)
        return Measured(tuple(told), tuple(reaches), skipped)

    async def _tools(self, host: HostFacts) -> str:
        target = _target(host)
        return await self._out(await self._session.reach(target), target, probes.TOOLS)

    async def _knock(self, source: HostFacts, doors: Sequence[HostFacts]) -> dict[tuple[str, int], int]:
        target = _target(source)
        host = await self._session.reach(target)
        found: dict[tuple[str, int], int] = {}
        for begin in range(0, len(doors), DOORS):
            some = [(to.advertise, wanted_ports(to)) for to in doors[begin : begin + DOORS]]
            found |= probes.opened(await self._out(host, target, probes.knock(self._names[source.target], some)))
        return found


def _target(host: HostFacts) -> SshTarget:
    return HostSpec(host.target).target


def _pairs(hosts: Sequence[HostFacts]) -> tuple[list[tuple[HostFacts, HostFacts]], int]:
    """Which hosts knock at which, and how many pairs are left out."""
    pairs, skipped = [], 0
    for at, source in enumerate(hosts):
        for other, to in enumerate(hosts):
            if at == other:
                continue
            near = (at + 1) % len(hosts) == other or (other + 1) % len(hosts) == at
            if len(hosts) <= FULL_MESH or near or "manager" in (source.role, to.role):
                pairs.append((source, to))
            else:
                skipped += 1
    return pairs, skipped


def _advertise(spec: HostSpec, facts: HostFacts, now: str) -> str:
    """The address it will advertise.

    Raises:
        UsageError: it is not said, and there are several it could be.
    """
    if spec.advertise:
        return host_of(spec.advertise)
    if now:
        return now
    host = spec.target.host
    ips = [address.ip for address in facts.addresses]
    if host in ips:
        return host
    if len(ips) == 1:
        return ips[0]
    v4 = [ip for ip in ips if ":" not in ip]
    if len(v4) == 1:
        return v4[0]
    raise UsageError(
        f"Which address {facts.name} should advertise is not clear: it has {', '.join(ips) or 'none to be seen'}.",
        f"Say it: advertise = for {one_line(spec.ssh)}.",
    )


def all_answer(hosts: Iterable[HostFacts]) -> None:
    """Raises UnreachableError where a host, or the engine on it, does not answer; names each."""
    troubles = [host.trouble for host in hosts if host.trouble]
    if troubles:
        raise UnreachableError(first_few(troubles, what="hosts"), "Nothing was changed.")


def clusters_of(hosts: Iterable[HostFacts]) -> Mapping[str, tuple[HostFacts, ...]]:
    """Swarm id → the managers among these hosts that are in it and can speak for it."""
    found: dict[str, tuple[HostFacts, ...]] = {}
    for host in hosts:
        if host.manager and host.cluster_id:
            found[host.cluster_id] = (*found.get(host.cluster_id, ()), host)
    return found
