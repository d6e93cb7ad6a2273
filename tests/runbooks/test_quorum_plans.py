"""The plan that forces a new cluster, and what is made of an inventory and of tasks: without a host or a Docker."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from swarmtui.errors import RefusedError
from swarmtui.model.inventory import Inventory, Item, NodeItem, ServiceItem
from swarmtui.model.services import Replicated, Service, ServiceMode, ServiceSpec, Task, TaskStatus
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node, NodeStatus
from swarmtui.runbooks import registry, render
from swarmtui.runbooks.runbook import Danger, Plan, Rule
from swarmtui.runbooks.swarm.recovery.after_force import missing
from swarmtui.runbooks.swarm.recovery.fence_steps import Fence
from swarmtui.runbooks.swarm.recovery.force_steps import Force
from swarmtui.runbooks.swarm.recovery.forced_checks import live_replicas, without_place
from swarmtui.runbooks.swarm.recovery.quorum_facts import Addresses, Old, QuorumFacts, Survivor, facts_of
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where

JOB = "20261121T200301Z-3f9a0b1c"
CLUSTER = "gcf6i02gy7c0xfddvj55hfoqh"


def at(name: str, *, sudo: bool = False) -> Where:
    return Where(name, f"ssh://root@{name}", f"root@{name}", sudo=sudo)


def node(number: int) -> NodeItem:
    return NodeItem(id=f"{number}" * 25, name=f"m{number}", role="manager", availability="active")


def old(number: int, **known: Any) -> Old:
    return Old(was=node(number), addresses=Addresses(f"10.0.0.{number}:2377"), **known)


SURVIVOR = Survivor(id="1" * 25, name="m1", at=at("m1"), addresses=Addresses("10.0.0.1:2377", "0.0.0.0:2377"), index=90)
FACTS = QuorumFacts(
    cluster="shop",
    cluster_id=CLUSTER,
    job=JOB,
    situation="The quorum is lost.",
    held=False,
    survivor=SURVIVOR,
    others=(
        old(2, at=at("m2"), reached=True, index=80),
        old(3, dead=True),
        old(4, dead=True),
        old(5, at=at("m5"), dead=True),
    ),
    inventory=Inventory(cluster_id=CLUSTER, nodes=tuple(node(n) for n in range(1, 6))),
)
LOCKED = replace(
    FACTS,
    inventory=replace(FACTS.inventory, autolock=True),
    survivor=replace(SURVIVOR, direct=False, opened_by="5c3d67a2"),
    custody={"durable": True, "words": "", "next_step": ""},
)


def plan(facts: QuorumFacts, **given: Any) -> Plan:
    runbook = registry.runbook("swarm.recover-quorum")
    # As a resume makes it: from what the journal gives back.
    return runbook.plan({"wait": 120, **given}, json.loads(json.dumps(facts_of(facts))))


def ids(made: Plan) -> list[str]:
    return [step.id for step in made.steps]


def test_all_other_managers_are_fenced_or_dead_before_the_force_and_join_one_by_one_after_it() -> None:
    made = plan(FACTS)
    two = "2" * 25
    assert ids(made) == [
        *("last-look", f"fence-{two}", "force", "compare"),
        *(f"remove-{'3' * 25}", f"remove-{'4' * 25}", f"remove-{'5' * 25}", f"remove-{two}"),
        *(f"start-{two}", f"join-{two}", "one-leader", "replicas", "backup", "clear"),
    ]
    assert made.rules == () and made.danger is Danger.DESTRUCTIVE and made.typed == "m1"
    assert any("3 managers fewer than before" in warning for warning in made.warnings)


def test_workers_take_the_places_of_dead_managers_one_by_one() -> None:
    worker = NodeItem(id="w" * 25, name="wrk1", role="worker", availability="active", labels={"zone": "a"})
    facts = replace(FACTS, inventory=replace(FACTS.inventory, nodes=(*FACTS.inventory.nodes, worker)))
    made = plan(facts, promote=["wrk1"])
    assert ids(made)[-6:-4] == [f"promote-{worker.id}", f"reachable-{worker.id}"]
    promote = next(step for step in made.steps if step.id.startswith("promote-"))
    assert [(shown.line, shown.host) for shown in promote.shown] == [(f"docker node promote {worker.id}", "root@m1")]
    assert any("2 managers fewer than before" in warning for warning in made.warnings)
    with pytest.raises(RefusedError, match='"m3" is no worker'):
        plan(facts, promote=["m3"])


def test_the_same_plan_is_made_from_the_journal() -> None:
    once = plan(FACTS)
    assert once.steps == plan(msgspec.convert(once.facts, QuorumFacts)).steps


def test_with_autolock_docker_is_stopped_and_the_key_file_unlocked_here_before_the_force() -> None:
    made = plan(LOCKED)
    assert ids(made)[2:6] == ["stop", "state-aside", "unlock-key-file", "force"]
    force = next(step for step in made.steps if isinstance(step, Force))
    assert "--autolock" in force.shown[-1].line
    assert "keep-key" in ids(made) and ids(made).index("keep-key") < ids(made).index("rotate-key")
    assert "keep-key" not in ids(plan(replace(LOCKED, kept=True)))


def test_a_key_goes_from_the_survivor_into_the_vault_here_by_a_pipe() -> None:
    keep = next(step for step in plan(LOCKED).steps if step.id == "keep-key")
    assert [shown.as_sh for shown in keep.shown] == [
        f"ssh -n -- root@m1 'docker swarm unlock-key -q' | swarmtui secrets set unlock-key {CLUSTER}"
    ]


def test_without_a_place_for_a_new_key_the_old_one_stays_and_that_is_said() -> None:
    made = plan(replace(LOCKED, custody={"durable": False, "words": "No keyring.", "next_step": ""}))
    assert "rotate-key" not in ids(made) and not made.rules
    assert any("The unlock key stays as it is" in warning for warning in made.warnings)


def test_one_that_is_neither_reached_nor_declared_dead_breaks_a_rule_and_keeps_its_entry() -> None:
    made = plan(replace(FACTS, others=(*FACTS.others[:3], old(5, why="It does not answer."))))
    (rule,) = made.rules
    assert str(rule) == "not-fenced=m5" and "dead=m5" in rule.what
    assert f"remove-{'5' * 25}" not in ids(made)


def test_a_survivor_whose_log_is_behind_breaks_a_rule() -> None:
    others = (replace(FACTS.others[0], index=91), *FACTS.others[1:])
    (rule,) = plan(replace(FACTS, others=others)).rules
    assert str(rule) == "older-log=m1" and "survivor=m2" in rule.what


def test_a_latch_of_another_recovery_breaks_a_rule() -> None:
    (rule,) = plan(replace(FACTS, survivor=replace(SURVIVOR, latches=("swarm.forced-x",)))).rules
    assert str(rule) == "forced-before=m1"


def test_gentler_ways_stay_rules_of_the_plan() -> None:
    gentler = Rule("gentler", "m3", "Start Docker there.")
    assert plan(replace(FACTS, rules=(gentler,))).rules == (gentler,)


def test_a_quorum_that_holds_is_not_looked_for_again() -> None:
    assert "last-look" not in ids(plan(replace(FACTS, held=True)))


@pytest.mark.parametrize("facts", [FACTS, LOCKED])
def test_the_plan_as_a_script_names_every_host_and_no_secret(facts: QuorumFacts) -> None:
    made = plan(facts)
    text = render.script(made)
    assert "docker swarm init --force-new-cluster --advertise-addr 10.0.0.1:2377" in text
    assert "SWMKEY" not in text and "SWMTKN" not in text
    assert all(made.if_stopped_before(step) for step in made.steps), "where one may stop it is said what is so then"


def test_undoing_a_fence_moves_what_is_there_out_of_the_way_first() -> None:
    fence = Fence(id="f", title="", why="", node_id="2" * 25, name="m2", at=at("m2", sudo=True), job=JOB)
    lines = [shown.line for shown in fence.undo]
    assert lines[0] == "sudo -n systemctl stop docker.socket docker.service"
    assert lines[1].endswith(f"mv /var/lib/docker/swarm /var/lib/docker/swarm.empty-{JOB}")
    assert lines[2] == f"sudo -n mv /var/lib/docker/swarm.fenced-{JOB} /var/lib/docker/swarm"


# -- what was there, and what is -----------------------------------------------------------------------------------

HAD = Inventory(
    cluster_id=CLUSTER,
    services=(ServiceItem(id="s1", name="web", version=9),),
    secrets=(Item(id="x1", name="password"),),
)


def test_nothing_is_missing_where_things_are_new_or_newer() -> None:
    now = replace(HAD, services=(ServiceItem(id="s1", name="web", version=12), ServiceItem(id="s2", name="api")))
    assert missing(HAD, now) == []


def test_another_cluster_a_lost_object_and_a_lost_lock_are_missing() -> None:
    assert "another Swarm" in missing(HAD, replace(HAD, cluster_id="0" * 25))[0]
    assert missing(HAD, replace(HAD, secrets=())) == ["secret password is gone"]
    assert missing(replace(HAD, autolock=True), HAD) == ["autolock: on → off"]


def test_only_tasks_that_run_on_ready_nodes_count() -> None:
    def task(number: int, node_id: str, state: str = "running", desired: str = "running", err: str = "") -> Task:
        status = TaskStatus(state=state, err=err)
        return Task(id=f"t{number}", service_id="s1", node_id=node_id, status=status, desired_state=desired)

    service = Service(id="s1", spec=ServiceSpec(name="web", mode=ServiceMode(replicated=Replicated(replicas=5))))
    nodes = {
        "n1": Node(id="n1", status=NodeStatus(state="ready")),
        "n2": Node(id="n2", status=NodeStatus(state="down")),
    }
    tasks = [
        task(1, "n1"),
        task(2, "n2"),
        task(3, "n1", state="starting"),
        task(4, "n1", desired="shutdown"),
        task(5, "", state="pending", err="no suitable node (max replicas per node limit exceed)"),
    ]
    snapshot = Snapshot(nodes=nodes, services={"s1": service}, tasks={task.id: task for task in tasks})
    assert live_replicas(snapshot) == {"web": (1, 5)}
    assert without_place(snapshot) == {"web": 1}
