"""Replicas leave DTR: when they may, what is said about it, and what is run. T6."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from swarmtui.errors import RefusedError
from swarmtui.model.dtr.seen import Storage
from swarmtui.runbooks.dtr.destroy import COUNTED, LAST, REMOVABLE, STOPS, Destroy, DestroyFacts
from swarmtui.runbooks.dtr.found import Replica
from swarmtui.runbooks.dtr.images import ELSEWHERE, IMAGES
from swarmtui.runbooks.dtr.images import LOCAL as DISK
from swarmtui.runbooks.dtr.remove import LOCAL, Remove, RemoveFacts
from swarmtui.runbooks.runbook import Danger, Plan
from tests.dtr.plans import URL, line_of, replica, steps_of, work
from tests.dtr.seen import ONE, THREE, TOO_LONG_AGO, TWO, parts

NFS = Storage("nfs", "nfs://nas/x")


def remove(wanted: tuple[Replica, ...], others: tuple[Replica, ...], **more: Any) -> Plan:
    given: dict[str, Any] = {"work": work(), "storage": NFS, "balancer": URL} | more
    found = RemoveFacts(cluster="prod", cluster_id="c", wanted=wanted, others=others, **given)
    return Remove().plan({"replica": tuple(one.id for one in wanted)}, msgspec.to_builtins(found))


def destroy(wanted: Replica, *others: Replica, version: str = "2.4.1", **more: Any) -> Plan:
    given: dict[str, Any] = {"work": work(version), "version": version, "images": ELSEWHERE} | more
    found = DestroyFacts(cluster="prod", cluster_id="c", wanted=wanted, others=others, **given)
    return Destroy().plan({"replica": wanted.id}, msgspec.to_builtins(found))


def dead(number: int) -> Replica:
    """A replica that DTR counts in, and of which nothing runs."""
    one = replica(number, health=TOO_LONG_AGO)
    assert one.on is not None
    return replace(one, on=replace(one.on, parts=parts(one.id, told={"rethinkdb": "Exited (1) 2 hours ago"})))


# -- remove ------------------------------------------------------------------------------------------------------------


def test_a_lost_replica_is_removed_through_a_healthy_one() -> None:
    plan = remove((replica(2, health=TOO_LONG_AGO),), (replica(1), replica(3)))
    assert steps_of(plan) == ["image", "remove", f"clear-{TWO}-w2", "well", "balancer", "clear-job"]
    line = line_of(plan, "remove")
    assert (
        "docker container run --log-driver none --rm -i --name swarmtui-dtr-remove -e UCP_PASSWORD -e UCP_CA "
        "docker/dtr:2.4.1 remove --ucp-url https://ucp.example.com:443 --ucp-username admin "
        f"--existing-replica-id {ONE} --replica-ids {TWO}" in line
    )
    assert "--ucp-insecure-tls" not in line and "--unsafe" not in line
    assert (plan.danger, plan.typed) == (Danger.DESTRUCTIVE, TWO)
    assert "Replicas: 3 (1 of them may be lost) → 2 (none of them may be lost)." in str(plan.changes)
    assert "an even number" in str(plan.warnings) and not plan.rules
    assert "Take 10.0.0.2:443 (w2) out of the load balancer" in str(plan.steps[4].shown)
    assert Remove().plan(plan.params, plan.facts).binding == plan.binding, "made again, it is the very same"


def test_two_lost_ones_of_five_go_together_and_of_a_lost_host_only_what_can_be_seen() -> None:
    lost = (replica(2, health=TOO_LONG_AGO, on=None), replica(4, health=TOO_LONG_AGO, on=None))
    plan = remove(lost, (replica(1), replica(3), replica(5)), balancer="")
    assert steps_of(plan) == ["image", "remove", "well", "clear-job"]
    assert f"--replica-ids {TWO},000000000004" in line_of(plan, "remove")
    assert "cannot be seen now" in str(plan.warnings) and "take the replica out of it yourself" in str(plan.notes)


@pytest.mark.parametrize(
    ("wanted", "others", "more", "words", "way"),
    [
        ((replica(2),), (replica(1), replica(3, health=TOO_LONG_AGO)), {}, "too long ago", f"replica={THREE}"),
        (
            (replica(2),),
            (replica(1), replica(3, health=TOO_LONG_AGO), replica(4), replica(5)),
            {},
            "too long ago",
            f"replica={TWO},{THREE}",
        ),
        (
            (replica(1), replica(2, health=TOO_LONG_AGO)),
            (replica(3),),
            {},
            "too many",
            f"replica={TWO}",
        ),
        (
            (replica(1, health=TOO_LONG_AGO), replica(2, health=TOO_LONG_AGO)),
            (replica(3),),
            {},
            "too many",
            f"Mend {ONE}, {TWO} first",
        ),
        ((replica(1),), (), {}, "all that is left", "dtr.join"),
        ((replica(2, member=False),), (replica(1),), {}, "does not count", f"dtr.destroy replica={TWO}"),
        ((replica(1), replica(2)), (replica(3),), {}, "too many", f"replica={ONE}"),
        ((replica(2),), (), {"trouble": "it says 503."}, "2.4.1 does not answer: it says 503.", "dtr.restore"),
        ((replica(2),), (), {"trouble": "x", "work": work("2.7.8")}, "2.7.8 does not answer", "dtr.repair"),
    ],
    ids=[
        "others-ill",
        "others-ill-of-five",
        "one-ill-of-two",
        "both-ill",
        "last",
        "leftover",
        "too-many",
        "no-quorum-2.4",
        "no-quorum-2.7",
    ],
)
def test_where_no_replica_can_be_removed_the_way_that_works_is_told(
    wanted: tuple[Replica, ...], others: tuple[Replica, ...], more: dict[str, Any], words: str, way: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        remove(wanted, others, **more)
    assert words in caught.value.what and way in caught.value.next_step


@pytest.mark.parametrize(
    ("storage", "kind", "rule"),
    [
        (Storage(), "filesystem", True),
        (Storage(), "", True),
        (Storage(), "s3", False),
        (NFS, "", False),
        (None, "", False),
    ],
)
def test_images_that_only_a_replica_has_are_a_decision(storage: Storage | None, kind: str, rule: bool) -> None:
    plan = remove((replica(2),), (replica(1), replica(3)), storage=storage, kind=kind)
    assert [one.id for one in plan.rules] == ([LOCAL] if rule else [])
    assert not rule or ("which DTR does not tell" in plan.rules[0].what) == (kind == "")


def test_not_verifying_ucp_is_the_operators_decision() -> None:
    plan = remove((replica(2),), (replica(1), replica(3)), work=work(insecure=True))
    line = line_of(plan, "remove")
    assert "--ucp-insecure-tls" in line and "UCP_CA" not in line
    assert [one.id for one in plan.rules] == ["ucp-not-verified"]


def test_others_that_changed_since_change_what_a_confirmation_is_bound_to() -> None:
    one = remove((replica(2),), (replica(1), replica(3)))
    assert one.binding != remove((replica(2),), (replica(1), replica(4))).binding
    assert one.binding != remove((replica(3),), (replica(1), replica(2))).binding
    assert one.binding == remove((replica(2),), (replica(1, on=None), replica(3))).binding


# -- destroy -----------------------------------------------------------------------------------------------------------


def test_what_can_be_removed_is_destroyed_only_after_a_decision() -> None:
    plan = destroy(replica(2), replica(1), replica(3))
    assert [(one.id, one.about) for one in plan.rules] == [(REMOVABLE, TWO)]
    assert f"dtr.remove replica={TWO}" in plan.rules[0].what
    assert steps_of(plan) == ["image", f"destroy-{TWO}", f"clear-{TWO}-w2", "clear-job"]
    line = line_of(plan, f"destroy-{TWO}")
    assert line.endswith(f"docker/dtr:2.4.1 destroy --ucp-url https://ucp.example.com:443 --ucp-username admin "
                         f"--replica-id {TWO}")  # fmt: skip
    assert plan.typed == TWO


def test_what_dtr_does_not_count_in_needs_no_decision_and_volumes_alone_no_command() -> None:
    left = replica(2, member=False, health="")
    assert left.on is not None
    assert not destroy(left, replica(1), replica(3)).rules
    plan = destroy(replace(left, on=replace(left.on, parts=())), replica(1), replica(3))
    assert steps_of(plan) == [f"clear-{TWO}-w2"], "the command finds replicas by their containers"
    shown = " ".join(one.line for one in plan.steps[0].shown)
    assert f"dtr-rethink-{TWO}" in shown and ONE not in shown and "docker rm -f" in shown


def test_without_ucp_the_host_itself_does_it() -> None:
    plan = destroy(replica(2, member=None), work=None, without="UCP is not there.", trouble="nobody answers.")
    assert steps_of(plan) == [f"clear-{TWO}-w2"] and "UCP is not there." in str(plan.notes)


@pytest.mark.parametrize(
    ("wanted", "others", "more", "rule", "words"),
    [
        (replica(2), (replica(1), replica(3, health="ill")), {}, STOPS, "of its 3 replicas 1 is left that is well"),
        (replica(2), (replica(1), replica(3, health="ill")), {}, STOPS, f"dtr.remove replica={THREE}"),
        (dead(2), (replica(1), replica(3, health="ill")), {}, COUNTED, "of 3 replicas a majority"),
        (replica(2), (), {}, LAST, "only a backup"),
        (replica(2, member=None), (), {"trouble": "x", "version": "2.7.8"}, LAST, f"dtr.repair replica={TWO}"),
        (replica(2, member=None), (replica(1),), {"trouble": "x"}, LAST, f"another lies on {ONE} on w1"),
        (replica(2, member=None), (), {"trouble": "x"}, LAST, "no other is known: starting the hosts"),
        (replica(2, member=None, volumes=False), (), {"trouble": "x"}, "", ""),
        (
            replica(2, member=None),
            (),
            {"trouble": "x.", "works": True},
            COUNTED,
            "DTR works, and does not tell whether",
        ),
    ],
    ids=[
        "others-ill",
        "others-ill-way",
        "dead",
        "all-of-it",
        "repairable",
        "another-copy",
        "last-copy",
        "no-data",
        "untold",
    ],
)
def test_what_is_lost_with_a_replica_is_a_decision(
    wanted: Replica, others: tuple[Replica, ...], more: dict[str, Any], rule: str, words: str
) -> None:
    plan = destroy(wanted, *others, **more)
    assert [one.id for one in plan.rules] == ([rule] if rule else [])
    assert not rule or words in plan.rules[0].what


def test_one_of_two_that_are_well_stops_dtr_though_it_can_be_removed() -> None:
    plan = destroy(replica(2), replica(1))
    assert [one.id for one in plan.rules] == [REMOVABLE, STOPS]
    assert "2 are needed" in plan.rules[1].what
    five = [replica(number) for number in (1, 3, 4)]
    assert [one.id for one in destroy(replica(2), *five, replica(5, health="ill")).rules] == [COUNTED]


@pytest.mark.parametrize(("at", "unless"), [(DISK, False), ("", True)])
def test_images_that_go_with_a_replica_are_a_decision(at: str, unless: bool) -> None:
    """A leftover too: what was pushed to it may be nowhere else."""
    for wanted, more in ((replica(2, member=False, health=""), {}), (dead(2), {}), (replica(2), {"trouble": "x"})):
        (rule,) = [one for one in destroy(wanted, replica(1), replica(3), images=at, **more).rules if one.id == IMAGES]
        assert rule.about == TWO and f"-C /var/lib/docker/volumes dtr-registry-{TWO}" in rule.what
        assert ("unless the storage is another one" in rule.what) == unless
    assert not destroy(replica(2, member=False, health="", volumes=False), replica(1), images=at).rules
    left = replica(2, member=False, health="")
    assert left.on is not None
    nfs = replace(left, on=replace(left.on, volumes=(*left.on.volumes, f"dtr-nfs-registry-{TWO}")))
    assert bool(destroy(nfs, replica(1), images=at).rules) == (not unless), "a volume for NFS tells where they are"


def test_where_nothing_of_it_is_found_nothing_is_destroyed() -> None:
    with pytest.raises(RefusedError, match="nothing to destroy") as caught:
        destroy(replica(2, on=None), replica(1))
    assert f"dtr.remove replica={TWO}" in caught.value.next_step
