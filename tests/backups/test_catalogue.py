"""The catalogue: what has a backup's name is whole, whatever happens while it is made."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from swarmtui.backups import draft as drafts
from swarmtui.backups.catalogue import Catalogue, Entry, backup_id, belongs
from swarmtui.backups.crypt import Encryption
from swarmtui.backups.errors import BackupError
from swarmtui.backups.manifest import Manifest, decode, encode
from swarmtui.backups.records import Copy, TierResult, judged, with_rehearsal
from swarmtui.errors import RefusedError, UsageError
from swarmtui.vault import Secret
from tests.backups.killed import CLUSTER, CONTENT, ID, RECIPIENT, make, verified
from tests.backups.tars import root

OTHER = "zyxwvutsrqponmlkjihgfedcb"


def manifest(**told: object) -> Manifest:
    built = Manifest(cluster_id=CLUSTER, node="mgr2", taken_at=1_795_000_000.0, cold=True)
    return msgspec.structs.replace(built, **told)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return root(tmp_path)


# -- a backup is made ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["", "recipients", "passphrase"])
def test_a_backup_is_what_was_written(catalogue: Catalogue, kind: str) -> None:
    encryption = {
        "": Encryption(),
        "recipients": Encryption((RECIPIENT,)),
        "passphrase": Encryption(passphrase=Secret("needle-7781")),
    }[kind]
    entry = make(catalogue, encryption)
    told = entry.whole
    assert (entry.id, told.id, told.encrypted, told.cluster_id) == (ID, ID, kind, CLUSTER)
    assert (told.size, told.digest) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    stored = entry.archive.read_bytes()
    assert (told.stored_size, told.stored_digest) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert (stored == CONTENT) == (kind == "")
    assert entry.archive.name == ("archive.tar.age" if kind else "archive.tar")
    assert entry.objects is not None
    assert hashlib.sha256(entry.objects.read_bytes()).hexdigest() == told.objects_stored_digest
    assert (b"services" in entry.objects.read_bytes()) == (kind == "")
    assert catalogue.entries() == (entry,)
    assert (entry.would_restore, entry.because, entry.tier) == ("not proved", "it was never verified", 0)
    everything = b"".join(path.read_bytes() for path in entry.folder.iterdir())
    assert b"needle" not in everything


def test_only_their_owner_gets_at_them_also_under_a_loose_umask(catalogue: Catalogue) -> None:
    before = os.umask(0)
    try:
        entry = make(catalogue)
        verified(catalogue, entry)
        catalogue.set_copies(entry, [Copy(where="/mnt/x", at=1.0, digest="0")])
    finally:
        os.umask(before)
    paths = [catalogue.root, *catalogue.root.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}
    assert len([path for path in paths if path.is_file()]) == 5


def test_zeros_of_a_plain_archive_are_a_hole(catalogue: Catalogue) -> None:
    with catalogue.begin(CLUSTER, ID) as draft:
        for _ in range(64):
            draft.write(bytes(1 << 20))
        draft.write(b"x")
        draft.write(bytes(200_000))
        entry = draft.commit(manifest())
    assert entry.broken == ""
    assert entry.archive.read_bytes() == bytes(64 << 20) + b"x" + bytes(200_000)
    assert entry.archive.stat().st_blocks * 512 < 4 << 20


def test_the_same_name_twice_gets_a_number(catalogue: Catalogue) -> None:
    ids = [make(catalogue).id for _ in range(3)]
    assert ids == [ID, f"{ID}-2", f"{ID}-3"]
    assert [entry.id for entry in catalogue.entries()] == [f"{ID}-3", f"{ID}-2", ID], "the newest first"
    assert [entry.whole.id for entry in catalogue.entries()] == [entry.id for entry in catalogue.entries()]


def test_it_can_be_looked_into_before_it_is_one(catalogue: Catalogue) -> None:
    for encryption in (Encryption(), Encryption((RECIPIENT,))):
        with catalogue.begin(CLUSTER, ID, encryption) as draft:
            draft.write(CONTENT)
            with draft.opened() as opened:
                assert opened is not None
                assert opened.read() == CONTENT
            draft.write(b"more")
            assert draft.digest == hashlib.sha256(CONTENT + b"more").hexdigest()
            assert draft.commit(manifest()).whole.size == len(CONTENT) + 4


def test_one_that_is_not_committed_leaves_nothing(catalogue: Catalogue) -> None:
    with catalogue.begin(CLUSTER, ID) as draft:
        draft.write(CONTENT)
    with pytest.raises(ZeroDivisionError), catalogue.begin(CLUSTER, ID, Encryption((RECIPIENT,))) as draft:
        draft.write(CONTENT)
        raise ZeroDivisionError
    assert catalogue.entries() == ()
    assert list((catalogue.root / CLUSTER).iterdir()) == []


@pytest.mark.parametrize(
    ("cluster", "name"), [("../evil", ID), (CLUSTER, "../evil"), (CLUSTER, "x/y"), ("", ""), (CLUSTER, ".new-x")]
)
def test_names_that_cannot_be_are_refused(catalogue: Catalogue, cluster: str, name: str) -> None:
    with pytest.raises(UsageError, match="is no"):
        catalogue.begin(cluster, name)
    assert not catalogue.root.exists()


@pytest.mark.parametrize("node", ["mgr2", "../../x", "a b\x1b[2J", "", "ü" * 200, "-.-", "node.example.com"])
def test_any_node_gives_a_name_that_can_be(catalogue: Catalogue, node: str) -> None:
    name = backup_id(1_795_000_000.0, node)
    assert name.startswith("20261118T")
    with catalogue.begin(CLUSTER, name) as draft:
        draft.write(b"x")
        assert draft.commit(manifest()).id == name


# -- crashes -----------------------------------------------------------------------------------------------------------

FULL = {"archive.tar", "manifest.json", "objects.json"}
SEALED = {"archive.tar.age", "manifest.json", "objects.json.age"}


@pytest.mark.parametrize("what", ["make", "make-encrypted", "verify", "copy", "remove"])
def test_killed_at_every_step_nothing_half_done_looks_whole(tmp_path: Path, what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.backups.killed", tmp_path, what], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert not lines[-1]["killed"]
    assert len(lines) > {"make": 15, "make-encrypted": 15, "verify": 4, "copy": 4, "remove": 6}[what], "steps"
    seen = set()
    for line in lines:
        entries, left = line["entries"], line["leftovers"]
        assert len(entries) <= 1
        for entry in entries:
            assert (entry["id"], entry["broken"]) == (ID, "")
            names = set(entry["whole"])
            assert names >= (SEALED if what == "make-encrypted" else FULL)
            counts = (entry["verifications"], entry["copies"])
            assert (
                counts
                in {
                    "make": {(0, 0)},
                    "make-encrypted": {(0, 0)},
                    "verify": {(1, 1), (2, 1)},
                    "copy": {(1, 1), (1, 2)},
                    "remove": {(1, 1)},
                }[what]
            )
            seen.add(counts)
        assert len(left) <= 1
        assert line["swept"] == len(left)
        # What is swept is gone, and what is a backup is not swept.
        assert line["names"] == [entry["id"] for entry in entries]
        for each in left:
            assert each["pid"] > 1
            words = "a half removed backup" if what == "remove" else "an unfinished backup"
            assert (
                f"is {words}, left behind 0 min ago by process {each['pid']} on {each['host']}, which is gone."
                in each["said"]
            )
    if what.startswith("make"):
        assert any(line["leftovers"] for line in lines)
        assert sum(bool(line["entries"]) for line in lines) >= 2, "also after the rename"
    elif what != "remove":
        assert len(seen) == 2
    else:
        assert any(line["leftovers"] for line in lines)
        assert not lines[-1]["entries"]


def test_everything_is_on_disk_before_the_rename(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is the promise: each file, their folder, the rename, the folder above."""
    happened: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        happened.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real_fsync(descriptor)

    def rename(old: str, new: str) -> None:
        happened.append(f"-> {Path(new).name}")
        real_rename(old, new)

    with catalogue.begin(CLUSTER, ID) as draft:
        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "rename", rename)
        draft.write(CONTENT)
        own = draft.folder.name
        draft.commit(manifest(), b"{}")
    assert happened == ["archive.tar", "objects.json", "manifest.json", own, f"-> {ID}", CLUSTER]


