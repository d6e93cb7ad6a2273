"""UCP of the simulator: what its image does on a host, and what it leaves when something goes wrong."""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swarmtui.demo.platform import openpgp
from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from tests.demo.platform_driver import UCP, Platform, health, hold, running, ucp_of, until, world_of


@pytest.fixture
async def old(runs: Path) -> AsyncIterator[Platform]:
    async with Demo("ucp-accounts-deleted", speed=40) as demo:
        yield Platform(demo)


# -- the container on its host


async def backup_as_job(platform: Platform) -> None:
    """A backup as a job of systemd, whose script keeps output and log in files."""
    script = (
        "umask 077\ncd /srv\nIFS= read -r PASS < pass\n"
        f'{UCP} backup --id {ucp_of(platform).instance} --passphrase "$PASS" > ucp.bkp 2> log\necho $? > code\n'
    )
    assert (await platform.run("mgr2", "tee /srv/pass > /dev/null", b"two words\nnot this\n"))[0] == 0
    assert (await platform.run("mgr2", "tee /srv/job.sh > /dev/null", script.encode()))[0] == 0
    line = "systemd-run --quiet --unit=t --property=Type=exec /bin/sh /srv/job.sh"
    assert (await platform.run("mgr2", line))[0] == 0
    await until(lambda: "mgr2" in ucp_of(platform).paused)


async def test_a_backup_as_a_job_is_seen_while_it_runs(old: Platform) -> None:
    go = hold(old)
    await backup_as_job(old)
    _, out, _ = await old.run("mgr2", "docker ps -a --filter 'name=^/ucp$' --format '{{.Image}}|{{.Status}}'")
    assert out.decode().startswith("docker/ucp:2.2.5|Up ")
    code, _, said = await old.run("mgr2", f"{UCP} id")
    assert (code, 'The container name "/ucp" is already in use by container' in said) == (125, True)
    assert "ucp-controller" not in running(old, "mgr2")
    files = world_of(old).hosts["mgr2"].files
    await until(lambda: "/srv/log" in files and b"Temporarily Stopping" in files["/srv/log"].data)
    _, log, _ = await old.run("mgr2", "cat /srv/log")
    assert b"Temporarily Stopping" in log
    assert b"completed" not in log
    go.set()
    await until(lambda: "/srv/code" in files and files["/srv/code"].data)  # made first, written then
    assert files["/srv/code"].data == b"0\n"
    assert len(openpgp.decrypt(files["/srv/ucp.bkp"].data, "two words")) > 100_000
    assert files["/srv/ucp.bkp"].mode == 0o600
    assert b"Resuming stopped UCP containers" in files["/srv/log"].data
    assert "ucp-controller" in running(old, "mgr2")
    assert "ucp" not in {one.name for one in world_of(old).hosts["mgr2"].containers.values()}


async def test_a_client_that_is_killed_leaves_its_container_at_work(old: Platform) -> None:
    go = hold(old)
    await backup_as_job(old)
    world_of(old).hosts["mgr2"].processes["t"].signal("KILL")  # type: ignore[attr-defined]
    await until(lambda: "t" not in world_of(old).hosts["mgr2"].processes)
    go.set()
    await until(lambda: "mgr2" not in ucp_of(old).paused and "ucp-controller" in running(old, "mgr2"))
    assert "/srv/code" not in world_of(old).hosts["mgr2"].files


@pytest.mark.parametrize("how", ["TERM", "docker kill ucp", "docker rm -f ucp"])
async def test_a_container_that_is_killed_leaves_ucp_stopped(old: Platform, how: str) -> None:
    go = hold(old)
    await backup_as_job(old)
    if how == "TERM":
        world_of(old).hosts["mgr2"].processes["t"].signal("TERM")  # type: ignore[attr-defined]
    else:
        assert (await old.run("mgr2", how))[0] == 0
    await until(lambda: "t" not in world_of(old).hosts["mgr2"].processes or how != "TERM")
    go.set()
    await until(lambda: not world_of(old).runs)
    assert ucp_of(old).ill(world_of(old).hosts["mgr2"]) == "ucp-controller does not run"
    assert (await old.run("mgr2", f"{UCP} restart"))[0] == 0
    assert not ucp_of(old).ill(world_of(old).hosts["mgr2"])


async def test_a_terminal_spoils_the_archive(old: Platform) -> None:
    line = f"{UCP.replace(' -i', ' -t')} backup --id {ucp_of(old).instance} --passphrase x"
    code, out, err = await old.run("mgr1", line)
    assert (code, err) == (0, "")
    assert out.startswith(b"INFO[0000] Temporarily Stopping local UCP containers to ensure a consistent backup\r\n")
    with pytest.raises(openpgp.WrongPassphrase):
        openpgp.decrypt(out, "x")


async def test_a_fatal_line_need_not_be_a_failure(old: Platform) -> None:
    world_of(old).hosts["mgr1"].faults.add(faults.UCP_FATAL_EXITS_0)
    code, out, log = await old.run("mgr1", f"{UCP} backup --id wrong --passphrase x")
    assert (code, out) == (0, b"")
    assert "level=fatal" in log


