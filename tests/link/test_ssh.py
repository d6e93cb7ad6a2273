"""Host keys, the configuration, commands: against real asyncssh servers on loopback. OpenSSH is met in test_lab.py."""

from __future__ import annotations

import asyncio
import stat
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from swarmtui.link.hostkeys import fingerprint
from swarmtui.link.person import Nobody
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import SshHost
from swarmtui.link.target import SshTarget
from tests.link.support import Asked, FakeHost, listening, refused, settings

# -- host keys ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("with_key")
async def test_an_unknown_host_key_is_asked_about_once_and_written_down(host: FakeHost, tmp_path: Path) -> None:
    known = tmp_path / "fresh" / "known_hosts"
    person, chosen = Asked(), settings(tmp_path, known_hosts=known)
    ssh = await SshHost.connect(host.target(), chosen, person)
    await ssh.close()
    (question,) = person.questions
    assert (question.host, question.port, question.algorithm) == ("127.0.0.1", host.port, "ssh-ed25519")
    assert question.sha256 == fingerprint(host.key.public_data) == host.key.get_fingerprint()
    assert question.file == str(known)
    assert known.read_text() == host.known()
    assert stat.S_IMODE(known.stat().st_mode) == 0o600 and stat.S_IMODE(known.parent.stat().st_mode) == 0o700
    ssh = await SshHost.connect(host.target(), settings(tmp_path, known_hosts=known), Nobody())
    await ssh.close()


@pytest.mark.usefixtures("with_key")
async def test_an_unknown_host_key_is_refused_without_a_yes(host: FakeHost, tmp_path: Path) -> None:
    known = tmp_path / "none"
    for person in (Nobody(), Asked(trust=False)):
        error = await refused(host.target(), tmp_path, person, known_hosts=known)
        assert error.reason is Reason.HOST_KEY_UNKNOWN and not error.reason.retry_helps
        assert host.key.get_fingerprint() in error.what
    assert not known.exists() and host.logins == 0


@pytest.mark.usefixtures("with_key")
async def test_questions_take_no_time_and_two_connections_ask_once(host: FakeHost, tmp_path: Path) -> None:
    person = Asked(think=0.8)
    chosen = settings(tmp_path, known_hosts=tmp_path / "none", connect_timeout=0.5)
    hosts = await asyncio.gather(*(SshHost.connect(host.target(), chosen, person) for _ in range(3)))
    assert len(person.questions) == 1
    for ssh in hosts:
        await ssh.close()
    assert (tmp_path / "none").read_text() == host.known()


@pytest.mark.usefixtures("with_key")
@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
async def test_a_changed_host_key_is_refused_and_nobody_is_asked(host: FakeHost, tmp_path: Path, kind: str) -> None:
    other = asyncssh.generate_private_key(kind)
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{host.port} {other.export_public_key().decode()}")
    before, person = known.read_text(), Asked()
    error = await refused(host.target(), tmp_path, person)
    assert error.reason is Reason.HOST_KEY_CHANGED and "CHANGED" in error.what
    assert host.key.get_fingerprint() in error.what
    assert f"ssh-keygen -R '[127.0.0.1]:{host.port}' -f {known}" in error.next_step
    assert not person.questions and known.read_text() == before and host.logins == 0


