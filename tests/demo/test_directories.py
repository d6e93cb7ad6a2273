"""The folder of a simulated Swarm is a genuine one: the product's reader opens it, and what is put back is so again."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarmtui.backups.raft.reading import read
from swarmtui.demo.hosts.commands import HostShell
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.scenarios import SCENARIOS, Size
from swarmtui.demo.scenarios.builder import DAY, Builder
from swarmtui.demo.world import membership
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.errors import ApiError
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.objects import StoreObject
from swarmtui.demo.world.world import World
from swarmtui.model.inventory import Inventory
from swarmtui.vault.secret import Secret

FOLDER = "/var/lib/docker/swarm"
WAL = "raft/wal-v3-encrypted/0000000000000000-0000000000000000.wal"


class Archived:
    """An archive as the product's reader takes it, read with Python's own tarfile."""

    def __init__(self, data: bytes) -> None:
        self.files: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                if member.isfile() and (stream := archive.extractfile(member)) is not None:
                    self.files[member.name.removeprefix("swarm/")] = stream.read()

    def names(self) -> Iterable[str]:
        return self.files

    def read(self, name: str) -> bytes:
        return self.files[name]

    def size(self, name: str) -> int:
        return len(self.files[name])


class Machine:
    """A host and its shell."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.host: Host = world.hosts[name]
        self.shell = HostShell(world, self.host)

    async def run(self, line: str, stdin: bytes = b"") -> Output:
        result = await self.shell.run(line, stdin)
        assert result.code == 0, (line, result)
        return result

    async def archive(self) -> bytes:
        """A cold archive."""
        self.world.stop_docker(self.host)
        out = (await self.run("tar --create --file=- --sparse --xattrs --directory=/var/lib/docker swarm")).out
        return out.encode("utf-8", "surrogateescape")

    async def put_back(self, data: bytes) -> None:
        """Put an archive in the place of what is there, as the recipe says, with Docker stopped."""
        self.world.stop_docker(self.host)
        await self.run(f"rm -rf {FOLDER}")
        await self.run("tar -x -f - -C /var/lib/docker", data)
        await self.run(f"rm {FOLDER}/docker-state.json")
        self.world.start_docker(self.host)

    async def force(self, **more: Any) -> Cluster:
        request = {"ForceNewCluster": True, "ListenAddr": "0.0.0.0:2377", **more}
        await membership.force_new_cluster(self.world, self.host, request)
        assert self.host.swarm is not None
        return self.host.swarm.cluster


def build(scenario: str = "calm") -> World:
    world = World(1)
    SCENARIOS[scenario].build(world, Size())
    return world


def alone() -> World:
    """A Swarm of one manager and one worker."""
    world = World(1)
    hosts = [world.add_host(name, f"10.9.0.{at}") for at, name in enumerate(("mgr1", "wrk1"), 1)]
    maker = Builder(world)
    maker.swarm(hosts[:1], hosts[1:], age=DAY)
    maker.service("old", "nginx:1.25", 1)
    maker.settle()
    return world


def inside(data: bytes) -> Inventory | None:
    """What the product finds in an archive."""
    return _plain(read(Archived(data), ()).inventory)


def _plain(inventory: Inventory | None) -> Inventory | None:
    """Without the index: the API does not tell that of what was deleted since, nor of all tasks."""
    return inventory if inventory is None else msgspec.structs.replace(inventory, index=0)


def of_api(cluster: Cluster) -> Inventory:
    """What the engine's API tells of a Swarm."""

    def documents(items: Iterable[StoreObject]) -> list[dict[str, Any]]:
        return [msgspec.json.decode(item.encoded()) for item in items]

    found = Inventory.from_api(
        cluster.doc(),
        documents(cluster.nodes.values()),
        documents(cluster.services.values()),
        documents(network for network in cluster.networks.values() if not network.predefined),
        documents(cluster.secrets.values()),
        documents(cluster.configs.values()),
        len(cluster.tasks),
    )
    return msgspec.structs.replace(found, index=0)


