"""What is no damage: every form that a real directory may have, read as Docker reads it."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from swarmtui.backups.raft.keyfile import open_, parse
from swarmtui.backups.raft.sealed import kek
from swarmtui.vault.secret import Secret, fingerprint
from tests.backups.raft import build
from tests.backups.raft.build import ENTRY, SNAPSHOT, STATE, LogEntry, frame, put, state
from tests.backups.raft.real import NOW, WAL, fatal, ids, look, real
from tests.backups.raft.test_damage import (
    CERTIFICATE,
    KEY,
    LOCKED,
    OTHER,
    ROOT,
    SNAPS,
    clear,
    dek,
    entries,
    flipped,
    last_entries_gone,
    locked,
    newest,
    records,
    split,
    used,
    with_log,
    with_request,
    without,
    without_snapshots,
)

KEYS = [Secret(real(LOCKED).key)]
NEW_CERTIFICATE = "certificates/.swarm-node.crt"


def test_a_log_in_two_files() -> None:
    found = look(split(clear(), 30))
    assert found.problems == ()
    assert found.inventory == look(clear()).inventory


def test_files_before_the_snapshot_are_not_read() -> None:
    """Docker begins with the last file that can hold the entry after the snapshot; older ones may be anything."""
    files = split(locked(), 70)
    first = min(name for name in files if name.endswith(".wal"))
    found = look(files | {first: b"anything"}, KEYS)
    assert found.problems == ()
    assert found.inventory == look(locked(), KEYS).inventory


def test_other_files_beside_the_log_are_passed_over() -> None:
    more = {
        "raft/wal-v3-encrypted/1.tmp": bytes(99),
        "raft/wal-v3-encrypted/x.wal": b"x",
        f"{SNAPS}/a.snap.broken": b"x",
    }
    assert look(clear() | more) == look(clear())


def test_fips_seals_with_fernet() -> None:
    files = clear()
    key = dek(files)
    found = look(with_log(files, build.resealed(records(files), key, key, fips=True)))
    assert found.problems == ()
    assert found.inventory == look(clear()).inventory


@pytest.mark.parametrize("after", [0, 20, 60])
def test_in_the_middle_of_a_change_of_rafts_key(after: int) -> None:
    """Old entries are under raft-dek, new ones under raft-dek-pending."""
    files = clear()
    old, new = dek(files), b"n" * 32
    keys = {"raft-dek": old, "raft-dek-pending": new}
    changed = with_log(files, build.resealed(records(files), old, new, after=after))
    changed[KEY] = build.key_file(build.private_key(files[KEY]), keys)
    found = look(changed)
    assert found.problems == ()
    assert found.inventory == look(clear()).inventory
    assert "decrypt" in fatal(look(changed | {KEY: files[KEY]}))


def test_a_locked_key_file_with_a_pending_key() -> None:
    files = clear()
    keys = {"raft-dek": b"x" * 32, "raft-dek-pending": dek(files)}
    found = look(files | {KEY: build.key_file(build.private_key(files[KEY]), keys, kek(OTHER), 7)}, [OTHER])
    assert ids(found) == ["key-generation"]
    assert (found.locked, found.kek_version, found.opened_by) == (True, 7, fingerprint(OTHER))
    assert found.inventory == look(clear()).inventory


def test_entries_not_agreed_on_are_left_out() -> None:
    files = clear()
    log, last = records(files), entries(records(files))[-1]
    request = put(f2=put(f1=1, f7=put(f1=b"new-id", f3=put(f1=put(f1=b"new-secret")))))
    more = replace(last, index=last.index + 1, kind=0, data=build.seal(dek(files), request))
    found = look(with_log(files, [*log, more.record()]))
    assert found.problems == ()
    assert (found.last_index, found.commit) == (more.index, last.index)
    assert found.inventory == look(clear()).inventory
    agreed = look(with_log(files, [*log, more.record(), state(last.term, more.index)]))
    assert "new-secret" in [one.name for one in agreed.inventory.secrets]  # type: ignore[union-attr]


def test_entries_written_over_are_gone() -> None:
    """A leader that lost its place had written what another one overwrote."""
    files = clear()
    log, last = records(files), entries(records(files))[-1]
    lost = put(f2=put(f1=1, f7=put(f1=b"lost", f3=put(f1=put(f1=b"lost")))))
    kept = put(f2=put(f1=1, f7=put(f1=b"kept", f3=put(f1=put(f1=b"kept")))))
    again = [
        replace(last, index=last.index + 1, kind=0, data=build.seal(dek(files), lost)),
        replace(last, index=last.index + 2, kind=0, data=build.seal(dek(files), lost)),
        replace(last, index=last.index + 1, kind=0, term=last.term + 1, data=build.seal(dek(files), kept)),
    ]
    found = look(with_log(files, [*log, *(one.record() for one in again), state(last.term + 1, last.index + 1)]))
    assert found.problems == ()
    names = {one.name for one in found.inventory.secrets} - {one.name for one in look(files).inventory.secrets}  # type: ignore[union-attr]
    assert names == {"kept"}
    assert found.last_index == last.index + 1


def test_objects_change_and_go() -> None:
    gone = look(clear()).inventory.secrets[0]  # type: ignore[union-attr]
    found = look(with_request(put(f2=put(f1=3, f7=put(f1=gone.id.encode())))))
    assert found.problems == ()
    assert gone.id not in [one.id for one in found.inventory.secrets]  # type: ignore[union-attr]
    spec = put(f1=put(f1=b"renamed"))
    found = look(with_request(put(f2=put(f1=2, f7=put(f1=gone.id.encode(), f2=put(f1=put(f1=999)), f3=spec)))))
    (changed,) = [one for one in found.inventory.secrets if one.id == gone.id]  # type: ignore[union-attr]
    assert (changed.name, changed.version) == ("renamed", 999)


def test_without_the_newest_snapshot_an_older_one_and_the_log_give_the_same() -> None:
    for files in (without(locked(), newest(locked())), locked() | {newest(locked()): b"damaged"}):
        found = look(files, KEYS)
        assert found.fatal == ()
        assert "snapshot-missing" in ids(found)
        assert found.snapshot_index < look(locked(), KEYS).snapshot_index
        assert found.inventory == look(locked(), KEYS).inventory


def test_without_any_snapshot_the_log_is_not_enough_after_a_change_of_rafts_key() -> None:
    """What is before the snapshot stays under the old key, which nobody has any more."""
    files = locked()
    old = b"o" * 32
    first = {entry.index: entry for entry in entries(build.resealed(records(files), dek(files), old))}
    before = min(int(name.rpartition("-")[2].removesuffix(".snap"), 16) for name in files if name.endswith(".snap"))
    log = [first[_index(one)].record() if one[0] == ENTRY and _index(one) <= before else one for one in records(files)]
    found = look(with_log(files, log), KEYS)
    assert found.problems == ()
    assert found.inventory == look(files, KEYS).inventory
    assert fatal(look(with_log(without_snapshots(), log), KEYS)) == ["snapshot-missing", "decrypt"]


def test_without_any_snapshot_a_whole_log_under_one_key_is_enough() -> None:
    """As on a real dockerd: it replays the log from its beginning."""
    files = clear()
    log = records(files)
    place = next(i for i, (kind, content) in enumerate(log) if kind == ENTRY and LogEntry.parse(content).index == 41)
    marked = with_log(files, [*log[:place], (SNAPSHOT, put(f1=40, f2=2)), *log[place:]])
    found = look(marked)
    assert [(one.id, one.fatal) for one in found.problems] == [("snapshot-missing", False)]
    assert found.inventory == look(clear()).inventory


def test_a_joined_managers_log_needs_its_snapshot() -> None:
    """It begins with the snapshot that the leader sent."""
    files = clear()
    log = [one for one in records(files) if one[0] not in (ENTRY, STATE) or (one[0] == ENTRY and _index(one) > 40)]
    last = entries(records(files))[-1]
    joined = with_log(files, [log[0], (SNAPSHOT, put(f1=40, f2=2)), *log[1:], state(last.term, last.index)])
    assert {"snapshot-missing", "wal-gap"} <= set(fatal(look(joined)))


def _index(record: tuple[int, bytes]) -> int:
    return LogEntry.parse(record[1]).index


def test_rolled_back_in_silence_is_caught_by_the_state() -> None:
    """Cut inside its last record, the log is shortened by Docker without a word."""
    files = last_entries_gone(3)
    found = look(files)
    assert fatal(found) == ["wal-behind"]
    assert found.last_index == found.commit - 3
    assert found.inventory is not None


def test_a_cut_at_the_end_of_a_record_is_at_least_noticed() -> None:
    files = clear()
    found = look(files | {WAL: files[WAL][: used(files)]})
    assert [(one.id, one.fatal) for one in found.problems] == [("wal-short", False)]


def test_a_torn_record_is_what_docker_cuts_off() -> None:
    """etcd's rule: a sector of zeros in the last record means a crash; anything else is a wrong checksum."""
    files = clear()
    data, end = files[WAL], used(files)
    sector = (end - 600) // 512 * 512
    torn = data[:sector] + bytes(len(data) - sector)
    assert fatal(look(files | {WAL: torn})) in (["wal-truncated"], ["wal-truncated", "wal-behind"])
    assert "wal-crc" in fatal(look(files | {WAL: flipped(data, end - 700)}))


