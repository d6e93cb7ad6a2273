"""Our verdicts on corrupted archives: each stored as a backup of its own, with every digest right, and verified.

python -m tests.backups.campaign [20.10|26.1] [COUNT]    all of them (1,000), with the figures
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from swarmtui.backups.catalogue import Entry
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.raft import Contents, read
from swarmtui.backups.records import Verification
from swarmtui.backups.verify import verify
from swarmtui.vault.secret import Secret, fingerprint
from tests.backups.corruptions import Case, case
from tests.backups.generations import DictFiles, Generation

COUNT = 1000


@dataclass(frozen=True)
class Judged:
    """What we say of a case.

    Attributes:
        unlike: what is otherwise in what a restore of it would give, as our reader sees it; "" where nothing is.
        tasks: only tasks are otherwise: they come and go by themselves, and no tier compares them.
    """

    case: Case
    verification: Verification
    unlike: str
    tasks: bool

    @property
    def verdict(self) -> str:
        return self.verification.verdict

    @property
    def tier(self) -> int:
        """The lowest tier that does not hold; 0 where all do."""
        return next((result.tier for result in self.verification.tiers if not result.ok), 0)

    @property
    def missed(self) -> bool:
        """What is hunted: a yes to other contents."""
        return self.verdict == "yes" and bool(self.unlike)


def keys_of(one: Case) -> list[Secret]:
    """What the vault has."""
    return [Secret(one.key)] if one.key else []


@cache
def good_contents(base: Generation) -> Contents:
    """What is in a good one, as our reader sees it."""
    keys = [Secret(base.key)] if base.key else []
    return read(DictFiles(base.files), keys, now=base.taken_at)


def manifest_of(one: Case) -> Manifest:
    """As if it had been taken like this. What raft had reached is left out: only the corrupted archive could have told
    it, and so is what the catalogue fills in."""
    base = one.base
    return Manifest(
        id="20261121T194900Z-mgr2",
        cluster_id=base.api["swarm"]["ID"],
        node="mgr2",
        node_id=base.node_id,
        taken_at=base.taken_at,
        cold=True,
        autolock=bool(base.key),
        key_fingerprint=fingerprint(Secret(base.key)) if base.key else "",
        inventory=base.inventory,
        inventory_after=base.inventory,
    )


def entry_of(one: Case, folder: Path) -> Entry:
    """A backup in a folder, with every digest right."""
    tar = one.tar
    (folder / "archive.tar").write_bytes(tar)
    digest = hashlib.sha256(tar).hexdigest()
    right = {"size": len(tar), "stored_size": len(tar), "digest": digest, "stored_digest": digest}
    manifest = msgspec.structs.replace(manifest_of(one), **right)
    return Entry(manifest.id, folder, manifest.cluster_id, manifest)


def judge(one: Case, folder: Path) -> Judged:
    """Verifies one, and looks whether what it holds is what the good one holds: every object, with its whole Spec."""
    verification = verify(entry_of(one, folder), keys_of(one), None, now=one.base.taken_at)
    inside = read(DictFiles(one.files), keys_of(one), now=one.base.taken_at)
    had = good_contents(one.base)
    assert had.inventory is not None and had.opened
    if inside.inventory is None:
        return Judged(one, verification, "nothing could be read", False)
    unlike = ", ".join(kind for kind in had.objects if _by_id(inside, kind) != _by_id(had, kind))
    return Judged(one, verification, unlike, not unlike and inside.inventory.tasks != had.inventory.tasks)


ALLOCATED = {"Driver", "IPAM", "Options"}
"""Of networks: what dockerd allocates, and allocates anew where it was lost (oracle-26.1.json, 33: "same")."""


def _by_id(contents: Contents, kind: str) -> dict[str, object]:
    if kind == "networks":
        return {
            one["Id"]: {name: value for name, value in one.items() if name not in ALLOCATED}
            for one in contents.objects[kind]
        }
    return {one["ID"]: one for one in contents.objects[kind]}


def figures(judged: Iterable[Judged]) -> str:
    """How many mattered, and which tier said no."""
    every = list(judged)
    lines = [f"{len(every)} corruptions"]
    lines += [
        f"  {count:5} would restore: {verdict}" for verdict, count in Counter(one.verdict for one in every).items()
    ]
    for tier, count in sorted(Counter(one.tier for one in every if one.verdict != "yes").items()):
        lines.append(f"  {count:5} caught by tier {tier}")
    lines.append(f"  {sum(bool(one.unlike) for one in every):5} with other contents than were backed up, or unreadable")
    lines.append(f"  {sum(one.verdict == 'yes' and one.tasks for one in every):5} yes, and only tasks are otherwise")
    lines.append(f"  {sum(one.missed for one in every):5} yes to other contents")
    return "\n".join(lines)


def main() -> int:
    """Verifies all of an engine, and says what was found."""
    engine = sys.argv[1] if len(sys.argv) > 1 else "20.10"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else COUNT
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="swarmtui-corruptions-") as folder:
        every = [judge(case(number, engine), Path(folder)) for number in range(count)]
    print(f"{engine}, {time.monotonic() - begin:.0f} s")
    print(figures(every))
    for one in every:
        if one.missed:
            print(f"yes to other {one.unlike}: {one.case.number} {one.case.base.name}: {one.case.what}")
    return 1 if any(one.missed for one in every) else 0


if __name__ == "__main__":
    sys.exit(main())
