"""DTR of the simulated platform, held to what is documented of 2.4.1: the first things one does with it.

The real images cannot be had, so nothing here says what they do: it says that the simulator keeps to the reference.
"""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swarmtui.demo.platform.dtr_releases import DTR_24
from swarmtui.demo.serve import Demo
from tests.demo.platform_driver import UCP, Platform


@pytest.fixture
async def platform(runs: Path) -> AsyncIterator[Platform]:
    async with Demo("platform", speed=40) as demo:
        yield Platform(demo)


async def test_replicas_of_dtr(platform: Platform) -> None:
    for name in ("dtr1", "dtr2", "dtr3"):
        answer = await platform.ask("dtr", name, "/_ping")
        assert (answer.status, answer.json) == (200, {"Error": "", "Healthy": True})
    assert (await platform.ask("dtr", "dtr1", "/health")).json["Healthy"] is True
    assert (await platform.ask("dtr", "dtr1", "/api/v0/meta/cluster_status")).status == 401
    status = (await platform.ask("dtr", "dtr1", "/api/v0/meta/cluster_status", **platform.basic())).json
    assert set(status) == {
        "rethink_system_tables", "replica_health", "replica_timestamp", "replica_readonly", "gc_lock_holder",
    }  # fmt: skip
    assert status["replica_health"] == dict.fromkeys(("47f20fb864cf", "a6a628053157", "daa7b23c3a61"), "OK")
    settings = (await platform.ask("dtr", "dtr1", "/api/v0/meta/settings", **platform.basic())).json
    assert settings["replicaSettings"]["a6a628053157"] == {"HTTPPort": 80, "HTTPSPort": 443, "node": "dtr2"}
    assert (settings["nfsHost"], settings["nfsPath"]) == ("nas.shop.example", "/dtr")
    found = (await platform.ask("dtr", "dtr1", "/api/v0/repositories/", **platform.basic())).json["repositories"]
    assert {"namespace": "shop", "name": "cart", "visibility": "private"} in found


async def test_one_replica_lost_is_removed_and_replaced(platform: Platform) -> None:
    world = platform.demo.world
    world.crash(world.hosts["dtr3"])
    status = (await platform.ask("dtr", "dtr1", "/api/v0/meta/cluster_status", **platform.basic())).json
    assert status["replica_health"]["daa7b23c3a61"].startswith("Replica reported health too long ago: ")
    assert "dtr_rethinkdb_daa7b23c3a61" in status["rethink_system_tables"]["current_issues"][0]["description"]
    secret = f"UCP_PASSWORD={platform.password}"
    dtr = "docker run --log-driver none --rm -i --env UCP_PASSWORD docker/dtr:2.4.1"
    join = f"{secret} {dtr} join {platform.dtr_options} --ucp-node wrk5 --existing-replica-id 47f20fb864cf"
    code, _, log = await platform.run("mgr1", join)
    assert code == 1
    assert "remove them before you join another one" in log
    remove = (
        f"{secret} {dtr} remove {platform.dtr_options} --existing-replica-id 47f20fb864cf --replica-ids daa7b23c3a61"
    )
    assert (await platform.run("mgr1", remove))[0] == 0
    code, _, log = await platform.run("mgr1", join)
    assert code == 0
    assert "There are currently 3 replicas in your DTR cluster" in log
    assert (await platform.until_listening("dtr", "wrk5")).status == 200
    more = f"{secret} {dtr} join {platform.dtr_options} --ucp-node wrk4 --existing-replica-id 47f20fb864cf"
    code, _, log = await platform.run("mgr1", more)
    assert "You have an even number of replicas which can impact availability" in log


