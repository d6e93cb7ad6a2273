"""The values of a compose file on a simulated host: read with their place, refused in docker's words."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SIZE = re.compile(r"(\d{1,15}(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_SPAN = re.compile(r"(\d{1,15}(?:\.\d+)?)(ns|us|ms|s|m|h)")
_NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_NAME = r"[_a-zA-Z][_a-zA-Z0-9]*"
_VARIABLE = re.compile(
    rf"\$(?:(?P<dollar>\$)|(?P<bare>{_NAME})|\{{(?P<name>{_NAME})(?:(?P<how>:?[-?])(?P<rest>[^}}]*))?\}}|(?P<bad>))"
)


class ComposeError(Exception):
    """A compose file that docker would refuse; the text is what it says."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the file, and the keys that lead to it. What is not there is None."""

    raw: Any
    path: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.raw is not None

    @property
    def place(self) -> str:
        """The keys as docker writes them: services.web.ports.0."""
        return ".".join(self.path) or "(root)"

    def wrong(self, what: str) -> ComposeError:
        return ComposeError(f"{self.place} {what}")

    def entries(self) -> Iterator[tuple[str, Value]]:
        """Keys and values of a mapping; none where there is nothing."""
        if self.raw is None:
            return
        if not isinstance(self.raw, dict):
            raise self.wrong("must be a mapping")
        for key, raw in self.raw.items():
            yield key, Value(raw, (*self.path, key))

    def get(self, *keys: str) -> Value:
        """The value under a key of a mapping, or under a key of that one."""
        found = self
        for key in keys:
            found = dict(found.entries()).get(key, Value(None, (*found.path, key)))
        return found

    def each(self) -> Iterator[Value]:
        """The elements of a list; none where there is nothing."""
        if self.raw is None:
            return
        if not isinstance(self.raw, list):
            raise self.wrong("must be a list")
        for number, raw in enumerate(self.raw):
            yield Value(raw, (*self.path, str(number)))

    def only(self, known: str) -> None:
        """Refuse keys that are not among these (a blank between two) and do not begin with x-."""
        for key, _ in self.entries():
            if key not in known.split() and not key.startswith("x-"):
                raise self.wrong(f"Additional property {key} is not allowed")

    def text(self, default: str = "") -> str:
        """A text; a number counts as one."""
        if self.raw is None:
            return default
        if isinstance(self.raw, bool) or not isinstance(self.raw, str | int | float):
            raise self.wrong("must be a string")
        return str(self.raw)

    def whole(self, default: int = 0) -> int:
        """A whole number, also one that is written as a text."""
        if self.raw is None:
            return default
        if isinstance(self.raw, bool) or not re.fullmatch(r"\d{1,18}", str(self.raw), re.ASCII):
            raise self.wrong("must be a integer")
        return int(self.raw)

    def number(self) -> float:
        """A number, also one that is written as a text; 0 where there is nothing."""
        try:
            found = float(self.text("0"))
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise self.wrong("must be a number")
        return found

    def flag(self) -> bool:
        """True or false, also as a text; false where there is nothing."""
        if self.raw is None or isinstance(self.raw, bool):
            return bool(self.raw)
        if self.raw in ("true", "false"):
            return bool(self.raw == "true")
        raise self.wrong("must be a boolean")

    def texts(self) -> list[str]:
        """The elements of a list of texts; a single text is a list of one."""
        return [self.raw] if isinstance(self.raw, str) else [value.text() for value in self.each()]

    def words(self) -> list[str]:
        """A command: a list of words, or a text that is split into them."""
        if not isinstance(self.raw, str):
            return self.texts()
        try:
            return shlex.split(self.raw)
        except ValueError:
            raise self.wrong("invalid command line string") from None

    def pairs(self) -> dict[str, str | None]:
        """A mapping, or a list of KEY=VALUE. None: the key stands alone."""
        if isinstance(self.raw, list):
            parted = [text.partition("=") for text in self.texts()]
            return {key: value if equals else None for key, equals, value in parted}
        return {key: value.text() if value else None for key, value in self.entries()}

    def labels(self) -> dict[str, str]:
        """Pairs whose value may be missing."""
        return {key: value or "" for key, value in self.pairs().items()}

    def cpus(self) -> int:
        """Billionths of a core; 0 where there is nothing."""
        return round(self.number() * 10**9)

    def size(self) -> int:
        """Bytes: a number, or a text such as 512M, in units of 1024."""
        match = _SIZE.fullmatch(self.text("0"))
        if match is None:
            raise self.wrong(f"invalid size: '{self.text()}'")
        return int(float(match[1]) * 1024 ** " kmgtp".index(match[2].lower() or " "))

    def duration(self) -> int:
        """Nanoseconds, from a text such as 1m30s; 0 where there is nothing."""
        text = self.text("0s")
        if not re.fullmatch(f"(?:{_SPAN.pattern})+", text):
            raise self.wrong(f'time: invalid duration "{text}"')
        return int(sum(float(amount) * _NANOSECONDS[unit] for amount, unit in _SPAN.findall(text)))


def document(data: bytes, env: Mapping[str, str]) -> Value:
    """A compose file, with its variables replaced. It must be JSON, which is YAML too: a host needs no more.

    Raises:
        ComposeError: it is something else, or a variable in it cannot be replaced.
    """
    try:
        raw = json.loads(data.decode())
    except ValueError as error:
        where = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else "it is no UTF-8"
        raise ComposeError(f"yaml: {where} (a simulated host reads compose files as JSON only)") from None
    except RecursionError:
        raise ComposeError("yaml: exceeded max depth") from None
    if not isinstance(raw, dict):
        raise ComposeError("Top-level object must be a mapping")
    replaced = ("services", "volumes", "networks", "secrets", "configs")
    try:
        return Value({key: _replace(item, env, (key,)) if key in replaced else item for key, item in raw.items()})
    except RecursionError:
        raise ComposeError("yaml: exceeded max depth") from None


def _replace(raw: Any, env: Mapping[str, str], path: tuple[str, ...]) -> Any:
    if isinstance(raw, dict):
        return {key: _replace(item, env, (*path, key)) for key, item in raw.items()}
    if isinstance(raw, list):
        return [_replace(item, env, (*path, str(number))) for number, item in enumerate(raw)]
    return _substitute(raw, env, path) if isinstance(raw, str) else raw


def _substitute(text: str, env: Mapping[str, str], path: tuple[str, ...]) -> str:
    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        name, how, rest = match["bare"] or match["name"], match["how"] or "", match["rest"] or ""
        if not name:
            raise ComposeError(
                f'invalid interpolation format for {".".join(path)}: "{text}". '
                "You may need to escape any $ with another $."
            )
        found = env.get(name)
        if found or (found is not None and not how.startswith(":")):
            return found
        if how.endswith("?"):
            raise ComposeError(f"required variable {name} is missing a value: {rest}")
        return rest

    return _VARIABLE.sub(value, text)
