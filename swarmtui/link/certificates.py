"""When the certificates of the managers expire.

The engine API does not tell. A manager shows its certificate to whoever opens a TLS connection to its Swarm port,
before it asks for one itself; so one handshake each, through the SSH connection we have, is enough, and needs no root.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable

from swarmtui.model.swarm import Node, host_of

AGAIN_SECONDS = 600.0

Opener = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Opens a TCP connection to (host, port) as seen from the manager we talk through."""


async def expiry(opener: Opener, host: str, port: int, *, timeout: float = 5.0) -> float | None:
    """Reads when the certificate shown at an address expires.

    The certificate is only read, never trusted: nothing is sent to the other side.

    Returns:
        Seconds since the epoch; None when nobody answers there or what answers shows no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await opener(host, port)
            try:
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        writer.write(outgoing.read())
                        received = await reader.read(16_384)
                        if not received:
                            return None
                        incoming.write(received)
            finally:
                writer.close()
    except (OSError, TimeoutError, ssl.SSLError):
        return None
    der = tls.getpeercert(binary_form=True)
    if der is None:
        return None
    from cryptography import x509  # only needed long after the first paint, and not cheap to import

    try:
        return x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp()
    except ValueError:
        return None


async def keep_reading(
    opener: Opener, nodes: Callable[[], Iterable[Node]], found: Callable[[str, float], None]
) -> None:
    """Reads the certificates of all managers, again and again, until it is cancelled.

    Args:
        nodes: the nodes as they are known now.
        found: is told a node's id and when its certificate expires, seconds since the epoch.
    """
    while True:
        addresses = {node.id: node.manager_status.addr for node in nodes() if node.manager_status is not None}
        for node_id, address in addresses.items():
            port = address.rpartition(":")[2]
            if port.isdigit():
                expires = await expiry(opener, host_of(address), int(port))
                if expires is not None:
                    found(node_id, expires)
        await asyncio.sleep(AGAIN_SECONDS if addresses else 1.0)
