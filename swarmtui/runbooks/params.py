"""The parameters of a runbook, declared once: the form, `--help`, `run --list` and the checks all come from here."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swarmtui.errors import UsageError


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter.

    Attributes:
        kind: turns the text into a value; raises ValueError with a reason that follows "NAME=TEXT: ".
        shape: how the value looks, for help ("NAME[,NAME…]").
        default: used when it is not given; None together with required=False leaves it out.
    """

    name: str
    help: str
    kind: Callable[[str], Any]
    shape: str
    required: bool = False
    default: Any = None


def text(value: str) -> str:
    """A non-empty text without control characters."""
    if not value.strip():
        raise ValueError("is empty")
    if not value.isprintable():
        raise ValueError("has control characters")
    return value.strip()


def address(value: str) -> str:
    """An IP address or the name of a network card."""
    found = text(value)
    if any(character.isspace() or character in "'\"$`\\" for character in found):
        raise ValueError("is neither an IP address nor a network card")
    return found


def names(value: str) -> tuple[str, ...]:
    """One or more names, separated by commas, each once."""
    return tuple(dict.fromkeys(text(part) for part in value.split(",")))


def yes_or_no(value: str) -> bool:
    """true or false (yes, no, on, off, 1, 0)."""
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if value.lower() not in known:
        raise ValueError("is neither true nor false")
    return known[value.lower()]


def seconds(value: str) -> int:
    """A number of seconds, 1 to 86,400."""
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 86_400:
        raise ValueError("is no number of seconds from 1 to 86400")
    return int(value)


def labels(value: str) -> tuple[tuple[str, str | None], ...]:
    """Label changes: KEY=VALUE adds or changes, KEY- removes; several are separated by commas."""
    changes: dict[str, str | None] = {}
    for part in value.split(","):
        key, equals, new = text(part).partition("=")
        if not equals:
            if not key.endswith("-"):
                raise ValueError(f'"{part}" is neither KEY=VALUE nor KEY-')
            key = key[:-1]
        if not key or any(c.isspace() for c in key):
            raise ValueError(f'"{part}" names no label')
        if key in changes:
            raise ValueError(f'names the label "{key}" twice')
        changes[key] = new if equals else None
    return tuple(changes.items())


_UNESCAPED_COMMA = re.compile(r"(?<!\\),")
_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([bkmgt]?)(?:i?b)?", re.IGNORECASE)
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:h|m|s|ms|us|ns))+")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|m|s|us|ns)")
_NANOSECONDS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
LEAST_MEMORY = 4 << 20
"""Bytes; the engine refuses less (swarmkit, controlapi/common.go), and less than a thousandth of a core."""
LEAST_CPUS = 10**6


def count(value: str) -> int:
    """A whole number, 0 to 1,000,000."""
    if not value.isascii() or not value.isdigit() or int(value) > 1_000_000:
        raise ValueError("is no whole number from 0 to 1000000")
    return int(value)


def cores(value: str) -> int:
    """CPUs as a decimal number ("0.5"), in billionths of a core; 0 for no such limit or reservation."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,9})?", value):
        raise ValueError('is no number of CPUs such as "0.5"')
    whole, _, fraction = value.partition(".")
    nano = int(whole) * 10**9 + int(f"{fraction:0<9}")
    if 0 < nano < LEAST_CPUS:
        raise ValueError("is less than 0.001, the least the engine takes")
    return nano


def memory(value: str) -> int:
    """Memory in the docker CLI's units ("512M", "1.5g": powers of 1024), in bytes; 0 for no limit or reservation."""
    match = _MEMORY.fullmatch(value.strip())
    if match is None:
        raise ValueError('is no amount of memory such as "512M"')
    size = int(float(match[1]) * (1 << 10 * "bkmgt".index(match[2].lower() or "b")))
    if 0 < size < LEAST_MEMORY:
        raise ValueError("is less than 4M, the least the engine takes")
    return size


def duration(value: str) -> int:
    """A time in Go's manner ("10s", "1m30s", "500ms"), a bare number being seconds; in nanoseconds."""
    text = f"{value}s" if value.isascii() and value.isdigit() else value
    if not _DURATION.fullmatch(text):
        raise ValueError('is no length of time such as "10s" or "1m30s"')
    return sum(round(float(number) * _NANOSECONDS[unit]) for number, unit in _DURATION_PART.findall(text))


def update_order(value: str) -> str:
    """start-first or stop-first."""
    if value not in ("start-first", "stop-first"):
        raise ValueError("is neither start-first nor stop-first")
    return value


def settings(value: str) -> tuple[tuple[str, str | None], ...]:
    """Changes like those of `labels`; a comma that belongs to a value is written "\\,"."""
    changes: dict[str, str | None] = {}
    for part in _UNESCAPED_COMMA.split(value):
        key, equals, new = text(part).replace("\\,", ",").partition("=")
        if not equals:
            if not key.endswith("-"):
                raise ValueError(f'"{part}" is neither KEY=VALUE nor KEY- (a comma inside a value is written \\,)')
            key = key[:-1]
        if not key or any(c.isspace() for c in key):
            raise ValueError(f'"{part}" has no name before the "="')
        if key in changes:
            raise ValueError(f'names "{key}" twice')
        changes[key] = new if equals else None
    return tuple(changes.items())


def constraints(value: str) -> tuple[tuple[str, bool], ...]:
    """Placement constraints: KEY==VALUE or KEY!=VALUE adds one (True), with a "-" behind it takes it away (False)."""
    changes: dict[str, bool] = {}
    for part in names(value):
        added = not part.endswith("-")
        constraint = part if added else part[:-1].rstrip()
        if not re.fullmatch(r"[A-Za-z][\w.\-]*\s*(==|!=)\s*\S.*", constraint):
            raise ValueError(f'"{part}" is no constraint such as node.labels.zone==a')
        if constraint in changes:
            raise ValueError(f'names "{constraint}" twice')
        changes[constraint] = added
    return tuple(changes.items())


def parse(runbook: str, declared: Sequence[Param], given: Mapping[str, str]) -> dict[str, Any]:
    """Checks and converts the parameters a person gave.

    Raises:
        UsageError: unknown, missing or wrong ones.
    """
    by_name = {param.name: param for param in declared}
    for name in given:
        if name not in by_name:
            close = difflib.get_close_matches(name, by_name, 1)
            hint = f'Did you mean "{close[0]}"? ' if close else ""
            known = ", ".join(f"{p.name}={p.shape}" for p in declared) or "none"
            raise UsageError(f'{runbook} has no parameter "{name}".', f"{hint}It takes: {known}.")
    values: dict[str, Any] = {}
    for param in declared:
        if param.name in given:
            try:
                values[param.name] = param.kind(given[param.name])
            except ValueError as error:
                raise UsageError(
                    f"{runbook}: {param.name}={given[param.name]!r} {error}.", f"Write {param.name}={param.shape}."
                ) from None
        elif param.required:
            raise UsageError(f"{runbook} needs {param.name}=.", f"Write {param.name}={param.shape}: {param.help}.")
        elif param.default is not None:
            values[param.name] = param.default
    return values
