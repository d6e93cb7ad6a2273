"""Copies in a bucket of S3, or of what behaves as it."""

from __future__ import annotations

import pytest

from swarmtui.backups import offsite_s3
from swarmtui.backups.entries import Entry
from swarmtui.backups.offsite import CopyError, PlaceAway, copy, folder_of, opened
from swarmtui.backups.records import Copy
from swarmtui.config.backups import copy_target
from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.link.person import Nobody
from swarmtui.link.ssh_settings import SshSettings
from tests.backups import s3


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
