"""A small, strict HTTP/1.1 server for the simulated engines: no more than an Engine API needs."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

_MAX_HEAD = 64 * 1024
_MAX_HEADERS = 100
_MAX_BODY = 8 * 1024 * 1024
_PIECE = 256 * 1024
_CHUNK_SIZE = re.compile(rb"^[0-9A-Fa-f]{1,8}$")
_TOKEN = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")


class BadRequest(Exception):
    """What came is not HTTP as this server speaks it. `status` says which way."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(slots=True)
class Request:
    """One request. Header names are in lower case; `query` has the last value of each name."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    version: str = ""


@dataclass(slots=True)
class Response:
    """One answer: a body, or a stream sent in chunks until it ends or the client goes."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None


Handler = Callable[[Request], Awaitable[Response]]


def json_response(value: object, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(status, msgspec.json.encode(value))


async def _read_head(reader: asyncio.StreamReader) -> list[str] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise BadRequest(400, "incomplete request") from None
        return None
    except asyncio.LimitOverrunError:
        raise BadRequest(431, "request header too large") from None
    try:
        return head[:-4].decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise BadRequest(400, "header is not ASCII") from None


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None when it was closed.

    Raises:
        BadRequest: it is malformed or too large.
    """
    lines = await _read_head(reader)
    if lines is None:
        return None
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[0].isalpha() or parts[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(400, "malformed request line")
    if len(lines) > _MAX_HEADERS:
        raise BadRequest(431, "too many headers")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.match(name):
            raise BadRequest(400, "malformed header")
        if name.lower() in headers and name.lower() in ("content-length", "transfer-encoding", "host"):
            raise BadRequest(400, "repeated header")
        headers[name.lower()] = value.strip()
    if parts[2] == "HTTP/1.0":
        headers.setdefault("connection", "close")
    if headers.get("expect"):
        raise BadRequest(417, "expectations are not supported")
    url = urlsplit(parts[1])
    try:
        query = {k: v[-1] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
    except ValueError:
        raise BadRequest(400, "malformed query") from None
    return Request(parts[0].upper(), unquote(url.path), query, headers, await _read_body(reader, headers))


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    encoding = headers.get("transfer-encoding", "").lower()
    if encoding == "chunked" and "content-length" not in headers:
        return await _read_chunks(reader)
    if encoding:
        raise BadRequest(400, "unsupported transfer encoding")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(400, "malformed Content-Length")
    if int(length) > _MAX_BODY:
        raise BadRequest(413, "request body too large")
    return await reader.readexactly(int(length))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = (await reader.readuntil(b"\r\n"))[:-2].partition(b";")[0].strip()
        if not _CHUNK_SIZE.match(line):
            raise BadRequest(400, "malformed chunk")
        size = int(line, 16)
        if len(body) + size > _MAX_BODY:
            raise BadRequest(413, "request body too large")
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise BadRequest(400, "malformed chunk")
        if size == 0:
            return bytes(body)


def _head(response: Response, *, close: bool, length: int | None) -> bytes:
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {response.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if response.content_type and (response.stream or response.body or response.headers.get("Pragma")):
        lines.append(f"Content-Type: {response.content_type}")
    lines.append(f"Date: {email.utils.formatdate(usegmt=True)}")
    if length is None:
        lines.append("Transfer-Encoding: chunked")
    elif response.status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {length}")
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


class HttpConnection:
    """One client of one simulated engine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
        self._reader = reader
        self._writer = writer
        self._handler = handler

    async def serve(self) -> None:
        """Answer requests until the client goes, asks to close, or sends what cannot be understood."""
        try:
            while await self._one():
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    async def _one(self) -> bool:
        try:
            request = await read_request(self._reader)
        except BadRequest as error:
            refusal = Response(error.status, f"{error}\n".encode(), "text/plain; charset=utf-8")
            self._writer.write(_head(refusal, close=True, length=len(refusal.body)) + refusal.body)
            await self._writer.drain()
            return False
        if request is None:
            return False
        close = request.headers.get("connection", "").lower() == "close"
        response = await self._handler(request)
        if response.stream is not None:
            await self._stream(response)
            return False
        head = _head(response, close=close, length=len(response.body))
        if request.method == "HEAD":
            self._writer.write(head)
        elif len(response.body) <= _PIECE:
            self._writer.write(head + response.body)
        else:
            self._writer.write(head)
            view = memoryview(response.body)
            for begin in range(0, len(view), _PIECE):
                self._writer.write(view[begin : begin + _PIECE])
                await self._writer.drain()
        await self._writer.drain()
        return not close

    async def _stream(self, response: Response) -> None:
        stream = response.stream
        assert stream is not None
        self._writer.write(_head(response, close=False, length=None))
        await self._writer.drain()
        gone = asyncio.ensure_future(self._reader.read(1))
        pieces = stream.__aiter__()
        piece: asyncio.Future[bytes | None] | None = None
        try:
            while True:
                piece = asyncio.ensure_future(anext(pieces, None))
                await asyncio.wait({piece, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not piece.done():
                    return
                data = piece.result()
                if data is None:
                    self._writer.write(b"0\r\n\r\n")
                    await self._writer.drain()
                    return
                if data:
                    self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                    await self._writer.drain()
        finally:
            gone.cancel()
            if piece is not None and not piece.done():
                # Also when this connection is cancelled: what still runs cannot be closed.
                piece.cancel()
                await asyncio.wait({piece})
            closer = getattr(stream, "aclose", None)
            if closer is not None:
                await closer()
