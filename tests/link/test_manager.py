from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from swarmtui.link.manager import Manager
from swarmtui.link.person import Nobody
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.sockets import SocketFolder, sweep
from swarmtui.link.target import SocketTarget
from tests.link.support import FakeEngine, FakeHost, dial_stdio, settings

pytestmark = pytest.mark.usefixtures("with_key")

UNIT = "systemctl show --property=LoadState,ActiveState docker.service"
CHECKS = {
    "test -S /var/run/docker.sock": (0, "", ""),
    "test -w /var/run/docker.sock": (0, "", ""),
    UNIT: (0, "LoadState=loaded\nActiveState=active\n", ""),
    "grep -c docker.sock /proc/net/unix": (0, "3\n", ""),
    "docker --version": (0, "Docker version 20.10.24+dfsg1, build 297e128\n", ""),
}


async def test_forwards_the_remote_socket(host: FakeHost, tmp_path: Path) -> None:
    manager = await Manager.open(host.target(), settings(tmp_path), Nobody())
    try:
        info = await manager.info()
        assert (manager.via, manager.label, info.name) == ("forward", f"op@127.0.0.1:{host.port}", "mgr1")
        assert host.logins == 1 and host.ran == []
    finally:
        await manager.close()


async def test_a_local_socket(engine: FakeEngine, tmp_path: Path) -> None:
    manager = await Manager.open(SocketTarget(str(tmp_path / "docker.sock")), settings(tmp_path), Nobody())
    assert manager.via == "socket" and manager.host is None
    assert (await manager.info()).swarm.control_available
    await manager.close()


async def test_without_forwarding_it_goes_through_the_docker_command(host: FakeHost, tmp_path: Path) -> None:
    socket, host.socket = host.socket, None
    assert socket is not None
    host.commands = {**CHECKS, "docker system dial-stdio": partial(dial_stdio, socket)}
    manager = await Manager.open(host.target(), settings(tmp_path), Nobody())
    try:
        assert manager.via == "dial-stdio"
        answers = await asyncio.gather(*(manager.info() for _ in range(30)))
        assert {info.name for info in answers} == {"mgr1"}
    finally:
        await manager.close()


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"test -S /var/run/docker.sock": (1, "", ""), "test -w /var/run/docker.sock": (1, "", "")}, Reason.NO_SOCKET),
        (
            {
                "test -S /var/run/docker.sock": (1, "", ""),
                "test -w /var/run/docker.sock": (1, "", ""),
                UNIT: (0, "LoadState=not-found\nActiveState=inactive\n", ""),
                "docker --version": (127, "", ""),
            },
            Reason.NO_SOCKET,
        ),
        (
            {
                "test -S /var/run/docker.sock": (1, "", ""),
                "test -w /var/run/docker.sock": (1, "", ""),
                UNIT: (0, "LoadState=masked\nActiveState=inactive\n", ""),
            },
            Reason.DOCKER_DOWN,
        ),
        ({"test -w /var/run/docker.sock": (1, "", "")}, Reason.SOCKET_DENIED),
        (
            {
                UNIT: (0, "LoadState=loaded\nActiveState=inactive\n", ""),
                "grep -c docker.sock /proc/net/unix": (1, "0\n", ""),
            },
            Reason.DOCKER_DOWN,
        ),
        (
            {
                UNIT: (127, "", "sh: systemctl: not found"),
                "grep -c docker.sock /proc/net/unix": (1, "0\n", ""),
            },
            Reason.DOCKER_DOWN,
        ),
        ({"docker --version": (127, "", "sh: docker: not found")}, Reason.FORWARDING_REFUSED),
    ],
)
async def test_what_the_host_says_tells_the_reason(
    host: FakeHost, tmp_path: Path, answers: dict[str, tuple[int, str, str]], reason: Reason
) -> None:
    host.socket = None
    host.commands = {**CHECKS, **answers}
    with pytest.raises(LinkError) as caught:
        await Manager.open(host.target(), settings(tmp_path), Nobody())
    assert caught.value.reason is reason
    assert "127.0.0.1" in caught.value.what and caught.value.next_step


