"""Plans of swarm.restore: what is refused, what must be accepted by name, and in which order things are done. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from swarmtui.errors import RefusedError
from swarmtui.model.inventory import Inventory, NodeItem
from swarmtui.model.swarm import SwarmInfo
from swarmtui.runbooks import params
from swarmtui.runbooks.runbook import Danger, Plan
from swarmtui.runbooks.swarm.recovery.restore import Restore
from swarmtui.runbooks.swarm.recovery.restore_bridge import AddressFacts
from swarmtui.runbooks.swarm.recovery.restore_facts import OldManager, RestoreFacts, TargetHost
from swarmtui.runbooks.swarm.recovery.restore_inside import BackupSeen
from swarmtui.runbooks.swarm.recovery.restore_rules import older, short
from swarmtui.runbooks.swarm.recovery.restore_workers import WorkerAt
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import HostSeen, Where

CLUSTER = "c" * 25
IDS = {name: name.ljust(25, "x") for name in ("mgr1", "mgr2", "mgr3", "wrk1", "wrk2")}
ADDRESSES = {"mgr1": "10.0.0.1", "mgr2": "10.0.0.2", "mgr3": "10.0.0.3", "wrk1": "10.0.0.11", "wrk2": "10.0.0.12"}


def at(name: str, address: str = "") -> Where:
    host = f"root@{address or ADDRESSES[name]}"
    return Where(name, f"ssh://{host}", host)


def seen(name: str, state: str = "inactive", **options: Any) -> HostSeen:
    usual: dict[str, Any] = {
        "at": at(name),
        "unit": "active",
        "addresses": (ADDRESSES[name],),
        "swarm": SwarmInfo(local_node_state=state),
        "version": "26.1.5",
    }
    return HostSeen(**usual | options)


def old(name: str, state: str = "inactive", **options: Any) -> OldManager:
    dead = options.pop("dead", False)
    elsewhere = options.pop("elsewhere", "")
    return OldManager(
        name=name,
        node_id=IDS[name],
        address=ADDRESSES[name],
        seen=seen(name, state, **options),
        dead=dead,
        elsewhere=elsewhere,
        in_backup=True,
    )


def node(name: str, **options: Any) -> NodeItem:
    role = "manager" if name.startswith("mgr") else "worker"
    return NodeItem(id=IDS[name], name=name, role=role, availability="active", address=ADDRESSES[name], **options)


BACKUP = BackupSeen(
    id="20261121T000000Z-mgr2",
    cluster_id=CLUSTER,
    cluster="prod",
    node="mgr2",
    node_id=IDS["mgr2"],
    raft="10.0.0.2:2377",
    members={IDS[name]: (name, ADDRESSES[name]) for name in ("mgr1", "mgr2", "mgr3")},
    age="5 h",
    engine="26.1.5",
    verdict="yes",
    tier=5,
    certificate="0" * 64,
    size=1 << 20,
    inventory=Inventory(cluster_id=CLUSTER, nodes=tuple(node(name) for name in IDS)),
)
FACTS = RestoreFacts(
    id="20261122T000000Z-00000000",
    backup=BACKUP,
    host=TargetHost(seen=seen("mgr2"), free=10 << 30),
    others=(old("mgr1"), old("mgr3")),
    address="10.0.0.2",
    workers=tuple(WorkerAt(node_id=IDS[name], name=name, at=at(name)) for name in ("wrk1", "wrk2")),
)
LOCKED = replace(
    FACTS,
    backup=replace(BACKUP, locked=True, opened_by="1234abcd"),
    custody={"durable": True, "words": "", "next_step": ""},
)


def plan_of(facts: RestoreFacts) -> Plan:
    """As it is made again from a journal: of plain values."""
    runbook = Restore()
    given = params.parse(runbook.name, runbook.params, {"host": "ssh://root@10.0.0.2"})
    plain = msgspec.to_builtins(facts)
    made = runbook.plan(given, plain)
    again = runbook.plan(given, msgspec.json.decode(msgspec.json.encode(plain)))
    assert (again.steps, again.rules, again.binding) == (made.steps, made.rules, made.binding)
    return made


def ids(plan: Plan) -> list[str]:
    names = {node_id: name for name, node_id in IDS.items()}
    return ["-".join(names.get(part, part) for part in step.id.split("-", 1)) for step in plan.steps]


def test_everything_in_its_order() -> None:
    plan = plan_of(FACTS)
    assert ids(plan) == [
        "aside",
        "unpack",
        "start",
        "force",
        "compare",
        "worker-wrk1",
        "worker-wrk2",
        "remove-mgr1",
        "remove-mgr3",
        "start-mgr1",
        "join-mgr1",
        "start-mgr3",
        "join-mgr3",
        "replicas",
        "one-leader",
        "backup",
        "clear",
    ]
    assert plan.rules == () and plan.danger is Danger.DESTRUCTIVE and plan.typed == "mgr2"
    for step in plan.steps:
        assert plan.if_stopped_before(step), step.id


def test_nothing_before_the_force_is_without_a_way_back() -> None:
    plan = plan_of(replace(FACTS, others=(old("mgr1", "error"), old("mgr3"))))
    before = [step for step in plan.steps if step.id not in ("force",)][: ids(plan).index("force")]
    assert [step.id for step in before] == ["fence-mgr1", "aside", "unpack", "start"]
    assert all(step.undo and step.danger is not Danger.DESTRUCTIVE for step in before)


def test_the_old_directory_is_moved_and_only_drafts_of_our_own_are_removed() -> None:
    for step in plan_of(LOCKED).steps:
        for shown in step.shown:
            removed = [word for word in shown.line.split() if "/swarm" in word] if "rm -" in shown.line else []
            ours = (".unpacking-", ".between-", ".forc", ".key-", ".state-")
            assert all(any(sign in word for sign in ours) or "mv" in shown.line for word in removed), shown.line


def test_with_autolock_the_key_file_is_unlocked_here_and_the_key_rotated() -> None:
    plan = plan_of(LOCKED)
    force = next(step for step in plan.steps if step.id == "force")
    assert "--force-new-cluster --advertise-addr 10.0.0.2 --listen-addr 0.0.0.0:2377 --autolock" in force.shown[2].line
    unpack = next(step for step in plan.steps if step.id == "unpack")
    assert "1234abcd" in unpack.why
    feed = next(shown.feed for shown in unpack.shown if shown.feed is not None)
    assert feed.line == f"swarmtui backups unlock {BACKUP.id} --cluster {CLUSTER} --output -"
    assert ids(plan).index("rotate-key") < ids(plan).index("backup")
    assert "--autolock" not in next(step for step in plan_of(FACTS).steps if step.id == "force").shown[2].line


def test_autolock_is_kept_where_only_the_archive_is_unlocked() -> None:
    inside = replace(BACKUP.inventory, autolock=True)
    facts = replace(LOCKED, backup=replace(BACKUP, inventory=inside))
    plan = plan_of(facts)
    assert "--autolock" in next(step for step in plan.steps if step.id == "force").shown[2].line
    assert "rotate-key" in ids(plan)


def test_an_old_manager_that_nobody_gets_to_must_be_declared_dead() -> None:
    away = old("mgr3", trouble="It does not answer.")
    plan = plan_of(replace(FACTS, others=(old("mgr1"), away)))
    assert [str(rule) for rule in plan.rules] == ["not-fenced=mgr3"]
    assert "dead=mgr3" in plan.rules[0].what
    dead = plan_of(replace(FACTS, others=(old("mgr1"), replace(away, dead=True))))
    assert dead.rules == ()
    assert "remove-mgr3" in ids(dead) and "join-mgr3" not in ids(dead)
    (leader,) = (step for step in dead.steps if step.id == "one-leader")
    assert [where.name for where in leader.gone] == ["mgr3"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("state", ["active", "pending", "locked", "error"])
def test_an_old_manager_that_lives_is_fenced_before_anything_else(state: str) -> None:
    plan = plan_of(replace(FACTS, others=(old("mgr1", state), old("mgr3"))))
    assert ids(plan)[:2] == ["fence-mgr1", "aside"]
    assert "join-mgr1" in ids(plan)


def test_one_that_is_in_another_swarm_by_now_is_left_alone() -> None:
    plan = plan_of(replace(FACTS, others=(old("mgr1", "active", elsewhere="d" * 25), old("mgr3"))))
    assert "fence-mgr1" not in ids(plan) and "join-mgr1" not in ids(plan) and "remove-mgr1" in ids(plan)
    assert any("mgr1 is in another Swarm" in note for note in plan.notes)


def test_a_gentler_way_is_told_and_must_be_overridden_by_name() -> None:
    plan = plan_of(replace(FACTS, gentler=(("gentler", "quorum", "The quorum holds."),)))
    assert [str(rule) for rule in plan.rules] == ["gentler=quorum"]
    assert plan.typed == "quorum"


def test_a_backup_that_is_not_proved_must_be_accepted() -> None:
    unproved = replace(BACKUP, verdict="not proved", because="it was never verified", better="20261120T000000Z-mgr1")
    plan = plan_of(replace(FACTS, backup=unproved))
    (rule,) = plan.rules
    assert BACKUP.id == "20261121T000000Z-mgr2"
    assert str(rule) == "unproved=000000" and plan.typed == "000000", "what is typed is short"
    assert BACKUP.id in rule.what and short("swarm-of-may") == "swarm-of-may"
    assert "backup=20261120T000000Z-mgr1" in rule.what


def test_an_older_engine_must_be_accepted_and_a_newer_one_is_told() -> None:
    (rule,) = plan_of(replace(FACTS, host=TargetHost(seen=seen("mgr2", version="20.10.24")))).rules
    assert str(rule) == "older-engine=mgr2"
    newer = plan_of(replace(FACTS, backup=replace(BACKUP, engine="20.10.24")))
    assert newer.rules == () and any("26.1.5" in warning for warning in newer.warnings)


def test_what_a_person_must_know_of_the_backup() -> None:
    plan = plan_of(replace(FACTS, backup=replace(BACKUP, hot=True, newer="20261121T230000Z-mgr1")))
    assert any("while Docker ran" in warning for warning in plan.warnings)
    assert any("backup=20261121T230000Z-mgr1" in note for note in plan.notes)
    assert any("5 h old" in note and "2 workers" not in note and "5 nodes" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("one", "other", "is_older"),
    [("20.10.24", "26.1.5", True), ("20.10.9", "20.10.24", False), ("26.1.5", "20.10.24", False), ("", "1.2", False)],
)
def test_what_is_older(one: str, other: str, is_older: bool) -> None:
    assert older(one, other) is is_older


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backup": replace(BACKUP, hopeless=("It is locked, and no key is known.", "Give it."))}, "no key is known"),
        (
            {"host": TargetHost(seen=seen("mgr2"), trouble="It has no Docker installed.", advice="Install it.")},
            "no Docker",
        ),
        ({"host": TargetHost(seen=seen("mgr2"), has="d" * 25)}, "a node of another Swarm"),
        ({"host": TargetHost(seen=seen("mgr2"), free=1 << 20)}, "too little room"),
        ({"unknown": ("mgr9",)}, "mgr9"),
    ],
)
def test_what_cannot_be_done_is_refused_whoever_accepts_it(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        plan_of(replace(FACTS, **change))
    assert words in refused.value.what and refused.value.next_step


def test_a_key_must_not_be_lost_with_this_program() -> None:
    custody = {"durable": False, "words": "It would be lost.", "next_step": "Keep it."}
    (rule,) = plan_of(replace(LOCKED, custody=custody)).rules
    assert str(rule) == "key-without-custody=prod"


def test_workers_that_nobody_gets_to_are_not_waited_for_and_dead_ones_removed() -> None:
    away = WorkerAt(node_id=IDS["wrk2"], name="wrk2", at=at("wrk2"), trouble="It does not answer.")
    facts = replace(FACTS, workers=(FACTS.workers[0], away))
    plan = plan_of(facts)
    assert "worker-wrk2" not in ids(plan) and "remove-wrk2" not in ids(plan)
    assert any("wrk2" in note and "not waited for" in note for note in plan.notes)
    dead = plan_of(replace(facts, gone=(IDS["wrk2"],)))
    assert "remove-wrk2" in ids(dead) and not any("not waited for" in note for note in dead.notes)


def test_a_manager_gets_its_labels_and_its_availability_again() -> None:
    nodes = (node("mgr1", labels={"zone": "a"}), *BACKUP.inventory.nodes[1:])
    facts = replace(FACTS, backup=replace(BACKUP, inventory=replace(BACKUP.inventory, nodes=nodes)))
    names = ids(plan_of(facts))
    assert names[names.index("join-mgr1") + 1] == "labels-mgr1"


MOVED = replace(
    FACTS,
    host=TargetHost(seen=seen("mgr2", at=at("new", "10.0.0.9"), addresses=("10.0.0.9",)), free=10 << 30),
    others=(old("mgr1"), old("mgr2", trouble="Gone.", dead=True), old("mgr3")),
    address="10.0.0.9",
    bridge=AddressFacts(old="10.0.0.2:2377", new="10.0.0.9:2377", card="eth0", near=True, taken=False),
)


def test_a_new_address_is_mended_from_the_second_manager_before_the_third_joins() -> None:
    plan = plan_of(MOVED)
    names = ids(plan)
    force = next(step for step in plan.steps if step.id == "force")
    assert "--advertise-addr 10.0.0.9" in force.shown[2].line
    order = ["compare", "remove-mgr1", "start-mgr1", "old-address", "second-manager", "mend-down", "mend-up"]
    assert [name for name in names if name in order] == order
    assert names.index("mend-up") < names.index("worker-wrk1") < names.index("join-mgr3")
    assert "remove-mgr2" not in names, "that is the restored node's own entry"


def test_with_no_other_manager_a_worker_serves_for_the_mending() -> None:
    others = tuple(replace(one, dead=True, seen=replace(one.seen, trouble="Gone.")) for one in MOVED.others)
    names = ids(plan_of(replace(MOVED, others=others)))
    assert "second-manager" in names and not any(name.startswith("join-") for name in names)


def test_alone_at_a_new_address_it_is_said_what_that_means() -> None:
    others = tuple(replace(one, dead=True, seen=replace(one.seen, trouble="Gone.")) for one in MOVED.others)
    plan = plan_of(replace(MOVED, others=others, workers=()))
    assert "old-address" in ids(plan) and "mend-up" not in ids(plan)
    assert any("10.0.0.2" in warning for warning in plan.warnings)


def test_a_confirmation_is_bound_to_what_would_be_done_and_not_to_the_moment() -> None:
    plan = plan_of(FACTS)
    assert plan.binding == plan_of(replace(FACTS, id="20261122T000009Z-ffffffff")).binding
    assert plan.binding != plan_of(replace(FACTS, others=(old("mgr1", "error"), old("mgr3")))).binding
    assert plan.binding != plan_of(replace(FACTS, backup=replace(BACKUP, verdict="not proved"))).binding
