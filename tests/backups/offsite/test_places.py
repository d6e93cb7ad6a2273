"""Copies elsewhere, in a folder, over SFTP or in S3: what is altered or not whole is never one."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest

from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.entries import Entry
from swarmtui.backups.offsite import CopyError, check, copy, folder_of, with_copy
from swarmtui.backups.records import Copy
from swarmtui.errors import SwarmtuiError
from tests.backups import shelves
from tests.backups.offsite.keeper import NAMES, Far, put_into


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


def test_what_is_known_of_a_place_is_replaced() -> None:
    old, other = Copy(where="/a", at=1.0, digest="x"), Copy(where="/b", at=1.0, digest="x")
    new = Copy(where="/a", at=2.0, digest="y")
    assert with_copy((old, other), new) == (other, new)