@pytest.mark.parametrize("scenario", ["calm", "busy", "stale-nodes", "split-zones", "platform"])
async def test_the_archive_says_what_the_api_says(scenario: str) -> None:
    world = build(scenario)
    machine = Machine(world, "mgr2")
    swarm = machine.host.swarm
    assert swarm is not None
    before = of_api(swarm.cluster)
    contents = read(Archived(await machine.archive()), ())
    assert contents.problems == ()
    assert contents.opened
    assert not contents.locked
    assert _plain(contents.inventory) == before
    assert (contents.node_id, contents.cluster_id, contents.role) == (swarm.node_id, swarm.cluster.id, "manager")
    assert {member.node_id for member in contents.members} == set(swarm.raft.members)
    assert contents.last_index == contents.commit
    services = {service["ID"]: service["Spec"] for service in contents.objects["services"]}
    assert services.keys() == swarm.cluster.services.keys()
    for service in swarm.cluster.services.values():
        stored, shown = services[service.id], service.spec
        assert stored["Mode"] == shown["Mode"]
        assert stored["TaskTemplate"]["ContainerSpec"]["Image"] == shown["TaskTemplate"]["ContainerSpec"]["Image"]
        assert stored["TaskTemplate"].get("Placement", {}) == shown["TaskTemplate"].get("Placement", {})


async def test_what_happens_while_docker_is_stopped_is_not_on_the_disk() -> None:
    world = build()
    machine = Machine(world, "mgr2")
    swarm = machine.host.swarm
    assert swarm is not None
    before = of_api(swarm.cluster)
    world.stop_docker(machine.host)
    world.control(swarm.cluster).blobs.create({"Name": "late", "Data": "eA=="}, secret=True)
    assert any(item.name == "late" for item in of_api(swarm.cluster).secrets)
    assert inside(await machine.archive()) == before
    world.start_docker(machine.host)
    world.kernel.advance(60)
    again = inside(await machine.archive())
    assert again is not None
    assert any(item.name == "late" for item in again.secrets), "back with the others, it has caught up"


async def test_a_locked_one_opens_with_its_key_only() -> None:
    world = build()
    machine = Machine(world, "mgr2")
    swarm = machine.host.swarm
    assert swarm is not None
    cluster = swarm.cluster
    control = world.control(cluster)
    locked = {**cluster.spec, "EncryptionConfig": {"AutoLockManagers": True}}
    control.update_cluster(cluster.version, locked, {})
    old = cluster.unlock_key
    first = read(Archived(await machine.archive()), [Secret(old)])
    assert (first.locked, first.opened, first.problems) == (True, True, ())
    assert first.kek_version == cluster.version
    assert first.inventory is not None
    assert first.inventory.autolock
    world.start_docker(machine.host)
    control.update_cluster(cluster.version, locked, {"rotateManagerUnlockKey": True})
    data = await machine.archive()
    assert not read(Archived(data), ()).opened
    assert not read(Archived(data), [Secret(cluster.unlock_key)]).opened, "it was locked: it never got the new key"
    assert read(Archived(data), [Secret(old)]).opened


async def test_a_snapshot_and_the_log_after_it() -> None:
    world = build()
    machine = Machine(world, "mgr2")
    swarm = machine.host.swarm
    assert swarm is not None
    swarm.cluster.spec["Raft"]["SnapshotInterval"] = 40
    before = of_api(swarm.cluster)
    data = await machine.archive()
    files = Archived(data)
    contents = read(files, ())
    assert contents.problems == ()
    assert contents.snapshot_index == contents.last_index // 40 * 40 > 0
    assert _plain(contents.inventory) == before
    del files.files[next(name for name in files.files if name.endswith(".snap"))]
    assert read(files, ()).fatal


