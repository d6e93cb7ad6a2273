"""Verifies a backup, offline: tiers 1 to 4. Tier 5, the rehearsal, is added by whoever restored it (`with_rehearsal`).

Each tier says what it found, or why it could not be found out; what could not be found out is never a yes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarmtui.backups.archive import ArchiveFiles
from swarmtui.backups.catalogue import Entry
from swarmtui.backups.crypt import NoIdentityError, WrongIdentityError, decrypt
from swarmtui.backups.errors import ArchiveError, BackupError
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.plain import CHUNK, Plain, digest_of, plain_tar
from swarmtui.backups.raft import Contents, Problem, read
from swarmtui.backups.records import TierResult, Verification, judged, with_rehearsal
from swarmtui.model.inventory_diff import compare
from swarmtui.model.text import one_line
from swarmtui.vault.secret import Secret, fingerprint

__all__ = [
    "Cancelled",
    "Progress",
    "TierResult",
    "Verification",
    "judged",
    "verify",
    "with_rehearsal",
]

_OF_THE_KEY = frozenset({"locked", "wrong-key"})
_OF_THE_CONTENTS = frozenset({"decrypt", "entry", "snapshot-decrypt", "object", "no-cluster"})
"""Problems of raft/damage.py that belong to tiers 3 and 4; all others are of tier 2."""
_MOST = 20
"""Sentences that one tier keeps."""


class Cancelled(BackupError):
    """Somebody stopped it. Nothing was recorded of this backup."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one verification is.

    Attributes:
        doing: in words.
        done, total: bytes read; total is a guess before the archive is opened.
    """

    doing: str
    done: int
    total: int


class _Pace:
    """Tells how far it is, and stops where somebody says so."""

    def __init__(
        self, total: int, progress: Callable[[Progress], None] | None, cancelled: Callable[[], bool] | None
    ) -> None:
        self._progress, self._cancelled = progress, cancelled
        self._done, self._total = 0, max(total, 1)
        self.doing = ""

    def at(self, doing: str) -> None:
        self.doing = doing
        self.step(0)

    def step(self, size: int) -> None:
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("It was stopped.")
        self._done = min(self._total, self._done + size)
        if self._progress is not None:
            self._progress(Progress(self.doing, self._done, self._total))


def verify(
    entry: Entry,
    keys: Sequence[Secret],
    identity: Secret | None,
    *,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    now: float | None = None,
    passphrases: Sequence[Secret] = (),
) -> Verification:
    """Verifies tiers 1 to 4. Blocks (disk, decryption): call it in a thread. It records nothing.

    An earlier rehearsal of the same stored archive is carried over as tier 5, with its own time.

    Args:
        keys: the unlock keys of the vault, the current one first; all are tried.
        identity: what opens the encryption: a passphrase, or an identity of age.
        now: unix seconds of the present.
        passphrases: of UCP, for a backup of UCP; all are tried.

    Raises:
        Cancelled: `cancelled` said so.
    """
    at = time.time() if now is None else now
    manifest = entry.manifest
    if entry.broken or manifest is None:
        return judged((TierResult(1, False, (entry.broken or "It has no manifest.",), at),), at)
    pace = _Pace(2 * manifest.stored_size, progress, cancelled)
    if manifest.kind == "ucp":
        from swarmtui.backups.ucp.verify import verify as verify_ucp

        pace.at("looking inside")
        return verify_ucp(entry, passphrases, identity, pace.step, at)
    if manifest.kind == "dtr":
        from swarmtui.backups.dtr.verify import verify as verify_dtr

        pace.at("looking inside")
        return verify_dtr(entry, identity, pace.step, at)
    looked = _Looked()
    tiers = [_first(entry, manifest, identity, keys, pace, looked, at)]
    contents, trouble = looked.contents, looked.trouble or "The archive could not be looked into."
    if contents is None:
        tiers += [TierResult(tier, None, (trouble,)) for tier in (2, 3, 4)]
    else:
        tiers += _inside(contents, manifest, keys)
    tiers = _at(tiers, at)
    if (rehearsed := _rehearsed(entry, looked.stored_digest)) is not None:
        tiers.append(rehearsed)
    return judged(tiers, at, looked.stored_digest)


def while_clear(entry: Entry, contents: Contents, keys: Sequence[Secret], at: float) -> Verification:
    """The verification of a backup that was looked into before it was encrypted: where nobody here can open it, nothing
    could be told of it later.

    Args:
        entry: the backup, as it was stored.
        contents: what was in it before.
        at: when that was, unix seconds.
    """
    manifest = entry.manifest
    assert manifest is not None
    whole = TierResult(
        1,
        True,
        ("It came whole, and was looked into before it was encrypted. Nothing here opens it: try its identity once.",),
    )
    return judged(_at([whole, *_inside(contents, manifest, keys)], at), at, manifest.stored_digest)


class _Looked:
    """What the first tier leaves for the others."""

    contents: Contents | None = None
    trouble = ""
    stored_digest = ""


def _rehearsed(entry: Entry, digest: str) -> TierResult | None:
    for verification in reversed(entry.verifications):
        if verification.stored_digest == digest and (result := verification.result(5)) is not None:
            return result
    return None


# -- tier 1: digest and structure --------------------------------------------------------------------------------------


def _first(
    entry: Entry,
    manifest: Manifest,
    identity: Secret | None,
    keys: Sequence[Secret],
    pace: _Pace,
    looked: _Looked,
    at: float,
) -> TierResult:
    bad: list[str] = []
    unknown: list[str] = []
    good: list[str] = []
    try:
        pace.at("comparing the digest")
        looked.stored_digest, size = digest_of(entry.archive, pace.step)
        if looked.stored_digest != manifest.stored_digest:
            bad.append(f"The archive is not what was stored: the sha256 of its {size} bytes is another.")
        _objects(entry, manifest, identity, bad)
        pace.at("opening it")
        with plain_tar(entry.archive, identity, pace.step) as tar:
            made: object = tar
            if isinstance(made, Plain) and (made.digest, made.length) != (manifest.digest, manifest.size):
                bad.append("What comes out of it is not the tar that was taken: its sha256 is another.")
            pace.at("looking inside")
            files = ArchiveFiles(tar)
            bad += [problem.what for problem in files.fatal]
            good += [problem.what for problem in files.problems if not problem.fatal]
            if files.prefix is None:
                looked.trouble = "The archive could not be looked into: there is no Swarm's directory in it."
            else:
                looked.contents = read(files, keys, now=at)
            pace.step(0)
    except (NoIdentityError, WrongIdentityError) as error:
        unknown.append(error.what)
        looked.trouble = error.what
    except ArchiveError as error:
        bad.append(error.what)
        looked.trouble = "The archive could not be looked into: it is damaged."
    except OSError as error:
        why = error.strerror or str(error)
        bad.append(f"The archive cannot be read: {one_line(why)}.")
    if bad:
        return TierResult(1, False, tuple(dict.fromkeys(bad)))
    if unknown:
        return TierResult(1, None, (*unknown, "As it is stored it is unchanged."))
    sealed = ", it opens" if manifest.encrypted else ""
    return TierResult(1, True, (f"Its sha256 is right{sealed}, and the tar is whole.", *good))


def _objects(entry: Entry, manifest: Manifest, identity: Secret | None, bad: list[str]) -> None:
    """The API objects beside the archive: unchanged, and as they were given."""
    path = entry.objects
    if path is None:
        return
    try:
        stored, _ = digest_of(path)
    except OSError as error:
        bad.append(f"The API objects beside it cannot be read: {(error.strerror or str(error)).lower()}.")
        return
    if stored != manifest.objects_stored_digest:
        bad.append("The API objects beside it are not what was stored: their sha256 is another.")
        return
    if manifest.encrypted == "passphrase":
        return  # stretching the passphrase once more takes seconds, and tells nothing that the archive does not
    try:
        content = read_objects(path, manifest, identity)
    except (NoIdentityError, WrongIdentityError):
        return  # the archive says so itself
    except (ArchiveError, OSError) as error:
        bad.append(f"The API objects beside it are damaged: {one_line(str(error))[:100]}")
        return
    if hashlib.sha256(content).hexdigest() != manifest.objects_digest:
        bad.append("What comes out of the API objects beside it is not what was put in.")


def read_objects(path: Path, manifest: Manifest, identity: Secret | None) -> bytes:
    """The full API objects of a backup, as JSON.

    Raises:
        NoIdentityError, WrongIdentityError: they are encrypted, and cannot be opened.
        ArchiveError: they are damaged.
        OSError: they cannot be read.
    """
    plain = Plain()
    with path.open("rb") as file:
        if manifest.encrypted:
            decrypt(file, plain.write, identity)
        else:
            while chunk := file.read(CHUNK):
                plain.write(chunk)
    plain.seek(0)
    return plain.read()


# -- tiers 2 to 4 ------------------------------------------------------------------------------------------------------


def _said(problems: Sequence[Problem]) -> tuple[str, ...]:
    return tuple(str(problem) for problem in problems)


def _inside(contents: Contents, manifest: Manifest, keys: Sequence[Secret]) -> list[TierResult]:
    return [_second(contents, manifest), _third(contents, manifest, keys), _fourth(contents, manifest)]


def _at(tiers: Sequence[TierResult], at: float) -> list[TierResult]:
    """With their time, and no more sentences than somebody reads."""
    return [TierResult(result.tier, result.ok, result.what[:_MOST], at) for result in tiers]


def _second(contents: Contents, manifest: Manifest) -> TierResult:
    mine = [problem for problem in contents.problems if problem.id not in _OF_THE_KEY | _OF_THE_CONTENTS]
    bad = [str(problem) for problem in mine if problem.fatal]
    told = [str(problem) for problem in mine if not problem.fatal]
    if contents.cluster_id and contents.cluster_id != manifest.cluster_id:
        other = one_line(contents.cluster_id)[:40]
        bad.append(f"It is of another cluster: its certificate says {other}, the manifest {manifest.cluster_id}.")
    if contents.node_id and manifest.node_id and contents.node_id != manifest.node_id:
        other = one_line(contents.node_id)[:40]
        bad.append(f"It is of another node: its certificate says {other}, the manifest {manifest.node_id}.")
    if bad:
        return TierResult(2, False, (*bad, *told))
    builds = f"the snapshot at entry {contents.snapshot_index}" if contents.snapshot_index else "no snapshot needed"
    whole = f"Key file, certificates and raft log are there and fit together, {builds}."
    return TierResult(2, True, (whole, *told))


def _third(contents: Contents, manifest: Manifest, keys: Sequence[Secret]) -> TierResult:
    if contents.opened_by:
        version = f", version {contents.kek_version}" if contents.kek_version else ""
        number = next((i for i, key in enumerate(keys) if fingerprint(key) == contents.opened_by), 0)
        which = "the vault's unlock key" if number == 0 else "an earlier unlock key of the vault"
        return TierResult(3, True, (f"It is locked, and {which} opens it: {contents.opened_by}{version}.",))
    if not contents.locked:
        if any(problem.id in ("no-key", "key-damaged", "worker") for problem in contents.problems):
            return TierResult(3, None, ("Its key file is missing or damaged, so no key could be tried.",))
        return TierResult(3, True, ("It is not locked: no unlock key is needed.",))
    wanted = manifest.key_fingerprint
    version = f"version {contents.kek_version}" if contents.kek_version else "an unknown version"
    which = f"the one with fingerprint {one_line(wanted)[:8]} ({version})" if wanted else version
    if not keys:
        return TierResult(
            3, None, (f"It is locked, and the vault has no unlock key of its cluster; it needs {which}.",)
        )
    had = ", ".join(fingerprint(key) for key in keys)
    if wanted and any(fingerprint(key) == wanted for key in keys):
        return TierResult(
            3, False, (f"It is locked with {wanted}, which the vault has, and that key does not open it.",)
        )
    none = "is not that" if len(keys) == 1 else "are not that"
    return TierResult(3, None, (f"It is locked and needs {which}; the vault's ({had}) {none}.",))


def _fourth(contents: Contents, manifest: Manifest) -> TierResult:
    bad = [str(p) for p in contents.problems if p.id in _OF_THE_CONTENTS and p.fatal]
    told = [str(p) for p in contents.problems if p.id in _OF_THE_CONTENTS and not p.fatal]
    if bad:
        return TierResult(4, False, (*bad, *told))
    inside = contents.inventory
    if inside is None or not contents.opened:
        why = "it is locked and was not opened" if contents.locked and not contents.opened_by else "it is damaged"
        return TierResult(4, None, (f"Its contents could not be read: {why}.",))
    if inside.cluster_id and inside.cluster_id != manifest.cluster_id:
        return TierResult(4, False, (f"It holds another cluster, {one_line(inside.cluster_id)[:40]}.",))
    # A raft log that was cut off is rolled back by Docker without a word; only what the manifest knows can tell.
    if 0 < contents.last_index < manifest.raft_index:
        return TierResult(
            4,
            False,
            (f"Its raft log ends at entry {contents.last_index}, and had {manifest.raft_index} when it was taken.",),
        )
    if manifest.source == "imported":
        return TierResult(
            4,
            None,
            ("It was imported: there is no inventory of the cluster itself to compare with; rehearse it.", *told),
        )
    if manifest.inventory is None:
        return TierResult(4, None, ("The manifest has no inventory of the cluster to compare with.", *told))
    found = compare(inside, manifest.inventory, manifest.inventory_after or manifest.inventory)
    moved = tuple(f"Changed while it was taken: {sentence}" for sentence in found.moved)
    if found.equal:
        return TierResult(4, True, ("Its contents are what the cluster had.", *moved, *told))
    return TierResult(4, False, (*found.missing, *found.different, *found.extra, *moved, *told))