@pytest.mark.usefixtures("with_key")
async def test_a_revoked_host_key_is_refused(host: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text(host.known() + "@revoked * " + host.key.export_public_key().decode())
    person = Asked()
    error = await refused(host.target(), tmp_path, person)
    assert error.reason is Reason.HOST_KEY_REVOKED and not person.questions


@pytest.mark.usefixtures("with_key")
async def test_one_known_key_of_several_is_enough(tmp_path: Path, host: FakeHost) -> None:
    others = [asyncssh.generate_private_key(kind) for kind in ("ecdsa-sha2-nistp256", "ssh-rsa")]
    lines = [f"[127.0.0.1]:{host.port} {key.export_public_key().decode()}" for key in others]
    (tmp_path / "known_hosts").write_text("".join([*lines, host.known()]))
    ssh = await SshHost.connect(host.target(), settings(tmp_path), Nobody())
    await ssh.close()


@pytest.mark.usefixtures("with_key")
async def test_host_certificates(tmp_path: Path, user_key: asyncssh.SSHKey) -> None:
    authority, key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    certificate = authority.generate_host_certificate(key, "m", principals=["127.0.0.1"])
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[(key, certificate)],
        authorized_client_keys=asyncssh.import_authorized_keys(user_key.export_public_key().decode()),
    )
    try:
        target = SshTarget("127.0.0.1", "op", server.get_port())
        known = tmp_path / "known_hosts"
        known.write_text(f"@cert-authority * {authority.export_public_key().decode()}")
        ssh = await SshHost.connect(target, settings(tmp_path), Nobody())
        await ssh.close()
        # Without the authority, the plain key underneath is asked about, as OpenSSH does.
        known.write_text("")
        person = Asked()
        ssh = await SshHost.connect(target, settings(tmp_path), person)
        await ssh.close()
        assert [question.sha256 for question in person.questions] == [key.get_fingerprint()]
    finally:
        server.close()


@pytest.mark.usefixtures("with_key")
async def test_a_known_hosts_file_that_cannot_be_written(host: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    chosen, person = settings(tmp_path, known_hosts=tmp_path / "file" / "known_hosts"), Asked()
    for _ in range(2):
        ssh = await SshHost.connect(host.target(), chosen, person)
        await ssh.close()
    assert len(person.questions) == 1


# -- configuration and jump hosts --------------------------------------------------------------------------------


@pytest.fixture
async def jump(tmp_path: Path, user_key: asyncssh.SSHKey) -> AsyncIterator[FakeHost]:
    fake = await FakeHost(asyncssh.generate_private_key("ssh-ed25519"), tmp_path, {"hop": [user_key]}).start()
    yield fake
    await fake.stop()


@pytest.mark.usefixtures("with_key")
async def test_the_configuration_is_used(host: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "ssh_config").write_text(
        f"Host mgr1\n  HostName 127.0.0.1\n  Port {host.port}\n  User op\n  HostKeyAlias the-manager\n"
    )
    (tmp_path / "known_hosts").write_text(f"the-manager {host.key.export_public_key().decode()}")
    ssh = await SshHost.connect(SshTarget("mgr1"), settings(tmp_path), Nobody())
    assert ssh.label == "op@mgr1"
    await ssh.close()
    other = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "known_hosts").write_text(f"the-manager {other.export_public_key().decode()}")
    error = await refused(SshTarget("mgr1"), tmp_path)
    assert error.reason is Reason.HOST_KEY_CHANGED and "ssh-keygen -R 'the-manager'" in error.next_step


@pytest.mark.usefixtures("with_key")
async def test_a_proxy_command(host: FakeHost, tmp_path: Path) -> None:
    relay = tmp_path / "relay.py"
    relay.write_text(
        "import os, select, socket, sys\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "print('noise', file=sys.stderr)\n"
        "while True:\n"
        "    for r in select.select([0, s], [], [])[0]:\n"
        "        data = os.read(0, 65536) if r == 0 else s.recv(65536)\n"
        "        if not data: sys.exit()\n"
        "        s.sendall(data) if r == 0 else os.write(1, data)\n"
    )
    config = tmp_path / "ssh_config"
    config.write_text(f"Host *\n  RequestTTY force\n  ProxyCommand {sys.executable} {relay} %h %p\n")
    host.commands = {"true": (0, "", "")}
    ssh = await SshHost.connect(host.target(), settings(tmp_path), Nobody())
    assert (await ssh.run("true", timeout=5)).code == 0
    await ssh.close()
    config.write_text("Host *\n  ProxyCommand false\n")
    assert (await refused(host.target(), tmp_path)).reason is Reason.CONNECTION_LOST
    config.write_text("Host *\n  ProxyCommand /no/such/program\n")
    assert (await refused(host.target(), tmp_path)).reason is Reason.UNREACHABLE


async def test_no_host_is_not_this_machine(tmp_path: Path) -> None:
    assert (await refused(SshTarget(""), tmp_path)).reason is Reason.SSH_CONFIG


