"""What speaks against a first replica of DTR, and what its plan is made of: from facts alone (T1)."""

from __future__ import annotations

import subprocess
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from swarmtui.errors import RefusedError, UsageError
from swarmtui.model.dtr.facts import Version
from swarmtui.model.preflight import Address, HostFacts
from swarmtui.model.ucp.facts import GIB
from swarmtui.runbooks import params as kinds
from swarmtui.runbooks.dtr.commanding import Work
from swarmtui.runbooks.dtr.elsewhere import Elsewhere
from swarmtui.runbooks.dtr.hosts import ReplicaOnHost
from swarmtui.runbooks.dtr.install import Install, InstallFacts
from swarmtui.runbooks.dtr.new_node import NewNode
from swarmtui.runbooks.dtr.way import UcpWay
from swarmtui.runbooks.render import script
from swarmtui.runbooks.runbook import Plan
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.install_facts import HostNow
from swarmtui.runbooks.ucp.own_certificates import OwnCertificates
from swarmtui.runbooks.ucp.places import Place
from tests.dtr.oracle import VERSIONS, check, check_certificates, runs_in

NOW = 1_800_000_000.0
ONE, TWO, THREE, NEW = "47f20fb864cf", "a6a628053157", "daa7b23c3a61", "0123456789ab"
URL = "https://dtr.example.com"
WAY = UcpWay(product="UCP 2.2.5", url="https://10.0.0.1:443", well=("mgr1",))
OWN = OwnCertificates(
    folder="/srv/it's", names=("dtr.example.com",), issuer="Root", begins=NOW - 9e6, ends=NOW + 9e6, fits=True,
    signed=True, itself=False, digest="cd",
)  # fmt: skip


def place(name: str, number: int, *, manager: bool = False) -> Place:
    at = Where(name, f"ssh://root@10.0.0.{number}", f"root@10.0.0.{number}")
    return Place(id=f"id-{name}", name=name, at=at, manager=manager, address=f"10.0.0.{number}")


def work(version: str = "2.4.1", **changes: Any) -> Work:
    at = Where("mgr1", "ssh://root@10.0.0.1", "root@10.0.0.1")
    return Work(version=Version.parse(version), at=at, way=replace(WAY, **changes), job_id="20261122T041500Z-0123abcd")


def node(name: str = "dtr1", number: int = 31, *, manager: bool = False, **changes: Any) -> NewNode:
    target = f"ssh://root@10.0.0.{number}"
    address = f"10.0.0.{number}"
    measured = HostFacts(
        target=target, name=name, role="worker", advertise=address, engine="17.06.2-ee-8", cpus=4,
        memory=changes.pop("memory", 16 * GIB), disk=100 * GIB, state="active", addresses=(Address(address),),
        offset=0.0, offset_bound=0.01,
    )  # fmt: skip
    at = place(name, number, manager=manager)
    now = HostNow(place=at, measured=measured, listening=changes.pop("listening", (22, 7946)))
    made = NewNode(
        place=at, hostname=name, active=True, state="ready, active", now=now, images=("docker/dtr:2.4.1",)
    )  # fmt: skip
    return replace(made, **changes)


def lies(replica: str, at: Place) -> ReplicaOnHost:
    return ReplicaOnHost(id=replica, node=at, volumes=(f"dtr-rethink-{replica}",))


def known(**changes: Any) -> InstallFacts:
    facts = InstallFacts(
        cluster="prod", cluster_id="cluster", work=work(), node=node(), replica_id=NEW, balancer="ucp.example.com:443",
        now=NOW,
    )  # fmt: skip
    return replace(facts, **changes)


def plan(facts: InstallFacts, **given: str) -> Plan:
    told = {"version": str(facts.work.version), "node": facts.node.name, "url": URL, "storage": "nfs://nas/dtr"}
    return Install().plan(kinds.parse("dtr.install", Install.params, told | given), msgspec.to_builtins(facts))


