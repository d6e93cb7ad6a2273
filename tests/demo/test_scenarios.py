"""Every scenario has its trouble, knows when it is solved, and tells at the end what was risky."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from swarmtui.demo.hosts.commands import HostShell
from swarmtui.demo.report import as_text
from swarmtui.demo.scenarios import SCENARIOS, Size
from swarmtui.demo.scenarios.drill import Drill
from swarmtui.demo.world.world import World

Run = Callable[[str, str], Awaitable[str]]


class Room:
    """A scenario with time passing, and a shell on each of its hosts."""

    def __init__(self, name: str, speed: float = 60.0) -> None:
        self.world = World(1, speed)
        SCENARIOS[name].build(self.world, Size())
        self.drill = Drill(SCENARIOS[name], self.world)

    async def run(self, host: str, line: str) -> str:
        result = await HostShell(self.world, self.world.hosts[host]).run(line)
        assert result.code == 0, (line, result)
        return result.out

    async def until(self, holds: Callable[[], object]) -> None:
        for _ in range(1000):
            if holds():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(self.drill.report())

    async def solved(self) -> None:
        await self.until(lambda: self.drill.solved_at is not None)


@pytest.fixture
async def enter() -> AsyncIterator[Callable[[str], Room]]:
    rooms: list[Room] = []

    def begin(name: str) -> Room:
        room = Room(name)
        room.world.kernel.attach(asyncio.get_running_loop())
        rooms.append(room)
        return room

    yield begin
    for room in rooms:
        room.world.kernel.detach()


Enter = Callable[[str], Room]


@pytest.mark.parametrize("name", [name for name, s in SCENARIOS.items() if s.goal])
def test_nothing_is_solved_by_waiting(name: str) -> None:
    world = World(1, start=1e9)
    SCENARIOS[name].build(world, Size())
    drill = Drill(SCENARIOS[name], world)
    world.kernel.advance(300)
    report = drill.report()
    assert not report["solved"]
    assert report["left"]
    assert report["risky"] == []
    assert report["seconds"] == 300
    assert SCENARIOS[name].goal in as_text(report)


@pytest.mark.parametrize("name", ["calm", "busy", "big"])
def test_a_world_without_a_goal_has_no_report(name: str) -> None:
    world = World(1, start=1e9)
    SCENARIOS[name].build(world, Size(nodes=12, tasks=100))
    assert as_text(Drill(SCENARIOS[name], world).report()) == ""


async def test_even_managers(enter: Enter) -> None:
    room = enter("even-managers")
    await room.run("mgr1", "docker node demote mgr4")
    await room.solved()
    assert room.drill.report()["risky"] == []


async def test_even_managers_made_worse(enter: Enter) -> None:
    room = enter("even-managers")
    await room.run("mgr1", "docker node demote mgr4 && sleep 3 && docker node demote mgr3")
    await asyncio.sleep(0.2)
    report = room.drill.report()
    assert not report["solved"]
    assert report["left"][0] == "There are 2 managers; at least 3 are wanted."
    assert report["risky"] == ["mgr3 was demoted, which left 2 managers: losing one of two stops the Swarm."]


async def test_manager_down(enter: Enter) -> None:
    room = enter("manager-down")
    lines = (await room.run("mgr1", "docker node ls")).splitlines()
    assert next(line for line in lines if "mgr2" in line).split()[2:5] == ["Down", "Active", "Unreachable"]
    assert await room.run("mgr2", "systemctl is-active docker || hostname") == "inactive\nmgr2\n"
    await room.run("mgr2", "systemctl start docker")
    await room.solved()
    assert room.drill.report()["risky"] == []


async def test_manager_down_replaced_although_it_could_be_started(enter: Enter) -> None:
    room = enter("manager-down")
    await room.run("mgr1", "docker node promote wrk2 && sleep 5")
    await room.run("mgr1", "docker node demote mgr2 && sleep 2 && docker node rm mgr2")
    await room.solved()
    assert "mgr2 was removed although its Docker only had to be started." in room.drill.report()["risky"]


async def test_split_zones(enter: Enter) -> None:
    room = enter("split-zones")
    await room.run("mgr1", "docker node promote wrk3 && sleep 5 && docker node demote mgr2")
    await room.solved()
    assert room.drill.report()["risky"] == []


async def test_split_zones_by_a_label_is_no_move(enter: Enter) -> None:
    room = enter("split-zones")
    await room.run("mgr1", "docker node update --label-add zone=c mgr2")
    await room.solved()
    assert room.drill.report()["risky"] == ["mgr2 got another zone label, which moves no machine."]


async def test_stale_nodes(enter: Enter) -> None:
    room = enter("stale-nodes")
    result = await HostShell(room.world, room.world.hosts["mgr1"]).run("docker node rm wrk2")
    assert "node wrk2 is ambiguous (2 matches found)" in result.err
    cluster = room.world.clusters[0]
    down = [node.id for node in cluster.nodes.values() if node.state == "down"]
    assert len(down) == 3
    await room.run("mgr1", f"docker node rm {' '.join(down)}")
    await room.solved()
    assert room.drill.report()["risky"] == []


async def test_stale_nodes_and_one_too_many(enter: Enter) -> None:
    room = enter("stale-nodes")
    cluster = room.world.clusters[0]
    everything = [node.id for node in cluster.nodes.values() if node.hostname in ("wrk2", "wrk6", "wrk7")]
    await room.run("mgr1", f"docker node rm --force {' '.join(everything)}")
    await asyncio.sleep(0.2)
    report = room.drill.report()
    assert not report["solved"]
    assert "Removed although alive: wrk2." in report["left"]
    assert len(report["risky"]) == 1
    assert "removed by force while it was up" in report["risky"][0]


async def test_certificates_expiring(enter: Enter) -> None:
    room = enter("certificates-expiring")
    show = "openssl x509 -noout -enddate -in /var/lib/docker/swarm/certificates/swarm-node.crt"
    before = await room.run("wrk4", show)
    await room.run("wrk4", "systemctl restart docker")
    assert await room.run("wrk4", show) != before
    await room.run("mgr3", "systemctl restart docker")
    await room.solved()


async def test_certificates_expiring_with_a_new_ca(enter: Enter) -> None:
    room = enter("certificates-expiring")
    cluster = room.world.clusters[0]
    root = cluster.authority.pem
    tokens = cluster.worker_token
    await room.run("mgr1", "docker swarm ca --rotate")
    await room.solved()
    await room.until(lambda: not cluster.rotating)
    assert await room.run("mgr1", "docker swarm ca") != root
    assert cluster.worker_token.split("-")[2] != tokens.split("-")[2]
    assert {node.tls["TrustRoot"] for node in cluster.nodes.values()} == {cluster.authority.pem}


async def test_drain_blocked(enter: Enter) -> None:
    room = enter("drain-blocked")
    await room.run("mgr1", "docker node update --availability drain wrk3")
    await room.until(lambda: any("shop_db has 0" in text for text in room.drill.progress().left))
    for _ in range(200):
        text = await room.run("mgr1", "docker service ps --no-trunc --filter desired-state=running shop_db")
        if "no suitable node" in text:
            break
        await asyncio.sleep(0.01)
    assert "scheduling constraints not satisfied on 4 nodes; insufficient resources on 3 nodes; 1 node" in text
    await room.run("mgr1", "docker node update --label-add db=true wrk4")
    await room.run("mgr1", "docker node update --label-add pci=true wrk1")
    await room.solved()
    assert room.drill.report()["risky"] == []


async def test_drain_blocked_and_the_data_left_behind(enter: Enter) -> None:
    room = enter("drain-blocked")
    await room.run("mgr1", "docker node update --availability drain wrk3")
    await room.run("mgr1", "docker node update --label-add db=true --label-add pci=true wrk1")
    await room.solved()
    assert room.drill.report()["risky"] == ["shop_db runs on wrk1, where its volume is empty; wrk4 has a copy."]


def test_busy_is_busy() -> None:
    world = World(1, start=1e9)
    SCENARIOS["busy"].build(world, Size())
    cluster = world.clusters[0]
    updates: set[str] = set()
    failed: set[str] = set()
    for _ in range(60):
        world.kernel.advance(5)
        updates |= {f"{s.name}/{s.update['State']}" for s in cluster.services.values() if s.update}
        failed |= {task.id for task in cluster.tasks.values() if task.state == "failed"}
    assert len({name.partition("/")[0] for name in updates}) >= 4
    assert {name.partition("/")[2] for name in updates} >= {"updating", "completed"}
    assert len(failed) > 10
    assert all(node.state == "ready" for node in cluster.nodes.values())
    running = sum(task.state == "running" for task in cluster.tasks.values())
    assert running > 30


@pytest.mark.parametrize("name", ["calm", "busy", "drain-blocked"])
def test_the_same_seed_makes_the_same_world(name: str) -> None:
    def history(seed: int) -> list[bytes]:
        world = World(seed, start=1e9)
        SCENARIOS[name].build(world, Size())
        world.kernel.advance(200)
        cluster = world.clusters[0]
        tasks = [task.encoded() for _, task in sorted(cluster.tasks.items())]
        return tasks + [service.encoded() for _, service in sorted(cluster.services.items())]

    assert history(7) == history(7)
    assert history(7) != history(8)
