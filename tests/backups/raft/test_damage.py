"""Every damage there is a name for, done to a real directory: each is found, and named with what Docker does."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from swarmtui.backups.raft import Contents, read
from swarmtui.backups.raft.beside import needless
from swarmtui.backups.raft.damage import DAMAGES
from swarmtui.backups.raft.keyfile import open_, parse
from swarmtui.backups.raft.sealed import kek
from swarmtui.vault.secret import Secret
from tests.backups.raft import build
from tests.backups.raft.build import ENTRY, METADATA, LogEntry, Record, frame, put, state, unframe
from tests.backups.raft.real import NOW, WAL, DictFiles, Files, look, real

CERTIFICATE, KEY, ROOT = (f"certificates/swarm-{name}" for name in ("node.crt", "node.key", "root-ca.crt"))
WALS, SNAPS = "raft/wal-v3-encrypted", "raft/snap-v3-encrypted"
OTHER = Secret("SWMKEY-1-" + base64.b64encode(b"o" * 32).decode().rstrip("="))
CLEAR, LOCKED = "everything-20.10", "everything-26.1"


def clear() -> Files:
    """A young directory that is not locked: one log, no snapshot."""
    return dict(real(CLEAR).files)


def locked() -> Files:
    """A locked one with two snapshots."""
    return dict(real(LOCKED).files)


def dek(files: Files) -> bytes:
    """raft's key."""
    if b"ENCRYPTED" not in files[KEY]:
        return build.dek(files[KEY])
    return open_(parse(files[KEY]), kek(Secret(real(LOCKED).key))).deks["raft-dek"]


def records(files: Files) -> list[Record]:
    return unframe(files[WAL])


def with_log(files: Files, changed: Iterable[Record], tail: int = 4096) -> Files:
    return files | {WAL: frame(changed, tail=tail)[0]}


def without(files: Files, *names: str) -> Files:
    return {name: data for name, data in files.items() if name not in names}


def newest(files: Files) -> str:
    """The newest snapshot's file."""
    return max(name for name in files if name.endswith(".snap"))


def entries(log: Iterable[Record]) -> list[LogEntry]:
    return [LogEntry.parse(content) for kind, content in log if kind == ENTRY]


def with_certificate(files: Files, days: tuple[float, float] = (-1, 90), **who: str) -> Files:
    """Signed by another CA, which is the directory's now."""
    ca = build.authority()
    was = look(files)
    said = {"cn": was.node_id, "ou": "swarm-manager", "o": was.cluster_id} | who
    return files | {CERTIFICATE: ca.sign(build.private_key(files[KEY]), days, **said), ROOT: ca.pem}


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def used(files: Files) -> int:
    """Where the log ends."""
    return len(files[WAL].rstrip(b"\0")) + 7 & ~7


# -- one of each -----------------------------------------------------------------------------------------------------


class Unreadable:
    """Files of an archive that breaks off."""

    def __init__(self, files: Files, name: str) -> None:
        self.files, self.name = files, name

    def names(self) -> list[str]:
        return list(self.files)

    def size(self, name: str) -> int:
        return len(self.files[name])

    def read(self, name: str) -> bytes:
        if name == self.name:
            raise OSError(5, "Input/output error")
        return self.files[name]


class Giant(Unreadable):
    """Files of an archive that claims one of them to be giant."""

    def size(self, name: str) -> int:
        return 1 << 50 if name == self.name else len(self.files[name])

    def read(self, name: str) -> bytes:
        assert name != self.name, "it would fill the memory"
        return self.files[name]


def unlocked_by_other() -> Files:
    files = clear()
    key, keys = build.private_key(files[KEY]), {"raft-dek": dek(files)}
    return files | {KEY: build.key_file(key, keys, kek(OTHER), 5)}


def off_line() -> Files:
    """Autolock is on, but the key file is in clear."""
    files = locked()
    opened = open_(parse(files[KEY]), kek(Secret(real(LOCKED).key)))
    return files | {KEY: build.key_file(opened.key, opened.deks)}


def no_dek() -> Files:
    files = clear()
    return files | {KEY: re.sub(rb"raft-dek: .*\n", b"", files[KEY])}


def expired_root() -> Files:
    files = clear()
    ca, was = build.authority((-9, -1)), look(files)
    who = {"cn": was.node_id, "ou": "swarm-manager", "o": was.cluster_id}
    return files | {CERTIFICATE: ca.sign(build.private_key(files[KEY]), (-8, 9), **who), ROOT: ca.pem}


def root_one_bit() -> Files:
    """In its own signature, which nobody checks."""
    files = clear()
    lines = files[ROOT].splitlines()
    der = bytearray(base64.b64decode(b"".join(lines[1:-1])))
    der[-3] ^= 1
    body = base64.b64encode(bytes(der))
    text = b"\n".join([lines[0], *(body[at : at + 64] for at in range(0, len(body), 64)), lines[-1], b""])
    return files | {ROOT: text}


def last_entries_gone(count: int) -> Files:
    """The log without its last entries, its sums right: only the state says that they were there."""
    files = clear()
    log = records(files)
    keep = {entry.index for entry in entries(log)[:-count]}
    return with_log(files, [one for one in log if one[0] != ENTRY or LogEntry.parse(one[1]).index in keep])


