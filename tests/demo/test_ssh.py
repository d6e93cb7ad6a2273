"""SSH to the simulated hosts, with stock clients."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncssh
import pytest

from swarmtui.demo.serve import Demo


async def connect(demo: Demo, host: str = "mgr1", **more: object) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        host,
        config=[str(demo.ssh_config)],
        known_hosts=str(demo.folder / "known_hosts"),
        agent_path=None,
        **more,
    )


@pytest.fixture
async def demo(runs: Path) -> AsyncIterator[Demo]:
    async with Demo("calm", speed=20) as running:
        yield running


async def get(reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes], path: str) -> bytes:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n".encode())
    return await reader.read()


async def test_the_docker_socket_is_forwarded(demo: Demo) -> None:
    async with await connect(demo) as connection:
        for path in ("/var/run/docker.sock", "/run/docker.sock"):
            reader, writer = await connection.open_unix_connection(path, encoding=None)
            assert b'"Leader":true' in await get(reader, writer, "/nodes")
        listener = await connection.forward_local_path(str(demo.folder / "fwd.sock"), "/var/run/docker.sock")
        local_reader, local_writer = await asyncio.open_unix_connection(str(demo.folder / "fwd.sock"))
        local_writer.write(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        assert (await local_reader.read()).endswith(b"OK")
        local_writer.close()
        listener.close()


async def test_each_host_has_its_own_engine(demo: Demo) -> None:
    for name in ("mgr3", "wrk4"):
        async with await connect(demo, name) as connection:
            reader, writer = await connection.open_unix_connection("/var/run/docker.sock", encoding=None)
            assert f'"Name":"{name}"'.encode() in await get(reader, writer, "/info")


@pytest.mark.parametrize("path", ["/etc/passwd", "/var/run/docker.sock/../docker.sock", "/run/systemd/private", ""])
async def test_no_other_socket_is_forwarded(demo: Demo, path: str) -> None:
    async with await connect(demo) as connection:
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await connection.open_unix_connection(path)
        assert refused.value.code == asyncssh.OPEN_CONNECT_FAILED


async def test_a_host_whose_sshd_does_not_forward(demo: Demo) -> None:
    demo.world.hosts["mgr1"].forwarding = False
    async with await connect(demo) as connection:
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await connection.open_unix_connection("/var/run/docker.sock")
        assert refused.value.code == asyncssh.OPEN_CONNECT_FAILED
        assert (await connection.run("test -S /var/run/docker.sock")).exit_status == 0
        process = await connection.create_process("docker system dial-stdio", encoding=None)
        process.stdin.write(b"GET /_ping HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await process.stdout.read()).endswith(b"OK")


async def test_no_tcp_no_listening_no_sessions(demo: Demo) -> None:
    async with await connect(demo) as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", 22)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("example.com", 443)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 22)
        done = await connection.run()
        assert done.exit_status == 1
        with pytest.raises((asyncssh.ChannelOpenError, asyncssh.SFTPError, asyncssh.ConnectionLost)):
            async with connection.start_sftp_client():
                pass


async def test_only_the_key_of_this_run_gets_in(demo: Demo) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied):
        await connect(demo, client_keys=[stranger])
    with pytest.raises(asyncssh.PermissionDenied):
        await connect(demo, client_keys=None, password="root")


async def test_the_host_keys_are_those_of_known_hosts(demo: Demo) -> None:
    port = int(demo.hosts[0]["ssh"].rpartition(":")[2])
    other = next(line for line in (demo.folder / "known_hosts").read_text().splitlines() if f":{port} " not in line)
    wrong = demo.folder / "wrong"
    wrong.write_text(f"[127.0.0.1]:{port} {other.split(' ', 1)[1]}\n")
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect("mgr1", config=[str(demo.ssh_config)], known_hosts=str(wrong))


async def test_dial_stdio(demo: Demo) -> None:
    async with await connect(demo) as connection:
        process = await connection.create_process("docker system dial-stdio", encoding=None)
        for _ in range(2):
            process.stdin.write(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
            assert b"OK" in await process.stdout.readuntil(b"\r\n\r\nOK")
        process.stdin.write_eof()
        done = await process.wait()
        assert done.exit_status == 0


async def test_a_stopped_engine(demo: Demo) -> None:
    host = demo.world.hosts["mgr2"]
    async with await connect(demo, "mgr2") as connection:
        assert (await connection.run("systemctl stop docker docker.socket")).exit_status == 0
        await until(lambda: not Path(demo.hosts[1]["docker"][7:]).exists())
        assert not host.docker
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_unix_connection("/var/run/docker.sock")
        done = await connection.run("docker node ls")
        assert (done.exit_status, done.stderr) == (
            1,
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n",
        )
        done = await connection.run("docker system dial-stdio")
        assert done.exit_status == 1
        assert (await connection.run("test -S /var/run/docker.sock")).exit_status == 1
        assert (await connection.run("systemctl is-active docker")).stdout == "inactive\n"
        assert (
            await connection.run("systemctl start docker && docker info --format '{{.Swarm.LocalNodeState}}'")
        ).stdout == "active\n"


async def test_a_socket_left_on_starts_docker_again(demo: Demo) -> None:
    async with await connect(demo, "mgr2") as connection:
        done = await connection.run("systemctl stop docker")
        assert "can still be activated by:" in str(done.stderr)
        assert not demo.world.hosts["mgr2"].docker
        assert (await connection.run("docker node ls -q")).exit_status == 0
        assert demo.world.hosts["mgr2"].docker


async def test_power_off_and_on_again_on_the_same_port(demo: Demo) -> None:
    before = demo.hosts[2]["ssh"]
    connection = await connect(demo, "mgr3")
    demo.world.crash(demo.world.hosts["mgr3"])
    await asyncio.wait_for(connection.wait_closed(), 5)
    with pytest.raises(ConnectionRefusedError):
        await connect(demo, "mgr3")
    demo.world.boot(demo.world.hosts["mgr3"])
    await until(lambda: demo.world.hosts["mgr3"].docker)
    assert demo.hosts[2]["ssh"] == before
    await asyncio.sleep(0.1)
    async with await connect(demo, "mgr3") as again:
        assert (await again.run("hostname")).stdout == "mgr3\n"


async def test_the_stock_client(demo: Demo) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        ["ssh", "-F", str(demo.ssh_config), "wrk1", "hostname; docker node ls; exit 3"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout == "wrk1\n"
    assert "This node is not a swarm manager. Worker nodes can't be used" in done.stderr


async def until(holds: Callable[[], object]) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come true")