def test_what_a_living_program_makes_is_left_alone(catalogue: Catalogue) -> None:
    make(catalogue)
    script = (
        "import sys; from pathlib import Path; from swarmtui.backups.catalogue import Catalogue\n"
        f"draft = Catalogue(Path(sys.argv[1])).begin({CLUSTER!r}, {ID!r})\n"
        "draft.write(b'x' * 100000); print(draft.folder, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, catalogue.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as living:
        assert living.stdout is not None
        folder = Path(living.stdout.readline().strip())
        assert folder.is_dir()
        assert catalogue.leftovers() == ()
        assert catalogue.sweep() == ()
        assert folder.is_dir()
        living.kill()
        living.wait()
    (left,) = catalogue.leftovers()
    assert (left.folder, left.pid) == (folder, living.pid)
    assert [each.folder for each in catalogue.sweep()] == [folder]
    assert not folder.exists()
    assert len(catalogue.entries()) == 1


def test_a_leftover_of_another_host_is_one_only_after_days(catalogue: Catalogue) -> None:
    make(catalogue)
    other = catalogue.root / CLUSTER / ".new-elsewhere-123-00112233"
    other.mkdir()
    assert catalogue.leftovers() == ()
    past = time.time() - drafts.FOREIGN_SECONDS - 60
    os.utime(other, (past, past))
    (left,) = catalogue.leftovers()
    assert (left.pid, left.host) == (123, "elsewhere")
    assert "left behind 48 h ago by process 123 on elsewhere" in str(left)


def test_two_programs_at_once_make_two_backups(catalogue: Catalogue) -> None:
    """And a third that sweeps all the time takes nothing from them."""
    catalogue.root.mkdir(mode=0o700)
    many = 12
    script = (
        "import sys; from pathlib import Path; from swarmtui.backups.catalogue import Catalogue\n"
        "from tests.backups.killed import make\n"
        f"for _ in range({many}): make(Catalogue(Path(sys.argv[1])))"
    )
    programs = [subprocess.Popen([sys.executable, "-c", script, catalogue.root]) for _ in range(3)]
    while any(program.poll() is None for program in programs):
        assert catalogue.sweep() == ()
    assert [program.wait() for program in programs] == [0, 0, 0]
    entries = catalogue.entries()
    assert len(entries) == 3 * many
    assert not [entry.broken for entry in entries if entry.broken]
    assert {entry.whole.id for entry in entries} == {entry.id for entry in entries}
    assert {hashlib.sha256(entry.archive.read_bytes()).hexdigest() for entry in entries} == {
        hashlib.sha256(CONTENT).hexdigest()
    }


def test_verifications_of_two_programs_are_all_kept(catalogue: Catalogue) -> None:
    make(catalogue)
    script = (
        "import sys; from pathlib import Path; from swarmtui.backups.catalogue import Catalogue\n"
        "from tests.backups.killed import verified, ID\n"
        "c = Catalogue(Path(sys.argv[1])); [verified(c, c.entry(None, ID)) for _ in range(30)]"
    )
    programs = [subprocess.Popen([sys.executable, "-c", script, catalogue.root]) for _ in range(3)]
    assert [program.wait() for program in programs] == [0, 0, 0]
    assert len(catalogue.entry(None, ID).verifications) == 90


# -- a full disk -------------------------------------------------------------------------------------------------------


def full(*arguments: object, **named: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("kind", ["", "recipients"])
@pytest.mark.parametrize("at", ["first fsync", "second fsync", "rename", "mkdir", "open"])
def test_a_full_disk_says_so_and_leaves_nothing(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, at: str, kind: str
) -> None:
    make(catalogue)
    real = os.fsync
    calls = 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        full() if calls == (1 if at == "first fsync" else 2) else real(descriptor)

    match at:
        case "rename":
            monkeypatch.setattr(Path, "rename", full)
        case "mkdir":
            monkeypatch.setattr(Path, "mkdir", full)
        case "open":
            monkeypatch.setattr(drafts.Draft, "_new", full)
        case _:
            monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(BackupError) as raised:
        make(catalogue, Encryption((RECIPIENT,)) if kind else None)
    monkeypatch.undo()
    assert raised.value.what.startswith(f"The disk is full: {catalogue.root / CLUSTER} cannot be ")
    assert raised.value.what.endswith("(no space left on device); free space there.")
    assert [path.name for path in (catalogue.root / CLUSTER).iterdir()] == [ID]


@contextlib.contextmanager
def tiny_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    folder.mkdir(mode=0o700)
    options = f"size={kilobytes}k,mode=700"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a tiny disk")
@pytest.mark.parametrize("kind", ["", "recipients", "passphrase"])
def test_a_disk_that_is_really_full(tmp_path: Path, kind: str) -> None:
    encryption = {
        "": Encryption(),
        "recipients": Encryption((RECIPIENT,)),
        "passphrase": Encryption(passphrase=Secret("x")),
    }[kind]
    sizes = [900] if kind == "passphrase" else [8, 16, 100, 900, 1000, 1004, 1008, 1012, 1016, 1020, 1100]
    ended = set()
    for size in sizes:
        disk = tmp_path / f"disk{size}"
        with tiny_disk(disk, size):
            catalogue = Catalogue(disk / "backups")
            try:
                ended.add(make(catalogue, encryption).broken)
            except BackupError as error:
                ended.add("full")
                assert "The disk is full: " in error.what
                assert error.what.count(". ") == 0, "one sentence"
                assert catalogue.entries() == ()
                assert catalogue.leftovers() == ()
                cluster = disk / "backups" / CLUSTER
                assert not cluster.exists() or list(cluster.iterdir()) == []
    assert ended == ({"full"} if kind == "passphrase" else {"full", ""})


def test_records_on_a_full_disk(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = make(catalogue)
    verified(catalogue, entry)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BackupError, match="The disk is full"):
        verified(catalogue, entry)
    with pytest.raises(BackupError, match="The disk is full"):
        catalogue.set_copies(entry, [Copy(where="/mnt/x", at=1.0, digest="0")])
    monkeypatch.undo()
    after = catalogue.entry(None, ID)
    assert after.copies == ()
    assert not list(entry.folder.glob(".copies*"))


# -- what grows beside -------------------------------------------------------------------------------------------------


def test_the_newest_verification_counts(catalogue: Catalogue) -> None:
    entry = make(catalogue)
    good = [TierResult(tier, True, ("fine",)) for tier in (1, 2, 3, 4)]
    entry = catalogue.add_verification(entry, judged(good, 10.0))
    assert (entry.would_restore, entry.tier) == ("yes", 4)
    entry = catalogue.add_verification(entry, judged([TierResult(1, False, ("It is gone.",))], 20.0))
    assert (entry.would_restore, entry.because, entry.tier) == ("no", "it is gone", 0)
    partly = [*good[:2], TierResult(3, None, ("No key.",)), TierResult(4, None, ("Locked.",))]
    entry = catalogue.add_verification(entry, judged(partly, 30.0))
    assert (entry.would_restore, entry.because, entry.tier) == ("not proved", "no key", 2)
    assert [each.at for each in entry.verifications] == [10.0, 20.0, 30.0]


def test_a_rehearsal_is_tier_5() -> None:
    unproved = judged(
        [*(TierResult(tier, True, ("fine",)) for tier in (1, 2, 3)), TierResult(4, None, ("Imported.",))], 1.0
    )
    assert (unproved.verdict, unproved.because, unproved.tier) == ("not proved", "Imported", 3)
    good = with_rehearsal(unproved, TierResult(5, True, ("Restored.",), 5.0))
    assert (good.verdict, good.tier, good.at) == ("yes", 5, 5.0)
    bad = with_rehearsal(good, TierResult(5, False, ("It came up empty.",), 6.0))
    assert (bad.verdict, bad.because, bad.tier) == ("no", "it came up empty", 3)
    assert len(bad.tiers) == 5


def test_half_a_line_of_a_crash_is_left_aside(catalogue: Catalogue) -> None:
    entry = make(catalogue)
    verified(catalogue, entry)
    path = entry.folder / "verifications.jsonl"
    path.write_bytes(path.read_bytes() + b'{"at": 17, "tiers": [')
    verified(catalogue, entry)
    assert len(catalogue.entry(None, ID).verifications) == 2


def test_a_hot_one_is_called_possibly_inconsistent_for_ever(catalogue: Catalogue) -> None:
    with catalogue.begin(CLUSTER, ID) as draft:
        draft.write(CONTENT)
        entry = draft.commit(manifest(cold=False))
    entry = catalogue.add_verification(entry, judged([TierResult(t, True, ("fine",)) for t in (1, 2, 3, 4, 5)], 1.0))
    assert entry.would_restore == "yes"
    assert entry.because.endswith("; possibly inconsistent: taken while Docker was running")


# -- finding -----------------------------------------------------------------------------------------------------------


def test_a_backup_is_found_by_what_it_is_called(catalogue: Catalogue) -> None:
    with pytest.raises(UsageError, match="There is no backup in"):
        catalogue.entry(None, "latest")
    first = make(catalogue)
    second = make(catalogue, name="20261122T010203Z-mgr3")
    assert catalogue.entry(None, "latest") == second
    assert catalogue.entry(CLUSTER, "mgr2") == first
    assert catalogue.entry(CLUSTER, "20261122") == second
    for name in ("2026", "", "mgr4", "../" + ID):
        with pytest.raises(UsageError, match=r"There (are several backups|is no backup)"):
            catalogue.entry(CLUSTER, name)
    with pytest.raises(UsageError, match=f"of the cluster {OTHER}"):
        catalogue.entry(OTHER, "latest")
    (second.folder / "manifest.json").unlink()
    assert catalogue.entry(None, "latest") == first, "a broken one is not the latest"


def test_latest_is_never_a_guess_between_clusters(catalogue: Catalogue) -> None:
    make(catalogue)
    with catalogue.begin(OTHER, ID) as draft:
        draft.write(b"x")
        other = draft.commit(manifest())
    with pytest.raises(UsageError, match="of several clusters"):
        catalogue.entry(None, "latest")
    assert catalogue.entry(OTHER, "latest") == other
    assert other.whole.cluster_id == OTHER
    assert catalogue.clusters() == (CLUSTER, OTHER)


def test_a_backup_of_another_cluster_is_refused(catalogue: Catalogue) -> None:
    entry = make(catalogue)
    belongs(entry, CLUSTER)
    with pytest.raises(RefusedError) as raised:
        belongs(entry, OTHER)
    assert raised.value.what == f"The backup {ID} is of another cluster: {CLUSTER}, and this one is {OTHER}."


# -- damage and strangers ----------------------------------------------------------------------------------------------


def spoilt(entry: Entry, how: str) -> None:
    path = entry.folder / "manifest.json"
    content = path.read_bytes()
    match how:
        case "no manifest":
            path.unlink()
        case "half a manifest":
            path.write_bytes(content[: len(content) // 2])
        case "no JSON":
            path.write_bytes(b"\xff\xfe\x00")
        case "deep JSON":
            path.write_bytes(b"[" * 100_000)
        case "huge":
            with path.open("wb") as file:
                file.truncate(1 << 33)
        case "newer":
            path.write_bytes(content.replace(b'"schema_version": 1', b'"schema_version": 2'))
        case "of another cluster":
            path.write_bytes(content.replace(CLUSTER.encode(), OTHER.encode()))
        case "no archive":
            entry.archive.unlink()
        case "shorter archive":
            os.truncate(entry.archive, 1000)
        case "archive is a link":
            entry.archive.rename(entry.folder / "elsewhere")
            entry.archive.symlink_to("elsewhere")
        case "manifest is a link":
            path.rename(entry.folder / "elsewhere")
            path.symlink_to("elsewhere")
        case "manifest is a pipe":
            path.unlink()
            os.mkfifo(path)
        case "folder is a link":
            entry.folder.rename(entry.folder.with_name(".elsewhere"))
            entry.folder.symlink_to(".elsewhere")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no manifest", "It has no manifest."),
        ("half a manifest", "Its manifest cannot be read"),
        ("no JSON", "Its manifest cannot be read"),
        ("deep JSON", "Its manifest cannot be read"),
        ("huge", "Its manifest.json is larger than 64 MB."),
        ("newer", "Its manifest was written by a newer swarmtui (schema 2)."),
        ("of another cluster", f"Its manifest is of another cluster, {OTHER}."),
        ("no archive", "Its archive cannot be read: No such file or directory."),
        ("shorter archive", "Its archive has 1000 bytes, and the manifest says 1024000."),
        ("archive is a link", "Its archive is no file."),
        ("manifest is a link", "Its manifest cannot be read: Too many levels of symbolic links."),
        ("manifest is a pipe", "Its manifest cannot be read"),
        ("folder is a link", "It is no folder."),
    ],
)
def test_a_damaged_folder_is_an_entry_that_says_so(catalogue: Catalogue, how: str, words: str) -> None:
    make(catalogue, name="20261101T000000Z-mgr1")
    entry = make(catalogue)
    spoilt(entry, how)
    first, second = catalogue.entries()
    assert (first.id, second.broken) == (ID, "")
    assert words in first.broken
    assert (first.would_restore, first.because.casefold()) == ("no", first.broken.rstrip(".").casefold())
    with pytest.raises(BackupError, match="cannot be used"):
        _ = first.whole


def test_other_things_in_the_folder_are_no_backups(catalogue: Catalogue) -> None:
    make(catalogue)
    (catalogue.root / "lost+found").mkdir()
    (catalogue.root / CLUSTER / "notes.txt").write_text("x")
    (catalogue.root / CLUSTER / ".DS_Store").mkdir()
    assert [entry.id for entry in catalogue.entries()] == [ID]
    assert catalogue.leftovers() == ()


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
@pytest.mark.parametrize("which", ["root", "cluster"])
def test_a_folder_that_others_may_write_to_is_refused(catalogue: Catalogue, mode: int, which: str) -> None:
    make(catalogue)
    folder = catalogue.root if which == "root" else catalogue.root / CLUSTER
    folder.chmod(mode)
    words = f"Others may write to {folder}, so no backup in it can be trusted. chmod 700 {folder}"
    with pytest.raises(BackupError) as raised:
        catalogue.entries()
    assert str(raised.value) == words
    with pytest.raises(BackupError) as raised:
        catalogue.begin(CLUSTER, ID)
    assert str(raised.value) == words
    folder.chmod(0o755)
    assert len(catalogue.entries()) == 1


def test_a_folder_that_others_could_replace_is_refused(catalogue: Catalogue) -> None:
    make(catalogue)
    catalogue.root.parent.chmod(0o777)
    with pytest.raises(BackupError, match=f"Others may write to {catalogue.root.parent}, and so replace"):
        catalogue.entries()
    catalogue.root.parent.chmod(0o1777)
    assert len(catalogue.entries()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(catalogue: Catalogue) -> None:
    make(catalogue)
    os.chown(catalogue.root, 1234, 1234)
    with pytest.raises(BackupError, match="belongs to another user"):
        catalogue.entries()


def test_a_manifest_stays_what_it_is() -> None:
    told = manifest(cluster="prod", notes=("a", "b"), managers=("10.0.0.1:2377",))
    assert decode(encode(told)) == told
    assert decode(encode(told).replace(b'"node"', b'"later": {"x": 1}, "node"')) == told, "fields of a newer program"
