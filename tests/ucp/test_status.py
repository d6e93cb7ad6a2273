"""What UCP on a Swarm is, and every rule about it: when it speaks, when it is silent, and under which id."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from swarmtui.model.finding import Finding, Severity
from swarmtui.model.health import findings
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.ucp import status
from swarmtui.model.ucp.status import BALANCER, Door, Parts, UcpSeen
from tests import builders as b
from tests.ucp import seen as s


def found(now: Snapshot, at: float = s.NOW) -> dict[str, list[Finding]]:
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings(now, now=at):
        if finding.rule.startswith("ucp-"):
            by_rule.setdefault(finding.rule, []).append(finding)
    return by_rule


def node_of(now: Snapshot, name: str) -> Node:
    return next(node for node in now.nodes.values() if node.name == name)


def with_parts(name: str, made: Parts) -> Snapshot:
    now = s.under_ucp()
    assert now.ucp is not None
    return replace(now, ucp=replace(now.ucp, parts={**now.ucp.parts, node_of(now, name).id: made}))


def with_door(name: str, door: Door, now: Snapshot | None = None) -> Snapshot:
    now = now or s.under_ucp()
    assert now.ucp is not None
    key = node_of(now, name).id if name else BALANCER
    return replace(now, ucp=replace(now.ucp, doors={**now.ucp.doors, key: door}))


def test_what_is_well_is_silent() -> None:
    now = s.under_ucp()
    assert found(now) == {}
    assert status.product(now) == "UCP 2.2.5"
    assert status.instance_of(now) == "hxz5kf9atspjwnoa5oqlonigv"
    assert {status.health_of(now, node) for node in now.nodes.values()} == {status.Health("healthy")}


def test_without_ucp_nothing_is_said_of_it() -> None:
    now = s.under_ucp(services=[b.service("ucp-like", mode="global"), b.service("ucp-uninstall-agent", mode="global")])
    assert not status.runs_ucp(now) and status.product(now) == "" and found(now) == {}


@pytest.mark.parametrize(
    ("name", "image", "product"),
    [
        ("ucp-agent", "docker/ucp-agent:2.2.5", "UCP 2.2.5"),
        ("ucp-agent-win", "registry.example:5000/docker/ucp-agent-win:3.1.4", "UCP 3.1.4"),
        ("ucp-worker-agent-x", "docker/ucp-agent:3.2.8@sha256:00", "UCP 3.2.8"),
        ("ucp-manager-agent", "mirantis/ucp-agent:3.4.5", "MKE 3.4.5"),
        ("ucp-cluster-agent", "mirantis/ucp-agent", "UCP"),
    ],
)
def test_it_is_known_by_its_agents_and_their_image(name: str, image: str, product: str) -> None:
    made = b.service(name, mode="global", image=image)
    now = b.snapshot(s.nodes(), [made])
    assert (status.runs_ucp(now), status.product(now)) == (True, product)
    assert status.instance_of(now) == b.CLUSTER, "the instance is the Swarm where no label says otherwise"


def test_a_reconciler_that_ended_well_is_normal_one_that_runs_is_at_work_one_that_failed_is_told() -> None:
    running = with_parts("wrk1", s.parts(manager=False, changed={"ucp-reconcile": "Up 5 seconds"}))
    health = status.health_of(running, node_of(running, "wrk1"))
    assert (health.state, found(running)) == ("pending", {}) and "being reconfigured" in health.why
    failed = with_parts("wrk1", s.parts(manager=False, changed={"ucp-reconcile": "Exited (1) 2 minutes ago"}))
    (told,) = found(failed)["ucp-component"]
    assert "UCP on wrk1: ucp-reconcile ended with 1." in told.what and told.severity is Severity.WARNING
    assert told.node_id == node_of(failed, "wrk1").id


@pytest.mark.parametrize(
    ("changed", "without", "words"),
    [
        ({"ucp-kv": "Up 3 hours (unhealthy)"}, (), "ucp-kv is unhealthy"),
        ({"ucp-controller": "Exited (137) 4 minutes ago"}, (), "ucp-controller has ended (137)"),
        ({"ucp-controller": "Restarting (1) 4 seconds ago"}, (), "ucp-controller has ended (1)"),
        ({}, ("ucp-client-root-ca",), "ucp-client-root-ca is missing"),
        ({"ucp-kv": "Created"}, ("ucp-proxy",), "ucp-kv is exited; ucp-proxy is missing"),
    ],
)
def test_components_that_are_ill_ended_or_missing(
    changed: dict[str, str], without: tuple[str, ...], words: str
) -> None:
    now = with_parts("mgr2", s.parts(manager=True, changed=changed, without=without))
    assert status.health_of(now, node_of(now, "mgr2")) == status.Health("unhealthy", words)
    assert [each.about for each in found(now)["ucp-component"]] == ["mgr2"]


def test_what_is_not_read_is_not_judged() -> None:
    unread = with_parts("wrk1", Parts(trouble="wrk1 cannot be reached."))
    assert found(unread) == {}
    assert status.health_of(unread, node_of(unread, "wrk1")) == status.Health("unknown", "wrk1 cannot be reached.")
    blank = replace(s.under_ucp(), ucp=None)
    assert found(blank) == {} and status.health_of(blank, node_of(blank, "mgr1")) == status.Health("unknown")


def test_starting_is_no_alarm() -> None:
    now = with_parts("mgr1", s.parts(manager=True, changed={"ucp-kv": "Up 2 seconds (health: starting)"}))
    assert found(now) == {} and status.health_of(now, node_of(now, "mgr1")).state == "pending"


def test_tasks_of_its_services_leave_ended_containers_behind() -> None:
    made = s.parts(manager=True)
    old = s.part("ucp-agent.h3yq2wq8.old", status="Exited (2) 3 days ago")
    assert found(with_parts("mgr1", replace(made, components=(*made.components, old)))) == {}


@pytest.mark.parametrize(
    ("version", "ping", "rule"),
    [("2.2.5", 200, "ucp-false-alarm"), ("2.2.6", 200, "ucp-component"), ("2.2.5", 500, "ucp-component")],
)
def test_the_known_false_alarm_is_explained_and_only_where_it_is_one(version: str, ping: int, rule: str) -> None:
    made = s.nodes()
    sick = s.parts(manager=True, changed={"ucp-auth-store": "Up 3 hours (unhealthy)"}, version=version)
    now = s.under_ucp(made, services=[s.agent(version)])
    assert now.ucp is not None
    fine = {node["ID"]: s.parts(manager="ManagerStatus" in node, version=version) for node in made}
    now = replace(now, ucp=replace(now.ucp, parts={**fine, made[1]["ID"]: sick}))
    now = with_door("mgr2", s.door("10.0.0.2", ping), now)
    told = found(now)
    assert set(told) == {rule} and told[rule][0].about == "mgr2"
    state = status.health_of(now, node_of(now, "mgr2")).state
    assert state == ("healthy" if rule == "ucp-false-alarm" else "unhealthy")
    if rule == "ucp-false-alarm":
        assert told[rule][0].severity is Severity.ADVICE and "mended in UCP 2.2.6" in told[rule][0].what


def test_a_manager_whose_web_server_is_not_well_or_does_not_answer() -> None:
    ill = with_door("mgr2", s.door("10.0.0.2", 500, text="RethinkDB Health check timed out"))
    (told,) = found(ill)["ucp-unhealthy"]
    assert 'its /_ping answers 500: "RethinkDB Health check timed out".' in told.what
    away = with_door("mgr2", s.door("10.0.0.2", 0, trouble="nobody answers at https://10.0.0.2: refused."))
    assert "nobody answers" in found(away)["ucp-unhealthy"][0].what and "ucp-down" not in found(away)


def test_all_of_them() -> None:
    now = s.under_ucp()
    for name in ("mgr1", "mgr2", "mgr3"):
        now = with_door(name, s.door("x", 500), now)
    (down,) = found(now)["ucp-down"]
    assert down.severity is Severity.CRITICAL and "Swarm is left alone" in down.advice


@pytest.mark.parametrize(
    ("message", "state", "rule"),
    [
        ("Healthy UCP manager", "healthy", ""),
        ("[Pending] Completing node registration", "pending", ""),
        ("Node is being reconfigured", "pending", ""),
        ("Unhealthy UCP manager: ERROR: RethinkDB Health check timed out", "unhealthy", "ucp-unhealthy"),
        ("Unhealthy UCP Controller: unable to reach controller", "unhealthy", "ucp-unhealthy"),
    ],
)
def test_what_ucp_says_of_a_node(message: str, state: str, rule: str) -> None:
    made = [*s.nodes(2, 0), b.node("mgr3", manager="reachable", addr="10.0.0.3", message=message)]
    now = s.under_ucp(made)
    assert status.health_of(now, node_of(now, "mgr3")).state == state
    assert set(found(now)) == ({rule} if rule else set())


def test_a_node_that_is_down_is_said_once_and_by_the_rule_of_nodes() -> None:
    made = [*s.nodes(2, 0), b.node("mgr3", manager="unreachable", state="down", addr="10.0.0.3")]
    now = with_door("mgr3", s.door("10.0.0.3", 0, trouble="nobody answers."), s.under_ucp(made))
    assert found(now) == {} and status.health_of(now, node_of(now, "mgr3")).state == "unhealthy"


def test_a_drained_manager_has_lost_its_agent_a_drained_worker_says_nothing() -> None:
    made = [*s.nodes(2), b.node("mgr3", manager="reachable", addr="10.0.0.3", availability="drain")]
    made.append(b.node("wrk2", addr="10.0.1.2", availability="drain"))
    now = s.under_ucp(made)
    (told,) = found(now)["ucp-manager-drained"]
    assert told.about == "mgr3" and "node.activate node=mgr3" in told.advice and set(found(now)) == {told.rule}


def test_a_node_without_an_agent() -> None:
    made, service = s.nodes(), s.agent()
    tasks = [b.task(service, node, 0) for node in made[:-1]]
    now = replace(b.snapshot(made, [service], tasks, at=s.NOW), ucp=s.healthy(made))
    (told,) = found(now)["ucp-agent-missing"]
    assert told.about == "wrk1" and "docker service ps --no-trunc ucp-agent" in told.advice
    joined = s.NOW - 60
    made[-1]["CreatedAt"] = "2024-05-02T11:59:00Z"
    fresh = b.snapshot(made, [service], tasks, at=s.NOW)
    assert "ucp-agent-missing" not in found(fresh) and joined < s.NOW
    unread = b.snapshot(made, [service], unread=["tasks"], at=s.NOW)
    assert "ucp-agent-missing" not in found(unread)


def test_a_load_balancer_that_does_not_lead_there() -> None:
    bad = with_door("", s.door("ucp.example.org", 0, trouble="https://ucp.example.org did not answer within 6 s."))
    (told,) = found(bad)["ucp-balancer"]
    assert told.about == "ucp.example.org" and "although managers are healthy" in told.what
    assert found(with_door("", s.door("ucp.example.org"))) == {}


def test_a_certificate_must_name_the_manager_and_the_balancer() -> None:
    odd = s.certificate("other.example.org", "10.9.9.9")
    now = with_door("mgr2", s.door("10.0.0.2", shown=odd))
    (told,) = found(now)["ucp-certificate-names"]
    assert "not to mgr2 or 10.0.0.2" in told.what and "other.example.org" in told.what
    lacks = with_door("", s.door("lb.example.org"))
    (balancer,) = found(lacks)["ucp-certificate-balancer"]
    assert "mgr1, mgr2, mgr3" in balancer.what and balancer.about == "lb.example.org"
    star = s.certificate("*.example.org", "mgr2")
    assert "ucp-certificate-names" not in found(with_door("mgr2", s.door("10.0.0.2", shown=star)))


@pytest.mark.parametrize(
    ("held", "name", "fits"),
    [
        ("*.example.org", "ucp.example.org", True),
        ("*.example.org", "a.ucp.example.org", False),
        ("*.example.org", "example.org", False),
        ("UCP.example.org.", "ucp.EXAMPLE.org", True),
        ("10.0.0.1", "10.0.0.1", True),
        ("*.0.0.1", "10.0.0.1", False),
        ("fe80::1", "[fe80::1]", True),
    ],
)
def test_names_of_a_certificate(held: str, name: str, fits: bool) -> None:
    assert s.certificate(held).is_for(name) is fits


@pytest.mark.parametrize(
    ("days", "severity", "words"),
    [
        (31.0, None, ""),
        (20.0, Severity.WARNING, "expires in 20 days"),
        (1.0, Severity.CRITICAL, "expires in 1 day."),
        (-3.0, Severity.CRITICAL, "has expired"),
    ],
)
def test_a_web_servers_certificate_that_ends(days: float, severity: Severity | None, words: str) -> None:
    shown = s.certificate("10.0.0.2", "ucp.example.org", days=days)
    told = found(with_door("mgr2", s.door("10.0.0.2", shown=shown))).get("ucp-certificate-expiring", [])
    assert [each.severity for each in told] == ([severity] if severity is not None else [])
    assert all(words in each.what for each in told)


def test_a_certificate_that_is_signed_by_itself() -> None:
    shown = s.certificate("10.0.0.2", itself=True)
    assert set(found(with_door("mgr2", s.door("10.0.0.2", shown=shown)))) == {"ucp-certificate-self-signed"}


@pytest.mark.parametrize(("leads", "rules"), [(False, {"ucp-certificate-chain"}), (True, set()), (None, set())])
def test_a_certificate_that_does_not_lead_to_its_authority(leads: bool | None, rules: set[str]) -> None:
    shown = replace(s.certificate("10.0.0.2", "ucp.example.org"), leads=leads, issuer="Example Web")
    told = found(with_door("mgr2", s.door("10.0.0.2", shown=shown)))
    assert set(told) == rules
    assert all("signed by Example Web, does not lead" in one.what for each in told.values() for one in each)


def test_versions_that_differ() -> None:
    now = with_parts("wrk1", s.parts(manager=False, version="2.2.4"))
    (told,) = found(now)["ucp-mixed-versions"]
    assert "2.2.4 on wrk1; 2.2.5 on " in told.what


def test_accounts_that_were_deleted_are_brought_back_without_touching_the_swarm() -> None:
    now = s.under_ucp()
    assert now.ucp is not None
    gone = replace(now, ucp=replace(now.ucp, missing_accounts=("mia", "jon")))
    (told,) = found(gone)["ucp-accounts-missing"]
    assert "2 accounts less" in told.what and "mia, jon" in told.what and "the Swarm is left alone" in told.advice
    same = replace(now, ucp=replace(now.ucp, missing_accounts=()))
    assert found(same) == {}


def test_kubernetes_parts_are_not_demanded_and_tasks_of_services_are_not_either() -> None:
    made = s.nodes(1, 0)
    now = s.under_ucp(made, services=[s.agent("3.2.8")])
    node = node_of(now, "mgr1")
    names = status.expected(now, node)
    assert "ucp-controller" in names and not any("kube" in name or "auth-api" in name for name in names)
    assert status.expected(s.under_ucp(made, services=[s.agent("4.0.0")]), node) == ()
    windows = b.node("win", os="windows")
    now = s.under_ucp([windows])
    assert status.expected(now, node_of(now, "win")) == ()


def test_the_port_of_the_web_server_is_what_its_container_says() -> None:
    odd = Parts((replace(s.part("ucp-controller"), port=4443),), s.NOW)
    assert (status.port_of(odd), status.port_of(None), status.port_of(UcpSeen().parts.get("x"))) == (4443, 443, 443)
    assert status.host_in("https://[fe80::1]:443") == "fe80::1" and status.host_in("https://a.b:8443") == "a.b"
