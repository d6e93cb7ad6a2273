"""One HTTPS call to UCP, bounded in time and size, in threads of our own. Never follows a redirect, uses no proxy."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from swarmtui.errors import UsageError
from swarmtui.link.pool import DaemonPool
from swarmtui.link.ucp.errors import Trouble, UcpAwayError, UcpError
from swarmtui.model.text import one_line

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
    """What came back."""

    status: int
    body: bytes
    location: str


class Endpoint(NamedTuple):
    """Where UCP is reached."""

    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}" if self.port == 443 else f"https://{host}:{self.port}"


def endpoint(url: str) -> Endpoint:
    """Reads https://HOST[:PORT]. Raises UsageError."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port or 443
    except ValueError:
        parts, port = urlsplit(""), 0
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme != "https" or not parts.hostname or not bare or not url.isprintable():
        # Not told back: somebody may have written a password into it.
        raise UsageError("That is no address of UCP.", "Write https://HOST or https://HOST:PORT, and nothing more.")
    return Endpoint(parts.hostname, port)


def context_of(ca_pem: str, certificate: tuple[Path, Path] | None, where: str) -> ssl.SSLContext:
    """TLS that believes one authority only; the system's where none is given.

    Args:
        certificate: of a client bundle, with its key.

    Raises:
        UcpError: the authority or the certificate cannot be read.
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
        raise UcpError(
            Trouble.NOT_TRUSTED,
            f"The certificates with which to talk to UCP on {where} cannot be read: {one_line(str(error))}.",
            "Give UCP's own authority in PEM (ca = FILE in [clusters.NAME.ucp]), or a client bundle that is whole.",
        ) from error
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
        certificate: a client's certificate and key.
        via: a local socket that leads there, where it is not reached directly.

    Raises:
        UsageError: url is no such address.
    """

    def __init__(
        self, url: str, ca_pem: str, certificate: tuple[Path, Path] | None = None, via: Path | None = None
    ) -> None:
        self.endpoint = endpoint(url)
        self.url = self.endpoint.url
        self._ca_pem = ca_pem
        self._certificate = certificate
        self._via = via
        self._context: ssl.SSLContext | None = None
        self._pool = DaemonPool(CALLS, "ucp")

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
            UcpError: nothing answered in time, its certificate is not to be believed, or the answer is too large.
        """
        call = _Call()
        try:
            async with asyncio.timeout(timeout):
                return await self._pool.run(
                    lambda: self._blocking(call, method, path, dict(headers or {}), body, timeout, limit)
                )
        except TimeoutError as error:
            raise UcpAwayError(
                Trouble.SLOW,
                f"UCP on {self.url} did not answer within {timeout:g} s.",
                "Look at the load of that manager and at its ucp-controller: docker logs ucp-controller.",
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
        context = self._context = self._context or context_of(self._ca_pem, self._certificate, self.url)
        name = self.endpoint.host
        with (
            self._connect(call, wait) as plain,
            # The handshake apart: one that never ends can be given up on.
            context.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False) as sock,
        ):
            call.at(sock)
            sock.do_handshake()
            connection = http.client.HTTPConnection(self.endpoint.host, self.endpoint.port)
            connection.default_port = 443
            connection.sock = sock
            connection.request(method, path, body, {"Connection": "close", **headers})
            with connection.getresponse() as response:
                content = response.read(limit + 1)
                location = response.getheader("Location", "")
                status = response.status
        if len(content) > limit:
            raise UcpError(
                Trouble.TOO_LARGE,
                f"What {self.url} answers is larger than {limit >> 20} MB, and was not read to its end.",
                "Is it UCP, and not something else at that address?",
            )
        return Answer(status, content, one_line(location)[:200])

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

    def _away(self, error: Exception) -> UcpError:
        if isinstance(error, http.client.HTTPException) and not isinstance(error, http.client.RemoteDisconnected):
            return UcpError(
                Trouble.NOT_UCP,
                f"What answers on {self.url} does not speak HTTP as UCP does.",
                "Is it UCP's address and port (usually 443)?",
            )
        if isinstance(error, socket.gaierror):
            return UcpAwayError(
                Trouble.AWAY,
                f'The name "{one_line(self.endpoint.host)}" is not known here.',
                "Look for a typing error, or give UCP's address.",
            )
        if isinstance(error, ConnectionRefusedError):
            return UcpAwayError(
                Trouble.AWAY,
                f"{self.endpoint.host} refuses connections on port {self.endpoint.port}: no UCP runs there now.",
                "Look at its components there: docker ps -a --filter name=ucp-",
            )
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        because = f" ({one_line(why)[:200]})" if why else ""
        return UcpAwayError(
            Trouble.AWAY,
            f"UCP on {self.url} cannot be reached{because}.",
            "Is the host up, and is there a firewall between here and there?",
        )

    def _distrusted(self, error: ssl.SSLError) -> UcpError:
        if not isinstance(error, ssl.SSLCertVerificationError):
            if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
                return self._away(ConnectionError("the connection was cut"))
            return UcpError(
                Trouble.NOT_TLS,
                f"What answers on {self.url} speaks no safe TLS ({one_line(error.reason or str(error))[:100]}).",
                "Is it UCP's address and port (usually 443), and no load balancer that ends TLS itself?",
            )
        if error.verify_code in _NAMES:
            return UcpError(
                Trouble.WRONG_NAME,
                f'The certificate of UCP on {self.url} is not for "{one_line(self.endpoint.host)}".',
                "Reach UCP by a name that is in its certificate, or add this one to the SANs of UCP.",
            )
        if error.verify_code in _EXPIRED:
            return UcpError(
                Trouble.EXPIRED,
                f"The certificate of UCP on {self.url} is not valid now: {one_line(error.verify_message)}.",
                "Renew UCP's server certificate; and look at the clocks of this machine and of that manager.",
            )
        return UcpError(
            Trouble.NOT_TRUSTED,
            f"The certificate of UCP on {self.url} was not signed by the authority that is expected here "
            f"({one_line(error.verify_message)}).",
            "If UCP was installed anew or got other certificates, its new authority must be read from a manager; "
            "else somebody stands between: do not go on.",
        )
