"""Copies on a host, over SFTP: what is cut off or altered on the way is none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from swarmtui.backups.entries import Entry
from swarmtui.backups.offsite import CopyError, PlaceAway, copy, folder_of, opened
from swarmtui.backups.records import Copy
from swarmtui.config.backups import copy_target
from swarmtui.link.person import Nobody
from swarmtui.link.reasons import LinkError
from tests.backups.offsite.keeper import NAMES, SshKeeper, ssh_of


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
