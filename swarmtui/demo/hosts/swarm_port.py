"""Port 2377 of the simulated managers: TLS with the node's own certificate, as SwarmKit serves it.

There is no socket: connections only come through the SSH server of some host, and end here in memory. What a real
manager says inside (gRPC) is for other nodes and is not simulated; the certificate is what anybody may look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from swarmtui.demo.sshlib import asyncssh
from swarmtui.demo.world import disk
from swarmtui.demo.world.host import Host, LocalSwarm
from swarmtui.demo.world.paths import route
from swarmtui.demo.world.pki import Certificate
from swarmtui.demo.world.world import World

PORT = 2377
SECONDS = 20.0
"""How long a connection may stay without having shown or said anything."""

Handler = Callable[["asyncssh.SSHReader[bytes]", "asyncssh.SSHWriter[bytes]"], Awaitable[None]]


def listening(world: World, origin: Host, address: str, port: int) -> LocalSwarm | None:
    """The Swarm of the manager that takes connections to an address, as seen from a host; None if nobody does.

    A manager listens once its node runs: not while it is locked, nor after it was removed.
    """
    host = route(world, origin, address)
    if port != PORT or host is None or not host.running:
        return None
    swarm = host.swarm
    if swarm is None or swarm.role != "manager" or swarm.locked or swarm.rejected:
        return None
    return swarm


class SwarmPort:
    """Shows the certificates of managers to those who dial them.

    Args:
        folder: where key and certificate may lie for a moment; TLS reads them from files only.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._contexts: dict[str, tuple[Certificate, ssl.SSLContext]] = {}

    def serve(self, swarm: LocalSwarm) -> Handler:
        """What answers a connection to this manager."""
        context = self._context(swarm)

        async def handle(reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
            with contextlib.suppress(TimeoutError, OSError, asyncssh.Error):
                async with asyncio.timeout(SECONDS):
                    await _shake_hands(context, reader, writer)
            writer.close()

        return handle

    def _context(self, swarm: LocalSwarm) -> ssl.SSLContext:
        certificate = disk.certificate(swarm)
        known = self._contexts.get(swarm.node_id)
        if known is not None and known[0] is certificate:
            return known[1]
        # As SwarmKit does: at least TLS 1.2, and a certificate of the client's is checked only if it gives one.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2"])
        chain = self._folder / f"swarm-{swarm.node_id}.pem"
        chain.touch(0o600)
        try:
            chain.write_text(certificate.key + certificate.pem)
            context.load_cert_chain(chain)
        finally:
            chain.unlink()
        context.load_verify_locations(cadata=swarm.cluster.authority.pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        self._contexts[swarm.node_id] = certificate, context
        return context


async def _shake_hands(
    context: ssl.SSLContext, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]
) -> None:
    """One handshake; then whatever comes first ends the connection."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while True:
        failed = done = False
        try:
            tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            failed = True
        # Also what tells the client why it failed.
        if outgoing.pending:
            writer.write(outgoing.read())
            await writer.drain()
        if failed or (done and incoming.pending):
            return
        received = await reader.read(16_384)
        if done or not received:
            return
        incoming.write(received)