async def test_selinux_keeps_it_from_the_engine(old: Platform) -> None:
    world_of(old).hosts["mgr1"].faults.add(faults.SELINUX)
    code, _, log = await old.run("mgr1", f"{UCP} id")
    assert (code, "Got permission denied while trying to connect" in log) == (1, True)
    assert (await old.run("mgr1", UCP.replace("--name", "--security-opt label=disable --name") + " id"))[0] == 0
    assert b"name=selinux" in (await old.run("mgr1", "docker info --format '{{json .SecurityOptions}}'"))[1]


# -- health


async def test_managers_come_and_go(old: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmtui.demo.platform.ucp.BEGINS", 1e6)
    ucp, hosts = ucp_of(old), world_of(old).hosts
    assert (await old.run("mgr1", "docker node promote wrk1 wrk2"))[0] == 0
    await until(lambda: "ucp-controller" in running(old, "wrk1"))
    assert ucp.ill(hosts["wrk1"]) == "unable to reach controller"
    _, out, _ = await old.run("wrk1", "docker ps --filter 'name=^ucp-controller$' --format '{{.Status}}'")
    assert b"(health: starting)" in out
    ucp.members.update(wrk1=0.0, wrk2=0.0)
    await until(lambda: health(old, "wrk1", "ucp-kv") == "healthy")
    assert not ucp.ill(hosts["wrk1"])
    assert (await old.run("mgr1", "docker node update --availability drain wrk2"))[0] == 0
    assert ucp.ill(hosts["wrk2"]) == "The ucp-agent task is shutdown"
    assert (await old.run("mgr1", "docker node demote wrk1"))[0] == 0
    await until(lambda: "ucp-controller" not in running(old, "wrk1"))
    assert "ucp-proxy" in running(old, "wrk1")


async def test_most_members_lost(old: Platform) -> None:
    ucp, world = ucp_of(old), world_of(old)
    world.crash(world.hosts["mgr3"])
    world.crash(world.hosts["mgr2"])
    assert (await old.run("mgr1", "docker swarm init --force-new-cluster --advertise-addr 10.0.1.11"))[0] == 0
    assert ucp.cluster is world.clusters[-1]
    assert ucp.ill(world.hosts["mgr1"]) == "ERROR: RethinkDB Health check timed out"
    assert (await old.ask("ucp", "mgr1", "/_ping")).status == 500
    assert (await old.ask("ucp", "mgr1", "/id/")).status == 500
    assert (await old.run("mgr1", f"{UCP} uninstall-ucp --id {ucp.instance}"))[0] == 0
    archive = world.ucp_archives["ucp.bkp"]
    phrase = world.secrets["passphrase"]
    code, _, log = await old.run("mgr1", f"{UCP} restore --passphrase {phrase}", archive)
    assert code == 0, log
    assert (await old.until_listening("ucp", "mgr1")).status == 200
    token = await old.login()
    assert (await old.ask("ucp", "mgr1", "/accounts/mia", **token)).status == 200


async def test_containers_come_back_and_lost_accounts_do_not(old: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmtui.demo.platform.ucp.BEGINS", 0.0)
    ucp, hosts = ucp_of(old), world_of(old).hosts
    wipe = "docker rm -f $(docker ps -aq --filter name=^ucp-kv --filter name=^ucp-auth)"
    assert (await old.run("mgr2", f"{wipe} && docker volume rm ucp-auth-store-data"))[0] == 0
    await until(lambda: not ucp.ill(hosts["mgr2"]), "the others have what it lost")
    for name in ("mgr1", "mgr2", "mgr3"):
        # All at once: else those that are left give it back.
        hosts[name].containers = {key: one for key, one in hosts[name].containers.items() if one.task}
        del hosts[name].volumes["ucp-auth-store-data"]
    await until(lambda: all("ucp-auth-store" in running(old, name) for name in ("mgr1", "mgr2", "mgr3")))
    assert {ucp.ill(host) for host in ucp.managers()} == {"ERROR: RethinkDB Health check timed out"}
    assert (await old.ask("ucp", "mgr1", "/id/")).status == 500


async def test_pings_that_go_wrong(old: Platform) -> None:
    ucp = ucp_of(old)
    ucp.pings = {"mgr1": "wrong", "mgr2": "never"}
    assert b"<html>" in (await old.ask("ucp", "mgr1", "/_ping")).body
    old.patience = 0.3
    with pytest.raises(TimeoutError):
        await old.ask("ucp", "mgr2", "/_ping")


async def test_the_balancer_leaves_out_who_is_ill(old: Platform) -> None:
    ucp = ucp_of(old)
    ucp.sick = {"mgr1": "x", "mgr3": "x"}

    def ask() -> int:
        context = ssl.create_default_context(cadata=ucp.root.pem)
        with urllib.request.urlopen(old.demo.platform["balancer"] + "/_ping", timeout=10, context=context) as answer:
            return int(answer.status)

    assert [await asyncio.to_thread(ask) for _ in range(3)] == [200, 200, 200]
    token = await old.login()
    nodes = (await old.ask("ucp", "mgr2", "/nodes", **token)).json
    told = {node["Description"]["Hostname"]: node["Status"]["Message"] for node in nodes}
    assert (told["mgr1"], told["mgr2"], told["wrk1"]) == (
        "Unhealthy UCP manager: x", "Healthy UCP manager", "Healthy UCP worker",
    )  # fmt: skip
