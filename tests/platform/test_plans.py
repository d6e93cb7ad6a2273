"""What platform.recover plans, from facts alone: which parts in which order, what is left alone, what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from swarmtui.backups.manifest import DtrManifest
from swarmtui.errors import RefusedError, UsageError
from swarmtui.model.dtr.members import Noted
from swarmtui.model.recovery import Advice, Diagnosis, Way
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr.found import DtrAccess, Replica
from swarmtui.runbooks.dtr.hosts import ReplicaOnHost
from swarmtui.runbooks.parts import Stage
from swarmtui.runbooks.platform import lead
from swarmtui.runbooks.platform.chosen import Chosen
from swarmtui.runbooks.platform.dtr_look import judged
from swarmtui.runbooks.platform.recover import PlatformRecover
from swarmtui.runbooks.platform.recover_facts import RecoverFacts, Seen, _must_tell, _refuse
from swarmtui.runbooks.platform.ucp_look import UcpLook
from swarmtui.runbooks.runbook import Plan
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.places import Place

DTR = DtrManifest(
    version="2.7.8",
    replica_id="a" * 12,
    replicas=("a" * 12, "b" * 12, "c" * 12),
    nodes={"a" * 12: "dtr1", "b" * 12: "dtr2", "c" * 12: "dtr3"},
    external_url="https://dtr.example",
    storage="nfs",
    storage_at="nfs://nas/dtr",
)
UCP_BACKUP = Chosen(
    id="20261122T080000Z-ucp-mgr2", kind="ucp", cluster_id="c" * 25, age="1 h", version="3.2.7", set="s1"
)
DTR_BACKUP = Chosen(
    id="20261122T080100Z-dtr-dtr1",
    kind="dtr",
    cluster_id="c" * 25,
    age="1 h",
    version="2.7.8",
    set="s1",
    dtr=DTR,
)
BACKUPS = {"ucp": UCP_BACKUP, "dtr": DTR_BACKUP}


def plan(
    *states: tuple[str, str],
    runbook: str = "",
    backups: dict[str, Chosen] | None = None,
    given: dict[str, str] | None = None,
) -> Plan:
    facts = RecoverFacts(
        cluster="prod",
        cluster_id="c" * 25,
        began=1.0,
        seen=tuple(Seen(kind=kind, state=state, told=f"{kind} is {state}.") for kind, state in states),
        runbook=runbook,
        backups=BACKUPS if backups is None else backups,
        seed=("ssh://root@10.0.0.1", "mgr1"),
        voters=3,
    )
    book = PlatformRecover()
    return book.plan(params.parse(book.name, book.params, given or {}), msgspec.to_builtins(facts))


def ids(made: Plan) -> list[str]:
    return [step.id for step in made.steps]


LOST = (("swarm", "lost"), ("ucp", "unknown"), ("dtr", "unknown"))
DTR_STEPS = ["dtr", "dtr-dtr2", "dtr-dtr3", "check-dtr"]
UCP_STEPS = ["check-swarm", "ucp", "check-ucp"]


def test_all_is_lost_swarm_first_then_ucp_then_dtr_with_a_check_between() -> None:
    made = plan(*LOST, runbook="swarm.restore")
    assert ids(made) == ["swarm", "check-swarm", "look-ucp", "ucp", "check-ucp", *DTR_STEPS]
    shown = {step.id: step.shown[0].line for step in made.steps if isinstance(step, Stage)}
    assert shown["ucp"] == f"swarmtui run ucp.restore backup={UCP_BACKUP.id} wait=600 --yes --target prod"
    assert shown["dtr"] == f"swarmtui run dtr.restore backup={DTR_BACKUP.id} --yes --target prod"
    assert shown["dtr-dtr3"] == "swarmtui run dtr.join node=dtr3 --yes --target prod"
    assert made.typed == "prod" and not any("not of one set" in line for line in made.warnings)
    stopped = {step.id: made.if_stopped_before(step) for step in made.steps}
    assert stopped["ucp"] == "The Swarm lives. UCP is as it was found." and stopped["swarm"] == "Nothing has begun."


def test_what_is_well_is_left_alone() -> None:
    assert ids(plan(("swarm", "well"), ("ucp", "lost"), ("dtr", "unknown"))) == [
        "swarm-backup",
        *UCP_STEPS,
        *DTR_STEPS,
    ]
    assert ids(plan(("swarm", "well"), ("ucp", "well"), ("dtr", "lost"))) == DTR_STEPS
    made = plan(("swarm", "well"), ("ucp", "well"), ("dtr", "well"))
    assert not made.steps and made.nothing == "Nothing is to be brought back: Swarm, UCP, DTR are there."


def test_what_is_said_otherwise_about_dtr_goes_with_its_part() -> None:
    made = plan(*LOST, runbook="swarm.restore", given={"dtr-node": "dtr2", "dtr-storage": "local"})
    (stage,) = [step for step in made.steps if step.id == "dtr"]
    assert isinstance(stage, Stage)
    assert stage.given == {"backup": DTR_BACKUP.id, "node": "dtr2", "storage": "local"}
    assert ids(made)[-3:] == ["dtr-dtr1", "dtr-dtr3", "check-dtr"]


def test_the_other_replicas_of_a_backup_that_names_none_are_said() -> None:
    assert DTR_BACKUP.dtr is not None
    by_hand = msgspec.structs.replace(DTR_BACKUP, dtr=msgspec.structs.replace(DTR_BACKUP.dtr, nodes={}))
    backups, given = {"ucp": UCP_BACKUP, "dtr": by_hand}, {"dtr-node": "dtr1"}
    made = plan(*LOST, runbook="swarm.restore", backups=backups, given=given)
    assert ids(made)[-2:] == ["dtr", "check-dtr"]
    assert any("comes back with one replica" in line and "dtr-others=" in line for line in made.notes)
    made = plan(*LOST, runbook="swarm.restore", backups=backups, given={**given, "dtr-others": "dtr3,dtr2,dtr1"})
    assert ids(made)[-4:] == DTR_STEPS and not any("one replica" in line for line in made.notes)


def test_another_node_takes_the_place_of_the_backups_own_with_its_ports() -> None:
    ports = msgspec.structs.replace(DTR_BACKUP, dtr=msgspec.structs.replace(DTR, http_port=8080, https_port=4443))
    backups = {"ucp": UCP_BACKUP, "dtr": ports}
    made = plan(*LOST, runbook="swarm.restore", backups=backups, given={"dtr-node": "wrk7"})
    assert ids(made)[-4:] == DTR_STEPS, "dtr1 had the replica that wrk7 gets: it is not joined again"
    (joined,) = [step for step in made.steps if isinstance(step, Stage) and step.id == "dtr-dtr2"]
    assert joined.given == {"node": "dtr2", "http-port": "8080", "https-port": "4443"}
    made = plan(*LOST, runbook="swarm.restore", given={"dtr-others": "none"})
    assert ids(made)[-2:] == ["dtr", "check-dtr"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"dtr-url": "dtr.example.com"},
        {"dtr-storage": "nope"},
        {"dtr-replica": "XYZ"},
        {"dtr-https-port": "0"},
        {"accept": "whatever"},
    ],
)
def test_what_a_later_part_would_not_take_is_refused_at_once(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        plan(*LOST, runbook="swarm.restore", given=wrong)


def test_a_backup_of_another_cluster_is_used_only_by_decision() -> None:
    assert not plan(*LOST, runbook="swarm.restore").rules
    other = {"ucp": msgspec.structs.replace(UCP_BACKUP, cluster_id="s" * 25), "dtr": DTR_BACKUP}
    (rule,) = plan(*LOST, runbook="swarm.restore", backups=other).rules
    assert str(rule) == "other-cluster=ucp" and "another cluster" in rule.what


def test_rules_of_later_parts_can_be_accepted_beforehand() -> None:
    made = plan(*LOST, runbook="swarm.restore", given={"accept": "dtr-other-ucp=prod"})
    (stage,) = [step for step in made.steps if step.id == "dtr"]
    assert "--accept dtr-other-ucp=prod" in stage.shown[0].line


def test_lost_and_no_backup_is_refused_with_the_way_that_is_left() -> None:
    with pytest.raises(RefusedError) as refused:
        plan(("swarm", "well"), ("ucp", "lost"), backups={})
    assert "swarmtui backups import FILE" in refused.value.next_step
    assert "swarmtui run ucp.install --help" in refused.value.next_step


def test_backups_of_different_times_are_told() -> None:
    other = {"ucp": UCP_BACKUP, "dtr": msgspec.structs.replace(DTR_BACKUP, set="s2")}
    assert any("not of one set" in line for line in plan(*LOST, runbook="swarm.restore", backups=other).warnings)


def test_a_backup_that_nobody_can_open_and_one_that_does_not_tell_enough_are_refused_before_anything() -> None:
    closed = msgspec.structs.replace(UCP_BACKUP, opened=False, because="the vault has no passphrase")
    with pytest.raises(RefusedError) as refused:
        _refuse(closed)
    assert "Nothing was begun." in refused.value.next_step and "ucp=none" in refused.value.next_step
    by_hand = DtrManifest(version="2.4.1", replica_id="a" * 12)
    with pytest.raises(UsageError) as wrong:
        _must_tell(DTR_BACKUP, by_hand, {"dtr-node": "dtr1"})
    assert wrong.value.next_step.startswith("Say it: dtr-url=https://HOST dtr-storage=nfs://HOST/PATH|local;")
    _must_tell(DTR_BACKUP, DTR, {})


def test_the_diagnosis_leads_to_the_platform() -> None:
    best = Advice(
        Way.RESTORE, "All lost.", ("b",), "swarmtui run swarm.restore backup=b host=ssh://HOST", "swarm.restore"
    )
    found = Diagnosis("The quorum is lost.", "", best)
    way = lead.way_of(found, ["ucp", "dtr"], "prod")
    assert way.about == ("Swarm", "UCP", "DTR") and way.runbook == "platform.recover"
    assert way.command == "swarmtui run platform.recover host=ssh://HOST --target prod"
    assert ("command", f"  $ {way.command}") in lead.told(way) and lead.told(None) == []


def test_ucp_lives_where_one_manager_has_it() -> None:
    look = UcpLook(runs=True, ill={"mgr1": "", "mgr2": "its /_ping says: 500"})
    assert look.lives and not look.lost and not look.well and "mgr2" in look.told
    assert UcpLook(runs=True, ill={"mgr1": "it is not up"}).lost and UcpLook().lost
    lacking = UcpLook(runs=True, ill={"mgr1": ""}, missing=("jon",))
    assert not lacking.lost and lacking.well, "somebody deleted it, perhaps rightly: nothing is restored unasked"
    assert "accounts that its newest backup has: jon." in lacking.lacks and "ucp.restore" in lacking.lacks
    hidden = UcpLook(runs=True, ill={"mgr1": "it is not up", "mgr2": "ssh: no route"}, unasked=("mgr2",))
    assert not hidden.lives and not hidden.lost, "it may live where nobody could look"
    assert UcpLook(runs=True, ill={"mgr1": ""}).well


def replica(letter: str, *, database: bool, data: bool = True) -> Replica:
    from swarmtui.model.dtr.seen import Part

    at = Where(name=f"dtr-{letter}", target=f"ssh://dtr-{letter}", host=f"dtr-{letter}")
    part = Part(name=f"dtr-rethinkdb-{letter * 12}", component="rethinkdb", replica=letter * 12)
    part = msgspec.structs.replace(part, state="running" if database else "exited")
    volumes = (f"dtr-rethink-{letter * 12}",) if data else ()
    node = Place(id=letter, name=f"dtr-{letter}", at=at)
    on = ReplicaOnHost(id=letter * 12, node=node, parts=(part,), volumes=volumes)
    return Replica(id=letter * 12, node=f"dtr-{letter}", on=on)


@pytest.mark.parametrize(
    ("version", "running", "lost", "repair"),
    [("2.7.8", "abc", False, ""), ("2.7.8", "ab", False, ""), ("2.7.8", "b", True, "b" * 12), ("2.4.1", "b", True, "")],
)
def test_dtr_is_lost_without_a_majority_and_repaired_where_its_version_can(
    version: str, running: str, lost: bool, repair: str
) -> None:
    replicas = tuple(replica(letter, database=letter in running) for letter in "abc")
    known: Any = DtrAccess(cluster="prod", cluster_id="c", version=version, replicas=replicas, trouble="Away.")
    look = judged(known)
    assert (look.lost, look.repair) == (lost, repair)


@pytest.mark.parametrize(("version", "repair"), [("2.7.8", "b" * 12), ("2.4.1", "")])
@pytest.mark.parametrize("here", [True, False], ids=["told-this-machine", "in-the-backup"])
def test_one_replica_of_three_is_no_majority_where_the_others_cannot_be_seen(
    version: str, repair: str, here: bool
) -> None:
    """Their hosts were rebuilt: the one that is left runs, and DTR is lost all the same."""
    noted = Noted({letter * 12: f"dtr-{letter}" for letter in "abc"}, 5.0)
    known = DtrAccess(
        cluster="prod",
        cluster_id="c",
        version=version,
        replicas=(replica("b", database=True),),
        trouble="Away.",
        answering=("dtr-a", "dtr-b", "dtr-c"),
        noted=noted if here else Noted(),
    )
    look = judged(known) if here else judged(known, noted)
    assert (look.lost, look.repair, look.majority) == (True, repair, False)
    assert "of 3 replicas 1 are up" in look.told
    works = judged(msgspec.structs.replace(known, works=True), noted)
    assert not works.lost and not works.repair, "it says by /_ping that it is well: what was noted is outdated"
