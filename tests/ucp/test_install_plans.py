"""What speaks against an installation, and what its plan is made of: from facts alone (U1, U2)."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from swarmtui.errors import RefusedError
from swarmtui.model.preflight import Address, HostFacts
from swarmtui.model.ucp.facts import GIB, Version
from swarmtui.runbooks.render import plan_json, script
from swarmtui.runbooks.runbook import Plan
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.install import Install
from swarmtui.runbooks.ucp.install_facts import HostNow, InstallFacts, listening_in
from swarmtui.runbooks.ucp.own_certificates import OwnCertificates
from swarmtui.runbooks.ucp.places import OnHost, Part, Place
from swarmtui.runbooks.ucp.uninstall_steps import uninstall_steps
from tests.ucp.oracle import check, runs_in

NOW = 1_800_000_000.0


def place(name: str, number: int, *, manager: bool = True) -> Place:
    at = Where(name, f"ssh://root@10.0.0.{number}", f"root@10.0.0.{number}")
    return Place(id=f"id-{name}", name=name, at=at, manager=manager, address=f"10.0.0.{number}")


def host(name: str, number: int, *, manager: bool = True, **changes: Any) -> HostNow:
    facts = HostFacts(
        target=f"ssh://root@10.0.0.{number}", name=name, role="manager" if manager else "worker",
        advertise=f"10.0.0.{number}", engine="17.06.2-ee-8", cpus=4, memory=16 * GIB, disk=100 * GIB, state="active",
        addresses=(Address(f"10.0.0.{number}"),), offset=0.0, offset_bound=0.01,
    )  # fmt: skip
    measured = {key: value for key, value in changes.items() if key in HostFacts.__struct_fields__}
    own = {key: value for key, value in changes.items() if key not in measured}
    now = HostNow(
        place=place(name, number, manager=manager), measured=replace(facts, **measured), kernel="3.10.0-693.el7.x86_64",
        listening=(22, 2377, 7946),
    )  # fmt: skip
    return replace(now, **own)


def known(*hosts: HostNow, **changes: Any) -> InstallFacts:
    facts = InstallFacts(
        version=Version.parse("2.2.5"), cluster="prod", cluster_id="cluster", at=place("mgr1", 1),
        hosts=hosts or (host("mgr1", 1), host("wrk1", 9, manager=False)), unasked={}, address="10.0.0.1",
        sans=("ucp.example.com",), admin="admin", expected_admin="admin", port=443, agents=(), images=(), balancer="",
        own=None, licence="/home/op/docker.lic", licence_digest="ab", licence_odd=False, kept="the keyring",
        custody={"durable": True, "words": "", "next_step": ""}, job_id="20261122T041500Z-0123abcd", now=NOW,
    )  # fmt: skip
    return replace(facts, **changes)


def plan(facts: InstallFacts, **given: Any) -> Plan:
    return Install().plan({"version": str(facts.version), **given}, msgspec.to_builtins(facts))


def test_a_good_place_has_nothing_against_it() -> None:
    made = plan(known())
    assert made.warnings == () and made.rules == ()
    assert [step.id for step in made.steps] == ["image", "install", "well", "login", "clear"]


@pytest.mark.parametrize("version", ["2.2.5", "3.0.4", "3.1.2", "3.2.7", "3.4.5"])
def test_every_command_is_documented_for_its_version(version: str) -> None:
    facts = known(version=Version.parse(version), port=8443, kept="")
    forced = {"force-minimums": True} if version != "2.2.5" else {}
    made = plan(facts, **forced)
    runs = runs_in(script(made))
    assert [run.command for run in runs] == ["install", "dump-certs"]
    for run in runs:
        check(run)
    flags = dict(runs[0].flags)
    assert flags["--controller-port"] == "8443" and flags["--host-address"] == "10.0.0.1"
    assert ("--force-minimums" in flags) == bool(forced)
    assert ("--admin-password" in flags) == (version in ("2.2.5", "3.0.4", "3.1.2"))
    away = uninstall_steps(Version.parse(version), "cluster", place("mgr1", 1), (place("mgr1", 1),), facts.job_id)
    (run,) = [run for step in away for shown in step.shown for run in runs_in(shown.as_sh)]
    check(run)
    assert run.flags == [("--id", "cluster")]


def test_the_password_is_named_where_it_can_be_seen() -> None:
    assert any("--admin-password" in note and "docker inspect" in note for note in plan(known()).notes)
    later = plan(known(version=Version.parse("3.2.7")))
    assert not any("--admin-password" in note for note in later.notes)
    assert "UCP_ADMIN_PASSWORD" in str(plan_json(later)["notes"])


def test_a_switch_that_a_version_does_not_have_is_refused() -> None:
    with pytest.raises(Exception, match="has no flag --force-minimums"):
        plan(known(), **{"force-minimums": True})


LEFT = OnHost(parts=(Part("ucp-proxy", "docker/ucp-agent:2.2.5", "Exited (1) 2 hours ago"),))


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (known(agents=("ucp-agent",)), "UCP is on prod already"),
        (
            known(host("mgr1", 1), host("wrk1", 9, manager=False, there=LEFT)),
            "left 1 container on wrk1",
        ),
        (known(host("mgr1", 1, engine="17.03.2-ee-8")), "needs 17.06 at least"),
        (known(host("mgr1", 1, engine="17.06.2-ee-6"), version=Version.parse("3.0.4")), "needs 17.06.2-ee-8 at least"),
        (known(host("mgr1", 1, kernel="2.6.32-754.el6")), "needs 3.10 at least"),
        (known(host("mgr1", 1, listening=(22, 443, 12379))), "TCP port 443, 12379 of mgr1"),
        (known(host("mgr1", 1), host("wrk1", 9, manager=False, listening=(12376,))), "TCP port 12376 of wrk1"),
    ],
)
def test_what_stands_in_the_way(facts: InstallFacts, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        plan(facts)


def test_a_worker_may_use_the_ports_of_a_manager() -> None:
    assert plan(known(host("mgr1", 1), host("wrk1", 9, manager=False, listening=(443, 12379)))).warnings == ()


@pytest.mark.parametrize(
    ("facts", "warning"),
    [
        (known(host("mgr1", 1, memory=4 * GIB)), "less than UCP 2.2.5 asks of a manager at least: 4.0 of 8 GiB"),
        (known(host("mgr1", 1, memory=8 * GIB)), "less than is recommended"),
        (known(host("mgr1", 1, memory=4 * GIB), version=Version.parse("3.4.5")), "unless force-minimums=true"),
        (known(host("mgr1", 1, addresses=(Address("10.0.0.1", dynamic=True),))), r"leased \(DHCP\)"),
        (known(licence=""), "No licence was given"),
        (known(licence_odd=True), "is no JSON"),
        (known(sans=()), "No name was given"),
        (known(balancer="lb.example.com"), "load balancer lb.example.com will not be among"),
        (known(unasked={"wrk2": "It is away."}), "wrk2 could not be looked at: It is away."),
        (known(admin="root"), 'username = "root"'),
    ],
)
def test_what_is_warned_of(facts: InstallFacts, warning: str) -> None:
    made = plan(facts)
    assert any(re.search(re.escape(warning) if "\\" not in warning else warning, told) for told in made.warnings)


def test_own_certificates_and_a_password_that_must_be_made() -> None:
    own = OwnCertificates(
        folder="/srv/certs", names=("ucp.example.com", "10.0.0.1"), issuer="Root", begins=NOW - 9e6, ends=NOW + 9e6,
        fits=True, signed=True, itself=False, digest="cd",
    )  # fmt: skip
    custody = {"durable": False, "words": "It would be lost.", "next_step": ""}
    made = plan(known(own=own, kept="", custody=custody))
    assert [step.id for step in made.steps][:4] == ["image", "password", "certificates", "install"]
    assert [str(rule) for rule in made.rules] == ["key-without-custody=prod"]
    (install,) = [run for run in runs_in(script(made)) if run.command == "install"]
    assert ("--external-server-cert", "") in install.flags
    read = subprocess.run(["sh", "-n"], input=script(made), capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr
    with pytest.raises(RefusedError, match="is not the key"):
        plan(known(own=replace(own, fits=False)))
    away = plan(known(host("mgr1", 1), host("mgr2", 2), own=own, balancer="lb.example.com"))
    assert any("not made out to lb.example.com, 10.0.0.2" in told for told in away.warnings)


def test_a_confirmation_is_bound_to_what_was_shown() -> None:
    first = plan(known())
    assert plan(known()).binding == first.binding
    for other in (known(admin="root"), known(sans=()), known(version=Version.parse("2.2.6")), known(kept="")):
        assert plan(other).binding != first.binding


def test_what_is_left_on_many_nodes_stays_one_sentence() -> None:
    hosts = [host(f"wrk{number}", number, manager=False, there=LEFT) for number in range(10, 20)]
    with pytest.raises(RefusedError) as raised:
        plan(known(host("mgr1", 1), *hosts))
    assert "left 1 container on wrk10; " in raised.value.what
    assert raised.value.what.endswith("; and more on 6 other nodes.") and len(raised.value.what) < 250


def test_loopback_is_in_every_certificate_of_ucp() -> None:
    assert plan(known(balancer="127.0.0.1")).warnings == ()


def test_ports_that_something_listens_on() -> None:
    table = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:0016 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2
  10: 00000000000000000000000000000000:3058 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0 0 3
"""
    assert listening_in(table) == (443, 12376)
