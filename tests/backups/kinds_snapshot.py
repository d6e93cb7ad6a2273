"""Corruptions of the snapshot."""

from __future__ import annotations

from google_crc32c import extend

from tests.backups import frames as wal
from tests.backups.corrupting import SNAPSHOTS, Work, cut, flip, flipped, kind


@kind(*SNAPSHOTS)
def snapshot_bit(work: Work) -> str:
    return flip(work, work.snap, bit=True)


@kind(*SNAPSHOTS)
def snapshot_head(work: Work) -> str:
    return flip(work, work.snap, 0, 12)


@kind(*SNAPSHOTS)
def snapshot_data_mended(work: Work) -> str:
    """Anything in it, under its checksum."""
    parts = wal.message(work.files[work.snap])
    inner = dict(parts)[2]
    assert isinstance(inner, bytes)
    near_end = work.dice.random() < 0.4  # index and term come last
    changed, at = flipped(work.dice, inner, len(inner) - 12 if near_end else 0, len(inner), bit=True)
    work.files[work.snap] = wal.encoded([(1, extend(0, changed)), (2, changed)])
    return f"{work.snap}: bit {at} of {len(inner)}, checksum mended"


@kind(*SNAPSHOTS)
def snapshot_cut(work: Work) -> str:
    return cut(work, work.snap)


@kind(*SNAPSHOTS)
def snapshot_empty(work: Work) -> str:
    work.files[work.snap] = bytes(work.dice.choice((0, 512)))
    return f"{work.snap}: {len(work.files[work.snap])} zeros"


@kind(*SNAPSHOTS)
def snapshot_missing(work: Work) -> str:
    name = work.snap
    del work.files[name]
    return f"{name}: missing"


@kind(*SNAPSHOTS)
def snapshot_zero_range(work: Work) -> str:
    data = work.files[work.snap]
    begin = work.dice.randrange(len(data))
    end = min(len(data), begin + work.dice.choice((8, 512, 4096)))
    work.files[work.snap] = data[:begin] + bytes(end - begin) + data[end:]
    return f"{work.snap}: zeros from {begin} to {end}"


@kind("snapshot")
def snapshot_of_before(work: Work) -> str:
    """An older snapshot, under the older or under the newer one's name."""
    name, data = next((name, data) for name, data in work.before.files.items() if name.endswith(".snap"))
    newer = work.snap
    del work.files[newer]
    called = work.dice.choice((name, newer))
    work.files[called] = data
    return f"{called}: of {work.before.name}, instead of {newer}"


@kind(*SNAPSHOTS)
def snapshot_of_another(work: Work) -> str:
    other = work.all["locked" if work.base.name == "snapshot" else "snapshot"]
    data = next(data for name, data in other.files.items() if name.endswith(".snap"))
    name = work.snap
    work.files[name] = data
    return f"{name}: of {other.name}"


@kind()
def snapshot_more(work: Work) -> str:
    """One more, which nobody knows."""
    other = work.all["snapshot" if work.base.name != "snapshot" else "locked"]
    data = next(data for name, data in other.files.items() if name.endswith(".snap"))
    name = f"raft/snap-v3-encrypted/0000000000000002-{work.dice.choice((0x10, 0x1000)):016x}.snap"
    work.files[name] = data
    return f"{name}: of {other.name}"
