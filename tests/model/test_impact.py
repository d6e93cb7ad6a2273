"""What an action on nodes does to tasks and services, case by case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from swarmtui.model.impact import Impact, ServiceImpact, impact_of, with_availability, with_labels, with_role
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Availability, Node
from tests import builders as b


def drain(now: Snapshot, *nodes: b.Json) -> Impact:
    return impact_of(now, {n["ID"]: with_availability(now.nodes[n["ID"]], Availability.DRAIN) for n in nodes})


def drain_first(
    nodes: list[b.Json], services: Iterable[b.Json], tasks: Iterable[b.Json]
) -> Mapping[str, ServiceImpact]:
    """Drains the first node; what happens, by service."""
    return by_name(drain(b.snapshot(nodes, services, tasks), nodes[0]))


def by_name(impact: Impact) -> dict[str, ServiceImpact]:
    return {service.name: service for service in impact.services}


def relabel(now: Snapshot, node: b.Json, labels: dict[str, str]) -> Impact:
    return impact_of(now, {node["ID"]: with_labels(now.nodes[node["ID"]], labels)})


ONE, TWO, THREE = b.node("one"), b.node("two"), b.node("three")


@pytest.mark.parametrize("missing", ["nodes", "services", "tasks"])
def test_nothing_is_said_of_what_was_never_read(missing: str) -> None:
    of = b.service("api")
    now = b.snapshot([ONE], [of], [b.task(of, ONE)], unread=[missing])
    assert impact_of(now, {ONE["ID"]: None}) == Impact(known=False)


def test_an_empty_node_moves_nothing() -> None:
    of = b.service("api")
    assert drain(b.snapshot([ONE, TWO], [of], [b.task(of, TWO)]), ONE) == Impact()


def test_a_replica_moves_to_the_node_with_room_and_the_service_goes_on() -> None:
    of = b.service("api", replicas=2)
    found = drain_first([ONE, TWO, THREE], [of], [b.task(of, ONE, 1), b.task(of, TWO, 2)])["api"]
    assert (found.moving, found.stuck, found.leaving) == (1, 0, 0)
    assert found.targets == (("three", 1),)  # spread: the node without a replica comes first
    assert (found.running_before, found.to_zero, found.blinks) == (2, False, False)


def test_the_node_with_fewest_of_the_service_comes_before_the_one_with_fewest_tasks() -> None:
    of, other = b.service("api", replicas=2), b.service("other", replicas=3)
    busy = [b.task(other, THREE, slot) for slot in (1, 2, 3)]
    tasks = [b.task(of, ONE, 1), b.task(of, TWO, 2), *busy]
    assert drain_first([ONE, TWO, THREE], [of, other], tasks)["api"].targets == (("three", 1),)
    alone = [b.task(of, ONE, 1), *busy]
    assert drain_first([ONE, TWO, THREE], [of, other], alone)["api"].targets == (("two", 1),)


def test_the_only_replica_blinks() -> None:
    of = b.service("db")
    found = drain_first([ONE, TWO], [of], [b.task(of, ONE)])["db"]
    assert found.blinks and not found.to_zero


def test_two_replicas_on_the_drained_node_do_not_count_as_a_blink_of_the_only_one() -> None:
    of = b.service("api", replicas=2)
    assert not drain_first([ONE, TWO], [of], [b.task(of, ONE, 1), b.task(of, ONE, 2)])["api"].blinks


def test_a_replica_that_fits_nowhere_drops_the_service_to_zero() -> None:
    pinned = b.service("db", constraints=["node.hostname==one"])
    found = drain_first([ONE, TWO], [pinned], [b.task(pinned, ONE)])["db"]
    assert (found.moving, found.stuck, found.to_zero, found.blinks) == (0, 1, True, False)
    assert "constraint node.hostname==one not satisfied on 1 node" in found.stuck_why


def test_some_stuck_and_others_still_running_is_not_zero() -> None:
    of = b.service("api", replicas=2, max_replicas=1)
    found = drain_first([ONE, TWO], [of], [b.task(of, ONE, 1), b.task(of, TWO, 2)])["api"]
    assert (found.stuck, found.to_zero) == (1, False)


def test_replicas_that_only_seem_to_run_on_a_dead_node_do_not_keep_a_service_alive() -> None:
    """Tasks on nodes that are down still read "running" (swarm-dr.md, trap 4)."""
    dead = b.node("dead", state="down")
    of = b.service("api", replicas=3, constraints=["node.hostname==one"])
    tasks = [b.task(of, ONE, 1), b.task(of, dead, 2), b.task(of, dead, 3)]
    found = drain_first([ONE, TWO, dead], [of], tasks)["api"]
    assert (found.running_before, found.to_zero) == (1, True)


def test_what_is_still_on_a_node_that_is_down_is_no_loss_of_what_runs() -> None:
    dead = b.node("dead", state="down")
    of = b.service("api", replicas=2)
    found = drain_first([dead, TWO], [of], [b.task(of, dead, 1), b.task(of, TWO, 2)])["api"]
    assert (found.running_before, found.to_zero) == (1, False)


def test_global_services_leave_and_are_not_placed_elsewhere() -> None:
    of = b.service("agent", mode="global")
    found = drain_first([ONE, TWO], [of], [b.task(of, ONE), b.task(of, TWO)])["agent"]
    assert (found.leaving, found.moving, found.stuck, found.to_zero) == (1, 0, 0, False)
    alone = drain_first([ONE, TWO], [of], [b.task(of, ONE)])["agent"]
    assert alone.to_zero


@pytest.mark.parametrize(
    ("state", "desired", "counts"),
    [
        ("preparing", "running", True),
        ("assigned", "running", True),
        ("starting", "running", True),
        ("ready", "ready", True),
        ("running", "shutdown", False),
        ("shutdown", "shutdown", False),
        ("failed", "shutdown", False),
        ("failed", "running", False),
        ("running", "remove", False),
    ],
)
def test_tasks_in_every_state(state: str, desired: str, counts: bool) -> None:
    of = b.service("api", replicas=2)
    tasks = [b.task(of, ONE, 1, state=state, desired=desired)]
    found = drain_first([ONE, TWO], [of], tasks).get("api")
    assert (found is not None and found.moving == 1) is counts
    assert found is None or (found.running_before, found.to_zero) == (0, False)


def test_a_task_that_never_ran_is_not_lost_when_it_is_stuck() -> None:
    of = b.service("db", constraints=["node.hostname==one"])
    found = drain_first([ONE, TWO], [of], [b.task(of, ONE, state="preparing")])["db"]
    assert (found.stuck, found.to_zero) == (1, False)


def test_a_job_that_runs_there_is_told() -> None:
    of = b.service("batch", mode="job")
    found = drain_first([ONE, TWO], [of], [b.task(of, ONE)])
    assert found["batch"].moving == 1


def test_a_task_whose_service_was_removed_only_leaves() -> None:
    gone = b.service("gone")
    (found,) = drain_first([ONE, TWO], [], [b.task(gone, ONE)]).values()
    assert (found.leaving, found.moving, found.stuck) == (1, 0, 0)
    assert gone["ID"][:12] in found.name


def test_local_volumes_and_binds_stay_behind() -> None:
    mounts: list[b.Json] = [
        {"Type": "volume", "Source": "pgdata", "Target": "/data"},
        {"Type": "volume", "Source": "own", "Target": "/o", "VolumeOptions": {"DriverConfig": {"Name": "local"}}},
        {"Type": "volume", "Source": "shared", "Target": "/s", "VolumeOptions": {"DriverConfig": {"Name": "rexray"}}},
        {"Type": "volume", "Source": "", "Target": "/anonymous"},
        {"Type": "bind", "Source": "/srv/www", "Target": "/www"},
        {"Type": "tmpfs", "Target": "/tmp"},
    ]
    of = b.service("db", replicas=2, mounts=mounts)
    found = drain_first([ONE, TWO], [of], [b.task(of, ONE, 1), b.task(of, ONE, 2)])["db"]
    assert found.local_data == ("volume pgdata", "volume own", "host folder /srv/www")


def test_nodes_drained_together_take_nothing_from_each_other() -> None:
    of = b.service("api", replicas=2)
    now = b.snapshot([ONE, TWO, THREE], [of], [b.task(of, ONE, 1), b.task(of, TWO, 2)])
    assert by_name(drain(now, ONE, TWO))["api"].targets == (("three", 2),)
    lost = by_name(drain(now, ONE, TWO, THREE))["api"]
    assert (lost.moving, lost.stuck, lost.to_zero) == (0, 2, True)


def test_room_is_used_up_while_tasks_are_placed() -> None:
    small = b.node("small", cpus=3)
    of = b.service("api", replicas=2, cpus=2)
    found = drain_first([ONE, small], [of], [b.task(of, ONE, 1), b.task(of, ONE, 2)])["api"]
    assert (found.moving, found.stuck) == (1, 1)
    assert found.targets == (("small", 1),)


def test_what_leaves_a_node_makes_room_nowhere_else() -> None:
    """The evicted tasks' own node is no target, however much room they leave there."""
    of = b.service("api", cpus=4)
    full, other = b.node("other", cpus=4), b.service("other", cpus=4)
    found = drain_first([b.node("one", cpus=4), full], [of, other], [b.task(of, ONE), b.task(other, full)])["api"]
    assert found.stuck == 1


