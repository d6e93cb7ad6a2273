"""What a backup gives back one by one: API objects and the data of secrets, from real directories."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage  # type: ignore[import-untyped]
import pytest

from swarmtui.backups.catalogue import Catalogue, Entry
from swarmtui.backups.crypt import Encryption
from swarmtui.backups.errors import BackupError, RaftError
from swarmtui.backups.manifest import Manifest
from swarmtui.backups.raft.values import secret_data
from swarmtui.backups.saved import saved_objects, saved_secrets
from swarmtui.vault.secret import Secret
from tests.backups.raft.real import SECRETS, DictFiles, real

CLEAR, LOCKED = "everything-20.10", "everything-26.1"
CLUSTER = "gcf6i02gy7c0xfddvj55hfoqh"
OTHER = Secret("SWMKEY-1-" + base64.b64encode(b"0" * 32).decode().rstrip("="))
Make = Callable[..., Entry]


def ids(name: str) -> dict[str, str]:
    """Name of a secret → its id."""
    return {one["Spec"]["Name"]: one["ID"] for one in real(name).before["secrets"]}


def tar_of(name: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, content in real(name).files.items():
            member = tarfile.TarInfo(f"swarm/{path}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path / "backups")


@pytest.fixture
def make(catalogue: Catalogue) -> Make:
    """Makes a backup of a real directory."""

    def made(
        name: str = CLEAR,
        objects: Any = None,
        encryption: Encryption | None = None,
        *,
        imported: bool = False,
    ) -> Entry:
        with catalogue.begin(CLUSTER, "20261121T190000Z-mgr2", encryption) as draft:
            draft.write(tar_of(name))
            told = Manifest(
                cluster_id=CLUSTER,
                node="mgr2",
                taken_at=1.0,
                cold=None if imported else True,
                source="imported" if imported else "taken",
            )
            return draft.commit(told, json.dumps(objects).encode() if objects is not None else b"")

    return made


def api(*services: str) -> dict[str, Any]:
    lists: dict[str, Any] = {kind: [] for kind in ("swarm", "nodes", "networks", "secrets", "configs")}
    return lists | {"services": [{"ID": name, "Spec": {"Name": name}} for name in services]}


@pytest.mark.parametrize("name", [CLEAR, LOCKED])
def test_the_data_of_secrets_is_what_was_put_in(name: str) -> None:
    wanted = ids(name)
    found = secret_data(DictFiles(real(name).files), [OTHER, *real(name).keys], wanted.values())
    data = {name: base64.b64decode(found[id_].reveal()) for name, id_ in wanted.items()}
    assert data == {"tls-key": SECRETS[0], "db-password": SECRETS[1]}
    assert "SECRET" not in repr(found)


def test_only_those_asked_for_and_none_that_is_not_there() -> None:
    one = ids(CLEAR)["tls-key"]
    assert list(secret_data(DictFiles(real(CLEAR).files), [], [one, "nosuch"])) == [one]


def test_without_its_key_nothing_comes_out() -> None:
    files = DictFiles(real(LOCKED).files)
    for keys in ([], [OTHER]):
        with pytest.raises(RaftError, match="cannot be read") as caught:
            secret_data(files, keys, ids(LOCKED).values())
        assert "swarmtui secrets set unlock-key" in caught.value.next_step


def test_a_damaged_log_gives_what_comes_before_the_damage() -> None:
    files, wanted = dict(real(CLEAR).files), ids(CLEAR)
    (wal,) = [name for name in files if name.endswith("0.wal")]
    whole = files[wal]
    counts = set()
    for at in range(1000, len(whole.rstrip(b"\0")), 20000):
        files[wal] = whole[:at] + bytes(50) + whole[at + 50 :]
        found = secret_data(DictFiles(files), [], wanted.values())
        assert {base64.b64decode(data.reveal()) for data in found.values()} <= set(SECRETS)
        counts.add(len(found))
    assert counts == {0, 2}


def test_an_error_shows_nothing_of_them() -> None:
    files = dict(real(CLEAR).files)
    files["certificates/swarm-node.key"] = b"-----BEGIN PRIVATE KEY-----\n"
    with pytest.raises(RaftError) as caught:
        secret_data(DictFiles(files), [], ids(CLEAR).values())
    told = "".join(traceback.format_exception(caught.value))
    assert not any(secret.decode() in told for secret in SECRETS)


def test_what_the_cluster_gave_is_preferred(make: Make) -> None:
    entry = make(objects=api("web"))
    assert [one["ID"] for one in saved_objects(entry)["services"]] == ["web"]
    assert entry.objects is not None
    entry.objects.write_bytes(json.dumps(api("other")).encode())
    with pytest.raises(BackupError, match="not what was stored"):
        saved_objects(entry)


def test_without_them_the_archive_tells(make: Make) -> None:
    entry = make()
    names = {one["Spec"]["Name"] for one in saved_objects(entry)["services"]}
    assert names == {one["Spec"]["Name"] for one in real(CLEAR).before["services"]}
    (data,) = saved_secrets(entry, [ids(CLEAR)["tls-key"]]).values()
    assert base64.b64decode(data.reveal()) == SECRETS[0]


def test_a_locked_archive_tells_with_its_key(make: Make) -> None:
    entry = make(LOCKED, imported=True)
    with pytest.raises(BackupError, match=r"Nobody knows what .* contains"):
        saved_objects(entry)
    assert saved_objects(entry, real(LOCKED).keys)["services"]


def test_objects_that_are_none(make: Make) -> None:
    wrongs: tuple[Any, ...] = ([], {"services": {}}, {**api(), "networks": ["x"]})
    for wrong in wrongs:
        entry = make(objects=wrong)
        with pytest.raises(BackupError, match="cannot be read"):
            saved_objects(entry)


def test_what_a_rehearsal_gave_is_kept_and_wins_over_what_was_made_offline(catalogue: Catalogue, make: Make) -> None:
    entry = make(objects=api("offline"), imported=True)
    assert entry.rehearsed is None
    after = catalogue.add_objects(entry, json.dumps(api("rehearsed")).encode())
    assert after.rehearsed == entry.folder / "rehearsed.json" and after == catalogue.entries()[0]
    assert after.rehearsed.stat().st_mode & 0o777 == 0o600
    assert [one["ID"] for one in saved_objects(after)["services"]] == ["rehearsed"]
    again = catalogue.add_objects(after, json.dumps(api("again")).encode())
    assert [one["ID"] for one in saved_objects(again)["services"]] == ["again"]
    assert sorted(path.name for path in entry.folder.iterdir()) == [
        "archive.tar", "manifest.json", "objects.json", "rehearsed.json"
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["recipients", "passphrase"])
def test_beside_an_encrypted_archive_it_is_encrypted_too(catalogue: Catalogue, make: Make, kind: str) -> None:
    identity = pyrage.x25519.Identity.generate()
    passphrase = Secret("correct horse")
    by = Encryption((str(identity.to_public()),)) if kind == "recipients" else Encryption(passphrase=passphrase)
    opens = Secret(str(identity)) if kind == "recipients" else passphrase
    entry = make(encryption=by, imported=True)
    if kind == "passphrase":
        with pytest.raises(BackupError, match="not kept in clear"):
            catalogue.add_objects(entry, b"{}")
    after = catalogue.add_objects(entry, json.dumps(api("rehearsed")).encode(), opens)
    assert after.rehearsed is not None and after.rehearsed.name == "rehearsed.json.age"
    assert b"rehearsed" not in after.rehearsed.read_bytes()
    assert [one["ID"] for one in saved_objects(after, (), opens)["services"]] == ["rehearsed"]
    with pytest.raises(BackupError):
        saved_objects(after)


def test_a_full_disk_leaves_the_one_from_before(
    catalogue: Catalogue, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = catalogue.add_objects(make(imported=True), json.dumps(api("first")).encode())

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BackupError, match="disk is full"):
        catalogue.add_objects(entry, json.dumps(api("second")).encode())
    monkeypatch.undo()
    assert [one["ID"] for one in saved_objects(entry)["services"]] == ["first"]
    assert not [path for path in entry.folder.iterdir() if path.name.startswith(".")]