def test_a_good_place_has_nothing_against_it() -> None:
    made = plan(known(work=work("2.4.14")))
    assert made.warnings == () and made.rules == () and made.typed == ""
    assert [step.id for step in made.steps] == ["image", "install", "well", "balancer", "clear-job"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("storage", ["nfs://nas/dtr", "volume:images", "local"])
def test_every_command_is_documented_for_its_version(version: str, storage: str) -> None:
    given = {"storage": storage, "http-port": "8080", "https-port": "8443"}
    made = plan(known(work=work(version), own=OWN), **given)
    (run,) = runs_in(script(made))
    check(run)
    assert (run["--ucp-node"], run["--replica-id"], run["--dtr-external-url"]) == ("dtr1", NEW, URL)
    assert (run["--replica-http-port"], run["--replica-https-port"]) == ("8080", "8443")
    check_certificates(run)
    places = {flag: value for flag, value in run.flags if "storage" in flag}
    wanted = {
        "nfs://nas/dtr": {"--nfs-storage-url": "nfs://nas/dtr"}, "volume:images": {"--dtr-storage-volume": "images"},
    }  # fmt: skip
    assert places == wanted.get(storage, {})
    read = subprocess.run(["sh", "-n"], input=script(made), capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr


def test_usual_ports_and_certificates_are_not_told() -> None:
    (run,) = runs_in(script(plan(known())))
    assert {flag for flag, _ in run.flags} == {
        "--ucp-url", "--ucp-username", "--ucp-node", "--replica-id", "--dtr-external-url", "--nfs-storage-url",
    }  # fmt: skip


def test_the_password_is_asked_for_and_stands_nowhere() -> None:
    made = plan(known(own=OWN))
    text = script(made)
    assert "IFS= read -r UCP_PASSWORD" in text and "stty -echo" in text and "--ucp-password" not in text
    assert "ucp-controller-server-certs" in text and "> ucp-ca.pem" in text, "UCP's authority is saved before"
    assert any("can read UCP_PASSWORD and DTR_KEY with docker inspect" in note for note in made.notes)
    late = plan(known(own=OWN, work=work("2.9.4")))
    assert any("--dtr-key" in note and "ps, docker inspect), and UCP_PASSWORD" in note for note in late.notes)
    assert any("UCP_PASSWORD" in note for note in plan(known()).notes)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (known(work=work(trouble="No UCP runs here.")), "UCP of prod is not to be had: No UCP runs here"),
        (known(work=work(well=())), "not healthy on any manager"),
        (known(others=("9 containers of replica a on dtr2",)), "DTR is on prod already"),
        (known(node=node(active=False, state="down, active")), "dtr1 is down, active"),
        (known(node=node(there=(lies(ONE, place("dtr1", 31)),))), f"1 volume of replica {ONE} on dtr1"),
        (known(node=node(listening=(22, 443))), "TCP port 443 of dtr1 already"),
        (known(node=node(listening=(80, 443))), "TCP port 80 and 443 of dtr1"),
        (known(own=replace(OWN, fits=False)), "is not the key of cert.pem"),
        (known(own=replace(OWN, ends=NOW - 86_400)), "ended 1 days ago"),
        (known(balancer="dtr.example.com:443"), "is the load balancer of UCP"),
    ],
)
def test_what_stands_in_the_way(facts: InstallFacts, why: str) -> None:
    with pytest.raises(RefusedError) as raised:
        plan(facts)
    assert why in raised.value.what and raised.value.next_step


def test_other_ports_where_the_usual_ones_are_taken() -> None:
    taken = known(node=node(listening=(80, 443)))
    assert plan(taken, **{"http-port": "8080", "https-port": "8443"}).steps
    with pytest.raises(RefusedError, match="cannot have the same port"):
        plan(known(), **{"http-port": "8443", "https-port": "8443"})


@pytest.mark.parametrize(
    ("facts", "rule", "why"),
    [
        (known(node=node("mgr2", 2, manager=True)), "dtr-on-manager=mgr2", "belongs on dedicated workers"),
        (known(node=node(services=("shop_web",))), "dtr-with-workloads=dtr1", "runs tasks of shop_web"),
        (known(work=work(insecure=True)), "ucp-not-verified=UCP", "can read the password"),
    ],
)
def test_what_must_be_decided(facts: InstallFacts, rule: str, why: str) -> None:
    made = plan(facts)
    assert [str(one) for one in made.rules] == [rule] and why in made.rules[0].what
    assert made.typed == rule.partition("=")[2]


def test_an_unverified_ucp_is_the_operators_decision() -> None:
    (run,) = runs_in(script(plan(known(work=work(insecure=True)))))
    assert ("--ucp-insecure-tls", "") in run.flags and run.named == ["UCP_PASSWORD"]
    assert "ucp-ca.pem" not in script(plan(known(work=work(insecure=True))))