def test_replacements_follow_what_the_service_says_now_and_not_what_the_old_task_said() -> None:
    """A change of constraints alone leaves fitting tasks as they are (swarmkit, constraint_enforcer.go); what is
    started next is made from the service."""
    before = b.service("db")
    old_task = b.task(before, ONE)
    now_pinned = b.service("db", constraints=["node.hostname==one"])
    found = drain_first([ONE, TWO], [now_pinned], [old_task])["db"]
    assert (found.moving, found.stuck) == (0, 1)


class TestChangesThatEvictByConstraints:
    ssd = b.node("one", labels={"disk": "ssd"})
    of = b.service("db", constraints=["node.labels.disk==ssd"])

    def test_a_label_taken_away(self) -> None:
        free = b.service("free")
        now = b.snapshot([self.ssd, TWO], [self.of, free], [b.task(self.of, self.ssd), b.task(free, self.ssd)])
        found = by_name(relabel(now, self.ssd, {}))
        assert found.keys() == {"db"}
        assert (found["db"].stuck, found["db"].to_zero) == (1, True)
        assert relabel(now, self.ssd, {"disk": "SSD", "new": "x"}) == Impact()

    def test_it_moves_where_another_node_fits(self) -> None:
        other = b.node("two", labels={"disk": "ssd"})
        now = b.snapshot([self.ssd, other], [self.of], [b.task(self.of, self.ssd)])
        assert by_name(relabel(now, self.ssd, {"disk": "hdd"}))["db"].targets == (("two", 1),)

    def test_a_label_that_a_constraint_forbids(self) -> None:
        of = b.service("api", constraints=["node.labels.retired!=yes"])
        now = b.snapshot([ONE, TWO], [of], [b.task(of, ONE)])
        assert by_name(relabel(now, ONE, {"retired": "yes"}))["api"].moving == 1

    def test_global_services_obey_their_constraints_too(self) -> None:
        of = b.service("agent", mode="global", constraints=["node.labels.disk==ssd"])
        now = b.snapshot([self.ssd, TWO], [of], [b.task(of, self.ssd)])
        assert by_name(relabel(now, self.ssd, {}))["agent"].leaving == 1

    def test_a_role(self) -> None:
        mgr = b.node("mgr", manager="reachable")
        of = b.service("ui", constraints=["node.role==manager"])
        now = b.snapshot([mgr, TWO], [of], [b.task(of, mgr)])
        node: Node = now.nodes[mgr["ID"]]
        assert by_name(impact_of(now, {mgr["ID"]: with_role(node, "worker")}))["ui"].stuck == 1
        assert impact_of(now, {mgr["ID"]: with_role(node, "manager")}) == Impact()

    def test_a_constraint_that_was_broken_already_is_not_this_actions_doing(self) -> None:
        now = b.snapshot([ONE, TWO], [self.of], [b.task(self.of, ONE)])
        assert relabel(now, ONE, {"unrelated": "x"}) == Impact()

    def test_a_paused_node_is_left_alone(self) -> None:
        """swarmkit, constraint_enforcer.go: only nodes whose availability is active lose tasks to their constraints."""
        paused = b.node("one", labels={"disk": "ssd"}, availability="pause")
        now = b.snapshot([paused, TWO], [self.of], [b.task(self.of, paused)])
        assert relabel(now, paused, {}) == Impact()

    def test_constraints_broken_during_a_pause_evict_once_the_node_is_active_again(self) -> None:
        paused = b.node("one", availability="pause")
        now = b.snapshot([paused, TWO], [self.of], [b.task(self.of, paused)])
        active = with_availability(now.nodes[paused["ID"]], Availability.ACTIVE)
        assert by_name(impact_of(now, {paused["ID"]: active}))["db"].stuck == 1

    def test_the_enforcer_reads_the_services_constraints_of_now(self) -> None:
        old_task = b.task(b.service("db"), self.ssd)
        now = b.snapshot([self.ssd, TWO], [self.of], [old_task])
        assert by_name(relabel(now, self.ssd, {}))["db"].stuck == 1


