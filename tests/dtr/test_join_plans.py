"""What speaks against another replica, a new setting or another version of DTR: from facts alone (T3)."""

from __future__ import annotations

import hashlib
import subprocess
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from swarmtui.errors import RefusedError
from swarmtui.model.dtr.facts import Version
from swarmtui.model.dtr.seen import Part, Storage
from swarmtui.runbooks import params as kinds
from swarmtui.runbooks.dtr.found import Replica
from swarmtui.runbooks.dtr.hosts import CORE, ReplicaOnHost
from swarmtui.runbooks.dtr.join import Join, JoinFacts
from swarmtui.runbooks.dtr.reconfigure import ReconfigureDtr, ReconfigureFacts
from swarmtui.runbooks.dtr.upgrade import UpgradeCheck, UpgradeFacts
from swarmtui.runbooks.render import script
from swarmtui.runbooks.runbook import Plan
from tests.dtr.oracle import VERSIONS, check, check_certificates, runs_in
from tests.dtr.test_install_plans import NEW, NOW, ONE, OWN, THREE, TWO, URL, lies, node, place, work

NFS = Storage("nfs", "nfs://nas/dtr")
ILL = "Replica reported health too long ago: 2017-02-18T01:11:20Z"


def member(replica: str, number: int, *, health: str = "OK", runs: bool = True) -> Replica:
    at = place(f"dtr{number}", 30 + number)
    state = "running" if runs else "exited"
    parts = tuple(Part(f"dtr-{name}-{replica}", state=state, component=name, replica=replica) for name in CORE)
    on = ReplicaOnHost(id=replica, node=at, parts=parts, volumes=(f"dtr-rethink-{replica}",))
    url = f"https://10.0.0.{30 + number}"
    return Replica(id=replica, node=at.name, url=url, on=on, member=True, health=health)


MEMBERS = (member(ONE, 1), member(TWO, 2))


def known(**changes: Any) -> JoinFacts:
    facts = JoinFacts(
        cluster="prod", cluster_id="cluster", work=work("2.4.14"), node=node("dtr3", 33), replica_id=NEW,
        members=MEMBERS, versions=("2.4.14",), storage=NFS, url=URL,
    )  # fmt: skip
    return replace(facts, **changes)


def plan(facts: JoinFacts, **given: str) -> Plan:
    told = {"node": facts.node.name}
    return Join().plan(kinds.parse("dtr.join", Join.params, told | given), msgspec.to_builtins(facts))