def behind_snapshot() -> Files:
    """The log of before the snapshot."""
    files = locked()
    kept: list[Record] = []
    for kind, content in records(files):
        if kind == ENTRY and LogEntry.parse(content).index > 40:
            break
        kept.append((kind, content))
    return with_log(files, kept)


def old_term() -> Files:
    files = clear()
    log = records(files)
    last = entries(log)[-1]
    return with_log(files, [*log, replace(last, index=last.index + 1, term=last.term + 1).record()])


def gap() -> Files:
    files = clear()
    log = records(files)
    return with_log(files, [one for one in log if one[0] != ENTRY or LogEntry.parse(one[1]).index != 20])


def torn_in_the_middle() -> Files:
    """Two files, the first of them cut."""
    files = split(clear(), 30)
    first = min(name for name in files if name.startswith(WALS))
    return files | {first: files[first][:-9]}


def split(files: Files, after: int, sequence: int = 1) -> Files:
    """The log in two files, as after 64 MiB."""
    log = records(files)
    place = next(i for i, (kind, content) in enumerate(log) if kind == ENTRY and LogEntry.parse(content).index == after)
    metadata = next(one for one in log if one[0] == METADATA)
    first, crc = frame(log[:place], tail=0)
    second, _ = frame([metadata, *log[place:]], crc)
    return files | {WAL: first, f"{WALS}/{sequence:016x}-{after:016x}.wal": second}


def foreign_entry() -> Files:
    files = clear()
    log = build.resealed(records(files), dek(files), b"k" * 32, after=50)
    return with_log(files, log)


def bad_entry() -> Files:
    files = clear()
    log = records(files)
    last = entries(log)[-1]
    more = replace(last, index=last.index + 1, data=build.seal(dek(files), b"\x12\xff"))
    return with_log(files, [*log, more.record(), state(last.term, more.index)])


def bad_object() -> Files:
    return with_request(put(f2=put(f1=1, f7=put(f1=b"id-of-it", f3=b"\xff"))))


def with_request(request: bytes) -> Files:
    """One more entry, agreed on."""
    files = clear()
    log = records(files)
    last = entries(log)[-1]
    more = replace(last, index=last.index + 1, kind=0, data=build.seal(dek(files), request))
    return with_log(files, [*log, more.record(), state(last.term, more.index)])


def no_cluster() -> Files:
    return with_request(put(f2=put(f1=3, f6=put(f1=look(clear()).cluster_id.encode()))))


def removed_member() -> Files:
    files = clear()
    log, was = records(files), look(files)
    last = entries(log)[-1]
    change = build.seal(dek(files), put(f1=7, f2=1, f3=was.raft_id))
    more = replace(last, index=last.index + 1, kind=1, data=change)
    return with_log(files, [*log, more.record(), state(last.term, more.index)])


def without_snapshots() -> Files:
    files = locked()
    return without(files, *(name for name in files if name.endswith(".snap")))


def foreign_snapshot() -> Files:
    files = clear()
    record = build.seal(dek(files), b"")
    return files | {f"{SNAPS}/{2:016x}-{40:016x}.snap": build.snapshot(record, 40, 2)}


def sealed_otherwise() -> Files:
    files = locked()
    name = newest(files)
    term, index = (int(part, 16) for part in name.rpartition("/")[2].removesuffix(".snap").split("-"))
    return files | {name: build.snapshot(build.seal(b"k" * 32, b""), index, term)}


def more_after_the_end() -> Files:
    """Eight bytes of a record's length wiped: everything after it is as good as gone, and no sum is wrong."""
    files = clear()
    data = files[WAL]
    at = len(frame(records(files)[:100], tail=0)[0])
    return files | {WAL: data[:at] + bytes(8) + data[at + 8 :]}


