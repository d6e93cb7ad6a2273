"""Every disaster can be got out of by what operators type, as the procedures say; and knows when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.imports import import_file
from swarmtui.cli.demo import _take_in
from swarmtui.demo.hosts.commands import HostShell
from swarmtui.demo.scenarios.disasters import KEY_FILE
from swarmtui.demo.scenarios.goals import current
from swarmtui.demo.scenarios.restores import BACKUP
from swarmtui.demo.serve import Demo
from tests.demo.test_scenarios import Room

SWARM = "/var/lib/docker/swarm"
FENCE = f"systemctl stop docker.socket docker.service && mv {SWARM} {SWARM}.fenced && systemctl start docker"


class Drilled(Room):
    """A disaster, and the small things that one does about it."""

    def ip(self, host: str) -> str:
        return self.world.hosts[host].ip

    async def feed(self, host: str, line: str, data: bytes) -> str:
        result = await HostShell(self.world, self.world.hosts[host]).run(line, data)
        assert result.code == 0, (line, result)
        return result.out

    async def force(self, host: str, *dead: str) -> None:
        """A new cluster on this host; the dead are removed as soon as they are seen to be."""
        await self.run(host, f"docker swarm init --force-new-cluster --advertise-addr {self.ip(host)}")
        for name in dead:
            await self.until(lambda name=name: self.state(name) == "down")  # type: ignore[misc]
            await self.run(host, f"docker node rm {name}")

    def state(self, name: str) -> str:
        nodes = current(self.world).cluster.nodes.values()
        return next((node.state for node in nodes if node.hostname == name), "")

    async def join(self, host: str, *others: str) -> None:
        token = (await self.run(host, "docker swarm join-token -q manager")).strip()
        for name in others:
            await self.run(name, f"docker swarm join --token {token} {self.ip(host)}:2377")

    async def restore(self, host: str) -> None:
        await self.run(host, f"systemctl stop docker.socket docker && rm -rf {SWARM}")
        await self.feed(host, "tar -xf - -C /", self.world.archives[BACKUP])
        await self.run(host, f"rm {SWARM}/docker-state.json && systemctl start docker")

    async def over(self, *, risky: tuple[str, ...] = ()) -> None:
        await self.solved()
        assert tuple(self.drill.report()["risky"]) == risky


@pytest.fixture
async def drill() -> AsyncIterator[Callable[[str], Drilled]]:
    rooms: list[Drilled] = []

    def begin(name: str, speed: float = 60.0) -> Drilled:
        room = Drilled(name, speed)
        room.world.kernel.attach(asyncio.get_running_loop())
        rooms.append(room)
        return room

    yield begin
    for room in rooms:
        room.world.kernel.detach()


Begin = Callable[..., Drilled]


async def test_quorum_lost(drill: Begin) -> None:
    room = drill("quorum-lost")
    assert "does not have a leader" in (await room.run("mgr1", "docker node ls || docker info")).lower()
    await room.force("mgr1", "mgr2", "mgr3")
    await room.join("mgr1", "spare1", "spare2")
    await room.over()


async def test_a_new_swarm_is_no_way_out(drill: Begin) -> None:
    room = drill("quorum-lost")
    await room.run("mgr1", "docker swarm leave --force && docker swarm init")
    await room.join("mgr1", "spare1", "spare2")
    left = room.drill.report()["left"]
    assert left[0] == "This is another Swarm: nothing of the old one is in it."
    assert any(text.startswith("Missing: service ") for text in left)


async def test_quorum_lost_five(drill: Begin) -> None:
    room = drill("quorum-lost-five")
    await room.force("mgr2", "mgr1", "mgr3", "mgr5")
    assert room.state("mgr4") in ("unknown", "ready", "down")
    # It lives, and the new cluster still lists it: it has to be fenced all the same before it is let in again.
    assert room.drill.report()["risky"] == ["A new cluster was forced on mgr2 although mgr4 still lived."]
    await room.run("mgr4", FENCE)
    await room.until(lambda: room.state("mgr4") == "down")
    await room.run("mgr2", "docker node rm mgr4")
    await room.join("mgr2", "mgr4", "spare1", "spare2", "spare3")
    await room.solved()


async def test_quorum_lost_five_with_everyone_fenced(drill: Begin) -> None:
    room = drill("quorum-lost-five")
    await room.run("mgr4", FENCE)
    await room.force("mgr2", "mgr1", "mgr3", "mgr5", "mgr4")
    await room.join("mgr2", "mgr4", "spare1", "spare2", "spare3")
    await room.over()


async def test_managers_locked(drill: Begin) -> None:
    room = drill("managers-locked")
    key = (await room.run("wrk1", f"cat {KEY_FILE}")).encode()
    await asyncio.gather(*(room.feed(f"mgr{n}", "docker swarm unlock", key) for n in (1, 2, 3)))
    await room.over()


async def test_partition(drill: Begin) -> None:
    room = drill("partition")
    assert "--dport 2377 -j DROP" in await room.run("mgr2", "iptables -S INPUT")
    for name in ("mgr2", "mgr3"):
        await room.run(name, "iptables -D INPUT -p tcp --dport 2377 -j DROP")
    await room.over()


async def test_split_brain(drill: Begin) -> None:
    room = drill("split-brain")
    assert "mgr2" in await room.run("mgr2", "docker node ls --format '{{.Hostname}} {{.ManagerStatus}}'")
    await room.run("mgr2", FENCE)
    await room.run("mgr3", FENCE)
    await room.join("mgr1", "mgr2", "mgr3")
    await room.over()


async def test_old_managers(drill: Begin) -> None:
    room = drill("old-managers", 300.0)
    await room.run("mgr2", FENCE)
    await room.join("mgr1", "mgr2")
    await room.until(lambda: room.world.hosts["mgr3"].powered)
    await asyncio.sleep(0.5)
    await room.run("mgr3", FENCE)
    await room.join("mgr1", "mgr3")
    await room.over()


async def test_old_managers_that_nobody_fenced(drill: Begin) -> None:
    room = drill("old-managers", 300.0)
    await room.until(lambda: room.drill.report()["risky"])
    assert room.drill.report()["risky"] == ["The old managers formed a second Swarm."]
    assert room.drill.report()["left"][0].startswith("There are 2 live Swarms, led by mgr")


async def test_all_managers_lost(drill: Begin) -> None:
    room = drill("all-managers-lost")
    assert await room.run("mgr2", "docker info --format '{{.Swarm.LocalNodeState}}'") == "inactive\n"
    await room.restore("mgr2")
    await room.force("mgr2", "mgr1", "mgr3")
    await room.join("mgr2", "mgr1", "mgr3")
    await room.over()
    assert "shop_reviews" not in await room.run("mgr2", "docker service ls"), "it is newer than the backup"


async def test_new_address(drill: Begin) -> None:
    room = drill("new-address")
    await room.restore("new1")
    await room.run("new1", "ip addr add 10.0.1.12/32 dev eth0")
    await room.force("new1", "mgr1", "mgr3")
    await room.join("new1", "new2")
    await room.run("new2", "docker node demote new1 && sleep 5 && docker node promote new1 && sleep 5")
    await room.run("new1", "ip addr del 10.0.1.12/32 dev eth0")
    await room.join("new2", "new3")
    await room.over()


async def test_content_deleted(drill: Begin) -> None:
    room = drill("content-deleted")
    control = current(room.world)
    known = room.world.remembered
    for name in set(known["network"]) - {network.label for network in control.cluster.networks.values()}:
        control.networks.create({"Name": name, "Driver": "overlay"})
    for secret, kind, table in ((True, "secret", control.cluster.secrets), (False, "config", control.cluster.configs)):
        for name in set(known[kind]) - {one.name for one in table.values()}:
            control.blobs.create({"Name": name, "Data": known[kind][name]}, secret=secret)
    for name in set(known["service"]) - {one.name for one in control.cluster.services.values()}:
        wrong = name == "shop_cart"
        image = "shop/cart:1" if wrong else known["service"][name]
        control.create_service({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": image}}})
    await asyncio.sleep(0.5)
    assert room.drill.report()["left"] == ["Not as it was: service shop_cart."]
    cart = next(one for one in control.cluster.services.values() if one.name == "shop_cart")
    await room.run("mgr1", f"docker service update -d --image {known['service']['shop_cart']} {cart.id}")
    await room.over()


@pytest.mark.parametrize("name", ["all-managers-lost", "content-deleted"])
async def test_its_backup_is_a_genuine_one(name: str, tmp_path: Path) -> None:
    async with Demo(name, speed=20) as demo:
        (file,) = demo.backups
        assert demo.describe()["backups"] == [str(file)]
        assert file.stat().st_mode & 0o777 == 0o600
        assert f'folder = "{demo.folder}/backups"' in demo.config.read_text()
        entry = await asyncio.to_thread(import_file, Catalogue(tmp_path / "backups"), file, cluster="simulated")
        inventory = entry.whole.inventory
        assert inventory is not None
        assert {service.name for service in inventory.services} == set(demo.world.remembered["service"])
        assert entry.whole.cluster_id == demo.world.clusters[0].id
        assert entry.whole.node == "mgr2"
        await asyncio.to_thread(_take_in, demo.describe())
        (taken,) = Catalogue(demo.folder / "backups").entries()
        assert taken.whole.digest == entry.whole.digest
        # It was made by hand: nothing but a rehearsal proves such a one.
        assert {tier.tier: tier.ok for tier in taken.verifications[-1].tiers} == {1: True, 2: True, 3: True, 4: None}
