"""HTTP to an engine: the SDK's client, called so that nothing of the environment gets in, and what its errors mean."""

from __future__ import annotations

import json as json_module
import socket
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import requests.exceptions
import urllib3
import urllib3.exceptions
from docker import APIClient
from docker.tls import TLSConfig

from swarmtui.link.answer import Answer
from swarmtui.link.chunks import dechunked
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.refusals import refusal
from swarmtui.link.target import TlsFiles
from swarmtui.link.unix_http import ClosingAdapter
from swarmtui.model.text import one_line

CONNECT_SECONDS: Final = 10.0
READ_BYTES: Final = 65_536
BODY_MAX = 512 << 20
"""Bytes of an answer that are read at most; 10,000 tasks are 9 MB."""
TRANSPORT = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What the SDK and the libraries under it raise when the way to the engine fails."""
_PLACEHOLDER_API = "1.24"
"""Never spoken: the client wants a version before it can ask for one."""


class Reply(NamedTuple):
    """An answer of an engine; api: its newest API version where it says so (on /_ping), else ""."""

    status: int
    body: bytes
    api: str


class Http:
    """The only place that touches the SDK's client. Everything here blocks, and is called from threads."""

    def __init__(self, base_url: str, tls: TlsFiles | None) -> None:
        self.base_url = base_url
        config: TLSConfig | bool = False
        if tls is not None:
            pair = (str(tls.cert), str(tls.key)) if tls.cert and tls.key else None
            if not tls.verify:
                # The user's own choice (SkipTLSVerify); said on standard error, it would spoil the screen.
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            config = TLSConfig(client_cert=pair, ca_cert=str(tls.ca) if tls.ca else None, verify=tls.verify)
        # Constructed explicitly: from_env would follow the CLI's current context to another cluster.
        self._client = APIClient(base_url=base_url, version=_PLACEHOLDER_API, tls=config)
        # With trust_env, requests puts REQUESTS_CA_BUNDLE in the place of the bundle's own authority, and reads .netrc.
        self._client.trust_env = False
        self._adapter: ClosingAdapter | None = None
        if base_url.startswith("unix://"):
            self._adapter = ClosingAdapter(base_url.replace("unix://", "http+unix://", 1), CONNECT_SECONDS)
            self._client.mount("http+docker://", self._adapter)

    def speak(self, version: str) -> None:
        """From now on the versioned paths are of this version: what the SDK's version="auto" does."""
        self._client._version = version

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        json: Any,
        timeout: float,
        versioned: bool,
    ) -> Reply:
        """Makes one call and reads the whole answer. Raises one of `TRANSPORT`."""
        response = self._open(method, path, params, json, timeout, versioned)
        with response:
            body = response.raw.read(BODY_MAX + 1, decode_content=True)
        if len(body) > BODY_MAX:
            raise requests.exceptions.ContentDecodingError(f"the answer is larger than {BODY_MAX >> 20} MB")
        return Reply(int(response.status_code), bytes(body), response.headers.get("Api-Version", ""))

    def stream(self, path: str, params: Mapping[str, str], timeout: float, *, small_chunks: bool = False) -> Answer:
        """Opens an endless answer.

        Args:
            small_chunks: it comes in very many of them, as a log does: they are read many at a time.
        """
        response = self._open("GET", path, params, None, timeout, True)
        if response.status_code >= 300:
            with response:
                raise refusal(response.status_code, response.raw.read(65_536, decode_content=True))
        raw = self._client._get_raw_response_socket(response)
        self._client._disable_socket_timeout(raw)
        pieces: Iterator[bytes] = response.iter_content(chunk_size=READ_BYTES)
        if small_chunks and response.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = dechunked(partial(response.raw._fp.fp.read1, READ_BYTES))
        return Answer(pieces, getattr(raw, "_sock", raw), response.close)

    def _open(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        json: Any,
        timeout: float,
        versioned: bool,
    ) -> Any:
        url = self._client._url("{0}", path, versioned_api=versioned)
        options: dict[str, Any] = {
            "params": params,
            "timeout": (CONNECT_SECONDS, timeout),
            "stream": True,
            # An engine never redirects; what does would lead credentials somewhere else.
            "allow_redirects": False,
        }
        if json is not None:
            options["data"] = json_module.dumps(json)
            options["headers"] = {"Content-Type": "application/json"}
        call = {"GET": self._client._get, "POST": self._client._post, "DELETE": self._client._delete}[method]
        return call(url, **options)

    def close(self) -> None:
        if self._adapter is not None:
            self._adapter.shut()
        self._client.close()


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all that is behind it: requests and urllib3 keep causes in args and `reason` as well."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def is_late(cause: BaseException) -> bool:
    """Whether this is our own patience that ended, and not the network's: that has an error number."""
    late = requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError
    return isinstance(cause, late) or (isinstance(cause, TimeoutError) and cause.errno is None)


def link_error(causes: list[BaseException], where: str, base_url: str) -> LinkError:
    local = base_url.startswith("unix://")
    facts = {"because": last_words(causes[-1])}
    if local:
        facts["path"] = base_url.removeprefix("unix://")
        facts["host"] = "this machine" if where.startswith("unix://") else where.rpartition("@")[2]
    else:
        host, _, port = base_url.rpartition("://")[2].rpartition(":")
        facts |= {"host": host, "port": port}
    found = {type(cause) for cause in causes}

    def any_of(*kinds: type[BaseException]) -> bool:
        return any(issubclass(kind, kinds) for kind in found)

    if any_of(requests.exceptions.SSLError, urllib3.exceptions.SSLError):
        return LinkError(Reason.TLS_FAILED, where, **facts)
    if any_of(FileNotFoundError):
        return LinkError(Reason.NO_SOCKET, where, **facts)
    if any_of(PermissionError):
        return LinkError(Reason.SOCKET_DENIED, where, **facts)
    if any_of(ConnectionRefusedError):
        return LinkError(Reason.DOCKER_DOWN if local else Reason.CONNECTION_REFUSED, where, **facts)
    if any_of(urllib3.exceptions.NameResolutionError, socket.gaierror):
        return LinkError(Reason.NAME_UNKNOWN, where, **facts)
    if any_of(ConnectionError, requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError):
        return LinkError(Reason.CONNECTION_LOST, where, **facts)
    return LinkError(Reason.UNREACHABLE, where, **facts)


def last_words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror)
    return one_line(str(error))[:200]