Damaged = Files | Unreadable
DONE: dict[str, Callable[[], Damaged]] = {
    "unreadable": lambda: Unreadable(clear(), WAL),
    "too-large": lambda: Giant(clear(), WAL),
    "no-swarm": lambda: {"worker/tasks.db": b"x"},
    "worker": lambda: dict(real("worker-20.10").files),
    "no-certificate": lambda: without(clear(), CERTIFICATE),
    "no-key": lambda: without(clear(), KEY),
    "no-root-ca": lambda: without(clear(), ROOT),
    "no-wal": lambda: without(clear(), WAL),
    "key-damaged": lambda: clear() | {KEY: flipped(clear()[KEY], 200)},
    "no-dek": no_dek,
    "locked": locked,
    "wrong-key": locked,
    "key-generation": unlocked_by_other,
    "not-locked": off_line,
    "certificate-damaged": lambda: clear() | {CERTIFICATE: clear()[CERTIFICATE][:300]},
    "key-mismatch": lambda: (
        clear() | {KEY: build.key_file(ec.generate_private_key(ec.SECP256R1()), {"raft-dek": dek(clear())})}
    ),
    "chain": lambda: clear() | {ROOT: build.authority().pem},
    "cert-expired": lambda: with_certificate(clear(), (-9, -1)),
    "cert-not-yet": lambda: with_certificate(clear(), (1, 9)),
    "root-expired": expired_root,
    "root-ca-differs": lambda: with_certificate(clear()),
    "root-ca-damaged": root_one_bit,
    "other-cluster": lambda: with_certificate(clear(), o="another"),
    "other-node": lambda: with_certificate(clear(), cn="another"),
    "not-a-member": removed_member,
    "wal-crc": lambda: clear() | {WAL: flipped(clear()[WAL], used(clear()) // 2)},
    "wal-truncated": lambda: clear() | {WAL: clear()[WAL][: used(clear()) // 2 + 3]},
    "wal-after-end": more_after_the_end,
    "wal-short": lambda: with_log(clear(), records(clear()), tail=0),
    "wal-empty": lambda: clear() | {WAL: bytes(len(clear()[WAL]))},
    "wal-record": lambda: with_log(clear(), [*records(clear()), (9, b"")]),
    "wal-metadata": lambda: with_log(clear(), [*records(clear()), (METADATA, put(f1=9, f2=b"another"))]),
    "wal-file-missing": lambda: split(clear(), 30, sequence=2),
    "wal-start-missing": lambda: without(clear(), WAL) | {f"{WALS}/{1:016x}-{30:016x}.wal": clear()[WAL]},
    "wal-gap": gap,
    "wal-behind": lambda: last_entries_gone(1),
    "wal-behind-snapshot": behind_snapshot,
    "wal-term": old_term,
    "decrypt": foreign_entry,
    "entry": bad_entry,
    "snapshot-damaged": lambda: locked() | {newest(locked()): flipped(locked()[newest(locked())], 5000)},
    "snapshot-missing": without_snapshots,
    "snapshot-foreign": foreign_snapshot,
    "snapshot-decrypt": sealed_otherwise,
    "tasks-db": lambda: clear() | {"worker/tasks.db": bytes(8192) + clear()["worker/tasks.db"][8192:]},
    "state-json": lambda: clear() | {"state.json": b"{garbage"},
    "object": bad_object,
    "no-cluster": no_cluster,
}


def keys_for(id_: str) -> list[Secret]:
    return {"locked": [], "wrong-key": [Secret("no key at all"), OTHER], "key-generation": [OTHER]}.get(
        id_, [Secret(real(LOCKED).key)]
    )


@pytest.mark.parametrize("id_", list(DAMAGES))
def test_each_is_found_and_named(id_: str) -> None:
    damaged = DONE[id_]()
    found = read_(damaged, id_)
    (said,) = {one for one in found.problems if one.id == id_}
    assert said.what.endswith(".") or said.what.endswith("?")
    assert "{" not in said.what
    assert said.docker.endswith(".")
    # These two are harmless where the log reaches back to what is left: see below.
    if id_ not in ("snapshot-damaged", "snapshot-missing"):
        assert said.fatal is DAMAGES[id_].fatal
    assert found.fatal if said.fatal else True
    assert "SECRET-DATA" not in str(found.problems)


def read_(damaged: Damaged, id_: str) -> Contents:
    return read(DictFiles(damaged) if isinstance(damaged, dict) else damaged, keys_for(id_), now=NOW)


def test_what_a_restore_is_better_off_without() -> None:
    """Docker makes it anew; damaged, it would not start. Cut short, the tasks' database is damaged too."""
    files = clear()
    kept = {name: data for name, data in files.items() if not needless(name)}
    assert set(files) - set(kept) == {"docker-state.json", "state.json", "worker/tasks.db"}
    assert look(kept) == look(files)
    data = files["worker/tasks.db"]
    for damaged in (data[:10000], data[:5], b"garbage" * 5000, flipped(flipped(data, 40), 4096 + 40)):
        found = look(files | {"worker/tasks.db": damaged})
        assert [(one.id, one.fatal) for one in found.problems] == [("tasks-db", True)]
    assert look(files | {"worker/tasks.db": b""}).problems == ()
    assert look(files | {"worker/tasks.db": flipped(data, 40)}).problems == ()


@pytest.mark.parametrize(
    "said, harmless",
    [
        (b"null", True),
        (b"[]", True),
        (b'[{"node_id":"a\xff","addr":"b"}]', True),
        (b'[{"other":1}]', True),
        (b"", False),
        (b"{}", False),
        (b"[1]", False),
        (b'[{"addr":1}]', False),
        (b"[" * 100_000, False),
    ],
)
def test_state_json_as_docker_reads_it(said: bytes, harmless: bool) -> None:
    assert [one.id for one in look(clear() | {"state.json": said}).problems] == ([] if harmless else ["state-json"])


def test_a_ca_file_written_otherwise_is_damaged() -> None:
    """OpenSSL passes over what stands around a PEM block, Go does not."""
    found = look(clear() | {ROOT: clear()[ROOT] + b"something\n"})
    assert [(one.id, one.fatal) for one in found.problems] == [("root-ca-damaged", True)]
    assert look(clear() | {ROOT: clear()[ROOT] + b"\n"}).problems == ()