async def test_sudo_only_where_it_is_allowed(host: FakeHost, tmp_path: Path) -> None:
    socket, host.socket = host.socket, None
    assert socket is not None
    host.commands = {
        **CHECKS,
        "test -w /var/run/docker.sock": (1, "", ""),
        "sudo -n docker system dial-stdio": partial(dial_stdio, socket),
        "sudo -n docker system dial-stdio --help": (0, "Usage: …", ""),
    }
    manager = await Manager.open(host.target(), settings(tmp_path, sudo=True), Nobody())
    assert manager.via == "dial-stdio"
    await manager.close()

    host.commands["sudo -n docker system dial-stdio --help"] = (1, "", "sudo: a password is required\n")
    with pytest.raises(LinkError) as caught:
        await Manager.open(host.target(), settings(tmp_path, sudo=True), Nobody())
    assert caught.value.reason is Reason.SUDO_REFUSED and "a password is required" in caught.value.what

    with pytest.raises(LinkError) as caught:
        await Manager.open(host.target(), settings(tmp_path), Nobody())
    assert caught.value.reason is Reason.SOCKET_DENIED


async def test_lost_when_ssh_ends(host: FakeHost, tmp_path: Path) -> None:
    manager = await Manager.open(host.target(), settings(tmp_path), Nobody())
    lost = asyncio.ensure_future(manager.wait_lost())
    await asyncio.sleep(0.05)
    assert not lost.done()
    await host.stop()
    async with asyncio.timeout(2):
        await lost
        with pytest.raises(LinkError) as caught:
            await manager.info()
    assert caught.value.reason is Reason.CONNECTION_LOST
    await manager.close()


async def test_lost_when_the_engine_ends(host: FakeHost, engine: FakeEngine, tmp_path: Path) -> None:
    host.commands = {
        **CHECKS,
        UNIT: (0, "LoadState=loaded\nActiveState=inactive\n", ""),
        "grep -c docker.sock /proc/net/unix": (1, "0\n", ""),
    }
    manager = await Manager.open(host.target(), settings(tmp_path), Nobody())
    await engine.stop()
    with pytest.raises(LinkError) as caught:
        await manager.info()
    assert caught.value.reason is Reason.CONNECTION_LOST
    async with asyncio.timeout(2):
        await manager.wait_lost()
    assert (await manager.why_lost()).reason is Reason.DOCKER_DOWN
    await manager.close()


async def test_nothing_is_left_behind(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "tmp"
    base.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    manager = await Manager.open(host.target(), settings(tmp_path), Nobody())
    (folder,) = base.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    await manager.close()
    await manager.close()
    assert not folder.exists()
    host.socket = None
    with pytest.raises(LinkError):
        await Manager.open(host.target(), settings(tmp_path), Nobody())
    assert list(base.iterdir()) == []


async def test_nothing_is_left_behind_when_it_is_cut_short(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "tmp"
    base.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    for patience in (0.0, 0.01, 0.02, 0.05, 0.1):
        opening = asyncio.ensure_future(Manager.open(host.target(), settings(tmp_path), Nobody()))
        await asyncio.wait((opening,), timeout=patience)
        opening.cancel()
        (result,) = await asyncio.gather(opening, return_exceptions=True)
        if isinstance(result, Manager):
            closing = asyncio.ensure_future(result.close())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
            assert result.host is not None
            await result.host.close()
        assert list(base.iterdir()) == []


def test_what_a_killed_program_leaves_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = (
        "import os, sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from swarmtui.link.sockets import SocketFolder, sweep\n"
        "folder = SocketFolder(); folder.new().touch(); print(folder.path, flush=True); sys.stdin.read()\n"
    )

    def start() -> tuple[subprocess.Popen[str], Path]:
        command = [sys.executable, "-c", script, str(tmp_path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    (killed, gone), (alive, kept) = start(), start()
    (tmp_path / "swarmtui-link-other").mkdir()
    killed.kill()
    killed.communicate()
    assert gone.exists()
    sweep()
    folder = SocketFolder()
    assert not gone.exists() and kept.exists() and (tmp_path / "swarmtui-link-other").exists()
    assert folder.new().parent == folder.path and len(str(folder.new())) <= 107
    folder.remove()
    assert not folder.path.exists()
    # The end of a program without any farewell of ours takes it along too.
    alive.communicate("")
    assert alive.returncode == 0 and not kept.exists()


def test_a_deep_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    folder = SocketFolder()
    assert len(str(folder.new())) <= 107 and list(deep.iterdir()) == []
    folder.remove()
