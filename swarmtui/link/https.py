"""One HTTPS call to UCP or DTR, bounded in time and size, in threads of our own. Never follows a redirect, uses no
proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

import msgspec

from swarmtui.errors import UsageError
from swarmtui.link.https_errors import HttpsError, Peer, Trouble
from swarmtui.link.pool import DaemonPool
from swarmtui.model.text import one_line
from swarmtui.model.url import https_url

ANSWER_MAX: Final = 4 << 20
"""Bytes of an answer; 10,000 accounts are 2 MB."""
PATIENCE: Final = 15.0
"""Seconds for one call, all of it. UCP's own RethinkDB times out after 10 (reference §5.1)."""
CALLS: Final = 2
"""At a time; more wait."""

_EXPIRED: Final = (9, 10)
_NAMES: Final = (62, 64)
"""X509_V_ERR_CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED; _HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH (openssl-verify(1))."""


class Answer(NamedTuple):
    """What came back. next_page: where the next page begins, of DTR's lists; as it came."""

    status: int
    body: bytes
    location: str
    next_page: str = ""


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    """How a web server is, or what answered through a load balancer.

    Attributes:
        ok: it said 200: its internal components are well.
        status: the HTTP status; 0 where nothing answered.
        text: what it said, or why nothing answered: one line.
        seconds: how long it took.
        trouble: what kept it from answering, a `Trouble`; "" where it answered.
    """

    ok: bool
    status: int
    text: str
    seconds: float = 0.0
    trouble: str = ""


class Hidden(Protocol):
    """A secret as the vault hands it about."""

    def reveal(self) -> str:
        """The value itself."""
        ...


class Endpoint(NamedTuple):
    """Where it is reached."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return https_url(self.host, self.port)


def endpoint(url: str, product: str = "UCP") -> Endpoint:
    """Reads https://HOST[:PORT]. Raises UsageError, which names the product."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port or 443
    except ValueError:
        parts, port = urlsplit(""), 0
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme != "https" or not parts.hostname or not bare or not url.isprintable():
        # Not told back: somebody may have written a password into it.
        raise UsageError(
            f"That is no address of {product}.", "Write https://HOST or https://HOST:PORT, and nothing more."
        )
    return Endpoint(parts.hostname, port)


