"""The Docker engine behind an async face: the SDK's client, called from threads of our own, never on the event loop.

The forwarded socket is served by the event loop, so a call of the SDK made there would wait for itself. Every private
name of the SDK that is used is used in `transport.Http`, and nowhere else.
"""

from __future__ import annotations

import asyncio
import http.client
import json as json_module
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import msgspec
import requests.exceptions
from docker.errors import DockerException

from swarmtui.errors import EngineError
from swarmtui.link.events import LAGGED, EventStream
from swarmtui.link.log_stream import LogStream
from swarmtui.link.pool import DaemonPool
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.refusals import UNREADABLE, explain, refusal
from swarmtui.link.target import TlsFiles
from swarmtui.link.transport import CONNECT_SECONDS, TRANSPORT, Http, Reply, causes_of, is_late, last_words, link_error
from swarmtui.model.swarm import Info
from swarmtui.model.text import harmless_json, one_line

__all__ = ["LAGGED", "Engine", "explain"]

CALLS = 8
"""Calls at a time. More wait: a manager in trouble is not helped by a crowd."""
OLDEST_API = (1, 24)


class _Version(msgspec.Struct):
    api: str = msgspec.field(name="ApiVersion", default="")


class Engine:
    """A Docker engine that answers. Made by `connect`.

    Attributes:
        api_version: the newest API version that the engine offers; spoken from the first call on.
        where: label of the manager, for errors.
    """

    def __init__(self, http: Http, where: str, timeout: float, calls: int, forwarded: bool) -> None:
        self.where = where
        self.api_version = ""
        self._http = http
        self._forwarded = forwarded
        self._timeout = timeout
        self._pool = DaemonPool(calls, f"engine {where}")
        self._streams: set[EventStream | LogStream] = set()
        self._lost = asyncio.Event()

    @classmethod
    async def connect(
        cls,
        base_url: str,
        *,
        tls: TlsFiles | None = None,
        where: str,
        timeout: float = 25.0,
        calls: int = CALLS,
        forwarded: bool = False,
    ) -> Engine:
        """Connects to unix:///path or tcp://host:port (with TLS) and agrees on the API version.

        Args:
            where: label of the manager, for errors.
            timeout: seconds a call may take by default. Above 21: without a leader, engines answer after 20.
            calls: calls at a time.
            forwarded: the socket is our own end of a forwarding: what goes wrong with it is the connection.

        Raises:
            LinkError: nothing answers there, or nothing that is a Docker engine of use.
        """
        opening = DaemonPool(1, f"opening {where}")
        try:
            http = await opening.run(partial(Http, base_url, tls))
        except (DockerException, *TRANSPORT, ValueError) as error:
            reason = Reason.TLS_FAILED if tls is not None else Reason.UNREACHABLE
            raise LinkError(reason, where, because=one_line(str(error))) from error
        finally:
            opening.close()
        engine = cls(http, where, timeout, calls, forwarded)
        try:
            await engine._agree()
        except BaseException:
            await engine.close()
            raise
        return engine

    async def _agree(self) -> None:
        """Takes the newest API version that the engine offers, as the SDK's version="auto" does, but sooner.

        /version starts several programs on the host before it answers; /_ping names the version in a header. Engines
        before API 1.25, and UCP, do not do that: they are asked for /version.
        """
        version = await self._ask("/_ping")
        if version is None:
            version = await self._ask("/version")
        try:
            numbers = tuple(int(part) for part in (version or "").split("."))
        except ValueError as error:
            raise LinkError(Reason.NOT_DOCKER, self.where) from error
        assert version is not None
        if numbers < OLDEST_API:
            raise LinkError(Reason.API_TOO_OLD, self.where, version=version)
        self.api_version = version
        self._http.speak(version)

    async def _ask(self, path: str) -> str | None:
        try:
            reply = await self._call("GET", path, versioned=False)
        except EngineError as error:
            if error.status == 0:
                what = f"{self.where} can be reached, but its Docker did not answer within {self._timeout:g} s."
                raise LinkError(
                    Reason.TIMEOUT, self.where, what, "Look there: systemctl status docker; journalctl -u docker -n 50."
                ) from error
            if path == "/_ping":
                return None
            if error.status in (401, 403):
                raise LinkError(
                    Reason.AUTH_FAILED,
                    self.where,
                    f"{self.where} does not accept these credentials: {error.what}",
                    "Download the client bundle anew: certificates end, and new server certificates end old bundles.",
                ) from error
            raise LinkError(Reason.NOT_DOCKER, self.where, because=f"it answers {error.status}") from error
        if path == "/_ping":
            return reply.api or None
        try:
            return msgspec.json.decode(reply.body, type=_Version).api
        except UNREADABLE as error:
            raise LinkError(Reason.NOT_DOCKER, self.where) from error

    # -- calls ---------------------------------------------------------------------------------------------------

    async def get(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout: float | None = None, clean: bool = True
    ) -> bytes:
        """GETs a path of the engine API, as "/nodes"; returns the body.

        Args:
            timeout: seconds without a byte from the engine.
            clean: make the body harmless; without it the caller has to (`harmless_json`).

        Raises:
            EngineError: the engine answered with an error, or (status 0) not in time.
            LinkError: the connection is lost.
        """
        call = partial(self._call, "GET", path, params=params, timeout=timeout)
        try:
            reply = await call()
        except _Stale:
            # A connection kept from an earlier call was closed by the other side just now: reading again is safe.
            reply = await call(last=True)
        return harmless_json(reply.body) if clean else reply.body

    async def post(self, path: str, *, params: Mapping[str, str] | None = None, json: Any = None) -> bytes:
        """POSTs to the engine API; returns the body, made harmless. Never repeated by itself.

        Raises:
            EngineError: the engine answered with an error, or (status 0) not in time: it may have done it all the same.
            LinkError: the connection is lost; the same is true.
        """
        return harmless_json((await self._call("POST", path, params=params, json=json, last=True)).body)

    async def delete(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """DELETEs; otherwise like `post`."""
        return harmless_json((await self._call("DELETE", path, params=params, last=True)).body)

    async def info(self) -> Info:
        """Reads `GET /info`. Raises as `get` does."""
        body = await self.get("/info")
        try:
            return msgspec.json.decode(body, type=Info)
        except UNREADABLE as error:
            raise LinkError(Reason.NOT_DOCKER, self.where, because=one_line(str(error))) from error

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        timeout: float | None = None,
        versioned: bool = True,
        last: bool = False,
    ) -> Reply:
        patience = self._timeout if timeout is None else timeout
        call = partial(self._http.request, method, path, params, json, patience, versioned)
        try:
            reply = await self._pool.run(call)
        except TRANSPORT as error:
            raise self._trouble(error, method, path, patience, last) from error
        if 200 <= reply.status < 300:
            return reply
        if reply.status < 400:
            raise LinkError(Reason.NOT_DOCKER, self.where, because=f"it points somewhere else (HTTP {reply.status})")
        raise refusal(reply.status, reply.body)

    def _trouble(self, error: Exception, method: str, path: str, patience: float, last: bool) -> Exception:
        causes = list(causes_of(error))
        if isinstance(error, requests.exceptions.ConnectTimeout):
            self._lost.set()
            return LinkError(Reason.TIMEOUT, self.where, seconds=f"{CONNECT_SECONDS:g}")
        if any(is_late(cause) for cause in causes):
            # The connection stands (SSH has a keepalive of its own); an engine without a leader is just this slow.
            what = f"{self.where} did not answer {method} {path} within {patience:g} s."
            doubt = "It may have been done all the same: look before you repeat it." if method != "GET" else ""
            return EngineError(what, doubt or "Without a leader a Swarm answers slowly or not at all.")
        if not last and any(isinstance(cause, ConnectionError) for cause in causes) and self.api_version:
            return _Stale()
        self._lost.set()
        if any(isinstance(c, http.client.BadStatusLine) and not isinstance(c, ConnectionError) for c in causes):
            return LinkError(Reason.NOT_DOCKER, self.where, because=f"it says {last_words(causes[-1])}")
        if self._forwarded:
            return LinkError(Reason.CONNECTION_LOST, self.where)
        return link_error(causes, self.where, self._http.base_url)

    # -- events --------------------------------------------------------------------------------------------------

    async def events(self, filters: Mapping[str, list[str]]) -> AsyncIterator[bytes]:
        """Follows the engine's events: one JSON object each, made harmless.

        Yields `LAGGED` in place of events that came faster than they were taken. Never ends by itself; ending the
        iteration (aclose, cancel) ends the thread at once.

        Raises:
            EngineError: the engine refused.
            LinkError: the stream ended, which it only does when the connection does.
        """
        # The SDK's wire format of filters: one JSON object of lists.
        params = {"filters": json_module.dumps({name: list(values) for name, values in filters.items()})}
        stream = EventStream(partial(self._http.stream, "/events", params, self._timeout), f"events {self.where}")
        self._streams.add(stream)
        try:
            async for event in stream.follow():
                yield harmless_json(event)
        except TRANSPORT as error:
            self._lost.set()
            raise LinkError(Reason.CONNECTION_LOST, self.where, because=last_words(error)) from error
        finally:
            self._streams.discard(stream)
            stream.close()
        self._lost.set()
        raise LinkError(Reason.CONNECTION_LOST, self.where)

    # -- logs ----------------------------------------------------------------------------------------------------

    def logs(self, path: str, params: Mapping[str, str]) -> LogStream:
        """Begins to read a log answer; the caller closes it. `link.logs.follow` is what people use.

        Its end says nothing of the connection: a proxy on the way may have had enough of it.
        """
        stream = LogStream(
            partial(self._http.stream, path, params, self._timeout, small_chunks=True),
            f"logs {self.where}",
            explain=partial(self._of_stream, path),
            closed=self._streams.discard,
        )
        self._streams.add(stream)
        return stream

    def _of_stream(self, path: str, error: BaseException) -> BaseException:
        if not isinstance(error, TRANSPORT):
            return error
        if any(is_late(cause) for cause in causes_of(error)):
            what = f"{self.where} did not answer GET {path} within {self._timeout:g} s."
            return EngineError(what, "Without a leader a Swarm answers slowly or not at all.")
        return LinkError(Reason.CONNECTION_LOST, self.where, because=last_words(error))

    # -- life ----------------------------------------------------------------------------------------------------

    @property
    def lost(self) -> bool:
        """Whether a call or a stream has found the connection gone."""
        return self._lost.is_set()

    async def wait_lost(self) -> None:
        """Returns once a call or a stream has found the connection gone."""
        await self._lost.wait()

    async def close(self) -> None:
        """Ends streams and idle connections. Over TLS, calls under way end unheard, with their timeout."""
        for stream in list(self._streams):
            stream.close()
        self._lost.set()
        self._pool.close()
        self._http.close()


class _Stale(Exception):
    """A GET met a dead connection; a second try may find a living one."""
