"""What docker/ucp says while it works: three forms of line, also mixed in one run (ucp-dtr.md §1.9). Pure.

With a terminal `INFO[0000] text`; without one `time="…" level=info msg="text"`; with --jsonlog one JSON object a line.
The counter in the first form starts again in the second phase, so lines are never sorted by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

from swarmtui.model.text import one_line

Level = Literal["debug", "info", "warning", "error", "fatal", ""]
LONGEST: Final = 1000
"""Characters of a line that are kept."""
_LEVELS: Final[dict[str, Level]] = {
    "debu": "debug", "trac": "debug", "info": "info", "warn": "warning", "erro": "error", "fata": "fatal",
    "pani": "fatal",
}  # fmt: skip
_ESCAPES: Final = re.compile("\x1b\\[[0-9;]*m")
_TERMINAL: Final = re.compile(r"(DEBU|TRAC|INFO|WARN|ERRO|FATA|PANI)\[[0-9]+\] ?(.*)")
# One of the transcripts that are known ends without the closing quote.
_PLAIN: Final = re.compile(r'time="?[^" ]*"? level=([a-z]+) msg=(?:"((?:[^"\\]|\\.)*)"?|(\S*))(.*)')
_PASSWORD: Final = re.compile(r"(Generated random admin password: ?)\S.*")
_PULLING: Final = re.compile(r"Pulling (?:image )?(\S+/\S+:\S+)")
_STEP: Final = re.compile(r"Step ([0-9]{1,3}) of ([0-9]{1,3}): ?\[?([^\]]*)\]?")


class Line(Struct, frozen=True):
    """One line. level: "" where it has none: what a program said that the image started, or docker itself."""

    level: Level
    text: str

    @property
    def fatal(self) -> bool:
        """After it the command ended without success, whatever its exit status."""
        return self.level == "fatal"

    def __str__(self) -> str:
        return f"{self.level}: {self.text}" if self.level in ("warning", "error", "fatal") else self.text


class Progress(Struct, frozen=True):
    """How far an install is. of: how many steps there are; 0 where the version does not tell."""

    done: int
    of: int
    what: str


def parse(line: str) -> Line | None:
    """One line of output; None for an empty one. A password in it is taken out."""
    text = _ESCAPES.sub("", line.strip())
    if not text:
        return None
    level, said = _split(text)
    return Line(level, _PASSWORD.sub(r"\1(hidden)", one_line(said))[:LONGEST])


def _split(text: str) -> tuple[Level, str]:
    if found := _TERMINAL.fullmatch(text):
        return _LEVELS[found[1].lower()], found[2]
    if text.startswith("{"):
        try:
            document = json.loads(text)
            return _LEVELS.get(str(document["level"])[:4], ""), str(document["msg"])
        except (ValueError, KeyError, TypeError):
            return "", text
    if found := _PLAIN.fullmatch(text):
        quoted = found[2]
        said = found[3] if quoted is None else quoted.replace('\\"', '"').replace("\\n", " ").replace("\\\\", "\\")
        return _LEVELS.get(found[1][:4], ""), f"{said}{found[4]}"
    return "", text


def read(output: str) -> tuple[Line, ...]:
    """All lines of an output, in the order in which they came."""
    return tuple(line for each in output.splitlines() if (line := parse(each)) is not None)


def why_failed(lines: Iterable[Line]) -> str:
    """What was fatal, else the last error, else what came last without a level; "" where nothing tells.

    What a second phase says of its end comes before what the first one says of that: both are told.
    """
    found: dict[str, str] = {}
    fatal: list[str] = []
    for line in lines:
        found[line.level] = line.text
        if line.fatal:
            fatal.append(line.text.rstrip(". "))
    if fatal:
        return "; ".join(dict.fromkeys((fatal[0], fatal[-1])))
    return next((found[level] for level in ("error", "") if found.get(level)), "").rstrip(". ")


def progress(line: Line, images: int = 0) -> Progress | None:
    """How far the command is by this line; None where it does not tell.

    Args:
        images: pulls that were seen before.
    """
    if found := _STEP.match(line.text):
        return Progress(int(found[1]), int(found[2]), found[3].strip() or line.text)
    if found := _PULLING.match(line.text):
        return Progress(images + 1, 0, f"pulling {found[1]}")
    return None
