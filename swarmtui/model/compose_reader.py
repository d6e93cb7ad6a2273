"""Reading values of a compose file with their place in it: a wrong one is told by its key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from swarmtui.model.compose_variables import ComposeError, Path

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class At:
    """A value of the file, and the keys that lead to it. A value that is not there is None."""

    value: Any
    path: Path = ()

    def __bool__(self) -> bool:
        return self.value is not None

    def wrong(self, what: str) -> ComposeError:
        return ComposeError(self.path, what)

    def get(self, key: str) -> At:
        """The value of a key; a mapping (or nothing) is expected here."""
        return At(self._mapping().get(key), (*self.path, key))

    def items(self) -> Iterator[tuple[str, At]]:
        """The entries of a mapping; none where there is nothing."""
        for key, value in self._mapping().items():
            yield key, At(value, (*self.path, key))

    def _mapping(self) -> dict[str, Any]:
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.wrong("must be a mapping (KEY: VALUE)")
        for key in self.value:
            if not isinstance(key, str):
                raise self.wrong(f"has the key {key!r}, which is no text: write it in quotes")
        return self.value

    def each(self) -> Iterator[At]:
        """The elements of a list; none where there is nothing."""
        if self.value is None:
            return
        if not isinstance(self.value, list):
            raise self.wrong("must be a list (- VALUE)")
        for i, value in enumerate(self.value):
            yield At(value, (*self.path, i))

    def only(self, known: frozenset[str]) -> None:
        """Refuses keys that docker stack does not know; x-… are for people."""
        for key, at in self.items():
            if key not in known and not key.startswith("x-"):
                raise at.wrong("is no key that docker stack knows here")

    def text(self) -> str:
        """A text; numbers count as one."""
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float):
            raise self.wrong("must be a text" + (" (write it in quotes)" if isinstance(self.value, bool) else ""))
        return str(self.value)

    def whole(self) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 0:
            raise self.wrong("must be a whole number, 0 or more")
        return self.value

    def flag(self) -> bool:
        if self.value is not None and not isinstance(self.value, bool):
            raise self.wrong("must be true or false")
        return bool(self.value)

    def texts(self) -> list[str]:
        return [at.text() for at in self.each()]

    def words(self) -> tuple[str, ...] | str:
        """A command: a list of words, or one text that a shell would split; () where there is none."""
        if isinstance(self.value, str):
            return self.value
        return tuple(self.texts())

    def pairs(self) -> dict[str, str | None]:
        """A mapping, or a list of KEY=VALUE. None: the key stands there alone."""
        found: dict[str, str | None] = {}
        if isinstance(self.value, list):
            for at in self.each():
                key, equals, value = at.text().partition("=")
                found[key] = value if equals else None
            return found
        for key, at in self.items():
            found[key] = number(at.value) if isinstance(at.value, float) else at.text() if at else None
        return found

    def cpus(self) -> int:
        """Billionths of a core; 0 where there is nothing."""
        if not self:
            return 0
        try:
            return round(float(self.text()) * 1_000_000_000)
        except (ValueError, OverflowError):
            raise self.wrong("is no number of cores") from None

    def size(self) -> int:
        """Bytes, from 512M or 1.5g (units of 1024, as docker counts); 0 where there is nothing."""
        if not self:
            return 0
        match = _SIZE.fullmatch(self.text())
        if match is None:
            raise self.wrong("is no size (512M, 2g)")
        return int(float(match[1]) * 1024 ** (" kmgtp".index(match[2].lower() or " ")))


def number(value: float) -> str:
    """A float as Go prints it in an environment."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
