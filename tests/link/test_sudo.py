"""The password that sudo wants: in shells with a stand-in for sudo, and on a real host with the real one (lab)."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swarmtui.link.manager import Manager
from swarmtui.link.person import Nobody
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import SshHost
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.sudo import Sudo
from swarmtui.link.target import SshTarget
from swarmtui.vault import Kind, Secret, Sources, Vault
from swarmtui.vault.person import VaultPerson

if TYPE_CHECKING:
    from tests.lab import Host, Lab

PASSWORD = "planted'\"$(id)\\n %s"
STAND_IN = r"""#!/bin/sh
# sudo as far as it is used here: remembers by its parent process, notes how it and its parent were called.
here=$(dirname "$0")
tr '\0' '\n' </proc/$$/cmdline >>"$here/seen"; tr '\0' '\n' </proc/$PPID/cmdline >>"$here/seen"; env >>"$here/seen"
case "$1 $2" in
"-n -v") [ -e "$here/$PPID" ] ;;
"-S -p") IFS= read -r given; [ "$given" = "$(cat "$here/right")" ] && : >"$here/$PPID" ;;
"-n "*) [ -e "$here/$PPID" ] || { echo 'sudo: a password is required' >&2; exit 1; }; shift; exec "$@" ;;
esac
"""


async def a_person(label: str, password: str | None) -> VaultPerson:
    vault = Vault.in_memory(Sources(environ={}))
    if password is not None:
        await vault.put(Kind.SUDO_PASSWORD, label, Secret(password))
    return VaultPerson(Nobody, lambda: vault)


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sudo").write_text(STAND_IN)
    (folder / "sudo").chmod(0o755)
    (folder / "right").write_text(PASSWORD)
    return folder


def run(shell: str, folder: Path, command: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    environ = {"PATH": f"{folder}:/usr/bin:/bin"}
    return subprocess.run([shell, "-c", command], input=stdin, capture_output=True, env=environ, timeout=30)


@pytest.mark.parametrize("shell", [shell for shell in ("sh", "bash", "dash", "zsh") if shutil.which(shell)])
async def test_the_command_reads_what_is_its_own_and_ends_as_it_would(shell: str, stand_in: Path) -> None:
    sudo = Sudo(await a_person("ops@mgr1", PASSWORD), "ops@mgr1")
    for command, given, out, code in (
        ("sudo -n cat", b"for the command\nalone", b"for the command\nalone", 0),
        ("sudo -n sh -c 'exit 7'", b"", b"", 7),
        ("sudo -n echo one | cat; sudo -n echo two", b"", b"one\ntwo\n", 0),
    ):
        prepared, first = await sudo.prepared(command)
        ended = run(shell, stand_in, prepared, first + given)
        assert (ended.returncode, ended.stdout, ended.stderr) == (code, out, b"")
    seen = (stand_in / "seen").read_text()
    assert "sudo" in seen and "swarmtui_password" in seen  # our own line was looked at
    assert "planted" not in seen


async def test_a_wrong_password_is_given_once(stand_in: Path) -> None:
    sudo = Sudo(await a_person("ops@mgr1", "planted-wrong"), "ops@mgr1")
    command, first = await sudo.prepared("sudo -n cat")
    assert first == b"planted-wrong\n"
    ended = run("sh", stand_in, command, first + b"stdin")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert sudo.heard(ended.stderr.decode()) == "sudo: a password is required\n"
    assert await sudo.prepared("sudo -n cat") == ("sudo -n cat", b"")


@pytest.mark.parametrize("command", ["docker ps", "sudo -n docker ps"])
async def test_without_a_password_and_without_sudo_the_command_stays_as_it_is(command: str) -> None:
    for person in (Nobody(), await a_person("ops@mgr1", None), await a_person("ops@another", PASSWORD)):
        assert await Sudo(person, "ops@mgr1").prepared(command) == (command, b"")
    assert await Sudo(await a_person("ops@mgr1", PASSWORD), "ops@mgr1").prepared("docker ps") == ("docker ps", b"")


# -- on the lab --------------------------------------------------------------------------------------------------


@pytest.fixture
def asking(lab: Lab, home: Path) -> Iterator[Host]:
    """A host with a user of whom sudo wants a password."""
    (home / ".ssh" / "id_ed25519").write_bytes((lab.home / ".ssh" / "id_ed25519").read_bytes())
    host = lab["mgr1"]
    host.sh("useradd --create-home --shell /bin/bash asking; chpasswd", data=f"asking:{PASSWORD}\n".encode())
    host.sh("echo 'asking ALL=(ALL) ALL' >/etc/sudoers.d/asking; chmod 0440 /etc/sudoers.d/asking")
    yield host
    host.sh("rm -f /etc/sudoers.d/asking; userdel --remove --force asking")


def settings(lab: Lab) -> SshSettings:
    return SshSettings(known_hosts=lab.home / ".ssh" / "known_hosts", sudo=True)


@asynccontextmanager
async def logged_in(lab: Lab, host: Host, password: str | None) -> AsyncIterator[SshHost]:
    target = SshTarget(host.address, "asking")
    ssh = await SshHost.connect(target, settings(lab), await a_person(f"asking@{host.address}", password))
    try:
        yield ssh
    finally:
        await ssh.close()


def read(host: Host, name: str) -> str:
    """A file of all processes of a host, without those that ended meanwhile."""
    return str(host.sh(f"cat /proc/[0-9]*/{name} 2>/dev/null | tr '\\0' ' '", check=False).stdout)


@pytest.mark.lab
async def test_real_sudo_takes_it_and_nothing_shows_it(lab: Lab, asking: Host) -> None:
    async with logged_in(lab, asking, None) as ssh:
        assert (await ssh.run("sudo -n id -u", timeout=20)).code == 1
    async with logged_in(lab, asking, PASSWORD) as ssh:
        for command, given, out in (
            ("sudo -n id -u", None, "0\n"),
            ("sudo -n cat", b"stdin", "stdin"),
            ("sudo -n id -u | cat; sudo -n id -u", None, "0\n0\n"),
        ):
            done = await ssh.run(command, stdin=given, timeout=20)
            assert (done.code, done.out, done.err) == (0, out, "")
        running = asyncio.create_task(ssh.run("sudo -n sleep 3", timeout=20))
        processes = ""
        async with asyncio.timeout(15):
            while "sleep 3" not in processes:
                await asyncio.sleep(0.2)
                processes = read(asking, "cmdline")
        environs = read(asking, "environ")
        assert "planted" not in processes + environs
        assert "USER=asking" in environs
        await running
    assert "planted" not in asking.sh("journalctl --no-pager -q").stdout


@pytest.mark.lab
async def test_the_engine_is_reached_through_sudo_with_a_password(lab: Lab, asking: Host) -> None:
    target, person = SshTarget(asking.address, "asking"), await a_person(f"asking@{asking.address}", PASSWORD)
    manager = await Manager.open(target, settings(lab), person)
    try:
        assert manager.via == "dial-stdio"
        assert (await manager.info()).name == "mgr1"
    finally:
        await manager.close()
    wrong = await a_person(f"asking@{asking.address}", "planted-wrong")
    for _ in range(2):
        with pytest.raises(LinkError) as caught:
            await Manager.open(target, settings(lab), wrong)
        assert caught.value.reason is Reason.SUDO_REFUSED
    # Tried once, not at every connection: hosts lock users out for that.
    log = asking.sh("journalctl --no-pager -q _COMM=sudo").stdout
    assert log.count("authentication failure") == 1
