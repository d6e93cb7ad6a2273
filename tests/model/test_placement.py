"""The scheduler's language of constraints, and each of its filters (swarmkit: constraint, scheduler/filter.go)."""

from __future__ import annotations

from typing import Any

import pytest

from swarmtui.model.impact import Impact, impact_of, with_availability
from swarmtui.model.placement import constraint_holds
from swarmtui.model.swarm import Availability
from tests import builders as b

HERE = b.one_node(
    b.node(
        "Web-1",
        id="abc123",
        manager="reachable",
        labels={"zone": "A", "Rack": "r7", "empty": "", "dotted.key": "x", "size": "10"},
        engine_labels={"disk": "SSD"},
        addr="10.1.2.3",
        os="linux",
        arch="x86_64",
    )
)


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        ("node.labels.zone==A", True),
        ("node.labels.zone==a", True),  # values compare without case ...
        ("node.labels.Zone==A", False),  # ... names of labels with it
        ("NODE.LABELS.zone==A", True),  # ... and the rest of the key without
        ("node.labels.zone!=A", False),
        ("node.labels.zone!=b", True),
        ("node.labels.Rack == r7", True),
        ("  node.labels.Rack   !=   r7  ", False),
        ("node.labels.absent==x", False),
        ("node.labels.absent!=x", True),
        ("node.labels.empty!=x", True),
        ("node.labels.dotted.key==x", True),
        ("node.labels.size==1", False),
        ("engine.labels.disk==ssd", True),
        ("engine.labels.disk!=ssd", False),
        ("engine.labels.Disk==ssd", False),
        ("engine.labels.zone==A", False),  # a label of the node is none of its engine
        ("node.id==abc123", True),
        ("node.id!=abc123", False),
        ("node.hostname==web-1", True),
        ("node.hostname!=web-2", True),
        ("node.role==manager", True),
        ("node.role==worker", False),
        ("node.role!=worker", True),
        ("node.platform.os==Linux", True),
        ("node.platform.os==windows", False),
        ("node.platform.arch==x86_64", True),
        ("node.platform.arch==arm64", False),
        ("node.ip==10.1.2.3", True),
        ("node.ip!=10.1.2.3", False),
        ("node.ip==10.1.2.4", False),
        ("node.ip==10.1.0.0/16", True),
        ("node.ip!=10.1.0.0/16", False),
        ("node.ip==10.9.0.0/16", False),
        ("node.ip!=10.9.0.0/16", True),
        ("node.ip==fd00::/8", False),
        ("node.ip==10.1.2", False),  # not an address: swarmkit refuses the node for either operator
        ("node.ip!=10.1.2", False),
        ("node.colour==red", False),
        ("node.colour!=red", False),
        ("node.labels.==x", False),
        ("node.labels.zone=A", False),
        ("node.labels.zone>A", False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_constraints(constraint: str, holds: bool) -> None:
    assert constraint_holds(constraint, HERE) is holds


def test_a_node_without_any_label_still_answers() -> None:
    bare = b.node("bare")
    bare["Spec"]["Labels"] = bare["Description"]["Engine"]["Labels"] = None
    node = b.one_node(bare)
    assert not constraint_holds("node.labels.zone==a", node)
    assert constraint_holds("node.labels.zone!=a", node)
    assert constraint_holds("engine.labels.disk!=ssd", node)


def drained(other: b.Json, of: b.Json, *tasks_elsewhere: b.Json, more: tuple[b.Json, ...] = ()) -> Impact:
    """What happens to one task of a service when its node is drained and there is one other node."""
    here = b.node("here")
    now = b.snapshot([here, other], [of, *more], [b.task(of, here), *tasks_elsewhere])
    return impact_of(now, {here["ID"]: with_availability(now.nodes[here["ID"]], Availability.DRAIN)})


def goes(impact: Impact) -> str:
    """Where the one task goes, or why it goes nowhere."""
    (service,) = impact.services
    assert service.moving + service.stuck == 1
    return service.targets[0][0] if service.moving else service.stuck_why


@pytest.mark.parametrize(
    ("other", "of", "said"),
    [
        pytest.param({}, {}, "other", id="anything goes"),
        pytest.param({"availability": "drain"}, {}, "not available for new tasks", id="drained"),
        pytest.param({"availability": "pause"}, {}, "not available for new tasks", id="paused"),
        pytest.param({"state": "down"}, {}, "not available for new tasks", id="down"),
        pytest.param({"state": "unknown"}, {}, "not available for new tasks", id="unknown"),
        pytest.param({"cpus": 2}, {"cpus": 2}, "other", id="cpu, exactly enough"),
        pytest.param({"cpus": 2}, {"cpus": 2.001}, "insufficient resources", id="cpu, a little too much"),
        pytest.param({"memory": b.GIB}, {"memory": b.GIB}, "other", id="memory, exactly enough"),
        pytest.param({"memory": b.GIB}, {"memory": b.GIB + 1}, "insufficient resources", id="memory, a byte too much"),
        pytest.param({"generic": {"gpu": 2}}, {"generic": {"gpu": 2}}, "other", id="discrete resource"),
        pytest.param({"generic": {"gpu": 1}}, {"generic": {"gpu": 2}}, "insufficient resources", id="too few"),
        pytest.param({}, {"generic": {"gpu": 1}}, "insufficient resources", id="none at all"),
        pytest.param(
            {"generic": {"gpu": ["a", "b"]}}, {"generic": {"gpu": 2}}, "other", id="named resources count one"
        ),
        pytest.param(
            {"generic": {"gpu": ["a"]}}, {"generic": {"gpu": 2}}, "insufficient resources", id="named, too few"
        ),
        pytest.param({"generic": {"fpga": 9}}, {"generic": {"gpu": 1}}, "insufficient resources", id="another kind"),
        pytest.param({"labels": {"ssd": "yes"}}, {"constraints": ["node.labels.ssd==yes"]}, "other", id="label"),
        pytest.param({}, {"constraints": ["node.labels.ssd==yes"]}, "constraint node.labels.ssd==yes", id="no label"),
        pytest.param(
            {"labels": {"ssd": "yes"}},
            {"constraints": ["node.labels.ssd==yes", "node.hostname!=other"]},
            "constraint node.hostname!=other",
            id="all constraints must hold",
        ),
        pytest.param({"arch": "aarch64"}, {"platforms": [("linux", "arm64")]}, "other", id="names of architectures"),
        pytest.param({"arch": "x86_64"}, {"platforms": [("linux", "amd64")]}, "other", id="amd64 is x86_64"),
        pytest.param({"arch": "x86_64"}, {"platforms": [("linux", "arm64")]}, "unsupported platform", id="other arch"),
        pytest.param({}, {"platforms": [("windows", "amd64")]}, "unsupported platform", id="other system"),
        pytest.param({}, {"platforms": [("windows", "amd64"), ("linux", "amd64")]}, "other", id="one of several"),
        pytest.param({"arch": "riscv64"}, {"platforms": [("linux", "")]}, "other", id="any architecture"),
    ],
)
def test_filters(other: dict[str, Any], of: dict[str, Any], said: str) -> None:
    where = goes(drained(b.node("other", **other), b.service("api", **of)))
    assert where == said if said == "other" else said in where and where.startswith("no suitable node (")


def test_what_lives_on_a_node_takes_its_room() -> None:
    other, db = b.node("other", cpus=4), b.service("db", cpus=3)
    api = b.service("api", cpus=2)
    assert "insufficient resources" in goes(drained(other, api, b.task(db, other), more=(db,)))
    stopped = b.task(db, other, state="shutdown", desired="shutdown")
    assert goes(drained(other, api, stopped, more=(db,))) == "other"
    starting = b.task(db, other, state="preparing")
    assert "insufficient resources" in goes(drained(other, api, starting, more=(db,)))


def test_a_running_job_takes_its_room_too() -> None:
    other, batch = b.node("other", cpus=4), b.service("batch", cpus=3, mode="job")
    assert "insufficient resources" in goes(
        drained(other, b.service("api", cpus=2), b.task(batch, other), more=(batch,))
    )


@pytest.mark.parametrize(
    ("mine", "theirs", "free"),
    [
        (b.port(80, mode="host"), b.port(80, mode="host"), False),
        (b.port(80, mode="host"), b.port(81, mode="host"), True),
        (b.port(80, mode="host"), b.port(80, mode="host", protocol="udp"), True),
        (b.port(80, mode="host"), b.port(80), True),  # an ingress port belongs to the mesh, not to the host
        (b.port(80), b.port(80, mode="host"), True),
        (b.port(0, mode="host"), b.port(0, mode="host"), True),  # 0: the engine picks one
    ],
)
def test_a_host_port_is_there_once(mine: b.Json, theirs: b.Json, free: bool) -> None:
    other, proxy = b.node("other"), b.service("proxy", ports=[theirs])
    where = goes(drained(other, b.service("api", ports=[mine]), b.task(proxy, other), more=(proxy,)))
    assert where == "other" if free else "host port 80/tcp already in use" in where


def test_max_replicas_per_node() -> None:
    other = b.node("other")
    api = b.service("api", replicas=3, max_replicas=2)
    assert goes(drained(other, api, b.task(api, other, 2))) == "other"
    full = drained(other, api, b.task(api, other, 2), b.task(api, other, 3))
    assert "max replicas per node reached" in goes(full)


def test_reasons_are_counted_over_the_nodes_the_most_common_first() -> None:
    here, of = b.node("here", labels={"ssd": "yes"}), b.service("api", constraints=["node.labels.ssd==yes"])
    others = [b.node("paused", availability="pause"), b.node("a"), b.node("c")]
    now = b.snapshot([here, *others], [of], [b.task(of, here)])
    impact = impact_of(now, {here["ID"]: with_availability(now.nodes[here["ID"]], Availability.DRAIN)})
    assert impact.services[0].stuck_why == (
        "no suitable node (not available for new tasks on 2 nodes; "
        "constraint node.labels.ssd==yes not satisfied on 2 nodes)"
    )


def test_with_no_node_left_it_says_so() -> None:
    only, of = b.node("only"), b.service("api")
    impact = impact_of(b.snapshot([only], [of], [b.task(of, only)]), {only["ID"]: None})
    assert impact.services[0].stuck_why == "no suitable node (no node is left)"
