"""Corruptions of the raft log under its checksums, which are made right again: nothing but what is in it can tell."""

from __future__ import annotations

from collections.abc import Callable

from tests.backups import frames as wal
from tests.backups.corrupting import Work, flipped, kind
from tests.backups.frames import Frame


def entries(frames: list[Frame]) -> list[int]:
    """Places of the entries among the records."""
    return [place for place, frame in enumerate(frames) if frame.kind == wal.ENTRY]


def with_data(frames: list[Frame], place: int, data: bytes) -> list[tuple[int, bytes | None]]:
    """The records, one of them with other data."""
    found = wal.records(frames)
    found[place] = (found[place][0], data)
    return found


def edit(data: bytes | None, number: int, change: Callable[[int | bytes], int | bytes]) -> bytes:
    """A message with one field changed."""
    assert data is not None
    return wal.encoded([(name, change(value) if name == number else value) for name, value in wal.message(data)])


@kind()
def wal_ciphertext_mended(work: Work) -> str:
    """A bit of an entry, under the checksum: the cipher's own tag is all that is left to tell."""
    frames = work.frames()
    place = work.dice.choice([place for place in entries(frames) if len(frames[place].data or b"") > 100])
    data = frames[place].data
    assert data is not None
    sealed = dict(wal.message(data))[4]
    assert isinstance(sealed, bytes)
    changed, at = flipped(work.dice, sealed, 0, len(sealed), bit=True)
    work.write(with_data(frames, place, edit(data, 4, lambda _: changed)))
    return f"{work.log}: bit {at} of entry {dict(wal.message(data))[3]!r}'s sealed data, checksums mended"


@kind()
def wal_nonce_mended(work: Work) -> str:
    frames = work.frames()
    place = work.dice.choice([place for place in entries(frames) if len(frames[place].data or b"") > 100])
    data = frames[place].data
    assert data is not None
    sealed = dict(wal.message(data))[4]
    assert isinstance(sealed, bytes)
    nonce = work.dice.randbytes(24)
    work.write(with_data(frames, place, edit(data, 4, lambda _: edit(sealed, 3, lambda _: nonce))))
    return f"{work.log}: another nonce in entry {dict(wal.message(data))[3]!r}, checksums mended"


@kind()
def wal_algorithm_mended(work: Work) -> str:
    """An entry that says it is not encrypted, or with something else."""
    frames = work.frames()
    place = work.dice.choice([place for place in entries(frames) if len(frames[place].data or b"") > 100])
    data = frames[place].data
    assert data is not None
    sealed = dict(wal.message(data))[4]
    assert isinstance(sealed, bytes)
    algorithm = work.dice.choice((0, 2, 3))
    work.write(with_data(frames, place, edit(data, 4, lambda _: edit(sealed, 1, lambda _: algorithm))))
    return f"{work.log}: algorithm {algorithm} in entry {dict(wal.message(data))[3]!r}, checksums mended"


@kind()
def wal_entry_head_mended(work: Work) -> str:
    """Type, term or index of an entry is another."""
    frames = work.frames()
    place = work.dice.choice(entries(frames))
    data = frames[place].data
    field_ = work.dice.choice((1, 2, 3))
    step = work.dice.choice((1, 2, 5))
    had = dict(wal.message(data or b""))
    work.write(with_data(frames, place, edit(data, field_, lambda value: _moved(value, step))))
    return f"{work.log}: entry {had[3]!r}: {('type', 'term', 'index')[field_ - 1]} is {step} higher, checksums mended"


def _moved(value: int | bytes, step: int) -> int:
    assert isinstance(value, int)
    return value + step if value + step >= 0 else value + abs(step)


@kind()
def wal_state_mended(work: Work) -> str:
    """The hard state says another commit, term or vote."""
    frames = work.frames()
    states = [place for place, frame in enumerate(frames) if frame.kind == wal.STATE]
    place = work.dice.choice(states[-4:])
    field_ = work.dice.choice((1, 2, 3, 3))
    step = work.dice.choice((-40, -5, -1, 1, 5, 1000))
    # A state before which a manager had voted for nobody has 0: that goes up only.
    work.write(with_data(frames, place, edit(frames[place].data, field_, lambda value: _moved(value, step))))
    return (
        f"{work.log}: {('term', 'vote', 'commit')[field_ - 1]} of a hard state is {step:+} "
        f"({len(states) - 1 - states.index(place)} more follow), checksums mended"
    )


@kind()
def wal_metadata_mended(work: Work) -> str:
    """Who wrote the log."""
    frames = work.frames()
    place = next(place for place, frame in enumerate(frames) if frame.kind == wal.METADATA)
    field_ = work.dice.choice((1, 2, 3))

    def change(value: int | bytes) -> int | bytes:
        if isinstance(value, int):
            return value ^ (1 << work.dice.randrange(60))
        return flipped(work.dice, value, 0, len(value), bit=False)[0]

    work.write(with_data(frames, place, edit(frames[place].data, field_, change)))
    return f"{work.log}: {('raft id', 'node id', 'address')[field_ - 1]} in the metadata is another, checksums mended"


