"""The plans of the runbooks on nodes: which steps in which order, and what is said (procedures.md N1, N2, N5, N7)."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from swarmtui.config import ClusterConfig
from swarmtui.errors import RefusedError
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.node_waits import WaitReplaced
from swarmtui.runbooks.runbook import Danger, Plan
from tests import builders as b
from tests.runbooks.support import Completed, Host, commands, fake, plan, session


def managers(count: int = 3, **options: Any) -> list[b.Json]:
    return [
        b.node(f"mgr{i}", manager="leader" if i == 1 else "reachable", addr=f"10.0.0.{i}", **options)
        for i in range(1, count + 1)
    ]


WORKER = b.node("wrk1", addr="10.0.1.1")


def kinds(made: Plan) -> list[str]:
    return [type(step).__name__ for step in made.steps]


# -- N1 --------------------------------------------------------------------------------------------------------------


async def test_a_drain_empties_the_node_and_waits_for_the_replacements() -> None:
    api, other = b.service("api", replicas=2), b.node("wrk2")
    now = b.snapshot([*managers(), WORKER, other], [api], [b.task(api, WORKER, 1), b.task(api, other, 2)])
    made = await plan("node.drain", now, node="wrk1", wait="60")
    assert kinds(made) == ["UpdateNode", "WaitEmpty", "WaitReplaced"]
    assert commands(made) == ["docker node update --availability drain wrk1"]
    assert made.impact is not None and made.impact.moving == 1
    (waits,) = [step for step in made.steps if isinstance(step, WaitReplaced)]
    assert (dict(waits.running), waits.seconds) == ({"api": 2}, 60)
    assert (made.danger, made.typed, made.touches) == (Danger.DISRUPTIVE, "", ("wrk1",))


async def test_nobody_waits_for_replacements_that_cannot_come() -> None:
    pinned, half = b.service("db", constraints=["node.hostname==wrk1"]), b.service("api", replicas=2, max_replicas=1)
    other, agent = b.node("wrk2"), b.service("agent", mode="global")
    tasks = [b.task(pinned, WORKER), b.task(half, WORKER, 1), b.task(half, other, 2), b.task(agent, WORKER)]
    now = b.snapshot([*managers(availability="drain"), WORKER, other], [pinned, half, agent], tasks)
    made = await plan("node.drain", now, node="wrk1")
    assert kinds(made) == ["UpdateNode", "WaitEmpty"]
    assert made.impact is not None and (made.impact.stuck, made.impact.leaving) == (2, 1)


async def test_a_job_that_may_end_before_it_is_replaced_is_not_waited_for() -> None:
    api, batch = b.service("api"), b.service("batch", mode="job")
    now = b.snapshot([*managers(), WORKER], [api, batch], [b.task(api, WORKER), b.task(batch, WORKER)])
    made = await plan("node.drain", now, node="wrk1")
    (waits,) = [step for step in made.steps if isinstance(step, WaitReplaced)]
    assert waits.running.keys() == {"api"}


async def test_a_node_that_is_down_has_nothing_left_to_empty() -> None:
    made = await plan("node.drain", [*managers(), b.node("dead", state="down")], node="dead")
    assert kinds(made) == ["UpdateNode"]
    assert any("down" in note for note in made.notes)


async def test_a_node_whose_state_is_unknown_may_still_run_its_tasks() -> None:
    """After every election all nodes are "unknown" for some seconds, with their tasks running (swarm-dr.md §2)."""
    unsure, api = b.node("wrk1", state="unknown"), b.service("api")
    made = await plan("node.drain", b.snapshot([*managers(), unsure], [api], [b.task(api, unsure)]), node="wrk1")
    assert "WaitEmpty" in kinds(made)
    assert not any("replaced already" in note for note in made.notes)


@pytest.mark.parametrize(
    ("name", "availability"), [("node.drain", "drain"), ("node.pause", "pause"), ("node.activate", "active")]
)
async def test_what_is_so_already_leaves_nothing_to_do(name: str, availability: str) -> None:
    made = await plan(name, [*managers(), b.node("wrk1", availability=availability)], node="wrk1")
    assert (made.steps, made.impact) == ((), None)
    assert made.nothing.startswith("Nothing to do: wrk1 already is ")


@pytest.mark.parametrize(("name", "availability"), [("node.pause", "pause"), ("node.activate", "active")])
async def test_pause_and_activate_are_one_safe_step(name: str, availability: str) -> None:
    before = "drain" if availability == "active" else "active"
    made = await plan(name, [*managers(), b.node("wrk1", availability=before)], node="wrk1")
    assert commands(made) == [f"docker node update --availability {availability} wrk1"]
    assert (kinds(made), made.danger) == (["UpdateNode"], Danger.SAFE)


async def test_containers_outside_the_swarm_are_named_as_staying() -> None:
    opened = session(b.snapshot([*managers(), WORKER]))
    fake(opened).hosts[WORKER["ID"]] = Host({"docker ps": Completed(out="registry \napi.1.x 9f2a\nold-db \n")})
    runbook = registry.runbook("node.drain")
    made = await runbook.prepare(opened, params.parse("node.drain", runbook.params, {"node": "wrk1"}))
    said = " ".join(made.notes)
    assert "registry" in said and "old-db" in said and "api.1.x" not in said


async def test_under_ucp_draining_a_manager_breaks_a_rule() -> None:
    agent = b.service("ucp-agent", mode="global")
    now = b.snapshot([*managers(), WORKER], [agent])
    assert [str(r) for r in (await plan("node.drain", now, node="mgr2")).rules] == ["ucp-drain=mgr2"]
    assert (await plan("node.drain", now, node="wrk1")).rules == ()


async def test_several_nodes_come_one_after_the_other() -> None:
    made = await plan("node.drain", [*managers(), WORKER, b.node("wrk2")], node="wrk2,wrk1,wrk2")
    assert made.touches == ("wrk2", "wrk1")
    assert [step.id.partition("-")[0] for step in made.steps] == ["drain", "empty", "drain", "empty"]
    assert len({step.id for step in made.steps}) == len(made.steps)


# -- N2 --------------------------------------------------------------------------------------------------------------


async def test_each_promoted_node_is_waited_for_before_the_next() -> None:
    made = await plan("node.promote", [*managers(1), WORKER, b.node("wrk2")], node="wrk1,wrk2")
    assert kinds(made) == ["UpdateNode", "WaitReachable"] * 2
    assert commands(made) == ["docker node promote wrk1", "docker node promote wrk2"]


@pytest.mark.parametrize("state", ["down", "unknown", "disconnected"])
async def test_a_node_that_is_not_ready_is_not_promoted(state: str) -> None:
    with pytest.raises(RefusedError, match="wrk1"):
        await plan("node.promote", [*managers(), b.node("wrk1", state=state)], node="wrk1")


async def test_a_node_that_is_just_joining_the_raft_is_only_waited_for() -> None:
    made = await plan("node.promote", [*managers(), b.node("wrk1", role="manager")], node="wrk1")
    assert kinds(made) == ["WaitReachable"]


async def test_a_node_that_has_not_left_the_raft_yet_is_no_additional_voter() -> None:
    """Its Spec says worker, its ManagerStatus is still there: promoted back, there are as many voters as before."""
    leaving = b.node("mgr9", manager="reachable", role="worker")
    made = await plan("node.promote", [*managers(2), leaving], node="mgr9")
    assert commands(made) == ["docker node promote mgr9"]
    assert made.quorum is None or made.quorum.after.voters == 3
    assert not any("even" in warning for warning in made.warnings)


async def test_a_demotion_waits_until_the_node_has_left_the_raft() -> None:
    made = await plan("node.demote", managers(5), node="mgr2")
    assert kinds(made) == ["UpdateNode", "WaitLeftRaft"]
    assert commands(made) == ["docker node demote mgr2"]


async def test_a_demotion_that_hangs_is_only_waited_for() -> None:
    leaving = b.node("mgr9", manager="unreachable", role="worker", state="down")
    made = await plan("node.demote", [*managers(4), leaving], node="mgr9")
    assert kinds(made) == ["WaitLeftRaft"]
    assert made.quorum is not None and made.quorum.after.voters == 4


async def test_demoting_what_never_came_into_the_raft_is_refused_with_the_way_out() -> None:
    """The engine answers "can't find manager in raft memberlist"; only `node rm` helps (swarm-dr.md §4)."""
    with pytest.raises(RefusedError, match=r"[Rr]emove"):
        await plan("node.demote", [*managers(), b.node("left", role="manager", state="down")], node="left")


async def test_a_worker_is_no_manager_to_demote() -> None:
    made = await plan("node.demote", [*managers(), WORKER], node="wrk1")
    assert made.nothing == "Nothing to do: wrk1 already is a worker."


async def test_our_own_connection_moves_away_first() -> None:
    made = await plan("node.demote", managers(5), node="mgr2", through=b.object_id("node", "mgr2"))
    assert kinds(made) == ["MoveConnection", "UpdateNode", "WaitLeftRaft"]
    assert "MoveConnection" not in kinds(await plan("node.demote", managers(5), node="mgr3", through="another"))


@pytest.mark.parametrize("name", ["node.demote", "node.remove"])
async def test_the_connection_is_to_stay_clear_of_all_that_leave(name: str) -> None:
    """Both managers leave; the connection runs through the first, and must not go on through the second."""
    made = await plan(name, managers(5), node="mgr2,mgr3", through=b.object_id("node", "mgr2"))
    assert set(made.leaving) == {b.object_id("node", "mgr2"), b.object_id("node", "mgr3")}
    assert (await plan("node.drain", managers(5), node="mgr2")).leaving == ()


# -- N5 --------------------------------------------------------------------------------------------------------------


async def test_a_living_worker_is_drained_and_leaves_before_it_is_removed() -> None:
    api = b.service("api")
    now = b.snapshot([*managers(), WORKER], [api], [b.task(api, WORKER)])
    made = await plan("node.remove", now, node="wrk1")
    assert kinds(made) == ["UpdateNode", "WaitEmpty", "WaitReplaced", "LeaveSwarm", "WaitDown", "RemoveNode"]
    assert commands(made) == [
        "docker node update --availability drain wrk1",
        "docker swarm leave",
        "docker node rm wrk1",
    ]
    (leave,) = [shown for step in made.steps for shown in step.shown if shown.host]
    assert shlex.split(leave.as_sh)[-2:] == ["root@10.0.1.1", "docker swarm leave"]
    assert (made.danger, made.typed) == (Danger.DESTRUCTIVE, "wrk1")


async def test_a_living_manager_is_demoted_first() -> None:
    made = await plan("node.remove", managers(5), node="mgr4")
    assert commands(made) == [
        "docker node demote mgr4",
        "docker node update --availability drain mgr4",
        "docker swarm leave",
        "docker node rm mgr4",
    ]
    assert kinds(made)[:2] == ["UpdateNode", "WaitLeftRaft"]


async def test_a_dead_worker_is_just_removed() -> None:
    made = await plan("node.remove", [*managers(), b.node("dead", state="down")], node="dead")
    assert commands(made) == ["docker node rm dead"] and kinds(made) == ["RemoveNode"]


async def test_a_dead_manager_is_demoted_and_removed() -> None:
    dead = b.node("dead", manager="unreachable", state="down")
    made = await plan("node.remove", [*managers(4), dead], node="dead")
    assert commands(made) == ["docker node demote dead", "docker node rm dead"]


async def test_what_a_forced_cluster_left_behind_is_removed_without_a_demotion() -> None:
    """Spec manager, no ManagerStatus: no member to demote, but plain `node rm` works at once (swarm-dr.md §4)."""
    made = await plan("node.remove", [*managers(), b.node("left", role="manager", state="down")], node="left")
    assert commands(made) == ["docker node rm left"]


async def test_forcing_a_living_node_out_breaks_a_rule() -> None:
    made = await plan("node.remove", [*managers(), WORKER], node="wrk1", force="true")
    assert [str(rule) for rule in made.rules] == ["force-remove=wrk1"]
    assert commands(made) == ["docker node rm --force wrk1"]
    dead = await plan("node.remove", [*managers(), b.node("dead", state="down")], node="dead", force="yes")
    assert (dead.rules, dead.typed) == ((), "dead")


async def test_host_commands_use_sudo_where_the_configuration_says_so() -> None:
    opened = session(b.snapshot([*managers(), WORKER]), cluster=ClusterConfig(sudo=True))
    runbook = registry.runbook("node.remove")
    made = await runbook.prepare(opened, params.parse("node.remove", runbook.params, {"node": "wrk1"}))
    assert "sudo -n docker swarm leave" in commands(made)


# -- N7 --------------------------------------------------------------------------------------------------------------


async def test_labels_are_added_changed_and_removed_in_one_command() -> None:
    labelled = b.node("wrk1", labels={"zone": "a", "old": "x", "keep": "k"})
    made = await plan("node.label", [*managers(), labelled], node="wrk1", label="zone=b,old-,new=n,absent-")
    assert commands(made) == ["docker node update --label-rm old --label-add new=n --label-add zone=b wrk1"]
    assert [shown.line for step in made.steps for shown in step.undo] == [
        "docker node update --label-rm new --label-add old=x --label-add zone=a wrk1"
    ]


async def test_labels_that_are_there_already_leave_nothing_to_do() -> None:
    made = await plan("node.label", [*managers(), b.node("wrk1", labels={"a": ""})], node="wrk1", label="a=,b-")
    assert made.nothing == "Nothing to do: wrk1 already has these labels."


async def test_a_label_that_evicts_tells_and_waits() -> None:
    ssd, spare = b.node("wrk1", labels={"disk": "ssd"}), b.node("wrk2", labels={"disk": "ssd"})
    db = b.service("db", constraints=["node.labels.disk==ssd"])
    made = await plan(
        "node.label", b.snapshot([*managers(), ssd, spare], [db], [b.task(db, ssd)]), node="wrk1", label="disk-"
    )
    assert kinds(made) == ["UpdateNode", "WaitReplaced"]
    assert made.impact is not None and made.impact.blinking == ("db",)


# -- all of them -----------------------------------------------------------------------------------------------------


GIVEN = {
    "node.drain": {},
    "node.pause": {},
    "node.promote": {"node": "wrk1"},
    "node.demote": {},
    "node.remove": {},
    "node.label": {"label": "zone=b,gone-"},
    "node.activate": {"node": "resting"},
}


def busy_cluster() -> Any:
    api, db = b.service("api", replicas=2), b.service("db", mounts=[{"Type": "volume", "Source": "pg"}])
    nodes = managers(5, labels={"zone": "a"})
    tasks = [b.task(api, nodes[1], 1), b.task(api, WORKER, 2), b.task(db, nodes[1])]
    return b.snapshot([*nodes, WORKER, b.node("resting", availability="pause")], [api, db], tasks)


@pytest.mark.parametrize("name", GIVEN)
async def test_a_plan_made_again_from_the_journal_is_the_same(name: str) -> None:
    """A resume has parameters and facts as JSON gave them back; tuples have become lists."""
    made = await plan(name, busy_cluster(), **{"node": "mgr2", **GIVEN[name]})
    assert made.steps
    given, facts = json.loads(json.dumps([dict(made.params), made.facts]))
    again = registry.runbook(name).plan(given, facts)
    assert (again.steps, again.binding, again.rules, again.warnings) == (
        made.steps,
        made.binding,
        made.rules,
        made.warnings,
    )


@pytest.mark.parametrize("name", GIVEN)
async def test_a_confirmation_holds_while_only_versions_and_placements_change(name: str) -> None:
    now = busy_cluster()
    given = {"node": "mgr2", **GIVEN[name]}
    before = await plan(name, now, **given)
    nodes = managers(5, labels={"zone": "a"}, version=999)
    api, db = b.service("api", replicas=2), b.service("db", mounts=[{"Type": "volume", "Source": "pg"}])
    tasks = [b.task(api, nodes[1], 1), b.task(api, nodes[4], 2), b.task(db, nodes[1])]
    later = b.snapshot([*nodes, WORKER, b.node("resting", availability="pause")], [api, db], tasks)
    assert (await plan(name, later, **given)).binding == before.binding


async def binding(name: str, *, mgr2: dict[str, Any] | None = None, mgr5: str = "reachable", db: bool = False) -> str:
    nodes = [b.node("mgr1", manager="leader"), b.node("mgr2", manager="reachable", **(mgr2 or {}))]
    nodes += [b.node("mgr3", manager="reachable"), b.node("mgr4", manager="reachable"), b.node("mgr5", manager=mgr5)]
    of = b.service("db", constraints=["node.hostname==mgr2"])
    now = b.snapshot(nodes, [of], [b.task(of, nodes[1])] if db else [])
    return (await plan(name, now, node="mgr2", **GIVEN[name])).binding


@pytest.mark.parametrize("name", ["node.drain", "node.pause", "node.demote", "node.remove", "node.label"])
async def test_a_confirmation_falls_when_the_node_or_the_quorum_changes(name: str) -> None:
    before = await binding(name)
    assert before == await binding(name)
    assert before != await binding(name, mgr2={"labels": {"x": "y"}})
    assert before != await binding(name, mgr5="unreachable")  # reachability changes without a new version
    assert before != await binding(name, mgr2={"id": "another"})  # another node of the same name


@pytest.mark.parametrize("name", ["node.drain", "node.remove"])
async def test_a_confirmation_falls_when_a_service_would_now_be_lost(name: str) -> None:
    assert await binding(name) != await binding(name, db=True)
