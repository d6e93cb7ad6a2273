"""UCP of the simulated platform, held to what is documented of 2.2.5.

The real images cannot be had, so nothing here says what they do: it says that the simulator keeps to the reference.
"""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import ssl
import subprocess
import tarfile
import tomllib
import urllib.error
import urllib.request
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swarmtui.demo.platform import openpgp
from swarmtui.demo.serve import Demo
from tests.demo.platform_driver import UCP, Platform


@pytest.fixture
async def platform(runs: Path) -> AsyncIterator[Platform]:
    async with Demo("platform", speed=40) as demo:
        yield Platform(demo)


async def test_ping_of_every_manager(platform: Platform) -> None:
    for name in ("mgr1", "mgr2", "mgr3"):
        assert (await platform.ask("ucp", name, "/_ping")).status == 200
        assert (await platform.ask("ucp", name, "/_ping", method="HEAD")).status == 404
    with pytest.raises(urllib.error.URLError):
        await platform.ask("ucp", "wrk1", "/_ping")
    platform.demo.world.ucp.sick["mgr2"] = "RethinkDB Health check timed out"  # type: ignore[union-attr]
    answer = await platform.ask("ucp", "mgr2", "/_ping")
    assert (answer.status, answer.body) == (500, b""), "details are for administrators"
    assert b"BEGIN CERTIFICATE" in (await platform.ask("ucp", "mgr1", "/ca")).body


async def test_logging_in(platform: Platform) -> None:
    wrong = await platform.ask("ucp", "mgr1", "/auth/login", method="POST", body={"username": "admin", "password": "x"})
    assert wrong.status == 401
    assert wrong.json["errors"][0]["message"]
    assert (await platform.ask("ucp", "mgr1", "/id/")).status == 401
    token = await platform.login()
    account = (await platform.ask("ucp", "mgr1", "/id/", **token)).json
    assert (account["name"], account["isAdmin"]) == ("admin", True)
    tokens = [await platform.login() for _ in range(5)]
    assert (await platform.ask("ucp", "mgr1", "/id/", **token)).status == 401, "six sessions are one too many"
    assert (await platform.ask("ucp", "mgr2", "/id/", **tokens[0])).status == 200, "valid on every manager"
    assert (await platform.ask("ucp", "mgr1", "/id/logout", method="POST", **tokens[0])).status == 204
    assert (await platform.ask("ucp", "mgr1", "/id/", **tokens[0])).status == 401


async def test_containers_of_every_node_and_those_that_have_ended(platform: Platform) -> None:
    token = await platform.login()
    running = {one["Names"][0] for one in (await platform.ask("ucp", "mgr1", "/containers/json", **token)).json}
    every = {one["Names"][0] for one in (await platform.ask("ucp", "mgr1", "/containers/json?all=1", **token)).json}
    assert {"/mgr2/ucp-controller", "/wrk1/ucp-proxy"} <= running < every
    assert {"/mgr1/ucp-reconcile", "/wrk1/ucp-reconcile"} <= every - running


async def test_accounts(platform: Platform) -> None:
    token = await platform.login()
    users = (await platform.ask("ucp", "mgr1", "/accounts/?filter=users&limit=50", **token)).json["accounts"]
    assert [user["name"] for user in users] == ["admin", "ci", "jon", "mia"]
    orgs = (await platform.ask("ucp", "mgr1", "/accounts/?filter=orgs", **token)).json["accounts"]
    assert {org["name"] for org in orgs} == {"docker-datacenter", "shop"}
    new = {"name": "eve", "password": "correct horse", "fullName": "Eve"}
    assert (await platform.ask("ucp", "mgr1", "/accounts", method="POST", body=new, **token)).status == 201
    assert (await platform.ask("ucp", "mgr1", "/accounts", method="POST", body=new, **token)).status == 400
    hers = await platform.login("eve", "correct horse")
    refused = await platform.ask("ucp", "mgr1", "/accounts", method="POST", body={"name": "x"}, **hers)
    assert refused.status == 403
    assert (await platform.ask("ucp", "mgr1", "/accounts/eve", method="DELETE", **token)).status == 204
    assert (await platform.ask("ucp", "mgr1", "/id/", **hers)).status == 401


