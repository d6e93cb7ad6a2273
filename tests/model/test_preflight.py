"""Findings about hosts, each from figures written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from swarmtui.model.preflight import Address, Finding, HostFacts, Level, Measured, Reach, judge, wanted_ports

GIB = 1 << 30


def host(number: int, role: str = "manager", **more: Any) -> HostFacts:
    """A host as it should be."""
    ip = f"10.0.0.{number}"
    usual: dict[str, Any] = {
        "name": f"h{number}",
        "advertise": ip,
        "engine": "26.1.5",
        "cpus": 4,
        "memory": 8 * GIB,
        "disk": 50 * GIB,
        "state": "inactive",
        "addresses": (Address(ip),),
        "offset": 0.0,
        "offset_bound": 0.01,
    }
    return HostFacts(target=f"ssh://root@{ip}", role=role, **{**usual, **more})


def found(*hosts: HostFacts, reaches: tuple[Reach, ...] = (), members: tuple[str, ...] = ()) -> dict[str, Finding]:
    """The findings that are not fine, by kind."""
    findings = judge(Measured(hosts, reaches), members)
    return {finding.id: finding for finding in findings if finding.level is not Level.FINE}


def test_hosts_as_they_should_be_have_nothing() -> None:
    ways = tuple(Reach(a, b, "", "tcp", 2377, True) for a, b in (("h1", "h2"), ("h2", "h1")))
    assert not found(host(1), host(2), host(3, "worker"), reaches=ways)
    told = [finding.what for finding in judge(Measured((host(1), host(2)), ways))]
    assert "All engines are 26.1.5." in told
    assert "The ports of the Swarm are open between the hosts (2 ways)." in told


def test_a_host_that_cannot_be_used_blocks() -> None:
    finding = found(host(1), host(2, trouble="Docker is not running on h2."))["host"]
    assert (finding.level, finding.host, finding.what) == (Level.BLOCKS, "h2", "Docker is not running on h2.")


def test_engines_that_differ() -> None:
    finding = found(host(1), host(2, engine="20.10.24"), host(3))["engine"]
    assert finding.level is Level.WARNING
    assert finding.what == "The engines differ: 20.10.24 on h2; 26.1.5 on h1 and h3."


def test_one_name_for_two_hosts() -> None:
    finding = found(host(1), host(2, name="h1"))["names"]
    assert finding.level is Level.BLOCKS
    assert '2 hosts are called "h1": ssh://root@10.0.0.1, ssh://root@10.0.0.2.' in finding.what


def test_names_that_are_not_known() -> None:
    finding = found(host(1, unresolved=("h2", "h3")), host(2))["resolve"]
    assert (finding.level, finding.what) == (Level.WARNING, "h1 cannot resolve h2 and h3.")


CLOCKS = [
    # how far the clock of h2 is off (s), the bound of that, the level, words
    (0.5, 0.1, None, ""),
    (1.9, 0.0, None, ""),
    (2.5, 0.0, Level.WARNING, "2.5 s (±0.0 s) ahead of"),
    (2.5, 1.0, None, ""),
    (-30.0, 0.2, Level.WARNING, "30.0 s (±0.2 s) behind"),
    (-3500.0, 0.2, Level.WARNING, "3500.0 s"),
    (-3700.0, 0.2, Level.BLOCKS, "3700.0 s"),
    (90_000.0, 0.2, Level.BLOCKS, "ahead of"),
]


@pytest.mark.parametrize(("offset", "bound", "level", "words"), CLOCKS)
def test_clocks(offset: float, bound: float, level: Level | None, words: str) -> None:
    hosts = (host(1, offset_bound=0.0), host(2, offset=offset, offset_bound=bound), host(3, offset_bound=0.0))
    finding = found(*hosts).get("clock")
    assert (finding.level if finding else None) is level
    assert finding is None or (finding.host == "h2" and words in finding.what)


def test_one_wrong_clock_does_not_make_the_others_wrong() -> None:
    hosts = (host(1, offset=500.0), host(2), host(3), host(4))
    wrong = [f for f in judge(Measured(hosts)) if f.id == "clock" and f.level is not Level.FINE]
    assert [finding.host for finding in wrong] == ["h1"]


def test_a_clock_that_cannot_be_read() -> None:
    assert found(host(1), host(2, offset=None))["clock"].what == "The clock of h2 could not be read."


def test_addresses() -> None:
    leased = (Address("10.0.0.1", dynamic=True),)
    assert found(host(1, addresses=leased), host(2))["address"].level is Level.WARNING
    assert not found(host(1, "worker", addresses=leased), host(2))
    strange = found(host(1, advertise="192.0.2.7"), host(2))["address"]
    assert strange.level is Level.WARNING and "which none of its network cards has" in strange.what
    same = found(host(1), host(2, advertise="10.0.0.1", addresses=()))["address"]
    assert (same.level, same.what) == (Level.BLOCKS, "h1 and h2 would all advertise 10.0.0.1.")
    assert not found(host(1, advertise="2001:db8::1", addresses=(Address("2001:0db8:0::1"),)), host(2))


SIZES = [
    ("manager", {"cpus": 1}, "1 of 2 CPUs"),
    ("worker", {"cpus": 1}, ""),
    ("manager", {"memory": 1 * GIB}, "1.0 of 2 GiB of memory"),
    ("manager", {"memory": int(1.9 * GIB)}, ""),
    ("worker", {"memory": GIB // 2}, "0.5 of 1 GiB of memory"),
    ("manager", {"disk": 9 * GIB}, "9.0 of 10 GiB free on disk"),
    ("worker", {"disk": 9 * GIB}, ""),
    ("worker", {"disk": None}, ""),
    ("manager", {"cpus": 1, "disk": GIB}, "1 of 2 CPUs and 1.0 of 10 GiB free on disk"),
]


@pytest.mark.parametrize(("role", "more", "words"), SIZES)
def test_sizes(role: str, more: dict[str, Any], words: str) -> None:
    finding = found(host(1, role, **more), host(2)).get("size")
    assert (finding is not None) == bool(words)
    assert finding is None or (finding.level is Level.WARNING and words in finding.what)


def test_ports_that_are_taken_block_only_outside_the_swarm() -> None:
    taken = host(1, taken=("tcp 2377", "udp 4789"))
    finding = found(taken, host(2))["taken"]
    assert finding.level is Level.BLOCKS
    assert "port 2377/tcp and 4789/udp of h1" in finding.what
    assert not found(taken, host(2), members=("h1",))
    assert not found(host(1, taken=("tcp 2377",), state="active"), host(2)), (
        "that it is in another Swarm is told by itself"
    )


def test_ways_that_are_blocked_are_named() -> None:
    ways = (
        Reach("h1", "h2", "10.0.0.2", "tcp", 2377, False),
        Reach("h1", "h2", "10.0.0.2", "udp", 7946, False),
        Reach("h1", "h2", "10.0.0.2", "tcp", 7946, True),
        Reach("h2", "h1", "10.0.0.1", "udp", 4789, True),
    )
    finding = found(host(1), host(2), reaches=ways)["ports"]
    assert (finding.level, finding.host) == (Level.BLOCKS, "h2")
    assert finding.what == "h1 cannot reach h2 at 10.0.0.2 port 2377/tcp and 7946/udp."


def test_those_who_fail_alike_are_named_together() -> None:
    ways = tuple(Reach(name, "h2", "10.0.0.2", "udp", 7946, False) for name in ("h1", "h3"))
    finding = found(host(1), host(2), host(3), reaches=ways)["ports"]
    assert finding.what == "h1 and h3 cannot reach h2 at 10.0.0.2 port 7946/udp."


def test_ways_that_could_not_be_tried() -> None:
    ways = (Reach("h1", "h2", "10.0.0.2", "udp", 7946, None),)
    finding = found(host(1), host(2, no_listener="there is neither perl nor python3 on h2"), reaches=ways)["ports"]
    assert finding.level is Level.WARNING
    assert finding.what.endswith("port 7946/udp is not known: there is neither perl nor python3 on h2.")
    assert not found(host(1), host(2), reaches=ways, members=("h2",))


def test_only_managers_need_the_port_for_managers() -> None:
    assert wanted_ports(host(1, "worker")) == (("tcp", 7946), ("udp", 7946), ("udp", 4789))
    assert wanted_ports(host(1, port=2400))[0] == ("tcp", 2400)


def test_the_worst_comes_first() -> None:
    levels = [f.level for f in judge(Measured((host(1, cpus=1), host(2, trouble="It is off."), host(3))))]
    assert levels == sorted(levels, key=[Level.BLOCKS, Level.WARNING, Level.FINE].index)
    assert levels[0] is Level.BLOCKS
