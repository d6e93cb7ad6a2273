"""Kills a program at every step of a change to a catalogue, and tells what is left each time.

    python -m tests.backups.killed FOLDER WHAT

A step is whatever reaches the disk: an open, a mkdir, a rename, a removal (seen by an audit hook), an fsync or a write.
Each time a fork of this process does the change and ends itself with SIGKILL before step N; one JSON line tells how the
catalogue looks then. The last line is of the change that was not killed any more.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyrage import x25519

from swarmtui.backups.catalogue import Catalogue, Entry
from swarmtui.backups.crypt import Encryption
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.records import Copy, TierResult, judged

CLUSTER = "abcdefghijklmnopqrstuvwxy"
ID = "20261121T194900Z-mgr2"
RECIPIENT = str(x25519.Identity.generate().to_public())
CONTENT = bytes(range(256)) * 4000
EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree", "os.unlink")


def make(catalogue: Catalogue, encryption: Encryption | None = None, name: str = ID) -> Entry:
    """A backup, in a few pieces."""
    with catalogue.begin(CLUSTER, name, encryption) as draft:
        for at in range(0, len(CONTENT), 300_000):
            draft.write(CONTENT[at : at + 300_000])
        manifest = Manifest(cluster_id=CLUSTER, node="mgr2", taken_at=1_795_000_000.0, cold=True)
        return draft.commit(manifest, b'{"services": []}')


def verified(catalogue: Catalogue, entry: Entry) -> None:
    catalogue.add_verification(entry, judged([TierResult(1, True, ("as it should be",))], 1_795_000_001.0))


def copied(catalogue: Catalogue, entry: Entry) -> None:
    where = f"/mnt/{len(entry.copies)}"
    catalogue.set_copies(entry, [*entry.copies, Copy(where=where, at=1.0, digest="0" * 64)])


def changes(catalogue: Catalogue) -> dict[str, tuple[Callable[[], None], Callable[[], object]]]:
    """What is killed: how it is prepared, and what is done."""

    def old() -> Entry:
        return catalogue.entry(CLUSTER, ID)

    def prepared() -> None:
        entry = make(catalogue)
        verified(catalogue, entry)
        copied(catalogue, entry)

    return {
        "make": (lambda: None, lambda: make(catalogue)),
        "make-encrypted": (lambda: None, lambda: make(catalogue, Encryption((RECIPIENT,)))),
        "verify": (prepared, lambda: verified(catalogue, old())),
        "copy": (prepared, lambda: copied(catalogue, old())),
        "remove": (prepared, lambda: catalogue.remove(old())),
    }


def killed_before(step: int, root: Path, change: Callable[[], object]) -> bool:
    """Does the change in a fork that is killed before that step; tells whether it came so far."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _count(step, root)
            change()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the change itself failed"
    return False


def _count(step: int, root: Path) -> None:
    seen = 0
    busy = False

    def one() -> None:
        nonlocal seen
        seen += 1
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal busy
        if event in EVENTS and not busy:
            busy = True
            # Below the catalogue only: modules are opened as well. rmtree names entries relative to a descriptor.
            relative = event != "open" and not Path(os.fsdecode(arguments[0])).is_absolute() if arguments else False
            inside = any(isinstance(each, str | os.PathLike) and str(each).startswith(str(root)) for each in arguments)
            busy = False
            if inside or relative:
                one()

    real_fsync, real_write = os.fsync, os.write

    def fsync(descriptor: int) -> None:
        one()
        real_fsync(descriptor)

    def write(descriptor: int, data: bytes) -> int:
        one()
        real_write(descriptor, data[: len(data) // 2])
        one()
        return len(data) // 2 + real_write(descriptor, data[len(data) // 2 :])

    os.fsync, os.write = fsync, write  # type: ignore[assignment]
    sys.addaudithook(hook)


def state(catalogue: Catalogue) -> dict[str, Any]:
    """What there is, what leftovers there are, and whether they go."""
    entries = catalogue.entries()
    left = catalogue.leftovers()
    told = {
        "entries": [
            {
                "id": entry.id,
                "broken": entry.broken,
                "verifications": len(entry.verifications),
                "copies": len(entry.copies),
                "folder": str(entry.folder),
                "whole": sorted(path.name for path in entry.folder.iterdir()),
            }
            for entry in entries
        ],
        "leftovers": [{"said": str(each), "pid": each.pid, "host": each.host} for each in left],
        "swept": len(catalogue.sweep()),
    }
    folder = catalogue.root / CLUSTER
    told["names"] = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    return told


def main() -> None:
    root, what = Path(sys.argv[1]) / "catalogue", sys.argv[2]
    catalogue = Catalogue(root)
    step = 0
    while True:
        step += 1
        shutil.rmtree(root, ignore_errors=True)
        prepare, change = changes(catalogue)[what]
        prepare()
        killed = killed_before(step, root, change)
        print(json.dumps({"step": step, "killed": killed, **state(catalogue)}), flush=True)
        if not killed:
            return


if __name__ == "__main__":
    main()
