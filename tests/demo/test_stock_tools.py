"""The stock docker command and the stock Docker SDK, unchanged, on the simulator."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.demo.conftest import Served, start, stop

DOCKERS = sorted(
    {p for p in (shutil.which("docker"), "/usr/bin/docker", "/usr/local/bin/docker") if p and Path(p).exists()}
)

pytestmark = pytest.mark.skipif(not DOCKERS, reason="there is no docker command here")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="demo-", dir="/tmp") as folder:
        found = start("--speed", "20", folder=Path(folder))
        yield found
        stop(found)


class Docker:
    """One docker command that talks to one simulated host."""

    def __init__(self, binary: str, host: str, env: dict[str, str]) -> None:
        self.binary, self.host, self.env = binary, host, env

    def run(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.binary, "-H", self.host, *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env=self.env,
        )

    def __call__(self, *args: str) -> str:
        done = self.run(*args)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture(params=[(b, t) for b in DOCKERS for t in ("unix", "ssh")], ids=lambda p: f"{p[0]}-{p[1]}")
def cli(request: pytest.FixtureRequest, served: Served, tmp_path: Path) -> Docker:
    """`docker -H unix://…`, and `docker -H ssh://…` with the generated ssh_config."""
    binary, transport = request.param
    home = tmp_path / "home"
    home.mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER")} | {"HOME": str(home)}
    if transport == "unix":
        return Docker(binary, served.socket("mgr1"), env)
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {served.line["ssh_config"]} "$@"\n')
    wrapper.chmod(0o755)
    env["PATH"] = f"{wrapper.parent}:{env['PATH']}"
    return Docker(binary, "ssh://mgr1", env)


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_nodes(cli: Docker) -> None:
    lines = cli("node", "ls").splitlines()
    assert len(lines) == 9
    assert sum("Leader" in line for line in lines) == 1
    assert cli("node", "ls", "-q", "--filter", "role=manager").count("\n") == 3
    assert "shop_db.1" in cli("node", "ps", "wrk3")
    text = cli("node", "inspect", "--pretty", "wrk1")
    assert "10.0.1.21" in text
    assert "disk=ssd" in text
    assert "BEGIN CERTIFICATE" in text
    assert cli("node", "inspect", "-f", "{{.Spec.Availability}}", "wrk1") == "active\n"
    assert cli("node", "update", "--availability", "drain", "--label-add", "rack=7", "wrk5") == "wrk5\n"
    until(lambda: "Running   " not in cli("node", "ps", "--filter", "desired-state=running", "wrk5"))
    assert cli("node", "inspect", "-f", "{{.Spec.Labels.rack}}", "wrk5") == "7\n"
    cli("node", "update", "--availability", "active", "--label-rm", "rack", "wrk5")
    done = cli.run("node", "rm", "wrk5")
    assert done.returncode == 1
    assert "is not down and can't be removed" in done.stderr
    done = cli.run("node", "inspect", "nope")
    assert done.returncode == 1
    assert "nope" in done.stderr


def test_promote_and_demote(cli: Docker) -> None:
    assert "promoted to a manager" in cli("node", "promote", "wrk4")
    until(lambda: cli("node", "ls").count("Reachable") == 3)
    time.sleep(0.2)
    assert "demoted in the swarm" in cli("node", "demote", "wrk4")
    until(lambda: cli("node", "ls").count("Reachable") == 2)
    time.sleep(0.2)


def test_services(cli: Docker) -> None:
    assert "shop_db" in cli("service", "ls")
    assert "6/6" in cli("service", "ls", "--filter", "name=shop_web")
    assert "(max 1 per node)" in cli("service", "ls", "--filter", "name=shop_checkout")
    made = cli(
        "service", "create", "-d", "--no-resolve-image", "--name", "tool", "--replicas", "2",
        "--constraint", "node.role==worker", "--limit-memory", "64M", "nginx:1.25",
    )  # fmt: skip
    assert len(made.strip()) == 25
    try:
        until(lambda: cli("service", "ls", "-f", "name=tool", "--format", "{{.Replicas}}") == "2/2\n")
        assert "converged" in cli("service", "scale", "tool=4")
        assert cli("service", "ps", "-q", "tool").count("\n") == 4
        cli("service", "update", "-d", "--no-resolve-image", "--image", "nginx:1.26", "tool")
        state = ("service", "inspect", "-f", "{{.UpdateStatus.State}}", "tool")
        until(lambda: cli(*state) == "completed\n")
        assert "nginx:1.26" in cli("service", "ps", "tool")
        cli("service", "rollback", "-d", "tool")
        until(lambda: cli(*state) == "rollback_completed\n")
        assert '"nginx:1.25"' in cli("service", "inspect", "tool")
        assert "Image:" in cli("service", "inspect", "--pretty", "tool")
        done = cli.run("service", "create", "-d", "--no-resolve-image", "--name", "tool", "nginx")
        assert "name conflicts with an existing object: service tool already exists" in done.stderr
    finally:
        cli("service", "rm", "tool")
    assert "no such service" in cli.run("service", "ps", "tool").stderr


def test_logs(cli: Docker) -> None:
    lines = cli("service", "logs", "--tail", "2", "shop_web").splitlines()
    assert len(lines) >= 6
    assert all("shop_web." in line and " | " in line for line in lines)
    stamped = cli("service", "logs", "--tail", "1", "--timestamps", "--raw", "shop_cart").splitlines()
    assert all(line[:2] == "20" and "Z " in line for line in stamped)
    task = cli("service", "ps", "-q", "--filter", "desired-state=running", "shop_db").split()[0]
    done = cli.run("service", "logs", "--tail", "3", task)
    assert (done.returncode, done.stdout) == (0, ""), "a database logs to standard error"
    assert all(line.startswith("shop_db.1.") and "LOG:" in line for line in done.stderr.splitlines())
    assert len(done.stderr.splitlines()) == 3


def test_the_rest(cli: Docker) -> None:
    assert "Is Manager: true" in cli("info")
    assert cli("info", "-f", "{{.Swarm.Managers}} {{.Swarm.Nodes}}") == "3 8\n"
    assert cli("version", "-f", "{{.Server.APIVersion}}") == "1.41\n"
    assert {"ingress", "shop_front", "bridge"} <= set(cli("network", "ls", "--format", "{{.Name}}").split())
    assert "10.0." in cli("network", "inspect", "shop_front")
    assert "shop_db-password" in cli("secret", "ls")
    assert "shop_nginx-conf" in cli("config", "ls")
    assert "shop" in cli("stack", "ls")
    assert "shop_web" in cli("stack", "services", "shop")
    assert "shop_web.1" in cli("stack", "ps", "shop")
    assert "traefik" in cli("ps")
    assert "traefik" in cli("images")
    assert "TYPE" in cli("system", "df")
    text = cli("swarm", "join-token", "worker")
    assert "docker swarm join --token SWMTKN-1-" in text
    assert "10.0.1.11:2377" in text
    assert cli("swarm", "join-token", "-q", "--rotate", "worker").strip() not in text
    assert "Swarm updated" in cli("swarm", "update", "--task-history-limit", "5")


STACK = """\
version: "3.8"
services:
  front:
    image: nginx:1.25
    networks: [inner]
    ports: ["8099:80"]
    deploy: {replicas: %d, placement: {constraints: [node.role==worker]}}
    secrets: [token]
    configs: [{source: page, target: /page}]
    volumes: ["pages:/pages"]
  back:
    image: redis:7.2
    networks: [inner]
