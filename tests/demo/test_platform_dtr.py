"""DTR of the simulator by version: what its commands leave when they are struck, and what its API takes."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import tarfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from swarmtui.demo.platform import dtr_jobs
from swarmtui.demo.platform.dtr import PHASE2, Dtr, found_on, stored_on
from swarmtui.demo.platform.dtr_releases import DTR_24, DTR_25, DTR_26, DTR_27, MSR_28, MSR_29
from swarmtui.demo.scenarios.platform import EXTERNAL_URL, REPLICAS, STORAGE
from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from tests.demo.platform_driver import Platform, hold, running, until, world_of

ONE, TWO, THREE = REPLICAS
SIMPLE = "/api/v0/admin/settings/registry/simple"


def dtr_of(platform: Platform) -> Dtr:
    found = world_of(platform).dtr
    assert found is not None
    return found


async def command(platform: Platform, line: str, stdin: bytes = b"", *, host: str = "mgr1", image: str = "") -> str:
    """Runs a command that succeeds; returns its log."""
    code, _, log = await platform.run(host, written(platform, line, image), stdin)
    assert code == 0, log
    return log


async def refused(platform: Platform, line: str, stdin: bytes = b"", *, image: str = "") -> str:
    """Runs a command that fails; returns its log."""
    code, _, log = await platform.run("mgr1", written(platform, line, image), stdin)
    assert code == 1, log
    return log


def written(platform: Platform, line: str, image: str = "") -> str:
    name, _, rest = line.partition(" ")
    dtr = world_of(platform).dtr
    image = image or (dtr.release.image if dtr is not None else DTR_24.image)
    return (
        f"UCP_PASSWORD={platform.password} docker container run --log-driver none --rm -i --name made-by-hand "
        f"-e UCP_PASSWORD {image} {name} {platform.dtr_options} {rest}"
    )


@pytest.fixture
async def none(runs: Path) -> AsyncIterator[Platform]:
    async with Demo("no-dtr", speed=40) as demo:
        yield Platform(demo)


@pytest.fixture
async def old(runs: Path) -> AsyncIterator[Platform]:
    async with Demo("platform", speed=40) as demo:
        yield Platform(demo)


@pytest.fixture
async def new(runs: Path) -> AsyncIterator[Platform]:
    async with Demo("platform-3", speed=40) as demo:
        yield Platform(demo)


# -- versions


def test_each_release_has_the_flags_that_are_documented_of_it() -> None:
    releases = (DTR_24, DTR_25, DTR_26, DTR_27, MSR_28, MSR_29)
    assert [release.image for release in releases[3:]] == [
        "docker/dtr:2.7.8",
        "mirantis/dtr:2.8.5",
        "mirantis/dtr:2.9.4",
    ]
    assert [("emergency-repair" in release.commands) for release in releases] == [False] + [True] * 5
    flags = {
        ("backup", "offline-backup"): DTR_25,
        ("reconfigure", "storage-migrated"): DTR_26,
        ("restore", "dtr-use-default-storage"): DTR_26,
        ("install", "async-nfs"): DTR_27,
    }
    for (name, flag), since in flags.items():
        assert [flag in release.commands[name].bare for release in releases] == [
            release.series >= since.series for release in releases
        ], (name, flag)


@pytest.mark.parametrize(("scenario", "version"), [("platform-3", "2.7.8"), ("platform-mke", "2.9.4")])
async def test_later_releases_run_under_later_ucps(scenario: str, version: str, runs: Path) -> None:
    async with Demo(scenario, speed=40) as demo:
        platform = Platform(demo)
        assert (await platform.ask("dtr", "dtr1", "/_ping")).status == 200
        answer = await platform.ask("dtr", "dtr1", "/api/v0/admin/version", **platform.basic())
        assert (answer.json.get("version") == version) is (version == "2.9.4")
        _, out, _ = await platform.run("dtr1", f"docker inspect dtr-rethinkdb-{ONE}")
        assert json.loads(out)[0]["Config"]["Labels"]["com.docker.dtr.version"] == version
        code, data, log = await platform.run("mgr1", written(platform, f"backup --existing-replica-id {ONE}"))
        assert code == 0, log
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            assert tar.getnames()[0].startswith(f"dtr-backup-v{version}")


async def test_certificates_come_by_the_environment_where_a_variable_is_documented(old: Platform) -> None:
    dtr = dtr_of(old)
    certificate, key = dtr.root.server("dtr", ["dtr.shop.example"])
    named = 'DTR_CERT="$CERT" DTR_KEY="$KEY" DTR_CA="$CA"'
    given = f"CERT='{certificate}'; KEY='{key}'; CA='{dtr.root.pem}'; export CERT KEY CA; "
    line = written(old, f"reconfigure --existing-replica-id {ONE}").replace("-e UCP", "-e DTR_CERT -e DTR_KEY -e UCP")
    code, _, log = await old.run("mgr1", f"{given}{named} {line}")
    assert code == 0, log
    assert dtr_of(old).own["key.pem"].strip() == key.strip() and "PRIVATE KEY" not in log
    assert dtr_of(old).own["ca.pem"].strip() == certificate.strip(), "the authority was not named to docker"
    assert MSR_29.commands["reconfigure"].valued["dtr-key"] == "", "its pages print two names"
    assert MSR_29.commands["reconfigure"].valued["ucp-password"] == "UCP_PASSWORD"


# -- made


async def test_three_replicas_from_nothing(none: Platform) -> None:
    place = f"--ucp-node dtr1 --dtr-external-url {EXTERNAL_URL} --nfs-storage-url {STORAGE}"
    log = await command(none, f"install {place} --replica-id 000000000001")
    lines = log.splitlines()
    assert "INFO[0000] Verifying your system is compatible with DTR" in lines
    assert lines[-1].startswith("INFO[") and "--existing-replica-id 000000000001" in lines[-1]
    assert "already installed" in await refused(none, "install --ucp-node dtr2")
    for name in ("dtr2", "dtr3"):
        log = await command(none, f"join --ucp-node {name} --existing-replica-id 000000000001")
    assert "There are currently 3 replicas in your DTR cluster" in log
    assert none.demo.drill.report()["solved"]
    await none.until_listening("dtr", "dtr3")


async def test_the_second_phase_goes_on_without_the_first(none: Platform) -> None:
    world, go = world_of(none), hold(none)
    work = asyncio.ensure_future(none.run("mgr1", written(none, "install --ucp-node dtr1 --replica-id 00000000000a")))
    await until(lambda: PHASE2 in running(none, "dtr1"))
    assert (await none.run("mgr1", "docker kill made-by-hand"))[0] == 0
    assert (await work)[0] == 137
    assert PHASE2 in running(none, "dtr1")
    go.set()
    await until(lambda: world.dtr is not None, "it did not go on")
    assert PHASE2 not in running(none, "dtr1")
    assert (await none.until_listening("dtr", "dtr1")).status == 200


async def test_what_a_node_leaves_that_was_booted_in_the_middle(none: Platform) -> None:
    world, go = world_of(none), hold(none)
    dtr1 = world.hosts["dtr1"]
    work = asyncio.ensure_future(none.run("mgr1", written(none, "install --ucp-node dtr1 --replica-id 00000000000a")))
    await until(lambda: "00000000000a" in stored_on(dtr1))
    world.crash(dtr1)
    go.set()
    code, _, log = await work
    assert (code, "phase 2 on dtr1 ended unexpectedly" in log) == (1, True)
    world.boot(dtr1)
    await until(lambda: dtr1.running)
    assert stored_on(dtr1) == {"00000000000a"}
    assert world.dtr is None


async def test_a_second_phase_that_fails_leaves_half_a_replica(none: Platform) -> None:
    world = world_of(none)
    dtr1 = world.hosts["dtr1"]
    dtr1.faults.add(faults.DTR_PHASE2_FAILS)
    log = await refused(none, "install --ucp-node dtr1 --replica-id 00000000000a")
    assert "level=fatal" in log and "context deadline exceeded" in log
    assert found_on(dtr1) == {"00000000000a"} and world.dtr is None
    dtr1.faults.clear()
    assert "it has the replicas 00000000000a" in await refused(none, "install --ucp-node dtr2")
    assert "Replica removed." in await command(none, "destroy --replica-id 00000000000a")
    assert found_on(dtr1) | stored_on(dtr1) == set()
    world.hosts["mgr1"].faults.add(faults.DTR_FATAL_EXITS_0)
    code, _, log = await none.run("mgr1", written(none, "install --ucp-node nosuch"))
    assert (code, "level=fatal" in log) == (0, True)


async def test_its_images_have_to_be_there(none: Platform) -> None:
    world_of(none).hosts["dtr1"].images.clear()
    assert "pull access denied for docker/dtr" in await refused(none, "install --ucp-node dtr1")


# -- taken away


async def test_a_replica_that_is_destroyed_is_still_a_member(old: Platform) -> None:
    dtr = dtr_of(old)
    await command(old, f"destroy --replica-id {THREE}")
    assert dtr.replicas.keys() == set(REPLICAS)
    status = (await old.ask("dtr", "dtr1", "/api/v0/meta/cluster_status", **old.basic())).json
    assert status["replica_health"][THREE].startswith("Replica reported health too long ago: ")
    assert "and the others were not told" in old.demo.drill.report()["risky"][0]
    await command(old, f"remove --existing-replica-id {ONE} --replica-ids {THREE}")
    assert dtr.replicas.keys() == {ONE, TWO}


async def test_a_replica_that_was_removed_while_it_was_off_is_a_stray(old: Platform) -> None:
    world, dtr = world_of(old), dtr_of(old)
    world.crash(world.hosts["dtr3"])
    await command(old, f"remove --existing-replica-id {ONE} --replica-ids {THREE}")
    world.boot(world.hosts["dtr3"])
    answer = await old.until_listening("dtr", "dtr3")
    assert (answer.status, "primary replica not available" in answer.json["Error"]) == (503, True)
    assert not any(dtr.ill(one) for one in dtr.replicas.values())
    await command(old, f"destroy --replica-id {THREE}")
    assert found_on(world.hosts["dtr3"]) == set()


async def test_one_replica_becomes_the_whole(new: Platform) -> None:
    world, before = world_of(new), dtr_of(new)
    for name in ("dtr2", "dtr3"):
        world.crash(world.hosts[name])
    assert (await new.ask("dtr", "dtr1", "/_ping")).status == 503
    repair = f"emergency-repair --existing-replica-id {ONE}"
    assert "unable to prompt" in await refused(new, repair)
    await command(new, f"{repair} --yes")
    assert dtr_of(new) is not before
    assert (await new.until_listening("dtr", "dtr1")).status == 200
    assert (dtr_of(new).repositories, dtr_of(new).tags) == (before.repositories, before.tags)
    assert new.demo.drill.report()["risky"] == []
    for name in ("dtr2", "dtr3"):
        world.boot(world.hosts[name])
    await until(lambda: before.quorum, "the old ones are a majority of what they know of")
    assert before in world.past_dtrs


# -- settings, storage and jobs


async def test_storage_of_objects_is_tried_before_it_is_taken(old: Platform) -> None:
    dtr = dtr_of(old)
    assert dtr.tags == dtr.content
    keys = {"accesskey": "AKIAWRONG", "secretkey": "whatever"}
    body = {"storage": {"s3": {"bucket": "images", "region": "eu-west-1", **keys}}}
    answer = await old.ask("dtr", "dtr1", SIMPLE, method="PUT", body=body, **old.basic())
    assert (answer.status, b"InvalidAccessKeyId" in answer.body, dtr.storage) == (400, True, STORAGE)
    keys["accesskey"] = "AKIAGOOD"
    body["storage"]["s3"].update(keys)
    assert (await old.ask("dtr", "dtr1", SIMPLE, method="PUT", body=body, **old.basic())).status == 202
    assert (dtr.storage, dtr.content) == ("s3://images", set())
    settings = (await old.ask("dtr", "dtr2", "/api/v0/meta/settings", **old.basic())).body
    assert b"AKIAGOOD" not in settings


@pytest.mark.parametrize("migrated", [False, True])
async def test_another_storage_loses_the_tags_unless_it_was_migrated(new: Platform, migrated: bool) -> None:
    dtr = dtr_of(new)
    said = " --storage-migrated" if migrated else ""
    await command(new, f"reconfigure --existing-replica-id {ONE} --nfs-storage-url nfs://other/dtr{said}")
    assert (dtr.storage, bool(dtr.tags)) == ("nfs://other/dtr", migrated)


async def test_local_storage_goes_with_its_volume(none: Platform) -> None:
    await command(none, "install --ucp-node dtr1 --replica-id 00000000000a")
    dtr = dtr_of(none)
    dtr.push("shop/cart:1")
    assert dtr.content == {"shop/cart:1"}
    await command(none, "destroy --replica-id 00000000000a")
    assert world_of(none).dtr is None
    await command(none, "install --ucp-node dtr1 --replica-id 00000000000a")
    dtr_of(none).tags = {"shop/cart:1"}
    assert dtr_of(none).content == set()


async def test_garbage_is_collected_by_a_job(old: Platform) -> None:
    dtr = dtr_of(old)
    answer = await old.ask(
        "dtr", "dtr2", "/api/v0/admin/jobs", method="POST", body={"job": "registryGC"}, **old.basic()
    )
    assert (answer.status, answer.json["status"], dtr.gc_lock) == (202, "running", TWO)
    status = (await old.ask("dtr", "dtr1", "/api/v0/meta/cluster_status", **old.basic())).json
    assert status["gc_lock_holder"] in (TWO, "")
    await until(lambda: not dtr.gc_lock, f"it takes {dtr_jobs.TAKES} s")
    jobs = (await old.ask("dtr", "dtr1", "/api/v0/jobs/?action=any&worker=any&running=any&start=0", **old.basic())).json
    assert [(job["action"], job["status"]) for job in jobs["jobs"]] == [("registryGC", "done")]


async def test_repositories_come_a_page_at_a_time(old: Platform) -> None:
    dtr = dtr_of(old)
    dtr.repositories = [f"shop/r{number:02d}" for number in range(23)]
    found, start = [], ""
    for _ in range(3):
        path = f"/api/v0/repositories/?pageStart={start}"
        answer = await old.ask("dtr", "dtr1", path, **old.basic())
        found += [one["name"] for one in answer.json["repositories"]]
        start = f"shop/r{len(found):02d}"
    assert found == [f"r{number:02d}" for number in range(23)]


async def test_it_is_upgraded_one_release_at_a_time(old: Platform) -> None:
    for release in (DTR_25, DTR_26):
        world_of(old).registry.update(release.needed)
        await old.run("mgr1", f"docker pull {release.image}")
    upgrade = f"upgrade --existing-replica-id {ONE}"
    assert "cannot be upgraded to 2.6.15" in await refused(old, upgrade, image=DTR_26.image)
    await command(old, upgrade, image=DTR_25.image)
    assert dtr_of(old).release is DTR_25
    await command(old, upgrade, image=DTR_26.image)
    assert not dtr_of(old).ill(dtr_of(old).replicas[TWO])


# -- sick, slow, and the load balancer


async def test_sick_and_wrong_answers(old: Platform) -> None:
    dtr = dtr_of(old)
    dtr.replicas[TWO].sick = "garant: connection refused"
    answer = await old.ask("dtr", "dtr2", "/_ping")
    assert (answer.status, answer.json) == (503, {"Error": "garant: connection refused", "Healthy": False})
    dtr.answers["dtr3"] = "wrong"
    assert (await old.ask("dtr", "dtr3", "/_ping")).body.startswith(b"<html>")
    assert "not healthy" in await refused(old, f"join --ucp-node wrk1 --existing-replica-id {TWO}")


async def test_the_load_balancer_knows_whom_it_was_told_of(old: Platform) -> None:
    world = world_of(old)
    address = old.demo.platform["dtr_balancer"]
    assert await ping(old, address) == 200
    world.dtr_behind = {"dtr2"}
    world.crash(world.hosts["dtr2"])
    assert await ping(old, address) == 0
    world.dtr_behind.add("dtr1")
    assert await ping(old, address) == 200


async def ping(platform: Platform, address: str) -> int:
    """The status of `_ping` at an address; 0 where nobody answers."""
    context = ssl.create_default_context(cadata=dtr_of(platform).ca_pem)

    def ask() -> int:
        try:
            with urllib.request.urlopen(f"{address}/_ping", timeout=5, context=context) as answer:
                return int(answer.status)
        except (urllib.error.URLError, ConnectionError):
            return 0

    return await asyncio.to_thread(ask)


async def test_a_replica_is_reached_through_the_sshd_of_its_host(old: Platform) -> None:
    async with (
        asyncssh.connect(
            "dtr1", config=[str(old.demo.ssh_config)], known_hosts=str(old.demo.folder / "known_hosts"), agent_path=None
        ) as connection,
        connection.forward_local_port("127.0.0.1", 0, "127.0.0.1", 443) as listener,
    ):
        assert await ping(old, f"https://127.0.0.1:{listener.get_port()}") == 200
