"""Port 2377 of the simulated managers, as somebody sees it who is logged in to one of the hosts."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from swarmtui.demo.serve import Demo
from swarmtui.demo.world.host import LocalSwarm
from tests.demo.test_ssh import connect, until

DAY = 86_400


@pytest.fixture
async def demo(runs: Path) -> AsyncIterator[Demo]:
    async with Demo("certificates-expiring", speed=20) as running:
        yield running


def swarm_of(demo: Demo, host: str) -> LocalSwarm:
    found = demo.world.hosts[host].swarm
    assert found is not None
    return found


async def shown(demo: Demo, address: str, *, through: str = "mgr1", port: int = 2377) -> x509.Certificate:
    """The certificate shown at an address, after a handshake that checks it against the cluster's CA.

    Raises:
        asyncssh.ChannelOpenError: nobody takes connections there.
    """
    context = ssl.create_default_context(cadata=swarm_of(demo, "mgr1").cluster.authority.pem)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="swarm-manager")
    async with await connect(demo, through) as connection:
        reader, writer = await connection.open_connection(address, port)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                data = await asyncio.wait_for(reader.read(16_384), 5)
                assert data, "the handshake was cut off"
                incoming.write(data)
        writer.write(outgoing.read())
        tls.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        writer.write(outgoing.read())
        while await asyncio.wait_for(reader.read(16_384), 5):
            pass
    der = tls.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def days_left(certificate: x509.Certificate) -> float:
    return (certificate.not_valid_after_utc.timestamp() - time.time()) / DAY


async def test_every_manager_shows_its_own_certificate(demo: Demo) -> None:
    for name, days in (("mgr1", 90), ("mgr2", 90), ("mgr3", 20 / 24)):
        certificate = await shown(demo, demo.world.hosts[name].ip)
        (node_id,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        (role,) = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        assert (node_id.value, role.value) == (swarm_of(demo, name).node_id, "swarm-manager")
        assert days_left(certificate) == pytest.approx(days, abs=0.1)
        async with await connect(demo, name) as connection:
            file = await connection.run("cat /var/lib/docker/swarm/certificates/swarm-node.crt")
        assert certificate == x509.load_pem_x509_certificate(str(file.stdout).encode())
    assert list(demo.folder.glob("*.pem")) == [], "no key is left lying about"


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
async def test_the_host_itself(demo: Demo, address: str) -> None:
    assert days_left(await shown(demo, address, through="mgr3")) < 1


@pytest.mark.parametrize(
    ("address", "port"),
    [("10.0.1.24", 2377), ("10.0.1.11", 22), ("10.0.1.11", 4243), ("10.9.9.9", 2377), ("", 2377), ("::1", 1)],
)
async def test_nobody_else_answers(demo: Demo, address: str, port: int) -> None:
    with pytest.raises(asyncssh.ChannelOpenError) as refused:
        await shown(demo, address, port=port)
    assert refused.value.code == asyncssh.OPEN_CONNECT_FAILED


async def test_no_port_of_this_machine_is_reached(demo: Demo) -> None:
    reached: list[object] = []
    server = await asyncio.start_server(lambda reader, writer: reached.append(writer), "127.0.0.1", 0)
    async with server:
        port = int(server.sockets[0].getsockname()[1])
        for address in ("127.0.0.1", "localhost", "10.0.1.11"):
            with pytest.raises(asyncssh.ChannelOpenError):
                await shown(demo, address, port=port)
        own_ssh = int(demo.hosts[1]["ssh"].rpartition(":")[2])
        with pytest.raises(asyncssh.ChannelOpenError):
            await shown(demo, "127.0.0.1", port=own_ssh)
    assert reached == []


async def test_who_is_down_locked_or_cut_off_does_not_answer(demo: Demo) -> None:
    world = demo.world
    world.partition({"mgr2"})
    with pytest.raises(asyncssh.ChannelOpenError):
        await shown(demo, "10.0.1.12")
    assert days_left(await shown(demo, "10.0.1.12", through="mgr2")) > 80
    world.partition()
    swarm_of(demo, "mgr2").locked = True
    with pytest.raises(asyncssh.ChannelOpenError):
        await shown(demo, "10.0.1.12")
    world.crash(world.hosts["mgr3"])
    with pytest.raises(asyncssh.ChannelOpenError):
        await shown(demo, "10.0.1.13")


async def test_a_host_that_does_not_forward_does_not_forward_this_either(demo: Demo) -> None:
    demo.world.hosts["mgr1"].forwarding = False
    with pytest.raises(asyncssh.ChannelOpenError) as refused:
        await shown(demo, "10.0.1.11")
    assert refused.value.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED


async def test_restarted_docker_shows_the_renewed_certificate(demo: Demo) -> None:
    async with await connect(demo, "mgr3") as connection:
        assert (await connection.run("systemctl restart docker")).exit_status == 0
    assert days_left(await shown(demo, "10.0.1.13")) > 80


async def test_a_promoted_node_has_a_certificate_of_its_new_role(demo: Demo) -> None:
    async with await connect(demo) as connection:
        assert (await connection.run("docker node promote wrk1")).exit_status == 0
        await until(lambda: swarm_of(demo, "wrk1").role == "manager")
        certificate = await shown(demo, "10.0.1.21")
        (role,) = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        assert role.value == "swarm-manager"


@pytest.mark.parametrize("noise", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 50])
async def test_noise_only_ends_the_connection(demo: Demo, noise: bytes) -> None:
    async with await connect(demo) as connection:
        reader, writer = await connection.open_connection("10.0.1.11", 2377)
        writer.write(noise)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 5)
    assert days_left(await shown(demo, "10.0.1.11")) > 80
