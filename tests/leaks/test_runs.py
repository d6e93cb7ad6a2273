"""Whole runs that handle keys and tokens, as processes of their own: none of it may be left or seen anywhere."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient

from tests.actions.cli import Cli, process
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for
from tests.leaks.harness import Leaks, watched

SECONDS = 60.0


class Simulated:
    """A simulated Swarm in a process of its own, and what its engines say."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.ssh_config = str(told["ssh_config"])
        self._sockets = {host["name"]: host["docker"] for host in told["hosts"]}

    def ask(self, question: Callable[[APIClient], Any], name: str = "mgr1") -> Any:
        """Asks an engine with the stock SDK."""
        client = APIClient(base_url=self._sockets[name], version="1.41")
        try:
            return question(client)
        finally:
            client.close()

    @property
    def key(self) -> str:
        return str(self.ask(lambda client: client.get_unlock_key())["UnlockKey"])

    def tokens(self) -> dict[str, str]:
        return dict(self.ask(lambda client: client.inspect_swarm())["JoinTokens"])

    def sh(self, host: str, line: str) -> None:
        """Runs a command on a host, over SSH."""
        subprocess.run(["ssh", "-F", self.ssh_config, host, line], check=True, capture_output=True, timeout=SECONDS)

    def state(self, name: str) -> str:
        return str(self.ask(lambda client: client.info(), name)["Swarm"]["LocalNodeState"])


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[Simulated]:
    words = ["--serve", "--scenario", "calm", "--speed", "60", "--until-stdin-closes"]
    # Its own words may hold what it wants: it is the cluster, and not what is looked at.
    with (tmp_path / "demo.err").open("w") as errors:
        served = subprocess.Popen(
            [sys.executable, "-m", "swarmtui.demo", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert served.stdin is not None and served.stdout is not None
    try:
        told = json.loads(served.stdout.readline())
        # Where every command looks by itself.
        config = Path(os.environ["XDG_CONFIG_HOME"]) / "swarmtui" / "config.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(Path(told["config"]).read_text())
        yield Simulated(told)
    finally:
        with contextlib.suppress(BrokenPipeError):
            served.stdin.close()
        try:
            served.wait(20)
        except subprocess.TimeoutExpired:
            served.kill()
            served.wait()
        served.stdout.close()


class Program:
    """`swarmtui` on the simulated Swarm; everything that it says is looked at."""

    def __init__(self, simulated: Simulated, leaks: Leaks) -> None:
        self.simulated = simulated
        self.leaks = leaks

    def __call__(self, *words: str, given: str = "", code: int = 0) -> str:
        """Runs a command line with something on its standard input."""
        done = subprocess.run(
            [sys.executable, "-m", "swarmtui", *words],
            input=given.encode(),
            capture_output=True,
            timeout=SECONDS,
        )
        for stream, told in (("stdout", done.stdout), ("stderr", done.stderr)):
            self.leaks.seen(f"{stream} of swarmtui {' '.join(words)}", told)
        assert done.returncode == code, (words, done.returncode, done.stdout.decode(), done.stderr.decode())
        return done.stdout.decode() + done.stderr.decode()

    def run(self, name: str, *words: str, given: str = "", code: int = 0) -> str:
        return self("run", name, *words, "--yes", "--target", "simulated", given=given, code=code)

    def show(self, name: str, *words: str) -> None:
        """The plan: all that is known of it, and every command."""
        for form in (("--dry-run", "--json"), ("--script",)):
            self("run", name, *words, *form, "--target", "simulated")


@pytest.fixture
def swarmtui(simulated: Simulated, leaks: Leaks) -> Program:
    return Program(simulated, leaks)


def test_a_secret_is_created_from_standard_input(swarmtui: Program, leaks: Leaks) -> None:
    value = leaks.secret("the secret's content", secrets.token_urlsafe(40))
    swarmtui.run("secret.create", "name=db-password", "file=-", given=value)
    again = swarmtui.run("secret.create", "name=db-password", "file=-", given=value, code=2)
    assert "db-password" in again
    found = swarmtui.simulated.ask(lambda client: client.secrets())
    assert [item["Spec"]["Name"] for item in found if item["Spec"]["Name"] == "db-password"] == ["db-password"]


def test_autolock_rotation_and_unlocking(swarmtui: Program, leaks: Leaks) -> None:
    accept = ("--accept", "key-without-custody=simulated")
    swarmtui.run("swarm.autolock", "enable=true", "--json", *accept)
    first = leaks.secret("the first unlock key", swarmtui.simulated.key)
    swarmtui.run("swarm.rotate-key", *accept)
    second = leaks.secret("the second unlock key", swarmtui.simulated.key)
    assert first != second
    swarmtui.simulated.sh("mgr3", "systemctl restart docker")
    wait_for("mgr3 is locked", lambda: swarmtui.simulated.state("mgr3") == "locked", 20, 0.2)
    swarmtui.run("swarm.unlock", "node=mgr3", given="", code=1)
    swarmtui.run("swarm.unlock", "node=mgr3", given=f"{first}\n{second}\n")
    assert swarmtui.simulated.state("mgr3") == "active"


def test_joining_and_tokens(swarmtui: Program, leaks: Leaks) -> None:
    for role, token in swarmtui.simulated.tokens().items():
        leaks.secret(f"the {role} token", token)
    accept = ("--accept", "ladder=mgr3", "--accept", "tolerance=mgr3")
    swarmtui.run("node.remove", "node=wrk5")
    swarmtui.run("swarm.join", "host=ssh://wrk5", "label=zone=a")
    assert swarmtui.simulated.state("wrk5") == "active"
    swarmtui.show("node.rejoin", "node=mgr3", "rung=rejoin")
    swarmtui.run("node.rejoin", "node=mgr3", "rung=rejoin", *accept)
    assert swarmtui.simulated.state("mgr3") == "active"
    swarmtui.run("swarm.rotate-tokens", "role=both")
    for role, token in swarmtui.simulated.tokens().items():
        leaks.secret(f"the new {role} token", token)
    swarmtui("journal")


def test_the_console_in_a_terminal_shows_no_token(simulated: Simulated, leaks: Leaks) -> None:
    """Every byte that a terminal gets: the views, the Swarm's own among them, with its tokens masked."""
    for role, token in simulated.tokens().items():
        leaks.secret(f"the {role} token", token)
    environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    cli = Cli(environment)
    with process(cli, "simulated", terminal=True) as console:
        console.until("mgr3", SECONDS)
        for command in ("swarm", "secrets", "configs", "services", "nodes"):
            os.write(console._descriptor, f":{command}\r".encode())
            end = time.monotonic() + 0.7
            while time.monotonic() < end:
                console._read(0.1)
        os.write(console._descriptor, b"\x11")
        end = time.monotonic() + 1.0
        while time.monotonic() < end and console._read(0.1):
            pass
        leaks.seen("the terminal", console.text)
        assert len(console.text) > 5000


@pytest.fixture
def planted(lab: Lab) -> Iterator[Leaks]:
    with watched() as leaks:
        leaks.secret("planted", "planted-" + secrets.token_hex(20))
        for host in lab.hosts[:1]:
            leaks.host(host)
        yield leaks


@pytest.mark.lab
def test_what_is_planted_on_a_host_is_found(lab: Lab, planted: Leaks) -> None:
    """Each look at a host: its programs, its journal, its files, and the containers' logs."""
    value = planted._secrets[0].text
    host = lab["mgr1"]
    host.ssh(f"docker version --format {value} >/dev/null; true")
    host.ssh(f"logger -t planted {value}")
    host.ssh(f"echo {value} >/root/planted")
    host.ssh(f"docker run --rm=false --name planted alpine echo {value}")
    try:
        found = {find.where.partition(" (")[0].partition("containers/")[0] for find in planted.finds()}
    finally:
        host.docker("rm", "-f", "planted")
        host.sh("rm -f /root/planted")
    assert {
        "cmdline of a process",
        "programs of mgr1",
        "journal of mgr1",
        "file of mgr1:/root/planted",
        "file of mgr1:/var/lib/docker/",
    } <= found


@pytest.mark.lab
def test_keys_and_tokens_on_real_hosts(lab: Lab, cli: Cli, truth: Truth, leaks: Leaks) -> None:
    truth.notices_soon()
    for host in lab.hosts:
        leaks.host(host)
    for role in ("worker", "manager"):
        leaks.secret(f"the {role} token", lab["mgr1"].api("GET", "/swarm")["JoinTokens"][role.capitalize()])
    leaks.below(lab.home)

    def run(name: str, *words: str) -> None:
        result = cli.do(name, *words)
        leaks.seen(f"stdout of {name}", result.out)
        leaks.seen(f"stderr of {name}", result.err)

    (rule,) = cli.plan("swarm.autolock", "enable=true")["rules"]
    run("swarm.autolock", "enable=true", "--accept", f"{rule['rule']}={rule['object']}")
    leaks.secret("the unlock key", lab["mgr1"].api("GET", "/swarm/unlockkey")["UnlockKey"])
    run("node.rejoin", "node=mgr3", "rung=rejoin", "--accept", "ladder=mgr3", "--accept", "tolerance=mgr3")
    run("swarm.autolock", "enable=false")
    assert truth.names() == ["mgr1", "mgr2", "mgr3", "wrk1", "wrk2"]
