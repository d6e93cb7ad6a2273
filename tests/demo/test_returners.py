"""After a new cluster was forced: addresses that outlive their hosts, old managers that come back, counts that lie.

What is true of real engines, and was seen there, is in swarm-dr.md §3 and §4.
"""

from __future__ import annotations

import asyncio

import pytest

from swarmtui.demo.hosts.commands import HostShell
from swarmtui.demo.scenarios.builder import DAY, Builder
from swarmtui.demo.scenarios.goals import node_named
from swarmtui.demo.world.control import Control
from swarmtui.demo.world.errors import JOIN_TIMEOUT, NO_LEADER
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.raft import Raft
from swarmtui.demo.world.world import World

SWARM = "/var/lib/docker/swarm"


class Place:
    """A Swarm of three managers and two workers, with time that is moved by hand."""

    def __init__(self, *, autolock: bool = False) -> None:
        self.world = World(1, start=1e9)
        managers = [self.world.add_host(f"mgr{n}", f"10.9.0.{n}") for n in (1, 2, 3)]
        workers = [self.world.add_host(f"wrk{n}", f"10.9.0.{10 + n}") for n in (1, 2)]
        self.build = Builder(self.world)
        self.build.swarm(managers, workers, age=DAY, autolock=autolock)
        self.build.service("agent", "shop/agent:1", None)
        self.build.service("web", "shop/web:1", 5)
        self.build.settle()
        self.world.kernel.advance(1)

    def host(self, name: str) -> Host:
        return self.world.hosts[name]

    async def run(self, name: str, line: str, *, code: int = 0, stdin: bytes = b"") -> str:
        """Run a line on a host; time goes on meanwhile."""
        task = asyncio.ensure_future(HostShell(self.world, self.host(name)).run(line, stdin))
        until = self.world.kernel.now() + 300
        while not task.done():
            assert self.world.kernel.now() < until, f"{line} takes too long"
            await asyncio.sleep(0)
            self.world.kernel.advance(0.1)
        result = task.result()
        assert result.code == code, result
        return result.out + result.err

    def after(self, seconds: float) -> None:
        self.world.kernel.advance(seconds)

    async def force(self, name: str) -> Control:
        await self.run(name, f"docker swarm init --force-new-cluster --advertise-addr {self.host(name).ip}")
        return self.control(name)

    def control(self, name: str) -> Control:
        swarm = self.host(name).swarm
        assert swarm is not None
        return self.world.control(swarm.cluster)

    def states(self, control: Control) -> dict[str, str]:
        return {node.hostname: node.state for node in control.cluster.nodes.values()}

    async def archive(self, name: str) -> bytes:
        """What a cold backup of a manager holds; its Docker runs again afterwards."""
        self.world.stop_docker(self.host(name))
        data = await self.run(name, f"tar -cf - -C {SWARM} .")
        self.world.start_docker(self.host(name))
        self.after(40)
        return data.encode("utf-8", "surrogateescape")

    async def unpack(self, name: str, archive: bytes) -> None:
        """The recipe of a restore, up to the force."""
        self.world.stop_docker(self.host(name))
        await self.run(name, f"rm -rf {SWARM} && mkdir -m 0700 {SWARM}")
        await self.run(name, f"tar -xf - -C {SWARM} && rm {SWARM}/docker-state.json", stdin=archive)
        self.world.start_docker(self.host(name))
        assert await self.run(name, "docker info --format '{{.Swarm.LocalNodeState}}'") == "inactive\n"


def voters(raft: Raft) -> dict[str, str]:
    return {m.host: "Leader" if m.node_id == raft.leader else "reachable" for m in raft.members.values() if m.reachable}


