"""Copies in a folder that is mounted."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from swarmtui.backups import offsite, offsite_path
from swarmtui.backups.entries import Entry
from swarmtui.backups.offsite import CopyError, PlaceAway, copy, folder_of, opened
from swarmtui.backups.offsite_path import MARK
from swarmtui.config.backups import copy_target
from swarmtui.link.person import Nobody
from swarmtui.link.ssh_settings import SshSettings
from tests.backups.offsite.keeper import NAMES, put_into


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
