"""How the web server of a UCP manager is: `/_ping` asked once, and the certificate that it shows meanwhile.

It is asked as a load balancer asks it, without a login and without believing its certificate: nothing that is secret is
sent, and a server whose certificate is wrong is to be told of and not to be passed over. So no authority need be known;
the one that the server names itself (`/ca`) is only good for seeing whether what it shows leads there.
What answers may be slow, may be no UCP, or may never end: it gets a few seconds, and a few kilobytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from msgspec.structs import replace

from swarmtui.errors import UsageError
from swarmtui.link.https import Endpoint, believing_anybody, endpoint
from swarmtui.model.text import one_line
from swarmtui.model.ucp.status import Certificate, Door

ANSWER_MAX: Final = 8 << 10
TEXT_MAX: Final = 300
CA_MAX: Final = 256 << 10
"""Bytes of the authorities that it names; real ones are below 10 KB."""
CHAIN_SECONDS: Final = 3.0
_PIECE: Final = 16_384
_PAGE: Final = ("<!doctype", "<html", "<head", "<body")
"""How no answer of UCP's begins: a proxy's or a web server's own page, be its status 200."""

Opener = Callable[[str, int], Awaitable[tuple[Any, Any]]]
"""Opens a TCP connection to (host, port); reader and writer of bytes, as asyncio's are. Raises OSError."""


async def look_at(
    url: str,
    opener: Opener = asyncio.open_connection,
    *,
    patience: float = 6.0,
    before: Certificate | None = None,
    product: str = "UCP",
) -> Door:
    """Asks `/_ping`, and once for each certificate whether it leads to UCP's authority. Raises nothing: what went wrong
    is told in the answer.

    Args:
        url: https://HOST[:PORT].
        opener: from where it is reached; this machine, where nothing else is said.
        patience: seconds.
        before: the certificate that it showed the last time: one that led to its authority is not asked about again.
        product: what should answer there; DTR's web server has the same two paths.
    """
    began, at = time.monotonic(), time.time()
    try:
        where = endpoint(url, product)
    except UsageError as error:
        return Door(one_line(url), trouble=error.what, at=at)
    call = _Call(where)
    trouble = ""
    try:
        async with asyncio.timeout(patience):
            await call.run(opener)
    except TimeoutError:
        # A server that tells how it is and then does not hang up has told it.
        trouble = "" if call.answered else f"{where.url} did not answer its /_ping within {patience:g} s."
    except ssl.SSLError as error:
        trouble = f"{where.url} does not speak TLS as it should: {one_line(str(error.reason or error))}."
    except OSError as error:
        trouble = f"nobody answers at {where.url}: {one_line(error.strerror or str(error)) or 'no connection'}."
    took = time.monotonic() - began
    certificate = await asyncio.to_thread(read_certificate, call.shown) if call.shown else None
    if not trouble:
        status, body = _read(call.came, ANSWER_MAX)
        text = one_line(body.decode("utf-8", "replace"))[:TEXT_MAX]
        if not status:
            trouble = f"what answers at {where.url} does not speak HTTP as {product} does."
        elif text.lower().startswith(_PAGE):
            trouble = f"what answers at {where.url} shows a web page in place of {product}'s /_ping."
        elif certificate is not None and not certificate.itself:
            known = before is not None and before.leads and replace(before, leads=None) == certificate
            certificate = replace(certificate, leads=True if known else await _leads(where, opener, patience))
        return Door(where.url, status, text, trouble, took, at, certificate)
    return Door(where.url, trouble=trouble, took=took, at=at, certificate=certificate)


async def _leads(where: Endpoint, opener: Opener, patience: float) -> bool | None:
    """Whether what it shows in a handshake leads to an authority of those that it names; None where nobody can tell."""
    named = _Call(where, "/ca", limit=CA_MAX)
    try:
        async with asyncio.timeout(min(patience, CHAIN_SECONDS)):
            await named.run(opener)
            status, pem = _read(named.came, CA_MAX)
            if status != 200:
                return None
            trusting = believing_anybody()
            # As Go does, and with it every docker: whatever is named is trusted, also one that others have signed.
            trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            trusting.load_verify_locations(cadata=pem.decode("ascii", "replace"))
            trusting.verify_mode = ssl.CERT_REQUIRED
            await _Call(where, context=trusting).run(opener)
    except ssl.SSLCertVerificationError as error:
        return error.verify_code not in _LEADS_NOWHERE
    except (TimeoutError, OSError, ValueError):  # TLS that fails is an OSError as well
        return None
    return True


