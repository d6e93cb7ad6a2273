"""What is inside an archive of DTR: read without unpacking, judged, taken in."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pyrage
import pytest

from swarmtui.backups.catalogue import Catalogue, Entry
from swarmtui.backups.crypt import Encryption, NoIdentityError, WrongIdentityError
from swarmtui.backups.dtr import contents, imports
from swarmtui.backups.errors import ArchiveError, BackupError
from swarmtui.backups.manifest import DtrManifest, Manifest, decode, encode
from swarmtui.backups.streamed import tar_stream
from swarmtui.backups.verify import verify
from swarmtui.cli.backups.show import described
from swarmtui.errors import UsageError
from swarmtui.vault.secret import Secret
from tests.dtr import archives as d
from tests.ucp import archives as a

PASSPHRASE, WRONG = Secret("planted-gpg-passphrase"), Secret("another passphrase")
OURS, THEIRS = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
IDENTITY, FOREIGN = Secret(str(OURS)), Secret(str(THEIRS))
SEALED = Encryption.for_recipients([str(OURS.to_public())])


def seen(data: bytes) -> contents.Contents:
    return contents.read(io.BytesIO(data))


@pytest.mark.parametrize(
    ("version", "how"), [("2.4.1", ""), ("2.9.4", "online"), ("2.7.8", "offline")], ids=["2.4", "msr", "offline"]
)
def test_a_whole_one_tells_its_version(version: str, how: str) -> None:
    found = seen(d.backup(version, how))
    assert (found.version, found.how, found.tables) == (version, how, frozenset(d.TABLES))
    assert found.newest == 1_700_000_000
    assert contents.wrong(found) == ((), ())


@pytest.mark.parametrize(
    ("data", "bad", "told"),
    [
        (a.tar({"etc/passwd": b"x"}), "nothing of DTR", ""),
        (d.backup(tables=("tags",)), "no table properties", ""),
        (a.tar({"dtr-backup-v2.4.1/rethink/properties/0": b""}), "no table of DTR", ""),
        (a.tar({f"dtr-backup-v2.{n}.1/rethink/properties/0": b"x" for n in (4, 5)}), "several versions", ""),
        (d.backup(tables=("properties",)), "", "was DTR empty"),
        (a.tar({"dtr-backup-v2.4.1/rethink/properties/0": b"x", "evil\n[b]": b"x"}), "", "something else"),
    ],
    ids=["other", "settings", "empty", "two", "no-repositories", "beside"],
)
def test_what_is_missing_is_said(data: bytes, bad: str, told: str) -> None:
    wrong, odd = contents.wrong(seen(data))
    assert bool(wrong) == bool(bad) and bad in " ".join(wrong)
    assert told in " ".join(odd)
    assert "\n" not in " ".join((*wrong, *odd))


def test_a_cut_one_is_known_for_what_it_is() -> None:
    whole = d.backup()
    with pytest.raises(contents.DamagedError, match="cut off"):
        seen(whole[: len(whole) // 2 + 100])
    with pytest.raises(ArchiveError) as nothing:
        seen(b"INFO[0000] Beginning backup\r\n" + whole)
    assert not isinstance(nothing.value, contents.DamagedError)


# -- as a stream -------------------------------------------------------------------------------------------------------


def test_what_is_around_it_is_taken_off(tmp_path: Path) -> None:
    from swarmtui.backups.crypt import encrypt

    data, path = d.backup(), tmp_path / "file"
    given = (
        (data, None, ()),
        (gzip.compress(data), None, ()),
        (a.seal(data, PASSPHRASE.reveal()), None, (WRONG, PASSPHRASE)),
        (encrypt(data, SEALED), IDENTITY, ()),
    )
    for content, identity, passphrases in given:
        path.write_bytes(content)
        with tar_stream(path, identity, passphrases) as tar:
            assert tar.read() == data


def test_what_cannot_be_opened_or_is_damaged_says_so(tmp_path: Path) -> None:
    from swarmtui.backups.crypt import encrypt

    path = tmp_path / "file"
    sealed = encrypt(d.backup(), SEALED)
    path.write_bytes(sealed)
    with pytest.raises(NoIdentityError), tar_stream(path) as tar:
        contents.read(tar)
    with pytest.raises(WrongIdentityError), tar_stream(path, FOREIGN) as tar:
        contents.read(tar)
    path.write_bytes(sealed[:-100])
    with pytest.raises(ArchiveError, match="damaged or cut off"), tar_stream(path, IDENTITY) as tar:
        contents.read(tar)
    path.write_bytes(gzip.compress(d.backup())[:-100])
    with pytest.raises(ArchiveError, match="cut off"), tar_stream(path) as tar:
        contents.read(tar)
    path.write_bytes(b"WARN[0000]\r\n")
    with pytest.raises(ArchiveError, match="no tar"), tar_stream(path) as tar:
        contents.read(tar)


def test_whoever_stops_reading_is_not_kept_waiting(tmp_path: Path) -> None:
    from swarmtui.backups.crypt import encrypt

    path = tmp_path / "file"
    path.write_bytes(encrypt(bytes(4 << 20), SEALED))
    with pytest.raises(KeyError, match="stopped"), tar_stream(path, IDENTITY) as tar:
        tar.read(10)
        raise KeyError("stopped")


# -- in the catalogue --------------------------------------------------------------------------------------------------

ABOUT = DtrManifest(
    version="2.4.1",
    image="docker/dtr:2.4.1",
    replica_id=d.REPLICA,
    replicas=(d.REPLICA, "a6a628053157"),
    nodes={d.REPLICA: "worker1"},
    external_url="https://dtr.example.org",
    storage="nfs",
    storage_at="nfs://10.0.0.9/images",
    ucp_instance=d.UCP,
    repositories=("admin/app", "admin/base"),
)


def kept(root: Path, data: bytes, about: DtrManifest = ABOUT, encryption: Encryption | None = None) -> Entry:
    manifest = Manifest(cluster_id=d.UCP, node="worker1", taken_at=1.7e9, cold=None, kind="dtr", dtr=about)
    with Catalogue(root).begin(d.UCP, "20260101T000000Z-dtr-worker1", encryption) as draft:
        draft.write(data)
        return draft.commit(manifest)


def tiers(entry: Entry, identity: Secret | None = None) -> tuple[list[bool | None], str, str]:
    found = verify(entry, (), identity)
    return [result.ok for result in found.tiers], found.verdict, found.because


def test_a_manifest_is_read_as_it_was_written() -> None:
    manifest = Manifest(cluster_id=d.UCP, node="worker1", taken_at=1.7e9, cold=None, kind="dtr", dtr=ABOUT)
    assert decode(encode(manifest)) == manifest


def test_a_whole_one_is_not_said_to_be_proved(tmp_path: Path) -> None:
    entry = kept(tmp_path, d.backup(), encryption=SEALED)
    ok, verdict, because = tiers(entry, IDENTITY)
    assert (ok, verdict) == ([True, True, True, None], "not proved")
    assert "only a restore by DTR" in because
    assert tiers(entry)[:2] == ([True, None, None, None], "not proved")
    assert tiers(entry, FOREIGN)[:2] == ([True, None, None, None], "not proved")


def test_one_that_cannot_be_restored_says_why(tmp_path: Path) -> None:
    for number, (data, words, place) in enumerate(
        (
            (d.backup("2.5.3"), "DTR 2.5.3, and the manifest says DTR 2.4.1", 3),
            (d.backup(tables=("tags",)), "no table properties", 1),
            (d.backup()[:3000], "cut off", 0),
        )
    ):
        ok, verdict, because = tiers(kept(tmp_path / str(number), data))
        assert (verdict, ok[place]) == ("no", False)
        assert words in because
    entry = kept(tmp_path / "changed", d.backup())
    data = bytearray(entry.archive.read_bytes())
    data[600] ^= 1
    entry.archive.write_bytes(data)
    assert "not what was stored" in tiers(entry)[2]


@pytest.mark.parametrize(
    ("storage", "at", "words"),
    [
        ("local", "", "in the volume dtr-registry-47f20fb864cf of its node"),
        ("nfs", "nfs://10.0.0.9/images", "on NFS at nfs://10.0.0.9/images"),
        ("s3", "deep-dive-dtr", "in the object storage s3 deep-dive-dtr"),
        ("", "", "in a storage that nobody noted"),
    ],
)
def test_where_the_images_are_is_told_with_it(tmp_path: Path, storage: str, at: str, words: str) -> None:
    entry = kept(
        tmp_path, d.backup(), DtrManifest(version="2.4.1", replica_id=d.REPLICA, storage=storage, storage_at=at)
    )
    told = "\n".join(described(entry))
    assert f"images: NOT in it; they are {words}. Users and teams are UCP's." in told
    assert "autolock" not in told


def test_it_is_a_kind_of_its_own(tmp_path: Path) -> None:
    entry, catalogue = kept(tmp_path, d.backup()), Catalogue(tmp_path)
    assert catalogue.entry(d.UCP, "latest", "dtr") == entry
    for kind, words in (("swarm", "is of DTR, and one of a Swarm"), ("ucp", "is of DTR, and one of UCP is needed")):
        with pytest.raises(UsageError, match=words):
            catalogue.entry(d.UCP, entry.id, kind)
    with pytest.raises(UsageError, match="There is no backup"):
        catalogue.entry(d.UCP, "latest")
    with pytest.raises(UsageError, match=r"no backup of DTR .*|run dtr\.backup"):
        catalogue.entry("z" * 25, "latest", "dtr")


# -- imports -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["plain", "gzip", "gpg"])
def test_a_hand_made_one_is_taken_in(tmp_path: Path, form: str) -> None:
    data, path = d.backup("2.9.4", "online"), tmp_path / "dtr-metadata-backup.tar"
    make = {"plain": bytes, "gzip": gzip.compress, "gpg": lambda data: a.seal(data, PASSPHRASE.reveal())}
    path.write_bytes(make[form](data))
    passphrases = (PASSPHRASE,) if form == "gpg" else ()
    inside = imports.look(path, None, *passphrases)
    assert inside is not None
    catalogue = Catalogue(tmp_path / "kept")

    def take(**given: str) -> Entry:
        return imports.import_file(catalogue, path, inside, passphrases=passphrases, encryption=SEALED, **given)

    with pytest.raises(BackupError, match="does not tell its instance"):
        take()
    with pytest.raises(BackupError, match="no id of a replica"):
        take(instance=d.UCP, replica="nonsense")
    entry = take(instance=d.UCP, replica=d.REPLICA)
    manifest = entry.whole
    assert manifest.dtr == DtrManifest(version="2.9.4", replica_id=d.REPLICA, replicas=(d.REPLICA,), ucp_instance=d.UCP)
    assert (manifest.kind, manifest.encrypted, manifest.taken_at) == ("dtr", "recipients", 1_700_000_000)
    assert tiers(entry, IDENTITY)[:2] == ([True, True, True, None], "not proved")
    with pytest.raises(BackupError, match="in the catalogue already"):
        take(instance=d.UCP)


def test_what_is_none_of_dtr_is_left_to_others(tmp_path: Path) -> None:
    path = tmp_path / "file.tar"
    for data in (a.tar(a.files()), a.tar({"swarm/docker-state.json": b"{}"}), b"nonsense", b""):
        path.write_bytes(data)
        assert imports.look(path) is None
    path.write_bytes(d.backup()[:3000])
    with pytest.raises(ArchiveError, match="cut off"):
        imports.look(path)
