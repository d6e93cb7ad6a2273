"""UCP of the simulator installed, removed and restored, and what its later versions do otherwise."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import tarfile
import urllib.request
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swarmtui.demo.hosts.commands import HostShell
from swarmtui.demo.platform import openpgp, ucp_backup_api
from swarmtui.demo.platform.certificates import Root
from swarmtui.demo.platform.releases import MKE as MKE_RELEASE
from swarmtui.demo.scenarios.platform import load_images
from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults, membership
from swarmtui.demo.world.errors import ApiError
from tests.demo.platform_driver import UCP, Platform, hold, running, ucp_of, until, world_of

UCP3 = UCP.replace("2.2.5", "3.2.7")
MKE = UCP.replace("docker/ucp:2.2.5", "mirantis/ucp:3.4.5")
INSTALL = f"{UCP} install --host-address 10.0.1.11 --admin-username admin --admin-password long-enough"


@pytest.fixture
async def old(runs: Path) -> AsyncIterator[Platform]:
    async with Demo("ucp-accounts-deleted", speed=40) as demo:
        yield Platform(demo)


@pytest.fixture
async def new(runs: Path) -> AsyncIterator[Platform]:
    async with Demo("platform-3", speed=40) as demo:
        yield Platform(demo)


@pytest.fixture
async def none(runs: Path) -> AsyncIterator[Platform]:
    async with Demo("no-ucp", speed=40) as demo:
        yield Platform(demo)


# -- install, uninstall, restore


async def test_an_installation_says_what_it_does_in_two_phases(none: Platform) -> None:
    code, _, log = await none.run("mgr1", f"{INSTALL} --san ucp.shop.example")
    assert code == 0, log
    lines = log.splitlines()
    assert lines[0].endswith('msg="Verifying your system is compatible with UCP 2.2.5 (42d28d140)"')
    assert "INFO[0000] Establishing mutual Cluster Root CA with Swarm" in lines
    assert lines[-1].endswith("Password: (your admin password)")
    assert "UCP Server SSL: SHA-256 Fingerprint=" in log
    ucp = ucp_of(none)
    assert [bool(ucp.ill(host)) for host in ucp.managers()] == [False] * 3
    _, out, _ = await none.run("mgr1", "docker service ls --format '{{.Name}} {{.Replicas}}'")
    await until(lambda: ucp.cluster.services)
    assert b"ucp-agent" in out
    _, out, _ = await none.run(
        "mgr1", "cat \"$(docker volume inspect -f '{{.Mountpoint}}' ucp-controller-server-certs)\"/ca.pem"
    )
    assert out.decode() == ucp.root.pem
    _, out, _ = await none.run("mgr1", "cat /proc/net/tcp6")
    assert b":01BB " in out
    _, out, _ = await none.run("mgr1", "sh -c 'du -scb /var/lib/docker/volumes/ucp-*'")
    assert int(out.decode().splitlines()[-1].split()[0]) > 100 << 20
    assert none.demo.drill.report()["solved"]


async def test_an_installation_that_fails_leaves_things(none: Platform) -> None:
    host = world_of(none).hosts["mgr1"]
    host.faults.add(faults.UCP_INSTALL_FAILS)
    code, _, log = await none.run("mgr1", INSTALL)
    assert (code, "reconcile exited with non-zero status: 1" in log) == (1, True)
    _, out, _ = await none.run("mgr1", "docker ps -a --filter name=ucp- --format '{{.Names}} {{.Status}}'")
    assert "ucp-reconcile Exited (1)" in out.decode()
    host.faults.clear()
    assert (await none.run("mgr1", INSTALL))[0] == 1
    line = "docker service rm ucp-agent && docker rm -f $(docker ps -aq --filter name=ucp-)"
    assert (await none.run("mgr1", line))[0] == 0
    assert (await none.run("mgr1", INSTALL))[0] == 0


async def test_own_certificates(none: Platform) -> None:
    code, _, log = await none.run("mgr1", f"{INSTALL} --external-server-cert")
    assert (code, "Unable to read the external certificates" in log) == (1, True)
    root = Root("The shop's own", world_of(none).kernel.now())
    certificate, key = root.server("ucp.shop.example", ["ucp.shop.example", "127.0.0.1"])
    assert (await none.run("mgr1", "docker volume create ucp-controller-server-certs"))[0] == 0
    folder = "/var/lib/docker/volumes/ucp-controller-server-certs/_data"
    for name, text in (("ca", root.pem), ("cert", certificate), ("key", root.key_pem)):
        await none.run("mgr1", f"tee {folder}/{name}.pem > /dev/null", text.encode())
    code, _, log = await none.run("mgr1", f"{INSTALL} --external-server-cert")
    assert (code, "private key does not match public key" in log) == (1, True)
    await none.run("mgr1", f"tee {folder}/key.pem > /dev/null", key.encode())
    code, _, log = await none.run("mgr1", f"{INSTALL} --external-server-cert")
    assert code == 0, log
    code, out, _ = await none.run("mgr1", f"{UCP} dump-certs --ca")
    assert out.decode() == root.pem

    def ask() -> int:
        context = ssl.create_default_context(cadata=root.pem)
        url = none.demo.platform["ucp"]["mgr1"] + "/_ping"
        with urllib.request.urlopen(url, timeout=10, context=context) as answer:
            return int(answer.status)

    assert await asyncio.to_thread(ask) == 200


async def test_later_versions_take_secrets_from_the_environment(none: Platform) -> None:
    words = "install --host-address 10.0.1.11 --admin-username admin"
    line = f"IFS= read -r UCP_ADMIN_PASSWORD && export UCP_ADMIN_PASSWORD && {{}} {words}"
    old = line.format(UCP.replace("docker/ucp", "-e UCP_ADMIN_PASSWORD docker/ucp"))
    code, _, log = await none.run("mgr1", old, b"long-enough\n")
    assert (code, "at least 8 characters" in log) == (1, True), "of 2.2 no variable is documented"
    new = line.format(MKE.replace("mirantis/ucp", "-e UCP_ADMIN_PASSWORD mirantis/ucp"))
    code, _, log = await none.run("mgr1", new, b"long-enough\n")
    assert code == 0, log
    assert "Generated random admin password" not in log
    assert ucp_of(none).accounts.check("admin", "long-enough") is not None
    bundle = await none.ask(
        "ucp", "mgr1", "/api/clientbundle?label=mine", method="POST", **await none.login("admin", "long-enough")
    )
    with zipfile.ZipFile(io.BytesIO(bundle.body)) as outer:
        assert outer.comment
        with zipfile.ZipFile(io.BytesIO(outer.read("ucp-docker-bundle.zip"))) as inner:
            assert json.loads(inner.read("meta.json"))["Endpoints"]["docker"]["Host"].startswith("tcp://127.0.0.1:")
            assert "tls/docker/key.pem" in inner.namelist()


async def test_an_uninstallation_does_not_reach_who_is_off(old: Platform) -> None:
    world, instance = world_of(old), ucp_of(old).instance
    world.crash(world.hosts["wrk2"])
    assert (await old.run("mgr1", f"{UCP} uninstall-ucp --id {instance}"))[0] == 0
    world.add_host("extra", "10.0.1.99")
    cluster = world.clusters[-1]
    request = {"ListenAddr": "0.0.0.0:2377", "RemoteAddrs": ["10.0.1.11"], "JoinToken": cluster.worker_token}
    with pytest.raises(ApiError, match="Timeout was reached before node joined"):
        await membership.join(world, world.hosts["extra"], request)
    archive, phrase = world.ucp_archives["ucp.bkp"], world.secrets["passphrase"]
    world.boot(world.hosts["wrk2"])
    await until(lambda: "ucp-proxy" in running(old, "wrk2"))
    code, _, log = await old.run("mgr1", f"{UCP} restore --passphrase {phrase}", archive)
    assert (code, "wrk2/ucp-" in log) == (1, True)
    await old.run("wrk2", "docker rm -f $(docker ps -aq --filter name=^ucp-)")
    assert (await old.run("mgr1", f"{UCP} restore --passphrase {phrase}", archive))[0] == 0
    await membership.join(world, world.hosts["extra"], request)
    assert old.demo.drill.report()["solved"]


async def test_an_uninstallation_that_takes_too_long(old: Platform) -> None:
    world_of(old).hosts["wrk3"].faults.add(faults.UCP_UNINSTALL_HANGS)
    code, _, log = await old.run("mgr1", f"{UCP} uninstall-ucp --id {ucp_of(old).instance}")
    assert (code, 'level=error msg="Uninstalling UCP took too long"' in log) == (0, True)
    assert "ucp-proxy" in running(old, "wrk3")


async def test_restoring_on_another_swarm_ends_bundles_of_administrators(none: Platform) -> None:
    assert (await none.run("mgr1", INSTALL))[0] == 0
    ucp, world = ucp_of(none), world_of(none)
    ucp.accounts.create("mia", "long-enough")
    for name in ("admin", "mia"):
        bundle = await none.ask("ucp", "mgr1", "/api/clientbundle", **await none.login(name, "long-enough"))
        assert bundle.status == 200
    root = ucp.root.pem
    _, data, _ = await none.run("mgr1", f"{UCP} backup --id {ucp.instance} --passphrase secret")
    extra = world.add_host("extra", "10.0.1.99")
    extra.images = dict(world.hosts["mgr1"].images)
    world.ucp = None
    done = await HostShell(world, extra).run(f"{UCP} restore --passphrase secret --host-address 10.0.1.99", data)
    assert done.code == 0, done.err
    again = ucp_of(none)
    assert again.instance != ucp.instance
    assert again.root.pem == root
    assert (again.accounts.by_name["admin"].keys, len(again.accounts.by_name["mia"].keys)) == ({}, 1)


# -- 3.2 and later


async def test_backups_into_files(new: Platform) -> None:
    ucp, host = ucp_of(new), world_of(new).hosts["mgr2"]
    into = UCP3.replace("--name", "-v /srv/ucp:/backup --name")
    await new.run("mgr2", "mkdir -p /srv/ucp")
    line = f"{into} backup --file ucp.tar --passphrase twelve-chars"
    code, _, log = await new.run("mgr2", line)
    assert (code, "permission denied" in log) == (1, True)
    await new.run("mgr2", "chown nobody:nogroup /srv/ucp")
    go = hold(new)
    task = asyncio.ensure_future(new.run("mgr2", line))
    await until(lambda: "ucp" in running(new, "mgr2"))
    assert not ucp.ill(host), "nothing is stopped"
    go.set()
    code, out, _ = await task
    assert (code, out) == (0, b"")
    assert {path for path in host.files if path.startswith("/srv/ucp/")} == {"/srv/ucp/ucp.tar", "/srv/ucp/backup.log"}
    with tarfile.open(fileobj=io.BytesIO(openpgp.decrypt(host.files["/srv/ucp/ucp.tar"].data, "twelve-chars"))) as tar:
        assert "./ucp-controller-server-certs/key.pem" in tar.getnames()
        assert len(tar.getnames()) >= 27
    code, out, _ = await new.run("mgr2", f"{UCP3} backup --no-passphrase")
    assert code == 0
    assert out[257:262] == b"ustar"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{UCP3} backup", "either --passphrase or --no-passphrase"),
        (f"{UCP3} backup --id x --passphrase y", "flag provided but not defined: -id"),
        (f"{UCP3} backup --passphrase y --include-logs false", "unexpected argument: false"),
        (f"{MKE} id", "UCP 3.2.7 is installed here"),
        (f"{UCP3} install --external-ca", "flag provided but not defined: -external-ca"),
    ],
)
async def test_refusals_of_later_versions(new: Platform, line: str, words: str) -> None:
    load_images(world_of(new), world_of(new).hosts["mgr1"], MKE_RELEASE)
    code, out, log = await new.run("mgr1", line)
    assert (code, out) == (1, b"")
    assert words in log


async def test_backups_over_the_api(new: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ucp_backup_api, "TAKES", 1e9)
    token = await new.login()
    body = {"passphrase": "twelve-chars", "fileName": "a.tar", "hostPath": "/srv", "includeLogs": False}
    answer = await new.ask("ucp", "mgr3", "/api/ucp/backup", method="POST", body=body, **token)
    assert answer.status == 200
    busy = await new.ask("ucp", "mgr3", "/api/ucp/backup", method="POST", body=body, **token)
    assert busy.status == 400
    ucp_of(new).backups.clear()
    monkeypatch.setattr(ucp_backup_api, "TAKES", 1.0)
    assert (await new.ask("ucp", "mgr3", "/api/ucp/backup", method="POST", body=body, **token)).status == 200
    await until(lambda: ucp_of(new).backups[0]["backupState"] == "SUCCESS")
    shown = (await new.ask("ucp", "mgr3", "/api/ucp/backups", **token)).json
    assert (shown[0]["nodeLocation"], shown[0]["encrypted"], shown[0]["fileName"]) == ("mgr3", True, "a.tar")
    assert openpgp.decrypt(world_of(new).hosts["mgr3"].files["/srv/a.tar"].data, "twelve-chars")
    assert (await new.ask("ucp", "mgr3", "/api/ucp/backup/none", **token)).status == 404
    first = (await new.ask("ucp", "mgr1", "/accounts/?filter=users&limit=2", **token)).json
    assert ([one["name"] for one in first["accounts"]], first["nextPageStart"]) == (["admin", "ci"], "jon")
    assert (await new.ask("ucp", "mgr1", "/version", **token)).json["Version"] == "ucp/3.2.7"


async def test_the_older_api_knows_none_of_it(old: Platform) -> None:
    token = await old.login()
    assert (await old.ask("ucp", "mgr1", "/api/ucp/backups", **token)).status == 404