_LEADS_NOWHERE: Final = (2, 7, 19, 20, 21)
"""How OpenSSL says that who signed a certificate is neither shown nor trusted (X509_V_ERR_…, openssl-verify(1))."""


class _Call:
    """One question over one connection.

    Args:
        limit: bytes of the answer that are read. context: what is believed; anybody without one.

    Attributes:
        came: what was answered, as it came.
        shown: the certificate, DER; b"" until one was shown.
    """

    def __init__(
        self,
        where: Endpoint,
        path: str = "/_ping",
        *,
        limit: int = ANSWER_MAX,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._where, self._path, self._limit = where, path, limit
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or believing_anybody()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=where.host)
        self._ended = False
        self.came = b""
        self.shown = b""

    @property
    def answered(self) -> bool:
        """Whether at least the head of an answer came."""
        return b"\r\n\r\n" in self.came

    async def run(self, opener: Opener) -> None:
        reader, writer = await opener(self._where.host, self._where.port)
        try:
            await self._until(self._tls.do_handshake, reader, writer)
            self.shown = self._tls.getpeercert(binary_form=True) or b""
            host = self._where.url.removeprefix("https://")
            self._tls.write(f"GET {self._path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            while len(self.came) < self._limit and not _whole(self.came):
                try:
                    piece = await self._until(lambda: self._tls.read(_PIECE), reader, writer)
                except ConnectionResetError:
                    break  # what came by then is the answer
                if not piece:
                    break  # it said goodbye
                self.came += piece
        finally:
            writer.close()

    async def _until(self, work: Callable[[], Any], reader: Any, writer: Any) -> Any:
        """Does a piece of TLS work as soon as enough came for it.

        Raises:
            ConnectionResetError: the other side hung up first.
            ssl.SSLError: what it says is no TLS.
        """
        while True:
            try:
                done = work()
                writer.write(self._outgoing.read())
                return done
            except ssl.SSLWantReadError:
                writer.write(self._outgoing.read())
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError) as error:
                raise ConnectionResetError("the connection was cut") from error
            if self._ended:
                raise ConnectionResetError("the connection was cut")
            if piece := await reader.read(_PIECE):
                self._incoming.write(piece)
            else:
                self._ended = True
                self._incoming.write_eof()


def _whole(came: bytes) -> bool:
    """Whether nothing more is to come, by the answer's own length."""
    head, separator, body = came.partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return len(body) >= int(value)
    return False


class _Held:
    """What came, as the socket that http.client reads from."""

    def __init__(self, came: bytes) -> None:
        self._came = came

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._came)


def _read(came: bytes, limit: int) -> tuple[int, bytes]:
    """Status and body of an answer; 0 for what is none."""
    response = http.client.HTTPResponse(cast(Any, _Held(came)), method="GET")
    try:
        response.begin()
    except (http.client.HTTPException, OSError, ValueError):
        return 0, b""
    body = b""
    try:
        body = response.read(limit)
    except http.client.IncompleteRead as error:
        body = error.partial
    except (http.client.HTTPException, OSError, ValueError):
        pass
    return response.status, body


def read_certificate(der: bytes) -> Certificate | None:
    """What a certificate says of itself; None for what is none."""
    from cryptography import x509  # only needed long after the first paint, and not cheap to import
    from cryptography.x509.oid import NameOID

    try:
        certificate = x509.load_der_x509_certificate(der)
        expires = certificate.not_valid_after_utc.timestamp()
        names: list[str] = []
        with contextlib.suppress(x509.ExtensionNotFound):
            held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            names += held.get_values_for_type(x509.DNSName)
            names += [str(address) for address in held.get_values_for_type(x509.IPAddress)]
        if not names:  # clients of UCP 2.2's days fall back to it
            names += [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        issuers = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
        itself = certificate.issuer == certificate.subject
    except ValueError:
        return None
    issuer = one_line(str(issuers[0].value)) if issuers else ""
    return Certificate(tuple(one_line(name) for name in names), expires, issuer, itself)
