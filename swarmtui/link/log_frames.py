"""Bytes of a log answer into lines: the engine's framing, the raw format of a TTY, and what stands before each line.

Asked with timestamps and details, an engine writes each line as `TIME KEY=VALUE,… TEXT`; several streams share one
answer in frames of an 8-byte header (kind, three zeros, length) and a payload; a TTY has no frames. A line of more than
16 KiB comes in pieces without a newline, each with a time and details of its own (moby: daemon/logger/copier.go,
api/server/httputils/write_log_stream.go).
"""

from __future__ import annotations

import re
import struct
from typing import Final
from urllib.parse import unquote_plus

from msgspec import Struct

from swarmtui.model.text import harmless, one_line

STDOUT: Final = 1
STDERR: Final = 2
SYSTEM: Final = 3
"""What the engine, or we, say about the log: no line of a task."""

LINE_MAX: Final = 16 << 10
"""Bytes of one entry; a longer line is kept as several, so that one without an end costs no memory."""
_WHOLE_FRAME = 64 << 10
_HEADER = 8
_HEAD = struct.Struct(">II")
_FIXED: Final = len("2026-11-21T03:00:00.000000000Z ")
_ORIGINS_MAX = 4_096
_BEGUN_MAX = 256
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) ")
_TASK_KEY = b"com.docker.swarm.task.id="
_DETAILS_MAX = 4_096
_COLOUR = re.compile("\x1b\\[[0-9;:]*m")
_ENGINE_SAYS = "Error grabbing logs: "
_RPC = re.compile(r"^(?:rpc error: code = \w+ desc = )?(?:warning: )?")
_INCOMPLETE = "incomplete log stream. some logs could not be retrieved for the following reasons: "
_NO_READING = "configured logging driver does not support reading"
NO_READING = (
    "The logging driver in use cannot be read back: these lines went somewhere else, or nowhere (driver none).",
    "Look where the driver sends them: docker service inspect, docker info --format '{{.LoggingDriver}}' on the node.",
)


class Origin(Struct, frozen=True, gc=False):
    """Which task wrote a line, and on which node; "" where the engine does not say."""

    task: str = ""
    node: str = ""


NOBODY: Final = Origin()
_NOTHING = ("", NOBODY)


class LogLine(Struct, frozen=True, gc=False):
    """One line of a log, harmless for a terminal and without tabs.

    Attributes:
        when: time of the engine in RFC 3339 with nanoseconds, "" where there is none.
        stream: STDOUT, STDERR or SYSTEM.
        joined: it is the rest of the entry before it, which was too long for one.
    """

    when: str
    origin: Origin
    stream: int
    text: str
    joined: bool = False


class _Begun(Struct, frozen=True):
    when: str
    text: bytes
    joined: bool


