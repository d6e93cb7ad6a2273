"""The plan of dtr.backup, from facts alone: which replica, the command, what stands in the way, what is said (T5)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from swarmtui.errors import RefusedError, UsageError
from swarmtui.link.jobs import JobState
from swarmtui.runbooks.dtr.backup import DtrBackup
from swarmtui.runbooks.dtr.backup_facts import DtrBackupFacts, Images, choose
from swarmtui.runbooks.dtr.found import DtrAccess, Replica
from swarmtui.runbooks.image.archive import Room
from swarmtui.runbooks.render import script
from swarmtui.runbooks.runbook import Danger, Plan
from swarmtui.runbooks.swarm.backups.backup_facts import Leftover
from swarmtui.runbooks.swarm.backups.here import Here
from tests.dtr.archives import UCP
from tests.dtr.oracle import VERSIONS, check, read, runs_in
from tests.dtr.plans import line_of, replica, steps_of, work
from tests.dtr.seen import ONE, THREE, TWO

ALL = tuple(replica(number) for number in (1, 2, 3))
ILL = {THREE: "DTR says: it is too old"}


def known(*replicas: Replica, version: str = "2.4.1", **more: Any) -> DtrAccess:
    found = replicas or ALL
    ids = tuple(one.id for one in found)
    given = {"external": "https://dtr.example.com", "versions": {version: ids}} | more
    return DtrAccess(cluster="prod", cluster_id=UCP, version=version, replicas=found, **given)


def facts(version: str = "2.4.1", **more: Any) -> DtrBackupFacts:
    given: dict[str, Any] = {
        "known": known(version=version),
        "replica": ALL[0],
        "because": "healthy",
        "ill": {},
        "before": ONE,
        "work": work(version),
        "node_id": "m1",
        "busy": "",
        "image": True,
        "room": Room(free=1 << 30),
        "here": Here(folder="/backups", free=1 << 30, encryption="recipients"),
        "images": Images("nfs", "nfs://10.0.0.9/images"),
        "repositories": ("admin/app", "admin/base"),
        "unasked": "",
        "managers": ("m1",),
    } | more
    return DtrBackupFacts(**given)


def planned(found: DtrBackupFacts, *, offline: bool = False) -> Plan:
    return DtrBackup().plan({"offline": offline, "insecure-tls": False}, msgspec.to_builtins(found))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_command_is_that_of_the_running_version(version: str) -> None:
    plan = planned(facts(version))
    (run,) = runs_in(script(plan))
    check(run)
    assert (run.version, run.command, run["--existing-replica-id"]) == (version, "backup", ONE)
    assert run.named == ["UCP_PASSWORD", "UCP_CA"]
    line = line_of(plan, "archive")
    assert "umask 077 && " in line and line.endswith("/archive.tar")
    assert plan.danger is Danger.SAFE
    assert steps_of(plan) == ["archive", "fetch", "clear", "verify"]


def test_offline_is_offered_where_it_is_documented() -> None:
    for version in VERSIONS:
        if version.startswith("2.4."):
            with pytest.raises(RefusedError, match=r"has no --offline-backup: it came with DTR 2\.5"):
                planned(facts(version), offline=True)
            continue
        plan = planned(facts(version), offline=True)
        (run,) = runs_in(script(plan))
        check(run)
        assert ("--offline-backup", "") in run.flags
        assert plan.danger is Danger.DISRUPTIVE
        assert steps_of(plan) == ["archive", "back", "fetch", "clear", "verify"]
        start, wait = next(step for step in plan.steps if step.id == "back").shown
        assert start.line.endswith(f"docker start dtr-rethinkdb-{ONE}") and "/_ping" in wait.line
        assert plan.rules == ()
        assert any("offline=true" in warning for warning in planned(facts(version)).warnings)


def test_offline_that_takes_the_quorum_is_asked_for_by_name() -> None:
    alone = facts("2.7.8", known=known(ALL[0], version="2.7.8"))
    assert [str(rule) for rule in planned(alone, offline=True).rules] == [f"dtr-quorum={ONE}"]
    assert planned(alone).rules == ()
    sick = facts("2.7.8", ill=ILL)
    (rule,) = planned(sick, offline=True).rules
    assert "only 1 of 3 replicas are left, and 2 are needed" in rule.what


def test_what_is_not_in_it_is_said() -> None:
    plan = planned(facts())
    told = " ".join(plan.notes)
    assert "Images, users and teams are in no backup of DTR" in told
    assert "The images are on NFS at nfs://10.0.0.9/images: they need a backup of their own." in told
    assert "Only DTR 2.4.1 restores it" in told
    assert "DTR has 2 repositories now" in told
    local = planned(facts(images=Images("local")))
    assert f"The images are in the volume dtr-registry-{ONE} of its node" in " ".join(local.notes)
    assert "MSR 2.9.4" in planned(facts("2.9.4")).title


@pytest.mark.parametrize(("version", "leaks"), [("2.4.1", True), ("2.4.14", False), ("2.7.8", False)])
def test_the_leak_of_old_versions_is_warned_of(version: str, leaks: bool) -> None:
    told = " ".join(planned(facts(version)).warnings)
    assert ("writes credentials to the log driver" in told) is leaks


def test_what_else_is_warned_of() -> None:
    plan = planned(
        facts(
            before=TWO,
            ill=ILL,
            repositories=None,
            unasked="nobody answers",
            here=Here(folder="/backups", drafts=("/backups/x is an unfinished backup.",)),
            known=known(versions={"2.4.1": (ONE, TWO), "2.4.0": (THREE,)}),
            image=False,
        )
    )
    told = " ".join(plan.warnings)
    for words in (
        f"another replica, {TWO}",
        "nobody answers",
        "NOT encrypted",
        "different versions: 2.4.0, 2.4.1",
        "an unfinished backup. It is removed first.",
        "can read UCP_PASSWORD with docker inspect",
    ):
        assert words in told
    assert ("warn", f"Not {THREE} on w3: {ILL[THREE]}.") in plan.changes
    assert steps_of(plan)[:3] == ["tidy", "image", "archive"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"busy": "docker/dtr:2.4.1, Up 2 minutes"}, "Another backup of DTR runs on m1"),
        ({"room": Room(free=1 << 20)}, "1 MB free in /var/lib of m1"),
        ({"here": Here(folder="/backups", free=1 << 20)}, "1 MB free in /backups"),
        ({"here": Here(folder="/backups", trouble="/ is read-only.")}, "cannot be kept in /backups: / is read-only"),
        (
            {"room": Room(leftovers=(Leftover(id="job-1", state=JobState(there=True, alive=True)),))},
            "Another job of ours runs on m1",
        ),
    ],
    ids=["busy", "disk-there", "disk-here", "folder", "job"],
)
def test_what_stands_in_the_way(more: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        planned(facts(**more))


def test_the_operator_decides_on_an_unverified_ucp() -> None:
    plan = planned(facts(work=work(insecure=True)))
    assert [str(rule) for rule in plan.rules] == ["ucp-not-verified=UCP"]
    run = read(work(insecure=True).command("backup", ("existing-replica-id", ONE)).line)
    assert ("--ucp-insecure-tls", "") in run.flags
    assert run.named == ["UCP_PASSWORD"]


def test_it_is_taken_from_the_same_replica_while_that_is_healthy() -> None:
    assert choose(known(), {}, "", TWO)[0].id == TWO
    assert choose(known(), {}, "", "")[0].id == ONE
    other, why = choose(known(), {TWO: "it is ill"}, "", TWO)
    assert (other.id, "taken from it too" in why) == (ONE, True)
    assert choose(known(), {}, "w3", TWO)[0].id == THREE
    with pytest.raises(RefusedError, match=f"{THREE} on w3 is not healthy: it is ill"):
        choose(known(), {THREE: "it is ill"}, THREE, "")
    with pytest.raises(UsageError, match="is no replica of prod"):
        choose(known(), {}, "w9", "")
    with pytest.raises(RefusedError, match="healthy on no replica"):
        choose(known(), dict.fromkeys((ONE, TWO, THREE), "down"), "", "")


def test_a_confirmation_is_for_what_was_shown() -> None:
    first = planned(facts()).binding
    for more in ({"replica": ALL[1]}, {"ill": ILL}, {"here": Here(folder="/backups")}, {"work": work(insecure=True)}):
        assert planned(facts(**more)).binding != first
    assert planned(facts(room=Room(free=1 << 31))).binding == first
