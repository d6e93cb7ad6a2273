"""What `swarmtui status` and `doctor` say of DTR, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

from msgspec.structs import replace

from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.freshness import holding
from swarmtui.cli.dtr_words import ASKED_FOR, dtr_lines, dtr_object, dtr_words
from swarmtui.cli.status import as_json_object
from swarmtui.config import BackupsConfig
from swarmtui.model.dtr.seen import DtrSeen
from tests import builders as b
from tests.dtr import seen as s
from tests.ucp import seen as ucp
from tests.ui.catalogue import add

ONE, TWO, THREE = s.IDS[:3]


def test_where_all_is_well() -> None:
    now = s.under_dtr()
    assert dtr_words(now) == "DTR 2.4.1: 3/3 replicas healthy, 1 more may be lost."
    told = list(dtr_lines(now))
    assert told[0] == "DTR 2.4.1: 3/3 replicas healthy, 1 more may be lost:"
    assert told[1].startswith("  its load balancer (https://dtr.example.org) answers 200 after 0.1 s")
    assert told[2:] == [
        "  Replicas that it leads to: not known yet.",
        f"  replica {ONE} on dtr1 is healthy",
        f"  replica {TWO} on dtr2 is healthy",
        f"  replica {THREE} on dtr3 is healthy",
        "  Its external URL is https://dtr.example.org.",
        "  Its images are in: nfs://nas.example.org/dtr.",
        "  Running jobs: none.",
        f"  {ASKED_FOR}",
    ]


def test_the_way_out_of_a_lost_quorum_and_why_gentler_ones_are_not_it() -> None:
    now = s.under_dtr(down=["dtr2", "dtr3"], silent="it did not answer within 20 s.")
    assert dtr_words(now) == "DTR 2.4.1: 1/3 replicas healthy, its quorum is lost."
    told = "\n".join(dtr_lines(now))
    assert f"replica {TWO} on dtr2 is down (its node is down)" in told
    assert "Its cluster_status: it did not answer within 20 s." in told
    assert "What to do: " in told and "Destroy and restore nothing before that was tried." in told
    assert "Where that cannot be: What is left is destroyed, and the newest backup is restored" in told
    assert "Not emergency-repair: DTR 2.4.1 has no emergency-repair: it came with 2.5." in told


def test_an_even_number_and_hostile_names_in_one_line_each() -> None:
    says = s.told(s.document([ONE, TWO], {TWO: "bad\x1b[31m\nthing"}), s.settings({ONE: "dtr1", TWO: "dtr2"}))
    now = s.under_dtr(2, says=says)
    assert "1/2 replicas healthy, an even number, 0 more may be lost" in dtr_words(now)
    assert all(line.isprintable() for line in dtr_lines(now))


def test_where_there_is_none_nothing_is_said() -> None:
    for seen in (None, DtrSeen()):
        now = replace(ucp.under_ucp(), dtr=seen)
        assert (dtr_words(now), list(dtr_lines(now)), dtr_object(now)) == ("", [], None)
    assert dtr_words(replace(ucp.under_ucp(), dtr=DtrSeen(named=True))) == "DTR: no replica is known."


def test_for_a_program_it_is_one_object_of_json() -> None:
    now = s.under_dtr(down=["dtr3"])
    told = json.loads(json.dumps(as_json_object("prod", "mgr1", now, [], {})))["dtr"]
    assert (told["product"], told["version"], told["quorum"], told["needed"], told["survives"]) == (
        "DTR 2.4.1",
        "2.4.1",
        True,
        2,
        0,
    )
    assert told["storage"] == {"kind": "nfs", "where": "nfs://nas.example.org/dtr"} and told["jobs"] == []
    states = {one["id"]: (one["node"], one["state"], one["health"]) for one in told["replicas"]}
    assert states == {
        ONE: ("dtr1", "healthy", "OK"),
        TWO: ("dtr2", "healthy", "OK"),
        THREE: ("dtr3", "down", s.TOO_LONG_AGO),
    }
    assert (told["state"], told["way"]["way"]) == ("degraded", "start-replicas")
    assert told["replicas"][0]["ping"]["status"] == 200 and told["replicas"][0]["volumes"] is True


def test_the_newest_backup_of_dtr_is_known_and_is_none_of_the_swarm(tmp_path: Path) -> None:
    kept = Catalogue(tmp_path)
    for age in (40 * 3600, 3 * 3600):
        add(kept, s.NOW - age, kind="dtr")
    held = holding(kept.entries(b.CLUSTER), BackupsConfig(), s.NOW)
    assert (held.dtr_at, held.count, held.newest_at) == (s.NOW - 3 * 3600, 0, 0.0)
    add(kept, s.NOW - 3600)
    held = holding(kept.entries(b.CLUSTER), BackupsConfig(), s.NOW)
    assert (held.dtr_at, held.count, held.newest_at) == (s.NOW - 3 * 3600, 1, s.NOW - 3600)