networks: {inner: {driver: overlay}}
volumes: {pages: {}}
secrets: {token: {file: ./token}}
configs: {page: {file: ./page}}
"""


def test_stacks(cli: Docker, tmp_path: Path) -> None:
    for name, text in (("token", "hush"), ("page", "hello"), ("stack.yml", STACK % 2)):
        (tmp_path / name).write_text(text)
    deploy = ("stack", "deploy", "--resolve-image", "never", "-c", str(tmp_path / "stack.yml"), "tried")
    made = cli(*deploy)
    for line in ("network tried_inner", "secret tried_token", "config tried_page", "service tried_front"):
        assert f"Creating {line}" in made
    replicas = ("stack", "services", "--format", "{{.Name}} {{.Replicas}}", "tried")
    until(lambda: sorted(cli(*replicas).splitlines()) == ["tried_back 1/1", "tried_front 2/2"])
    assert "*:8099->80/tcp" in cli("stack", "services", "tried")
    assert "tried_front.2" in cli("stack", "ps", "tried")
    assert ["tried", "2"] in [line.split()[:2] for line in cli("stack", "ls").splitlines()]
    for kind in ("secret", "config"):
        refused = cli.run(kind, "rm", "tried_token" if kind == "secret" else "tried_page")
        assert refused.returncode == 1
        assert "is in use by the following service: tried_front" in refused.stderr
    assert "is in use by" in cli.run("network", "rm", "tried_inner").stderr
    (tmp_path / "stack.yml").write_text(STACK % 3)
    assert "Updating service tried_front" in cli(*deploy)
    until(lambda: "tried_front 3/3" in cli(*replicas))
    assert "Removing service tried_front" in cli("stack", "rm", "tried")
    assert "tried" not in cli("stack", "ls") + cli("network", "ls") + cli("secret", "ls") + cli("config", "ls")


@pytest.mark.parametrize("kind", ["secret", "config"])
def test_secrets_and_configs(cli: Docker, kind: str) -> None:
    made = cli.run(kind, "create", "--label", "a=b", "tried", "-", stdin="hush hush")
    assert made.returncode == 0, made.stderr
    assert cli(kind, "ls", "-q", "--filter", "name=tried") == made.stdout
    assert cli(kind, "inspect", "-f", "{{.Spec.Labels.a}}", "tried") == "b\n"
    shown = cli(kind, "inspect", "tried") + cli(kind, "inspect", "--pretty", "tried")
    assert ("hush hush" in shown) == (kind == "config"), "secrets are never shown"
    assert "already exists" in cli.run(kind, "create", "tried", "-", stdin="x").stderr
    assert cli(kind, "rm", "tried") == "tried\n"
    assert cli.run(kind, "rm", "tried").returncode == 1


def test_networks_and_volumes(cli: Docker) -> None:
    cli("network", "create", "-d", "overlay", "--attachable", "--label", "a=b", "tried")
    assert cli("network", "inspect", "-f", "{{.Scope}} {{.Attachable}}", "tried") == "swarm true\n"
    assert "already exists" in cli.run("network", "create", "-d", "overlay", "tried").stderr
    assert cli("network", "rm", "tried") == "tried\n"
    assert "not found" in cli.run("network", "inspect", "tried").stderr.lower().replace("no such", "not found")
    assert "pre-defined network" in cli.run("network", "rm", "bridge").stderr
    assert cli("volume", "create", "--label", "a=b", "tried") == "tried\n"
    assert cli("volume", "ls", "-q", "--filter", "label=a=b") == "tried\n"
    assert cli("volume", "inspect", "-f", "{{.Mountpoint}}", "tried") == "/var/lib/docker/volumes/tried/_data\n"
    assert cli("volume", "rm", "tried") == "tried\n"
    assert "no such volume" in cli.run("volume", "rm", "tried").stderr.lower()


def test_unlocking_over_the_api(cli: Docker) -> None:
    refused = cli.run("swarm", "unlock", stdin="SWMKEY-1-nonsense\n")
    assert refused.returncode == 1
    assert "swarm is not locked" in refused.stderr


def test_containers(cli: Docker, served: Served) -> None:
    name = cli("ps", "--filter", "name=mon_logs", "--format", "{{.Names}}").strip()

    def written() -> str:
        done = cli.run("logs", "--tail", "3", name)
        return done.stdout + done.stderr

    until(lambda: "level=" in written())
    assert cli("kill", name).strip() == name
    until(lambda: "Failed" in cli("node", "ps", "mgr1", "--filter", "name=mon_logs"))
    until(lambda: cli("ps", "-q", "--filter", "name=mon_logs") != "")
    assert "is not running" in cli.run("kill", name).stderr


def test_locking(cli: Docker, served: Served) -> None:
    assert "SWMKEY-1-" in cli("swarm", "update", "--autolock=true")
    first = cli("swarm", "unlock-key", "-q").strip()
    rotated = cli("swarm", "unlock-key", "-q", "--rotate").strip()
    assert first != rotated
    try:
        assert served.ssh("mgr3", "systemctl restart docker").returncode == 0
        locked = Docker(cli.binary, served.socket("mgr3"), cli.env)
        assert "Swarm is encrypted and needs to be unlocked" in locked.run("node", "ls").stderr
        assert served.ssh("mgr3", "docker swarm unlock", stdin=first + "\n").returncode == 1
        done = served.ssh("mgr3", "docker swarm unlock", stdin=rotated + "\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        until(lambda: locked.run("node", "ls").returncode == 0)
    finally:
        cli("swarm", "update", "--autolock=false")
    assert "no unlock key is set" in cli.run("swarm", "unlock-key").stderr


def test_events(cli: Docker) -> None:
    begun = str(time.time())
    cli("node", "update", "--label-add", "seen=1", "wrk1")
    cli("node", "update", "--label-rm", "seen", "wrk1")
    time.sleep(0.2)
    found = cli("events", "--since", begun, "--until", str(time.time()), "--filter", "type=node")
    assert found.count("node update") == 2
    assert found.count("(name=wrk1)") == 2


def test_sdk(served: Served) -> None:
    client = docker.DockerClient(base_url=served.socket("mgr1"), version="auto", timeout=20)
    try:
        assert client.api.api_version == "1.41"
        assert len(client.nodes.list()) == 8
        node = client.nodes.list(filters={"name": "wrk2"})[0]
        spec = {**node.attrs["Spec"], "Availability": "pause"}
        assert node.update(spec)
        node.reload()
        assert node.attrs["Spec"]["Availability"] == "pause"
        assert node.update({**spec, "Availability": "active"})
        with pytest.raises(docker.errors.APIError, match="update out of sequence"):
            client.api.update_node(node.id, 1, spec)
        service = client.services.create("redis:7.2", name="sdk", constraints=["node.role==worker"])
        until(lambda: any(t["Status"]["State"] == "running" for t in service.tasks()))
        assert service.scale(2)
        service.reload()
        until(lambda: sum(t["Status"]["State"] == "running" for t in service.tasks()) == 2)
        assert b"".join(service.logs(stdout=True, stderr=True)) is not None
        assert service.remove()
        with pytest.raises(docker.errors.NotFound):
            client.services.get("sdk")
        assert client.swarm.attrs["JoinTokens"]["Worker"].startswith("SWMTKN-1-")
        assert client.info()["Swarm"]["Managers"] == 3
        assert client.ping()
        assert {n.name for n in client.networks.list(filters={"scope": "swarm"})} >= {"shop_front", "ingress"}
        assert [s.name for s in client.secrets.list(filters={"name": "edge"})] == ["edge_tls-cert"]
        assert client.containers.list()
    finally:
        client.close()


def test_sdk_events_end_with_the_engine(served: Served) -> None:
    client = docker.APIClient(base_url=served.socket("mgr2"), version="auto", timeout=20)
    stream = client.events(decode=True, filters={"scope": ["swarm"]})
    try:
        served.ssh("mgr1", "docker node update --label-add a=b wrk1")
        event = next(stream)
        assert (event["Type"], event["Action"], event["Actor"]["Attributes"]) == ("node", "update", {"name": "wrk1"})
        assert served.ssh("mgr2", "systemctl stop docker docker.socket").returncode == 0
        assert list(stream) == []
        assert served.ssh("mgr2", "systemctl is-active docker").stdout == "inactive\n"
    finally:
        assert served.ssh("mgr2", "systemctl start docker").returncode == 0
        client.close()