@pytest.mark.usefixtures("with_key")
async def test_a_jump_host_is_checked_like_any_other(host: FakeHost, jump: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "ssh_config").write_text(
        f"Host mgr1\n  HostName 127.0.0.1\n  Port {host.port}\n  User op\n\n"
        f"Host gate\n  HostName 127.0.0.1\n  Port {jump.port}\n  User hop\n\n"
        "Host *\n  ProxyJump gate\n"
    )
    person = Asked()
    ssh = await SshHost.connect(SshTarget("mgr1"), settings(tmp_path), person)
    assert [question.port for question in person.questions] == [jump.port]
    assert (jump.logins, host.logins, ssh.label) == (1, 1, "op@mgr1")
    await ssh.close()
    await asyncio.sleep(0.05)
    assert all(connection.is_closed() for connection in (*jump._connections, *host._connections))

    (tmp_path / "known_hosts").write_text(host.known())
    error = await refused(SshTarget("mgr1"), tmp_path)
    assert error.reason is Reason.HOST_KEY_UNKNOWN and error.where == "hop@gate"

    (tmp_path / "known_hosts").write_text(host.known() + jump.known())
    jump.tcp = False
    error = await refused(SshTarget("mgr1"), tmp_path)
    assert error.reason is Reason.JUMP_REFUSED and error.where == "op@mgr1"
    await asyncio.sleep(0.05)
    assert all(connection.is_closed() for connection in jump._connections)

    await host.stop()
    jump.tcp = True
    assert (await refused(SshTarget("mgr1"), tmp_path)).reason is Reason.JUMP_REFUSED


@pytest.mark.usefixtures("with_key")
async def test_two_jumps_in_a_row_and_a_circle(host: FakeHost, jump: FakeHost, tmp_path: Path) -> None:
    jump.users["op"] = jump.users["hop"]
    (tmp_path / "known_hosts").write_text(host.known() + jump.known())
    config = tmp_path / "ssh_config"
    config.write_text(
        f"Host mgr1\n  HostName 127.0.0.1\n  Port {host.port}\n  User op\n"
        f"  ProxyJump hop@127.0.0.1:{jump.port},op@127.0.0.1:{jump.port}\n"
    )
    ssh = await SshHost.connect(SshTarget("mgr1"), settings(tmp_path), Nobody())
    assert (jump.logins, host.logins) == (2, 1)
    await ssh.close()
    config.write_text("Host a*\n  ProxyJump b%h\nHost *\n  ProxyJump ab%h\n")
    assert (await refused(SshTarget("x"), tmp_path)).reason in (Reason.SSH_CONFIG, Reason.NAME_UNKNOWN)


@pytest.mark.parametrize("line", ["Port many", "ProxyJump a:b", "Match nonsense x", 'User "open'])
async def test_a_broken_configuration_names_file_and_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "ssh_config").write_text(f"Host *\n  {line}\n")
    error = await refused(SshTarget("mgr1"), tmp_path)
    assert error.reason is Reason.SSH_CONFIG
    assert "line 2" in error.what or "ProxyJump" in line


async def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    error = await refused(SshTarget("mgr1"), tmp_path, config_file=tmp_path / "nowhere")
    assert error.reason is Reason.SSH_CONFIG


# -- the way there -----------------------------------------------------------------------------------------------


async def test_nothing_listens(tmp_path: Path) -> None:
    error = await refused(SshTarget("127.0.0.1", "op", 1), tmp_path)
    assert error.reason is Reason.CONNECTION_REFUSED and "port 1" in error.what


async def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    error = await refused(SshTarget("no-such-host.invalid"), tmp_path)
    assert error.reason is Reason.NAME_UNKNOWN and "no-such-host.invalid" in error.what


