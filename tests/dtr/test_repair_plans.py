"""One replica becomes the whole of DTR: only when more than half are lost, and only where a version can. T8."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from swarmtui.errors import RefusedError, UsageError
from swarmtui.model.dtr.facts import Version
from swarmtui.runbooks.dtr.found import DtrAccess, Replica
from swarmtui.runbooks.dtr.images import ELSEWHERE, IMAGES
from swarmtui.runbooks.dtr.images import LOCAL as DISK
from swarmtui.runbooks.dtr.repair import ALONE, STARTABLE, Repair, RepairFacts, refuse_version
from swarmtui.runbooks.runbook import Danger, Plan
from tests.dtr.plans import URL, line_of, replica, steps_of, work
from tests.dtr.seen import ONE, THREE, TWO, parts

LOST: dict[str, Any] = {"member": None, "health": ""}
GONE = {TWO: "w2", THREE: "w3"}


def down(number: int) -> Replica:
    """A replica whose database is there, and does not run."""
    one = replica(number, **LOST)
    assert one.on is not None
    return msgspec.structs.replace(
        one, on=msgspec.structs.replace(one.on, parts=parts(one.id, told={"rethinkdb": "Exited (1) 2 hours ago"}))
    )


def repair(wanted: Replica, *others: Replica, given: dict[str, Any] | None = None, **more: Any) -> Plan:
    told: dict[str, Any] = {"work": work("2.7.8"), "trouble": "its /_ping says 503.", "balancer": URL} | more
    found = RepairFacts(cluster="prod", cluster_id="c", wanted=wanted, others=others, **told)
    return Repair().plan({"replica": wanted.id} | (given or {}), msgspec.to_builtins(found))


def test_dtr_is_made_from_the_volumes_that_are_left() -> None:
    plan = repair(replica(1, **LOST), lost=GONE, sure=True)
    assert steps_of(plan) == ["image", "repair", "well", "balancer", "clear-job"]
    line = line_of(plan, "repair")
    assert line.endswith(f"--existing-replica-id {ONE} --yes") and "docker/dtr:2.7.8 emergency-repair --ucp-url" in line
    assert "--log-driver none" in line and "--prune" not in line
    assert (plan.danger, plan.typed, plan.rules) == (Danger.DESTRUCTIVE, ONE, ())
    assert "dtr.join" in str(plan.notes) and "stay where they are" in str(plan.notes)


def test_pruning_and_the_subnet_are_said_and_told() -> None:
    both = (down(1), down(2))
    plan = repair(*both, given={"prune": True, "overlay-subnet": "10.9.0.0/24"}, images=ELSEWHERE)
    assert line_of(plan, "repair").endswith("--yes --prune --overlay-subnet 10.9.0.0/24")
    assert f"{TWO} on w2: its containers go, and its volumes." in str(plan.changes)
    assert plan.binding != repair(*both).binding
    assert [one.id for one in plan.rules] == [STARTABLE]


def test_images_that_go_with_the_volumes_of_others_are_a_decision() -> None:
    for at, unless in ((DISK, False), ("", True)):
        plan = repair(down(1), down(2), given={"prune": True}, images=at)
        assert [(one.id, one.about) for one in plan.rules] == [(STARTABLE, ONE), (IMAGES, TWO)]
        told = plan.rules[-1].what
        assert f"tar -cf backup-images.tar -C /var/lib/docker/volumes dtr-registry-{TWO}" in told
        assert ("unless the storage is another one" in told) == unless
    assert [one.id for one in repair(down(1), down(2), images=DISK).rules] == [STARTABLE], "volumes stay"


@pytest.mark.parametrize(
    ("others", "silent", "rule"),
    [
        ((), {}, False),
        ((down(2),), {}, True),
        ((replica(2, volumes=False, **LOST),), {}, False),
        ((replica(2, volumes=False, **LOST),), {"w3": "no route."}, True),
    ],
    ids=["nothing-else", "data-left", "no-data", "silent-host"],
)
def test_what_could_be_started_instead_is_a_decision(
    others: tuple[Replica, ...], silent: dict[str, str], rule: bool
) -> None:
    plan = repair(down(1), *others, silent=silent)
    assert [one.id for one in plan.rules] == ([STARTABLE] if rule else [])
    assert len(plan.warnings) == len(silent)


@pytest.mark.parametrize(
    ("wanted", "others", "more", "words", "way"),
    [
        (replica(1), (replica(2, health="ill"),), {"answers": True}, "is up", f"dtr.remove replica={TWO}"),
        (replica(1), (), {"answers": True}, "is up", "Nothing is to be repaired"),
        (replica(1, volumes=False, **LOST), (replica(2, **LOST),), {}, "on no node", f"{TWO} on w2"),
        (replica(1, on=None, **LOST), (), {}, "on no node", "dtr.restore"),
        (replica(1, **LOST), (replica(2, **LOST), replica(3, **LOST)), {}, "which is a majority", "swarmtui doctor"),
        (replica(1, **LOST), (replica(2, **LOST),), {"lost": {THREE: "w3"}, "sure": True}, "a majority", "doctor"),
        (replica(1, **LOST), (), {"sure": True}, f"runs on {ONE} on w1, which is a majority", "swarmtui doctor"),
        (down(1), (), {"works": True, "lost": GONE}, "says by /_ping that it is well", "secrets set ucp-password prod"),
    ],
    ids=["quorum", "healthy", "other-has-data", "nothing-left", "all-run", "two-of-three-run", "only-one", "ping"],
)
def test_where_nothing_can_or_must_be_repaired_the_way_is_told(
    wanted: Replica, others: tuple[Replica, ...], more: dict[str, Any], words: str, way: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        repair(wanted, *others, **more)
    assert words in caught.value.what and way in caught.value.next_step


def test_the_majority_is_counted_of_all_replicas_also_of_those_that_nobody_sees() -> None:
    """Two hosts of three were rebuilt: the one that is left is no majority, though it is all that can be seen."""
    assert not repair(replica(1, **LOST), lost=GONE, sure=True).rules
    plan = repair(replica(1, **LOST), away=GONE, sure=True)
    assert [one.id for one in plan.rules] == [STARTABLE] and "w2, w3 cannot be asked" in plan.rules[0].what
    assert not repair(
        replica(1, **LOST), away={TWO: ""}, lost={THREE: "w3", "a" * 12: "w4", "b" * 12: "w5"}, sure=True
    ).rules


def test_one_replica_that_runs_and_of_which_nobody_knows_whether_it_was_alone_is_a_decision() -> None:
    plan = repair(replica(1, **LOST))
    assert [(one.id, one.about) for one in plan.rules] == [(ALONE, ONE)]
    assert not repair(down(1)).rules


@pytest.mark.parametrize("version", ["2.4.1", "2.4.12", "2.5.0", "2.7.8", "2.9.4"])
def test_only_2_5_and_later_have_it(version: str) -> None:
    known = DtrAccess(cluster="prod", cluster_id="c", version=version)
    if Version.parse(version).emergency_repair:
        refuse_version(known)
        return
    with pytest.raises(RefusedError, match="has no emergency-repair") as caught:
        refuse_version(known)
    assert "First start the hosts" in caught.value.next_step and "dtr.restore" in caught.value.next_step
    with pytest.raises(UsageError, match="has no command"):
        work(version).command("emergency-repair")
