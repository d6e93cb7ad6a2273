"""What happened to DTR and the least destructive way out, against a table typed by hand from ucp-dtr.md §5.5 D."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from swarmtui.model.dtr import status
from swarmtui.model.dtr.seen import DtrSeen, Held
from swarmtui.model.dtr.ways import Way, decide, diagnose
from swarmtui.model.snapshot import Snapshot
from swarmtui.runbooks.dtr.found import Replica
from swarmtui.runbooks.dtr.remove import Remove, RemoveFacts
from tests.dtr import plans
from tests.dtr import seen as s

ONE, TWO, THREE = s.IDS[:3]
EMPTY = Held(at=s.NOW)


def volumes(replica: str) -> Held:
    return Held((), {f"dtr-rethink-{replica}": replica, f"dtr-registry-{replica}": replica}, s.NOW)


def snapshot(version: str, *, down: tuple[str, ...] = (), **lies: Held) -> Snapshot:
    """Three replicas whose API told of them before it fell silent."""
    ids = {"dtr1": ONE, "dtr2": TWO, "dtr3": THREE}
    says = s.told(s.document(ids.values()), s.settings({one: node for node, one in ids.items()}))
    kept = {node: s.held(one, version=version) for node, one in ids.items()}
    changed: dict[str, Held | None] = {**kept, **lies}
    gone = [ids[node] for node in ids if node in down or node in lies]
    ill = {one: s.door("10.0.2.9", 500, text="internal server error") for one in gone}
    return s.under_dtr(down=down, changed=changed, says=says, silent="it does not answer." if gone else "", doors=ill)


@pytest.mark.parametrize(
    ("version", "down", "lies", "lost", "state", "ways"),
    [
        ("2.4.1", (), {}, (), "healthy", [Way.NOTHING]),
        ("2.4.1", ("dtr3",), {}, (), "degraded", [Way.START, Way.REPLACE]),
        ("2.4.1", ("dtr3",), {}, (THREE,), "degraded", [Way.REPLACE]),
        ("2.4.1", (), {"dtr3": EMPTY}, (), "degraded", [Way.REPLACE]),
        # Two of three are down: what can be started is started, before anything is given up.
        ("2.4.1", ("dtr2", "dtr3"), {}, (), "quorum-lost", [Way.START, Way.RESTORE]),
        ("2.7.8", ("dtr2", "dtr3"), {}, (), "quorum-lost", [Way.START, Way.REPAIR, Way.RESTORE]),
        ("2.9.4", ("dtr2", "dtr3"), {}, (), "quorum-lost", [Way.START, Way.REPAIR, Way.RESTORE]),
        # Two are lost for good: 2.4 has no emergency-repair.
        ("2.4.1", ("dtr2", "dtr3"), {}, (TWO, THREE), "quorum-lost", [Way.RESTORE]),
        ("2.7.8", ("dtr2", "dtr3"), {}, (TWO, THREE), "quorum-lost", [Way.REPAIR, Way.RESTORE]),
        ("2.7.8", (), {"dtr2": EMPTY, "dtr3": EMPTY}, (), "quorum-lost", [Way.REPAIR, Way.RESTORE]),
        # No container runs, and the volumes of one are left.
        (
            "2.7.8",
            (),
            {"dtr1": volumes(ONE), "dtr2": EMPTY, "dtr3": EMPTY},
            (),
            "quorum-lost",
            [Way.REPAIR, Way.RESTORE],
        ),
        ("2.4.1", (), {"dtr1": volumes(ONE), "dtr2": EMPTY, "dtr3": EMPTY}, (), "quorum-lost", [Way.RESTORE]),
        # Nothing is left of any.
        ("2.7.8", (), {"dtr1": EMPTY, "dtr2": EMPTY, "dtr3": EMPTY}, (), "lost", [Way.RESTORE]),
        ("2.4.1", ("dtr1", "dtr2", "dtr3"), {}, (ONE, TWO, THREE), "lost", [Way.RESTORE]),
        ("2.4.1", ("dtr1", "dtr2", "dtr3"), {}, (), "quorum-lost", [Way.START, Way.RESTORE]),
    ],
)
def test_the_least_destructive_way_comes_first(
    version: str, down: tuple[str, ...], lies: dict[str, Held], lost: tuple[str, ...], state: str, ways: list[Way]
) -> None:
    found = status.cluster(snapshot(version, down=down, **lies))
    if "dtr1" in lies:  # no container tells the version any more
        found = status.Cluster(replicas=found.replicas, versions={version: (ONE,)})
    told = diagnose(found, lost, backup="b1")
    assert (told.state, [advice.way for advice in told.ways]) == (state, ways)
    for advice in told.ways:
        assert advice.why.endswith(".") and (advice.what or advice.way is Way.NOTHING)


def test_each_gentler_way_says_why_it_is_not_it() -> None:
    found = status.cluster(snapshot("2.4.1", down=("dtr2", "dtr3")))
    told = diagnose(found, (TWO, THREE))
    assert "has no emergency-repair: it came with 2.5" in told.not_it[Way.REPAIR]
    assert "only 1 can be" in told.not_it[Way.START] and "majority" in told.not_it[Way.REPLACE]


def test_an_advice_names_what_does_it() -> None:
    degraded = diagnose(status.cluster(snapshot("2.4.1", dtr3=EMPTY))).first
    assert (degraded.runbook, degraded.params) == ("dtr.remove", {"replica": THREE})
    repaired = diagnose(status.cluster(snapshot("2.7.8", down=("dtr2", "dtr3"))), (TWO, THREE)).first
    assert (repaired.runbook, repaired.params) == ("dtr.repair", {"replica": ONE})
    lost = status.cluster(snapshot("2.4.1", down=("dtr1", "dtr2", "dtr3")))
    assert diagnose(lost, s.IDS, backup="b1").first.params == {"backup": "b1"}
    assert "there is none in the catalogue" in diagnose(lost, s.IDS, backup="").first.why


def test_one_that_runs_and_is_ill_is_looked_at_before_it_is_removed() -> None:
    says = s.told(
        s.document([ONE, TWO, THREE], {TWO: "registry is down"}), s.settings({ONE: "dtr1", TWO: "dtr2", THREE: "dtr3"})
    )
    told = diagnose(status.cluster(s.under_dtr(says=says)))
    assert [advice.way for advice in told.ways] == [Way.MEND] and "registry is down" in told.first.why


def test_leftovers_are_cleared_and_nothing_at_all_is_no_disaster() -> None:
    says = s.told(s.document([ONE, TWO, THREE]), s.settings({ONE: "dtr1", TWO: "dtr2", THREE: "dtr3"}))
    now = s.under_dtr(4, says=says)
    told = diagnose(status.cluster(now))
    assert [advice.way for advice in told.ways] == [Way.CLEAR] and told.first.params == {"replica": s.IDS[3]}
    assert diagnose(status.Cluster()).state == "absent"
    assert diagnose(status.Cluster(), backup="b1").first.way is Way.RESTORE


def test_nothing_is_advised_that_changes_anything_while_too_little_is_known() -> None:
    now = s.under_dtr(silent="-", changed=dict.fromkeys(("dtr1", "dtr2", "dtr3"), Held(trouble="-")))
    assert now.dtr is not None
    says = s.told(s.document([ONE, TWO, THREE]), s.settings({ONE: "dtr1", TWO: "dtr2", THREE: "dtr3"}))
    found = status.cluster(replace(now, dtr=DtrSeen(told=says, trouble="-")))
    assert found.quorum is None and decide(found).way is Way.LOOK and "dtr1" in decide(found).what


def test_where_nodes_could_not_be_read_they_are_looked_for_before_anything_is_given_up() -> None:
    ill = {ONE: s.door("10.0.2.1", 500, text="primary replica not available")}
    for version, ways in {"2.4.1": [Way.LOOK, Way.RESTORE], "2.7.8": [Way.LOOK, Way.REPAIR, Way.RESTORE]}.items():
        lies = {"dtr1": s.held(ONE, version=version), "dtr2": None, "dtr3": None}
        now = s.under_dtr(silent="-", down=["dtr2", "dtr3"], changed=lies, doors=ill)
        told = diagnose(status.cluster(now))
        assert (told.state, [advice.way for advice in told.ways]) == ("unknown", ways)
        assert "dtr2, dtr3" in told.what and "Bring back dtr2, dtr3" in told.first.what


def settled(count: int, down: tuple[str, ...] = (), ill: tuple[str, ...] = ()) -> Snapshot:
    """So many replicas, of which DTR tells: some nodes are down, some replicas run and are not well."""
    ids = dict(zip([f"dtr{i}" for i in range(1, count + 1)], s.IDS, strict=False))
    health = {ids[node]: "registry is down" for node in ill}
    away = [ids[node] for node in down]
    says = s.told(s.document(ids.values(), health, away=away), s.settings({one: node for node, one in ids.items()}))
    return s.under_dtr(count, down=down, says=says, changed=dict.fromkeys(down, EMPTY))


@pytest.mark.parametrize(
    ("count", "down", "ill", "lost", "replica"),
    [
        (5, ("dtr4", "dtr5"), (), (), f"{s.IDS[3]},{s.IDS[4]}"),  # each alone is refused: the other one is not well
        (7, ("dtr5", "dtr6"), ("dtr7",), (), f"{s.IDS[4]},{s.IDS[5]},{s.IDS[6]}"),
        (3, ("dtr3",), ("dtr2",), (), ""),  # neither without the other, and without both no majority agrees
        (5, ("dtr4", "dtr5"), ("dtr3",), (), ""),  # nothing can be removed before it is well
    ],
)
def test_replicas_that_are_to_go_go_in_a_command_that_is_not_refused(
    count: int, down: tuple[str, ...], ill: tuple[str, ...], lost: tuple[str, ...], replica: str
) -> None:
    found = status.cluster(settled(count, down, ill))
    advice = next(one for one in diagnose(found, lost).ways if one.way is Way.REPLACE)
    assert advice.params == ({"replica": replica} if replica else {})
    if not replica:
        mended = found.replicas[int(ill[0][-1]) - 1]
        assert not advice.runbook and f"Mend {mended.id} on {mended.node} first" in advice.what
        return
    assert f"swarmtui run dtr.remove replica={replica}, then" in advice.what
    wanted = replica.split(",")
    of = [Replica(id=one.id, node=one.node, member=True, health=one.told) for one in found.members]
    facts = RemoveFacts(
        cluster="prod",
        cluster_id="c",
        work=plans.work(),
        wanted=tuple(one for one in of if one.id in wanted),
        others=tuple(one for one in of if one.id not in wanted),
    )
    plan = Remove().plan({"replica": tuple(wanted)}, msgspec.to_builtins(facts))
    assert plan.touches == tuple(wanted)


def test_the_same_advice_reaches_the_walkthrough_with_all_that_go() -> None:
    told = diagnose(status.cluster(settled(5, ("dtr4", "dtr5"))))
    both = f"{s.IDS[3]},{s.IDS[4]}"
    assert [one.params.get("replica") for one in told.ways if one.way is Way.REPLACE] == [both]
    assert Remove.params[0].kind(both) == (s.IDS[3], s.IDS[4])
