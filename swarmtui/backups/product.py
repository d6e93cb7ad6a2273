"""What verifying backups of UCP and of DTR has in common: only their own restore proves what is in them."""

from __future__ import annotations

from collections.abc import Callable

from swarmtui.backups.crypt import NoIdentityError, WrongIdentityError
from swarmtui.backups.entries import Entry
from swarmtui.backups.errors import ArchiveError
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.plain import Step, digest_of
from swarmtui.backups.records import TierResult, Verification, judged
from swarmtui.model.text import one_line


def verified(entry: Entry, look: Callable[[Manifest], list[TierResult]], step: Step, at: float) -> Verification:
    """Verifies one: the digest of what is stored, and then what `look` finds. Blocks. It records nothing.

    Args:
        look: opens the archive and judges what is in it; raises OSError where it cannot be read.
        step: told of bytes that were worked off; may raise to stop.
        at: unix seconds of the present.
    """
    manifest = entry.manifest
    if entry.broken or manifest is None:
        return judged((TierResult(1, False, (entry.broken or "It has no manifest.",), at),), at)
    stored = ""
    try:
        stored, size = digest_of(entry.archive, step)
        if stored != manifest.stored_digest:
            what = f"The archive is not what was stored: the sha256 of its {size} bytes is another."
            tiers = [TierResult(1, False, (what,))]
        else:
            tiers = look(manifest)
    except OSError as error:
        tiers = [TierResult(1, False, (f"The archive cannot be read: {one_line(error.strerror or str(error))}.",))]
    return judged([TierResult(each.tier, each.ok, each.what, at) for each in _all(tiers)], at, stored)


def _all(tiers: list[TierResult]) -> list[TierResult]:
    found = {result.tier for result in tiers}
    unknown = ("The archive could not be looked into.",)
    return tiers + [TierResult(tier, None, unknown) for tier in (2, 3, 4) if tier not in found]


def unopened(error: ArchiveError) -> list[TierResult]:
    """The tiers of one that is as it was stored, and cannot be opened or read."""
    if isinstance(error, NoIdentityError | WrongIdentityError):
        unchanged = TierResult(1, True, ("Its sha256 is right: as it is stored it is unchanged.",))
        return [unchanged, TierResult(3, None, (error.what,))]
    return [TierResult(1, False, (error.what,))]


def opened_whole(entries: int) -> TierResult:
    """The first tier of one that could be read to its end."""
    return TierResult(1, True, (f"Its sha256 is right, it opens, and the tar is whole: {entries} entries.",))
