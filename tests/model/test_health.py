"""Every finding: when it is made, when it is not, and under which id. Monitoring keys on the ids: they never change."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swarmtui.model.health import Finding, Severity, alarms, findings, runs_ucp
from swarmtui.model.snapshot import Snapshot
from tests import builders as b

NOW = 1_700_000_000.0
DAY = 86_400.0


def managers(count: int, *, unreachable: int = 0, zones: str = "") -> list[b.Json]:
    """Managers, drained, the first one the leader, the last ones unreachable; zones: one letter each, "-" for none."""
    return [
        b.node(
            f"mgr{i}",
            manager="leader" if i == 0 else "unreachable" if i >= count - unreachable else "reachable",
            state="down" if i >= count - unreachable else "ready",
            availability="drain",
            addr=f"10.0.0.{i + 1}",
            labels={"zone": zones[i]} if zones and zones[i] != "-" else {},
        )
        for i in range(count)
    ]


WORKER = b.node("wrk1", addr="10.0.1.1")


def found(now: Snapshot | list[b.Json], zone_label: str = "zone") -> dict[str, list[Finding]]:
    by_rule: dict[str, list[Finding]] = {}
    state = now if isinstance(now, Snapshot) else b.snapshot(now)
    for finding in findings(state, now=NOW, zone_label=zone_label):
        by_rule.setdefault(finding.rule, []).append(finding)
    return by_rule


def running(count: int, of: int, mode: str = "replicated") -> Snapshot:
    api = b.service("api", replicas=of, mode=mode)
    return b.snapshot([*managers(3), WORKER], [api], [b.task(api, WORKER, slot) for slot in range(count)])


def with_worker(**changes: object) -> list[b.Json]:
    options: dict[str, object] = {"addr": "10.0.1.1", **changes}
    return [*managers(3), b.node("wrk1", **options)]  # type: ignore[arg-type]


def expiring(days: float) -> Snapshot:
    mgr, *others = managers(3)
    return b.snapshot([mgr, *others], certificates={mgr["ID"]: NOW + days * DAY})


def with_error(error: str) -> Snapshot:
    return b.snapshot(managers(3), error=error)


ADVICE, WARNING, CRITICAL = Severity.ADVICE, Severity.WARNING, Severity.CRITICAL
Cluster = Callable[[], Snapshot | list[b.Json]]

CASES: list[tuple[str, Severity, Cluster, Cluster]] = [
    ("quorum-lost", CRITICAL, lambda: managers(3, unreachable=2), lambda: managers(3, unreachable=1)),
    (
        "quorum-lost",
        CRITICAL,
        lambda: with_error("rpc error: The swarm does not have a leader."),
        lambda: with_error(""),
    ),
    (
        "quorum-lost",
        CRITICAL,
        lambda: with_error("rpc error: code = DeadlineExceeded desc = context deadline exceeded"),
        lambda: with_error("something else"),
    ),
    ("quorum-lost", CRITICAL, lambda: managers(2, unreachable=1), lambda: managers(2)),
    ("quorum-lost", CRITICAL, lambda: managers(4, unreachable=2), lambda: managers(5, unreachable=2)),
    ("single-manager", WARNING, lambda: managers(1), lambda: managers(3)),
    ("two-managers", WARNING, lambda: managers(2), lambda: managers(1)),
    ("even-managers", WARNING, lambda: managers(4), lambda: managers(5)),
    ("even-managers", WARNING, lambda: managers(6), lambda: managers(2)),
    ("many-managers", ADVICE, lambda: managers(9), lambda: managers(7)),
    ("no-slack", CRITICAL, lambda: managers(3, unreachable=1), lambda: managers(3)),
    ("no-slack", CRITICAL, lambda: managers(5, unreachable=2), lambda: managers(5, unreachable=1)),
    (
        "no-leader",
        WARNING,
        lambda: [b.node(f"m{i}", manager="reachable", addr=f"10.0.0.{i}") for i in range(3)],
        lambda: managers(3),
    ),
    ("manager-unreachable", CRITICAL, lambda: managers(5, unreachable=1), lambda: managers(5)),
    ("node-down", WARNING, lambda: with_worker(state="down", message="heartbeat failure"), lambda: with_worker()),
    ("node-down", WARNING, lambda: with_worker(state="unknown"), lambda: with_worker(availability="drain")),
    (
        "manager-not-in-raft",
        WARNING,
        lambda: [*managers(3), b.node("left", role="manager")],
        lambda: [*managers(3), b.node("left", role="worker")],
    ),
    (
        "worker-in-raft",
        WARNING,
        lambda: [*managers(3), b.node("going", manager="reachable", role="worker", addr="10.0.0.9")],
        lambda: [*managers(3), b.node("stays", manager="reachable", addr="10.0.0.9")],
    ),
    (
        "stale-hostname",
        WARNING,
        lambda: [*with_worker(), b.node("wrk1", id="old", state="down", addr="10.0.1.7")],
        lambda: [*with_worker(), b.node("wrk2", state="down", addr="10.0.1.7")],
    ),
    (
        "stale-hostname",
        WARNING,
        lambda: [*with_worker(), b.node("wrk1", id="old", state="down", addr="10.0.1.7")],
        lambda: [*with_worker(), b.node("wrk1", id="twin", addr="10.0.1.7")],  # both live: nobody is an old entry
    ),
    (
        "stale-address",
        WARNING,
        lambda: [*with_worker(), b.node("before", state="down", addr="10.0.1.1")],
        lambda: [*with_worker(state="down"), b.node("before", state="down", addr="10.0.1.1")],
    ),
    ("zones-unspread", WARNING, lambda: managers(3, zones="aab"), lambda: managers(3, zones="abc")),
    ("zones-unspread", WARNING, lambda: managers(5, zones="aaabc"), lambda: managers(5, zones="aabbc")),
    ("zones-unspread", WARNING, lambda: managers(7, zones="aaaabbc"), lambda: managers(7, zones="aaabbcc")),
    ("zones-unspread", WARNING, lambda: managers(9, zones="aaaaabbcc"), lambda: managers(9, zones="aaabbbccc")),
    ("zones-unspread", WARNING, lambda: managers(3, zones="aaa"), lambda: managers(3)),
    ("mixed-engines", ADVICE, lambda: with_worker(engine="20.10.24"), lambda: with_worker(engine="26.1.5")),
    ("mixed-engines", ADVICE, lambda: with_worker(engine="20.10.24"), lambda: with_worker(engine="")),
    ("certificate-expiring", WARNING, lambda: expiring(10), lambda: expiring(15)),
    ("certificate-expiring", CRITICAL, lambda: expiring(1), lambda: expiring(60)),
    ("certificate-expiring", CRITICAL, lambda: expiring(-1), lambda: expiring(90)),
    ("service-down", CRITICAL, lambda: running(0, 2), lambda: running(1, 2)),
    ("service-down", CRITICAL, lambda: running(0, 1), lambda: running(0, 0)),
    ("service-short", WARNING, lambda: running(1, 2), lambda: running(2, 2)),
    ("service-short", WARNING, lambda: running(1, 2), lambda: running(0, 2, "job")),
    (
        "managers-take-tasks",
        ADVICE,
        lambda: [b.node("mgr", manager="leader"), WORKER],
        lambda: [b.node("mgr", manager="leader", availability="drain"), WORKER],
    ),
    (
        "managers-take-tasks",
        ADVICE,
        lambda: [b.node("mgr", manager="leader"), WORKER],
        lambda: [b.node("mgr", manager="leader")],  # where would its tasks go?
    ),
]


@pytest.mark.parametrize(
    ("rule", "severity", "wrong", "right"), CASES, ids=[f"{rule}-{i}" for i, (rule, *_) in enumerate(CASES)]
)
def test_each_rule_speaks_when_it_should_and_only_then(
    rule: str, severity: Severity, wrong: Cluster, right: Cluster
) -> None:
    spoken = found(wrong())
    assert [f.severity for f in spoken.get(rule, [])] == [severity] * len(spoken.get(rule, [None]))
    assert all(f.what.endswith(".") and f.advice.strip() for f in spoken[rule])
    assert rule not in found(right())


def test_the_ids_are_these_and_stay_these() -> None:
    assert {rule for rule, *_ in CASES} == {
        "quorum-lost",
        "single-manager",
        "two-managers",
        "even-managers",
        "many-managers",
        "no-slack",
        "no-leader",
        "manager-unreachable",
        "node-down",
        "manager-not-in-raft",
        "worker-in-raft",
        "stale-hostname",
        "stale-address",
        "zones-unspread",
        "mixed-engines",
        "certificate-expiring",
        "service-down",
        "service-short",
        "managers-take-tasks",
    }


def test_a_good_cluster_gives_no_finding() -> None:
    api = b.service("api", replicas=2)
    tasks = [b.task(api, WORKER, slot) for slot in (1, 2)]
    assert found(b.snapshot([*managers(3, zones="abc"), WORKER], [api], tasks)) == {}


def test_nothing_is_found_in_what_was_never_read() -> None:
    assert found(b.snapshot([], unread=["nodes"])) == {}


def test_the_worst_comes_first() -> None:
    made = [*managers(4), b.node("old", engine="20.10.24", state="down", addr="10.0.1.9"), WORKER]
    severities = [finding.severity for finding in findings(b.snapshot(made), now=NOW)]
    assert severities == sorted(severities, reverse=True) and set(severities) == {WARNING, ADVICE}


def test_advice_is_no_alarm() -> None:
    spoken = findings(b.snapshot([*managers(9, unreachable=1), WORKER]), now=NOW)
    assert {f.rule for f in spoken} - {f.rule for f in alarms(spoken)} == {"many-managers"}
    assert {f.rule for f in alarms(spoken)} == {"manager-unreachable"}


def test_without_quorum_the_counts_are_not_talked_about() -> None:
    spoken = found(managers(2, unreachable=1))
    assert not spoken.keys() & {"two-managers", "even-managers", "no-slack", "no-leader"}
    assert "Bring managers back first" in spoken["quorum-lost"][0].advice


def test_an_unreachable_manager_is_told_once_and_by_name() -> None:
    (finding,) = found(managers(5, unreachable=1))["manager-unreachable"]
    assert (finding.about, finding.node_id) == ("mgr4", b.object_id("node", "mgr4"))
    assert "node-down" not in found(managers(5, unreachable=1))
    assert "locked" in finding.advice  # N4: look at that first


def test_a_ghost_manager_that_is_down_but_reachable_is_told(
    # A row left behind by a host that joined again, at the same address (swarm-dr.md §6).
) -> None:
    ghost = b.node("mgr1", id="ghost", manager="reachable", state="down", addr="10.0.0.2", availability="drain")
    spoken = found([*managers(3), ghost])
    (finding,) = spoken["stale-hostname"]
    assert finding.node_id == "ghost" and "counts for quorum" in finding.advice
    assert "stale-address" not in spoken  # said once
    assert "node-down" in spoken


def test_services_count_only_tasks_on_nodes_that_are_ready() -> None:
    """4/4 with nothing alive is what `docker service ls` says after a recovery (swarm-dr.md, trap 4)."""
    dead, api = b.node("dead", state="down", addr="10.0.1.9"), b.service("api", replicas=4)
    tasks = [b.task(api, dead, slot) for slot in range(4)]
    (finding,) = found(b.snapshot([*managers(3), WORKER, dead], [api], tasks))["service-down"]
    assert (finding.about, "0/4" in finding.what) == ("api", True)


@pytest.mark.parametrize("missing", ["services", "tasks"])
def test_services_are_not_judged_by_what_was_never_read(missing: str) -> None:
    api = b.service("api", replicas=2)
    spoken = found(b.snapshot([*managers(3), WORKER], [api], [], unread=[missing]))
    assert not spoken.keys() & {"service-down", "service-short"}


def test_the_zone_label_is_the_configured_one() -> None:
    made = managers(3, zones="aaa")
    assert "zones-unspread" not in found(made, zone_label="dc")
    for manager in made:
        manager["Spec"]["Labels"] = {"dc": "north"}
    assert found(made, zone_label="dc")["zones-unspread"][0].about == "north"


def test_the_certificate_of_a_node_that_is_gone_is_nobodys_business() -> None:
    assert "certificate-expiring" not in found(b.snapshot(managers(3), certificates={"gone": NOW}))


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_managers_have_their_own_warning_and_hang_on_nothing_more(count: int) -> None:
    spoken = found(managers(count))
    assert "no-slack" not in spoken and max(f.severity for of in spoken.values() for f in of) is WARNING


def test_under_ucp_nobody_is_told_to_drain_managers() -> None:
    """A drain would evict UCP's own agents (procedures.md B8)."""
    made = [b.node("mgr", manager="leader"), WORKER]
    agent = b.service("ucp-agent", mode="global")
    assert runs_ucp(b.snapshot(made, [agent])) and not runs_ucp(b.snapshot(made, [b.service("ucp-like")]))
    assert "managers-take-tasks" not in found(b.snapshot(made, [agent], [b.task(agent, WORKER)]))
