"""Whatever is in the files: no exception, no more work than there are bytes, and no damage that goes unnoticed."""

from __future__ import annotations

import base64
import random
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from swarmtui.backups.raft import keyfile, messages, sealed, shapes, wire
from swarmtui.backups.raft.store import KINDS, Store
from swarmtui.backups.raft.unlock import unlocked_key
from swarmtui.errors import SwarmtuiError
from swarmtui.vault.secret import Secret
from tests.backups.raft import build
from tests.backups.raft.build import frame, number, put
from tests.backups.raft.real import WAL, Files, ids, look, real
from tests.backups.raft.test_damage import KEY, LOCKED, OTHER, clear, dek, locked, newest, records, used

TABLES = {name: table for name, table in vars(messages).items() if name.isupper() and isinstance(table, dict)}
MESSAGES = st.recursive(
    st.binary(max_size=20) | st.integers(0, 2**64 - 1),
    lambda inner: st.lists(st.tuples(st.integers(1, 31), inner), max_size=5).map(
        lambda pairs: b"".join(put(**{f"f{field}": said}) for field, said in pairs)
    ),
    max_leaves=30,
).map(lambda said: said if isinstance(said, bytes) else number(said))
SOME = st.binary(max_size=200) | MESSAGES
REAL = {"clear": clear(), "locked": locked()}
KEYS = [Secret(real(LOCKED).key)]
INVENTORIES = {name: look(files, KEYS).inventory for name, files in REAL.items()}


@settings(deadline=None)
@given(SOME)
@example(b"\x0a" + b"\xff" * 9 + b"\x01")
@example(b"\x0a" * 5000)
def test_any_bytes_are_a_message_or_none(data: bytes) -> None:
    for table in TABLES.values():
        try:
            wire.decode(data, table)
        except wire.WireError:
            continue


@settings(deadline=None)
@given(st.sampled_from(sorted(set(KINDS.values()))), st.lists(SOME, max_size=3))
def test_any_object_has_a_shape_or_is_a_problem(kind: str, values: list[bytes]) -> None:
    store = Store()
    store.objects[kind] = {bytes([place]): value for place, value in enumerate(values)}
    made, problems = shapes.objects(store)
    places = [one for place in made.values() for one in place]
    assert len(places) + len(problems) <= len(values)
    assert {one.id for one in problems} <= {"object"}


@settings(deadline=None)
@given(SOME)
def test_any_bytes_change_the_store_or_nothing(data: bytes) -> None:
    store = Store()
    for use in (store.apply, store.change, store.load):
        try:
            use(data)
        except wire.WireError:
            continue


@settings(deadline=None)
@given(SOME)
def test_any_bytes_are_a_sealed_record_or_none(data: bytes) -> None:
    with pytest.raises(sealed.SealedError):
        sealed.opener([b"k" * 32, b"short"])(data)


@settings(deadline=None)
@given(SOME | st.text().map(str.encode))
def test_any_bytes_are_a_key_file_or_none(data: bytes) -> None:
    with pytest.raises(keyfile.KeyFileError):
        keyfile.parse(data)
    with pytest.raises(SwarmtuiError):
        unlocked_key(data, OTHER)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from([*REAL["locked"], "raft/snap-v3-encrypted/9-9.snap"]), SOME))
def test_any_bytes_in_any_files(files: Files) -> None:
    assert look(files).inventory is None
    look(REAL["locked"] | files, KEYS)


def test_depth_is_that_of_the_tables() -> None:
    deep = b""
    for _ in range(3000):
        deep = put(f3=deep)
    store = Store()
    store.objects["service"][b"x"] = deep
    made, problems = shapes.objects(store)
    assert made["services"] or problems


@pytest.mark.parametrize("claimed", [1 << 20, 1 << 40, (1 << 56) - 1, -1])
def test_nothing_is_reserved_for_a_length_that_is_claimed(claimed: int) -> None:
    length = (claimed & (1 << 64) - 1).to_bytes(8, "little")
    begun, _ = frame(records(REAL["clear"])[:5], tail=0)
    tracemalloc.start()
    try:
        found = look(clear() | {WAL: begun + length + bytes(100)})
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert "wal-truncated" in ids(found)


def test_a_key_that_would_take_days_is_refused() -> None:
    """PKCS#8 says itself how often to turn the passphrase over."""
    file = keyfile.parse(REAL["locked"][KEY])
    salt = file.der.index(bytes.fromhex("06092a864886f70d01050c")) + 11 + 2
    rounds = salt + 2 + file.der[salt + 1]
    kek = sealed.kek(KEYS[0])
    assert keyfile.open_(file, kek).deks
    slow = _with_rounds(file.der, rounds, (1 << 40).to_bytes(6, "big"))
    with pytest.raises(keyfile.KeyFileError, match="encrypted as no Swarm does it"):
        keyfile.open_(keyfile.KeyFile(file.label, file.headers, slow), kek)


def _with_rounds(der: bytes, at: int, rounds: bytes) -> bytes:
    return der[:at] + bytes([2, len(rounds)]) + rounds + der[at + 2 + der[at + 1] :]


# -- damage that goes unnoticed ---------------------------------------------------------------------------------------

Damage = Callable[[bytes, random.Random, int], bytes]


