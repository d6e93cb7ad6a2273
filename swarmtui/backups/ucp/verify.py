"""Verifies a backup of UCP, offline: tiers 1 to 4. What only a restore proves is never said to be proved.

Its accounts lie in a database's own files, which nobody but UCP reads, and its images cannot be had here: so there is
no rehearsal, and the best verdict is "not proved", with all that was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from swarmtui.backups.entries import Entry
from swarmtui.backups.errors import ArchiveError
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.product import opened_whole, unopened, verified
from swarmtui.backups.records import TierResult, Verification
from swarmtui.backups.ucp.contents import Contents, missing, read
from swarmtui.backups.ucp.openpgp import form_of_file, stream
from swarmtui.model.text import one_line
from swarmtui.vault.secret import Secret

ONLY_A_RESTORE = "It opens and is complete, and only a restore by UCP itself proves more."


def verify(
    entry: Entry,
    passphrases: Sequence[Secret],
    identity: Secret | None,
    step: Callable[[int], None],
    at: float,
) -> Verification:
    """Verifies one. Blocks (disk, decryption): call it in a thread. It records nothing.

    Args:
        passphrases: of UCP's own seal; all are tried.
        identity: what opens the encryption that we put around one without a seal.
        step: told of bytes that were worked off; may raise to stop.
        at: unix seconds of the present.
    """

    def looked(manifest: Manifest) -> list[TierResult]:
        contents, tiers = _opened(entry, manifest, passphrases, identity, step)
        return tiers if contents is None else [*tiers, _complete(contents, manifest), _fits(contents, manifest)]

    return verified(entry, looked, step, at)


def _opened(
    entry: Entry,
    manifest: Manifest,
    passphrases: Sequence[Secret],
    identity: Secret | None,
    step: Callable[[int], None],
) -> tuple[Contents | None, list[TierResult]]:
    """What is in it, with tiers 1 and 3."""
    sealed = form_of_file(entry.archive) == "openpgp"
    try:
        with stream(entry.archive, passphrases, identity, step) as tar:
            contents = read(tar)
    except ArchiveError as error:
        return None, unopened(error)
    opens = "It is sealed with a passphrase, and the vault's opens it." if sealed else "It is not sealed."
    if manifest.encrypted:
        opens = "It is not sealed by UCP; what it is encrypted with here opens it."
    return contents, [
        opened_whole(contents.entries),
        TierResult(3, True, (opens,)),
    ]


def _complete(contents: Contents, manifest: Manifest) -> TierResult:
    if not contents.is_ucp:
        return TierResult(2, False, ("There is nothing of UCP in it: no folder of its volumes, and no key file.",))
    version = manifest.ucp.version if manifest.ucp is not None else ""
    bad, told = missing(contents, version or contents.version)
    if bad:
        return TierResult(2, False, (*bad, *told))
    keys = " and ".join(sorted(contents.keys)) or "no key file"
    return TierResult(2, True, (f"It has {contents.entries} entries, among them {keys}.", *told))


def _fits(contents: Contents, manifest: Manifest) -> TierResult:
    """Whether it is of the version and the instance that the manifest says, and what is left to prove."""
    ucp = manifest.ucp
    bad: list[str] = []
    if ucp is not None and contents.versions and ucp.version and ucp.version not in contents.versions:
        told = ", ".join(contents.versions[:3])
        bad.append(f"It is of another version: in it is UCP {told}, and the manifest says {one_line(ucp.version)}.")
    if ucp is not None and ucp.instance_id and contents.instance_id and contents.instance_id != ucp.instance_id:
        bad.append(
            f"It is of another UCP: in it is the instance {contents.instance_id}, and the manifest says "
            f"{one_line(ucp.instance_id)}."
        )
    if bad:
        return TierResult(4, False, tuple(bad))
    fits = "Version and instance fit the manifest." if contents.version and contents.instance_id else ""
    version = (ucp.version if ucp is not None else "") or contents.version
    needs = f"To restore it: the images of UCP {one_line(version)}, its passphrase, and a manager without UCP."
    return TierResult(4, None, (ONLY_A_RESTORE, *filter(None, (fits,)), needs))
