"""A command that listens on a host: it is waited for, ended, and its troubles are told in words."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from swarmtui import config
from swarmtui.demo.serve import Demo
from swarmtui.link.listening import listening
from swarmtui.link.person import Nobody
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import SshHost
from swarmtui.link.target import SshTarget
from swarmtui.opening import find
from swarmtui.runbooks.swarm.building import probes

LISTEN = probes.listen("/usr/bin/perl", "10.0.1.11", [("udp", 7946), ("tcp", 7946)])


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with Demo("bare", speed=20) as made:
        yield made


@pytest.fixture
async def host(demo: Demo) -> AsyncIterator[SshHost]:
    settings = find("simulated", config.load(demo.config), bundles=demo.folder / "bundle").ssh
    made = await SshHost.connect(SshTarget("mgr1"), settings, Nobody())
    yield made
    await made.close()


async def test_it_is_ready_and_ends_when_it_is_told_to(demo: Demo, host: SshHost) -> None:
    async with listening(host, LISTEN, 10) as first:
        assert first.opened == ()
        async with listening(host, LISTEN, 10) as second:
            assert second.opened == ("taken udp 7946", "taken tcp 7946")
        (listener, *_) = demo.world.listeners
        listener.heard.append("heard udp 7946 h1")
        assert await first.heard(10) == ("heard udp 7946 h1",)
    await host.run("true", timeout=10)
    assert not demo.world.listeners


async def test_what_ends_at_once_says_why(host: SshHost) -> None:
    with pytest.raises(LinkError, match="ended at once: sh: 1: nosuch: not found") as raised:
        async with listening(host, "nosuch", 10):
            pass
    assert raised.value.next_step


async def test_what_is_never_ready_is_given_up(host: SshHost) -> None:
    with pytest.raises(LinkError, match=r"was not ready within 0\.2 s") as raised:
        async with listening(host, "sleep 3000", 0.2):
            pass
    assert raised.value.reason is Reason.TIMEOUT


async def test_a_connection_that_is_cut_is_told(demo: Demo, host: SshHost) -> None:
    with pytest.raises(LinkError) as raised:
        async with listening(host, LISTEN, 10) as listener:
            for connection in list(demo._servers["mgr1"].connections):
                connection.abort()
            await host.wait_closed()
            await listener.heard(10)
    assert raised.value.reason is Reason.CONNECTION_LOST