async def test_silence(tmp_path: Path) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(say_nothing) as port:
        started = time.monotonic()
        error = await refused(SshTarget("127.0.0.1", "op", port), tmp_path, connect_timeout=0.3)
        assert error.reason is Reason.TIMEOUT and "0.3 s" in error.what
        assert 0.2 < time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason.CONNECTION_LOST),
        (b"SSH-1.5-ancient\r\n", Reason.NOT_SSH),
        (b"", Reason.CONNECTION_LOST),
    ],
    ids=["http", "ssh 1", "nothing"],
)
async def test_what_is_no_ssh_server(greeting: bytes, reason: Reason, tmp_path: Path) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await writer.drain()
        await asyncio.sleep(0.1)

    async with listening(greet) as port:
        error = await refused(SshTarget("127.0.0.1", "op", port), tmp_path, connect_timeout=2)
        assert error.reason is reason and "SSH" in error.what


# -- commands ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def ssh(host: FakeHost, tmp_path: Path, with_key: Any) -> AsyncIterator[SshHost]:
    opened = await SshHost.connect(host.target(), settings(tmp_path, keepalive_interval=0.1), Nobody())
    yield opened
    await opened.close()


async def test_commands(host: FakeHost, ssh: SshHost) -> None:
    async def count(process: asyncssh.SSHServerProcess[bytes]) -> int:
        size = 0
        while chunk := await process.stdin.read(65_536):
            size += len(chunk)
        process.stdout.write(b"%d" % size)
        return 3

    host.commands = {"hostile": (0, "a\x1b[2J\r\nb\n", "\u202eerr"), "wc": count}
    done = await ssh.run("hostile", timeout=5)
    assert (done.code, done.out, done.err) == (0, "a\ufffd[2J\nb\n", "\ufffderr")
    done = await ssh.run("wc", stdin=b"x" * 3_000_000, timeout=5)
    assert (done.code, done.out) == (3, "3000000")
    for nothing in (b"", None):  # the end of the input comes all the same: a command that reads would wait for ever
        done = await ssh.run("wc", stdin=nothing, timeout=5)
        assert (done.code, done.out) == (3, "0")
    assert (await ssh.run("nothing", timeout=5)).code == 127
    done = await ssh.run("hostile", stdin=b"x" * 3_000_000, timeout=5)
    assert done.code == 0


async def test_a_command_that_takes_too_long(host: FakeHost, ssh: SshHost) -> None:
    async def hang(process: asyncssh.SSHServerProcess[bytes]) -> int:
        await asyncio.sleep(60)
        return 0

    host.commands = {"hang": hang, "true": (0, "", "")}
    with pytest.raises(LinkError) as caught:
        await ssh.run("hang", timeout=0.2)
    assert caught.value.reason is Reason.TIMEOUT and "0.2 s" in caught.value.what
    assert (await ssh.run("true", timeout=5)).code == 0


async def test_a_connection_that_ends_in_the_middle(host: FakeHost, ssh: SshHost) -> None:
    async def hang(process: asyncssh.SSHServerProcess[bytes]) -> int:
        await asyncio.sleep(60)
        return 0

    host.commands = {"hang": hang}
    running = asyncio.ensure_future(ssh.run("hang", timeout=30))
    await asyncio.sleep(0.1)
    await host.stop()
    async with asyncio.timeout(2):
        with pytest.raises(LinkError) as caught:
            await running
        await ssh.wait_closed()
    assert caught.value.reason is Reason.CONNECTION_LOST and ssh.closed
    with pytest.raises(LinkError) as caught:
        await ssh.run("true", timeout=1)
    assert caught.value.reason is Reason.CONNECTION_LOST
    with pytest.raises(OSError):
        await ssh.open_tcp("127.0.0.1", host.port)


async def test_a_killed_command_has_the_shells_exit_code(host: FakeHost, ssh: SshHost) -> None:
    async def killed(process: asyncssh.SSHServerProcess[bytes]) -> int:
        process.exit_with_signal("KILL")
        return 0

    host.commands = {"killed": killed}
    assert (await ssh.run("killed", timeout=5)).code == 137


async def test_tcp_through_the_host(host: FakeHost, ssh: SshHost) -> None:
    reader, writer = await ssh.open_tcp("127.0.0.1", host.port)
    assert (await reader.read(8)).startswith(b"SSH-2.0-")
    writer.close()
    with pytest.raises(OSError):
        await ssh.open_tcp("127.0.0.1", 1)
