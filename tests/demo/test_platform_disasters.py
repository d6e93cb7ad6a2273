"""Disasters of DTR and of the whole platform: solved by hand with the guides' commands, and taken in as drills."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.backups.catalogue import Catalogue
from swarmtui.cli import demo as command
from swarmtui.demo.platform.dtr import found_on, stored_on
from swarmtui.demo.scenarios import SCENARIOS
from swarmtui.demo.scenarios.platform import EXTERNAL_URL, REPLICAS, STORAGE
from swarmtui.demo.serve import Demo
from tests.demo.platform_driver import UCP, Platform, until

ONE, TWO, THREE = REPLICAS


async def dtr(platform: Platform, version: str, line: str, stdin: bytes = b"") -> str:
    name, _, rest = line.partition(" ")
    run = f"UCP_PASSWORD={platform.password} docker run --log-driver none --rm -i -e UCP_PASSWORD docker/dtr:{version}"
    code, _, log = await platform.run("mgr1", f"{run} {name} {platform.dtr_options} {rest}", stdin)
    assert code == 0, log
    return log


def solved(platform: Platform) -> bool:
    report = platform.demo.drill.report()
    assert report["risky"] == []
    return bool(report["solved"])


async def test_one_replica_is_replaced(runs: Path) -> None:
    async with Demo("dtr-replica-lost", speed=40) as demo:
        platform = Platform(demo)
        assert [left.split(":")[0] for left in demo.drill.report()["left"]] == [f"The replica {THREE} on dtr3"]
        await dtr(platform, "2.4.1", f"remove --existing-replica-id {ONE} --replica-ids {THREE}")
        await dtr(platform, "2.4.1", f"join --existing-replica-id {ONE} --ucp-node wrk6")
        assert solved(platform)


async def test_a_lost_quorum_of_27_is_repaired(runs: Path) -> None:
    async with Demo("dtr-quorum-lost-27", speed=40) as demo:
        platform = Platform(demo)
        await dtr(platform, "2.7.8", f"emergency-repair --existing-replica-id {ONE} --yes")
        for name in ("wrk6", "wrk7"):
            await dtr(platform, "2.7.8", f"join --existing-replica-id {ONE} --ucp-node {name}")
        assert solved(platform)


@pytest.mark.parametrize(
    ("scenario", "places"), [("dtr-quorum-lost", ("wrk6", "wrk7")), ("dtr-lost", ("dtr2", "dtr3"))]
)
async def test_what_24_has_lost_comes_from_the_backup(scenario: str, places: tuple[str, ...], runs: Path) -> None:
    async with Demo(scenario, speed=40) as demo:
        platform = Platform(demo)
        (kept,) = platform.demo.platform["backups"]
        await dtr(platform, "2.4.1", f"destroy --replica-id {ONE}")
        assert found_on(demo.world.hosts["dtr1"]) | stored_on(demo.world.hosts["dtr1"]) == set()
        where = f"--ucp-node dtr1 --replica-id {ONE} --dtr-external-url {EXTERNAL_URL} --nfs-storage-url {STORAGE}"
        await dtr(platform, "2.4.1", f"restore {where}", Path(kept).read_bytes())
        for name in places:
            await dtr(platform, "2.4.1", f"join --existing-replica-id {ONE} --ucp-node {name}")
        assert solved(platform)


async def test_the_whole_platform_comes_back_from_its_three_backups(runs: Path) -> None:
    """Swarm, then UCP, then DTR, as the guides have it (ucp-dtr.md, 5.5 A)."""
    async with Demo("platform-lost", speed=40) as demo:
        platform, world = Platform(demo), demo.world
        swarm, ucp, registry = (Path(path).read_bytes() for path in demo.platform["backups"])

        async def run(host: str, line: str, stdin: bytes = b"") -> str:
            code, out, log = await platform.run(host, line, stdin)
            assert code == 0, (line, log)
            return out.decode()

        await run("mgr2", "systemctl stop docker.socket docker && rm -rf /var/lib/docker/swarm")
        await run("mgr2", "tar -xf - -C /", swarm)
        await run("mgr2", "systemctl start docker")
        await run("mgr2", "docker swarm init --force-new-cluster --advertise-addr 10.0.1.12:2377")
        for name in ("mgr1", "mgr3"):
            ghost = (await run("mgr2", "docker node ls --format '{{.ID}} {{.Hostname}}'")).splitlines()
            old = next(line.split()[0] for line in ghost if line.endswith(f" {name}"))
            await run("mgr2", f"docker node demote {old}; docker node rm --force {old}")
            token = (await run("mgr2", "docker swarm join-token -q manager")).strip()
            await run(name, f"docker swarm join --token {token} 10.0.1.12:2377")
        code, _, log = await platform.run("mgr2", f"{UCP} uninstall-ucp --id {world.clusters[0].id}")
        assert code == 0, log
        passphrase = shlex.quote(world.secrets["passphrase"])
        code, _, log = await platform.run("mgr2", f"{UCP} restore --passphrase {passphrase}", ucp)
        assert code == 0, log
        found = world.ucp
        assert found is not None
        await until(lambda: not any(found.ill(host) for host in found.managers()), "UCP is not well")
        await dtr(platform, "2.4.1", f"destroy --replica-id {ONE}")
        where = f"--ucp-node dtr1 --replica-id {ONE} --dtr-external-url {EXTERNAL_URL} --nfs-storage-url {STORAGE}"
        await dtr(platform, "2.4.1", f"restore {where}", registry)
        for name in ("dtr2", "dtr3"):
            await dtr(platform, "2.4.1", f"join --existing-replica-id {ONE} --ucp-node {name}")
        await until(lambda: demo.drill.report()["solved"], str(demo.drill.report()["left"]))


@pytest.mark.parametrize(
    ("scenario", "kinds"),
    [("ucp-accounts-deleted", ["ucp"]), ("dtr-lost", ["dtr"]), ("platform-lost", ["dtr", "swarm", "ucp"])],
)
async def test_the_console_finds_the_backups_and_the_secrets(
    scenario: str, kinds: list[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "")
    async with Demo(scenario, speed=40) as demo:
        line = json.loads(json.dumps(demo.describe()))
        await asyncio.to_thread(command._take_in, line)
        command._keep_secrets(line)
        catalogue = Catalogue(config.backups_dir(config.load(demo.config).backups_of("simulated")))
        entries = catalogue.entries(demo.world.clusters[0].id)
        assert sorted(entry.kind for entry in entries) == kinds
        for entry in entries:
            tiers = entry.verifications[-1].tiers
            assert [tier.ok for tier in tiers[:3]] == [True] * 3, (entry.kind, tiers)
        kept = Path(os.environ["CREDENTIALS_DIRECTORY"])
        assert (kept / "swarmtui.ucp-password.simulated").read_text() == demo.platform["admin"]["password"]
        assert (kept / "swarmtui.ucp-passphrase.simulated").exists() is ("ucp" in kinds)


def test_each_disaster_has_something_to_solve() -> None:
    names = [name for name in SCENARIOS if name.startswith("dtr-") or name in ("platform-lost", "no-dtr")]
    assert len(names) == 6
    assert all(SCENARIOS[name].goal and SCENARIOS[name].platform for name in names)
