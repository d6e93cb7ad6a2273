"""Verification: every tier says what it found, what it could not find out, and nothing is a yes that was not proved."""

from __future__ import annotations

import io
import resource
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyrage
import pytest

from swarmtui.backups.archive import ArchiveFiles
from swarmtui.backups.catalogue import Catalogue, Entry
from swarmtui.backups.crypt import Encryption
from swarmtui.backups.raft import read
from swarmtui.backups.records import TierResult, with_rehearsal
from swarmtui.backups.verify import Cancelled, Progress, verify, while_clear
from swarmtui.vault import Secret, fingerprint
from tests.backups.tars import generation, rewritten, root, taken, tar_of

IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENTS = Encryption((str(IDENTITY.to_public()),))
PLAIN, LOCKED, SNAPSHOT = generation("plain"), generation("locked"), generation("snapshot")
KEY = Secret(LOCKED.key)
OLD_KEY = Secret(generation("locked-before").key)
STRANGER = Secret("SWMKEY-1-" + "A" * 43)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return root(tmp_path)


def oks(entry: Entry, *keys: Secret, identity: Secret | None = None) -> tuple[bool | None, ...]:
    return tuple(result.ok for result in verify(entry, keys, identity).tiers)


# -- would restore: yes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["20.10", "26.1"])
@pytest.mark.parametrize("name", ["plain", "locked", "locked-before", "snapshot", "other"])
def test_backups_of_real_swarms_would_restore(catalogue: Catalogue, name: str, engine: str) -> None:
    one = generation(name, engine)
    entry = taken(catalogue, one)
    found = verify(entry, [Secret(one.key)] if one.key else [], None)
    assert [(result.tier, result.ok) for result in found.tiers] == [(1, True), (2, True), (3, True), (4, True)], found
    assert (found.verdict, found.tier) == ("yes", 4)
    entry = catalogue.add_verification(entry, found)
    assert entry.last_verified == found, "kept as it was found"
    assert found.tiers[0].what[0] == "Its sha256 is right, and the tar is whole."


def test_an_encrypted_one_as_well(catalogue: Catalogue) -> None:
    entry = taken(catalogue, LOCKED, encryption=RECIPIENTS)
    found = verify(entry, [KEY], Secret(str(IDENTITY)))
    assert found.verdict == "yes", found
    assert found.tiers[0].what[0] == "Its sha256 is right, it opens, and the tar is whole."


def test_it_says_which_generation_of_the_key_opened_it(catalogue: Catalogue) -> None:
    entry = taken(catalogue, generation("locked-before"))
    assert entry.whole.key_fingerprint == fingerprint(OLD_KEY)
    version = entry.whole.kek_version
    current = verify(entry, [OLD_KEY], None).tiers[2]
    assert current.what == (
        f"It is locked, and the vault's unlock key opens it: {fingerprint(OLD_KEY)}, version {version}.",
    )
    earlier = verify(entry, [KEY, STRANGER, OLD_KEY], None).tiers[2]
    assert earlier.ok
    assert earlier.what == (
        f"It is locked, and an earlier unlock key of the vault opens it: {fingerprint(OLD_KEY)}, version {version}.",
    )
    assert OLD_KEY.reveal() not in repr(earlier)


# -- not proved --------------------------------------------------------------------------------------------------------


def test_without_the_key_tiers_3_and_4_are_not_proved(catalogue: Catalogue) -> None:
    entry = taken(catalogue, LOCKED)
    found = verify(entry, [], None)
    assert [result.ok for result in found.tiers] == [True, True, None, None]
    assert (found.verdict, found.tier) == ("not proved", 2)
    assert found.because == (
        "it is locked, and the vault has no unlock key of its cluster; it needs the one with fingerprint "
        f"{fingerprint(KEY)} (version {entry.whole.kek_version})"
    )
    assert found.tiers[3].what == ("Its contents could not be read: it is locked and was not opened.",)


def test_with_other_keys_it_says_which_one_it_needs(catalogue: Catalogue) -> None:
    entry = taken(catalogue, LOCKED)
    found = verify(entry, [OLD_KEY, STRANGER], None)
    assert [result.ok for result in found.tiers] == [True, True, None, None]
    assert f"needs the one with fingerprint {fingerprint(KEY)}" in found.because
    assert f"the vault's ({fingerprint(OLD_KEY)}, {fingerprint(STRANGER)}) are not that" in found.because


