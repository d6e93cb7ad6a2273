"""The HTTP of the simulated engines: strict with what comes, exact in what it sends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmtui.demo.api.gojson import canonical
from swarmtui.demo.api.http import BadRequest, read_request
from swarmtui.demo.serve import Demo


@pytest.fixture
async def demo(runs: Path) -> AsyncIterator[Demo]:
    async with Demo("calm", speed=20) as running:
        yield running


async def exchange(demo: Demo, data: bytes, host: str = "mgr1") -> bytes:
    """Send bytes, say that nothing follows, and read all that comes back."""
    reader, writer = await asyncio.open_unix_connection(str(demo.folder / f"{host}.sock"))
    writer.write(data)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


GET = b"GET /_ping HTTP/1.1\r\nHost: d\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET\r\n\r\n", 400),
        (b"GET /_ping\r\n\r\n", 400),
        (b"GET /_ping HTTP/2.0\r\n\r\n", 400),
        (b"G3T /_ping HTTP/1.1\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nHost : d\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nHost: d\r\n folded\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\n\xff: d\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nContent-Length: 1x\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"GET /_ping HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", 413),
        (b"GET /_ping HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /_ping HTTP/1.1\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
        (b"POST /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", 417),
        (b"GET /_ping", 400),
    ],
)
async def test_malformed_requests_are_refused_and_the_connection_ends(demo: Demo, data: bytes, status: int) -> None:
    answer = await exchange(demo, data)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:80]
    assert answer.count(b"HTTP/1.1") == 1
    assert (await exchange(demo, GET + b"\r\n")).endswith(b"OK"), "and the engine goes on"


async def test_connections_are_kept_and_closed_as_asked(demo: Demo) -> None:
    answer = await exchange(demo, (GET + b"\r\n") * 3)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    for closing in (GET + b"Connection: close\r\n\r\n", b"GET /_ping HTTP/1.0\r\n\r\n"):
        reader, writer = await asyncio.open_unix_connection(str(demo.folder / "mgr1.sock"))
        writer.write(closing)
        answer = await asyncio.wait_for(reader.read(), 5)
        assert b"Connection: close" in answer
        writer.close()


async def test_head_has_no_body_and_no_content_has_no_length(demo: Demo) -> None:
    answer = await exchange(demo, b"HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length: 0" in answer
    body = b'{"Name":"x","Data":"eAo="}'
    head = b"POST /secrets/create HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert b"201 Created" in await exchange(demo, head + body)
    answer = await exchange(demo, b"DELETE /secrets/x HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 204 No Content")
    assert b"Content-Length" not in answer


async def test_a_chunked_body(demo: Demo) -> None:
    head = b"POST /secrets/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b'8;x=y\r\n{"Name":\r\n12\r\n"y","Data":"eAo="}\r\n0\r\n\r\n'
    assert b"201 Created" in await exchange(demo, head + body)


async def test_a_stream_ends_when_the_client_goes(demo: Demo) -> None:
    log = demo.world.hosts["mgr1"].events
    reader, writer = await asyncio.open_unix_connection(str(demo.folder / "mgr1.sock"))
    writer.write(b"GET /events HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    for _ in range(100):
        if log.listeners == 1:
            break
        await asyncio.sleep(0.01)
    assert log.listeners == 1
    writer.close()
    for _ in range(100):
        if log.listeners == 0:
            break
        await asyncio.sleep(0.01)
    assert log.listeners == 0


async def test_a_stream_ends_when_its_engine_does(demo: Demo) -> None:
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(str(context)))
    reader, writer = await asyncio.open_unix_connection(str(demo.folder / "mgr1.sock"))
    writer.write(b"GET /services/shop_web/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n")
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    demo.world.stop_docker(demo.world.hosts["mgr1"])
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await asyncio.sleep(0.1)
    assert told == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader(limit=64 * 1024)
        reader.feed_data(data)
        reader.feed_eof()
        try:
            while await read_request(reader) is not None:
                pass
        except (BadRequest, asyncio.IncompleteReadError):
            pass

    asyncio.run(read())


@pytest.mark.parametrize(
    "path", ["/nodes/%2e%2e", "/services/%00/logs?stdout=1", "/tasks/" + "a" * 5000, "/nodes?filters=%ff"]
)
async def test_odd_names_are_just_not_found(demo: Demo, path: str) -> None:
    answer = await exchange(demo, f"GET {path} HTTP/1.1\r\n\r\n".encode())
    assert answer.split(b" ")[1] in (b"404", b"500", b"400"), answer[:200]
    assert b'{"message":' in answer


def test_names_of_fields_are_read_as_go_reads_them() -> None:
    given_body = {
        "mode": {"replicated": {"REPLICAS": 2}},
        "Labels": {"mode": "x"},
        "tasktemplate": {"containerspec": {}},
    }
    assert canonical(given_body) == {
        "Mode": {"Replicated": {"Replicas": 2}},
        "Labels": {"mode": "x"},
        "TaskTemplate": {"ContainerSpec": {}},
    }