async def test_a_hot_one_has_an_entry_that_is_not_agreed_on() -> None:
    world = build()
    machine = Machine(world, "mgr2")
    out = (await machine.run("tar --create --file=- --sparse --directory=/var/lib/docker swarm")).out
    files = Archived(out.encode("utf-8", "surrogateescape"))
    assert "raft/wal-v3-encrypted/0.tmp" in files.names()
    contents = read(files, ())
    assert contents.last_index == contents.commit + 1
    assert contents.opened
    assert machine.host.swarm is not None
    assert _plain(contents.inventory) == of_api(machine.host.swarm.cluster)


async def test_reading_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    machine = Machine(build(), "mgr2")
    machine.world.stop_docker(machine.host)
    sums = [(await machine.run(f"sha256sum {FOLDER}/{WAL} {FOLDER}/certificates/swarm-node.key")).out for _ in "ab"]
    assert sums[0] == sums[1]
    assert (await machine.run(f"stat -c '%s %a' {FOLDER}/{WAL}")).out == "64000000 600\n"
    assert (await machine.run(f"du -sb {FOLDER}")).out.startswith("640")


async def test_an_archive_brings_its_own_state_back() -> None:
    world = build()
    machine = Machine(world, "mgr2")
    swarm = machine.host.swarm
    assert swarm is not None
    control = world.control(swarm.cluster)
    first = await machine.archive()
    before = of_api(swarm.cluster)
    world.start_docker(machine.host)
    world.kernel.advance(60)
    control.blobs.create({"Name": "late", "Data": "eA=="}, secret=True)
    control.remove_service(next(iter(swarm.cluster.services.values())))
    second = await machine.archive()
    for name in ("mgr1", "mgr3"):
        world.stop_docker(world.hosts[name])
    for data, late in ((first, False), (second, True), (first, False)):
        await machine.put_back(data)
        assert machine.host.swarm is None, "without docker-state.json nothing starts by itself"
        cluster = await machine.force()
        found = of_api(cluster)
        assert found.cluster_id == before.cluster_id
        assert (any(item.name == "late" for item in found.secrets)) == late
        assert ([s.name for s in found.services] == [s.name for s in before.services]) != late
        assert [n.name for n in found.nodes] == [n.name for n in before.nodes]


async def test_the_only_manager_starts_with_what_was_put_back() -> None:
    world = alone()
    machine = Machine(world, "mgr1")
    swarm = machine.host.swarm
    assert swarm is not None
    data = await machine.archive()
    world.start_docker(machine.host)
    world.kernel.advance(30)
    world.control(swarm.cluster).blobs.create({"Name": "late", "Data": "eA=="}, secret=True)
    world.stop_docker(machine.host)
    await machine.run(f"rm -rf {FOLDER}")
    await machine.run("tar -x -f - -C /var/lib/docker", data)
    world.start_docker(machine.host)
    world.kernel.advance(60)
    now = machine.host.swarm
    assert now is not None
    assert now.cluster.id == swarm.cluster.id
    assert not now.cluster.secrets
    assert now.raft.leader == now.node_id
    worker = world.hosts["wrk1"].swarm
    assert worker is not None
    assert worker.cluster is now.cluster
    assert {node.state for node in now.cluster.nodes.values()} == {"ready"}


async def test_a_key_file_unlocked_offline_forces_where_the_locked_one_does_not(tmp_path: Path) -> None:
    from swarmtui.backups.raft.unlock import unlocked_key

    world = build()
    machine = Machine(world, "mgr2")
    swarm = machine.host.swarm
    assert swarm is not None
    spec = {**swarm.cluster.spec, "EncryptionConfig": {"AutoLockManagers": True}}
    world.control(swarm.cluster).update_cluster(swarm.cluster.version, spec, {})
    key = swarm.cluster.unlock_key
    data = await machine.archive()
    for name in ("mgr1", "mgr3"):
        world.stop_docker(world.hosts[name])
    await machine.put_back(data)
    with pytest.raises(ApiError):
        await machine.force()
    await machine.put_back(data)
    world.stop_docker(machine.host)
    clear = unlocked_key(Archived(data).files["certificates/swarm-node.key"], Secret(key))
    await machine.run(f"tee {FOLDER}/certificates/swarm-node.key > /dev/null", clear)
    world.start_docker(machine.host)
    cluster = await machine.force(AutoLockManagers=True)
    assert cluster.unlock_key == key, "the same key stays"
    assert machine.host.swarm is not None
    assert machine.host.swarm.key == key, "and the file is encrypted again at once"


