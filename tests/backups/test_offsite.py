"""Copies elsewhere: a folder, a real SFTP server, a stand-in for S3. What is cut off or altered is never a copy."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from swarmtui.backups import offsite, offsite_path, offsite_s3
from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.entries import Entry
from swarmtui.backups.offsite import CopyError, Place, PlaceAway, check, copy, folder_of, opened, with_copy
from swarmtui.backups.offsite_path import MARK
from swarmtui.backups.records import Copy
from swarmtui.config.backups import copy_target
from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.link.person import Nobody
from swarmtui.link.reasons import LinkError
from swarmtui.link.ssh_settings import SshSettings
from tests.backups import s3, shelves

NAMES = ["archive.tar", "manifest.json", "objects.json", "verifications.jsonl"]


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return shelves.shelf(tmp_path / "kept")


@pytest.fixture
def entry(catalogue: Catalogue) -> Entry:
    return shelves.put(catalogue, "2026-11-21T03:30:00", "yes")


# -- an SFTP server ----------------------------------------------------------------------------------------------------


@dataclass
class SshKeeper:
    """A real SSH server of asyncssh on loopback, whose SFTP shows one folder as its root.

    Attributes:
        sums: how it answers commands: "right", "jail" (an account for SFTP only), "lies" (of another file).
        spoil: called with a file's path in the folder once a client has closed what it wrote.
        plain: it offers none of OpenSSH's extensions.
    """

    root: Path
    key: Any
    user_key: Any
    sums: str = "right"
    plain: bool = False
    port: int = 0
    ran: int = 0
    spoil: Callable[[Path], None] = lambda path: None
    cut_after: int = 0

    async def serve(self) -> asyncssh.SSHAcceptor:
        keeper = self

        class Server(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                self.conn = conn

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                return bool(key.public_data == keeper.user_key.public_data)

        class Sftp(asyncssh.SFTPServer):
            def __init__(self, chan: Any) -> None:
                super().__init__(chan, chroot=os.fsencode(keeper.root))
                self.written: dict[int, Path] = {}
                self.bytes = 0

            async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
                made: Any = super().open(path, pflags, attrs)
                if pflags & asyncssh.FXF_WRITE:
                    self.written[id(made)] = Path(os.fsdecode(self.map_path(path)))
                return made

            async def write(self, file_obj: Any, offset: int, data: bytes) -> int:
                self.bytes += len(data)
                if keeper.cut_after and self.bytes > keeper.cut_after:
                    self.channel.get_connection().abort()
                    raise asyncssh.SFTPConnectionLost("cut")
                written: Any = super().write(file_obj, offset, data)
                return int(written)

            async def close(self, file_obj: Any) -> None:
                super().close(file_obj)
                path = self.written.pop(id(file_obj), None)
                if path is not None:
                    keeper.spoil(path)

            async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
                if keeper.plain:
                    raise asyncssh.SFTPOpUnsupported("no such extension")
                super().posix_rename(oldpath, newpath)

            async def fsync(self, file_obj: Any) -> None:
                if keeper.plain:
                    raise asyncssh.SFTPOpUnsupported("no such extension")

        async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
            keeper.ran += 1
            command = process.command or ""
            if keeper.sums == "jail" or not command.startswith("sha256sum < "):
                process.stdout.write(b"This service allows sftp connections only.\n")
                process.exit(1)
                return
            name = command.removeprefix("sha256sum < ").strip("'")
            content = b"another file" if keeper.sums == "lies" else (keeper.root / name.lstrip("/")).read_bytes()
            process.stdout.write(f"{hashlib.sha256(content).hexdigest()}  -\n".encode())
            process.exit(0)

        made = await asyncssh.create_server(
            Server,
            "127.0.0.1",
            0,
            server_host_keys=[self.key],
            sftp_factory=Sftp,
            process_factory=run,
            encoding=None,
            allow_scp=False,
        )
        self.port = made.get_port()
        return made


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[SshKeeper]:
    root = tmp_path / "far"
    (root / "srv").mkdir(parents=True)
    one = SshKeeper(root, asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519"))
    async with await one.serve():
        yield one


def ssh_of(keeper: SshKeeper, tmp_path: Path) -> SshSettings:
    folder = tmp_path / "ssh"
    folder.mkdir(exist_ok=True)
    (folder / "id").write_bytes(keeper.user_key.export_private_key())
    (folder / "id").chmod(0o600)
    (folder / "known").write_text(f"[127.0.0.1]:{keeper.port} {keeper.key.export_public_key().decode()}")
    (folder / "config").write_text(f"Host *\n  IdentityFile {folder / 'id'}\n")
    return SshSettings(config_file=folder / "config", known_hosts=folder / "known", connect_timeout=5.0)


# -- the three places --------------------------------------------------------------------------------------------------


@dataclass
class Far:
    """A place, and what truly lies there."""

    open: Callable[[], contextlib.AbstractAsyncContextManager[Place]]
    where: str
    files: Callable[[], dict[str, bytes]]
    write: Callable[[str, bytes], None]
    delete: Callable[[str], None]


def _in(root: Path) -> tuple[Any, Any, Any]:
    def files() -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    return files, lambda name, content: (root / name).write_bytes(content), lambda name: (root / name).unlink()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[s3.Bucket]:
    with s3.serving(s3.Bucket()) as one:
        for name, value in (
            ("AWS_ACCESS_KEY_ID", s3.ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", s3.SECRET_KEY),
            ("AWS_DEFAULT_REGION", s3.REGION),
            ("AWS_ENDPOINT_URL_S3", one.url),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ):
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(offsite_s3, "ATTEMPTS", 1)
        yield one
        assert one.wrong == []  # every request was signed as it must be


@pytest.fixture(params=["path", "sftp", "s3"])
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Far:
    if request.param == "path":
        root = tmp_path / "mounted"
        root.mkdir()
        (root / MARK).touch()
        target = copy_target(str(root))
        files, write, delete = _in(root)
        return Far(
            lambda: opened(target, SshSettings(), Nobody()),
            str(target),
            lambda: {k: v for k, v in files().items() if k != MARK},
            write,
            delete,
        )
    if request.param == "sftp":
        keeper: SshKeeper = request.getfixturevalue("keeper")
        target = copy_target(f"sftp://me@127.0.0.1:{keeper.port}/srv")
        files, write, delete = _in(keeper.root / "srv")
        return Far(lambda: opened(target, ssh_of(keeper, tmp_path), Nobody()), str(target), files, write, delete)
    bucket: s3.Bucket = request.getfixturevalue("bucket")
    target = copy_target("s3://night/swarms/prod")
    prefix = "swarms/prod/"
    return Far(
        lambda: opened(target, SshSettings(), Nobody()),
        str(target),
        lambda: {key.removeprefix(prefix): value for key, value in sorted(bucket.objects.items())},
        lambda name, content: bucket.objects.update({prefix + name: content}),
        lambda name: bucket.objects.__delitem__(prefix + name),
    )


async def test_the_whole_folder_is_copied_and_its_digest_told(far: Far, entry: Entry) -> None:
    told: list[tuple[int, int]] = []
    async with far.open() as place:
        made, _ = await copy(entry, place, lambda done, total: told.append((done, total)))
    assert far.files() == {f"{folder_of(entry)}/{name}": (entry.folder / name).read_bytes() for name in NAMES}
    assert made.where == far.where and not made.trouble
    assert made.digest == hashlib.sha256(entry.archive.read_bytes()).hexdigest()
    assert told == sorted(told) and told[-1][0] == told[-1][1] == sum(len(v) for v in far.files().values())


async def test_what_is_there_is_not_sent_again(far: Far, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    async with far.open() as place:
        first, size = await copy(entry, place)
        sent = []
        put: Any = type(place).put

        async def counted(self: Any, file: Path, *more: Any) -> None:
            sent.append(file.name)
            await put(self, file, *more)

        monkeypatch.setattr(type(place), "put", counted)
        entry = dataclasses.replace(entry, copies=(first,))
        second, none = await copy(entry, place)
        assert (
            (sent, none, size) == ([], 0, sum(map(len, far.files().values())))
            and second.at == first.at
            and second.checked_at >= first.checked_at
        )
        far.write(f"{folder_of(entry)}/objects.json", b"altered")
        await copy(entry, place)
        assert sent == ["objects.json"]


async def test_a_later_verification_follows(far: Far, catalogue: Catalogue, entry: Entry) -> None:
    async with far.open() as place:
        made, _ = await copy(entry, place)
        entry = shelves.verify(catalogue, entry, "no")
        assert not (await check(entry, place, made)).trouble
        await copy(entry, place)
    assert far.files()[f"{folder_of(entry)}/verifications.jsonl"].count(b"\n") == 2


@pytest.mark.parametrize("name", ["archive.tar", "manifest.json", "objects.json"])
async def test_a_check_finds_what_was_altered_or_has_gone(far: Far, entry: Entry, name: str) -> None:
    async with far.open() as place:
        made, _ = await copy(entry, place)
        assert (await check(entry, place, made)).trouble == ""
        path = f"{folder_of(entry)}/{name}"
        content = far.files()[path]
        far.write(path, bytes([content[0] ^ 1, *content[1:]]))
        assert (await check(entry, place, made)).trouble == f"{name} was altered there"
        far.delete(path)
        found = await check(entry, place, made)
        assert found.trouble == f"{name} is gone there"
        assert (found.digest == "") == (name == "archive.tar")
        assert not (await copy(entry, place))[0].trouble
        assert (await check(entry, place, found)).trouble == ""


async def test_it_is_read_and_removed_and_nothing_else_is(far: Far, catalogue: Catalogue, entry: Entry) -> None:
    entries = [entry, *(shelves.put(catalogue, f"2026-11-2{day}T03:30:00") for day in (2, 3, 4))]
    async with far.open() as place:
        for each in entries:
            await copy(each, place)
        cluster = entry.cluster_id
        assert await place.folders(cluster) == tuple(each.id for each in entries)
        assert await place.folders("nobody") == ()
        manifest = await place.read(f"{folder_of(entry)}/manifest.json", 1 << 20)
        assert manifest == (entry.folder / "manifest.json").read_bytes()
        with pytest.raises(CopyError, match="too large"):
            await place.read(f"{folder_of(entry)}/archive.tar", 100)
        with pytest.raises(CopyError):
            await place.read(f"{folder_of(entry)}/nothing", 100)
        await place.remove(folder_of(entry))
        await place.remove(f"{cluster}/nothing")
        assert await place.folders(cluster) == tuple(each.id for each in entries[1:])
        assert not [name for name in far.files() if entry.id in name]


@pytest.mark.parametrize("name", ["archive.tar", "objects.json"])
async def test_the_backup_itself_is_looked_at_first(far: Far, entry: Entry, name: str) -> None:
    content = (entry.folder / name).read_bytes()
    (entry.folder / name).write_bytes(bytes([content[0] ^ 1, *content[1:]]))
    async with far.open() as place:
        with pytest.raises(CopyError, match=f"{name} of .* is not what its manifest says"):
            await copy(entry, place)
    assert far.files() == {}


async def test_a_backup_that_lost_a_file_is_not_copied(mounted: Path, entry: Entry) -> None:
    (entry.folder / "objects.json").unlink()
    with pytest.raises(CopyError, match=r"objects\.json of .* is not what its manifest says"):
        await put_into(mounted, entry)


async def test_a_damaged_backup_is_not_copied(far: Far, entry: Entry, catalogue: Catalogue) -> None:
    entry.archive.unlink()
    async with far.open() as place:
        with pytest.raises(SwarmtuiError, match="cannot be used"):
            await copy(catalogue.entries()[0], place)
    assert far.files() == {}


async def test_two_programs_do_not_copy_one_backup_at_a_time(far: Far, entry: Entry) -> None:
    async with far.open() as place:
        done = await asyncio.gather(copy(entry, place), copy(entry, place), return_exceptions=True)
    refused = [each for each in done if isinstance(each, BaseException)]
    assert [type(each) for each in refused] == [CopyError] and "another program" in str(refused[0])
    assert len(far.files()) == 4


# -- a folder ----------------------------------------------------------------------------------------------------------


async def test_an_unmounted_folder_is_not_filled(tmp_path: Path) -> None:
    """The test's folder is on the disk of this machine, or on one that anybody may have mounted: both are said."""
    target = copy_target(str(tmp_path / "nas"))
    with pytest.raises(PlaceAway, match="There is no folder"):
        async with opened(target, SshSettings(), Nobody()):
            pytest.fail("opened")
    (tmp_path / "nas").mkdir()
    with pytest.raises(PlaceAway, match="has no mark"):
        async with opened(target, SshSettings(), Nobody(), known=True):
            pytest.fail("opened")
    assert list((tmp_path / "nas").iterdir()) == []


