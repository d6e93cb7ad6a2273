"""Why a product's web server (UCP's, DTR's) cannot be asked, or refused what it was asked: one sentence each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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
    NOT_DTR = "not-dtr"
    """The same of DTR."""
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


class HttpsError(SwarmtuiError):
    """A web server cannot be asked, or refused.

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
        """Whether nobody answered: asking again, or another host, may help."""
        return self.trouble in (Trouble.AWAY, Trouble.SLOW)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A product whose web server is asked: how its troubles are told.

    Attributes:
        name: "UCP".
        key: for names of threads: "ucp".
        alien: the trouble when what answers is something else.
        error, away: what is raised; away where nobody answered.
        authority: what to do where the certificates with which it is asked cannot be read.
        slow, gone, failed: where to look when it does not answer in time, is not there, or fails itself.
        renew: what to do about a certificate that is not valid now.
        names: what to do about one that is for another name.
        changed: what it means, and what to do, that another authority signed it.
        itself: where to go in place of something that redirects.
        login: what to do about a login that it does not take.
    """

    name: str
    key: str
    alien: Trouble
    error: type[HttpsError]
    away: type[HttpsError]
    authority: str
    slow: str
    gone: str
    failed: str
    renew: str
    names: str
    changed: str
    itself: str
    login: str