async def test_a_client_bundle(platform: Platform, tmp_path: Path) -> None:
    token = await platform.login()
    answer = await platform.ask("ucp", "mgr1", "/api/clientbundle", **token)
    with zipfile.ZipFile(io.BytesIO(answer.body)) as bundle:
        assert sorted(bundle.namelist()) == [
            "ca.pem", "cert.pem", "cert.pub", "env.cmd", "env.ps1", "env.sh", "key.pem",
        ]  # fmt: skip
        bundle.extractall(tmp_path)
    text = (tmp_path / "env.sh").read_text()
    address = next(line for line in text.splitlines() if "DOCKER_HOST=" in line).partition("=")[2]
    assert address == platform.demo.platform["ucp"]["mgr1"].replace("https://", "tcp://")
    keys = (await platform.ask("ucp", "mgr1", "/accounts/admin/publicKeys", **token)).json["accountPublicKeys"]
    assert len(keys) == 1
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("there is no docker command here")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DOCKER_HOST": address, "DOCKER_TLS_VERIFY": "1"}
    env["DOCKER_CERT_PATH"] = str(tmp_path)

    async def run(*args: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run, [docker, *args], capture_output=True, text=True, env=env, timeout=20
        )

    assert (await run("version", "-f", "{{.Server.Version}} {{.Server.APIVersion}}")).stdout == "ucp/2.2.5 1.30\n"
    assert (await run("node", "ls")).stdout.count("Ready") == 11
    assert "dtr1/dtr-nginx-47f20fb864cf" in (await run("ps")).stdout
    revoked = await platform.ask("ucp", "mgr1", f"/accounts/admin/publicKeys/{keys[0]['id']}", method="DELETE", **token)
    assert revoked.status == 204
    assert (await run("node", "ls")).returncode != 0


async def test_only_the_bundle_that_was_revoked_is_no_longer_let_in(platform: Platform, tmp_path: Path) -> None:
    token = await platform.login()

    async def bundle(name: str) -> ssl.SSLContext:
        answer = await platform.ask("ucp", "mgr1", "/api/clientbundle", **token)
        with zipfile.ZipFile(io.BytesIO(answer.body)) as made:
            made.extractall(tmp_path / name)
        context = ssl.create_default_context(cafile=str(tmp_path / name / "ca.pem"))
        context.load_cert_chain(tmp_path / name / "cert.pem", tmp_path / name / "key.pem")
        return context

    async def get(context: ssl.SSLContext) -> int:
        def ask() -> int:
            try:
                with urllib.request.urlopen(f"{platform.demo.platform['ucp']['mgr1']}/nodes", context=context) as told:
                    return int(told.status)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

        return await asyncio.to_thread(ask)

    first, second = await bundle("first"), await bundle("second")
    assert (await get(first), await get(second)) == (200, 200)
    keys = (await platform.ask("ucp", "mgr1", "/accounts/admin/publicKeys", **token)).json["accountPublicKeys"]
    known = {key["publicKey"].strip(): key["id"] for key in keys}
    gone = known[(tmp_path / "first" / "cert.pub").read_text().strip()]
    assert (
        await platform.ask("ucp", "mgr1", f"/accounts/admin/publicKeys/{gone}", method="DELETE", **token)
    ).status == 204
    assert (await get(first), await get(second)) == (401, 200)


async def test_backup_of_ucp(platform: Platform, tmp_path: Path) -> None:
    code, out, _ = await platform.run("mgr2", f"{UCP} id")
    instance = out.decode().strip()
    assert (code, len(instance)) == (0, 25)
    running = asyncio.ensure_future(platform.run("mgr2", f"{UCP} backup --id {instance} --passphrase 'pass phrase'"))
    for _ in range(300):
        if "mgr2" in platform.demo.world.ucp.paused:  # type: ignore[union-attr]
            break
        await asyncio.sleep(0.005)
    assert (await platform.ask("ucp", "mgr1", "/_ping")).status == 200, "the other managers go on"
    code, data, log = await running
    assert code == 0
    assert [line.partition("msg=")[2] for line in log.splitlines()] == [
        '"Temporarily Stopping local UCP containers to ensure a consistent backup"',
        '"Beginning backup"',
        '"Backup completed successfully"',
        '"Resuming stopped UCP containers"',
    ]
    assert (await platform.until_listening("ucp", "mgr2")).status == 200
    with pytest.raises(openpgp.WrongPassphrase):
        openpgp.decrypt(data, "wrong")
    with tarfile.open(fileobj=io.BytesIO(openpgp.decrypt(data, "pass phrase"))) as tar:
        names = tar.getnames()
    assert len(names) > 100
    assert "./ucp-node-certs/key.pem" in names
    assert "./ucp-client-root-ca/key.pem" in names
    if shutil.which("gpg"):
        (tmp_path / "b").write_bytes(data)
        home = tmp_path / "g"
        home.mkdir(mode=0o700)
        done = await asyncio.to_thread(
            subprocess.run,
            ["gpg", "--homedir", str(home), "--batch", "--no-autostart", "--pinentry-mode", "loopback",
             "--passphrase", "pass phrase", "--decrypt", str(tmp_path / "b")],
            capture_output=True,
        )  # fmt: skip
        assert done.stdout == openpgp.decrypt(data, "pass phrase"), done.stderr


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (f"{UCP} backup --passphrase x", 1, "to confirm, specify it with --id"),
        (f"{UCP} backup --id wrong", 1, 'not \\"wrong\\"'),
        (f"{UCP} backup --interactive", 1, "unable to prompt"),
        (f"{UCP} backup --no-passphrase", 1, "flag provided but not defined: -no-passphrase"),
        (f"{UCP} backup --file x", 1, "flag provided but not defined: -file"),
        (f"{UCP} fingerprint", 3, "No help topic"),
        (f"{UCP.replace('-i', '-it', 1)} id", 1, "the input device is not a TTY"),
        (UCP.replace(":2.2.5", "") + " id", 125, "Unable to find image 'docker/ucp:latest' locally"),
        (UCP.replace("2.2.5", "3.0.0") + " id", 125, "Unable to find image 'docker/ucp:3.0.0' locally"),
        (UCP.replace("--name ucp", "--name ucp-kv") + " id", 125, 'The container name \\"/ucp-kv\\" is already in use'),
        ("docker run --rm docker/ucp:2.2.5 id", 1, "unable to ping Docker daemon"),
        ("docker run --rm alpine id", 125, "Unable to find image 'alpine:latest' locally"),
        (f"{UCP} restore --id x", 1, "flag provided but not defined: -id"),
        (f"{UCP} install --admin-password long-enough", 1, "UCP is already installed on this cluster"),
        (f"{UCP} install --external-ca", 1, "flag provided but not defined: -external-ca"),
    ],
)
async def test_refusals_of_ucp(platform: Platform, line: str, code: int, words: str) -> None:
    done, out, log = await platform.run("mgr1", line)
    assert (done, out) == (code, b"")
    assert words.replace("\\", "") in log.replace("\\", "")