def test_the_second_file_wiped() -> None:
    """Nothing in the first says that there was more: its sums are right, and so is its state."""
    files = split(clear(), 30)
    last = max(name for name in files if name.endswith(".wal"))
    assert "wal-empty" in fatal(look(files | {last: bytes(5000)}))
    assert "wal-short" in ids(look(without(files, last)))


def test_files_swapped() -> None:
    files = split(clear(), 30)
    first, second = sorted(name for name in files if name.endswith(".wal"))
    assert fatal(look(files | {first: files[second], second: files[first]}))


def test_signed_by_an_intermediate_ca() -> None:
    files, was = clear(), look(clear())
    root = build.authority()
    middle = root.sub()
    signed = middle.sign(build.private_key(files[KEY]), cn=was.node_id, ou="swarm-manager", o=was.cluster_id)
    assert ids(look(files | {CERTIFICATE: signed + middle.pem, ROOT: root.pem})) == ["root-ca-differs"]
    assert "chain" in fatal(look(files | {CERTIFICATE: signed, ROOT: root.pem}))
    assert "chain" in fatal(look(files | {CERTIFICATE: signed + root.pem, ROOT: root.pem}))
    old = root.sub((-9, -1))
    signed = old.sign(build.private_key(files[KEY]), cn=was.node_id, ou="swarm-manager", o=was.cluster_id)
    assert "cert-expired" in ids(look(files | {CERTIFICATE: signed + old.pem, ROOT: root.pem}))