@pytest.mark.parametrize(
    ("facts", "warning"),
    [
        (known(), "writes credentials into the logs"),
        (known(node=node(memory=4 * GIB)), "less than DTR 2.4.1 asks of a node at least: 4.0 of 8 GiB"),
        (known(node=node(memory=8 * GIB)), "less than is recommended for DTR 2.4.1"),
        (known(node=node(missing=("docker/dtr:2.4.1",))), "1 of 1 images of DTR 2.4.1 are not on dtr1"),
        (known(elsewhere=Elsewhere(network=True)), "yet the Swarm has DTR's network dtr-ol: that is left over"),
        (known(elsewhere=Elsewhere(noted={ONE: ""})), f"yet replica {ONE} was last seen on a node that nobody noted"),
        (known(own=replace(OWN, names=("other.example.com",))), "not made out to dtr.example.com"),
        (known(own=replace(OWN, itself=True)), "signed by nobody but itself"),
    ],
)
def test_what_is_warned_of(facts: InstallFacts, warning: str) -> None:
    assert any(warning in told for told in plan(facts).warnings)


def test_a_node_that_cannot_be_looked_at_may_have_a_dtr_and_that_is_decided() -> None:
    (rule,) = plan(known(silent=("wrk9",))).rules
    assert str(rule) == "dtr-may-be-there=prod" and "on wrk9 cannot be seen: where that host is only off" in rule.what
    signs = Elsewhere(network=True, noted={ONE: "wrk9"})
    (more,) = plan(known(silent=("wrk9",), elsewhere=signs)).rules
    assert f"cannot be seen, and replica {ONE} was last seen on wrk9, and the Swarm has DTR's network" in more.what
    assert not any("yet" in told for told in plan(known(silent=("wrk9",), elsewhere=signs)).warnings)


def test_no_second_dtr_is_installed_while_one_answers_at_its_address() -> None:
    with pytest.raises(RefusedError, match=r"https://dtr\.example\.com says by /_ping that it is well") as caught:
        plan(known(elsewhere=Elsewhere(answers=URL)))
    assert "swarmtui run dtr.join" in caught.value.next_step
    with pytest.raises(RefusedError, match="is the load balancer of UCP"):
        plan(known(elsewhere=Elsewhere(answers=URL), balancer="dtr.example.com:443"))


def test_an_address_that_is_the_node_itself() -> None:
    made = plan(known(), url="https://10.0.0.31")
    assert any("leads to dtr1 itself" in told for told in made.warnings)


def test_local_storage_is_told_to_be_for_one_replica_only() -> None:
    assert any("Before a second replica joins" in note for note in plan(known(), storage="local").notes)
    assert any("back that up too" in note for note in plan(known()).notes)
    everywhere = plan(known(node=node(everywhere=("logs",))))
    assert everywhere.rules == () and any("tasks of logs" in note for note in everywhere.notes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", "http://dtr.example.com"),
        ("url", "https://dtr.example.com/path"),
        ("url", "dtr.example.com"),
        ("storage", "nfs://nas"),
        ("storage", "/srv/images"),
        ("storage", "s3"),
        ("storage", "volume:"),
        ("storage", "nfs://nas/a b"),
        ("https-port", "0"),
        ("version", "2.3.1"),
        ("version", "latest"),
        ("replica", "47F20FB864CF"),
        ("replica", "47f2"),
    ],
)
def test_what_cannot_be_meant(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name):
        plan(known(), **{name: value})


def test_a_confirmation_is_bound_to_what_was_shown() -> None:
    first = plan(known())
    assert plan(known(replica_id=ONE)).binding == first.binding, "an id that is drawn anew is nobody's decision"
    others = [
        plan(known(node=node("dtr2", 32))),
        plan(known(work=work("2.4.14"))),
        plan(known(), url="https://other.example.com"),
        plan(known(), storage="local"),
        plan(known(node=node(services=("x",)))),
        plan(known(), replica=ONE),
        plan(known(own=OWN)),
    ]
    assert len({first.binding, *(made.binding for made in others)}) == len(others) + 1


def test_facts_come_back_as_they_went() -> None:
    made = plan(known(own=OWN))
    again = plan(msgspec.convert(made.facts, InstallFacts))
    assert (again.binding, script(again)) == (made.binding, script(made))