class Assembler:
    """Takes an answer piece by piece, cut anywhere; gives its lines, each of them harmless.

    Attributes:
        broken: what came last is no log of an engine.
    """

    def __init__(self) -> None:
        self.broken = False
        self._rest = b""
        self._framed: bool | None = None
        self._passing = (STDOUT, 0)
        self._origins: dict[bytes, Origin] = {}
        # Per stream: time and task of what was written last. Per stream and task: a line that has begun.
        self._current: dict[int, tuple[str, Origin]] = {}
        self._begun: dict[tuple[int, Origin], _Begun] = {}

    def feed(self, piece: bytes) -> list[LogLine]:
        """Returns the lines that are complete with this piece."""
        lines: list[LogLine] = []
        data = self._rest + piece if self._rest else piece
        if self._framed is None:
            if len(data) < 4 and data[:1] <= b"\x03":
                self._rest = data
                return lines
            # Times are asked for, so that what is not framed begins with a digit, or with the engine's own words.
            self._framed = data[0] <= SYSTEM and data[1:4] == b"\0\0\0"
        self._rest = self._frames(data, lines) if self._framed else self._raw(data, lines)
        return lines

    def finish(self) -> list[LogLine]:
        """Returns lines that had begun when the engine ended the answer. Not for one that was cut off."""
        lines: list[LogLine] = []
        if self._framed is False and self._rest:
            self._part(STDOUT, self._rest, True, True, lines)
        for key in list(self._begun):
            self._close(key, lines)
        return lines

    def _raw(self, data: bytes, lines: list[LogLine]) -> bytes:
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._part(STDOUT, line, True, True, lines)
        if len(rest) > LINE_MAX:
            self._part(STDOUT, rest, True, False, lines)
            rest = b""
        return rest

    def _frames(self, data: bytes, lines: list[LogLine]) -> bytes:
        """Takes whole frames; returns what is left. Of one that is very long it takes what there is."""
        at, end = 0, len(data)
        kind, left = self._passing
        if left:
            at = min(end, left)
            self._payload(kind, data[:at], False, lines)
            self._passing = kind, left - at
        while end - at >= _HEADER:
            word, size = _HEAD.unpack_from(data, at)
            kind = word >> 24
            if kind > SYSTEM or word & 0xFFFFFF:
                self.broken = True
                return b""
            begin = at + _HEADER
            stop = begin + size
            if stop <= end:
                at = stop
                if not self._usual(kind, data[begin:stop], lines):
                    self._payload(kind, data[begin:stop], True, lines)
            elif size <= _WHOLE_FRAME or end - begin < _DETAILS_MAX:
                break
            else:
                self._payload(kind, data[begin:], True, lines)
                self._passing = kind, stop - end
                return b""
        return data[at:]

    def _usual(self, kind: int, payload: bytes, lines: list[LogLine]) -> bool:
        """Takes a frame that is as nearly all are, in a third of the time: one harmless line of a task seen before."""
        size = len(payload)
        if self._begun or not _FIXED < size <= LINE_MAX or payload.find(b"\n") != size - 1:
            return False
        space = payload.find(b" ", _FIXED)
        origin = self._origins.get(payload[_FIXED:space])
        if origin is None or payload[_FIXED - 2 : _FIXED] != b"Z " or _STAMP.match(payload) is None:
            return False
        try:
            text = payload[:-1].decode()
        except UnicodeDecodeError:
            return False
        if not text.isprintable():
            return False
        when = text[: _FIXED - 1]
        self._current[kind] = when, origin
        # Time and details are ASCII, so that bytes and characters are the same up to here.
        lines.append(LogLine(when, origin, STDERR if kind == STDERR else STDOUT, text[space + 1 :]))
        return True

    def _payload(self, kind: int, data: bytes, first: bool, lines: list[LogLine]) -> None:
        """Takes what one stream has written; first: a frame begins with it, and so a time and details."""
        at, end = 0, len(data)
        while at < end:
            newline = data.find(b"\n", at)
            stop = newline if newline >= 0 else end
            self._part(kind, data[at:stop], first or at > 0, newline >= 0, lines)
            at = stop + 1

    def _part(self, kind: int, part: bytes, first: bool, complete: bool, lines: list[LogLine]) -> None:
        """Takes a line, or a part of one, of one stream."""
        if first:
            when, origin, at = self._prefix(kind, part)
            text = part[at:]
        else:
            (when, origin), text = self._current.get(kind, ("", NOBODY)), part
        key, joined = (kind, origin), False
        begun = self._begun.pop(key, None)
        if begun is not None:
            when, text, joined = begun.when, begun.text + text, begun.joined
        at = 0
        while len(text) - at > LINE_MAX:
            stop = at + LINE_MAX
            while stop > at + LINE_MAX - 4 and text[stop] & 0xC0 == 0x80:
                stop -= 1  # never in the middle of a character
            lines.append(self._line(kind, origin, when, text[at:stop], joined))
            at, joined = stop, True
        text = text[at:]
        if complete:
            if text or not joined:
                lines.append(self._line(kind, origin, when, text, joined))
            return
        self._begun[key] = _Begun(when, text, joined)
        if len(self._begun) > _BEGUN_MAX:
            self._close(next(iter(self._begun)), lines)

    def _prefix(self, kind: int, part: bytes) -> tuple[str, Origin, int]:
        """Reads time and details; returns them, and where the text begins. Text without them goes on with the last."""
        stamp = _STAMP.match(part)
        if stamp is None:
            engine = kind == SYSTEM or part.startswith(_ENGINE_SAYS.encode())
            return (*(_NOTHING if engine else self._current.get(kind, _NOTHING)), 0)
        at = stamp.end()
        when, origin = part[: at - 1].decode("ascii"), NOBODY
        space = part.find(b" ", at, at + _DETAILS_MAX)
        details = part[at:space] if space >= 0 else b""
        known = self._origins.get(details)
        if known is None and _TASK_KEY in details and details.isascii():
            if len(self._origins) >= _ORIGINS_MAX:
                self._origins.clear()
            known = self._origins[details] = _origin(details)
        if known is not None:
            origin, at = known, space + 1
        self._current[kind] = when, origin
        return when, origin, at

    def _close(self, key: tuple[int, Origin], lines: list[LogLine]) -> None:
        begun = self._begun.pop(key)
        if begun.text:
            lines.append(self._line(*key, begun.when, begun.text, begun.joined))

    def _line(self, kind: int, origin: Origin, when: str, data: bytes, joined: bool) -> LogLine:
        text = data.decode("utf-8", "replace")
        if not text.isprintable():
            text = _disarmed(text)
        if not when and (kind == SYSTEM or text.startswith(_ENGINE_SAYS)):
            return LogLine("", NOBODY, SYSTEM, engine_says(text))
        return LogLine(when, origin, kind if kind == STDERR else STDOUT, text, joined)


def _disarmed(text: str) -> str:
    """Makes a text harmless: colours go without a trace, everything else leaves one."""
    text = text.removesuffix("\r")
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    if "\t" in text:
        text = text.expandtabs(8)
    return harmless(text)


def _origin(details: bytes) -> Origin:
    found: dict[str, str] = {}
    for pair in details.decode("utf-8", "replace").split(","):
        name, _, value = pair.partition("=")
        found[unquote_plus(name)] = one_line(unquote_plus(value))[:64]
    return Origin(found.get("com.docker.swarm.task.id", ""), found.get("com.docker.swarm.node.id", ""))


def engine_says(text: str) -> str:
    """What the engine says about a log, in plain words."""
    if _NO_READING in text:
        return " ".join(NO_READING)
    words = _RPC.sub("", text.removeprefix(_ENGINE_SAYS), count=1)
    if words.startswith(_INCOMPLETE):
        return f"Some lines are missing: {words.removeprefix(_INCOMPLETE)}."
    return f"The engine says: {words}"
