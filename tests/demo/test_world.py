"""The simulated Swarm by itself, with time moved by hand: what no real one shows in a second."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from swarmtui.demo.scenarios.builder import DAY, Builder
from swarmtui.demo.world import membership
from swarmtui.demo.world.control import Control
from swarmtui.demo.world.errors import ApiError
from swarmtui.demo.world.kernel import Kernel
from swarmtui.demo.world.objects import Node, Service
from swarmtui.demo.world.world import World


def make(managers: int = 3, workers: int = 2, seed: int = 1, **more: Any) -> Builder:
    """A Swarm of mgr1…, wrk1… with nothing on it, its time moved by `advance`."""
    world = World(seed, start=1e9)
    build = Builder(world)
    manager_hosts = [world.add_host(f"mgr{n}", f"10.9.0.{n}", **more) for n in range(1, managers + 1)]
    worker_hosts = [world.add_host(f"wrk{n}", f"10.9.1.{n}", **more) for n in range(1, workers + 1)]
    build.swarm(manager_hosts, worker_hosts, age=DAY)
    return build


def run(build: Builder, seconds: float) -> None:
    build.world.kernel.advance(seconds)


def service(build: Builder, name: str, replicas: int | None, **more: Any) -> Service:
    made = build.service(name, more.pop("image", "nginx:1.25"), replicas, **more)
    run(build, 15)
    return made


def spread(build: Builder, made: Service) -> Counter[str]:
    """Hostname → running tasks."""
    nodes = build.cluster.nodes
    return Counter(
        nodes[t.node_id].hostname for t in build.cluster.tasks_in(made.id) if t.state == "running" and t.wanted
    )


def voters(control: Control) -> dict[str, str]:
    nodes = control.cluster.nodes.values()
    return {
        n.hostname: "Leader" if n.manager.leader else n.manager.reachability for n in nodes if n.manager is not None
    }


def availability(build: Builder, node: Node, value: str) -> None:
    build.control.nodes.update(node.id, node.index, {**node.spec(), "Availability": value})


# -- time


def test_timers_run_in_order_at_their_time() -> None:
    kernel = Kernel(start=100.0, speed=2.0)
    seen: list[tuple[str, float]] = []
    kernel.after(4, lambda: seen.append(("b", kernel.now())))
    kernel.after(2, lambda: seen.append(("a", kernel.now())))
    gone = kernel.after(3, lambda: seen.append(("never", kernel.now())))
    gone.cancel()
    kernel.after(2, lambda: kernel.after(1, lambda: seen.append(("c", kernel.now()))))
    kernel.advance(10)
    assert seen == [("a", 101.0), ("c", 101.5), ("b", 102.0)]
    assert kernel.now() == 105.0


async def test_the_wall_clock_drives_it_and_speed_shortens_durations() -> None:
    kernel = Kernel(speed=50)
    kernel.attach(asyncio.get_running_loop())
    begun = asyncio.get_running_loop().time()
    await kernel.sleep(5)
    took = asyncio.get_running_loop().time() - begun
    assert 0.09 < took < 1
    with pytest.raises(RuntimeError):
        kernel.advance(1)
    kernel.detach()
    kernel.advance(1)


# -- scheduling


def test_tasks_spread_over_nodes_and_zones() -> None:
    build = make(3, 6)
    for n in range(1, 7):
        build.labels(f"wrk{n}", zone="a" if n <= 4 else "b")
    even = service(build, "even", 9)
    assert set(spread(build, even).values()) == {1}
    zones = service(build, "zones", 8, constraints=["node.role==worker"], spread="node.labels.zone")
    found = spread(build, zones)
    assert sum(found[f"wrk{n}"] for n in (1, 2, 3, 4)) == 4
    assert sum(found[f"wrk{n}"] for n in (5, 6)) == 4


def test_constraints_are_matched_as_swarmkit_does() -> None:
    build = make(1, 3)
    build.labels("wrk1", disk="SSD", tier="web")
    cases = {
        "node.labels.disk==ssd": {"wrk1"},
        "node.labels.disk!=ssd": {"mgr1", "wrk2", "wrk3"},
        "node.role == manager": {"mgr1"},
        "node.hostname!=wrk2": {"mgr1", "wrk1", "wrk3"},
        "node.ip==10.9.1.0/24": {"wrk1", "wrk2", "wrk3"},
        "node.ip!=10.9.1.2": {"mgr1", "wrk1", "wrk3"},
        "node.platform.os==linux": {"mgr1", "wrk1", "wrk2", "wrk3"},
        "node.unknown==x": set(),
        f"node.id=={build.node('wrk3').id}": {"wrk3"},
    }
    for number, (text, expected) in enumerate(cases.items()):
        made = service(build, f"s{number}", None, constraints=[text])
        assert set(spread(build, made)) == expected, text


def test_reservations_limits_and_host_ports_bind() -> None:
    build = make(1, 2, cpus=2, memory=4 << 30)
    big = service(build, "big", 4, constraints=["node.role==worker"], memory=3000)
    assert spread(build, big) == {"wrk1": 1, "wrk2": 1}
    waiting = [t for t in build.cluster.tasks_in(big.id) if t.state == "pending"]
    assert {t.error for t in waiting} == {
        "no suitable node (insufficient resources on 2 nodes; scheduling constraints not satisfied on 1 node)"
    }
    port = service(build, "port", 3, constraints=["node.role==worker"], host_ports=[(90, 80)])
    assert spread(build, port) == {"wrk1": 1, "wrk2": 1}
    limited = service(build, "limited", 5, max_per_node=1)
    assert spread(build, limited) == {"mgr1": 1, "wrk1": 1, "wrk2": 1}
    build.control.remove_service(big)
    run(build, 20)
    again = service(build, "again", 2, constraints=["node.role==worker"], memory=3000)
    assert spread(build, again) == {"wrk1": 1, "wrk2": 1}, "what was reserved is free again"


def test_waiting_tasks_start_when_a_node_comes_back() -> None:
    build = make(1, 1)
    availability(build, build.node("wrk1"), "drain")
    made = service(build, "web", 2, constraints=["node.role==worker"])
    assert spread(build, made) == {}
    availability(build, build.node("wrk1"), "active")
    run(build, 15)
    assert spread(build, made) == {"wrk1": 2}


def test_a_new_constraint_moves_tasks_and_pause_does_not() -> None:
    build = make(1, 2)
    made = service(build, "web", 2, constraints=["node.labels.x!=1"])
    node = build.node("wrk1")
    availability(build, node, "pause")
    run(build, 15)
    before = spread(build, made)
    assert sum(before.values()) == 2
    changed = {**node.spec(), "Labels": {"x": "1"}}
    build.control.nodes.update(node.id, node.index, changed)
    run(build, 15)
    assert spread(build, made)["wrk1"] == 0
    assert sum(spread(build, made).values()) == 2


# -- nodes that go


def test_a_dead_worker_is_down_in_15_seconds_and_its_tasks_move() -> None:
    build = make(3, 2)
    made = service(build, "web", 4, constraints=["node.role==worker"])
    build.world.crash(build.world.hosts["wrk1"])
    run(build, 10)
    assert build.node("wrk1").state == "ready"
    run(build, 6)
    assert (build.node("wrk1").state, build.node("wrk1").message) == ("down", "heartbeat failure")
    run(build, 20)
    assert spread(build, made) == {"wrk2": 4}
    stuck = [t for t in build.cluster.tasks_in(made.id) if t.desired == "shutdown"]
    assert {t.state for t in stuck} == {"running"}, "nobody can say that they have ended"
    running, desired, _ = build.control.counts(made)
    assert (running, desired) == (6, 4), "the engine counts them, as real ones do"
    build.world.boot(build.world.hosts["wrk1"])
    run(build, 10)
    assert build.node("wrk1").state == "ready"
    assert all(t.over for t in stuck)


def test_a_worker_that_is_cut_off_goes_on_running_and_reports_later() -> None:
    build = make(3, 2)
    made = service(build, "web", 2, constraints=["node.role==worker"])
    build.world.partition({"wrk1"})
    run(build, 40)
    assert build.node("wrk1").state == "down"
    host = build.world.hosts["wrk1"]
    assert [c.state for c in host.containers.values()] == ["running"]
    build.world.partition()
    run(build, 20)
    assert build.node("wrk1").state == "ready"
    assert [c for c in host.containers.values() if c.state == "running"] == []
    assert spread(build, made) == {"wrk2": 2}


# -- raft


def test_a_dead_leader_leaves_no_control_plane_for_10_to_26_seconds() -> None:
    for seed in range(8):
        build = make(3, 1, seed=seed)
        raft = build.control.raft
        leader = raft.members[raft.leader or ""].host
        build.world.crash(build.world.hosts[leader])
        run(build, 9.9)
        assert raft.leader is None
        run(build, 16.2)
        assert raft.leader is not None
        states = {node.hostname: node.state for node in build.cluster.nodes.values()}
        assert set(states.values()) <= {"unknown", "ready", "down"}
        run(build, 45)
        states = {node.hostname: node.state for node in build.cluster.nodes.values()}
        assert states.pop(leader) == "down"
        assert set(states.values()) == {"ready"}
        assert voters(build.control)[leader] == "unreachable"


def test_quorum_arithmetic_against_a_table() -> None:
    table = {1: (1, 0), 2: (2, 0), 3: (2, 1), 4: (3, 1), 5: (3, 2), 6: (4, 2), 7: (4, 3)}
    for managers, (quorum, tolerance) in table.items():
        build = make(managers, 0)
        raft = build.control.raft
        assert raft.quorum == quorum
        others = [m.host for m in raft.members.values() if m.node_id != raft.leader]
        for name in others[:tolerance]:
            build.world.crash(build.world.hosts[name])
        run(build, 30)
        assert raft.leader is not None, managers
        for name in others[tolerance : tolerance + 1]:
            build.world.crash(build.world.hosts[name])
        run(build, 60)
        assert (raft.leader is None) == (managers > 1), managers


def test_a_leader_without_followers_steps_down_after_13_seconds() -> None:
    build = make(3, 1)
    raft = build.control.raft
    for member in list(raft.members.values()):
        if member.node_id != raft.leader:
            build.world.crash(build.world.hosts[member.host])
    run(build, 12)
    assert raft.leader is not None
    assert raft.losing
    run(build, 2)
    assert raft.leader is None


def test_only_the_majority_side_of_a_cut_network_has_a_leader() -> None:
    build = make(5, 0)
    raft = build.control.raft
    leader = raft.members[raft.leader or ""].host
    other = next(m.host for m in raft.members.values() if m.host != leader)
    build.world.partition({leader, other})
    run(build, 60)
    assert raft.leader is not None
    now = raft.members[raft.leader].host
    assert now not in (leader, other)
    hosts = build.world.hosts
    assert [raft.leads_for(hosts[f"mgr{n}"]) for n in range(1, 6)].count(True) == 3
    assert not raft.leads_for(hosts[leader])
    build.world.partition()
    run(build, 30)
    assert set(voters(build.control).values()) == {"Leader", "reachable"}


def test_nothing_is_scheduled_without_a_leader_and_all_is_caught_up_after() -> None:
    build = make(3, 2)
    made = service(build, "web", 2, constraints=["node.role==worker"])
    raft = build.control.raft
    dead = [m.host for m in raft.members.values()][:2]
    for name in dead:
        build.world.crash(build.world.hosts[name])
    build.world.crash(build.world.hosts["wrk1"])
    run(build, 120)
    assert raft.leader is None
    assert build.node("wrk1").state != "down", "nobody is there to notice"
    assert [c.state for c in build.world.hosts["wrk2"].containers.values()] == ["running"]
    for name in dead:
        build.world.boot(build.world.hosts[name])
    run(build, 90)
    assert build.node("wrk1").state == "down"
    assert spread(build, made) == {"wrk2": 2}


# -- forcing


async def force(build: Builder, name: str) -> Control:
    """Force a new cluster on a host; time is moved for the call."""
    host = build.world.hosts[name]
    request = {"ForceNewCluster": True, "ListenAddr": "0.0.0.0:2377"}
    call = asyncio.ensure_future(membership.force_new_cluster(build.world, host, request))
    for _ in range(20):
        await asyncio.sleep(0)
        build.world.kernel.advance(0.1)
    await call
    return build.world.control(build.world.clusters[-1])


async def test_forcing_although_others_live_makes_two_clusters() -> None:
    build = make(3, 1)
    control = await force(build, "mgr1")
    run(build, 60)
    assert voters(control) == {"mgr1": "Leader"}
    assert build.control.raft.leader is not None, "the old majority goes on"
    assert control.cluster.id == build.cluster.id
    risky = [entry.text for entry in build.world.journal.entries if entry.kind == "swarm.force"]
    assert risky == ["A new cluster was forced on mgr1 although mgr2 and mgr3 still lived."]


async def test_old_managers_follow_a_forced_cluster_that_still_lists_them() -> None:
    build = make(3, 1)
    for name in ("mgr2", "mgr3"):
        build.world.crash(build.world.hosts[name])
    run(build, 60)
    control = await force(build, "mgr1")
    run(build, 40)
    for name in ("mgr2", "mgr3"):
        build.world.boot(build.world.hosts[name])
    run(build, 70)
    assert voters(control) == {"mgr1": "Leader", "mgr2": "reachable", "mgr3": "reachable"}
    assert build.control.raft.leader is None


async def test_old_managers_whose_entries_are_gone() -> None:
    build = make(3, 1)
    for name in ("mgr2", "mgr3"):
        build.world.crash(build.world.hosts[name])
    run(build, 60)
    control = await force(build, "mgr1")
    run(build, 40)
    for name in ("mgr2", "mgr3"):
        node = next(n for n in control.cluster.nodes.values() if n.hostname == name)
        control.nodes.remove(node.id, force=False)
    build.world.boot(build.world.hosts["mgr2"])
    run(build, 120)
    assert build.control.raft.leader is None, "one alone waits for ever"
    build.world.boot(build.world.hosts["mgr3"])
    run(build, 60)
    assert build.control.raft.leader is not None, "an old majority is a second live cluster"
    assert voters(control) == {"mgr1": "Leader"}


async def test_forcing_on_a_locked_swarm_is_refused_and_leaves_it_inactive() -> None:
    build = Builder(World(1, start=1e9))
    host = build.world.add_host("mgr1", "10.9.0.1")
    build.swarm([host], [], age=DAY, autolock=True)
    with pytest.raises(ApiError, match="Swarm is encrypted and needs to be unlocked") as refused:
        await membership.force_new_cluster(build.world, host, {"ListenAddr": "0.0.0.0:2377"})
    assert refused.value.status == 503


def test_the_safeguards_of_the_control_api() -> None:
    build = make(1, 1)
    manager, worker = build.node("mgr1"), build.node("wrk1")
    tries = {
        "attempting to demote the last manager of the swarm": lambda: build.control.nodes.update(
            manager.id, manager.index, {**manager.spec(), "Role": "worker"}
        ),
        "update out of sequence": lambda: build.control.nodes.update(worker.id, worker.index - 1, worker.spec()),
        "is not down and can't be removed": lambda: build.control.nodes.remove(worker.id, force=False),
        "It must be demoted to worker before removal": lambda: build.control.nodes.remove(manager.id, force=True),
    }
    for words, attempt in tries.items():
        with pytest.raises(ApiError, match=words):
            attempt()
    assert (manager.wanted_role, worker.state) == ("manager", "ready")
