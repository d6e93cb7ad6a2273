"""Archives: real ones in every shape that tar makes, and hostile ones, which are named and never unpacked."""

from __future__ import annotations

import gzip
import io
import os
import random
import resource
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmtui.backups.archive import ArchiveFiles, check, open_archive, unpack
from swarmtui.backups.errors import ArchiveError
from swarmtui.backups.plain import BLOCK, Plain, plain_tar
from swarmtui.backups.raft import read
from swarmtui.backups.tarscan import MOST_MEMBERS
from tests.backups.tars import generation, tar_of

FILES = generation("plain").files
WAL = next(name for name in FILES if name.endswith(".wal"))
PREALLOCATED = 64 << 20


def opened(content: bytes) -> ArchiveFiles:
    return ArchiveFiles(io.BytesIO(content))


def ids(files: ArchiveFiles) -> list[str]:
    return [problem.id for problem in files.problems]


# -- good ones -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["var/lib/docker/swarm/", "swarm/", "./", "", "data/docker roots/x/swarm/"])
@pytest.mark.parametrize("packed", [False, True], ids=["tar", "tar.gz"])
def test_finds_the_directory_at_any_prefix(tmp_path: Path, prefix: str, packed: bool) -> None:
    path = tmp_path / "swarm.bkp"
    path.write_bytes(tar_of(FILES, prefix, packed=packed))
    with open_archive(path) as files:
        assert files.problems == ()
        assert {name: files.read(name) for name in files.names()} == FILES
        assert {name: files.size(name) for name in files.names()} == {name: len(data) for name, data in FILES.items()}
        assert read(files).opened


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=gnu", "--sparse"],
        ["--format=posix", "--sparse", "--sparse-version=0.0"],
        ["--format=posix", "--sparse", "--sparse-version=0.1"],
        ["--format=posix", "--sparse", "--sparse-version=1.0"],
        ["--format=v7"],
        ["--format=ustar"],
        ["--sparse", "-z"],
    ],
    ids=" ".join,
)
def test_reads_what_gnu_tar_makes_of_preallocated_files(tmp_path: Path, options: list[str]) -> None:
    """Docker preallocates 64 MB for each file of the raft log."""
    folder = tmp_path / "var/lib/docker/swarm"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    with (folder / WAL).open("r+b") as file:
        file.truncate(PREALLOCATED)
    second = folder / Path(WAL).with_name("0.tmp")
    with second.open("wb") as file:
        file.truncate(PREALLOCATED)
    path = tmp_path / "swarm.bkp"
    subprocess.run(["tar", *options, "-C", tmp_path, "-cf", path, "var/lib/docker/swarm"], check=True)
    if "--sparse" in options:
        assert path.stat().st_size < 1 << 20
    with open_archive(path) as files:
        assert files.problems == ()
        content = files.read(WAL)
        assert content == FILES[WAL] + bytes(PREALLOCATED - len(FILES[WAL]))
        assert files.read("raft/wal-v3-encrypted/0.tmp") == bytes(PREALLOCATED)
        contents = read(files)
        assert contents.opened
        assert contents.inventory is not None
        unpack(files, tmp_path / "out")
    done = subprocess.run(["diff", "-r", folder, tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    used = sum(path.stat().st_blocks for path in (tmp_path / "out").rglob("*")) * 512
    assert used < 4 << 20 or "--sparse" not in options, "holes stay holes"
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*") if path.is_dir()} == {0o700}


def test_other_files_beside_are_told_and_not_unpacked(tmp_path: Path) -> None:
    both = {f"swarm/{name}": data for name, data in FILES.items()} | {"etc/hosts": b"127.0.0.1"}
    files = opened(tar_of(both, "var/"))
    assert ids(files) == ["archive-more"]
    assert not files.fatal
    unpack(files, tmp_path / "out")
    assert not list(tmp_path.rglob("hosts"))


def test_a_folder_that_is_there_is_never_unpacked_over(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(ArchiveError, match="is there already, and is not written over"):
        unpack(opened(tar_of(FILES)), target)
    assert not list(target.iterdir())


def test_what_could_not_be_unpacked_whole_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArchiveError, match="The disk is full"):
        unpack(opened(tar_of(FILES)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# -- hostile ones ------------------------------------------------------------------------------------------------------


def with_member(info: tarfile.TarInfo, data: bytes = b"", *, last: bool = True) -> bytes:
    """A good archive with one more member."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        if not last:
            tar.addfile(info, io.BytesIO(data))
        for name, content in FILES.items():
            good = tarfile.TarInfo(f"swarm/{name}")
            good.size = len(content)
            tar.addfile(good, io.BytesIO(content))
        if last:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


HOSTILE: dict[str, tuple[tarfile.TarInfo, bytes, str, str]] = {
    "dot-dot": (member("../evil", size=4), b"evil", "archive-name", "leads out of the archive"),
    "dot-dot inside": (member("swarm/raft/../../../evil", size=4), b"evil", "archive-name", "leads out"),
    "dot-dot folder": (member("swarm/../..", tarfile.DIRTYPE), b"", "archive-name", "leads out"),
    "absolute": (member("/evil", size=4), b"evil", "archive-name", "begins at the root"),
    "newline": (member("swarm/a\nb", size=1), b"x", "archive-name", "control characters"),
    "escape": (member("swarm/\x1b[2Jx", size=1), b"x", "archive-name", "control characters"),
    "bidi": (member("swarm/\u202exyz", size=1), b"x", "archive-name", "control characters"),
    "long": (member("swarm/" + "x" * 5000, size=1), b"x", "archive-name", "too long"),
    "deep": (member("swarm/" + "x/" * 60 + "y", size=1), b"x", "archive-name", "too long"),
    "symlink out": (member("swarm/worker", tarfile.SYMTYPE, "/etc"), b"", "archive-link", "a symbolic link to /etc"),
    "symlink in": (member("swarm/other.key", tarfile.SYMTYPE, "state.json"), b"", "archive-link", "a symbolic link"),
    "hard link out": (member("swarm/x", tarfile.LNKTYPE, "/etc/shadow"), b"", "archive-link", "a hard link to /etc/sh"),
    "device": (member("swarm/sda", tarfile.BLKTYPE), b"", "archive-kind", "is a device"),
    "character": (member("swarm/null", tarfile.CHRTYPE), b"", "archive-kind", "is a device"),
    "fifo": (member("swarm/pipe", tarfile.FIFOTYPE), b"", "archive-kind", "is a named pipe"),
    "unknown": (member("swarm/x", b"M"), b"", "archive-kind", "of a kind that is unknown"),
    "twice": (member("swarm/certificates/swarm-node.key", size=4), b"evil", "archive-twice", "twice"),
    "twice otherwise": (member("./swarm//certificates/swarm-node.key", size=4), b"evil", "archive-twice", "twice"),
    "below a file": (member("swarm/state.json/x", size=1), b"x", "archive-clash", "below a file"),
    "two of them": (member("b/certificates/swarm-node.key", size=1), b"x", "archive-several", "2 Swarm's directories"),
}


@pytest.mark.parametrize("last", [True, False], ids=["last", "first"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_member_is_named_and_nothing_is_unpacked(tmp_path: Path, name: str, last: bool) -> None:
    info, data, id_, words = HOSTILE[name]
    path = tmp_path / "in" / "swarm.bkp"
    path.parent.mkdir()
    path.write_bytes(with_member(info, data, last=last))
    found = check(path)
    assert id_ in [problem.id for problem in found if problem.fatal]
    said = next(problem.what for problem in found if problem.id == id_)
    assert words in said
    assert said.isprintable()
    assert said.endswith(".")
    before = sorted(tmp_path.rglob("*"))
    with open_archive(path) as files, pytest.raises(ArchiveError, match="It is not unpacked"):
        unpack(files, tmp_path / "in" / "out")
    assert sorted(tmp_path.rglob("*")) == before


def pax(records: bytes, *, size: int | None = None, kind: bytes = tarfile.XHDTYPE, name: str = "swarm/x") -> bytes:
    """A PAX header with raw records, a file after it, and the end."""
    head = tarfile.TarInfo("pax")
    head.type, head.size = kind, len(records) if size is None else size
    padding = bytes(-len(records) % 512)
    body = tarfile.TarInfo(name)
    return head.tobuf(tarfile.USTAR_FORMAT) + records + padding + body.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)


def record(key: str, value: str) -> bytes:
    size = len(f" {key}={value}\n".encode())
    total = size + len(str(size))
    total = size + len(str(total))
    return f"{total} {key}={value}\n".encode()


LIES: dict[str, bytes] = {
    "path leads out": pax(record("path", "../../evil")),
    "path is absolute": pax(record("path", "/etc/cron.d/evil")),
    "size is huge": pax(record("size", "9" * 18)),
    "size is negative": pax(record("size", "-512")),
    "size leads back": pax(record("size", "-99999999")),
    "size is no number": pax(record("size", "many")),
    "sparse name leads out": pax(record("GNU.sparse.map", "0,0") + record("GNU.sparse.name", "../evil")),
    "sparse size is huge": pax(record("GNU.sparse.map", "0,1") + record("GNU.sparse.size", "1" + "0" * 15)),
    "sparse map is none": pax(record("GNU.sparse.map", "a,b") + record("GNU.sparse.size", "10")),
    "sparse map overlaps": pax(record("GNU.sparse.map", "0,10,5,10") + record("GNU.sparse.size", "15")),
    "sparse map leads back": pax(record("GNU.sparse.map", "10,1,0,1") + record("GNU.sparse.size", "15")),
    "sparse map is cut off": pax(record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0")),
    "records overlap": pax(b"11 " * 40000 + b"="),
    "records never end": pax(b"9" * 100_000),
    "charset search": pax(b"1" * 65_536 + b" hdrcharset"),
    "length is zero": pax(b"0 path=x\n"),
    "length is short": pax(b"3 path=xyz\n"),
    "header is huge": pax(b"", size=(1 << 33) - 1),
    "header is 64 MB": pax(record("path", "x" * (1 << 20))),
    "global path": pax(record("path", "../evil"), kind=tarfile.XGLTYPE),
    "a chain of headers": pax(record("comment", "x"))[:1024] * 5000,
}


@pytest.mark.parametrize("name", LIES)
def test_headers_that_lie_are_named_in_bounded_time(name: str) -> None:
    before = time.process_time()
    files = opened(tar_of(FILES, "swarm/")[:-10240] + LIES[name])
    if name != "global path":  # the records of a global header are not applied by everybody; the names are checked
        assert files.fatal, name
    assert all("evil" not in each for each in files.names())
    assert time.process_time() - before < 5, "far from what a pattern gone wild takes"


@pytest.mark.parametrize("start", [0, 512, 4096])
def test_a_flipped_bit_in_a_header_is_noticed(start: int) -> None:
    content = tar_of(FILES)
    random_ = random.Random(start)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        headers = [info.offset for info in tar]
    for offset in headers:
        # What comes after the magic is not used by everybody; nor is the end of the checksum's own field.
        at = offset + random_.choice([at for at in range(257) if at not in (154, 155)])
        damaged = bytearray(content)
        damaged[at] ^= 1 << random_.randrange(8)
        assert opened(bytes(damaged)).fatal, (offset, at)


def test_a_cut_off_archive_is_noticed_wherever_it_ends() -> None:
    content = tar_of(FILES)
    used = len(content.rstrip(b"\0"))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        ends = [info.offset_data + info.size for info in tar]
    random_ = random.Random(7)
    places = [*ends, *(end - 1 for end in ends), *(random_.randrange(1, used) for _ in range(60)), 1, 511, 512, 513]
    for place in places:
        files = opened(content[:place])
        assert files.fatal, place
        assert files.fatal[0].what.endswith(".")


@pytest.mark.parametrize("said", ["nan", "inf", "-1e300", "1e300", "-1"])
def test_a_time_that_cannot_be_is_none(said: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = member("swarm/certificates/swarm-node.key")
        info.pax_headers = {"mtime": said}
        tar.addfile(info)
    files = opened(out.getvalue())
    assert files.names() == ("certificates/swarm-node.key",)
    assert files.newest == 0.0


def test_nothing_at_all_and_something_else_are_named() -> None:
    assert ids(opened(b"")) == ["archive-empty", "archive-foreign"]
    assert "archive-no-tar" in ids(opened(random.Random(1).randbytes(5000)))
    foreign = opened(tar_of({"index.html": b"<html>"}, "www/"))
    assert [problem.what for problem in foreign.fatal] == [
        "There is no Swarm's directory in it: neither certificates/swarm-node.key nor raft/wal-v3-encrypted."
    ]


def test_what_follows_after_the_end_is_noticed() -> None:
    content = tar_of(FILES)
    assert ids(opened(content + tar_of({"evil": b"x"}, ""))) == ["archive-trailing"]
    assert ids(opened(content + bytes(1 << 20))) == []
    damaged = bytearray(content)
    damaged[:512] = bytes(512)  # a wiped header looks like the end
    assert opened(bytes(damaged)).fatal


def test_a_million_members_are_refused_soon() -> None:
    block = tarfile.TarInfo("swarm/x").tobuf()
    before = time.process_time()
    files = opened(block * 1_000_000)
    assert f"It has more than {MOST_MEMBERS:,} members" in " ".join(problem.what for problem in files.fatal)
    assert len(files.problems) < 30
    assert time.process_time() - before < 10


def sparse(size: int) -> bytes:
    """A GNU sparse file (1.0) that says it has so many bytes, all of them a hole."""
    records = b"".join(
        record(f"GNU.sparse.{key}", value)
        for key, value in {"major": "1", "minor": "0", "name": f"swarm/{WAL}", "realsize": str(size)}.items()
    )
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, len(records)
    body = tarfile.TarInfo("swarm/hole")
    body.size = 512
    block = f"1\n{size}\n0\n".encode().ljust(512, b"\0")
    return (
        head.tobuf(tarfile.USTAR_FORMAT)
        + records
        + bytes(-len(records) % 512)
        + body.tobuf(tarfile.USTAR_FORMAT)
        + block
        + bytes(1024)
    )


def test_a_sparse_bomb_is_named_and_not_read() -> None:
    assert ids(opened(sparse(1 << 20))) == []
    bomb = opened(sparse(1 << 44))
    assert "archive-bomb" in ids(bomb)
    assert WAL not in bomb.names()
    many = sparse(500 << 20)[:-1024]
    renamed = b"".join(many.replace(b"0000000.wal", f"{number:07d}.wal".encode()) for number in range(30))
    assert "archive-bomb" in ids(opened(renamed + bytes(1024))), "together they are too much"


def test_a_gzip_bomb_is_named_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(1100):
            file.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArchiveError, match="More than 1024 MB come out of it"):
        check(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10, "kilobytes"


def test_gzip_that_is_damaged_or_cut_off_is_named(tmp_path: Path) -> None:
    content = tar_of(FILES, packed=True)
    path = tmp_path / "swarm.tgz"
    cases: list[tuple[bytes, str]] = [
        (content[: len(content) // 2], "cut off: its gzip data ends too early"),
        (content[:5], "cut off|damaged"),
        (content[:2000] + bytes([content[2000] ^ 255]) + content[2001:], "damaged|cut off"),
        (content[:-5] + bytes([content[-5] ^ 1]) + content[-4:], "damaged"),
    ]
    for damaged, words in cases:
        path.write_bytes(damaged)
        with pytest.raises(ArchiveError, match=words):
            check(path)


@pytest.mark.parametrize(("magic", "name"), [(b"BZh9", "bzip2"), (b"\xfd7zXZ\x00", "xz"), (b"PK\x03\x04", "zip")])
def test_another_packing_is_named(tmp_path: Path, magic: bytes, name: str) -> None:
    path = tmp_path / "swarm.bkp"
    path.write_bytes(magic + bytes(1000))
    with pytest.raises(ArchiveError, match=f"It is packed with {name}, which is not read. Unpack it first"):
        check(path)


def mutations(content: bytes, random_: random.Random) -> bytes:
    """Some bytes otherwise, somewhere."""
    damaged = bytearray(content)
    kinds: list[Callable[[int], None]] = [
        lambda at: damaged.__setitem__(at, random_.randrange(256)),
        lambda at: damaged.__setitem__(slice(at, at + random_.randrange(1, 600)), b""),
        lambda at: damaged.__setitem__(slice(at, at), random_.randbytes(random_.randrange(1, 600))),
        lambda at: damaged.__setitem__(slice(at, at + 12), b"%011o\0" % random_.randrange(8**11)),
    ]
    for _ in range(random_.randrange(1, 6)):
        random_.choice(kinds)(random_.randrange(len(damaged)))
    return bytes(damaged)


def test_whatever_is_in_it_nothing_but_problems_comes_of_it(tmp_path: Path) -> None:
    """2,000 damaged archives: no other error, no endless time, and what is read is as long as it says."""
    small = {name: data[:700] for name, data in FILES.items()}
    seeds = [tar_of(small, "swarm/"), sparse(4096), *LIES.values()]
    random_ = random.Random(20261121)
    for _ in range(2000):
        files = opened(mutations(random_.choice(seeds), random_))
        for name in files.names():
            if files.size(name) < 1 << 20:
                assert len(files.read(name)) == files.size(name)


# -- bytes in memory ---------------------------------------------------------------------------------------------------


def test_zeros_take_no_memory_and_everything_reads_like_a_file(tmp_path: Path) -> None:
    random_ = random.Random(3)
    plain, whole = Plain(), bytearray()
    for _ in range(200):
        size = random_.choice([1, 511, BLOCK - 1, BLOCK, BLOCK + 1, 300_000])
        piece = bytes(size) if random_.random() < 0.6 else random_.randbytes(size)
        plain.write(piece)
        whole += piece
    reference = io.BytesIO(bytes(whole))
    assert plain.seek(0, io.SEEK_END) == reference.seek(0, io.SEEK_END)
    for _ in range(300):
        at, size = random_.randrange(len(whole) + 10), random_.choice([0, 1, 512, 100_000, -1])
        plain.seek(at)
        reference.seek(at)
        assert plain.read(size) == reference.read(size)
        assert plain.tell() == (reference.tell() if at <= len(whole) else at)
    held = Plain(held=1 << 20)
    held.write(bytes(512 << 20))
    with pytest.raises(ArchiveError, match="too much to be looked at in memory"):
        held.write(os.urandom(2 << 20))


def test_a_plain_tar_is_read_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "swarm.tar"
    path.write_bytes(tar_of(FILES))
    with plain_tar(path) as tar:
        assert not isinstance(tar, Plain)
