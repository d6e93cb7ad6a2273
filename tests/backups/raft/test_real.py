"""Directories of real managers, against what the engine API said while they were taken."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from swarmtui.backups.files import FolderFiles
from swarmtui.backups.raft import read
from swarmtui.model.inventory_diff import compare
from tests.backups.raft.real import NOW, SECRETS, inventory, look, real

REAL = ["everything-20.10", "everything-26.1"]
KINDS = ["nodes", "services", "networks", "secrets", "configs"]


@pytest.mark.parametrize("name", REAL)
def test_the_inventory_is_what_the_engine_said(name: str) -> None:
    found = look(real(name).files, real(name).keys)
    assert found.problems == ()
    assert found.opened and found.role == "manager"
    assert found.inventory is not None
    comparison = compare(found.inventory, inventory(real(name).before), inventory(real(name).after))
    assert comparison.equal, comparison
    assert not [said for said in comparison.moved if "node" not in said]
    assert found.inventory.tasks == len(real(name).before["tasks"])
    assert found.inventory.autolock is found.locked is bool(real(name).key)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REAL)
def test_every_object_is_what_the_engine_said(name: str, kind: str) -> None:
    """All that the API says of what is kept: each field of each spec, ids, versions, times, ports, addresses."""
    ours = {one.get("ID") or one["Id"]: one for one in look(real(name).files, real(name).keys).objects[kind]}
    theirs = {one.get("ID") or one["Id"]: one for one in real(name).before[kind] if one.get("Scope") != "local"}
    assert ours.keys() == theirs.keys()
    for id_, one in theirs.items():
        # Who leads and who is reachable is known only while a Swarm runs.
        assert bare(ours[id_], "ManagerStatus") == bare(one, "ManagerStatus")


@pytest.mark.parametrize("name", REAL)
def test_the_swarms_settings_are_what_the_engine_said(name: str) -> None:
    (ours,) = look(real(name).files, real(name).keys).objects["swarm"]
    theirs = real(name).before["swarm"]
    assert bare(ours, "TLSInfo") == bare(theirs, "TLSInfo")
    assert ours["TLSInfo"]["TrustRoot"] == theirs["TLSInfo"]["TrustRoot"]


@pytest.mark.parametrize("name", REAL)
def test_the_managers_are_those_that_the_engine_named(name: str) -> None:
    found = look(real(name).files, real(name).keys)
    status = {one["ID"]: one.get("ManagerStatus") for one in real(name).before["nodes"]}
    addresses = {node_id: said["Addr"] for node_id, said in status.items() if said}
    assert {member.node_id: member.address for member in found.members} == addresses
    assert addresses[found.node_id] == found.address
    assert found.raft_id in {member.raft_id for member in found.members}
    assert {one["ID"]: one["ManagerStatus"]["Addr"] for one in found.objects["nodes"] if "ManagerStatus" in one} == (
        addresses
    )


def test_what_is_known_of_a_rotated_and_compacted_one() -> None:
    """Autolock on, mgr2 demoted and promoted, the key rotated, several snapshots."""
    real_ = real("everything-26.1")
    found = look(real_.files, real_.keys)
    assert found.locked and found.opened_by and found.kek_version > 10
    assert 0 < found.snapshot_index <= found.commit <= found.last_index
    assert found.not_before < NOW < found.not_after
    assert len(found.root_digest) == 64
    assert found.term == 2
    assert len([name for name in real_.files if name.endswith(".snap")]) == 2


def test_a_worker_keeps_no_swarm() -> None:
    found = look(real("worker-20.10").files)
    assert (found.role, found.inventory, found.opened) == ("worker", None, False)
    assert [(one.id, one.fatal) for one in found.problems] == [("worker", True)]


@pytest.mark.parametrize("name", REAL)
def test_no_secret_comes_out(name: str) -> None:
    """Not the secrets' data, raft's key, the unlock key, the CA's key, or a join token: by no way that shows things."""
    found = look(real(name).files, real(name).keys)
    told = json.dumps(dict(found.objects)) + repr(found) + repr(found.inventory) + pickle.dumps(found).decode("latin-1")
    told += "".join(str(problem) for problem in look(real(name).files).problems)
    for secret in (*(data.decode() for data in SECRETS), "SWMTKN", "SWMKEY", "PRIVATE KEY", real(name).key or "SWMKEY"):
        assert secret not in told
    assert "text of app.yml" not in repr(found)
    data = {one["Spec"]["Name"]: one["Spec"]["Data"] for one in found.objects["configs"]}
    assert data["app.yml"] == "dGV4dCBvZiBhcHAueW1s"


def test_from_a_folder(tmp_path: Any) -> None:
    for name, data in real("everything-20.10").files.items():
        path = tmp_path / "swarm" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "swarm/link").symlink_to(tmp_path / "outside")
    (tmp_path / "swarm/folder").symlink_to(tmp_path)
    files = FolderFiles(tmp_path / "swarm")
    assert set(files.names()) == set(real("everything-20.10").files)
    for name in ("link", "../outside", "folder/outside", str(tmp_path / "outside"), "raft", "gone"):
        with pytest.raises(KeyError):
            files.read(name)
        with pytest.raises(KeyError):
            files.size(name)
    assert read(files, now=NOW) == look(real("everything-20.10").files)


def bare(value: Any, *without: str) -> Any:
    """Without what is empty: Go leaves some of it out, by version."""
    if isinstance(value, dict):
        kept = {name: bare(said) for name, said in value.items() if name not in without}
        return {name: said for name, said in kept.items() if said not in (None, False, "", 0, {}, [])}
    return [bare(one) for one in value] if isinstance(value, list) else value