async def test_restore_of_ucp(platform: Platform) -> None:
    world = platform.demo.world
    _, out, _ = await platform.run("mgr1", f"{UCP} id")
    instance = out.decode().strip()
    _, data, _ = await platform.run("mgr1", f"{UCP} backup --id {instance} --passphrase secret")
    token = await platform.login()
    await platform.ask("ucp", "mgr1", "/accounts/mia", method="DELETE", **token)
    await platform.run("mgr1", f"{UCP} uninstall-ucp --id {instance}")
    assert world.ucp is None
    assert not any(
        c.name.startswith("ucp-") and not c.task for h in world.hosts.values() for c in h.containers.values()
    )
    with pytest.raises(urllib.error.URLError):
        await platform.ask("ucp", "mgr1", "/_ping")
    assert "ucp-controller-server-certs" in world.hosts["mgr1"].volumes, "this volume survives, as documented"
    for wrong, words in ((b"", "it is not a UCP backup"), (data, "Unable to decrypt the backup")):
        phrase = "--passphrase wrong" if wrong else ""
        code, _, log = await platform.run("mgr1", f"{UCP} restore {phrase}", wrong)
        assert code == 1
        assert words in log
        assert world.ucp is None
    code, _, log = await platform.run("mgr1", f"{UCP} restore --passphrase secret", data)
    assert code == 0
    assert "Cluster successfully restored." in log
    assert (await platform.until_listening("ucp", "mgr1")).status == 200
    assert (await platform.until_listening("ucp", "mgr3")).status == 200
    again = await platform.login()
    assert (await platform.ask("ucp", "mgr1", "/accounts/mia", **again)).status == 200
    assert (await platform.ask("ucp", "mgr1", "/id/", **token)).status == 401, "sessions are not in a backup"


async def test_a_restarted_manager_brings_ucp_back(platform: Platform) -> None:
    assert (await platform.run("mgr2", "systemctl restart docker"))[0] == 0
    for _ in range(300):
        answer = await platform.until_listening("ucp", "mgr2")
        if answer.status == 200:
            break
        await asyncio.sleep(0.02)
    assert answer.status == 200


async def test_ucp_stopped_and_restarted_on_one_node(platform: Platform) -> None:
    assert (await platform.run("mgr2", f"{UCP} stop"))[0] == 0
    with pytest.raises(urllib.error.URLError):
        await platform.ask("ucp", "mgr2", "/_ping")
    assert (await platform.ask("ucp", "mgr1", "/_ping")).status == 200, "the other managers go on"
    code, _, log = await platform.run("mgr2", f"{UCP} restart --jsonlog")
    assert code == 0
    lines = [json.loads(line) for line in log.splitlines()]
    assert [(line["level"], set(line)) for line in lines] == [("info", {"level", "msg", "time"})]
    assert (await platform.until_listening("ucp", "mgr2")).status == 200


async def test_support_dump_and_example_of_ucp(platform: Platform) -> None:
    code, data, _ = await platform.run("mgr1", f"{UCP} support")
    assert code == 0
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        member = tar.extractfile("./info/containers.txt")
        assert member is not None
        assert "ucp-controller docker/ucp-controller:2.2.5 running" in member.read().decode()
    assert platform.password.encode() not in data
    code, data, _ = await platform.run("wrk1", f"{UCP} example-config")
    assert code == 0
    assert tomllib.loads(data.decode())["auth"]["backend"] == "managed"
    code, data, log = await platform.run("wrk1", f"{UCP} stop")
    assert (code, data) == (1, b"")
    assert "must be run on a manager" in log