async def test_counts_lie_after_a_force_until_the_dead_are_removed() -> None:
    place = Place()
    for name in ("mgr2", "mgr3"):
        place.world.crash(place.host(name))
    place.after(40)
    listing = "docker service ls --format '{{.Name}} {{.Replicas}}'"
    control = await place.force("mgr1")
    at_once = sorted((await place.run("mgr1", listing)).splitlines())
    assert at_once[0] in ("agent 5/5", "agent 5/4"), "that one is dead may have been seen before the quorum was lost"
    assert at_once[1] == "web 5/5"
    place.after(60)
    assert place.states(control) == {**dict.fromkeys(("mgr2", "mgr3"), "down"), "mgr1": "ready"} | dict.fromkeys(
        ("wrk1", "wrk2"), "ready"
    )
    dead = [node for node in control.cluster.nodes.values() if node.state == "down"]
    on_dead = sum(t.state == "running" and t.service_id != "" for n in dead for t in control.cluster.tasks_on(n.id))
    assert on_dead > 2, "their tasks still count as running"
    lies = dict(line.split() for line in (await place.run("mgr1", listing)).splitlines())
    assert lies == {"agent": "5/3", "web": f"{3 + on_dead}/5"}
    for node in dead:
        await place.run("mgr1", f"docker node rm {node.id}")
    place.after(20)
    assert sorted((await place.run("mgr1", listing)).splitlines()) == ["agent 3/3", "web 5/5"]


async def test_one_that_was_removed_waits_for_ever_and_two_are_a_second_cluster() -> None:
    place = Place()
    for name in ("mgr2", "mgr3"):
        place.world.crash(place.host(name))
    place.after(40)
    control = await place.force("mgr1")
    place.after(60)
    for name in ("mgr2", "mgr3"):
        await place.run("mgr1", f"docker node rm {name}")
    # It sleeps through it all, and knows the old managers only.
    place.world.crash(place.host("wrk2"))
    place.host("wrk2").swarm.remotes = {m.node_id: m.address for m in place.build.control.raft.members.values()}  # type: ignore[union-attr]
    place.world.boot(place.host("mgr2"))
    place.after(120)
    asked = "docker info --format '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}} {{.Swarm.Error}}'"
    assert await place.run("mgr2", asked) == f"pending true {NO_LEADER}\n"
    assert NO_LEADER in await place.run("mgr2", "docker node ls", code=1)
    assert "was removed from swarm" in await place.run("mgr2", "journalctl -u docker -n 50")
    assert "was removed" not in await place.run("mgr1", "journalctl -u docker -n 50")
    place.world.boot(place.host("mgr3"))
    place.after(60)
    assert voters(place.build.control.raft).keys() == {"mgr2", "mgr3"}
    assert place.states(place.control("mgr2")) == dict.fromkeys(("mgr1", "wrk1", "wrk2"), "down") | dict.fromkeys(
        ("mgr2", "mgr3"), "ready"
    )
    assert voters(control.raft) == {"mgr1": "Leader"}
    assert place.states(control)["wrk1"] == "ready", "a worker that has its manager stays with it"
    place.host("mgr1").powered = False  # whoever looks first, finds the others
    place.world.boot(place.host("wrk2"))
    place.after(60)
    assert place.states(place.control("mgr2"))["wrk2"] == "ready", "captured"


async def test_those_that_are_still_listed_come_back_by_themselves() -> None:
    place = Place()
    for name in ("mgr2", "mgr3"):
        place.world.stop_docker(place.host(name))
    place.after(40)
    control = await place.force("mgr1")
    for name in ("mgr2", "mgr3"):
        place.world.start_docker(place.host(name))
    place.after(65)
    assert voters(control.raft).keys() == {"mgr1", "mgr2", "mgr3"}


async def test_fenced_ones_do_not_come_back() -> None:
    place = Place()
    for name in ("mgr2", "mgr3"):
        await place.run(name, "systemctl stop docker.socket docker.service")
        await place.run(name, f"mv {SWARM} {SWARM}.fenced-1")
    place.after(40)
    control = await place.force("mgr1")
    place.after(60)
    for name in ("mgr2", "mgr3"):
        await place.run("mgr1", f"docker node rm {name}")
        place.world.reboot(place.host(name))
    place.after(120)
    assert voters(control.raft) == {"mgr1": "Leader"}
    assert place.build.control.raft.leader is None
    assert await place.run("mgr2", "docker info --format '{{.Swarm.LocalNodeState}}'") == "inactive\n"


