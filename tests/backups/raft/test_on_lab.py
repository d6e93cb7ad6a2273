"""The directory of a live manager against what its engine says, and an offline unlock that a real dockerd takes."""

from __future__ import annotations

import json
import shutil

import pytest

from swarmtui.backups.files import FolderFiles
from swarmtui.backups.raft import read
from swarmtui.backups.raft.unlock import unlocked_key
from swarmtui.model.inventory import Inventory
from swarmtui.model.inventory_diff import compare
from swarmtui.vault.secret import Secret
from tests.backups.generations import LISTS, NOWHERE, look
from tests.lab.fixtures import MakeLab
from tests.lab.machine import wait_for

KEY = "certificates/swarm-node.key"


def inventory(api: dict[str, object]) -> Inventory:
    lists = {name: api[name] for name in LISTS if name != "tasks"}
    return Inventory.from_api(api["swarm"], **lists, tasks=len(api["tasks"]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "engine", [pytest.param("20.10", marks=pytest.mark.lab), pytest.param("26.1", marks=pytest.mark.lab26)]
)
def test_locked_manager_of_three_restored_alone_after_an_offline_unlock(make_lab: MakeLab, engine: str) -> None:
    """The documented order hangs for ever here (swarm-dr.md §3): peers are gone, and unlock waits for them."""
    lab = make_lab(managers=3, engine=engine, autolock=True)
    first, second = lab["mgr1"], lab["mgr2"]
    create = ("service", "create", "-d", "-q", "--no-resolve-image", "--endpoint-mode", "dnsrr", *NOWHERE)
    first.docker("network", "create", "-d", "overlay", "front")
    first.sh("docker secret create token -", data=b"SECRET-DATA")
    first.docker(*create, "--name", "web", "--network", "front", "--secret", "token", "alpine:latest", "true")
    folder, key = second.docker_folder / "swarm", Secret(lab.unlock_key)
    wait_for("mgr2's key file is locked", lambda: b"ENCRYPTED" in (folder / KEY).read_bytes())
    before = look(first)
    second.stop_docker()
    after = look(first)

    contents = read(FolderFiles(folder), [Secret("SWMKEY-1-" + "A" * 43), key])
    assert contents.problems == ()
    assert contents.locked and contents.opened
    assert contents.inventory is not None
    comparison = compare(contents.inventory, inventory(before), inventory(after))
    assert comparison.equal, comparison
    assert [service.name for service in contents.inventory.services] == ["web"]
    assert {member.address for member in contents.members} == {f"{host.address}:2377" for host in lab.hosts}

    locked = (folder / KEY).read_bytes()
    for other in (first, lab["mgr3"]):
        other.stop_docker()
    (folder / KEY).write_bytes(unlocked_key(locked, key))
    (folder / "docker-state.json").unlink()
    clear = read(FolderFiles(folder))
    assert [problem.id for problem in clear.problems] == ["not-locked"]
    assert clear.inventory == contents.inventory
    second.start_docker()
    second.docker("swarm", "init", "--force-new-cluster", "--autolock", "--advertise-addr", second.address)

    swarm = second.api("GET", "/info")["Swarm"]
    assert (swarm["NodeID"], swarm["Cluster"]["ID"]) == (contents.node_id, contents.cluster_id)
    restored = inventory(look(second))
    assert [service.name for service in restored.services] == ["web"]
    assert [secret.name for secret in restored.secrets] == ["token"]
    assert restored.networks == contents.inventory.networks
    # With --autolock the same unlock key stays, and the file is locked again at once.
    assert second.api("GET", "/swarm/unlockkey")["UnlockKey"] == key.reveal()
    wait_for("the key file is locked again", lambda: b"ENCRYPTED" in (folder / KEY).read_bytes())

    second.stop_docker()
    again = read(FolderFiles(folder), [key])
    assert again.fatal == ()
    assert [member.node_id for member in again.members] == [contents.node_id]
    shutil.rmtree(folder / "raft/wal-v3-encrypted")
    assert "no-wal" in [problem.id for problem in read(FolderFiles(folder), [key]).fatal]
    assert b"SECRET-DATA" not in repr(contents).encode() + json.dumps(contents.objects).encode()
