"""How many replicas DTR has while it does not tell: those that are seen, and those that it told of last."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarmtui.backups.manifest import DtrManifest
from swarmtui.link.dtr import memory
from swarmtui.model.dtr.members import Members, Noted, total_members
from swarmtui.model.dtr.seen import Place, Told
from swarmtui.runbooks.dtr.access import folder
from swarmtui.runbooks.dtr.found import DtrAccess
from swarmtui.runbooks.dtr.hosts import Looked
from swarmtui.runbooks.dtr.restore_facts import unseen
from tests.dtr.plans import replica
from tests.dtr.seen import ONE, THREE, TWO

ALL = {ONE: "w1", TWO: "w2", THREE: "w3"}


def test_what_nobody_sees_is_counted_and_whether_it_may_come_back_is_told() -> None:
    found = total_members([ONE], [Noted(ALL, 5.0)], {"w1", "w2"})
    assert (found.total, found.needed, found.sure) == (3, 2, True)
    assert (found.away, found.lost) == ({THREE: "w3"}, {TWO: "w2"})
    nowhere = total_members([], [Noted({ONE: ""}, 5.0)], {"w1"})
    assert (nowhere.away, nowhere.total) == ({ONE: ""}, 1), "a node that nobody noted may be any that is away"
    assert total_members([ONE], [], set()) == Members(seen=(ONE,)) and Members().needed == 1


@pytest.mark.parametrize(("then", "total"), [(4.0, 1), (6.0, 3)])
def test_the_newest_note_counts_alone(then: float, total: int) -> None:
    """Two were removed, or given up by a repair: a backup from before names them still."""
    assert total_members([ONE], [Noted({ONE: "w1"}, 5.0), Noted(ALL, then)], set()).total == total
    assert total_members([ONE], [Noted({}, 9.0), Noted(ALL, then)], set()).total == 3, "who notes nobody says nothing"


def test_what_joined_since_is_counted_beside_what_was_noted() -> None:
    assert total_members([ONE, "a" * 12], [Noted({ONE: "w1", TWO: "w2"}, 1.0)], set()).total == 3


def test_dtr_itself_knows_best() -> None:
    """What this machine noted is of no use where DTR tells: who left it is in it no more."""
    told = Told(health={ONE: "OK"})
    known = DtrAccess(cluster="prod", cluster_id="c", replicas=(replica(1),), told=told, noted=Noted(ALL, 5.0))
    assert known.counted(Noted(ALL, 9.0)) == Members(seen=(ONE,), sure=True)
    silent = DtrAccess(cluster="prod", cluster_id="c", replicas=(replica(1, member=None),), noted=Noted(ALL, 5.0))
    assert silent.counted().total == 3 and silent.counted(Noted({ONE: "w1"}, 9.0)).total == 1


def test_who_left_dtr_is_forgotten_as_soon_as_it_tells(tmp_path: Path) -> None:
    places = {one: Place(node, 80, 443) for one, node in ALL.items()}
    memory.remember_told(tmp_path, "c", Told(places=places, health=dict.fromkeys(ALL, "OK")))
    assert memory.noted(tmp_path, "c").nodes == ALL
    os.utime(tmp_path / "c.json", (100.0, 100.0))
    assert memory.noted(tmp_path, "c").at == 100.0
    # Removed, repaired or restored: its settings could not be read this time, and where it is was known.
    memory.remember_told(tmp_path, "c", Told(health={TWO: "OK", "a" * 12: "OK"}))
    assert memory.recall(tmp_path, "c") == {TWO: places[TWO], "a" * 12: Place()}
    assert memory.noted(tmp_path, "c").at > 100.0
    memory.remember_told(tmp_path, "c", Told())
    assert set(memory.noted(tmp_path, "c").nodes) == {TWO, "a" * 12}, "an answer that names nobody tells nothing"
    assert memory.noted(tmp_path, "d") == Noted() and memory.noted(tmp_path, "../c") == Noted()


# -- of a backup that is to be restored --------------------------------------------------------------------------------


def backup(*, cluster_id: str = "c", at: float = 5.0, replicas: dict[str, str] = ALL) -> Any:
    manifest = DtrManifest(version="2.4.1", replica_id=ONE, replicas=tuple(replicas), nodes=replicas)
    return SimpleNamespace(cluster_id=cluster_id, whole=SimpleNamespace(dtr=manifest, taken_at=at))


def swarm(*names: str) -> Any:
    nodes = {f"id-{name}": SimpleNamespace(id=f"id-{name}", name=name, hostname=name) for name in names}
    return SimpleNamespace(snapshot=SimpleNamespace(nodes=nodes, cluster_id="c"))


SILENT = DtrAccess(cluster="prod", cluster_id="c", replicas=(replica(1, member=None),), answering=("w1", "w2"))


async def test_a_replica_of_the_backup_that_nobody_sees_is_away_or_lost_and_never_forgotten() -> None:
    off = await unseen(swarm("w1", "w2", "w3"), backup(), Looked((), {"id-w3": "no route."}), SILENT)
    assert (off.away, off.lost) == ({THREE: "w3"}, {TWO: "w2"})
    out = await unseen(swarm("w1", "w2"), backup(), Looked(), SILENT)
    assert out.away == {THREE: "w3"}, "its host is in the Swarm no more, and may be joined anew with all that it has"
    foreign = await unseen(swarm("w1", "w2"), backup(cluster_id="other"), Looked(), SILENT)
    assert (foreign.away, foreign.lost) == ({}, {THREE: "w3", TWO: "w2"}), "no host of another Swarm comes back here"


async def test_who_left_dtr_after_the_backup_is_not_missed() -> None:
    told = Told(places={ONE: Place("w1", 80, 443)})
    memory.remember_told(folder(), "c", told)
    nothing = await unseen(swarm("w1"), backup(), Looked((), {"id-w1": "no route."}), None)
    assert (nothing.away, nothing.lost) == ({ONE: "w1"}, {}), "DTR told that after the backup was taken"
    newer = await unseen(swarm("w1"), backup(at=4e9), Looked((), {"id-w1": "no route."}), None)
    assert set(newer.away) == set(ALL)