async def test_a_unit_that_is_masked_does_not_start_with_its_host() -> None:
    place = Place()
    assert "Created symlink" in await place.run("mgr2", "systemctl mask --now docker.service docker.socket")
    place.world.reboot(place.host("mgr2"))
    place.after(10)
    assert not place.host("mgr2").docker and not place.host("mgr2").socket
    assert "docker.service is masked" in await place.run("mgr2", "systemctl start docker", code=1)
    assert await place.run("mgr2", "systemctl is-enabled docker", code=1) == "masked\n"
    await place.run("mgr2", "systemctl unmask docker.service docker.socket && systemctl start docker")
    assert await place.run("mgr2", "systemctl is-active docker docker.socket") == "active\nactive\n"
    await place.run("mgr2", "systemctl disable docker")
    place.world.reboot(place.host("mgr2"))
    place.after(10)
    assert not place.host("mgr2").docker and place.host("mgr2").socket


# -- restored elsewhere


async def elsewhere(place: Place) -> Control:
    """mgr2's backup was restored on a new host with another address; the old managers are gone."""
    archive = await place.archive("mgr2")
    for name in ("mgr1", "mgr2", "mgr3"):
        place.world.crash(place.host(name))
    place.world.add_host("new1", "10.9.0.31")
    place.world.add_host("new2", "10.9.0.32")
    place.after(30)
    await place.unpack("new1", archive)
    control = await place.force("new1")
    place.after(45)
    return control


async def join(place: Place, name: str, *, code: int = 0) -> str:
    token = (await place.run("new1", "docker swarm join-token -q manager")).strip()
    return await place.run(name, f"docker swarm join --token {token} 10.9.0.31:2377", code=code)


async def test_a_second_manager_takes_the_quorum_away_until_the_old_address_is_there() -> None:
    place = Place()
    control = await elsewhere(place)
    assert [m.address for m in control.raft.members.values()] == ["10.9.0.2:2377"], "the raft keeps the old one"
    assert await place.run("new1", "docker info --format '{{.Swarm.NodeAddr}}'") == "10.9.0.31\n"
    assert place.states(control)["wrk1"] == "down", "on a new address workers never come by themselves"
    assert JOIN_TIMEOUT in await join(place, "new2", code=1)
    place.after(20)
    assert NO_LEADER in await place.run("new1", "docker node ls", code=1)
    await place.run("new1", "ip addr add 10.9.0.2/32 dev eth0")
    place.after(20)
    assert voters(control.raft).keys() == {"new1", "new2"}
    assert place.states(control)["wrk1"] == place.states(control)["wrk2"] == "ready"


@pytest.mark.parametrize("way", ["alias", "dnat"])
async def test_demoting_and_promoting_gives_it_its_new_address(way: str) -> None:
    place = Place()
    control = await elsewhere(place)
    rule = "OUTPUT -p tcp -d 10.9.0.2 --dport 2377 -j DNAT --to-destination 10.9.0.31:2377"
    if way == "alias":
        await place.run("new1", "ip addr add 10.9.0.2/32 dev eth0")
        assert "10.9.0.2/32" in await place.run("new1", "ip -o addr show to 10.9.0.2/32")
        assert "lladdr" in await place.run("new2", "ip neigh show to 10.9.0.2")
    else:
        assert "FAILED" in await place.run("new2", "ip neigh show to 10.9.0.2")
        await place.run("new2", f"iptables -w -t nat -A {rule}")
        await place.run("new2", f"iptables -w -t nat -C {rule}")
    await join(place, "new2")
    restored = node_named(control.cluster, "new1")
    assert restored is not None
    await place.run("new2", f"docker node demote {restored.id} && sleep 5 && docker node promote {restored.id}")
    place.after(10)
    assert sorted(m.address for m in control.raft.members.values()) == ["10.9.0.31:2377", "10.9.0.32:2377"]
    if way == "alias":
        await place.run("new1", "ip addr del 10.9.0.2/32 dev eth0")
        assert await place.run("new1", "ip -o addr show to 10.9.0.2") == ""
        assert all("10.9.0.31:2377" in swarm.remotes.values() for swarm in (place.host("wrk1").swarm,) if swarm)
    else:
        await place.run("new2", f"iptables -w -t nat -D {rule}")
        await place.run("new2", f"iptables -w -t nat -C {rule}", code=1)
    await place.run("new1", "systemctl restart docker")
    place.after(30)
    assert voters(control.raft).keys() == {"new1", "new2"}


