"""Verifies a backup of DTR, offline: tiers 1 to 4. What only a restore proves is never said to be proved.

What is in its tables is for DTR alone to read, and its images cannot be had here: so there is no rehearsal, and the
best verdict is "not proved", with all that was found.
"""

from __future__ import annotations

from swarmtui.backups.dtr.contents import Contents, product, read, wrong
from swarmtui.backups.entries import Entry
from swarmtui.backups.errors import ArchiveError
from swarmtui.backups.manifest import DtrManifest, Manifest
from swarmtui.backups.plain import Step
from swarmtui.backups.product import opened_whole, unopened, verified
from swarmtui.backups.records import TierResult, Verification
from swarmtui.backups.streamed import tar_stream
from swarmtui.model.text import one_line
from swarmtui.vault.secret import Secret

ONLY_A_RESTORE = "It opens and is complete, and only a restore by DTR itself proves more."
NOT_IN_IT = "Images, users, teams and the database of vulnerabilities are in no backup of DTR"


def verify(entry: Entry, identity: Secret | None, step: Step, at: float) -> Verification:
    """Verifies one. Blocks (disk, decryption): call it in a thread. It records nothing.

    Args:
        identity: what opens the encryption that we put around it.
        step: told of bytes that were worked off; may raise to stop.
        at: unix seconds of the present.
    """

    def looked(manifest: Manifest) -> list[TierResult]:
        try:
            with tar_stream(entry.archive, identity, step=step) as tar:
                contents = read(tar)
        except ArchiveError as error:
            return unopened(error)
        return judged_by(contents, manifest)

    return verified(entry, looked, step, at)


def judged_by(contents: Contents, manifest: Manifest) -> list[TierResult]:
    """The tiers of one that was read to its end. Pure."""
    sealed = "What it is encrypted with here opens it." if manifest.encrypted else "It is not encrypted."
    return [
        opened_whole(contents.entries),
        _complete(contents),
        TierResult(3, True, (sealed,)),
        _fits(contents, manifest.dtr),
    ]


def _complete(contents: Contents) -> TierResult:
    bad, told = wrong(contents)
    if bad:
        return TierResult(2, False, (*bad, *told))
    tables = len(contents.tables)
    return TierResult(2, True, (f"It has {tables} table{'' if tables == 1 else 's'} of DTR's database.", *told))


def _fits(contents: Contents, dtr: DtrManifest | None) -> TierResult:
    """Whether it is of the version that the manifest says, and what is left to prove."""
    if dtr is not None and contents.version and dtr.version != contents.version:
        told = f"in it is {product(contents.version)}, and the manifest says {product(dtr.version)}"
        return TierResult(4, False, (f"It is of another version: {told}.",))
    version = contents.version or (dtr.version if dtr is not None else "")
    needs = f"To restore it: the image of {product(version)}, and the UCP that it was taken beside."
    where = f": the images are {one_line(dtr.images)}" if dtr is not None else ""
    return TierResult(4, None, (ONLY_A_RESTORE, needs, f"{NOT_IN_IT}{where}."))
