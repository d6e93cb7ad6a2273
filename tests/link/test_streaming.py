"""A file streamed from a host, against a real asyncssh server on loopback. Its speed: tests/bench/backup.py."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from swarmtui.errors import SwarmtuiError
from swarmtui.link import streaming
from swarmtui.link.person import Nobody
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import SshHost
from swarmtui.link.streaming import StreamError, stream
from tests.link.support import FakeHost, settings

DATA = os.urandom(3_000_001)


@pytest.fixture
async def ssh(host: FakeHost, with_key: asyncssh.SSHKey, tmp_path: Path) -> AsyncIterator[SshHost]:
    opened = await SshHost.connect(host.target(), settings(tmp_path), Nobody())
    yield opened
    await opened.close()


async def give(process: asyncssh.SSHServerProcess[bytes], data: bytes, code: int = 0) -> int:
    for at in range(0, len(data), 50_000):
        process.stdout.write(data[at : at + 50_000])
        await process.stdout.drain()
    return code


async def test_every_byte_comes_once_and_in_order(host: FakeHost, ssh: SshHost) -> None:
    host.commands["cat f"] = lambda process: give(process, DATA)
    came: list[bytes] = []
    threads: set[str] = set()

    def take(batch: bytes) -> None:
        threads.add(threading.current_thread().name)
        came.append(batch)

    found = await stream(ssh, "cat f", take, len(DATA))
    assert b"".join(came) == DATA
    assert (found.size, found.digest) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    assert threading.main_thread().name not in threads
    assert len(came) < 10, "handed on in crumbs"


async def test_an_empty_file(host: FakeHost, ssh: SshHost) -> None:
    host.commands["cat f"] = (0, "", "")
    assert (await stream(ssh, "cat f", lambda batch: None)).size == 0


async def test_a_command_that_fails(host: FakeHost, ssh: SshHost) -> None:
    async def fails(process: asyncssh.SSHServerProcess[bytes]) -> int:
        process.stderr.write(b"cat: f: \x1b[31mNo such file\n")
        return await give(process, b"half", 1)

    host.commands["cat f"] = fails
    with pytest.raises(StreamError, match=r"`cat f` failed on .*: cat: f: .*No such file") as raised:
        await stream(ssh, "cat f", lambda batch: None)
    assert "\x1b" not in str(raised.value)


async def test_less_than_there_should_be(host: FakeHost, ssh: SshHost) -> None:
    host.commands["cat f"] = lambda process: give(process, DATA[:1000])
    with pytest.raises(StreamError, match="1000 of 3000001 bytes came"):
        await stream(ssh, "cat f", lambda batch: None, len(DATA))


async def test_the_connection_is_cut(host: FakeHost, ssh: SshHost) -> None:
    async def cut(process: asyncssh.SSHServerProcess[bytes]) -> int:
        await give(process, DATA[:500_000])
        await asyncio.sleep(0.1)
        for connection in host._connections:
            connection.abort()
        return 0

    host.commands["cat f"] = cut
    with pytest.raises(LinkError) as raised:
        await stream(ssh, "cat f", lambda batch: None, len(DATA))
    assert raised.value.reason is Reason.CONNECTION_LOST


async def test_nothing_comes_any_more(host: FakeHost, ssh: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(process: asyncssh.SSHServerProcess[bytes]) -> int:
        await give(process, DATA[:10])
        await process.wait_closed()
        return 0

    monkeypatch.setattr(streaming, "SILENCE_SECONDS", 0.3)
    host.commands["cat f"] = hangs
    with pytest.raises(LinkError):
        await stream(ssh, "cat f", lambda batch: None, len(DATA))


async def test_a_taker_that_fails_ends_it(host: FakeHost, ssh: SshHost) -> None:
    def full(batch: bytes) -> None:
        raise SwarmtuiError("The disk is full.")

    host.commands["cat f"] = lambda process: give(process, DATA)
    with pytest.raises(SwarmtuiError, match="The disk is full"):
        await stream(ssh, "cat f", full)
    # The connection is as good as before.
    host.commands["echo"] = (0, "there\n", "")
    assert (await ssh.run("echo", timeout=5)).out == "there\n"


async def test_a_slow_taker_holds_the_host_up(host: FakeHost, ssh: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "WINDOW", 256 << 10)
    monkeypatch.setattr(streaming, "BATCH", 64 << 10)
    monkeypatch.setattr(streaming, "QUEUED", 4)
    given = 0
    first, door = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def gives(process: asyncssh.SSHServerProcess[bytes]) -> int:
        nonlocal given
        for at in range(0, len(DATA), 16_384):
            process.stdout.write(DATA[at : at + 16_384])
            await process.stdout.drain()
            given = at
        return 0

    def take(batch: bytes) -> None:
        loop.call_soon_threadsafe(first.set)
        assert door.wait(20)

    host.commands["cat f"] = gives
    work = asyncio.ensure_future(stream(ssh, "cat f", take, len(DATA)))
    await first.wait()
    await asyncio.sleep(0.5)
    assert given < 2_000_000, "all of it waits in memory"
    door.set()
    assert (await work).digest == hashlib.sha256(DATA).hexdigest()
