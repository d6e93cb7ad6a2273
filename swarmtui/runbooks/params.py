"""The parameters of a runbook, declared once: the form, `--help`, `run --list` and the checks all come from here."""

from __future__ import annotations

import difflib
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
