"""What a change makes of the tasks of a service. The expected figures are written by hand, from swarmkit's rules."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from swarmtui.model.rollout import Rollout, impact_of_rollouts, removal_of, rollout_of
from swarmtui.model.services import UpdateConfig
from swarmtui.runbooks.service_facts import spec_of
from tests import builders as b
from tests.runbooks.service_support import MANAGERS, WORKERS, spread

DRAINED = [b.node(f"mgr{i}", manager="reachable", availability="drain") for i in (1, 2, 3)]


def rollout(
    made: b.Json,
    tasks: list[b.Json],
    *,
    nodes: list[b.Json] | None = None,
    whole: bool = True,
    replicas: int | None = None,
    others: tuple[list[b.Json], list[b.Json]] = ([], []),
    update: b.Json | None = None,
    **template: Any,
) -> Rollout:
    """What a change of its template, or of its number of tasks, makes of a service."""
    after = copy.deepcopy(made["Spec"])
    after["TaskTemplate"].update(template)
    if update is not None:
        after["UpdateConfig"] = update
    if replicas is not None:
        after["Mode"]["Replicated"]["Replicas"] = replicas
    now = b.snapshot(nodes or [*DRAINED, *WORKERS], [made, *others[0]], [*tasks, *others[1]])
    return rollout_of(now, now.services[made["ID"]], spec_of(after), whole=whole)


def test_every_task_is_replaced_one_at_a_time_where_the_service_says_nothing() -> None:
    web = b.service("web", replicas=4)
    found = rollout(web, spread(web, 4))
    assert (found.restarting, found.starting, found.stopping, found.stuck) == (4, 0, 0, 0)
    assert (found.running, found.wanted, found.config.parallelism) == (4, 4, 1)
    assert not (found.to_zero or found.blinks or found.all_at_once)
    assert impact_of_rollouts([found]) is None
    # Three pauses of nothing, and the engine's own five seconds of watching.
    assert found.seconds == 5


def test_what_changes_nothing_in_the_template_restarts_nothing() -> None:
    web = b.service("web", replicas=4)
    found = rollout(web, spread(web, 4), whole=False)
    assert (found.restarting, found.hurts, found.seconds) == (0, False, 0)


def test_a_new_constraint_moves_only_the_tasks_whose_node_breaks_it() -> None:
    web = b.service("web", replicas=4)
    found = rollout(web, spread(web, 4), whole=False, Placement={"Constraints": ["node.hostname==wrk1"]})
    assert (found.restarting, found.stuck) == (2, 0)


@pytest.mark.parametrize(
    ("before", "after", "starting", "stopping"), [(2, 5, 3, 0), (5, 2, 0, 3), (3, 3, 0, 0), (3, 0, 0, 3)]
)
def test_scaling_starts_or_stops_the_difference(before: int, after: int, starting: int, stopping: int) -> None:
    web = b.service("web", replicas=before)
    found = rollout(web, spread(web, before), whole=False, replicas=after)
    assert (found.starting, found.stopping, found.restarting, found.wanted) == (starting, stopping, 0, after)
    assert found.to_zero is (after == 0)


def test_what_does_not_fit_is_told_with_what_is_free() -> None:
    """Two workers with 4 CPUs each; a task takes 3: the third has no place."""
    big = b.service("big", replicas=1, cpus=3, memory=b.GIB)
    found = rollout(big, spread(big, 1), whole=False, replicas=3)
    assert (found.starting, found.stuck) == (2, 1)
    assert found.stuck_why == (
        "no suitable node (not available for new tasks on 3 nodes; insufficient resources on 2 nodes); "
        "a task reserves 3 CPU and 1,024 MiB, and the most that is free on a node is 1 CPU and 7,168 MiB"
    )
    impact = impact_of_rollouts([found])
    assert impact is not None and (impact.stuck, impact.to_zero) == (1, ())


def test_a_task_that_stops_first_leaves_its_room_to_the_next() -> None:
    full = b.service("full", replicas=2, cpus=3)
    stop_first = rollout(full, spread(full, 2))
    start_first = rollout(full, spread(full, 2), update={"Parallelism": 1, "Order": "start-first"})
    assert stop_first.stuck == 0
    # Started first, the new one finds both nodes full; the old ones go on, and the second is never come to.
    assert (start_first.stuck, start_first.held_up, start_first.to_zero) == (1, 1, False)


def test_a_rollout_stops_for_ever_at_the_first_task_without_a_place() -> None:
    web = b.service("web", replicas=4)
    nowhere = {"Placement": {"Constraints": ["node.labels.gone==true"]}}
    one = rollout(web, spread(web, 4), **nowhere)
    assert (one.restarting, one.stuck, one.held_up, one.to_zero) == (4, 1, 3, False)
    two = rollout(web, spread(web, 4), update={"Parallelism": 2}, **nowhere)
    assert (two.stuck, two.held_up, two.to_zero) == (2, 2, False)
    every = rollout(web, spread(web, 4), update={"Parallelism": 0}, **nowhere)
    assert (every.stuck, every.held_up, every.to_zero, every.all_at_once) == (4, 0, True, True)


@pytest.mark.parametrize(
    ("replicas", "update", "blinks", "all_at_once"),
    [
        (1, {"Parallelism": 1}, True, False),
        (1, {"Parallelism": 1, "Order": "start-first"}, False, False),
        (2, {"Parallelism": 1}, False, False),
        (2, {"Parallelism": 2}, False, True),
        (3, {"Parallelism": 2}, False, False),
        (2, {"Parallelism": 0, "Order": "start-first"}, False, False),
    ],
)
def test_who_is_without_any_task_for_a_moment(replicas: int, update: b.Json, blinks: bool, all_at_once: bool) -> None:
    web = b.service("web", replicas=replicas)
    found = rollout(web, spread(web, replicas), update=update)
    assert (found.blinks, found.all_at_once) == (blinks, all_at_once)


def test_a_host_port_is_free_only_once_the_old_task_has_stopped() -> None:
    proxy = b.service("proxy", replicas=2, ports=[b.port(80, mode="host")])
    assert rollout(proxy, spread(proxy, 2)).stuck == 0
    found = rollout(proxy, spread(proxy, 2), update={"Parallelism": 1, "Order": "start-first"})
    assert (found.stuck, found.held_up) == (1, 1)
    assert "host port 80/tcp already in use on 2 nodes" in found.stuck_why


def test_a_global_service_follows_its_constraints() -> None:
    agent = b.service("agent", mode="global")
    tasks = [b.task(agent, node, 0) for node in WORKERS]
    nodes = [*DRAINED, *WORKERS, b.node("wrk3")]
    assert rollout(agent, tasks, nodes=nodes).starting == 1  # the node that had none yet
    only = rollout(agent, tasks, nodes=nodes, whole=False, Placement={"Constraints": ["node.hostname!=wrk1"]})
    assert (only.stopping, only.starting, only.restarting, only.wanted) == (1, 1, 0, 2)
    none = rollout(agent, tasks, nodes=nodes, whole=False, Placement={"Constraints": ["node.labels.x==y"]})
    assert (none.stopping, none.wanted, none.to_zero) == (2, 0, True)


def test_data_stays_behind_only_where_a_replacement_may_go_elsewhere() -> None:
    mounts = [{"Type": "volume", "Source": "data", "Target": "/data"}]
    free, pinned = b.service("db", mounts=mounts), b.service("db", mounts=mounts, constraints=["node.hostname==wrk1"])
    assert rollout(free, spread(free, 1)).local_data == ("volume data",)
    assert rollout(pinned, spread(pinned, 1)).local_data == ()


def test_delays_and_the_watch_count_for_how_long_it_takes() -> None:
    web = b.service("web", replicas=5)
    update = {"Parallelism": 2, "Delay": 30 * 10**9, "Monitor": 20 * 10**9}
    assert rollout(web, spread(web, 5), update=update).seconds == 2 * 30 + 20


def test_tasks_on_a_node_that_is_down_do_not_run() -> None:
    web, dead = b.service("web", replicas=2), b.node("dead", state="down")
    found = rollout(web, spread(web, 2, [WORKERS[0], dead]), nodes=[*MANAGERS, WORKERS[0], dead])
    assert found.running == 1


def test_what_could_not_be_read_is_not_foretold() -> None:
    web = b.service("web", replicas=2)
    now = b.snapshot([*MANAGERS, *WORKERS], [web], spread(web, 2), troubles={"tasks": "no answer"})
    service = now.services[web["ID"]]
    found = rollout_of(now, service, service.spec, whole=True)
    assert (found.known, found.hurts) == (False, True)
    impact = impact_of_rollouts([found])
    assert impact is not None and not impact.known
    assert not removal_of(now, service).known


def test_a_removal_stops_everything() -> None:
    web = b.service("web", replicas=3)
    now = b.snapshot([*MANAGERS, *WORKERS], [web], spread(web, 3))
    found = removal_of(now, now.services[web["ID"]])
    assert (found.stopping, found.running, found.to_zero) == (3, 3, True)


def test_a_rollback_goes_by_its_own_settings() -> None:
    web = b.service("web", replicas=2)
    web["Spec"]["RollbackConfig"] = {"Parallelism": 0, "Order": "stop-first"}
    now = b.snapshot([*MANAGERS, *WORKERS], [web], spread(web, 2))
    service = now.services[web["ID"]]
    assert rollout_of(now, service, service.spec, whole=True, rollback=True).all_at_once
    assert rollout_of(now, service, service.spec, whole=True).config == UpdateConfig(parallelism=1)
