"""What is kept beside a backup and grows: verifications, copies. The manifest itself never changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from swarmtui import __version__

_SMALL = frozenset(
    {
        "A",
        "An",
        "Autolock",
        "Entry",
        "In",
        "It",
        "Its",
        "Key",
        "More",
        "No",
        "Nobody",
        "None",
        "Something",
        "The",
        "There",
    }
    | {"This", "What"}
)

Verdict: TypeAlias = Literal["yes", "no", "not proved"]

TIERS = {
    1: "digest and structure",
    2: "complete",
    3: "the vault's key opens it",
    4: "contents equal the inventory",
    5: "rehearsed",
}
"""What each tier of a verification is called."""


class TierResult(msgspec.Struct, frozen=True):
    """How one tier of a verification ended.

    Attributes:
        tier: 1 to 5.
        ok: whether it holds; None where that could not be found out.
        what: sentences: what was found, or why it could not be found out. The first one says it all.
        at: when, unix seconds; differs from the verification's own time for a rehearsal that was done earlier.
    """

    tier: int
    ok: bool | None
    what: tuple[str, ...]
    at: float = 0.0

    @property
    def name(self) -> str:
        return TIERS.get(self.tier, "")


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """One verification of a backup; the newest one counts.

    Attributes:
        at: when it ended, unix seconds.
        verdict: would it restore.
        because: why, a clause to follow "because", without a full stop.
        stored_digest: sha256 of the file that was verified.
    """

    at: float
    tiers: tuple[TierResult, ...]
    verdict: Verdict
    because: str
    stored_digest: str = ""
    tool_version: str = __version__

    @property
    def tier(self) -> int:
        """The highest tier that holds with all below it; a rehearsal that held proves what is below. 0 where none."""
        held = {result.tier for result in self.tiers if result.ok}
        if 5 in held and not any(result.ok is False for result in self.tiers):
            return 5
        return next((tier for tier in range(4, 0, -1) if held.issuperset(range(1, tier + 1))), 0)

    def result(self, tier: int) -> TierResult | None:
        """How a tier ended; None where it was not tried."""
        return next((result for result in self.tiers if result.tier == tier), None)


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of a backup elsewhere.

    Attributes:
        where: a folder, sftp://… or s3://…, without any secret.
        at: when it was made, unix seconds.
        digest: sha256 of the archive as it was found at the far end.
        checked_at: when the digest there was last compared, unix seconds.
        trouble: why it does not count, in a sentence; "" for a good one.
    """

    where: str
    at: float
    digest: str
    checked_at: float = 0.0
    trouble: str = ""


def judged(tiers: Sequence[TierResult], at: float, stored_digest: str = "") -> Verification:
    """The verification that follows from its tiers. Pure.

    A tier that does not hold says no. Tiers 1 to 4 that all hold say yes, and so does a rehearsal that went well.
    """
    ordered = tuple(sorted(tiers, key=lambda result: result.tier))
    verdict, because = _verdict(ordered)
    return Verification(at=at, tiers=ordered, verdict=verdict, because=because, stored_digest=stored_digest)


def with_rehearsal(before: Verification, rehearsal: TierResult) -> Verification:
    """The same verification with its tier 5, judged anew."""
    tiers = (*(result for result in before.tiers if result.tier != 5), rehearsal)
    return judged(tiers, max(before.at, rehearsal.at), before.stored_digest)


def _verdict(tiers: tuple[TierResult, ...]) -> tuple[Verdict, str]:
    for result in tiers:
        if result.ok is False:
            return "no", _first(result)
    held = {result.tier for result in tiers if result.ok}
    if 5 in held:
        return "yes", "it was restored in an isolated place, and had what it should"
    if held.issuperset((1, 2, 3, 4)):
        return "yes", "it is whole and complete, its key opens it, and it has what the cluster had"
    open_ones = [result for result in tiers if result.ok is None]
    return "not proved", _first(open_ones[0]) if open_ones else "not every tier was tried"


def _first(result: TierResult) -> str:
    return clause(result.what[0]) if result.what else f"tier {result.tier} ({result.name}) does not hold"


def clause(sentence: str) -> str:
    """A sentence as a part of another one, to follow "because": without its full stop, names with their capital."""
    small = sentence.partition(" ")[0] in _SMALL
    return (sentence[:1].lower() + sentence[1:] if small else sentence).rstrip(".")
