"""The spread of tasks now and after. Every expectation is worked out by hand from swarmkit's rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from swarmtui.model.spread import Spread, spread_of
from tests.builders import CORE, Json, node, port, service, snapshot, task

WORKERS = [node("a"), node("b"), node("c")]


def on(of: Json, *names: str, state: str = "running") -> list[Json]:
    """Tasks of a service on nodes by name, one slot each."""
    return [task(of, node(name), slot, state=state) for slot, name in enumerate(names, 1)]


def made(nodes: Iterable[Json], *services: tuple[Json, Iterable[str]], **options: Any) -> Spread:
    tasks = [one for of, names in services for one in on(of, *names)]
    return spread_of(snapshot(nodes, [of for of, _ in services], tasks), **options)


def names(counts: Mapping[str, int]) -> dict[str, int]:
    """By hostname."""
    known = {node(name)["ID"]: name for name in "abcde"}
    return {known[node_id]: count for node_id, count in sorted(counts.items(), key=lambda item: known[item[0]])}


def told(spread: Spread) -> list[tuple[str, int, int, dict[str, int]]]:
    return [(s.name, s.restarts, s.moves, names(s.after)) for s in spread.services]


@pytest.mark.parametrize(
    ("placed", "moves", "after"),
    [
        ("aaaa", 2, {"a": 1, "b": 1, "c": 2}),
        ("aaab", 1, {"a": 2, "b": 1, "c": 1}),
        ("aabb", 1, None),
        ("aab", 1, {"a": 1, "b": 1, "c": 1}),
        ("abc", 0, None),
        ("aabc", 0, None),
        ("ab", 0, None),
    ],
)
def test_a_service_is_uneven_when_a_node_has_two_more_than_another(
    placed: str, moves: int, after: dict[str, int] | None
) -> None:
    web = service("web", replicas=len(placed))
    spread = made(WORKERS, (web, placed))
    if not moves:
        assert told(spread) == []
        return
    (found,) = spread.services
    assert sum(found.after.values()) == found.restarts == len(placed)
    assert max(found.after.values()) - min(found.after.get(node(n)["ID"], 0) for n in "abc") <= 1
    assert found.moves >= moves


def test_what_constraints_limits_and_ports_force_is_not_uneven() -> None:
    pinned = service("pinned", replicas=3, constraints=["node.hostname==a"])
    full = service("full", replicas=3, cpus=2)
    small = [node("a", cpus=8), node("b", cpus=2), node("c", cpus=1)]
    most = service("most", replicas=3, max_replicas=2)
    host = service("host", replicas=2, ports=[port(80, mode="host")])
    assert told(made([node("a"), node("b"), node("c")], (pinned, "aaa"))) == []
    assert told(made(small, (full, "aab"))) == []
    assert told(made([node("a"), node("b")], (most, "aab"))) == []
    assert told(made([node("a"), node("b", availability="drain")], (service("web", replicas=4), "aaaa"))) == []
    assert told(made([node("a"), node("b", state="down")], (service("web", replicas=4), "aaaa"))) == []
    assert told(made([node("a"), node("b")], (host, "ab"))) == []


def test_tasks_on_a_paused_node_are_there_on_purpose() -> None:
    nodes = [node("a", availability="pause"), node("b"), node("c")]
    assert told(made(nodes, (service("web", replicas=5), "aaabc"))) == []


def test_a_node_that_came_back_empty_gets_tasks_and_the_totals_say_so() -> None:
    spread = made(WORKERS, (service("web", replicas=6), "aaabbb"), (service("api", replicas=4), "aabb"))
    assert [s.name for s in spread.services] == ["web", "api"]
    assert names(spread.now) == {"a": 5, "b": 5, "c": 0}
    assert names(spread.services[0].after) == {"a": 2, "b": 2, "c": 2}
    after = names(spread.after)
    assert sum(after.values()) == 10
    assert max(after.values()) - min(after.values()) <= 1


def test_the_one_with_most_replicas_comes_first() -> None:
    services = [(service(f"s{n}", replicas=n), "a" * n) for n in (2, 5, 3)]
    assert [s.name for s in made(WORKERS, *services).services] == ["s5", "s3", "s2"]


def test_the_update_is_played_through_as_the_service_configures_it() -> None:
    def with_update(**config: Any) -> Json:
        web = service("web", replicas=2, cpus=1)
        web["Spec"]["UpdateConfig"] = {"Parallelism": 1, **config}
        return web

    # Each node has room for two: with start-first a third place is needed for a moment.
    nodes = [node("a", cpus=2), node("b", cpus=0)]
    assert told(made(nodes, (with_update(Order="stop-first"), "aa"))) == []
    two = [node("a", cpus=2), node("b", cpus=1)]
    assert told(made(two, (with_update(Order="stop-first"), "aa"))) == [("web", 2, 1, {"a": 1, "b": 1})]
    assert told(made(two, (with_update(Order="start-first"), "aa"))) == [("web", 2, 1, {"a": 1, "b": 1})]
    at_once = made(two, (with_update(Order="start-first", Parallelism=0), "aa"))
    assert (told(at_once), at_once.left) == ([], (("web", "there is no room to start its tasks anew"),))


def test_zones_of_a_placement_preference_come_before_nodes() -> None:
    nodes = [
        node("a", labels={"zone": "1"}),
        node("b", labels={"zone": "2"}),
        node("c", labels={"zone": "2"}),
    ]
    web = service("web", replicas=4)
    assert told(made(nodes, (web, "aabc"))) == []  # even over nodes, as far as it goes
    web["Spec"]["TaskTemplate"]["Placement"]["Preferences"] = [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]
    assert told(made(nodes, (web, "aabc"))) == []  # and even over zones
    assert told(made(nodes, (web, "abbc"))) == [("web", 4, 1, {"a": 2, "b": 1, "c": 1})]


def test_a_service_that_is_even_moves_only_for_a_node_that_is_nearly_empty() -> None:
    def pair(name: str) -> tuple[Json, str]:
        return service(name, replicas=2), "ab"

    few = made(WORKERS, pair("s1"), pair("s2"))
    assert [(s.name, s.crowded) for s in few.services] == [("s1", True)]  # then c has 1 of a mean of 1.3
    many = made(WORKERS, *(pair(f"s{n}") for n in range(6)))
    assert names(many.now) == {"a": 6, "b": 6, "c": 0}
    # Mean 4: c is filled until it has 2, and no further service restarts for it.
    assert [s.name for s in many.services] == ["s0", "s1"]
    assert names(many.after)["c"] == 2


def test_a_single_replica_is_moved_only_on_request_and_last() -> None:
    single, web = service("db"), service("web", replicas=4)
    nodes = [node("a"), node("b", labels={"ssd": "1"}), node("c", labels={"ssd": "1"})]
    pinned = service("pinned", constraints=["node.labels.ssd==1"])
    more = [(service(f"x{n}", constraints=["node.hostname==b"]), "b") for n in range(8)]
    asked = made(nodes, (pinned, "b"), (web, "bbbb"), *more, singles=True)
    assert [(s.name, s.single) for s in asked.services] == [("web", False), ("pinned", True)]
    unasked = made(nodes, (pinned, "b"), (web, "bbbb"), *more)
    assert [s.name for s in unasked.services] == ["web"]
    assert ("pinned", "its only replica would restart") in unasked.left
    assert told(made(WORKERS, (single, "a"), singles=True)) == []


def test_what_is_not_whole_or_keeps_data_is_left_alone_with_the_reason() -> None:
    rolling = service("rolling", replicas=4, update="updating")
    paused = service("paused", replicas=4, update="paused")
    data = service("data", replicas=4, mounts=[{"Type": "volume", "Source": "d", "Target": "/d"}])
    spread = made(WORKERS, (rolling, "aaaa"), (paused, "aaaa"), (data, "aaaa"), (service("short", replicas=5), "aaaa"))
    assert spread.services == ()
    assert spread.left == (
        ("data", "its data is on its nodes: volume d"),
        ("paused", "its rollout is not at its end (paused)"),
        ("rolling", "its rollout is not at its end (updating)"),
        ("short", "only 4 of 5 tasks run"),
    )
    named = made(WORKERS, (data, "aaaa"), only=frozenset({data["ID"]}))
    assert [(s.name, s.local_data) for s in named.services] == [("data", ("volume d",))]


def test_what_was_asked_for_and_needs_nothing_is_told() -> None:
    everywhere, job, even = service("agent", mode="global"), service("job", mode="job"), service("even", replicas=3)
    asked = frozenset(of["ID"] for of in (everywhere, job, even))
    spread = made(WORKERS, (everywhere, "abc"), (job, "aaa"), (even, "abc"), only=asked)
    assert spread.services == ()
    assert spread.left == (
        ("agent", "a global service: one task on each node"),
        ("even", "as even as it can be"),
        ("job", "a job"),
    )


def test_reservations_of_other_services_count_and_so_does_what_was_moved_before() -> None:
    # b has room for one more task of one core, and the first service takes it.
    nodes = [node("a", cpus=8), node("b", cpus=1)]
    first, second = service("first", replicas=3, cpus=1), service("second", replicas=2, cpus=1)
    spread = made(nodes, (first, "aaa"), (second, "aa"))
    assert told(spread) == [("first", 3, 1, {"a": 2, "b": 1})]
    assert CORE == 10**9
