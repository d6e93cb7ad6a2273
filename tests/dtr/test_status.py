"""What DTR is and how each replica is, by recorded shapes of `cluster_status`, and every rule about it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from swarmtui.model.backups import BackupHolding
from swarmtui.model.dtr import status
from swarmtui.model.dtr import told as reading
from swarmtui.model.dtr.ping import judged
from swarmtui.model.dtr.seen import BALANCER, DtrSeen, Held, Place, Storage, Told
from swarmtui.model.dtr.status import Cluster, Replica
from swarmtui.model.finding import Finding, Severity
from swarmtui.model.health import findings
from swarmtui.model.snapshot import Snapshot
from tests.dtr import seen as s
from tests.ucp import seen as ucp

ONE, TWO, THREE = s.IDS[:3]
PLACES = {ONE: "dtr1", TWO: "dtr2", THREE: "dtr3"}


def found(now: Snapshot) -> dict[str, list[Finding]]:
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings(now, now=s.NOW):
        if finding.rule.startswith("dtr-"):
            by_rule.setdefault(finding.rule, []).append(finding)
    return by_rule


def alarms(now: Snapshot) -> set[str]:
    return {rule for rule, made in found(now).items() if made[0].severity > Severity.ADVICE}


def one(now: Snapshot, replica: str = ONE) -> Replica:
    return next(each for each in status.cluster(now).replicas if each.id == replica)


def test_what_is_well_is_silent_but_for_the_leak_of_its_version() -> None:
    now = s.under_dtr()
    assert {rule: made[0].severity for rule, made in found(now).items()} == {"dtr-leak": Severity.ADVICE}
    whole = status.cluster(now)
    assert (whole.product, whole.healthy, whole.quorum, whole.slack, whole.tolerance) == ("DTR 2.4.1", 3, True, 1, 1)
    assert (whole.url, str(whole.storage), whole.jobs) == ("https://dtr.example.org", "nfs://nas.example.org/dtr", ())
    assert [each.node for each in whole.replicas] == ["dtr1", "dtr2", "dtr3"]
    assert one(now).tables is not None and one(now).tables.led == 2 and one(now, TWO).tables.led == 0  # type: ignore[union-attr]


def test_without_dtr_nothing_is_said_of_it() -> None:
    for seen in (None, DtrSeen(), DtrSeen(held={"n": Held(at=s.NOW)})):
        now = replace(ucp.under_ucp(), dtr=seen)
        assert not status.runs_dtr(now) and found(now) == {}


# -- recorded shapes ---------------------------------------------------------------------------------------------------

RECORDED: dict[str, Any] = {
    "rethink_system_tables": {
        "cluster_config": [{"heartbeat_timeout_secs": 10, "id": "heartbeat"}],
        "current_issues": [],
        "server_status": [
            {
                "id": "9c41fbc6-0000",
                "name": "dtr_rethinkdb_5eb9459a7832",
                "network": {"connected_to": {"dtr_rethinkdb_56b65e8c1404": True}, "http_admin_port": "<no http admin>"},
                "process": {"argv": [], "cache_size_mb": 0},
            }
        ],
        "table_status": [
            {
                "db": "dtr2",
                "name": "tags",
                "shards": [
                    {
                        "primary_replicas": ["dtr_rethinkdb_5eb9459a7832"],
                        "replicas": [
                            {"server": "dtr_rethinkdb_5eb9459a7832", "state": "ready"},
                            {"server": "dtr_rethinkdb_56b65e8c1404", "state": "backfilling"},
                        ],
                    }
                ],
                "status": {"all_replicas_ready": False, "ready_for_writes": True},
            }
        ],
    },
    "replica_health": {"f2277ad178f7": "OK", "f3712d9c419a": s.TOO_LONG_AGO},
    "replica_timestamp": {"f2277ad178f7": "2017-02-18T01:11:20Z"},
    "replica_readonly": {"f2277ad178f7": True},
    "gc_lock_holder": "f2277ad178f7",
}
"""Put together from the fragments in reference/ucp-dtr.md §3.2."""


def test_the_recorded_cluster_status_is_read_to_the_letter() -> None:
    told = reading.with_status(Told(), RECORDED)
    assert told.health == {"f2277ad178f7": "OK", "f3712d9c419a": s.TOO_LONG_AGO}
    assert (told.timestamps, told.readonly) == ({ONE: "2017-02-18T01:11:20Z"}, {ONE: True})
    assert (told.gc_holder, told.servers, told.total) == (ONE, {"5eb9459a7832"}, 1)
    assert told.tables["5eb9459a7832"].led == 1 and told.tables["56b65e8c1404"].bad == {"backfilling": 1}
    assert told.unread == () and told.unwritable == ()


@pytest.mark.parametrize("name", reading.NEEDED)
def test_a_field_that_is_missing_or_no_field_takes_only_itself_away(name: str) -> None:
    whole = reading.with_status(Told(), RECORDED)
    without = reading.with_status(Told(), {key: value for key, value in RECORDED.items() if key != name})
    assert without.unread == (f"DTR's cluster_status lacks {name}.",)
    for odd in (
        None,
        7,
        "text",
        [1, None, {}],
        {"f2277ad178f7": None, 3: 4, "x": {}},
        {"table_status": [{"shards": 3}, 1]},
    ):
        strange = reading.with_status(Told(), {**RECORDED, name: odd})
        rest = {"health": whole.health, "timestamps": whole.timestamps, "tables": whole.tables}
        rest.pop({"replica_health": "health", "replica_timestamp": "timestamps"}.get(name, "tables"), None)
        assert {key: getattr(strange, key) for key in rest} == rest, (name, odd)


def test_fields_that_nobody_knows_change_nothing_and_hostile_text_is_harmless() -> None:
    more = {
        **RECORDED,
        "replica_mood": {ONE: "fine"},
        "current_issues": [{"description": "slow\x1b[31m\u202e disk"}, 5],
    }
    more["replica_health"] = {ONE: "bad\x1b[2J\nthing", "../../etc": "OK", TWO: {"no": "text"}}
    told = reading.with_status(Told(), more)
    assert told.health == {ONE: "bad\ufffd[2J thing", TWO: "says nothing of its health"}
    assert told.issues == ("slow\ufffd[31m\ufffd disk",), "MSR 3.1 shows the issues at the top level"
    for nothing in (None, [], "html", 3, {}):
        assert reading.with_status(Told(), nothing).unread and not reading.with_settings(Told(), nothing).url


@pytest.mark.parametrize(
    ("changes", "storage"),
    [
        ({}, Storage("nfs", "nfs://nas.example.org/dtr")),
        ({"nfsHost": "", "storageVolume": "images"}, Storage("volume", "images")),
        ({"nfsHost": "", "nfsPath": ""}, Storage()),
        ({"nfsHost": None, "storageVolume": 7}, Storage()),
    ],
)
def test_the_settings_tell_places_and_storage(changes: dict[str, Any], storage: Storage) -> None:
    told = reading.with_settings(Told(), s.settings({ONE: "dtr1"}, **changes))
    assert told.storage == storage and told.places[ONE].node == "dtr1" and told.places[ONE].https == 443
    odd = reading.with_settings(Told(), s.settings({}, replicaSettings={ONE: {"HTTPSPort": "443", "node": 3}, "x": 1}))
    assert (odd.places[ONE].node, odd.places[ONE].https, len(odd.places)) == ("", 0, 1)


def test_only_jobs_that_run_are_told_and_a_list_that_is_none_is_said() -> None:
    jobs = [{"action": "onlinegc", "status": "running"}, {"action": "scan", "status": "waiting"}, {"status": "done"}, 3]
    told = reading.with_jobs(Told(), {"jobs": [*jobs, {"action": "tag\nprune", "status": "cancel_request"}]})
    assert told.jobs == ("onlinegc", "tag prune")
    assert reading.with_jobs(Told(), {"jobs": None}).unread == ("DTR's list of jobs cannot be read.",)


@pytest.mark.parametrize(
    ("code", "text", "ok", "why"),
    [
        (200, '{"Error":"","Healthy":true}', True, ""),
        (200, '{"error":"","healthy":true}', True, ""),
        (200, '{"Error":"rethinkdb: no primary","Healthy":false}', False, "not healthy: rethinkdb: no primary"),
        (503, '{"Error":"registry is down","Healthy":false}', False, 'answers 503: "registry is down"'),
        (500, "", False, "answers 500"),
        (200, "OK", False, "is no DTR"),
        (200, "[true]", False, "is no DTR"),
    ],
)
def test_what_a_ping_means(code: int, text: str, ok: bool, why: str) -> None:
    door = judged(s.door("10.0.2.1", code, text=text))
    assert door.ok is ok and why in door.why


# -- one replica -------------------------------------------------------------------------------------------------------


def test_the_exact_text_of_a_replica_that_is_not_well_is_shown() -> None:
    says = s.told(s.document(PLACES, {TWO: "Error getting registry status: 503"}), s.settings(PLACES))
    now = s.under_dtr(says=says)
    assert (one(now, TWO).state, one(now, TWO).why) == ("unhealthy", "Error getting registry status: 503")
    (rule,) = found(now)["dtr-unhealthy"]
    assert rule.about == TWO and "Error getting registry status: 503" in rule.what and alarms(now) == {"dtr-unhealthy"}
    assert status.cluster(now).quorum is True and status.cluster(now).slack == 1, "its database runs"


def test_a_container_that_ended_is_named_and_that_of_the_database_costs_the_replica() -> None:
    told = {"garant": "Exited (137) 4 minutes ago", "scanningstore": ""}
    now = s.under_dtr(changed={"dtr1": s.held(ONE, told=told)})
    assert one(now).state == "unhealthy"
    assert one(now).why == f"dtr-garant-{ONE} has ended (137); dtr-scanningstore-{ONE} is missing"
    now = s.under_dtr(changed={"dtr1": s.held(ONE, told={"rethinkdb": "Exited (1) 2 minutes ago"})})
    assert (one(now).state, one(now).up, status.cluster(now).slack) == ("down", False, 0)
    assert alarms(now) == {"dtr-unhealthy", "dtr-no-slack"}
    assert "dtr.remove" in found(now)["dtr-unhealthy"][0].advice


def test_a_node_that_is_down_has_no_replica_that_is_up_whatever_was_read_of_it_before() -> None:
    now = s.under_dtr(down=["dtr2"])
    assert (one(now, TWO).state, one(now, TWO).up) == ("down", False)
    assert one(now, TWO).why.startswith(f"its node is down; {s.TOO_LONG_AGO}")


@pytest.mark.parametrize(
    ("lies", "state", "why"),
    [
        (Held(at=s.NOW), "gone", "nothing of it is there on dtr1"),
        (Held((), {f"dtr-rethink-{ONE}": ONE}, s.NOW), "down", "only its volumes are left on dtr1"),
        (Held(trouble="dtr1 cannot be reached."), "healthy", ""),
        (None, "healthy", ""),
    ],
)
def test_what_lies_on_its_node_counts_where_that_was_read(lies: Held | None, state: str, why: str) -> None:
    now = s.under_dtr(changed={"dtr1": lies})
    assert (one(now).state, one(now).why) == (state, why) and one(now).node == "dtr1"


def test_what_dtr_does_not_count_in_any_more_is_left_over() -> None:
    says = s.told(s.document([ONE, TWO]), s.settings({ONE: "dtr1", TWO: "dtr2"}))
    now = s.under_dtr(says=says)
    assert (one(now, THREE).state, one(now, THREE).member) == ("leftover", False)
    assert len(status.cluster(now).members) == 2 and {"dtr-leftover", "dtr-even"} <= alarms(now)
    assert f"dtr.destroy replica={THREE}" in found(now)["dtr-leftover"][0].advice


def test_with_the_api_down_containers_and_volumes_still_tell() -> None:
    now = s.under_dtr(silent="it did not answer within 20 s.")
    whole = status.cluster(now)
    assert (whole.healthy, whole.quorum, whole.product) == (3, True, "DTR 2.4.1") and whole.storage is None
    assert found(now)["dtr-not-asked"][0].severity is Severity.ADVICE
    ended = s.held(ONE, told={"rethinkdb": "Exited (1) 1 minute ago"})
    now = s.under_dtr(silent="-", down=["dtr3"], changed={"dtr1": ended})
    assert status.cluster(now).quorum is False and one(now, THREE).member, "its volumes were seen before"
    assert found(now)["dtr-quorum-lost"][0].severity is Severity.CRITICAL


def test_what_was_told_before_the_api_fell_silent_does_not_speak_of_now() -> None:
    now = s.under_dtr(says=s.told(s.document(PLACES, {ONE: "bad"}, away=[TWO, THREE]), s.settings(PLACES)), silent="-")
    assert {each.state for each in status.cluster(now).replicas} == {"healthy"}
    assert status.cluster(now).quorum is True and status.cluster(now).url == "https://dtr.example.org"


def test_too_little_known_is_no_quorum_and_no_loss_of_it() -> None:
    unread = Held(trouble="it cannot be reached.")
    says = s.told(s.document(PLACES), s.settings(PLACES))
    now = s.under_dtr(changed=dict.fromkeys(("dtr1", "dtr2", "dtr3"), unread), says=says, silent="-")
    assert now.dtr is not None
    now = replace(now, dtr=replace(now.dtr, doors={}))
    assert status.cluster(now).quorum is None and {each.state for each in status.cluster(now).replicas} == {"unknown"}
    assert not alarms(now)


# -- the quorum of replicas, by a table typed by hand (ucp-dtr.md §5.2) -----------------------------------------------


@pytest.mark.parametrize(
    ("count", "away", "held", "slack", "rules"),
    [
        (1, 0, True, 0, set()),
        (1, 1, False, -1, {"dtr-quorum-lost"}),
        (2, 0, True, 0, {"dtr-even"}),
        (2, 1, False, -1, {"dtr-quorum-lost", "dtr-even"}),
        (3, 0, True, 1, set()),
        (3, 1, True, 0, {"dtr-no-slack"}),
        (3, 2, False, -1, {"dtr-quorum-lost"}),
        (4, 1, True, 0, {"dtr-no-slack", "dtr-even"}),
        (5, 1, True, 1, set()),
        (5, 2, True, 0, {"dtr-no-slack"}),
        (5, 3, False, -1, {"dtr-quorum-lost"}),
        (7, 3, True, 0, {"dtr-no-slack"}),
        (7, 4, False, -1, {"dtr-quorum-lost"}),
    ],
)
def test_how_many_replicas_may_be_lost(count: int, away: int, held: bool, slack: int, rules: set[str]) -> None:
    now = s.under_dtr(count, down=[f"dtr{i}" for i in range(1, away + 1)])
    whole = status.cluster(now)
    assert (whole.quorum, whole.slack) == (held, slack)
    assert alarms(now) - {"dtr-unhealthy"} == rules
    assert ("dtr-unhealthy" in found(now)) is bool(away)


def test_tables_that_nobody_can_write_are_a_lost_quorum_whatever_runs() -> None:
    made = s.document(PLACES)
    made["rethink_system_tables"]["table_status"][1]["status"]["ready_for_writes"] = False
    now = s.under_dtr(says=s.told(made, s.settings(PLACES)))
    assert status.cluster(now).quorum is False and "dtr2.repositories" in found(now)["dtr-quorum-lost"][0].what


# -- every other rule --------------------------------------------------------------------------------------------------


def with_settings(**changes: Any) -> Snapshot:
    return s.under_dtr(says=s.told(s.document(PLACES), s.settings(PLACES, **changes)))


def with_version(version: str, *others: str) -> Snapshot:
    nodes = dict(zip(("dtr1", "dtr2", "dtr3"), (version, *others, version, version), strict=False))
    ids = dict(zip(nodes, s.IDS, strict=False))
    return s.under_dtr(changed={node: s.held(ids[node], version=one) for node, one in nodes.items()})


def test_local_storage_under_several_replicas_is_told_and_not_under_one() -> None:
    for changes in ({"nfsHost": ""}, {"nfsHost": "", "storageVolume": "images"}):
        assert alarms(with_settings(**changes)) == {"dtr-local-storage"}
    alone = s.under_dtr(1, says=s.told(s.document([ONE]), s.settings({ONE: "dtr1"}, nfsHost="")))
    assert not alarms(alone)
    now = with_settings(nfsHost="")
    assert now.dtr is not None and now.dtr.told is not None
    stored = replace(now.dtr.told, storage=Storage("object", "s3"))
    assert not alarms(replace(now, dtr=replace(now.dtr, told=stored)))


def test_an_address_that_does_not_answer_though_replicas_do() -> None:
    ill = s.door("dtr.example.org", 502)
    now = s.under_dtr(doors={BALANCER: ill})
    assert alarms(now) == {"dtr-balancer"} and found(now)["dtr-balancer"][0].about == "dtr.example.org"
    dead = dict.fromkeys((ONE, TWO, THREE), s.door("10.0.2.1", 500))
    now = s.under_dtr(doors={**dead, BALANCER: ill})
    assert "dtr-balancer" not in alarms(now) and found(now)["dtr-down"][0].severity is Severity.CRITICAL


def test_read_only_mixed_versions_the_leak_and_the_databases_own_words() -> None:
    made = s.document(PLACES, replica_readonly={TWO: True})
    assert alarms(s.under_dtr(says=s.told(made, s.settings(PLACES)))) == {"dtr-read-only"}
    assert alarms(with_version("2.4.1", "2.4.3")) == {"dtr-mixed-versions"}
    for version, leaks in {"2.4.1": True, "2.4.2": False, "2.7.8": False, "2.9.4": False}.items():
        assert ("dtr-leak" in found(with_version(version))) is leaks
    issues = s.document(PLACES)
    issues["rethink_system_tables"]["current_issues"] = [{"description": "log write: disk is slow"}]
    now = s.under_dtr(says=s.told(issues, s.settings(PLACES)))
    assert alarms(now) == {"dtr-database"} and "disk is slow" in found(now)["dtr-database"][0].what


def test_a_replica_on_a_manager_is_advised_against() -> None:
    now = s.under_dtr(1)
    assert now.dtr is not None
    manager = next(node for node in now.nodes.values() if node.is_voter)
    on_it = replace(now, dtr=replace(now.dtr, held={manager.id: s.held(ONE)}))
    (rule,) = found(on_it)["dtr-on-manager"]
    assert rule.node_id == manager.id and rule.severity is Severity.ADVICE and "dtr-on-manager" not in found(now)


@pytest.mark.parametrize(
    ("held", "rule", "severity"),
    [
        (BackupHolding(meant=True), "dtr-backup-none", Severity.WARNING),
        (BackupHolding(), "dtr-backup-none", Severity.ADVICE),
        (BackupHolding(meant=True, dtr_at=s.NOW - 27 * 3600), "dtr-backup-old", Severity.WARNING),
        (BackupHolding(meant=True, dtr_at=s.NOW - 25 * 3600), "", Severity.ADVICE),
        (BackupHolding(trouble="it cannot be read."), "", Severity.ADVICE),
    ],
)
def test_a_backup_that_is_missing_or_old(held: BackupHolding, rule: str, severity: Severity) -> None:
    made = {name: one[0].severity for name, one in found(replace(s.under_dtr(), backups=held)).items()}
    made.pop("dtr-leak")
    assert made == ({rule: severity} if rule else {})


def test_how_many_replicas_there_should_be() -> None:
    assert found(s.under_dtr(1))["dtr-single"][0].severity is Severity.ADVICE
    assert Cluster().quorum is None


def test_nodes_that_could_not_be_read_may_have_replicas_that_nobody_tells_of() -> None:
    """The night when it counts: a majority is down, DTR tells nothing, and this console was opened just now."""
    ill = {ONE: s.door("10.0.2.1", 500, text="primary replica not available")}
    now = s.under_dtr(silent="-", down=["dtr2", "dtr3"], changed={"dtr2": None, "dtr3": None}, doors=ill)
    whole = status.cluster(now)
    assert (len(whole.members), whole.quorum, whole.unread) == (1, None, ("dtr2", "dtr3"))
    assert "dtr-single" not in found(now) and "Bring back dtr2, dtr3" in found(now)["dtr-down"][0].advice
    well = s.under_dtr(silent="-", down=["dtr2", "dtr3"], changed={"dtr2": None, "dtr3": None})
    assert status.cluster(well).quorum is True, "one whose own check of the database is well has a majority behind it"
    assert now.dtr is not None
    places = {one: Place(node) for one, node in PLACES.items()}
    known = status.cluster(replace(now, dtr=replace(now.dtr, remembered=places)))
    assert (len(known.members), known.quorum, known.slack, known.unread) == (3, False, -1, ())
    assert {one.id: one.state for one in known.replicas} == {ONE: "unhealthy", TWO: "down", THREE: "down"}
