"""The plans of ucp.backup and ucp.restore, from facts alone: commands, what stands in the way, what is warned of."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from swarmtui.backups.manifest import UcpAccount
from swarmtui.errors import RefusedError
from swarmtui.link.jobs import JobState
from swarmtui.runbooks.runbook import Danger, Plan
from swarmtui.runbooks.swarm.backups.backup_facts import Leftover
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.access import Access, Door
from swarmtui.runbooks.ucp.backup import UcpBackup
from swarmtui.runbooks.ucp.backup_facts import Manager, UcpBackupFacts, UcpHost
from swarmtui.runbooks.ucp.places import OnHost, Part, Place
from swarmtui.runbooks.ucp.restore import UcpRestore
from swarmtui.runbooks.ucp.restore_facts import UcpBackupSeen, UcpRestoreFacts
from tests.ucp.archives import INSTANCE
from tests.ucp.oracle import VERSIONS, check, read

SWARM = INSTANCE
JOB = "20261122T041002Z-0a0b0c0d"
PARTS = (Part("ucp-controller", "docker/ucp-controller:2.2.5", "Up 2 hours (healthy)"),)
WAIT = {"wait": 600}


def place(name: str, *, manager: bool = True, leader: bool = False, down: bool = False) -> Place:
    at = Where(name, f"ssh://root@{name}", f"root@{name}")
    return Place(id=name * 5, name=name, at=at, manager=manager, leader=leader, down=down, address=f"10.0.0.{name[-1]}")


def access(version: str = "2.2.5", count: int = 3) -> Access:
    doors = tuple(
        Door(node_id=p.id, name=p.name, url=f"https://{p.address}", at=p.at)
        for p in (place(f"mgr{number + 1}") for number in range(count))
    )
    return Access(cluster="prod", cluster_id=SWARM, version=version, instance=SWARM, managers=doors)


def facts(version: str = "2.2.5", count: int = 3, *, host: UcpHost | None = None, **more: Any) -> UcpBackupFacts:
    managers = tuple(
        Manager(place=place(f"mgr{number + 1}", leader=number == 0), parts=PARTS) for number in range(count)
    )
    given: dict[str, Any] = {
        "known": access(version, count),
        "managers": managers,
        "chosen": managers[-1].place.id,
        "because": "healthy, and not the leader",
        "host": host or UcpHost(size=1 << 20, free=1 << 30),
        "passphrase": "kept",
        "custody": {},
        "accounts": (UcpAccount("admin", admin=True),),
        "unasked": "",
        "folder": "/backups",
        "free": 1 << 30,
        "trouble": "",
        "drafts": (),
        "job": JOB,
        "restart": JOB,
    }
    return UcpBackupFacts(**{**given, **more})


def backup(known: UcpBackupFacts) -> Plan:
    return UcpBackup().plan(WAIT, msgspec.to_builtins(known))


def lines(plan: Plan, step: str) -> str:
    return "\n".join(shown.line for each in plan.steps if each.id == step for shown in each.shown)


def test_the_command_is_that_of_the_running_version() -> None:
    old = lines(backup(facts("2.2.5")), "archive")
    assert "docker container run --log-driver none --rm -i --name ucp" in old
    assert f'docker/ucp:2.2.5 backup --id {SWARM} --passphrase "$UCP_PASSPHRASE" > ' in old
    new = lines(backup(facts("3.2.7")), "archive")
    assert 'docker/ucp:3.2.7 backup --passphrase "$UCP_PASSPHRASE" > ' in new
    mke = lines(backup(facts("3.4.5")), "archive")
    assert 'mirantis/ucp:3.4.5 backup --passphrase "$UCP_PASSPHRASE" > ' in mke
    for line in (old, new, mke):
        assert " -t" not in line and "-it" not in line and "latest" not in line and "--interactive" not in line
    confined = facts(host=UcpHost(selinux=True))
    assert "--security-opt label=disable" in lines(backup(confined), "archive")


def test_what_stops_meanwhile_is_said() -> None:
    plan = backup(facts("2.2.5"))
    assert plan.danger is Danger.DISRUPTIVE
    assert any("Meanwhile UCP answers on mgr1, mgr2" in warning for warning in plan.warnings)
    alone = backup(facts("2.2.5", 1))
    assert any("its UI, its API and all client bundles do not work" in warning for warning in alone.warnings)
    later = backup(facts("3.2.7", 1))
    assert later.danger is Danger.SAFE
    assert not any("bundles do not work" in warning for warning in later.warnings)


def test_the_exposure_of_the_passphrase_is_named() -> None:
    assert any("--passphrase" in warning and "argument" in warning for warning in backup(facts()).warnings)


def test_without_a_passphrase_one_is_made_and_kept_first() -> None:
    custody = {"durable": False, "words": "It would be lost with this program.", "next_step": ""}
    plan = backup(facts(passphrase="", custody=custody))
    assert plan.steps[0].id == "passphrase"
    assert [str(rule) for rule in plan.rules] == ["key-without-custody=prod"]
    assert "passphrase" not in [step.id for step in backup(facts()).steps]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (facts(host=UcpHost(image=False)), "docker/ucp:2.2.5 is not on mgr3"),
        (facts(host=UcpHost(busy="docker/ucp:2.2.5, Up 2 minutes")), "Another command of UCP runs on mgr3"),
        (facts(host=UcpHost(size=1 << 30, free=1 << 30)), "MB free in /var/lib of mgr3"),
        (facts(host=UcpHost(size=1 << 30, free=1 << 40), free=1 << 20), "MB free in /backups here"),
        (facts(trouble="it cannot be written to."), "cannot be kept in /backups"),
        (
            facts(host=UcpHost(leftovers=(Leftover(id=JOB, state=JobState(there=True, alive=True)),))),
            "Another job of ours runs on mgr3",
        ),
    ],
    ids=["image", "busy", "disk-there", "disk-here", "folder", "job"],
)
def test_what_stands_in_the_way(known: UcpBackupFacts, words: str) -> None:
    with pytest.raises(RefusedError, match=words.replace(".", r"\.")):
        backup(known)


def test_a_sick_manager_is_not_taken() -> None:
    known = facts()
    sick = tuple(
        msgspec.structs.replace(one, ill="its /_ping says: 500") if one.place.id == known.chosen else one
        for one in known.managers
    )
    with pytest.raises(RefusedError, match="UCP on mgr3 is not healthy"):
        backup(msgspec.structs.replace(known, managers=sick))


# -- restore -----------------------------------------------------------------------------------------------------------


def seen(**more: Any) -> UcpBackupSeen:
    given: dict[str, Any] = {
        "id": "20261121T000000Z-ucp-mgr2",
        "cluster_id": SWARM,
        "age": "5 h",
        "version": "2.2.5",
        "instance": SWARM,
        "verdict": "not proved",
        "because": "only a restore proves more",
        "opened": True,
        "sealed": True,
        "managers": 3,
        "digest": "0" * 64,
        "path": "/backups/archive.tar",
        "accounts": (UcpAccount("admin", admin=True), UcpAccount("jon")),
    }
    return UcpBackupSeen(**{**given, **more})


def restoring(backup: UcpBackupSeen | None = None, **more: Any) -> UcpRestoreFacts:
    nodes = (place("mgr1", leader=True), place("mgr2"), place("mgr3"), place("wrk1", manager=False))
    given: dict[str, Any] = {
        "backup": backup or seen(),
        "cluster": "prod",
        "cluster_id": SWARM,
        "manager": nodes[0],
        "nodes": nodes,
        "down": (),
        "found": {node.id: OnHost(PARTS, ("ucp-kv",)) for node in nodes},
        "unasked": {},
        "services": ("ucp-agent",),
        "running": "2.2.5",
        "instance": SWARM,
        "accounts": (UcpAccount("admin", admin=True), UcpAccount("new")),
        "busy": "",
        "image": True,
        "old_image": True,
        "selinux": False,
        "autolock": False,
        "swarm_backup": True,
        "jobs": (JOB, JOB),
        "restore_job": JOB,
        "username": "admin",
    }
    return UcpRestoreFacts(**{**given, **more})


def restore(known: UcpRestoreFacts) -> Plan:
    return UcpRestore().plan(WAIT, msgspec.to_builtins(known))


def test_the_archive_lies_there_before_anything_is_removed() -> None:
    plan = restore(restoring())
    order = [step.id for step in plan.steps]
    assert order[0] == "upload" and order.index("uninstall") < order.index("restore") < order.index("accounts")
    assert plan.danger is Danger.DESTRUCTIVE and plan.typed == "prod"
    line = lines(plan, "restore")
    assert 'docker/ucp:2.2.5 restore --passphrase "$UCP_PASSPHRASE" < ' in line
    assert "--id" not in line and " -it" not in line


def test_an_autolocked_swarm_gives_its_key() -> None:
    assert '--unlock-key "$UNLOCK_KEY"' in lines(restore(restoring(autolock=True)), "restore")


@pytest.mark.parametrize(("version", "warned"), [("2.2.5", False), ("3.2.7", True), ("3.4.5", True)])
def test_names_and_an_address_are_handed_on(version: str, warned: bool) -> None:
    found = restoring(seen(version=version), running=version)
    given = {**WAIT, "san": ("ucp.example.com", "lb"), "host-address": "10.9.0.1"}
    plan = UcpRestore().plan(given, msgspec.to_builtins(found))
    line = lines(plan, "restore")
    assert "--host-address 10.9.0.1 --san ucp.example.com --san lb < " in line
    check(read(line.partition(" < ")[0]))
    assert any("as they were" in warning for warning in plan.warnings) is warned
    assert plan.binding != restore(found).binding


def test_what_is_lost_and_what_comes_back_is_said() -> None:
    told = [line for _, line in restore(restoring()).changes]
    assert "Accounts that come back: jon." in told
    assert "Accounts made since then, which are LOST: new." in told


def test_without_a_ucp_there_is_nothing_to_uninstall() -> None:
    bare = restoring(services=(), running="", found={}, accounts=None)
    assert "uninstall" not in [step.id for step in restore(bare).steps]
    left = restoring(services=(), running="", accounts=None)
    order = [step.id for step in restore(left).steps]
    assert "uninstall" not in order and order.index("clear-hosts") < order.index("restore")


def test_the_other_swarm_the_missing_managers_and_the_other_version_are_warned_of() -> None:
    other = restore(restoring(seen(instance="z" * 25, cluster_id="z" * 25)))
    assert any("client bundles of administrators become invalid" in note for note in other.notes)
    shrunk = restore(restoring(seen(managers=5), down=("wrk9",)))
    assert any("had 5 managers then, and has 3 now" in warning for warning in shrunk.warnings)
    assert any("Down: wrk9" in warning for warning in shrunk.warnings)
    assert any("no node can join" in warning for warning in shrunk.warnings)
    newer = restore(restoring(running="2.2.9"))
    assert any("UCP 2.2.9 runs here, and the backup is of 2.2.5" in warning for warning in newer.warnings)
    assert "docker/ucp:2.2.9 uninstall-ucp" in lines(newer, "uninstall")


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (restoring(seen(verdict="no", because="it is cut off")), "would not restore: it is cut off"),
        (restoring(seen(opened=False, because="no passphrase")), "cannot be opened: no passphrase"),
        (restoring(image=False), "docker/ucp:2.2.5 is not on mgr1"),
        (restoring(running="2.2.9", old_image=False), "docker/ucp:2.2.9 is not on mgr1"),
        (restoring(busy="docker/ucp:2.2.5, Up"), "Another command of UCP runs on mgr1"),
        (restoring(seen(version="1.1.4")), "command line of UCP 1.1.4 is not known"),
    ],
    ids=["verdict", "passphrase", "image", "old-image", "busy", "version"],
)
def test_what_cannot_be_restored_is_refused(known: UcpRestoreFacts, words: str) -> None:
    with pytest.raises(RefusedError, match=words.replace(".", r"\.")):
        restore(known)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_command_is_documented_for_its_version(version: str) -> None:
    """Against the table that the product does not import."""
    plans = (
        backup(facts(version, host=UcpHost(selinux=True))),
        restore(restoring(seen(version=version), running=version, autolock=True, selinux=True)),
    )
    found = []
    for plan in plans:
        for shown in (shown for step in plan.steps for shown in step.shown):
            for piece in shown.line.split("docker container run")[1:]:
                line = f"docker container run{piece}".split(" > ")[0].split(" < ")[0].split("; ")[0]
                if "/ucp:" in line:
                    run = read(line.rstrip("'"))
                    check(run)
                    assert run.version == version
                    found.append(run.command)
    assert set(found) == {"backup", "restart", "uninstall-ucp", "restore", "dump-certs"}
