"""Looking inside a Swarm: a real young directory as an archive of 128 MiB, and one as full as a log gets."""

from __future__ import annotations

import io
import statistics
import tarfile
import tempfile
import time
from pathlib import Path

from swarmtui.backups.archive import open_archive
from swarmtui.backups.raft import Contents, read
from tests.backups.raft.build import LogEntry, Record, put, seal, state
from tests.backups.raft.real import NOW, Files, real
from tests.backups.raft.test_damage import clear, dek, entries, records, with_log

RESERVED = 64 << 20
"""Bytes that Docker reserves for a log file; there are two."""
TASKS = 2_132
WRITES = 10_000
"""Entries after which Docker makes a snapshot, by default."""
TIMES = 5


def raft_figures() -> dict[str, float]:
    """Seconds of the wall clock, medians; the archive is read from the page cache."""
    small, large = real("everything-20.10").files, _full()
    with tempfile.TemporaryDirectory() as folder:
        return {
            "look inside a young Swarm's archive of 128 MiB: median, s": _measure(Path(folder) / "young.tar", small),
            "the same as a tar.gz: median, s": _measure(Path(folder) / "young.tar.gz", small),
            f"look inside one with {WRITES:,} writes to {TASKS:,} tasks: median, s": _measure(
                Path(folder) / "full.tar", large
            ),
        }


def _measure(path: Path, files: Files) -> float:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, data in (files | {"raft/wal-v3-encrypted/0.tmp": b""}).items():
            size = RESERVED if name.startswith("raft/wal") else len(data)
            info = tarfile.TarInfo(f"swarm/{name}")
            info.size = size
            tar.addfile(info, io.BytesIO(data[:size].ljust(size, b"\0")))
    return statistics.median(_once(path) for _ in range(TIMES))


def _once(path: Path) -> float:
    begun = time.perf_counter()
    with open_archive(path) as files:
        found: Contents = read(files, now=NOW)
    took = time.perf_counter() - begun
    assert found.inventory is not None and not found.problems
    return took


def _full() -> Files:
    """A directory just before its next snapshot: every write changed a task."""
    files = clear()
    log, key = records(files), dek(files)
    last = entries(log)[-1]
    more: list[Record] = []
    for index in range(last.index + 1, last.index + 1 + WRITES):
        task = put(f1=b"task%021d" % (index % TASKS), f2=put(f1=put(f1=index)), f3=bytes(700), f9=put(f2=512))
        more.append(LogEntry(index, last.term, seal(key, put(f1=index, f2=put(f1=2, f4=task)))).record())
        if index % 3 == 0:
            more.append(state(last.term, index))
    return with_log(files, [*log, *more, state(last.term, last.index + WRITES)], tail=0)


if __name__ == "__main__":
    for said, figure in raft_figures().items():
        print(f"  {figure:10.2f}  {said}")