def test_a_good_place_has_nothing_against_it() -> None:
    made = plan(known())
    assert made.warnings == () and made.rules == ()
    assert [step.id for step in made.steps] == ["image", "join", "well", "counted", "balancer", "clear-job"]
    assert "Replicas: 2 (none of them may be lost) → 3 (1 of them may be lost)." in str(made.changes)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_command_is_documented_for_its_version(version: str) -> None:
    made = plan(known(work=work(version)), **{"https-port": "8443"})
    (run,) = runs_in(script(made))
    check(run)
    assert (run["--ucp-node"], run["--replica-id"], run["--existing-replica-id"]) == ("dtr3", NEW, ONE)
    assert run["--replica-https-port"] == "8443"
    read = subprocess.run(["sh", "-n"], input=script(made), capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr


def test_it_talks_to_a_replica_that_runs() -> None:
    (run,) = runs_in(script(plan(known(members=(member(ONE, 1, runs=False), member(TWO, 2))))))
    assert run["--existing-replica-id"] == TWO


@pytest.mark.parametrize(
    ("facts", "why", "way"),
    [
        (known(trouble="Every /_ping says 500.", members=()), "does not answer: Every /_ping says 500", "dtr.restore"),
        (known(trouble="x", work=work("2.7.8")), "DTR 2.7.8 does not answer", "dtr.repair"),
        (known(members=()), "counts no replica in", "swarmtui doctor"),
        (known(members=(MEMBERS[0], member(TWO, 2, health=ILL))), ILL, f"dtr.remove replica={TWO}"),
        (
            known(members=(member(ONE, 1, health="sick"), member(TWO, 2), member(THREE, 3, health=ILL))),
            "before another one joins",
            f"replica={ONE},{THREE}",
        ),
        (known(versions=("2.4.1", "2.4.14")), "several versions (2.4.1, 2.4.14)", "Finish the upgrade"),
        (known(replica_id=TWO), f"There is a replica {TWO} already", "another id"),
        (known(leftovers=(Replica(id=NEW),)), f"There is a replica {NEW} already", "another id"),
        (known(work=work("2.4.14", well=())), "not healthy on any manager", "Mend UCP"),
        (known(node=node("dtr3", 33, listening=(443,))), "TCP port 443 of dtr3", "https-port="),
        (known(node=node("dtr3", 33, there=(lies(THREE, place("dtr3", 33)),))), "is, or was, on dtr3", "dtr.destroy"),
        (known(node=node("dtr3", 33, active=False, state="ready, drain")), "ready, drain", "node.activate node=dtr3"),
    ],
)
def test_what_stands_in_the_way(facts: JoinFacts, why: str, way: str) -> None:
    with pytest.raises(RefusedError) as raised:
        plan(facts)
    assert why in raised.value.what and way in raised.value.next_step


@pytest.mark.parametrize(
    ("facts", "rule", "why"),
    [
        (known(storage=Storage()), "dtr-local-storage=dtr3", "unless an object storage was set"),
        (known(storage=Storage(), kind="filesystem"), "dtr-local-storage=dtr3", "each replica's own disk: what"),
        (known(node=node("mgr2", 2, manager=True)), "dtr-on-manager=mgr2", "is a manager"),
        (known(work=work("2.4.14", insecure=True)), "ucp-not-verified=UCP", "is not verified"),
    ],
)
def test_what_must_be_decided(facts: JoinFacts, rule: str, why: str) -> None:
    made = plan(facts)
    assert [str(one) for one in made.rules] == [rule] and why in made.rules[0].what


def test_object_storage_is_shared() -> None:
    assert plan(known(storage=Storage(), kind="s3")).rules == ()


@pytest.mark.parametrize(
    ("facts", "warning"),
    [
        (known(work=work("2.4.1")), "writes credentials into the logs"),
        (known(members=MEMBERS[:1]), "Then there are 2 replicas: an even number"),
        (known(members=tuple(member(f"{n:012x}", n) for n in range(7))), "more than 7"),
        (known(storage=Storage("volume", "images")), "volume images: on dtr3"),
        (known(leftovers=(Replica(id=THREE, node="dtr9"),)), f"dtr.destroy replica={THREE}"),
        (known(url=""), "tell it of the new replica yourself"),
    ],
)
def test_what_is_warned_of(facts: JoinFacts, warning: str) -> None:
    assert any(warning in told for told in plan(facts).warnings)


def test_what_the_load_balancer_must_learn() -> None:
    text = script(plan(known(), **{"https-port": "8443"}))
    assert "Add 10.0.0.33:8443 (dtr3) to the load balancer of https://dtr.example.com" in text
    assert [step.id for step in plan(known(url="")).steps if step.id == "balancer"] == []
    (balancer,) = [step for step in plan(known()).steps if step.id == "balancer"]
    assert balancer.skippable and "does not lead to it yet" in balancer.if_stopped


def test_a_confirmation_is_bound_to_what_was_shown() -> None:
    first = plan(known())
    assert plan(known(replica_id="ba9876543210")).binding == first.binding
    others = [
        plan(known(node=node("dtr4", 34))),
        plan(known(storage=Storage())),
        plan(known(members=(*MEMBERS, member(THREE, 3)))),
        plan(known(), **{"http-port": "81"}),
        plan(known(work=work("2.4.2"))),
    ]
    assert len({first.binding, *(made.binding for made in others)}) == len(others) + 1


# -- dtr.reconfigure ---------------------------------------------------------------------------------------------------

CERT = hashlib.sha256(b"theirs").hexdigest()
TOLD = {"dtrHost": "dtr.example.com", "logProtocol": "internal", "logHost": "", "logLevel": "INFO", "webTLSCert": "x"}


def settled(**changes: Any) -> ReconfigureFacts:
    facts = ReconfigureFacts(
        cluster="prod", cluster_id="cluster", work=work("2.7.8"), members=(*MEMBERS, member(THREE, 3)), now=TOLD,
        url=URL, at=NOW,
    )  # fmt: skip
    return replace(facts, **changes)


def reconfigured(facts: ReconfigureFacts, **given: str) -> Plan:
    told = kinds.parse("dtr.reconfigure", ReconfigureDtr.params, given)
    return ReconfigureDtr().plan(told, msgspec.to_builtins(facts))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_reconfiguration_is_documented_for_its_version(version: str) -> None:
    facts = settled(work=work(version), own=OWN, cert=CERT)
    given = {
        "log-protocol": "tcp",
        "log-host": "10.0.0.9:514",
        "log-level": "DEBUG",
        "url": "https://dtr.example.com:8443",
    }
    made = reconfigured(facts, certificates="/srv/it's", **given)
    (run,) = runs_in(script(made))
    check(run)
    check_certificates(run)
    assert {flag for flag, _ in run.flags} >= {"--existing-replica-id", "--log-host"}
    assert not {flag for flag, _ in run.flags} & {"--nfs-storage-url", "--dtr-storage-volume", "--storage-migrated"}
    assert any("The address is part of every image's name" in told for told in made.warnings)


def test_only_what_changes_is_told() -> None:
    made = reconfigured(settled(), url="https://dtr.example.com:443", **{"log-level": "DEBUG"})
    (run,) = runs_in(script(made))
    assert ("--log-level", "DEBUG") in run.flags and "--dtr-external-url" not in dict(run.flags)
    assert str(made.changes) == str((("warn", "log-level: INFO → DEBUG."),))
    done = reconfigured(settled(own=OWN, cert="x"), certificates="f", url=URL, **{"log-level": "INFO"})
    assert done.steps == () and "configured so already" in done.nothing


@pytest.mark.parametrize(
    ("facts", "given", "why"),
    [
        (settled(), {}, "Nothing was said"),
        (settled(), {"storage": "nfs://x/y"}, "must be marked as a move"),
        (settled(work=work("2.4.1")), {"storage": "nfs://x/y"}, "only 2.6.4 and later"),
        (settled(trouble="It is away."), {"url": URL}, "It is away"),
        (settled(members=(MEMBERS[0], member(TWO, 2, health=ILL))), {"url": URL}, "Not all replicas are healthy"),
        (settled(own=replace(OWN, fits=False), cert=CERT), {"certificates": "f"}, "is not the key of cert.pem"),
    ],
)
def test_what_is_not_reconfigured(facts: ReconfigureFacts, given: dict[str, str], why: str) -> None:
    with pytest.raises(RefusedError) as raised:
        reconfigured(facts, **given)
    assert why in raised.value.what and raised.value.next_step


def test_certificates_are_judged_by_the_address_that_will_be() -> None:
    facts = settled(own=OWN, cert=CERT)
    assert not any("not made out" in told for told in reconfigured(facts, certificates="f").warnings)
    told = reconfigured(facts, certificates="f", url="https://reg.example.com").warnings
    assert any("not made out to reg.example.com" in line for line in told)


# -- dtr.upgrade-check -------------------------------------------------------------------------------------------------


def upgrade(wanted: str, **changes: Any) -> Plan:
    facts = UpgradeFacts(
        cluster="prod", cluster_id="cluster", now=Version.parse("2.4.1"), versions={"2.4.1": (ONE, TWO)},
        members=MEMBERS, ucp="UCP 2.2.5", ucp_url="https://10.0.0.1:443", ucp_well=("mgr1",),
    )  # fmt: skip
    given = kinds.parse("dtr.upgrade-check", UpgradeCheck.params, {"version": wanted})
    return UpgradeCheck().plan(given, msgspec.to_builtins(replace(facts, **changes)))


def test_an_upgrade_that_may_be() -> None:
    made = upgrade("2.5.15")
    assert made.steps == () and made.nothing == "DTR 2.4.1 may become DTR 2.5.15. Nothing was changed."
    (run,) = [run for note in made.notes for run in runs_in(note)]
    check(run)
    assert (run.version, run.command, run["--existing-replica-id"]) == ("2.5.15", "upgrade", ONE)
    assert any("swarmtui run dtr.backup" in note for note in made.notes)
    assert any("change those credentials" in told for told in made.warnings)


def test_what_it_is_already_it_needs_not_become() -> None:
    made = upgrade("2.4.1")
    assert made.nothing == "All replicas run DTR 2.4.1 already." and not made.notes


@pytest.mark.parametrize(
    ("wanted", "changes", "why"),
    [
        ("2.6.4", {}, "the way is 2.5 → 2.6"),
        ("2.4.14", {"now": Version.parse("2.5.15"), "versions": {"2.5.15": (ONE,)}}, "cannot become the older"),
        ("2.6.4", {"now": Version.parse("2.5.15"), "versions": {"2.5.15": (ONE,), "2.4.1": (TWO,)}}, "2.5 → 2.6"),
        ("2.5.15", {"trouble": "It is away."}, "It is away"),
        ("2.5.15", {"members": (MEMBERS[0], member(TWO, 2, health=ILL))}, "Not all replicas are healthy"),
        ("2.5.15", {"ucp_well": ()}, "UCP is not healthy"),
    ],
)
def test_an_upgrade_that_may_not_be(wanted: str, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(RefusedError) as raised:
        upgrade(wanted, **changes)
    assert why in raised.value.what and raised.value.next_step


def test_one_that_was_broken_off_is_told() -> None:
    made = upgrade("2.5.15", versions={"2.4.1": (ONE,), "2.5.15": (TWO,)})
    assert any("It can be run again" in told and f"2.5.15: {TWO}" in told for told in made.warnings)