async def test_a_worker_whose_managers_it_is_told_is_back_with_its_id() -> None:
    place = Place()
    control = await elsewhere(place)
    swarm, restored = place.host("wrk1").swarm, node_named(control.cluster, "new1")
    assert swarm is not None and restored is not None
    told = f'[{{"node_id":"{restored.id}","addr":"10.9.0.31:2377"}}]'
    await place.run("wrk1", "systemctl stop docker.socket docker.service")
    await place.run("wrk1", f"umask 077; cat >{SWARM}/state.json", stdin=told.encode())
    await place.run("wrk1", "systemctl start docker")
    place.after(2)
    assert control.cluster.nodes[swarm.node_id].state == "ready"
    assert "10.9.0.2:2377" in await place.run("wrk1", f"cat {SWARM}/state.json"), "later it is told the old one again"
    place.after(60)
    assert control.cluster.nodes[swarm.node_id].state == "ready", "it keeps the manager that it has"
    await place.run("wrk1", "systemctl restart docker")
    place.after(30)
    assert control.cluster.nodes[swarm.node_id].state == "down"


async def test_an_alias_is_gone_after_a_reboot() -> None:
    place = Place()
    await place.run("wrk1", "ip addr add 10.9.0.99/32 dev eth0")
    assert "Cannot find device" in await place.run("wrk1", "ip addr add 10.9.0.98/32 dev eth7", code=1)
    place.world.reboot(place.host("wrk1"))
    place.after(10)
    assert "10.9.0.99" not in await place.run("wrk1", "ip -o addr")


# -- locked


async def test_unlocking_without_a_quorum_answers_when_there_is_one() -> None:
    place = Place(autolock=True)
    key = place.build.cluster.unlock_key.encode()
    for name in ("mgr1", "mgr2", "mgr3"):
        place.world.reboot(place.host(name))
    place.after(60)
    asked = "docker info --format '{{.Swarm.LocalNodeState}} {{.Swarm.Error}}'"
    assert (await place.run("mgr1", asked)).startswith("locked Swarm is encrypted")
    await place.run("mgr1", "timeout 40 docker swarm unlock", stdin=key, code=124)
    assert await place.run("mgr1", asked) == f"pending {NO_LEADER}\n"
    await place.run("mgr1", "timeout 12 docker swarm init --force-new-cluster", code=124)
    await place.run("mgr2", "docker swarm unlock", stdin=key)
    assert voters(place.build.control.raft).keys() == {"mgr1", "mgr2"}


async def test_a_firewall_between_managers() -> None:
    place = Place()
    rule = "INPUT -p tcp --dport 2377 -j DROP"
    for name in ("mgr2", "mgr3"):
        await place.run(name, f"iptables -A {rule}")
    place.after(30)
    assert place.build.control.raft.leader is None
    assert await place.run("mgr2", "iptables -S INPUT") == (
        "-P INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 2377 -j DROP\n"
    )
    await place.run("mgr2", f"iptables -D {rule}")
    await place.run("mgr2", f"iptables -D {rule}", code=1)
    place.after(10)
    assert voters(place.build.control.raft).keys() == {"mgr1", "mgr2"}