def test_the_right_key_that_does_not_open_it_means_damage(catalogue: Catalogue) -> None:
    """The manifest knows which key it was: that one must open it."""
    entry = taken(catalogue, LOCKED, key_fingerprint=fingerprint(STRANGER))
    found = verify(entry, [STRANGER], None)
    assert (found.verdict, found.tiers[2].ok) == ("no", False)
    assert "which the vault has, and that key does not open it" in found.because


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        (None, "no identity is at hand"),
        (Secret("hunter2"), "what is at hand is a passphrase"),
        (Secret(str(pyrage.x25519.Identity.generate())), "none of its recipients'"),
    ],
)
def test_encrypted_and_not_opened_is_not_proved(catalogue: Catalogue, identity: Secret | None, words: str) -> None:
    found = verify(taken(catalogue, PLAIN, encryption=RECIPIENTS), [], identity)
    assert [result.ok for result in found.tiers] == [None, None, None, None]
    assert (found.verdict, found.tier) == ("not proved", 0)
    assert words in found.because
    assert found.tiers[0].what[1] == "As it is stored it is unchanged."


def test_an_imported_one_is_proved_only_by_a_rehearsal(catalogue: Catalogue) -> None:
    entry = taken(catalogue, PLAIN, source="imported")
    found = verify(entry, [], None)
    assert (found.verdict, found.tier, found.tiers[3].ok) == ("not proved", 3, None)
    assert "rehearse it" in found.because
    entry = catalogue.add_verification(entry, with_rehearsal(found, TierResult(5, True, ("Restored.",), 7.0)))
    again = verify(entry, [], None)
    assert (again.verdict, again.tier) == ("yes", 5)
    assert again.tiers[-1].at == 7.0, "when it was rehearsed, not now"


def test_a_failed_rehearsal_is_not_forgotten_by_the_next_verification(catalogue: Catalogue) -> None:
    entry = taken(catalogue, PLAIN)
    bad = TierResult(5, False, ("It came up empty.",), 7.0)
    entry = catalogue.add_verification(entry, with_rehearsal(verify(entry, [], None), bad))
    found = verify(entry, [], None)
    assert (found.verdict, found.because) == ("no", "it came up empty")


def test_without_an_inventory_there_is_nothing_to_compare_with(catalogue: Catalogue) -> None:
    entry = taken(catalogue, PLAIN, inventory=None, inventory_after=None)
    found = verify(entry, [], None)
    assert (found.verdict, found.tiers[3].ok) == ("not proved", None)


# -- no ----------------------------------------------------------------------------------------------------------------