def test_two_roots_while_the_ca_is_rotated() -> None:
    files = clear()
    assert ids(look(files | {ROOT: build.authority().pem + files[ROOT]})) == ["root-ca-differs"]


def test_a_renewed_certificate_that_was_not_yet_renamed() -> None:
    """Docker writes the new one beside, then the key, then renames it."""
    files = clear()
    assert look(without(files, CERTIFICATE) | {NEW_CERTIFICATE: files[CERTIFICATE]}).problems == ()
    stale = build.authority().pem
    assert look(files | {CERTIFICATE: stale, NEW_CERTIFICATE: files[CERTIFICATE]}).problems == ()
    assert "key-mismatch" in fatal(look(files | {CERTIFICATE: stale, NEW_CERTIFICATE: stale}))


def test_one_damage_is_said_once() -> None:
    assert ids(look(clear() | {ROOT: b"garbage"})) == ["certificate-damaged"]
    assert ids(look(clear() | {CERTIFICATE: b"garbage"})) == ["certificate-damaged"]
    assert ids(look(clear() | {KEY: b"garbage"})) == ["key-damaged"]


def test_certificates_are_judged_by_the_time_given() -> None:
    assert ids(look(clear(), now=NOW + 100 * 86400)) == ["cert-expired"]
    assert ids(look(clear(), now=NOW - 100 * 86400)) == ["cert-not-yet"]


def test_of_several_keys_the_right_one_is_named() -> None:
    found = look(locked(), [Secret("what"), OTHER, *KEYS])
    assert found.problems == ()
    assert found.opened_by == fingerprint(KEYS[0])


def test_locked_says_what_can_be_said() -> None:
    found = look(locked())
    opened = look(locked(), KEYS)
    assert [(one.id, one.fatal) for one in found.problems] == [("locked", False)]
    assert (found.locked, found.opened, found.inventory) == (True, False, None)
    for known in ("node_id", "cluster_id", "kek_version", "term", "commit", "last_index", "snapshot_index", "raft_id"):
        assert getattr(found, known) == getattr(opened, known)


def test_the_key_file_as_docker_writes_it() -> None:
    """Taken apart and put together again, a real one is the same to the byte."""
    from swarmtui.backups.raft.keyfile import armour

    for name in ("everything-20.10", LOCKED, "worker-20.10"):
        pem = real(name).files[KEY]
        file = parse(pem)
        assert armour(file.label, file.headers, file.der) == pem


def test_an_old_key_file() -> None:
    """Before Docker 18.09: encrypted as OpenSSL once did it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, load_pem_private_key

    files = clear()
    key = build.private_key(files[KEY])
    secret = kek(OTHER)
    assert secret is not None
    lines = key.private_bytes(
        Encoding.PEM,
        PrivateFormat.TraditionalOpenSSL,
        build.BestAvailableEncryption(secret),
    ).decode()
    load_pem_private_key(lines.encode(), secret)
    sealed = base64.b64encode(build.seal(secret, dek(files))).decode()
    head, _, rest = lines.partition("\n")
    old = f"{head}\nkek-version: 3\nraft-dek: {sealed}\n{rest}".encode()
    assert open_(parse(old), secret).deks == {"raft-dek": dek(files)}
    found = look(files | {KEY: old}, [OTHER])
    assert (ids(found), found.kek_version) == (["key-generation"], 3)
    assert ids(look(files | {KEY: old}, KEYS))[0] == "wrong-key"


def test_frames_are_written_as_docker_writes_them() -> None:
    """The log taken apart and put together again by these tests is the real one: they do not test themselves."""
    files = clear()
    made, _ = frame(records(files))
    assert made[: used(files)] == files[WAL][: used(files)]