def flip(data: bytes, dice: random.Random, end: int) -> bytes:
    at = dice.randrange(end)
    return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]


def cut(data: bytes, dice: random.Random, end: int) -> bytes:
    return data[: dice.randrange(end)]


def wipe(data: bytes, dice: random.Random, end: int) -> bytes:
    at = dice.randrange(end - 8)
    size = dice.choice([1, 8, 64, 512, 4096])
    return data[:at] + bytes(min(size, end - 1 - at)) + data[min(at + size, end - 1) :]


def lose(data: bytes, dice: random.Random, end: int) -> bytes:
    at = dice.randrange(end)
    return data[:at] + data[at + dice.choice([1, 8, 512]) :]


def double(data: bytes, dice: random.Random, end: int) -> bytes:
    at = dice.randrange(end - 512)
    return data[: at + 512] + data[at : at + 512] + data[at + 512 :]


def mix(data: bytes, dice: random.Random, end: int) -> bytes:
    one, other = sorted(dice.sample(range(0, end - 512, 8), 2))
    size = min(512, other - one)
    return b"".join(
        (data[:one], data[other : other + size], data[one + size : other], data[one : one + size], data[other + size :])
    )


@pytest.mark.parametrize("damage", [flip, cut, wipe, lose, double, mix])
@pytest.mark.parametrize("name", list(REAL))
def test_a_damaged_log_is_noticed_or_harmless(name: str, damage: Damage) -> None:
    """30 each: where nothing fatal is said, the Swarm inside is the same."""
    files, dice = REAL[name], random.Random(f"{name} {damage.__name__}")
    for _ in range(30):
        data = damage(files[WAL], dice, used(files))
        found = look(files | {WAL: data}, KEYS)
        if found.fatal or data == files[WAL]:
            continue
        assert found.inventory == INVENTORIES[name] or "wal-short" in ids(found), found.problems


def test_records_in_another_order_or_gone_are_noticed() -> None:
    """With their sums left as they were: a log whose sums were made right again is somebody's own."""
    dice = random.Random(7)
    data = REAL["clear"][WAL]
    frames = _frames(data)
    for _ in range(60):
        one, other = sorted(dice.sample(range(1, len(frames)), 2))
        changed = list(frames)
        if dice.random() < 0.5:
            changed[one], changed[other] = changed[other], changed[one]
        else:
            del changed[one:other]
        found = look(REAL["clear"] | {WAL: b"".join(changed) + bytes(4096)})
        assert found.fatal or found.inventory == INVENTORIES["clear"]


def _frames(data: bytes) -> list[bytes]:
    """The log's records with their lengths."""
    found: list[bytes] = []
    at = 0
    while length := int.from_bytes(data[at : at + 8], "little"):
        size = (length & (1 << 56) - 1) + ((length >> 56) & 7)
        found.append(data[at : at + 8 + size])
        at += 8 + size
    return found


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_to_any_file_is_noticed_or_harmless(data: st.DataObject) -> None:
    files = REAL["locked"]
    name = data.draw(st.sampled_from([name for name in files if not name.endswith(".wal")]))
    was = files[name]
    at = data.draw(st.integers(0, len(was) - 1))
    changed = data.draw(
        st.sampled_from(
            [
                was[:at],
                was[:at] + bytes([was[at] ^ 1]) + was[at + 1 :],
                was[:at] + was[at + 1 :],
                was[:at] + bytes(len(was) - at),
            ]
        )
    )
    found = look(files | {name: changed}, KEYS)
    if not found.fatal:
        assert found.inventory == INVENTORIES["locked"]


def test_a_snapshot_of_other_bytes_under_the_right_seal() -> None:
    files = locked()
    name = newest(files)
    term, index = (int(part, 16) for part in name.rpartition("/")[2].removesuffix(".snap").split("-"))
    for inside in (b"", b"\xff", put(f2=put(f1=b"\xff")), put(f3=put(f2=b"\xff"))):
        found = look(files | {name: build.snapshot(build.seal(dek(files), inside), index, term)}, KEYS)
        assert found.fatal


def test_sealed_headers_that_are_none() -> None:
    files = clear()
    for header in (b"raft-dek: !", b"raft-dek: AAAA", b"raft-dek: " + base64.b64encode(build.seal(b"k" * 32, b"x"))):
        pem = files[KEY].splitlines()
        pem = [header if line.startswith(b"raft-dek:") else line for line in pem]
        assert ids(look(files | {KEY: b"\n".join(pem)}))[0] == "key-damaged"


def test_a_snapshot_with_damaged_members_is_one_that_docker_does_not_take() -> None:
    """Its sum made right again: they are in the clear part, which nothing else covers."""
    files = locked()
    name = newest(files)
    inner = build.get(files[name])[2]
    assert isinstance(inner, bytes)
    fields = build.get(inner)
    record, metadata = fields[1], fields[2]
    assert isinstance(record, bytes) and isinstance(metadata, bytes)
    parts = build.get(metadata)
    for voters, harmless in ((put(f1=7, f2=8), True), (b"\x08\xff", False), (put(f1=b"x"), False)):
        inside = put(f1=record, f2=put(f1=voters, f2=parts[2], f3=parts[3]))
        found = look(files | {name: put(f1=build.value(inside), f2=inside)}, KEYS)
        assert ("snapshot-damaged" not in ids(found)) is harmless