DECRYPT = "failed to decrypt WAL: no decryption key for record encrypted with SECRETBOX_SALSA20_POLY1305"


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (f"rm {FOLDER}/certificates/swarm-node.key", DECRYPT),
        (f"rm {FOLDER}/{WAL}", "can't initialize raft node: "),
        ("flip", "irreparable WAL error: walpb: crc mismatch"),
        (f"rm {FOLDER}/state.json", ""),
        (f"rm -rf {FOLDER}/worker", ""),
    ],
)
async def test_damage_has_the_end_it_has_on_real_engines(damage: str, error: str) -> None:
    """The table of swarm-dr.md §1."""
    world = build()
    machine = Machine(world, "mgr2")
    assert machine.host.swarm is not None
    node_id = machine.host.swarm.node_id
    data = await machine.archive()
    for name in ("mgr1", "mgr3"):
        world.stop_docker(world.hosts[name])
    await machine.put_back(data)
    if damage == "flip":
        file = machine.host.files[f"{FOLDER}/{WAL}"]
        middle = len(file.data) // 2
        file.data = file.data[:middle] + bytes([file.data[middle] ^ 1]) + file.data[middle + 1 :]
    else:
        world.stop_docker(machine.host)
        await machine.run(damage)
        world.start_docker(machine.host)
    if not error:
        await machine.force()
        assert machine.host.swarm.node_id == node_id
        return
    with pytest.raises(ApiError):
        await machine.force()
    assert error in machine.host.swarm_error
    assert machine.host.swarm is None


async def test_without_a_certificate_an_empty_swarm_says_success() -> None:
    world = build()
    machine = Machine(world, "mgr2")
    assert machine.host.swarm is not None
    old = machine.host.swarm
    await machine.put_back(await machine.archive())
    world.stop_docker(machine.host)
    await machine.run(f"rm {FOLDER}/certificates/swarm-node.crt")
    world.start_docker(machine.host)
    cluster = await machine.force()
    assert cluster.id != old.cluster.id
    assert not cluster.services


async def test_without_its_root_certificate_dockerd_crashes_and_comes_back() -> None:
    world = build()
    machine = Machine(world, "mgr2")
    await machine.put_back(await machine.archive())
    await machine.run(f"mv {FOLDER}/state.json /srv/x || true")
    world.stop_docker(machine.host)
    await machine.run(f"rm {FOLDER}/certificates/swarm-root-ca.crt")
    world.start_docker(machine.host)
    with pytest.raises(ApiError):
        await machine.force()
    assert not machine.host.docker
    world.kernel.advance(3)
    assert machine.host.docker


async def test_a_truncated_log_is_silently_older() -> None:
    world = build()
    machine = Machine(world, "mgr2")
    swarm = machine.host.swarm
    assert swarm is not None
    world.control(swarm.cluster).blobs.create({"Name": "late", "Data": "eA=="}, secret=True)
    data = await machine.archive()
    for name in ("mgr1", "mgr3"):
        world.stop_docker(world.hosts[name])
    await machine.put_back(data)
    file = machine.host.files[f"{FOLDER}/{WAL}"]
    file.data, file.size = file.data[:-80], 0
    cluster = await machine.force()
    assert not any(item.name == "late" for item in cluster.secrets.values())
    assert cluster.services
