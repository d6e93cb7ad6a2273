"""What is inside an archive of UCP: opened with its passphrase, read without unpacking, judged, taken in."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from swarmtui.backups.catalogue import Catalogue, Entry
from swarmtui.backups.crypt import NoIdentityError, WrongIdentityError
from swarmtui.backups.errors import ArchiveError, BackupError
from swarmtui.backups.freshness import holding
from swarmtui.backups.manifest import Manifest, UcpManifest
from swarmtui.backups.ucp import contents, imports
from swarmtui.backups.ucp.openpgp import form_of, stream
from swarmtui.backups.verify import Cancelled, Progress, verify
from swarmtui.config import BackupsConfig
from swarmtui.errors import UsageError
from swarmtui.vault.secret import Secret
from tests.ucp import archives as a

RIGHT, WRONG = Secret(a.PASSPHRASE), Secret("another passphrase")


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return a.seal(a.tar(a.files()))


def opened(path: Path, *passphrases: Secret) -> contents.Contents:
    with stream(path, passphrases) as tar:
        return contents.read(tar)


def test_it_opens_with_the_passphrase_and_tells_version_and_instance(tmp_path: Path, sealed: bytes) -> None:
    path = tmp_path / "ucp.bkp"
    path.write_bytes(sealed)
    found = opened(path, WRONG, RIGHT)
    assert (found.version, found.instance_id) == ("2.2.5", a.INSTANCE)
    assert found.entries == len(a.files())
    assert found.keys == {contents.NODE_KEY, contents.SERVER_KEY}
    assert found.newest == 1_700_000_000
    assert contents.missing(found, "2.2.5") == ((), ())


def test_what_does_not_open_says_why(tmp_path: Path, sealed: bytes) -> None:
    path = tmp_path / "ucp.bkp"
    path.write_bytes(sealed)
    with pytest.raises(NoIdentityError, match="has none"):
        opened(path)
    with pytest.raises(WrongIdentityError, match="does not open it") as wrong:
        opened(path, WRONG)
    assert "another passphrase" not in str(wrong.value)
    path.write_bytes(sealed[: len(sealed) // 2])
    with pytest.raises(ArchiveError, match="cut off or was changed"):
        opened(path, RIGHT)
    changed = bytearray(sealed)
    changed[len(sealed) // 2] ^= 1
    path.write_bytes(changed)
    with pytest.raises(ArchiveError, match="cut off or was changed"):
        opened(path, RIGHT)


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (lambda sealed: sealed.replace(b"\n", b"\r\n"), "changed|neither|seal"),
        (lambda sealed: b"INFO[0000] Beginning backup\r\n" + sealed, "a terminal may have spoilt it"),
        (lambda sealed: b"", "neither a tar nor sealed"),
        (lambda sealed: b"\x1f\x8b" + sealed, "gzip"),
    ],
    ids=["newlines", "messages", "empty", "gzip"],
)
def test_an_archive_that_a_terminal_spoilt_is_none(
    tmp_path: Path, sealed: bytes, spoilt: Callable[[bytes], bytes], words: str
) -> None:
    path = tmp_path / "ucp.bkp"
    path.write_bytes(spoilt(sealed))
    with pytest.raises(ArchiveError, match=words):
        opened(path, RIGHT)


def test_both_packets_of_a_session_key_are_known() -> None:
    rest = bytes([4, 9, 3, 10]) + bytes(60)
    assert form_of(bytes([0x8C, 0x2E]) + rest) == "openpgp"  # gpg --symmetric
    assert form_of(bytes([0xC3, 0x2E]) + rest) == "openpgp"  # Go's writer, pysequoia
    assert form_of(bytes([0xC3, 0xFF, 0, 0, 0, 0x2E]) + rest) == "openpgp"
    assert form_of(b"-----BEGIN PGP MESSAGE-----\n") == "openpgp"
    assert form_of(bytes([0xC3, 0x2E, 99]) + rest) == ""
    assert form_of(a.tar(a.files())[:512]) == "tar"


def _pax_bomb() -> bytes:
    header = tarfile.TarInfo("./PaxHeaders/x")
    header.type, header.size = tarfile.XHDTYPE, 4 << 30
    return header.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_pax_bomb(), "more than 64 KB"),
        (a.tar(a.files())[:5000], "cut off"),
        (a.tar({"./ucp-kv.json": b"{}"})[:1024], "without its end mark"),
    ],
    ids=["pax", "cut", "no-end"],
)
def test_a_hostile_or_cut_tar_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ArchiveError, match=words):
        contents.read(io.BytesIO(data))


def test_dumps_that_lie_are_no_answer() -> None:
    two = a.files() | {"./ucp-auth.json": a.dump("ucp-auth", "3.2.4", "q" * 25)}
    found = contents.read(io.BytesIO(a.tar(two)))
    assert (found.version, found.instance_id) == ("", "")
    assert set(found.versions) == {"2.2.5", "3.2.4"}
    junk = {"./ucp-a.json": b"{", "./ucp-b.json": b"[1]", "./ucp-c.json": b'[{"Config": {"Image": 7}}]'}
    assert contents.read(io.BytesIO(a.tar(junk))).versions == ()


@pytest.mark.parametrize(
    ("version", "without", "bad", "told"),
    [
        ("2.2.5", contents.NODE_KEY, True, False),
        ("3.0.2", contents.NODE_KEY, True, False),
        ("3.2.4", contents.NODE_KEY, False, True),  # its pages contradict each other about that volume
        ("3.4.5", contents.SERVER_KEY, True, False),
        ("3.4.5", contents.NODE_KEY, False, False),
        ("2.2.5", contents.SERVER_KEY, False, False),
    ],
)
def test_what_must_be_in_it_differs_by_version(version: str, without: str, bad: bool, told: bool) -> None:
    found = contents.read(io.BytesIO(a.tar({n: d for n, d in a.files(version).items() if n != f"./{without}"})))
    got = contents.missing(found, version)
    assert (bool(got[0]), bool(got[1])) == (bad, told)


# -- in the catalogue --------------------------------------------------------------------------------------------------


def kept(root: Path, data: bytes, name: str = "20260101T000000Z-ucp", **about: object) -> Entry:
    ucp = UcpManifest(version="2.2.5", instance_id=a.INSTANCE, sealed=data[257:262] != b"ustar")
    manifest = Manifest(cluster_id=a.INSTANCE, node="mgr2", taken_at=1.7e9, cold=None, kind="ucp", ucp=ucp)
    if about:
        manifest = msgspec.structs.replace(manifest, ucp=msgspec.structs.replace(ucp, **about))
    with Catalogue(root).begin(a.INSTANCE, name) as draft:
        draft.write(data)
        return draft.commit(manifest)


def tiers(entry: Entry, *passphrases: Secret) -> tuple[list[bool | None], str, str]:
    found = verify(entry, (), None, passphrases=passphrases)
    return [result.ok for result in found.tiers], found.verdict, found.because


def test_a_whole_one_is_not_said_to_be_proved(tmp_path: Path, sealed: bytes) -> None:
    entry = kept(tmp_path, sealed)
    ok, verdict, because = tiers(entry, RIGHT)
    assert (ok, verdict) == ([True, True, True, None], "not proved")
    assert "only a restore" in because


@pytest.mark.parametrize(
    ("about", "words"),
    [({"version": "2.2.4"}, "another version"), ({"instance_id": "z" * 25}, "another UCP")],
)
def test_another_version_or_instance_would_not_restore(
    tmp_path: Path, sealed: bytes, about: dict[str, str], words: str
) -> None:
    ok, verdict, because = tiers(kept(tmp_path, sealed, **about), RIGHT)
    assert (ok, verdict) == ([True, True, True, False], "no")
    assert words in because


def test_each_tier_says_what_it_could_not_find_out(tmp_path: Path, sealed: bytes) -> None:
    entry = kept(tmp_path, sealed)
    assert tiers(entry)[:2] == ([True, None, None, None], "not proved")
    assert tiers(entry, WRONG)[:2] == ([True, None, None, None], "not proved")
    data = bytearray(entry.archive.read_bytes())
    data[-30] ^= 1
    entry.archive.write_bytes(data)
    ok, verdict, because = tiers(entry, RIGHT)
    assert (ok[0], verdict) == (False, "no")
    assert "not what was stored" in because


def test_an_incomplete_one_would_not_restore(tmp_path: Path) -> None:
    data = a.seal(a.tar({n: d for n, d in a.files().items() if "ucp-node-certs" not in n}))
    ok, verdict, because = tiers(kept(tmp_path, data), RIGHT)
    assert (ok[1], verdict) == (False, "no")
    assert contents.NODE_KEY in because
    ok, verdict, because = tiers(kept(tmp_path, a.seal(a.tar({"./etc/passwd": b"x"}))), RIGHT)
    assert (ok[1], verdict) == (False, "no")


def test_verifying_can_be_stopped_and_tells_how_far_it_is(tmp_path: Path) -> None:
    entry = kept(tmp_path, a.seal(a.tar(a.files() | {"./ucp-metrics-data/big": os.urandom(4 << 20)})))
    told: list[Progress] = []
    verify(entry, (), None, passphrases=(RIGHT,), progress=told.append)
    assert max(each.done for each in told) > 4 << 20
    with pytest.raises(Cancelled):
        verify(entry, (), None, passphrases=(RIGHT,), cancelled=lambda: len(told) > 5)


def test_a_backup_of_ucp_is_none_of_the_swarm(tmp_path: Path, sealed: bytes) -> None:
    entry = kept(tmp_path, sealed)
    catalogue = Catalogue(tmp_path)
    assert catalogue.entries(a.INSTANCE) == (entry,)
    assert holding([entry], BackupsConfig(), 1.7e9).newest_at == 0.0
    with pytest.raises(UsageError, match="There is no backup"):
        catalogue.entry(a.INSTANCE, "latest")
    with pytest.raises(UsageError, match="is of UCP, and one of a Swarm is needed"):
        catalogue.entry(a.INSTANCE, entry.id, "swarm")
    assert catalogue.entry(a.INSTANCE, "latest", "ucp") == entry
    assert catalogue.entry(a.INSTANCE, entry.id) == entry
    swarm = Manifest(cluster_id=a.INSTANCE, node="mgr1", taken_at=1.8e9, cold=True)
    with catalogue.begin(a.INSTANCE, "20270101T000000Z-mgr1") as draft:
        draft.write(b"x")
        newer = draft.commit(swarm)
    assert catalogue.entry(a.INSTANCE, "latest") == newer
    assert catalogue.entry(a.INSTANCE, "latest", "ucp") == entry
    with pytest.raises(UsageError, match="is of a Swarm, and one of UCP is needed"):
        catalogue.entry(a.INSTANCE, newer.id, "ucp")


# -- imports -----------------------------------------------------------------------------------------------------------


def taken_in(
    root: Path, path: Path, passphrase: Secret | None = RIGHT, *, instance: str = "", version: str = ""
) -> Entry:
    inside = imports.look(path, *(() if passphrase is None else (passphrase,)))
    return imports.import_file(Catalogue(root), path, inside, instance=instance, version=version)


def test_a_hand_made_one_is_taken_in_as_it_is(tmp_path: Path, sealed: bytes) -> None:
    path = tmp_path / "ucp.bkp"
    path.write_bytes(sealed)
    assert imports.is_one(path)
    entry = taken_in(tmp_path / "kept", path)
    manifest = entry.whole
    assert entry.archive.read_bytes() == sealed
    assert (manifest.kind, manifest.protected, manifest.encrypted) == ("ucp", "openpgp", "")
    assert manifest.ucp == UcpManifest(version="2.2.5", instance_id=a.INSTANCE, sealed=True)
    assert manifest.taken_at == 1_700_000_000
    assert tiers(entry, RIGHT)[1] == "not proved"
    with pytest.raises(BackupError, match="in the catalogue already"):
        taken_in(tmp_path / "kept", path)


def test_one_that_does_not_tell_what_it_is_wants_to_be_told(tmp_path: Path) -> None:
    path = tmp_path / "plain.tar"
    path.write_bytes(a.tar(a.files(dumps=False)))
    assert imports.is_one(path)
    with pytest.raises(BackupError, match="does not tell its instance"):
        taken_in(tmp_path / "kept", path, None)
    with pytest.raises(BackupError, match="no instance id"):
        taken_in(tmp_path / "kept", path, None, instance="short", version="2.2.5")
    with pytest.raises(BackupError, match="is no version"):
        taken_in(tmp_path / "kept", path, None, instance=a.INSTANCE, version="latest")
    entry = taken_in(tmp_path / "kept", path, None, instance=a.INSTANCE, version="2.2.5")
    assert entry.whole.protected == ""
    assert tiers(entry)[:2] == ([True, True, True, None], "not proved")


def test_one_that_says_otherwise_is_refused(tmp_path: Path, sealed: bytes) -> None:
    path = tmp_path / "ucp.bkp"
    path.write_bytes(sealed)
    with pytest.raises(BackupError, match=r"its version is 2\.2\.5"):
        taken_in(tmp_path / "kept", path, version="3.2.4")
    other = tmp_path / "swarm.tar"
    other.write_bytes(a.tar({"swarm/docker-state.json": b"{}"}))
    assert not imports.is_one(other)
    with pytest.raises(ArchiveError, match="nothing of UCP"):
        imports.look(other)