async def test_the_first_copy_marks_a_mounted_folder_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "nas"
    root.mkdir()
    target = copy_target(str(root))
    devices = {root: 7, Path("/"): 7}
    stat = Path.stat

    def told(self: Path, **more: Any) -> Any:
        result = stat(self, **more)
        if self in devices:
            return os.stat_result((*result[:2], devices[self], *result[3:]))
        return result

    monkeypatch.setattr(Path, "stat", told)
    with pytest.raises(PlaceAway, match="Nothing is mounted"):
        async with opened(target, SshSettings(), Nobody(), known=False):
            pytest.fail("opened")
    assert not (root / MARK).exists()
    devices[root] = 8
    async with opened(target, SshSettings(), Nobody(), known=False):
        assert (root / MARK).exists()
    devices[root] = 7
    async with opened(target, SshSettings(), Nobody(), known=True) as place:
        assert place.where == str(root)


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    root = tmp_path / "mounted"
    root.mkdir()
    (root / MARK).touch()
    return root


async def put_into(root: Path, entry: Entry) -> Copy:
    async with opened(copy_target(str(root)), SshSettings(), Nobody()) as place:
        return (await copy(entry, place))[0]


async def test_a_full_disk_leaves_no_copy(mounted: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(mounted)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(CopyError, match=r"no room for archive\.tar"):
        await put_into(mounted, entry)
    assert not list(mounted.rglob("*.*json")) and not list(mounted.rglob(f"{offsite.PART}*"))


async def test_a_disk_that_forgets_is_caught(mounted: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that says it wrote, and has something else."""
    real = offsite_path._from_disk

    def rotten(path: Path) -> str:
        if path.name.startswith(offsite.PART):
            path.write_bytes(b"zeros")
        return real(path)

    monkeypatch.setattr(offsite_path, "_from_disk", rotten)
    with pytest.raises(CopyError, match="did not come to"):
        await put_into(mounted, entry)
    assert [path.name for path in mounted.rglob("*") if path.is_file()] == [MARK]


async def test_what_was_cut_off_is_gone_with_the_next_copy(mounted: Path, entry: Entry) -> None:
    folder = mounted / folder_of(entry)
    folder.mkdir(parents=True)
    (folder / f"{offsite.PART}archive.tar-0a1b2c3d").write_bytes(b"half")
    await put_into(mounted, entry)
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


async def test_cancelling_ends_the_copy_and_leaves_no_manifest(
    mounted: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offsite_path, "BLOCK", 1000)
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with opened(copy_target(str(mounted)), SshSettings(), Nobody()) as place:

        def told(done: int, total: int) -> None:
            loop.call_soon_threadsafe(begun.set)

        task = asyncio.create_task(copy(entry, place, told))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not list(mounted.rglob("manifest.json")) and not list(mounted.rglob(f"{offsite.PART}*"))


# -- SFTP --------------------------------------------------------------------------------------------------------------


async def keep(keeper: SshKeeper, tmp_path: Path, entry: Entry) -> Copy:
    target = copy_target(f"sftp://me@127.0.0.1:{keeper.port}/srv")
    async with opened(target, ssh_of(keeper, tmp_path), Nobody()) as place:
        return (await copy(entry, place))[0]


@pytest.mark.parametrize("sums", ["right", "jail", "lies"])
async def test_the_host_is_asked_for_the_digest_and_else_the_file_is_read_back(
    keeper: SshKeeper, tmp_path: Path, entry: Entry, sums: str
) -> None:
    keeper.sums = sums
    made = await keep(keeper, tmp_path, entry)
    assert made.digest == hashlib.sha256(entry.archive.read_bytes()).hexdigest()
    # Whoever has no command for us is asked once.
    assert keeper.ran == (1 if sums == "jail" else 4)


@pytest.mark.parametrize("sums", ["right", "jail"])
async def test_what_rots_on_the_way_is_no_copy(keeper: SshKeeper, tmp_path: Path, entry: Entry, sums: str) -> None:
    keeper.sums = sums

    def spoil(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    keeper.spoil = spoil
    with pytest.raises(CopyError, match=r"archive\.tar did not come to sftp://"):
        await keep(keeper, tmp_path, entry)
    assert [path for path in (keeper.root / "srv").rglob("*") if path.is_file()] == []


async def test_a_server_without_extensions_will_do(keeper: SshKeeper, tmp_path: Path, entry: Entry) -> None:
    keeper.plain = True
    await keep(keeper, tmp_path, entry)
    (keeper.root / "srv" / folder_of(entry) / "objects.json").write_bytes(b"altered")
    await keep(keeper, tmp_path, entry)
    folder = keeper.root / "srv" / folder_of(entry)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: (entry.folder / name).read_bytes() for name in NAMES
    }


async def test_files_there_are_for_their_owner_only(keeper: SshKeeper, tmp_path: Path, entry: Entry) -> None:
    seen: list[int] = []
    keeper.spoil = lambda path: seen.append(path.stat().st_mode & 0o777)
    await keep(keeper, tmp_path, entry)
    assert set(seen) == {0o600}
    assert (keeper.root / "srv" / entry.cluster_id).stat().st_mode & 0o777 == 0o700


async def test_a_cut_leaves_no_copy_and_the_next_one_is_whole(keeper: SshKeeper, tmp_path: Path, entry: Entry) -> None:
    keeper.cut_after = 100_000
    with pytest.raises(LinkError):
        await keep(keeper, tmp_path, entry)
    assert not list(keeper.root.rglob("manifest.json"))
    keeper.cut_after = 0
    await keep(keeper, tmp_path, entry)
    assert sorted(path.name for path in (keeper.root / "srv" / folder_of(entry)).iterdir()) == NAMES


async def test_a_folder_that_is_not_there_is_not_made(keeper: SshKeeper, tmp_path: Path, entry: Entry) -> None:
    """An unmounted disk there would be filled like one here."""
    (keeper.root / "srv").rmdir()
    with pytest.raises(PlaceAway, match="There is no folder /srv on me@127"):
        await keep(keeper, tmp_path, entry)


async def test_an_unknown_host_key_is_refused(keeper: SshKeeper, tmp_path: Path, entry: Entry) -> None:
    settings = ssh_of(keeper, tmp_path)
    assert settings.known_hosts is not None
    settings.known_hosts.write_text("")
    target = copy_target(f"sftp://me@127.0.0.1:{keeper.port}/srv")
    with pytest.raises(LinkError, match="host key"):
        async with opened(target, settings, Nobody()):
            pytest.fail("opened")


# -- S3 ----------------------------------------------------------------------------------------------------------------


async def into(bucket: s3.Bucket, entry: Entry, name: str = "s3://night") -> Copy:
    async with opened(copy_target(name), SshSettings(), Nobody()) as place:
        return (await copy(entry, place))[0]


async def test_a_service_that_tells_no_checksums_is_read_back(bucket: s3.Bucket, entry: Entry) -> None:
    bucket.forgets = True
    await into(bucket, entry)
    assert f"GET {folder_of(entry)}/archive.tar" in bucket.asked


async def test_a_service_that_tells_them_is_not(bucket: s3.Bucket, entry: Entry) -> None:
    await into(bucket, entry)
    assert not [line for line in bucket.asked if line.startswith("GET")]


@pytest.mark.parametrize(
    ("lie", "error", "words"),
    [
        ("500", PlaceAway, "is in trouble"),
        ("cut", PlaceAway, "cannot be reached"),
        ("403", CopyError, "refuses us"),
        ("full", PlaceAway, "is in trouble"),
        ("wrong-checksum", CopyError, "did not come to s3://night"),
        ("rot", CopyError, "did not come to s3://night"),
    ],
)
async def test_a_service_that_misbehaves_keeps_no_copy(
    bucket: s3.Bucket, entry: Entry, lie: str, error: type[SwarmtuiError], words: str
) -> None:
    bucket.lies = [lie]
    with pytest.raises(error, match=words) as caught:
        await into(bucket, entry)
    assert bucket.objects == {} and s3.SECRET_KEY not in str(caught.value)
    assert not (await into(bucket, entry)).trouble
    assert len(bucket.objects) == 4


async def test_a_passing_trouble_is_sat_out(bucket: s3.Bucket, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsite_s3, "ATTEMPTS", 3)
    bucket.lies = ["cut", "500"]
    await into(bucket, entry)
    assert len(bucket.objects) == 4


async def test_the_stand_in_does_check(bucket: s3.Bucket, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted case: with a wrong key nothing is taken."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(CopyError, match="refuses us"):
        await into(bucket, entry)
    assert bucket.wrong == ["the signature is wrong"]
    bucket.wrong.clear()


async def test_a_bucket_that_is_not_there(bucket: s3.Bucket, entry: Entry) -> None:
    with pytest.raises(CopyError, match="There is no bucket day"):
        await into(bucket, entry, "s3://day")


async def test_who_has_no_keys_is_told(bucket: s3.Bucket, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(UsageError, match="Nobody told who we are"):
        await into(bucket, entry)


async def test_nobody_answers(bucket: s3.Bucket, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    with pytest.raises(PlaceAway, match="cannot be reached"):
        await into(bucket, entry)


async def test_without_boto3_one_sentence(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(UsageError, match="need boto3") as caught:
        await into(s3.Bucket(), entry)
    assert "swarmtui[s3]" in caught.value.next_step


def test_what_is_known_of_a_place_is_replaced() -> None:
    old, other = Copy(where="/a", at=1.0, digest="x"), Copy(where="/b", at=1.0, digest="x")
    new = Copy(where="/a", at=2.0, digest="y")
    assert with_copy((old, other), new) == (other, new)
