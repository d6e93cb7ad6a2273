"""A backup, and places that copies of it may be kept in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncssh
import pytest

from swarmtui.backups import offsite_s3
from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.entries import Entry
from swarmtui.backups.offsite import opened
from swarmtui.backups.offsite_path import MARK
from swarmtui.config.backups import copy_target
from swarmtui.link.person import Nobody
from swarmtui.link.ssh_settings import SshSettings
from tests.backups import s3, shelves
from tests.backups.offsite.keeper import Far, SshKeeper, inside, ssh_of


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return shelves.shelf(tmp_path / "kept")


@pytest.fixture
def entry(catalogue: Catalogue) -> Entry:
    return shelves.put(catalogue, "2026-11-21T03:30:00", "yes")


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[SshKeeper]:
    root = tmp_path / "far"
    (root / "srv").mkdir(parents=True)
    one = SshKeeper(root, asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519"))
    async with await one.serve():
        yield one


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
        files, write, delete = inside(root)
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
        files, write, delete = inside(keeper.root / "srv")
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


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    root = tmp_path / "mounted"
    root.mkdir()
    (root / MARK).touch()
    return root
