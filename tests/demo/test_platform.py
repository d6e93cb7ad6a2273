"""UCP and DTR of the simulated platform, held to what is documented of 2.2.5 and 2.4.1.

The real images cannot be had, so nothing here says what they do: it says that the simulator keeps to the reference.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import ssl
import subprocess
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from swarmtui.demo.platform import openpgp
from swarmtui.demo.serve import Demo

UCP = "docker run --log-driver none --rm -i --name ucp -v /var/run/docker.sock:/var/run/docker.sock docker/ucp:2.2.5"


@dataclass
class Reply:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Platform:
    """A running platform, seen from outside."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo

    @property
    def password(self) -> str:
        return str(self.demo.platform["admin"]["password"])

    @property
    def dtr_options(self) -> str:
        return "--ucp-url https://mgr1:443 --ucp-username admin --ucp-insecure-tls"

    async def ask(
        self, product: str, host: str, path: str, *, method: str = "GET", body: Any = None, **headers: str
    ) -> Reply:
        """Ask over HTTPS, with the product's own CA."""
        owner = self.demo.world.ucp if product == "ucp" else self.demo.world.dtr
        context = ssl.create_default_context(cadata=owner.root.pem if owner is not None else None)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.demo.platform[product][host] + path, data, headers, method=method)

        def send() -> Reply:
            try:
                with urllib.request.urlopen(request, timeout=10, context=context) as answer:
                    return Reply(answer.status, answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    return Reply(error.code, error.read())

        return await asyncio.to_thread(send)

    async def login(self, name: str = "admin", password: str = "") -> dict[str, str]:
        body = {"username": name, "password": password or self.password}
        answer = await self.ask("ucp", "mgr1", "/auth/login", method="POST", body=body)
        assert answer.status == 200, answer
        return {"Authorization": f"Bearer {answer.json['auth_token']}"}

    def basic(self) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"admin:{self.password}".encode()).decode()}

    async def run(self, host: str, line: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
        """Run a line over SSH: status, output and errors."""
        async with asyncssh.connect(
            host, config=[str(self.demo.ssh_config)], known_hosts=str(self.demo.folder / "known_hosts"), agent_path=None
        ) as connection:
            source = {"input": stdin} if stdin else {"stdin": asyncssh.DEVNULL}
            done = await connection.run(line, encoding=None, **source)
            assert isinstance(done.stdout, bytes)
            assert isinstance(done.stderr, bytes)
            return int(done.exit_status or 0), done.stdout, done.stderr.decode()

    async def until_listening(self, product: str, host: str, path: str = "/_ping") -> Reply:
        for _ in range(200):
            try:
                return await self.ask(product, host, path)
            except (urllib.error.URLError, ConnectionError):
                await asyncio.sleep(0.02)
        raise AssertionError("nothing listens")


@pytest.fixture
async def platform(runs: Path) -> AsyncIterator[Platform]:
    async with Demo("platform", speed=40) as demo:
        yield Platform(demo)


# -- UCP


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


# -- DTR


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
    for replica in ("47f20fb864cf", "a6a628053157", "daa7b23c3a61"):
        destroy = f"{secret} {dtr} destroy {platform.dtr_options} --replica-id {replica}"
        code, _, log = await platform.run("mgr1", destroy)
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
    async with Demo("calm", speed=40) as demo:
        platform = Platform(demo)
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
        assert (code, "Port 80 is already in use on mgr2" in log) == (1, True)
        code, _, log = await platform.run("mgr1", f"{dtr} install {where} --ucp-node wrk4 --replica-id 000000000001")
        assert code == 0, log
        assert (await platform.until_listening("dtr", "wrk4")).status == 200
