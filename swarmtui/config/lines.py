"""Where a key stands in a TOML file, and the error that names it: tomllib keeps no positions."""

from __future__ import annotations

import re
from pathlib import Path

from swarmtui.errors import UsageError


def wrong(file: Path, text: str, where: tuple[str, ...], key: str, what: str, next_step: str) -> UsageError:
    """The error about a key, or with "" about the table; names file, line and key."""
    place = ".".join((*where, key) if key else where)
    return UsageError(f"{file}, line {line_of(text, where, key)}, {place}: {what}.", next_step)


def line_of(text: str, where: tuple[str, ...], key: str) -> int:
    """Line of a key, or of the table it should be in.

    Good for tables, dotted keys, inline tables on one line and every kind of quotes.
    """
    wanted = (*where, key) if key else where
    best, line_found = 0, 1
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = path = _names(header[1])
        elif pair := _PAIR.match(line):
            path = (*table, *_names(pair[1]))
            # An inline table: its keys are on the same line.
            rest = wanted[len(path) :]
            if wanted[: len(path)] == path and rest and re.search(rf"[{{,]\s*[\"']?{re.escape(rest[0])}\b", pair[2]):
                path = wanted
        else:
            continue
        common = 0
        while common < min(len(path), len(wanted)) and path[common] == wanted[common]:
            common += 1
        if common == len(wanted):
            return number
        if common > best:
            best, line_found = common, number
    return line_found


_NAME = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_PATH = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEADER = re.compile(rf"^\s*\[\s*({_PATH})\s*\]")
_PAIR = re.compile(rf"^\s*({_PATH})\s*=(.*)$")


def _names(path: str) -> tuple[str, ...]:
    return tuple(name.strip("\"'") for name in re.findall(_NAME, path))