@pytest.mark.parametrize("availability", [Availability.PAUSE, Availability.ACTIVE])
def test_pausing_and_activating_move_nothing(availability: Availability) -> None:
    of = b.service("api")
    now = b.snapshot([ONE, TWO], [of], [b.task(of, ONE)])
    assert impact_of(now, {ONE["ID"]: with_availability(now.nodes[ONE["ID"]], availability)}) == Impact()


def test_a_removed_node_loses_everything_on_it() -> None:
    of, agent = b.service("api"), b.service("agent", mode="global")
    now = b.snapshot([ONE, TWO], [of, agent], [b.task(of, ONE), b.task(agent, ONE)])
    found = by_name(impact_of(now, {ONE["ID"]: None}))
    assert (found["api"].targets, found["agent"].leaving) == ((("two", 1),), 1)


def test_the_worst_comes_first_and_totals_add_up() -> None:
    zero = b.service("zero", constraints=["node.hostname==one"])
    some = b.service("some", replicas=2, max_replicas=1)
    blink, plain = b.service("blink"), b.service("plain", replicas=3)
    agent = b.service("agent", mode="global")
    tasks = [
        *(b.task(of, ONE) for of in (plain, blink, some, zero, agent)),
        *(b.task(of, TWO, 2) for of in (plain, some, agent)),
    ]
    impact = drain(b.snapshot([ONE, TWO], [plain, blink, some, zero, agent], tasks), ONE)
    assert [s.name for s in impact.services] == ["zero", "some", "blink", "plain", "agent"]
    assert (impact.moving, impact.stuck, impact.leaving) == (2, 2, 1)
    assert (impact.to_zero, impact.blinking) == (("zero",), ("blink",))
