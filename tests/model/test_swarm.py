"""Readings of single objects and of a snapshot."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from swarmtui.model.snapshot import Reading, Snapshot
from swarmtui.model.swarm import host_of, when
from tests import builders as b


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01T10:00:00Z", datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("2024-05-01T10:00:00.123456789Z", datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2024-05-01T10:00:00.5Z", datetime(2024, 5, 1, 10, 0, 0, 500000, tzinfo=UTC)),
        ("2024-05-01T10:00:00.123456789+02:00", datetime(2024, 5, 1, 8, 0, 0, 123456, tzinfo=UTC)),
        ("2024-05-01T10:00:00.1-05:30", datetime(2024, 5, 1, 15, 30, 0, 100000, tzinfo=UTC)),
        ("2024-05-01T10:00:00-05:00", datetime(2024, 5, 1, 15, tzinfo=UTC)),
    ],
)
def test_when_reads_the_times_of_engines(text: str, moment: datetime) -> None:
    assert when(text) == moment


@pytest.mark.parametrize(
    "text",
    ["", "0001-01-01T00:00:00Z", "soon", "2024-13-01T00:00:00Z", "2024-05-01T10:00:00.12+", "x.5Z", "1714557600"],
)
def test_when_gives_none_for_what_is_no_time(text: str) -> None:
    assert when(text) is None


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59.9-14:00"])
def test_when_survives_a_time_beyond_the_calendar(text: str) -> None:
    assert when(text) is None


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("10.0.0.1:2377", "10.0.0.1"),
        ("[fd00::1]:2377", "fd00::1"),
        ("mgr1.example:2377", "mgr1.example"),
        ("10.0.0.1", "10.0.0.1"),
        ("fd00::1", "fd00::1"),
        ("", ""),
    ],
)
def test_host_of(address: str, host: str) -> None:
    assert host_of(address) == host


@pytest.mark.parametrize("own", ["", "0.0.0.0", "127.0.0.1", "::", "::1"])
def test_a_manager_that_does_not_know_its_address_is_found_by_its_raft_address(own: str) -> None:
    assert b.one_node(b.node("m", manager="leader", addr=own, raft_addr="10.0.0.7:2377")).address == "10.0.0.7"
    assert b.one_node(b.node("m", manager="leader", addr=own, raft_addr="")).address == own
    assert b.one_node(b.node("w", addr=own)).address == own


def test_an_address_that_is_one_is_kept_whatever_the_raft_says() -> None:
    """A node restored elsewhere goes on advertising its old raft address (swarm-dr.md §3)."""
    assert b.one_node(b.node("m", manager="leader", addr="10.0.0.5", raft_addr="10.0.0.9:2377")).address == "10.0.0.5"


def test_a_node_without_a_hostname_is_called_by_the_start_of_its_id() -> None:
    made = b.one_node(b.node("", id="abcdefghijklmnopqrstuvwxy"))
    assert (made.hostname, made.name) == ("", "abcdefghijkl")


def test_takes_tasks_only_when_ready_and_active() -> None:
    def takes(state: str, availability: str) -> bool:
        return b.one_node(b.node("n", state=state, availability=availability)).takes_tasks

    assert takes("ready", "active")
    assert not any(takes(s, "active") for s in ("down", "unknown", "disconnected", ""))
    assert not any(takes("ready", a) for a in ("pause", "drain"))


def test_modes_of_services() -> None:
    def readings(mode: str) -> tuple[bool, bool, int | None]:
        made = next(iter(b.snapshot([], [b.service("s", replicas=3, mode=mode)]).services.values()))
        return made.is_global, made.is_job, made.replicas

    assert readings("replicated") == (False, False, 3)
    assert readings("global") == (True, False, None)
    assert readings("job") == (False, True, 3)
    assert readings("global-job") == (True, True, None)


def test_scaled_to_nothing_is_a_number_and_not_unknown() -> None:
    made = b.service("s")
    made["Spec"]["Mode"] = {"Replicated": {}}  # how Go leaves out a zero
    assert next(iter(b.snapshot([], [made]).services.values())).replicas == 0


@pytest.mark.parametrize(
    ("state", "desired", "runs", "wanted", "terminal"),
    [
        ("running", "running", True, True, False),
        ("running", "shutdown", False, False, False),
        ("preparing", "running", False, True, False),
        ("ready", "ready", False, True, False),
        ("failed", "running", False, False, True),
        ("rejected", "running", False, False, True),
        ("orphaned", "running", False, False, True),
        ("shutdown", "shutdown", False, False, True),
        ("remove", "remove", False, False, True),
        ("complete", "complete", False, False, True),
        ("complete", "shutdown", False, False, True),
    ],
)
def test_states_of_tasks(state: str, desired: str, runs: bool, wanted: bool, terminal: bool) -> None:
    on, of = b.node("n"), b.service("s")
    made = next(iter(b.snapshot([on], [of], [b.task(of, on, state=state, desired=desired)]).tasks.values()))
    assert (made.runs, made.is_wanted, made.is_terminal) == (runs, wanted, terminal)


@pytest.mark.parametrize("mode", ["job", "global-job"])
def test_a_task_of_a_job_is_wanted_while_it_runs(mode: str) -> None:
    """Swarm gives the tasks of a job the desired state "complete" from the start (swarmkit, orchestrator/jobs)."""
    on, of = b.node("n"), b.service("batch", mode=mode)
    made = next(iter(b.snapshot([on], [of], [b.task(of, on)]).tasks.values()))
    assert made.desired_state == "complete"
    assert made.is_wanted and made.runs


def test_a_snapshot_is_complete_when_all_was_read_and_nothing_failed() -> None:
    assert b.snapshot([]).complete
    assert not b.snapshot([], unread=["tasks"]).complete
    assert not b.snapshot([], troubles={"services": "no answer"}).complete
    assert not Snapshot().complete


def test_nodes_are_known_as_long_as_they_were_read_once() -> None:
    assert b.snapshot([], troubles={"nodes": "no answer"}).nodes_known
    assert not b.snapshot([], unread=["nodes"]).nodes_known
    assert not Snapshot(readings={"nodes": Reading(0.0, "no answer")}).nodes_known


def test_the_oldest_reading_tells_the_age_of_the_whole() -> None:
    readings = {"nodes": Reading(50.0), "services": Reading(20.0, "no answer"), "tasks": Reading(40.0)}
    assert Snapshot(readings=readings).oldest() == 20.0
    assert Snapshot(readings={"nodes": Reading(50.0)}).oldest() == 0.0


def test_tasks_on_a_node() -> None:
    one, two, of = b.node("one"), b.node("two"), b.service("s", replicas=2)
    now = b.snapshot([one, two], [of], [b.task(of, one, 1), b.task(of, two, 2), b.task(of, None, 3, state="pending")])
    assert [task.slot for task in now.tasks_on(two["ID"])] == [2]