@kind()
def wal_snapshot_mark_mended(work: Work) -> str:
    frames = work.frames()
    marks = [place for place, frame in enumerate(frames) if frame.kind == wal.SNAPSHOT]
    place = work.dice.choice(marks)
    field_, step = work.dice.choice((1, 2)), work.dice.choice((1, 3, 50))
    data = frames[place].data or b"\x08\x00\x10\x00"
    work.write(with_data(frames, place, edit(data, field_, lambda value: _moved(value, step))))
    return (
        f"{work.log}: {('index', 'term')[field_ - 1]} of snapshot mark {marks.index(place) + 1} of {len(marks)} "
        f"is {step} higher, checksums mended"
    )


@kind()
def wal_dropped_mended(work: Work) -> str:
    frames = work.frames()
    few = work.dice.choice((1, 1, 1, 2, 5))
    first = work.dice.randrange(1, len(frames) - few)
    found = wal.records(frames)
    del found[first : first + few]
    work.write(found)
    return f"{work.log}: {few} records from number {first} on are gone, checksums mended"


@kind()
def wal_dropped_last_mended(work: Work) -> str:
    few = work.dice.randrange(1, 15)
    work.write(wal.records(work.frames())[:-few])
    return f"{work.log}: the last {few} records are gone, checksums mended"


@kind()
def wal_rolled_back_mended(work: Work) -> str:
    """Everything after some entry is gone, and the hard state says that this is as it should be."""
    frames = work.frames()
    last = work.dice.choice(entries(frames)[10:-1])
    kept = frames[: last + 1]
    head = dict(wal.message(frames[last].data or b""))
    state = next(frame.data for frame in reversed(frames) if frame.kind == wal.STATE)
    now = edit(edit(state, 3, lambda _: head[3]), 1, lambda _: head[2])
    work.write([*wal.records(kept), (wal.STATE, now)])
    return f"{work.log}: rolled back to entry {head[3]!r}, hard state and checksums mended"


@kind()
def wal_repeated_mended(work: Work) -> str:
    frames = work.frames()
    place = work.dice.randrange(1, len(frames))
    few = work.dice.choice((1, 1, 3))
    found = wal.records(frames)
    again = found[place : place + few]
    where = work.dice.choice((place + few, len(found)))
    work.write(found[:where] + again + found[where:])
    return f"{work.log}: {few} records from number {place} on are there again at {where}, checksums mended"


@kind()
def wal_swapped_mended(work: Work) -> str:
    frames = work.frames()
    place = work.dice.randrange(1, len(frames) - 1)
    found = wal.records(frames)
    found[place], found[place + 1] = found[place + 1], found[place]
    work.write(found)
    return f"{work.log}: records {place} and {place + 1} have changed places, checksums mended"


@kind()
def wal_replayed_mended(work: Work) -> str:
    """One entry has another's sealed data: it opens, and something else happened."""
    frames = work.frames()
    one, other = work.dice.sample([place for place in entries(frames) if len(frames[place].data or b"") > 100], 2)
    taken = dict(wal.message(frames[other].data or b""))
    data = edit(frames[one].data, 4, lambda _: taken[4])
    work.write(with_data(frames, one, data))
    return (
        f"{work.log}: entry {dict(wal.message(data))[3]!r} has the data of entry {taken[3]!r} "
        f"(records {one} and {other}), checksums mended"
    )


@kind()
def wal_emptied_mended(work: Work) -> str:
    """An entry without its data, as an election leaves one: what it changed never happened."""
    frames = work.frames()
    place = work.dice.choice([place for place in entries(frames) if len(frames[place].data or b"") > 100])
    data = wal.encoded([pair for pair in wal.message(frames[place].data or b"") if pair[0] != 4])
    work.write(with_data(frames, place, data))
    return f"{work.log}: entry {dict(wal.message(data))[3]!r} has lost its data, checksums mended"


@kind()
def wal_foreign_entry_mended(work: Work) -> str:
    """An entry of another Swarm."""
    frames = work.frames()
    theirs = wal.taken_apart(next(data for name, data in work.all["other"].files.items() if name.endswith(".wal")))
    taken = work.dice.choice([place for place in entries(theirs) if len(theirs[place].data or b"") > 100])
    sealed = dict(wal.message(theirs[taken].data or b""))[4]
    place = work.dice.choice([place for place in entries(frames) if len(frames[place].data or b"") > 100])
    data = edit(frames[place].data, 4, lambda _: sealed)
    work.write(with_data(frames, place, data))
    return f"{work.log}: entry {dict(wal.message(data))[3]!r} is of another Swarm, checksums mended"
