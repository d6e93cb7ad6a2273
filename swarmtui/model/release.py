"""What the tables of facts of UCP and of DTR are made of: a release by its tag, and commands with their flags. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Final, Self

from msgspec import Struct

_TAG: Final = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})(-[0-9A-Za-z.-]{1,40})?")

Rows = Sequence[tuple[str, Sequence[str], str]]
"""Command, the series that have it so, its flags without hyphens, separated by spaces."""


class Release(Struct, frozen=True, order=True):
    """A release of a product: its tag.

    Attributes:
        rest: what follows the numbers ("-tp2"), with its hyphen; "" as a rule.
    """

    SUCH_AS: ClassVar[str]
    """The product, and a tag of it, for who gave something else."""

    major: int
    minor: int
    patch: int
    rest: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The release that "2.2.5", "ucp/2.2.5" or an image such as "docker/ucp-agent:2.2.5" names.

        Raises:
            ValueError: it names none; the reason follows what was given.
        """
        tail = text.strip().rpartition("/")[2].rpartition(":")[2]
        found = _TAG.fullmatch(tail)
        if found is None:
            raise ValueError(f"is no version of {cls.SUCH_AS}")
        return cls(int(found[1]), int(found[2]), int(found[3]), found[4] or "")

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}{self.rest}"

    @property
    def numbers(self) -> tuple[int, int, int]:
        """The three numbers, to compare with."""
        return self.major, self.minor, self.patch


def commands(rows: Rows, series: str) -> frozenset[str]:
    """The commands that a series has."""
    return frozenset(command for command, known, _ in rows if series in known)


def flags(rows: Rows, series: str, command: str) -> frozenset[str]:
    """The flags that a command has in a series, without hyphens; none of a command that it does not have."""
    found = (names for name, known, names in rows if name == command and series in known)
    return frozenset(name for names in found for name in names.split())
