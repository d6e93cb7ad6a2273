"""The one error tree. Every error a person can meet says what happened, where, and what to do next."""

from __future__ import annotations

from typing import ClassVar


class SwarmtuiError(Exception):
    """Base of all errors meant for a person.

    Attributes:
        what: one sentence that says what happened and where.
        next_step: one sentence that says what to do about it; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.what} {self.next_step}" if self.next_step else self.what


class UsageError(SwarmtuiError):
    """What the person typed, or wrote in a file, cannot be meant. Nothing was touched."""

    exit_code = 2


class UnreachableError(SwarmtuiError):
    """Nobody answered, or nobody who could help."""

    exit_code = 3


class RefusedError(SwarmtuiError):
    """A safety rule stopped it, and nobody accepted the rule by name. Nothing was touched."""

    exit_code = 4


class EngineError(SwarmtuiError):
    """The engine answered with an error.

    Attributes:
        status: HTTP status of the answer.
        message: the engine's own words, made harmless for a terminal.
    """

    def __init__(self, what: str, next_step: str = "", *, status: int = 0, message: str = "") -> None:
        super().__init__(what, next_step)
        self.status = status
        self.message = message