def context_of(ca_pem: str, certificate: tuple[Path, Path] | None, where: str, peer: Peer) -> ssl.SSLContext:
    """TLS that believes one authority only; the system's where none is given.

    Args:
        certificate: of a client bundle, with its key.

    Raises:
        HttpsError: the authority or the certificate cannot be read.
    """
    try:
        context = ssl.create_default_context(cadata=ca_pem or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # What is told to be believed is believed, be it an intermediate; and authorities of 2017 lack what RFC 5280
        # wants today, which newer Pythons insist on by default.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if certificate is not None:
            context.load_cert_chain(*certificate)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise peer.error(
            Trouble.NOT_TRUSTED,
            f"The certificates with which to talk to {peer.name} on {where} cannot be read: {one_line(str(error))}.",
            peer.authority,
        ) from error
    return context


class Closing(ABC):
    """A client that is closed where its block ends."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @abstractmethod
    async def close(self) -> None:
        """Ends what it began. Raises nothing that the other side could cause."""


def believing_anybody() -> ssl.SSLContext:
    """TLS that believes whoever answers: nothing secret may be sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Call:
    """One call in a thread; whoever gave up on it shuts its socket, which ends the thread."""

    def __init__(self) -> None:
        self._sock: socket.socket | None = None
        self._over = False

    def at(self, sock: socket.socket) -> None:
        self._sock = sock
        if self._over:
            raise TimeoutError("given up")

    def shut(self) -> None:
        self._over = True
        if self._sock is not None:
            with contextlib.suppress(OSError):
                # The plain one's: SSLSocket.shutdown would take the TLS away under the thread that reads.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


class Https:
    """Calls to one address.

    Args:
        url: https://HOST[:PORT].
        ca_pem: the authority to believe; "" for the system's.
        peer: what is there.
        certificate: a client's certificate and key.
        via: a local socket that leads there, where it is not reached directly.
        also: another name that its certificate may be for, instead of the address.
        anybody: believe whoever answers: for what is no secret, over a way that is safe by itself.

    Raises:
        UsageError: url is no such address.
    """

    def __init__(
        self,
        url: str,
        ca_pem: str,
        peer: Peer,
        certificate: tuple[Path, Path] | None = None,
        via: Path | None = None,
        also: str = "",
        anybody: bool = False,
    ) -> None:
        self.endpoint = endpoint(url, peer.name)
        self.peer = peer
        self.url = self.endpoint.url
        self._ca_pem = ca_pem
        self._certificate = certificate
        self._via = via
        self._names = [self.endpoint.host, *([also] if also and also != self.endpoint.host else [])]
        self._context: ssl.SSLContext | None = believing_anybody() if anybody else None
        self._pool = DaemonPool(CALLS, peer.key)
        self.shown = b""
        """The certificate that was shown last, DER; b"" before the first call."""

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = PATIENCE,
        limit: int = ANSWER_MAX,
    ) -> Answer:
        """Makes one call and reads the whole answer, whatever its status.

        Args:
            timeout: seconds for all of it.
            limit: bytes of the answer.

        Raises:
            HttpsError: nothing answered in time, its certificate is not to be believed, or the answer is too large.
        """
        call = _Call()
        try:
            async with asyncio.timeout(timeout):
                return await self._pool.run(
                    lambda: self._blocking(call, method, path, dict(headers or {}), body, timeout, limit)
                )
        except TimeoutError as error:
            raise self.peer.away(
                Trouble.SLOW, f"{self.peer.name} on {self.url} did not answer within {timeout:g} s.", self.peer.slow
            ) from error
        except ssl.SSLError as error:
            raise self._distrusted(error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._away(error) from error
        finally:
            call.shut()

    def close(self) -> None:
        """Lets the threads end."""
        self._pool.close()

    def _blocking(
        self, call: _Call, method: str, path: str, headers: dict[str, str], body: bytes | None, wait: float, limit: int
    ) -> Answer:
        # Before anybody is bothered: it may not be readable.
        context = self._context = self._context or context_of(self._ca_pem, self._certificate, self.url, self.peer)
        name = self._names[0]
        try:
            return self._over(context, name, call, method, path, headers, body, wait, limit)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code not in _NAMES or len(self._names) == 1:
                raise
        # Nothing was sent yet. The name that is right is kept.
        answer = self._over(context, self._names[1], call, method, path, headers, body, wait, limit)
        self._names = [self._names[1]]
        return answer

    def _over(
        self,
        context: ssl.SSLContext,
        name: str,
        call: _Call,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None,
        wait: float,
        limit: int,
    ) -> Answer:
        with (
            self._connect(call, wait) as plain,
            # The handshake apart: one that never ends can be given up on.
            context.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False) as sock,
        ):
            call.at(sock)
            sock.do_handshake()
            self.shown = sock.getpeercert(binary_form=True) or b""
            connection = http.client.HTTPConnection(self.endpoint.host, self.endpoint.port)
            connection.default_port = 443
            connection.sock = sock
            connection.request(method, path, body, {"Connection": "close", **headers})
            with connection.getresponse() as response:
                content = response.read(limit + 1)
                location = response.getheader("Location", "")
                next_page = response.getheader("X-Next-Page-Start", "")
                status = response.status
        if len(content) > limit:
            raise self.peer.error(
                Trouble.TOO_LARGE,
                f"What {self.url} answers is larger than {limit >> 20} MB, and was not read to its end.",
                f"Is it {self.peer.name}, and not something else at that address?",
            )
        return Answer(status, content, one_line(location)[:200], next_page[:4096])

    def _connect(self, call: _Call, wait: float) -> socket.socket:
        if self._via is None:
            sock = socket.create_connection(self.endpoint, timeout=wait)
        else:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(wait)
            try:
                sock.connect(str(self._via))
            except OSError:
                sock.close()
                raise
        try:
            call.at(sock)
        except TimeoutError:
            sock.close()
            raise
        return sock

    # -- what went wrong -------------------------------------------------------------------------------------------

    def _away(self, error: Exception) -> HttpsError:
        name = self.peer.name
        if isinstance(error, http.client.HTTPException) and not isinstance(error, http.client.RemoteDisconnected):
            return self.peer.error(
                self.peer.alien,
                f"What answers on {self.url} does not speak HTTP as {name} does.",
                f"Is it {name}'s address and port (usually 443)?",
            )
        if isinstance(error, socket.gaierror):
            return self.peer.away(
                Trouble.AWAY,
                f'The name "{one_line(self.endpoint.host)}" is not known here.',
                f"Look for a typing error, or give {name}'s address.",
            )
        if isinstance(error, ConnectionRefusedError):
            return self.peer.away(
                Trouble.AWAY,
                f"{self.endpoint.host} refuses connections on port {self.endpoint.port}: no {name} runs there now.",
                self.peer.gone,
            )
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        because = f" ({one_line(why)[:200]})" if why else ""
        return self.peer.away(
            Trouble.AWAY,
            f"{name} on {self.url} cannot be reached{because}.",
            "Is the host up, and is there a firewall between here and there?",
        )

    def _distrusted(self, error: ssl.SSLError) -> HttpsError:
        name = self.peer.name
        if not isinstance(error, ssl.SSLCertVerificationError):
            if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
                return self._away(ConnectionError("the connection was cut"))
            return self.peer.error(
                Trouble.NOT_TLS,
                f"What answers on {self.url} speaks no safe TLS ({one_line(error.reason or str(error))[:100]}).",
                f"Is it {name}'s address and port (usually 443), and no load balancer that ends TLS itself?",
            )
        if error.verify_code in _NAMES:
            wanted = " or ".join(f'"{one_line(each)}"' for each in self._names)
            return self.peer.error(
                Trouble.WRONG_NAME,
                f"The certificate of {name} on {self.url} is not for {wanted}.",
                self.peer.names,
            )
        if error.verify_code in _EXPIRED:
            return self.peer.error(
                Trouble.EXPIRED,
                f"The certificate of {name} on {self.url} is not valid now: {one_line(error.verify_message)}.",
                self.peer.renew,
            )
        return self.peer.error(
            Trouble.NOT_TRUSTED,
            f"The certificate of {name} on {self.url} was not signed by the authority that is expected here "
            f"({one_line(error.verify_message)}).",
            self.peer.changed,
        )