def flipped(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_tier_1_notices_every_change_of_what_is_stored(catalogue: Catalogue) -> None:
    entry = taken(catalogue, PLAIN)
    flipped(entry.archive, 60_000)
    found = verify(entry, [], None)
    assert (found.verdict, found.tier) == ("no", 0)
    assert found.because == f"the archive is not what was stored: the sha256 of its {entry.whole.size} bytes is another"
    sealed = taken(catalogue, PLAIN, encryption=RECIPIENTS)
    flipped(sealed.archive, 60_000)
    found = verify(sealed, [], Secret(str(IDENTITY)))
    assert found.verdict == "no"
    assert len(found.tiers[0].what) == 2
    assert "damaged or cut off" in found.tiers[0].what[1]
    assert [result.ok for result in found.tiers[1:]] == [None, None, None]


def test_tier_1_notices_another_tar_in_the_same_encryption(catalogue: Catalogue) -> None:
    """Whoever knows the recipients can encrypt something else, and write a digest."""
    entry = taken(catalogue, PLAIN, encryption=RECIPIENTS)
    other = pyrage.encrypt(tar_of(SNAPSHOT.files), [IDENTITY.to_public()])
    entry.archive.write_bytes(other)
    import hashlib

    told = msgspec.structs.replace(entry.whole, stored_size=len(other), stored_digest=hashlib.sha256(other).hexdigest())
    (entry.folder / "manifest.json").write_bytes(msgspec.json.encode(told))
    found = verify(catalogue.entry(None, entry.id), [], Secret(str(IDENTITY)))
    assert found.because == "what comes out of it is not the tar that was taken: its sha256 is another"


def test_tier_1_notices_the_objects_beside(catalogue: Catalogue) -> None:
    for encryption in (None, RECIPIENTS):
        entry = taken(catalogue, PLAIN, encryption=encryption)
        assert entry.objects is not None
        flipped(entry.objects, entry.objects.stat().st_size - 3)
        found = verify(entry, [], Secret(str(IDENTITY)))
        assert found.because == "the API objects beside it are not what was stored: their sha256 is another"
        entry.objects.unlink()
        found = verify(entry, [], Secret(str(IDENTITY)))
        assert "cannot be read: no such file or directory" in found.because


def test_tier_1_notices_a_hostile_archive(catalogue: Catalogue) -> None:
    out = io.BytesIO(tar_of(PLAIN.files))
    with tarfile.open(fileobj=out, mode="a") as tar:
        info = tarfile.TarInfo("var/lib/docker/swarm/../../../../etc/cron.d/evil\x1b[2J")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    entry = taken(catalogue, PLAIN)
    rewritten(entry, out.getvalue())
    found = verify(catalogue.entry(None, entry.id), [], None)
    assert found.verdict == "no"
    assert found.because.isprintable()
    assert "control characters" in found.because


def without(*names: str) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: {name: data for name, data in files.items() if not name.startswith(names)}


def changed(name: str, change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def apply(files: dict[str, bytes]) -> dict[str, bytes]:
        found = next(each for each in files if each.startswith(name))
        return {**files, found: change(files[found])}

    return apply


DAMAGE: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], int, str]] = {
    "no certificate": (without("certificates/swarm-node.crt"), 2, "swarm-node.crt is missing"),
    "no key": (without("certificates/swarm-node.key"), 2, "swarm-node.key is missing"),
    "no root CA": (without("certificates/swarm-root-ca.crt"), 2, "swarm-root-ca.crt is missing"),
    "no WAL": (without("raft/wal"), 2, "The raft log is missing"),
    "no certificates at all": (without("certificates/"), 2, "is missing"),
    "empty certificate": (changed("certificates/swarm-node.crt", lambda data: b""), 2, "swarm-node.crt"),
    "WAL flipped": (
        changed("raft/wal", lambda data: data[:9000] + bytes([data[9000] ^ 1]) + data[9001:]),
        2,
        "checksum is wrong",
    ),
    "WAL cut off": (changed("raft/wal", lambda data: data[: len(data.rstrip(b"\0")) - 100]), 2, "breaks off"),
    "WAL tail wiped": (
        changed("raft/wal", lambda data: data[: len(data.rstrip(b"\0")) // 2] + bytes(100_000)),
        2,
        "raft log",
    ),
    "other node's key": (
        lambda files: {
            **files,
            "certificates/swarm-node.key": generation("plain-peer").files["certificates/swarm-node.key"],
        },
        2,
        "not that of the certificate",
    ),
    "other cluster's certificates": (
        lambda files: {
            **files,
            **{name: data for name, data in generation("other").files.items() if name.startswith("certificates/")},
        },
        2,
        "",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_inside_is_noticed_with_the_digest_made_right_again(catalogue: Catalogue, name: str) -> None:
    damage, tier, words = DAMAGE[name]
    entry = taken(catalogue, PLAIN)
    rewritten(entry, tar_of(damage(dict(PLAIN.files))))
    found = verify(catalogue.entry(None, entry.id), [], None)
    assert found.tiers[0].ok, found.tiers[0]
    assert found.verdict == "no", found
    assert found.tiers[tier - 1].ok is False
    assert words in " ".join(found.tiers[tier - 1].what)
    assert found.tier < tier


def test_a_raft_log_that_was_rolled_back_is_noticed_by_its_index(catalogue: Catalogue) -> None:
    """Docker takes it without a word, and so the inventory alone would not tell where nothing was changed since."""
    entry = taken(catalogue, PLAIN)
    rewritten(entry, tar_of(PLAIN.files))
    told = catalogue.entry(None, entry.id).whole
    ahead = msgspec.structs.replace(told, raft_index=told.raft_index + 3)
    (entry.folder / "manifest.json").write_bytes(msgspec.json.encode(ahead))
    found = verify(catalogue.entry(None, entry.id), [], None)
    assert found.because == (
        f"its raft log ends at entry {told.raft_index}, and had {told.raft_index + 3} when it was taken"
    )


def test_an_older_directory_under_a_newer_manifest_is_noticed(catalogue: Catalogue) -> None:
    """A whole and complete archive, only of another day."""
    older = generation("plain-before")
    entry = taken(catalogue, PLAIN, tar=tar_of(older.files))
    found = verify(entry, [], None)
    assert [result.ok for result in found.tiers] == [True, True, True, False]
    said = " ".join(found.tiers[3].what)
    assert "config later.yml was in the cluster, and is not in the backup" in said
    assert "secret old-token is in the backup, and was not in the cluster" in said


def test_another_nodes_or_clusters_directory_is_noticed(catalogue: Catalogue) -> None:
    mine = taken(catalogue, PLAIN)
    peer = taken(catalogue, PLAIN, tar=tar_of(generation("plain-peer").files), node_id=mine.whole.node_id)
    found = verify(peer, [], None)
    assert (found.verdict, found.tiers[1].ok) == ("no", False)
    assert "it is of another node" in found.because
    other = taken(catalogue, PLAIN, tar=tar_of(generation("other").files))
    found = verify(other, [], None)
    assert (found.verdict, found.tiers[1].ok) == ("no", False)
    assert "it is of another cluster" in found.because


def test_a_broken_entry_would_not_restore(catalogue: Catalogue) -> None:
    entry = taken(catalogue, PLAIN)
    entry.archive.unlink()
    found = verify(catalogue.entry(None, entry.id), [], None)
    assert (found.verdict, found.because) == ("no", "its archive cannot be read: No such file or directory")


def test_what_changed_while_it_was_taken_is_named_and_no_failure(catalogue: Catalogue) -> None:
    before, after = generation("plain-before").inventory, PLAIN.inventory
    entry = taken(catalogue, PLAIN, inventory=before, inventory_after=after)
    found = verify(entry, [], None)
    assert found.verdict == "yes"
    said = found.tiers[3].what
    assert said[0] == "Its contents are what the cluster had."
    assert any("service web changed while the backup was taken" in sentence for sentence in said[1:])


# -- how it goes -------------------------------------------------------------------------------------------------------


def test_it_tells_how_far_it_is_and_can_be_stopped(catalogue: Catalogue) -> None:
    entry = taken(catalogue, PLAIN, encryption=RECIPIENTS)
    told: list[Progress] = []
    verify(entry, [], Secret(str(IDENTITY)), progress=told.append)
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert all(0 <= each.done <= each.total for each in told)
    assert list(dict.fromkeys(each.doing for each in told)) == ["comparing the digest", "opening it", "looking inside"]
    for stop in range(1, 4):
        asked = 0

        def stopped(stop: int = stop) -> bool:
            nonlocal asked
            asked += 1
            return asked >= stop

        with pytest.raises(Cancelled):
            verify(entry, [], Secret(str(IDENTITY)), cancelled=stopped)


def test_a_hundred_take_no_more_memory_than_one(catalogue: Catalogue) -> None:
    entry = taken(catalogue, SNAPSHOT)
    for _ in range(20):  # the interpreter's own pools fill
        assert verify(entry, [], None).verdict == "yes"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100):
        assert verify(entry, [], None).verdict == "yes"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10, "kilobytes"


def test_what_was_seen_before_it_was_encrypted_counts_where_nobody_here_opens_it(tmp_path: Path) -> None:
    clear, sealed = root(tmp_path / "clear"), root(tmp_path / "sealed")
    with taken(clear, LOCKED).archive.open("rb") as tar:
        contents = read(ArchiveFiles(tar), [KEY])
        unopened = read(ArchiveFiles(tar))
    entry = taken(sealed, LOCKED, encryption=RECIPIENTS)
    assert verify(entry, [KEY], None).verdict == "not proved", "nothing here opens it"
    found = while_clear(entry, contents, [KEY], 5.0)
    assert (found.verdict, found.tier, found.stored_digest) == ("yes", 4, entry.whole.stored_digest)
    assert "before it was encrypted" in found.tiers[0].what[0] and "try its identity once" in found.tiers[0].what[0]
    assert sealed.add_verification(entry, found).would_restore == "yes"
    assert while_clear(entry, unopened, [], 5.0).verdict == "not proved", "and its unlock key has to be there"