async def test_a_lost_majority_is_destroyed_and_restored(platform: Platform) -> None:
    world = platform.demo.world
    secret = f"UCP_PASSWORD={platform.password}"
    dtr = "docker run --log-driver none --rm -i --env UCP_PASSWORD docker/dtr:2.4.1"
    backup = f"{secret} {dtr} backup {platform.dtr_options} --existing-replica-id 47f20fb864cf"
    code, data, _ = await platform.run("mgr1", backup)
    assert code == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
    assert names[0] == "dtr-backup-v2.4.1/rethink/properties/0"
    for name in ("dtr2", "dtr3"):
        world.crash(world.hosts[name])
    answer = await platform.ask("dtr", "dtr1", "/_ping")
    assert (answer.status, answer.json["Healthy"]) == (503, False)
    assert (await platform.ask("dtr", "dtr1", "/api/v0/meta/cluster_status", **platform.basic())).status == 500
    repair = f"{secret} {dtr} emergency-repair {platform.dtr_options} --existing-replica-id 47f20fb864cf"
    assert (await platform.run("mgr1", repair))[0] == 3, "2.4 has none"
    place = "--ucp-node dtr1 --replica-id 47f20fb864cf --dtr-external-url https://dtr.shop.example"
    restore = f"{secret} {dtr} restore {platform.dtr_options} {place} --nfs-storage-url nfs://nas.shop.example/dtr"
    code, _, log = await platform.run("mgr1", restore, data)
    assert (code, "destroy them first" in log) == (1, True)
    destroy = f"{secret} {dtr} destroy {platform.dtr_options} --replica-id"
    code, _, log = await platform.run("mgr1", f"{destroy} a6a628053157")
    assert (code, "No such replica" in log) == (1, True), "UCP does not see what is on a host that is off"
    code, _, log = await platform.run("mgr1", f"{destroy} 47f20fb864cf")
    assert (code, "Replica removed." in log) == (0, True)
    code, _, log = await platform.run("mgr1", restore, b"rubbish")
    assert (code, "it is no tar archive" in log) == (1, True)
    code, _, log = await platform.run("mgr1", restore, data)
    assert code == 0, log
    assert (await platform.until_listening("dtr", "dtr1")).status == 200
    tags = await platform.ask("dtr", "dtr1", "/api/v0/repositories/shop/cart/tags", **platform.basic())
    assert [tag["name"] for tag in tags.json] == ["2.4.0", "2.4.1", "latest"], "the images lie on shared storage"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--ucp-url https://mgr1 --ucp-username admin --ucp-insecure-tls", "unable to prompt for ucp-password"),
        ("--ucp-url https://mgr1 --ucp-username admin --ucp-password wrong --ucp-insecure-tls", "Failed to log in"),
        (
            "--ucp-url https://nowhere --ucp-username admin --ucp-password x --ucp-insecure-tls",
            "Couldn't connect to UCP",
        ),
        ("--ucp-url https://mgr1 --ucp-username admin --ucp-password x", "certificate signed by unknown authority"),
        ("--insecure-tls", "flag provided but not defined: -insecure-tls"),
    ],
)
async def test_refusals_of_dtr(platform: Platform, options: str, words: str) -> None:
    code, out, log = await platform.run("wrk1", f"docker run --rm -i docker/dtr:2.4.1 backup {options}")
    assert (code, out) == (1, b"")
    assert words in log


async def test_installing_both_from_nothing(runs: Path) -> None:
    async with Demo("no-ucp", speed=40) as demo:
        platform = Platform(demo)
        demo.world.registry.update(DTR_24.needed)
        admin = "--admin-username admin --admin-password long-enough"
        install = f"{UCP} install --host-address 10.0.1.11 {admin} --san ucp.example"
        code, _, log = await platform.run("mgr1", install)
        assert code == 0, log
        assert "UCP Instance ID: " in log
        for _ in range(200):
            if demo.platform:
                break
            await asyncio.sleep(0.02)
        assert (await platform.until_listening("ucp", "mgr3")).status == 200
        dtr = "UCP_PASSWORD=long-enough docker run --rm -i --env UCP_PASSWORD docker/dtr:2.4.1"
        where = "--ucp-url https://ucp.example --ucp-username admin --ucp-insecure-tls"
        code, _, log = await platform.run("mgr1", f"{dtr} install {where} --ucp-node mgr2")
        assert (code, "Port 443 is already in use on mgr2" in log) == (1, True)
        code, _, log = await platform.run("mgr1", f"{dtr} install {where} --ucp-node wrk4 --replica-id 000000000001")
        assert code == 0, log
        assert (await platform.until_listening("dtr", "wrk4")).status == 200
