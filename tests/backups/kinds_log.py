"""Corruptions of the raft log, its checksums left as they were."""

from __future__ import annotations

from tests.backups.corrupting import Work, flip, kind, used


@kind()
def wal_bit(work: Work) -> str:
    return flip(work, work.log, 0, used(work), bit=True)


@kind()
def wal_byte(work: Work) -> str:
    return flip(work, work.log, 0, used(work))


@kind()
def wal_length(work: Work) -> str:
    frame = work.dice.choice(work.frames())
    return flip(work, work.log, frame.at, frame.at + 8, bit=work.dice.random() < 0.5)


@kind()
def wal_type(work: Work) -> str:
    """The type of a record is not under its checksum."""
    frame = work.dice.choice(work.frames())
    data, at = bytearray(work.files[work.log]), frame.begin + 1
    data[at] = work.dice.choice([number for number in (0, 1, 2, 3, 4, 5, 6) if number != frame.kind])
    work.files[work.log] = bytes(data)
    return f"{work.log}: the record at {frame.at} is of type {data[at]}, was {frame.kind}"


@kind()
def wal_checksum(work: Work) -> str:
    frame = work.dice.choice(work.frames())
    end = frame.data_at - 1 if frame.data_at else frame.end
    return flip(work, work.log, frame.begin + 2, max(end - 1, frame.begin + 3))


@kind()
def wal_last_record(work: Work) -> str:
    """Near the end, where etcd forgives what a crash could have left."""
    frame = work.dice.choice(work.frames()[-3:])
    return flip(work, work.log, frame.at, frame.end)


@kind()
def wal_cut_inside(work: Work) -> str:
    frame = work.dice.choice(work.frames())
    at = work.dice.randrange(frame.at + 1, frame.end)
    work.files[work.log] = work.files[work.log][:at]
    return f"{work.log}: cut at {at}, inside the record at {frame.at}"


@kind()
def wal_cut_last(work: Work) -> str:
    frame = work.dice.choice(work.frames()[-6:])
    at = work.dice.randrange(frame.at + 1, frame.end)
    work.files[work.log] = work.files[work.log][:at]
    return f"{work.log}: cut at {at}, inside one of the last records"


@kind()
def wal_cut_between(work: Work) -> str:
    """What is left is a log without a fault: silently rolled back."""
    frame = work.dice.choice(work.frames()[1:])
    work.files[work.log] = work.files[work.log][: frame.at]
    return f"{work.log}: cut before the record at {frame.at}"


@kind()
def wal_zero_tail(work: Work) -> str:
    """The same, and the file is as long as it was."""
    frame = work.dice.choice(work.frames()[1:])
    data = work.files[work.log]
    work.files[work.log] = data[: frame.at] + bytes(len(data) - frame.at)
    return f"{work.log}: zeros from the record at {frame.at} on"


@kind()
def wal_zero_few(work: Work) -> str:
    """The last few records are zeros: the nearest that a roll-back comes to nothing."""
    few = work.dice.randrange(1, 12)
    frame = work.frames()[-few]
    data = work.files[work.log]
    work.files[work.log] = data[: frame.at] + bytes(len(data) - frame.at)
    return f"{work.log}: the last {few} records are zeros"


@kind()
def wal_zero_inside(work: Work) -> str:
    frame = work.dice.choice(work.frames())
    at = work.dice.randrange(frame.at + 1, frame.end)
    data = work.files[work.log]
    work.files[work.log] = data[:at] + bytes(len(data) - at)
    return f"{work.log}: zeros from {at} on, inside the record at {frame.at}"


@kind()
def wal_zero_range(work: Work) -> str:
    end = used(work)
    data = work.files[work.log]
    if work.dice.random() < 0.5:  # the disk's own sectors
        begin = work.dice.randrange(end // 512) * 512
        stop = min(begin + 512 * work.dice.choice((1, 1, 2, 8)), end)
    else:
        begin = work.dice.randrange(end)
        stop = min(begin + work.dice.choice((1, 8, 64, 4096)), end)
    work.files[work.log] = data[:begin] + bytes(stop - begin) + data[stop:]
    return f"{work.log}: zeros from {begin} to {stop}"


@kind()
def wal_zero_last_sector(work: Work) -> str:
    """A torn write, as etcd looks for it: the sector that is zeros is in the last record."""
    frame = work.dice.choice(work.frames()[-4:])
    begin = max(frame.at + 8, frame.end - frame.end % 512 - 512)
    data = work.files[work.log]
    work.files[work.log] = data[:begin] + bytes(frame.end - begin) + data[frame.end :]
    return f"{work.log}: zeros from {begin} to {frame.end}"


@kind()
def wal_garbage_after(work: Work) -> str:
    end = used(work)
    data = work.files[work.log]
    garbage = work.dice.randbytes(work.dice.choice((1, 8, 300)))
    at = end + work.dice.choice((0, 8, 4096, 50_000))
    work.files[work.log] = data[:at] + garbage + data[at + len(garbage) :]
    return f"{work.log}: {len(garbage)} bytes at {at}, where nothing should be (it ends at {end})"


@kind()
def wal_of_before(work: Work) -> str:
    """The older log, under everything else that is new: another snapshot where there is one."""
    work.files[work.log] = next(data for name, data in work.before.files.items() if name.endswith(".wal"))
    return f"{work.log}: of {work.before.name}"


@kind()
def wal_of_another(work: Work) -> str:
    other = work.all[work.dice.choice([name for name in work.all if name != work.base.name])]
    work.files[work.log] = next(data for name, data in other.files.items() if name.endswith(".wal"))
    return f"{work.log}: of {other.name}"


@kind()
def wal_renamed(work: Work) -> str:
    old = work.log
    new = work.dice.choice(
        (
            "0000000000000001-0000000000000000.wal",
            "0000000000000000-0000000000000010.wal",
            "0000000000000001-00000000000000ff.wal",
            "0000000000000000-0000000000000000.wal.bak",
            "wal",
        )
    )
    work.files[old.rpartition("/")[0] + "/" + new] = work.files.pop(old)
    return f"{old}: is called {new}"


@kind()
def wal_more(work: Work) -> str:
    """A second file of the log, which does not belong there."""
    folder = work.log.rpartition("/")[0]
    index = work.dice.choice((1, 0x30, 0x1000))
    name = f"{folder}/0000000000000001-{index:016x}.wal"
    content = {
        "the same": work.files[work.log],
        "of before": next(data for name, data in work.before.files.items() if name.endswith(".wal")),
        "zeros": bytes(4096),
        "nothing": b"",
    }
    which = work.dice.choice(list(content))
    work.files[name] = content[which]
    return f"{name}: {which}"


@kind()
def wal_empty(work: Work) -> str:
    work.files[work.log] = bytes(work.dice.choice((0, 0, 7, 8, 65536)))
    return f"{work.log}: {len(work.files[work.log])} zeros"


@kind()
def wal_missing(work: Work) -> str:
    name = work.log
    del work.files[name]
    return f"{name}: missing"
