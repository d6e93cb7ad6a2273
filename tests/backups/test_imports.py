"""Archives that were made by hand with the guides' commands."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pyrage
import pytest

from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.crypt import Encryption, NoIdentityError
from swarmtui.backups.errors import BackupError
from swarmtui.backups.imports import BY_HAND, cluster_in, import_file
from swarmtui.backups.verify import read_objects, verify
from swarmtui.vault import Secret, fingerprint
from tests.backups.generations import DATA
from tests.backups.tars import AT, generation, root, tar_of

PLAIN, LOCKED = generation("plain"), generation("locked")
IDENTITY = pyrage.x25519.Identity.generate()


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return root(tmp_path)


def put(tmp_path: Path, content: bytes, name: str = "swarm.bkp") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "command",
    [
        "tar -cf {out} -C {root}/var/lib/docker swarm",
        "tar -czf {out} -C {root} var/lib/docker/swarm",
        "cd {root}/var/lib/docker && tar -cvf {out} swarm/",
        "cd {root}/var/lib/docker/swarm && tar -cf {out} .",
        "cd {root} && tar --sparse -czf {out} ./var/lib/docker/swarm/",
    ],
)
def test_what_the_guides_commands_make_is_taken_in(tmp_path: Path, catalogue: Catalogue, command: str) -> None:
    folder = tmp_path / "disk" / "var/lib/docker/swarm"
    for name, data in PLAIN.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        os.utime(folder / name, (AT, AT))
    out = tmp_path / "swarm.bkp"
    subprocess.run(command.format(out=out, root=tmp_path / "disk"), shell=True, check=True, stdout=subprocess.DEVNULL)
    entry = import_file(catalogue, out, cluster="prod")
    told = entry.whole
    assert entry.id == "20261118T110640Z-mgr2"
    assert (told.source, told.imported_from, told.cold, told.how) == ("imported", "swarm.bkp", None, "unknown")
    assert told.imported_digest == hashlib.sha256(out.read_bytes()).hexdigest()
    assert (told.cluster, told.cluster_id) == ("prod", PLAIN.inventory.cluster_id)
    assert (told.node, told.role, told.autolock, told.key_fingerprint) == ("mgr2", "manager", False, "")
    assert told.taken_at == AT
    assert told.notes[0] == BY_HAND
    assert told.inventory is not None
    assert {service.name for service in told.inventory.services} == {"web", "api", "agent"}
    assert told.raft_index > 0
    assert len(told.managers) == 3
    assert entry.objects is not None
    objects = json.loads(read_objects(entry.objects, told, None))
    assert {service["Spec"]["Name"] for service in objects["services"]} == {"web", "api", "agent"}
    assert "value of db-password" not in json.dumps(objects)
    found = verify(entry, [], None)
    assert [result.ok for result in found.tiers] == [True, True, True, None]


def test_a_locked_one_with_its_key(tmp_path: Path, catalogue: Catalogue) -> None:
    key = Secret(LOCKED.key)
    entry = import_file(catalogue, put(tmp_path, tar_of(LOCKED.files)), [key])
    assert (entry.whole.autolock, entry.whole.key_fingerprint) == (True, fingerprint(key))
    assert entry.whole.inventory is not None
    assert LOCKED.key.encode() not in b"".join(path.read_bytes() for path in entry.folder.iterdir())


def test_a_locked_one_without_its_key_is_taken_in_as_not_proved(tmp_path: Path, catalogue: Catalogue) -> None:
    entry = import_file(catalogue, put(tmp_path, tar_of(LOCKED.files)))
    told = entry.whole
    assert (told.autolock, told.key_fingerprint, told.inventory, entry.objects) == (True, "", None, None)
    assert told.cluster_id == LOCKED.inventory.cluster_id
    found = verify(entry, [], None)
    assert (found.verdict, [result.ok for result in found.tiers]) == ("not proved", [True, True, None, None])
    found = verify(entry, [Secret(LOCKED.key)], None)
    assert [result.ok for result in found.tiers] == [True, True, True, None]


def test_one_encrypted_with_age(tmp_path: Path, catalogue: Catalogue) -> None:
    path = put(tmp_path, pyrage.encrypt(tar_of(PLAIN.files, packed=True), [IDENTITY.to_public()]), "swarm.tgz.age")
    with pytest.raises(NoIdentityError) as raised:
        import_file(catalogue, path)
    assert raised.value.what.startswith(f"{path} was not imported. It is encrypted for recipients of age")
    entry = import_file(
        catalogue, path, identity=Secret(str(IDENTITY)), encryption=Encryption((str(IDENTITY.to_public()),))
    )
    assert entry.whole.encrypted == "recipients"
    assert b"swarm-node.key" not in entry.archive.read_bytes()
    assert pyrage.decrypt(entry.archive.read_bytes(), [IDENTITY]) == tar_of(PLAIN.files)


def test_the_same_twice_is_taken_in_once(tmp_path: Path, catalogue: Catalogue) -> None:
    entry = import_file(catalogue, put(tmp_path, tar_of(PLAIN.files)))
    with pytest.raises(BackupError, match=f"It is in the catalogue already, as {entry.id}."):
        import_file(catalogue, put(tmp_path, tar_of(PLAIN.files, packed=True), "again.tgz"))
    assert len(catalogue.entries()) == 1


def worker_tar() -> bytes:
    with tarfile.open(DATA / "worker-20.10.tar.xz", "r:xz") as tar:
        files = {}
        for info in tar:
            stream = tar.extractfile(info)
            if stream is not None and "swarm/" in info.name:
                files[info.name.partition("swarm/")[2]] = stream.read()
    assert "certificates/swarm-node.key" in files
    return tar_of(files)


def test_what_cannot_be_taken_in_says_why(tmp_path: Path, catalogue: Catalogue) -> None:
    good = tar_of(PLAIN.files)
    no_certificates = tar_of({n: d for n, d in LOCKED.files.items() if not n.startswith("certificates/")})
    cases: dict[str, tuple[bytes, str]] = {
        "worker": (worker_tar(), "It is of a worker, and only managers keep the Swarm"),
        "foreign": (tar_of({"index.html": b"x"}, "www/"), "There is no Swarm's directory in it"),
        "no tar": (b"\x7fELF" + os.urandom(3000), "It is no tar, or its beginning is damaged"),
        "empty": (b"", "It is empty."),
        "cut off": (good[: len(good) // 2], "It is cut off"),
        "nobody's": (no_certificates, "Nobody can tell of which cluster it is"),
        "gzip cut off": (tar_of(PLAIN.files, packed=True)[:3000], "It is cut off: its gzip data ends too early."),
    }
    for name, (content, words) in cases.items():
        path = put(tmp_path, content, name)
        for call in (lambda path=path: import_file(catalogue, path), lambda path=path: cluster_in(path)):
            with pytest.raises(BackupError) as raised:
                call()
            assert raised.value.what.startswith(f"{path} was not imported. {words}"), raised.value.what
            assert raised.value.next_step
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(BackupError, match="cannot be read: "):
            import_file(catalogue, path)
    assert catalogue.entries() == ()
    assert catalogue.leftovers() == ()


def test_one_that_is_stopped_leaves_nothing(tmp_path: Path, catalogue: Catalogue) -> None:
    with pytest.raises(BackupError, match="It was stopped"):
        import_file(catalogue, put(tmp_path, tar_of(PLAIN.files)), cancelled=lambda: True)
    assert catalogue.entries() == ()
    assert list((catalogue.root / PLAIN.inventory.cluster_id).iterdir()) == []


def test_a_time_in_the_future_is_not_believed(tmp_path: Path, catalogue: Catalogue) -> None:
    entry = import_file(catalogue, put(tmp_path, tar_of(PLAIN.files)), now=AT - 1000)
    assert entry.whole.taken_at == AT - 1000
