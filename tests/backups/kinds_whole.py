"""Corruptions of whole directories, of what a Swarm does not need, and of the tar."""

from __future__ import annotations

import io
import tarfile

from tests.backups.corrupting import Work, flip, flipped, kind, tar_of
from tests.backups.generations import CERTIFICATE, KEY, ROOT


@kind()
def raft_of_before(work: Work) -> str:
    """Log and snapshot of the same manager, earlier: whole and good, and not what was backed up."""
    for name in [name for name in work.files if name.startswith("raft/")]:
        del work.files[name]
    work.files |= {name: data for name, data in work.before.files.items() if name.startswith("raft/")}
    return f"raft/: of {work.before.name}"


@kind()
def all_of_another(work: Work) -> str:
    """A good backup of something else."""
    other = work.all[work.dice.choice(("plain-before", "plain-peer", "other"))]
    work.files.clear()
    work.files |= other.files
    return f"everything: of {other.name}"


@kind()
def beside(work: Work) -> str:
    """What a restore does not need."""
    name = work.dice.choice(("state.json", "docker-state.json", "worker/tasks.db"))
    how = work.dice.choice(("missing", "empty", "bit"))
    if how == "missing":
        del work.files[name]
    elif how == "empty":
        work.files[name] = b""
    else:
        return flip(work, name, bit=True)
    return f"{name}: {how}"


# --- the tar ----------------------------------------------------------------------------------------------------------


@kind()
def tar_cut(work: Work) -> str:
    tar = tar_of(work.files)
    at = work.dice.randrange(512, len(tar) - 10_240)
    work.tar = tar[:at]
    return f"the tar: cut at {at} of {len(tar)}"


@kind()
def tar_head(work: Work) -> str:
    """A byte in a member's header; its checksum tells."""
    tar = tar_of(work.files)
    with tarfile.open(fileobj=io.BytesIO(tar)) as reader:
        member = work.dice.choice(reader.getmembers())
    work.tar, at = flipped(work.dice, tar, member.offset, member.offset + 345, bit=False)
    return f"the tar: byte {at - member.offset} in the header of {member.name}"


@kind()
def tar_without_folder(work: Work) -> str:
    """A file lies elsewhere than in the Swarm's directory."""
    name = work.dice.choice([KEY, CERTIFICATE, ROOT, work.log])
    moved = dict(work.files)
    moved["../" + name.rpartition("/")[2]] = moved.pop(name)
    work.tar = tar_of(moved)
    work.files = {name: data for name, data in moved.items() if not name.startswith("../")}
    return f"the tar: {name} lies beside the Swarm's directory"
