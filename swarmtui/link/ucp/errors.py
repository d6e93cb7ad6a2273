"""Why UCP cannot be asked, or refused what it was asked: one sentence each."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from swarmtui.errors import SwarmtuiError


class Trouble(StrEnum):
    """What went wrong, for whoever must decide what to do next."""

    AWAY = "away"
    """Nothing answers there: refused, unreachable, no such name, cut off."""
    SLOW = "slow"
    NOT_TRUSTED = "not-trusted"
    """Its certificate was not signed by the authority that is expected."""
    EXPIRED = "expired"
    WRONG_NAME = "wrong-name"
    """The authority is right, and the certificate is not for this name or address."""
    NOT_TLS = "not-tls"
    REDIRECTED = "redirected"
    TOO_LARGE = "too-large"
    NOT_UCP = "not-ucp"
    """What answers is no UCP, or answers nothing that can be read."""
    LOGIN = "login"
    """It does not take the user and password."""
    DENIED = "denied"
    """This user may not do that."""
    NOT_THERE = "not-there"
    """No such account, bundle or backup; or this version has no such call."""
    REFUSED = "refused"
    """It refused for a reason of its own, which is told."""
    FAILED = "failed"
    """It failed itself (5xx)."""


class UcpError(SwarmtuiError):
    """UCP cannot be asked, or refused.

    Attributes:
        trouble: what went wrong.
        status: HTTP status of its answer; 0 where there was none.
        message: its own words, made harmless for a terminal; never a secret of ours.
    """

    def __init__(self, trouble: Trouble, what: str, next_step: str = "", *, status: int = 0, message: str = "") -> None:
        super().__init__(what, next_step)
        self.trouble = trouble
        self.status = status
        self.message = message

    @property
    def away(self) -> bool:
        """Whether nobody answered: asking again, or another manager, may help."""
        return self.trouble in (Trouble.AWAY, Trouble.SLOW)


class UcpAwayError(UcpError):
    """Nobody answered, or not in time."""

    exit_code: ClassVar[int] = 3
