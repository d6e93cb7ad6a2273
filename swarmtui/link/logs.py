"""Follows the log of a service or a task, over lost connections and other managers, without losing or repeating lines.

Reading goes at the pace of whoever iterates; `LogStream` keeps what comes meanwhile, up to a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Struct, field

from swarmtui.errors import EngineError, SwarmtuiError
from swarmtui.link.log_frames import NO_READING, NOBODY, SYSTEM, Assembler, LogLine
from swarmtui.link.refusals import UNREADABLE

if TYPE_CHECKING:
    from swarmtui.link.engine import Engine
    from swarmtui.link.log_stream import LogStream

BACK_OFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
GATHER_SECONDS = 0.15
"""How long a first batch is waited for: nodes send their past one after the other, and together it can be sorted."""
GAPS_SECONDS = 10.0
BATCH_LINES: Final = 2_000
"""Lines that are taken at a time: handling them takes a few ms of the event loop."""
FIRST_TAIL: Final = 500
"""Lines of the past that are asked for at first, of each task."""
OVERLAP_SECONDS: Final = 10.0
"""After a lost connection lines are asked for from so long before the last one: clocks of nodes differ, and so does how
long their lines are under way."""
FIRST_API = (1, 29)
COPIES_API = (1, 41)
READABLE = ("json-file", "journald", "local")
NOT_IMPLEMENTED = 501
SAID_MAX: Final = 100
_NANO: Final = 1_000_000_000
_when = attrgetter("when")

Kind = Literal["services", "tasks"]


class LogQuery(Struct, frozen=True):
    """Which log, and from when.

    Attributes:
        kind: services or tasks.
        id: of the service or task.
        since: seconds since the epoch, 0.0 for no bound.
        tail: lines of the past, of each task, at most.
    """

    kind: Kind
    id: str
    since: float = 0.0
    tail: int = FIRST_TAIL

    @property
    def path(self) -> str:
        return f"/{self.kind}/{self.id}/logs"


class Batch(Struct, frozen=True):
    """What has come.

    Attributes:
        lines: in the order of their times, as far as they came together.
        dropped: lines before these that came faster than they were taken, and are gone.
        live: the engine is answering; else the connection is waited for.
        note: one sentence about a change of that, or "".
    """

    lines: list[LogLine]
    dropped: int = 0
    live: bool = True
    note: str = ""


async def follow(engine: Callable[[], Awaitable[Engine]], query: LogQuery) -> AsyncGenerator[Batch, None]:
    """Yields what comes, for as long as it is iterated; close the iterator (aclose) to end the stream.

    Args:
        engine: the engine in use; waits until there is one.

    Raises:
        EngineError: the engine refused for good: there is no such service or task, or its log cannot be read.
    """
    seen = _Seen()
    failures = 0
    lost = ended = ""
    probe: asyncio.Task[None] | None = None
    while True:
        link = await engine()
        _check_api(link)
        stream = link.logs(query.path, _params(query, seen))
        try:
            await stream.opened()
            yield Batch([], note="Connected again." if lost else "")
            lost = ""
            if probe is None or probe.cancelled():
                probe = asyncio.create_task(_look_for_gaps(link, query, stream))
            await asyncio.sleep(GATHER_SECONDS)
            while (taken := await stream.take(BATCH_LINES)) is not None:
                lines = seen.fresh(taken.lines)
                if lines or taken.dropped:
                    failures, ended = 0, ""
                    yield Batch(lines, taken.dropped)
            if not ended:
                ended = f"{link.where} ended the log; it is asked for more from time to time."
                yield Batch([], note=ended)
        except SwarmtuiError as error:
            if isinstance(error, EngineError) and not _passes(error):
                raise
            if error.what != lost:
                lost = error.what
                yield Batch([], live=False, note=lost)
        finally:
            stream.close()
            if probe is not None:
                probe.cancel()
        seen.resume()
        await asyncio.sleep(BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS) - 1)])
        failures += 1


class _Driver(Struct):
    name: str = field(name="Name", default="")


class _TaskSpec(Struct):
    driver: _Driver | None = field(name="LogDriver", default=None)


class _ServiceSpec(Struct):
    template: _TaskSpec = field(name="TaskTemplate", default_factory=_TaskSpec)


class _Service(Struct):
    spec: _ServiceSpec = field(name="Spec", default_factory=_ServiceSpec)


class _Task(Struct):
    spec: _TaskSpec = field(name="Spec", default_factory=_TaskSpec)


async def _look_for_gaps(link: Engine, query: LogQuery, stream: LogStream) -> None:
    """Puts into the stream why lines may be missing: a driver cannot be read, a node is down.

    A log that is followed does not tell that: of a driver only the node's own journal does (moby: "logs call failed"),
    of a node a log that ends.
    """
    params = {"stdout": "1", "stderr": "1", "timestamps": "1", "details": "1", "tail": "1"}
    with suppress(*UNREADABLE, SwarmtuiError):
        body = await link.get(f"/{query.kind}/{query.id}")
        if query.kind == "tasks":
            driver = msgspec.json.decode(body, type=_Task).spec.driver
        else:
            driver = msgspec.json.decode(body, type=_Service).spec.template.driver
        if driver is not None and not _can_be_read(driver.name, link.api_version):
            stream.add([LogLine("", NOBODY, SYSTEM, " ".join(NO_READING))])
    # What is wrong with the engine, the stream itself finds out.
    with suppress(SwarmtuiError):
        body = await link.get(query.path, params=params, timeout=GAPS_SECONDS, clean=False)
        assembler = Assembler()
        stream.add([line for line in (*assembler.feed(body), *assembler.finish()) if line.stream == SYSTEM])


def _can_be_read(driver: str, api_version: str) -> bool:
    """Whether a log written with this driver can be read; since Docker 20.10 nearly all keep a copy for that."""
    return driver in ("", *READABLE) or (driver != "none" and _numbers(api_version) >= COPIES_API)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _check_api(link: Engine) -> None:
    version = _numbers(link.api_version)
    if version and version < FIRST_API:
        raise EngineError(
            f"{link.where} has no logs of services and tasks: its engine offers API {link.api_version}, and they came "
            "with 1.29 (Docker 17.05).",
            "Read them on the node: docker logs CONTAINER.",
        )


def _passes(error: EngineError) -> bool:
    """Whether asking again can help: no leader, an engine that is starting, one that is slow."""
    return error.status == 0 or (error.status >= 500 and error.status != NOT_IMPLEMENTED)


def _params(query: LogQuery, seen: _Seen) -> dict[str, str]:
    params = {"follow": "1", "stdout": "1", "stderr": "1", "timestamps": "1", "details": "1"}
    last = seen.last()
    if last:
        begin = max(0, last - int(OVERLAP_SECONDS * _NANO))
        # What was missed counts, however much it is: what is too much is dropped here, and counted.
        return {**params, "since": f"{begin // _NANO}.{begin % _NANO:09d}", "tail": "all"}
    if query.since:
        params["since"] = f"{query.since:.9f}"
    return {**params, "tail": str(query.tail)}


class _Last(Struct):
    """The newest line of one stream of one task: its time, and how many lines had just that time."""

    when: str
    count: int = 1


class _Seen:
    """Knows which lines were handed on, so that after a lost connection none comes twice."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], _Last] = {}
        self._old: dict[tuple[str, int], tuple[int, int]] = {}
        self._skipping: set[tuple[str, int]] = set()
        self._said: set[str] = set()

    def last(self) -> int:
        """The time of the newest line of all, in ns since the epoch; 0 without one."""
        return max((nanoseconds(last.when) for last in self._last.values()), default=0)

    def resume(self) -> None:
        """From now on lines come again that came before."""
        self._old = {key: (nanoseconds(last.when), last.count) for key, last in self._last.items()}
        self._skipping.clear()

    def fresh(self, lines: list[LogLine]) -> list[LogLine]:
        """Returns the lines that were not handed on before."""
        if not all(map(_when, lines)):
            lines = [line for line in lines if line.stream != SYSTEM or self._is_news(line.text)]
        if self._old:
            lines = [line for line in lines if self._is_fresh(line)]
        self._note(lines)
        return lines

    def _is_news(self, text: str) -> bool:
        """Whether the engine says something about the log for the first time."""
        if text in self._said:
            return False
        if len(self._said) >= SAID_MAX:
            self._said.clear()
        self._said.add(text)
        return True

    def _note(self, lines: Iterable[LogLine]) -> None:
        known = self._last
        for line in lines:
            if line.joined or not line.when:
                continue
            key = line.origin.task, line.stream
            last = known.get(key)
            if last is None:
                known[key] = _Last(line.when)
            elif last.when == line.when:
                last.count += 1
            else:
                last.when, last.count = line.when, 1

    def _is_fresh(self, line: LogLine) -> bool:
        key = line.origin.task, line.stream
        old = self._old.get(key)
        if line.joined:
            return key not in self._skipping
        if old is None or not line.when:
            return True
        when, (last, count) = nanoseconds(line.when), old
        if when > last or (when == last and count == 0):
            del self._old[key]
            self._skipping.discard(key)
            return True
        if when == last:
            self._old[key] = last, count - 1
        self._skipping.add(key)
        return False


def nanoseconds(when: str) -> int:
    """Returns a time of the engine as ns since the epoch; 0 for what is none."""
    whole, dot, rest = when.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789")) if dot else 0
    zone = rest[digits:] if dot else ""
    with suppress(ValueError, OverflowError):
        seconds = int(datetime.fromisoformat(whole + zone).timestamp())
        return seconds * _NANO + int(rest[:digits].ljust(9, "0")[:9] or 0)
    return 0
