"""Users and client bundles of UCP from the command line, on the simulated UCP; the stock docker CLI and curl tell what
came of it."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actions.cli import Cli, Result
from tests.demo.conftest import Served, start, stop

BOB = "bob's 1st \\ \"pass$word"
"""With everything in it that a shell or JSON would stumble over."""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    running = start("--scenario", "platform", "--speed", "20", "--seed", "1", folder=Path("/tmp"))
    yield running
    stop(running)


class Platform:
    """The command line on it, and what others see of it."""

    def __init__(self, served: Served, home: Path) -> None:
        self.home = home
        told = served.line["platform"]
        self.url = str(told["ucp"]["mgr1"])
        self.admin = str(told["admin"]["password"])
        self.ssh_config = str(served.line["ssh_config"])
        self.config = home / "config.toml"
        named = '\n[clusters.simulated.secrets]\nucp-password = "env:UCP_ADMIN"\n'
        self.config.write_text(Path(served.line["config"]).read_text() + named)
        self.environment = {"HOME": str(home), "PATH": os.environ["PATH"], "UCP_ADMIN": self.admin, "BOB": BOB}
        self.cli = Cli(self.environment, "simulated")

    def run(self, name: str, *arguments: str, code: int = 0) -> Result:
        result = self.cli.run(name, *arguments, "--config", str(self.config))
        assert result.code == code, result
        assert self.admin not in str(result) and BOB not in str(result)
        return result

    def login(self, user: str, password: str) -> str:
        """Logs in with curl; the token, "" where that was refused."""
        body = json.dumps({"username": user, "password": password})
        words = ["curl", "-sk", "-d", "@-", f"{self.url}/auth/login"]
        done = subprocess.run(words, input=body, capture_output=True, text=True, timeout=30, check=True)
        return str(json.loads(done.stdout).get("auth_token", ""))

    def bundles(self, user: str) -> dict[str, str]:
        """Id → public key of the bundles of a user, asked with curl."""
        header = f"Authorization: Bearer {self.login('admin', self.admin)}"
        words = ["curl", "-sk", "-H", header, f"{self.url}/accounts/{user}/publicKeys"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
        return {one["id"]: str(one["publicKey"]).strip() for one in json.loads(done.stdout)["accountPublicKeys"]}

    def docker(self, bundle: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """The stock docker CLI with a bundle, as its env.sh says."""
        line = 'cd "$0" && . ./env.sh && exec docker "$@"'
        return subprocess.run(
            ["sh", "-c", line, str(bundle), *words], capture_output=True, text=True, timeout=30, env=self.environment
        )


@pytest.fixture
def platform(served: Served, tmp_path: Path) -> Platform:
    return Platform(served, tmp_path)


def test_a_user_is_created_and_their_bundle_is_a_connection(platform: Platform) -> None:
    bob = ("name=bob", "full-name=Bob B", "password-from=env:BOB")
    plan = json.loads(platform.run("ucp.user", *bob, "--dry-run", "--json").out)
    assert any("admin (administrator), ci, docker-datacenter (organization)" in note for note in plan["notes"])
    assert platform.login("bob", BOB) == "", "a plan changes nothing"
    assert "bob is there, and has logged in." in platform.run("ucp.user", *bob, "--yes").out
    assert platform.login("bob", BOB)
    again = platform.run("ucp.user", "name=bob", "admin=true", "--dry-run").out
    assert "There is bob already: a user, and not an administrator. Nothing was changed." in again

    folder = platform.home / "bundles" / "bob"
    done = platform.run("ucp.bundle", "user=bob", "password-from=env:BOB", f"to={folder}", "--yes").out
    assert "UCP lists it among the bundles of bob." in done and "UCP 2.2.5 lets it in." in done
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    version = platform.docker(folder, "version", "--format", "{{.Server.Version}}")
    assert version.stdout.strip() == "ucp/2.2.5", version
    looked = platform.cli("status", str(folder), "--config", str(platform.config), "--json")
    assert json.loads(looked.out)["nodes"], looked

    taken = platform.run("ucp.bundle", f"to={folder}", "--dry-run", code=2).err
    assert "There is something in" in taken
    added = platform.cli("clusters", "add", "as-bob", str(folder), "--config", str(platform.config))
    assert added.code == 0, added
    # The bundle itself is a way to UCP: no SSH is needed for the next one.
    other = platform.home / "second"
    words = ("ucp.bundle", "user=bob", "password-from=env:BOB", f"to={other}", "--yes", "--config")
    second = platform.cli.run(*words, str(platform.config), target="as-bob")
    assert second.code == 0, second
    assert (other / "key.pem").read_bytes() != (folder / "key.pem").read_bytes()


def test_a_bundle_is_revoked(platform: Platform) -> None:
    """By the folder it lies in, by the beginning of its id, and all that are left; never the one we came with."""
    platform.run("ucp.user", "name=ann", "password-from=env:BOB", "--yes")
    folders = [platform.home / f"ann-{number}" for number in range(3)]
    for folder in folders:
        platform.run("ucp.bundle", "user=ann", "password-from=env:BOB", f"to={folder}", "--yes")
    by_key = {key: name for name, key in platform.bundles("ann").items()}
    names = [by_key[_public(folder / "cert.pem")] for folder in folders]
    listed = platform.run("ucp.revoke", "user=ann", code=2).err
    assert "ann has 3 client bundles: " in listed and all(name[:16] in listed for name in names)
    assert "ann has no bundle nonsense" in platform.run("ucp.revoke", "user=ann", "bundle=nonsense", code=2).err

    platform.run("ucp.revoke", "user=ann", f"bundle={folders[1]}", "--yes")
    assert set(platform.bundles("ann")) == {names[0], names[2]}
    again = platform.run("ucp.revoke", "user=ann", f"bundle={folders[1]}", "--yes").out
    assert "is none of the 2 client bundles that UCP has of ann" in again
    platform.run("ucp.revoke", "user=ann", f"bundle={names[0][:8]}", "--yes")
    assert set(platform.bundles("ann")) == {names[2]}

    mine = platform.home / "mine"
    platform.run("ucp.bundle", f"to={mine}", "--yes")
    platform.cli("clusters", "add", "as-admin", str(mine), "--config", str(platform.config))
    with platform.config.open("a") as file:
        file.write('\n[clusters.as-admin.secrets]\nucp-password = "env:UCP_ADMIN"\n')
    words = ("ucp.revoke", f"bundle={mine}", "--yes", "--config", str(platform.config))
    ours = platform.cli.run(*words, target="as-admin")
    assert ours.code == 4 and "This session itself came" in ours.err, ours
    platform.run("ucp.revoke", "user=ann", "bundle=all", "--yes")
    assert platform.bundles("ann") == {} and platform.bundles("admin")


def _public(file: Path) -> str:
    """The public key of a certificate, in PEM, as openssl has it."""
    words = ["openssl", "x509", "-in", str(file), "-noout", "-pubkey"]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def test_what_cannot_be_meant_or_is_wrong_is_told_in_a_sentence(platform: Platform) -> None:
    typed = platform.run("ucp.user", "name=eve", "password-from=hunter2-typed", code=2).err
    assert "never an argument" in typed and "hunter2-typed" not in typed
    missing = platform.run("ucp.user", "name=eve", "--yes", code=2).err
    assert "There is no password of eve" in missing and "secrets set ucp-password eve@simulated" in missing
    empty = platform.run("ucp.user", "name=eve", "password-from=env:NOBODY", code=2).err
    assert "in the environment variable NOBODY" in empty
    wrong = platform.run("ucp.bundle", "user=jon", "password-from=env:BOB", "to=/nowhere/x", code=1).err
    assert "does not let jon in" in wrong
    # env:UCP_ADMIN is there for "ucp-password": of the administrator, and of nobody else.
    assert platform.login("eve", platform.admin) == ""


@pytest.mark.skipif(not all(map(shutil.which, ("curl", "jq", "unzip"))), reason="curl, jq and unzip are not all here")
def test_the_commands_that_are_shown_do_the_same(platform: Platform) -> None:
    """The script of a plan, run with curl, jq and unzip on a terminal."""
    folder = platform.home / "by hand"
    tools = platform.home / "bin"
    tools.mkdir()
    (tools / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {platform.ssh_config} "$@"\n')
    (tools / "ssh").chmod(0o755)
    script = platform.home / "script"
    new = "another one"
    script.write_text(platform.run("ucp.user", "name=dora", "password-from=env:BOB", "--script").out)
    _at_terminal(platform, script, tools, platform.admin, new)
    assert platform.login("dora", new)
    script.write_text(platform.run("ucp.bundle", f"to={folder}", "--script").out)
    told = _at_terminal(platform, script, tools, platform.admin)
    assert "ucp/2.2.5" in told and stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name for path in platform.home.iterdir()} >= {"ucp-ca.pem"}
    assert not (platform.home / "ucp-login").exists(), "the token does not stay"
    assert platform.admin not in told and new not in told


def _at_terminal(platform: Platform, script: Path, tools: Path, *answers: str) -> str:
    """Runs a script with a terminal of its own, and types an answer at each prompt."""
    ours, theirs = pty.openpty()
    environment = {**platform.environment, "PATH": f"{tools}:{platform.environment['PATH']}"}
    words = ["setsid", "--ctty", "--wait", "sh", str(script)]
    running = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=platform.home)
    os.close(theirs)
    text, left, until = "", list(answers), time.monotonic() + 60
    try:
        while time.monotonic() < until:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    text += os.read(ours, 65_536).decode(errors="replace")
                except OSError:  # how a terminal ends
                    break
            elif running.poll() is not None:
                break
            if left and text.count("assword of ") > len(answers) - len(left):
                # Its echo is off only a moment after the prompt.
                time.sleep(0.3)
                os.write(ours, f"{left.pop(0)}\n".encode())
        assert running.wait(10) == 0, text
    finally:
        running.kill()
        running.wait()
        os.close(ours)
    return text
