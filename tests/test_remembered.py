"""What is kept of a cluster on this machine: who its managers were, for when none of them answers."""

from __future__ import annotations

import os
from pathlib import Path

from swarmtui.config import remembered
from swarmtui.config.remembered import NodeKept, Remembered, former_targets, recall, remember, seen
from tests import builders as b

DAY = 86_400.0


def manager(number: int, **more: str) -> NodeKept:
    return NodeKept(id=f"id{number}", name=f"mgr{number}", manager=True, target=f"ssh://mgr{number}", **more)  # type: ignore[arg-type]


def cluster(*numbers: int, at: float = 1.0, id: str = "c1", name: str = "prod") -> Remembered:
    return Remembered(cluster_id=id, name=name, seen_at=at, nodes=tuple(manager(n) for n in numbers))


def test_it_is_found_by_name_and_by_the_address_of_any_manager(tmp_path: Path) -> None:
    remember(tmp_path, cluster(1, 2))
    (known,) = recall(tmp_path, "prod", ())
    assert [one.name for one in known.managers] == ["mgr1", "mgr2"]
    assert recall(tmp_path, "ssh://mgr2", {"ssh://mgr2"}) == (known,)
    assert recall(tmp_path, "other", {"ssh://mgr9"}) == ()
    assert recall(tmp_path / "none", "prod", ()) == ()


def test_the_one_seen_last_comes_first_and_only_so_many_are_kept(tmp_path: Path) -> None:
    for number in range(remembered.CLUSTERS + 3):
        remember(tmp_path, cluster(1, at=float(number), id=f"c{number}"))
        os.utime(tmp_path / f"c{number}.json", (number, number))
    found = recall(tmp_path, "prod", ())
    assert [one.seen_at for one in found] == [float(n) for n in range(66, 2, -1)]


def test_no_other_user_reads_it_and_nothing_of_a_broken_write_stays(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "clusters"
    remember(folder, cluster(1))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [(path.name, path.stat().st_mode & 0o777) for path in folder.iterdir()] == [("c1.json", 0o600)]


def test_a_file_that_cannot_be_read_and_an_id_that_is_a_path_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "y.json").write_text('{"cluster_id":"y","name":"prod","seen_at":1,"schema":99}')
    remember(tmp_path, cluster(1, id="../evil"))
    assert recall(tmp_path, "prod", ()) == () and former_targets(tmp_path, "../x") == ()
    assert not (tmp_path.parent / "evil.json").exists()


def test_managers_that_were_removed_are_former_ones_for_a_week(tmp_path: Path) -> None:
    remember(tmp_path, cluster(1, 2, 3))
    remember(tmp_path, cluster(1, at=10.0))
    assert set(former_targets(tmp_path, "c1")) == {"ssh://mgr2", "ssh://mgr3"}
    again = Remembered(
        cluster_id="c1",
        name="prod",
        seen_at=20.0,
        nodes=(manager(1), NodeKept(id="new", name="mgr2", manager=True, target="ssh://mgr2")),
    )
    remember(tmp_path, again)
    assert former_targets(tmp_path, "c1") == ("ssh://mgr3",), "mgr2 has joined anew"
    remember(tmp_path, cluster(1, at=10.0 + 8 * DAY))
    assert former_targets(tmp_path, "c1") == ("ssh://mgr2",), "mgr3 is forgotten; the new mgr2 was removed just now"


def test_it_holds_what_the_way_to_the_hosts_needs_and_nothing_more() -> None:
    now = b.snapshot([b.node("mgr1", manager="leader", labels={"secret": "label"}), b.node("wrk1", addr="10.0.0.9")])
    known = seen(now, "prod", 5.0, lambda node: f"ssh://{node.hostname}")
    assert known.cluster_id == b.CLUSTER and known.seen_at == 5.0
    assert {(one.name, one.manager, one.target) for one in known.nodes} == {
        ("mgr1", True, "ssh://mgr1"),
        ("wrk1", False, "ssh://wrk1"),
    }
    assert "label" not in repr(known)
    assert known.workers[0].node.address == "10.0.0.9" and known.managers[0].node.is_voter
