"""Logs: bounded reading, lost connections, refusals, the simulated engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from swarmtui.demo.serve import Demo
from swarmtui.errors import EngineError
from swarmtui.link import logs as logs_module
from swarmtui.link.engine import Engine
from swarmtui.link.log_frames import STDERR, SYSTEM
from swarmtui.link.log_stream import LogStream
from swarmtui.link.logs import Batch, LogQuery, follow, nanoseconds
from swarmtui.link.reasons import LinkError
from tests.link.log_bytes import ONE, TWO, frame, line, stamp
from tests.link.support import FakeEngine

SERVICE = LogQuery("services", "web")


class Log:
    """A handler for /logs: each connection gets the next script, a list of bytes; then it ends, is cut, or stays."""

    def __init__(self, *scripts: tuple[list[bytes], str]) -> None:
        self.scripts = list(scripts)
        self.gone = asyncio.Event()
        self.ended = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces, end = self.scripts.pop(0) if self.scripts else ([], "stay")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        if end == "stay":
            await reader.read(1)
            self.gone.set()
            raise ConnectionError
        if end == "cut":
            writer.transport.abort()
            raise ConnectionError
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        self.ended += 1


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_module, "BACK_OFF_SECONDS", (0.01,))
    monkeypatch.setattr(logs_module, "GATHER_SECONDS", 0.02)


@asynccontextmanager
async def following(engine: FakeEngine, tmp_path: Path, handler: Any, says: bytes = b"") -> AsyncIterator[Any]:
    """Follows a log of an engine on a socket; asked for one that ends, the engine says what it has to say of it."""

    async def route(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if "follow=1" in engine.requests[-1].path:
            await handler(reader, writer)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(says), says))

    engine.routes["GET", "/services/web/logs"] = route if callable(handler) else handler
    link = await Engine.connect(f"unix://{tmp_path}/docker.sock", where="root@mgr1")

    async def in_use() -> Engine:
        return link

    try:
        async with aclosing(follow(in_use, SERVICE)) as batches:
            yield batches
    finally:
        await link.close()


async def until(batches: Any, so: Callable[[list[Batch]], bool]) -> list[Batch]:
    found: list[Batch] = []
    async with asyncio.timeout(10):
        while not so(found):
            found.append(await anext(batches))
    return found


def all_said(batches: list[Batch]) -> list[str]:
    return [line.text for batch in batches for line in batch.lines]


def asked(engine: FakeEngine) -> list[dict[str, str]]:
    return [
        {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        for request in engine.requests
        if "/logs" in request.path and "follow=1" in request.path
    ]


async def test_it_asks_for_all_it_needs_and_ends_the_stream_when_nobody_wants_it(
    engine: FakeEngine, tmp_path: Path
) -> None:
    log = Log(([line("hello", 1)], "stay"))
    async with following(engine, tmp_path, log) as batches:
        found = await until(batches, all_said)
        assert found[0] == Batch([]) and all_said(found) == ["hello"]
        expected = {"follow": "1", "stdout": "1", "stderr": "1", "timestamps": "1", "details": "1", "tail": "500"}
        assert asked(engine) == [expected]
    await asyncio.wait_for(log.gone.wait(), 5)


async def test_lines_of_several_nodes_that_come_together_are_in_order(engine: FakeEngine, tmp_path: Path) -> None:
    pieces = [line(f"a{second}", second) for second in (1, 3, 5)] + [line(f"b{s}", s, TWO) for s in (2, 4, 6)]
    async with following(engine, tmp_path, Log((pieces, "stay"))) as batches:
        assert all_said(await until(batches, all_said)) == ["a1", "b2", "a3", "b4", "a5", "b6"]


async def test_after_a_cut_it_goes_on_without_losing_or_repeating_lines(engine: FakeEngine, tmp_path: Path) -> None:
    before = [line("a", 1), line("b", 20), line("b too", 20), line("err", 20, ONE, STDERR), line("other", 15, TWO)]
    again = [
        line("other", 15, TWO),
        line("other, late", 16, TWO),  # was on its way when the connection was cut
        line("b", 20),
        line("b too", 20),
        line("b three", 20),  # a third line at the very same time
        line("err", 20, ONE, STDERR),
        line("c", 21),
    ]
    half = line("b three", 20)[:-2]
    log = Log(([*before, half], "cut"), (again, "stay"))
    async with following(engine, tmp_path, log) as batches:
        found = await until(batches, lambda found: "c" in all_said(found))
    assert sorted(all_said(found)) == ["a", "b", "b three", "b too", "c", "err", "other", "other, late"]
    notes = [(batch.live, batch.note) for batch in found if batch.note]
    assert [live for live, _ in notes] == [False, True]
    assert notes[0][1].startswith("The connection to root@mgr1 was lost") and notes[1][1] == "Connected again."
    resumed = asked(engine)[1]
    assert resumed["tail"] == "all"
    assert resumed["since"] == f"{nanoseconds(stamp(10)) // 10**9}.000000000"


async def test_a_long_line_that_comes_again_is_left_out_whole(engine: FakeEngine, tmp_path: Path) -> None:
    long = line("x" * 50_000, 2)
    log = Log(([line("a", 1), long], "cut"), ([line("a", 1), long, line("end", 3)], "stay"))
    async with following(engine, tmp_path, log) as batches:
        found = await until(batches, lambda found: "end" in all_said(found))
    assert "".join(all_said(found)) == "a" + "x" * 50_000 + "end"


async def test_a_log_that_the_engine_ends_is_asked_for_more_and_that_is_told_once(
    engine: FakeEngine, tmp_path: Path
) -> None:
    log = Log(([line("a", 1)], "end"), ([line("a", 1)], "end"), ([], "end"), ([line("a", 1), line("b", 2)], "stay"))
    async with following(engine, tmp_path, log) as batches:
        found = await until(batches, lambda found: "b" in all_said(found))
    assert all_said(found) == ["a", "b"] and log.ended == 3
    assert [batch.note for batch in found if batch.note] == [
        "root@mgr1 ended the log; it is asked for more from time to time."
    ]


async def test_what_a_log_that_is_followed_does_not_tell_is_asked_for(engine: FakeEngine, tmp_path: Path) -> None:
    words = "Error grabbing logs: rpc error: code = Unknown desc = warning: incomplete log stream. some logs could not "
    words += "be retrieved for the following reasons: configured logging driver does not support reading\n"
    says = line("a line", 1) + frame(words, SYSTEM)
    async with following(engine, tmp_path, Log(([], "cut"), ([frame(words, SYSTEM)], "stay")), says) as batches:
        found = await until(batches, all_said)
        assert all_said(found)[0].startswith("The logging driver in use cannot be read back")
        found += await until(batches, lambda found: any(batch.note == "Connected again." for batch in found))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(batches), 0.2)
    assert len(all_said(found)) == 1


@pytest.mark.parametrize(
    ("driver", "api", "told"),
    [("none", "1.41", True), ("syslog", "1.40", True), ("syslog", "1.41", False), ("json-file", "1.30", False)],
)
async def test_a_driver_that_cannot_be_read_is_told(
    engine: FakeEngine, tmp_path: Path, driver: str, api: str, told: bool
) -> None:
    engine.routes["GET", "/_ping"] = (200, b"OK", f"Api-Version: {api}")
    engine.routes["GET", "/services/web"] = (200, {"Spec": {"TaskTemplate": {"LogDriver": {"Name": driver}}}})
    later = frame("Error grabbing logs: something else\n", SYSTEM)
    async with following(engine, tmp_path, Log(([], "stay")), later) as batches:
        found = all_said(await until(batches, lambda found: "The engine says: something else" in all_said(found)))
    assert [text.startswith("The logging driver in use cannot be read back") for text in found[:-1]] == [True] * told


async def test_no_such_service_is_one_sentence(engine: FakeEngine, tmp_path: Path) -> None:
    answer = (404, {"message": "service web not found"})
    async with following(engine, tmp_path, answer) as batches:
        with pytest.raises(EngineError, match=r"The service web does not exist in this Swarm \(any more\)\."):
            await anext(batches)


async def test_a_service_that_is_removed_ends_it(engine: FakeEngine, tmp_path: Path) -> None:
    async with following(engine, tmp_path, Log(([line("a", 1)], "cut"))) as batches:
        await until(batches, all_said)
        engine.routes["GET", "/services/web/logs"] = (404, {"message": "service web not found"})
        with pytest.raises(EngineError, match="does not exist"):
            await until(batches, lambda found: False)


async def test_without_a_leader_it_waits_and_says_so_once(engine: FakeEngine, tmp_path: Path) -> None:
    words = "rpc error: code = Unknown desc = The swarm does not have a leader."
    async with following(engine, tmp_path, (503, {"message": words})) as batches:
        (lost,) = await until(batches, bool)
        assert not lost.live and "no leader" in lost.note
        later = asyncio.ensure_future(anext(batches))
        await asyncio.sleep(0.1)
        assert not later.done() and len(asked(engine)) > 2
        engine.routes["GET", "/services/web/logs"] = Log(([line("elected", 1)], "stay"))
        found = [await later, *await until(batches, all_said)]
    assert found[0].note == "Connected again." and all_said(found) == ["elected"]


async def test_an_engine_too_old_for_it_is_told(engine: FakeEngine, tmp_path: Path) -> None:
    engine.routes["GET", "/_ping"] = (200, b"OK", "Api-Version: 1.24")
    async with following(engine, tmp_path, Log()) as batches:
        with pytest.raises(EngineError, match=r"offers API 1\.24, and they came with 1\.29"):
            await anext(batches)


async def test_what_is_no_log_is_a_lost_connection(engine: FakeEngine, tmp_path: Path) -> None:
    async with following(engine, tmp_path, Log(([line("a"), b"\x09\x09\x09" * 50], "stay"))) as batches:
        found = await until(batches, lambda found: any(not batch.live for batch in found))
    assert all_said(found) == ["a"] and "no frame of a log" in found[-1].note


async def test_closing_the_engine_ends_the_stream(engine: FakeEngine, tmp_path: Path) -> None:
    engine.routes["GET", "/services/web/logs"] = Log(([line("a")], "stay"))
    link = await Engine.connect(f"unix://{tmp_path}/docker.sock", where="root@mgr1")
    stream = link.logs("/services/web/logs", {})
    await stream.opened()
    assert await stream.take(10) is not None
    await link.close()
    async with asyncio.timeout(5):
        with suppress(LinkError):
            while await stream.take(10) is not None:
                pass
    assert not link._streams


async def test_what_nobody_takes_is_dropped_from_the_oldest_on_and_counted(engine: FakeEngine, tmp_path: Path) -> None:
    pieces = [line(f"{number}", number % 60, nano=number) for number in range(1_234)]
    engine.routes["GET", "/services/web/logs"] = Log((pieces, "end"))
    link = await Engine.connect(f"unix://{tmp_path}/docker.sock", where="root@mgr1")
    closed: list[LogStream] = []
    stream = LogStream(
        lambda: link._http.stream("/services/web/logs", {}, 5.0),
        "test",
        explain=lambda error: error,
        closed=closed.append,
        lines_max=100,
    )
    async with asyncio.timeout(10):
        for _ in iter(lambda: bool(stream._ended), True):
            await asyncio.sleep(0.01)
        taken = await stream.take(60)
        assert taken is not None and taken.dropped == 1_134 and len(taken.lines) == 60
        rest = await stream.take(60)
        assert rest is not None and rest.dropped == 0 and len(rest.lines) == 40
        assert sorted(int(line.text) for line in taken.lines + rest.lines) == list(range(1_134, 1_234))
        assert await stream.take(60) is None
    stream.close()
    stream.close()
    assert closed == [stream]
    await link.close()


async def test_the_queue_is_bounded_by_bytes_too(engine: FakeEngine, tmp_path: Path) -> None:
    pieces = [line("x" * 10_000, number) for number in range(59)]
    engine.routes["GET", "/services/web/logs"] = Log((pieces, "end"))
    link = await Engine.connect(f"unix://{tmp_path}/docker.sock", where="root@mgr1")
    stream = LogStream(
        lambda: link._http.stream("/services/web/logs", {}, 5.0),
        "test",
        explain=lambda error: error,
        bytes_max=100_000,
    )
    async with asyncio.timeout(10):
        for _ in iter(lambda: bool(stream._ended), True):
            await asyncio.sleep(0.01)
        taken = await stream.take(100)
    assert taken is not None and len(taken.lines) == 9 and taken.dropped == 50
    stream.close()
    await link.close()


# -- the simulator ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["services", "tasks"])
async def test_a_log_of_the_simulated_swarm(kind: Any) -> None:
    async with Demo("calm", speed=20, seed=1) as demo:
        link = await Engine.connect(next(entry["docker"] for entry in demo.hosts if entry["name"] == "mgr1"), where="m")
        service = json.loads(await link.get("/services"))[0]["ID"]
        tasks = [t for t in json.loads(await link.get("/tasks")) if t["ServiceID"] == service]
        key = service if kind == "services" else tasks[0]["ID"]

        async def in_use() -> Engine:
            return link

        async with aclosing(follow(in_use, LogQuery(kind, key))) as batches:
            found = await until(batches, lambda found: len(all_said(found)) > 3)
        lines = [line for batch in found for line in batch.lines]
        assert {line.origin.task for line in lines} <= {task["ID"] for task in tasks}
        assert all(line.when and line.origin.node for line in lines)
        assert [line.when for line in found[1].lines] == sorted(line.when for line in found[1].lines)
        await link.close()
