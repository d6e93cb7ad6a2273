"""The look at hosts, on the simulator: each trouble is put into the world, and must be found and named."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.demo.scenarios import SCENARIOS, Size
from swarmtui.demo.serve import Demo
from swarmtui.demo.world import membership
from swarmtui.demo.world.world import World
from swarmtui.errors import RefusedError, UnreachableError, UsageError
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runbook import Plan
from swarmtui.runbooks.runner import Runner
from swarmtui.runbooks.swarm.building import build_steps, preflight
from swarmtui.session import Session
from swarmtui.vault import Vault

HOSTS = {"managers": "ssh://mgr1,ssh://mgr2,ssh://mgr3", "workers": "ssh://wrk1,ssh://wrk2"}


@pytest.fixture
async def demo(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Demo]:
    monkeypatch.setattr(preflight, "ARRIVE_SECONDS", 0.05)
    monkeypatch.setattr(build_steps, "POLL_SECONDS", 0.04)
    async with Demo("bare", speed=20, seed=1) as made:
        yield made


def hosts_only(demo: Demo) -> Session:
    opening = find("simulated", config.load(demo.config), bundles=demo.folder / "bundle")
    return Session(dataclasses.replace(opening, targets=()), Nobody(), Vault.in_memory())


async def planned(demo: Demo, name: str = "swarm.build", **given: str) -> Plan:
    """The plan of a runbook on hosts."""
    runbook = registry.runbook(name)
    session = hosts_only(demo)
    try:
        return await runbook.prepare(session, params.parse(name, runbook.params, given or HOSTS))
    finally:
        await session.close()


async def test_bare_hosts_that_are_as_they_should_be(demo: Demo) -> None:
    plan = await planned(demo)
    assert (plan.warnings, plan.rules) == ((), ())
    assert "The ports of the Swarm are open between the hosts (20 ways)." in plan.notes
    assert any(note.startswith("To open a connection between managers takes mgr") for note in plan.notes)
    # Nothing was changed, and nothing is left.
    assert not demo.world.clusters
    assert not demo.world.listeners


def udp(world: World) -> None:
    world.hosts["mgr2"].blocked.add("udp 7946")


def vxlan(world: World) -> None:
    world.hosts["wrk2"].blocked.add("udp 4789")


def management(world: World) -> None:
    world.hosts["mgr1"].blocked |= {"tcp 2377", "tcp 7946"}


def split(world: World) -> None:
    world.partition({"wrk1"})


BLOCKED: list[tuple[Callable[[World], None], dict[str, str]]] = [
    (udp, {"mgr2": "mgr1, mgr3, wrk1 and wrk2 cannot reach mgr2 at 10.0.1.12 port 7946/udp."}),
    (vxlan, {"wrk2": "mgr1, mgr2, mgr3 and wrk1 cannot reach wrk2 at 10.0.1.22 port 4789/udp."}),
    (management, {"mgr1": "mgr2, mgr3, wrk1 and wrk2 cannot reach mgr1 at 10.0.1.11 port 2377/tcp and 7946/tcp."}),
    (
        split,
        {
            "mgr1": "wrk1 cannot reach mgr1 at 10.0.1.11 port 2377/tcp, 4789/udp, 7946/tcp and 7946/udp.",
            "mgr2": "wrk1 cannot reach mgr2 at 10.0.1.12 port 2377/tcp, 4789/udp, 7946/tcp and 7946/udp.",
            "mgr3": "wrk1 cannot reach mgr3 at 10.0.1.13 port 2377/tcp, 4789/udp, 7946/tcp and 7946/udp.",
            "wrk1": "mgr1, mgr2, mgr3 and wrk2 cannot reach wrk1 at 10.0.1.21 port 4789/udp, 7946/tcp and 7946/udp.",
            "wrk2": "wrk1 cannot reach wrk2 at 10.0.1.22 port 4789/udp, 7946/tcp and 7946/udp.",
        },
    ),
]


@pytest.mark.parametrize(("trouble", "told"), BLOCKED, ids=lambda value: getattr(value, "__name__", ""))
async def test_ports_that_are_blocked_are_rules(
    demo: Demo, trouble: Callable[[World], None], told: dict[str, str]
) -> None:
    trouble(demo.world)
    plan = await planned(demo)
    assert {rule.about: rule.what for rule in plan.rules} == told
    assert {rule.id for rule in plan.rules} == {"ports"}


async def test_clocks_leases_names_and_engines(demo: Demo) -> None:
    hosts = demo.world.hosts
    hosts["mgr2"].clock_offset = -400.0
    hosts["mgr3"].leased = hosts["wrk1"].leased = True
    hosts["wrk1"].named = False
    hosts["wrk2"].engine = "26.1.5"
    warnings = " ".join((await planned(demo)).warnings)
    assert "The clock of mgr2 is " in warnings and "behind that of" in warnings
    assert "The address 10.0.1.13 of manager mgr3 is leased (DHCP)" in warnings
    assert "10.0.1.21" not in warnings, "a worker's address may be leased"
    for name in ("mgr1", "mgr2", "mgr3", "wrk2"):
        assert f"{name} cannot resolve wrk1." in warnings
    assert "The engines differ: 20.10.24 on mgr1, mgr2, mgr3 and wrk1; 26.1.5 on wrk2." in warnings


async def test_a_clock_that_is_an_hour_behind_blocks(demo: Demo) -> None:
    demo.world.hosts["wrk1"].clock_offset = -4000.0
    with pytest.raises(RefusedError, match="The clock of wrk1 is"):
        await planned(demo)


async def test_a_host_without_docker_is_named_and_nothing_is_tried(demo: Demo) -> None:
    demo.world.stop_docker(demo.world.hosts["mgr3"])
    demo.world.crash(demo.world.hosts["wrk2"])
    with pytest.raises(UnreachableError, match=r"Docker is not running on mgr3.*wrk2: 127") as raised:
        await planned(demo)
    assert raised.value.exit_code == 3


async def test_which_address_must_be_clear(demo: Demo) -> None:
    demo.world.hosts["mgr1"].aliases.append("192.168.7.1")
    with pytest.raises(UsageError, match=r"Which address mgr1 should advertise is not clear: it has 10.0.1.11, 192"):
        await planned(demo, "swarm.init", host="ssh://mgr1")
    plan = await planned(demo, "swarm.init", host="ssh://mgr1", advertise="192.168.7.1")
    assert "--advertise-addr 192.168.7.1" in plan.steps[0].shown[0].line


async def test_hosts_of_another_swarm_are_refused(demo: Demo) -> None:
    hosts = demo.world.hosts
    membership.init(demo.world, hosts["wrk1"], {"ListenAddr": "0.0.0.0:2377"})
    with pytest.raises(RefusedError, match="wrk1 is in the Swarm as a manager, and is to be a worker"):
        await planned(demo)
    membership.init(demo.world, hosts["mgr1"], {"ListenAddr": "0.0.0.0:2377"})
    with pytest.raises(RefusedError, match="These hosts are managers of 2 Swarms"):
        await planned(demo)


async def test_every_command_is_told_before_it_runs(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    from swarmtui.demo.hosts.commands import HostShell

    told: list[str] = []
    untold: list[str] = []
    ran = HostShell.run

    async def run(shell: HostShell, line: str, stdin: bytes = b"") -> object:
        if f"{shell.host.name}$ {line}" not in told:
            untold.append(line)
        return await ran(shell, line, stdin)

    monkeypatch.setattr(HostShell, "run", run)
    session = hosts_only(demo)
    session.tell_look = told.append
    runbook = registry.runbook("swarm.build")
    await runbook.prepare(session, params.parse("swarm.build", runbook.params, HOSTS))
    await session.close()
    assert not untold
    assert sum("perl -e" in line for line in told) == 5
    assert sum("/dev/udp/" in line for line in told) == 5


async def test_one_host_joins_an_opened_swarm(demo: Demo, tmp_path: Path) -> None:
    hosts = demo.world.hosts
    membership.init(demo.world, hosts["mgr1"], {"ListenAddr": "0.0.0.0:2377"})
    opening = find("simulated", config.load(demo.config), bundles=demo.folder / "bundle")
    runbook = registry.runbook("swarm.join")
    given = {"host": "ssh://mgr2", "role": "manager", "zone": "b", "drain": "true"}
    values = params.parse(runbook.name, runbook.params, given)
    async with Session(opening, Nobody(), Vault.in_memory()).opened() as session:
        await session.until_live(20)
        hosts["mgr1"].blocked |= {"tcp 2377", "udp 7946"}
        hosts["mgr2"].blocked.add("udp 4789")
        rules = {str(rule): rule.what for rule in (await runbook.prepare(session, values)).rules}
        assert rules == {
            "ports=mgr1": "mgr2 cannot reach mgr1 at 10.0.1.11 port 2377/tcp.",
            "ports=mgr2": "mgr1 cannot reach mgr2 at 10.0.1.12 port 4789/udp.",
        }
        hosts["mgr1"].blocked.clear()
        hosts["mgr2"].blocked.clear()
        plan = await runbook.prepare(session, values)
        assert "Port 4789/udp and 7946/udp of mgr1 was not tried: Docker there has it." in plan.notes
        assert any("worse than one" in warning for warning in plan.warnings)
        with Journal(tmp_path).writer("20261121T000000Z-swarm.join-0000") as writer:
            outcome = await Runner(session, plan, writer).run()
        assert outcome.ok, outcome
        node = next(n for n in demo.world.clusters[0].nodes.values() if n.hostname == "mgr2")
        assert (node.role, node.availability, node.labels) == ("manager", "drain", {"zone": "b"})
        assert (await runbook.prepare(session, values)).nothing


def test_the_scenario_knows_when_it_is_solved() -> None:
    world = World(1)
    bare = SCENARIOS["bare"]
    bare.build(world, Size())
    assert not bare.check(world).solved
    hosts = world.hosts
    membership.init(world, hosts["mgr1"], {"ListenAddr": "0.0.0.0:2377"})
    cluster = world.clusters[0]
    for name, host in hosts.items():
        if host.swarm is None:
            assert not bare.check(world).solved
            membership.add_node(world, cluster, host, "manager" if name.startswith("mgr") else "worker", {})
    assert bare.check(world).solved, bare.check(world)
