"""Copies on a real OpenSSH: its digest, its extensions, an account for SFTP only, a full disk, a cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.entries import Entry
from swarmtui.backups.offsite import CopyError, PlaceAway, check, copy, folder_of, opened
from swarmtui.backups.records import Copy
from swarmtui.config.backups import copy_target
from swarmtui.link.person import Nobody
from swarmtui.link.ssh_settings import SshSettings
from tests.backups import shelves

if TYPE_CHECKING:
    from tests.lab import Host, Lab

pytestmark = pytest.mark.lab
FAR = "/srv/copies"
NAMES = ["archive.tar", "manifest.json", "objects.json", "verifications.jsonl"]


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    catalogue: Catalogue = shelves.shelf(tmp_path / "kept")
    return shelves.put(catalogue, "2026-11-21T03:30:00", "yes", content=bytes(range(256)) * 40_000)


@pytest.fixture
def host(lab: Lab) -> Iterator[Host]:
    host = lab["wrk1"]
    host.sh(f"rm -rf {FAR}; mkdir -p {FAR}")
    yield host
    host.sshd()
    host.sh(f"rm -rf {FAR}")


async def put(lab: Lab, host: Host, entry: Entry, user: str = "root") -> Copy:
    settings = SshSettings(
        config_file=lab.home / ".ssh" / "config", known_hosts=lab.home / ".ssh" / "known_hosts", connect_timeout=10.0
    )
    async with opened(copy_target(f"sftp://{user}@{host.address}{FAR}"), settings, Nobody()) as place:
        made, _ = await copy(entry, place)
        assert (await check(entry, place, made)).trouble == ""
        assert await place.folders(entry.cluster_id) == (entry.id,)
        return made


def there(host: Host, entry: Entry) -> list[str]:
    return host.sh(f"ls -A {FAR}/{folder_of(entry)}", check=False).stdout.split()


async def test_a_real_host_has_it_and_says_so(lab: Lab, host: Host, entry: Entry) -> None:
    made = await put(lab, host, entry)
    assert there(host, entry) == NAMES
    told = host.sh(f"sha256sum {FAR}/{folder_of(entry)}/archive.tar").stdout.split()[0]
    assert told == made.digest == hashlib.sha256(entry.archive.read_bytes()).hexdigest()
    modes = host.sh(
        f"stat -c %a {FAR}/{entry.cluster_id} {FAR}/{folder_of(entry)} {FAR}/{folder_of(entry)}/*"
    ).stdout.split()
    assert modes == ["700", "700", *["600"] * 4]
    # A file there that is another one is replaced, not left and not doubled.
    host.sh(f"echo altered > {FAR}/{folder_of(entry)}/objects.json")
    await put(lab, host, entry)
    assert there(host, entry) == NAMES


async def test_an_account_for_sftp_only_is_read_back(lab: Lab, host: Host, entry: Entry) -> None:
    host.sshd("ForceCommand internal-sftp")
    made = await put(lab, host, entry)
    assert made.digest == hashlib.sha256(entry.archive.read_bytes()).hexdigest()
    assert there(host, entry) == NAMES


async def test_a_full_disk_there_is_told_before_and_leaves_nothing(lab: Lab, host: Host, entry: Entry) -> None:
    host.fill_disk(FAR)
    try:
        with pytest.raises(CopyError, match=f"There is no room in {FAR} on root@"):
            await put(lab, host, entry)
        assert "manifest.json" not in there(host, entry)
    finally:
        host.free_disk(FAR)


async def test_who_may_not_write_there_is_told(lab: Lab, host: Host, entry: Entry) -> None:
    with pytest.raises(CopyError, match=r"cannot be worked with: Permission denied"):
        await put(lab, host, entry, user="nodocker")
    host.sh(f"rm -r {FAR}")
    with pytest.raises(PlaceAway, match=f"There is no folder {FAR}"):
        await put(lab, host, entry)


async def test_a_host_without_sftp_is_told(lab: Lab, host: Host, entry: Entry) -> None:
    with pytest.raises(CopyError, match="offers no SFTP"):
        _subsystem(host, "#Subsystem")
        try:
            await put(lab, host, entry)
        finally:
            _subsystem(host, "Subsystem")


def _subsystem(host: Host, word: str) -> None:
    host.sh(f"sed -i 's/^#*Subsystem/{word}/' /etc/ssh/sshd_config && systemctl reload ssh")
    host.wait_ssh()
