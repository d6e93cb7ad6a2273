"""The pure parts of the screen: what is typed after `/`, and rows of nodes and services from a snapshot."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from swarmtui.errors import UsageError
from swarmtui.model.snapshot import Snapshot
from swarmtui.ui.cells import Cell, Row
from swarmtui.ui.derive import Deriver
from swarmtui.ui.filters import parse
from swarmtui.ui.panes import nodes as nodes_pane
from swarmtui.ui.panes import services as services_pane
from swarmtui.ui.panes.nodes import NodeRows
from swarmtui.ui.panes.services import ServiceRows
from swarmtui.ui.views import Env, Facets
from tests import builders as b

NOW = 1_700_000_000.0
DAY = 86_400.0

# -- what is typed after `/` -----------------------------------------------------------------------------------------

LABELS: dict[str, dict[str, str]] = {"1": {"zone": "a", "ssd": ""}, "2": {"zone": "b"}, "3": {}}
ROWS: dict[str, Row] = {
    "1": (Cell("mgr1 ←"), Cell("ready"), Cell("10.0.0.1")),
    "2": (Cell("mgr10"), Cell("ready"), Cell("10.0.0.10")),
    "3": (Cell("wrk1"), Cell("down"), Cell("10.0.1.1")),
}


NAMES = {"1": "mgr1", "2": "mgr10", "3": "wrk1"}


def shown(text: str) -> set[str]:
    passes = parse(text, lambda key: Facets(node=(NAMES[key], f"id{key}"), service=("web",), labels=LABELS[key]))
    return {key for key, row in ROWS.items() if passes is None or passes(key, row)}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", "123"),
        ("   ", "123"),
        ("mgr", "12"),
        ("MGR", "12"),
        ("down", "3"),
        (r"10\.0\.0\.", "12"),
        ("mgr..$", "2"),
        ("^wrk", "3"),
        ("^ready$", "12"),
        ("!down", "12"),
        ("!!down", "3"),
        ("mgr !10", ""),
        ("1 !mgr10", "13"),
        ("ready mgr10", "2"),
        ("ready down", ""),
        ("label=zone", "12"),
        ("label=zone=a", "1"),
        ("label=zone=A", ""),
        ("label=ssd", "1"),
        ("label=ssd=", "1"),
        ("label=zone=", ""),
        ("!label=zone", "3"),
        ("label=", ""),
        ("label=zone !label=zone=a", "2"),
        ("node=WRK1", "3"),
        ("node=mgr1", "1"),
        ("node=mgr", ""),
        ("node=mgr*", "12"),
        ("node=mgr1?", "2"),
        ("node=id3", "3"),
        ("node=[", ""),
        ("service=web", "123"),
        ("service=we", ""),
        ("stack=web", ""),
        ("node=ready", ""),
        ("!node=mgr1", "23"),
        ("state=down", ""),
        ("a|wrk", "123"),
    ],
)
def test_filters(text: str, keys: str) -> None:
    assert shown(text) == set(keys)


@pytest.mark.parametrize("text", ["[", "mgr(", "*", "!["])
def test_what_is_no_regular_expression_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="no regular expression"):
        shown(text)


def test_a_lonely_exclamation_mark_looks_for_one() -> None:
    assert shown("!") == set()


def test_an_anchor_finds_the_node_we_talk_through_too() -> None:
    """The arrow behind its name is a sign of ours, and no part of it."""
    assert "1" in shown("^mgr1$")


# -- nodes -----------------------------------------------------------------------------------------------------------


def cell(row: Row, key: str) -> Cell:
    return row[[column.key for column in nodes_pane.COLUMNS].index(key)]


def node_rows(now: Snapshot, through: str = "") -> Mapping[str, Row]:
    return NodeRows()(now, Env(now=NOW, through=through))


def row_of(made: b.Json, now: Snapshot | None = None, through: str = "") -> Row:
    return node_rows(now or b.snapshot([made]), through)[made["ID"]]


def test_a_row_has_a_cell_for_every_column() -> None:
    made = b.node("mgr1", manager="leader", labels={"zone": "a", "ssd": ""}, message="fine", cpus=2, memory=8 * b.GIB)
    row = row_of(made, through=made["ID"])
    assert len(row) == len(nodes_pane.COLUMNS)
    assert [cell.text for cell in row] == [
        "mgr1 ←",
        "ready",
        "active",
        "Leader",
        "0",
        "a",
        "26.1.5",
        "10.0.0.1",
        "-",
        "2",
        "8.0G",
        "linux/x86_64",
        "ssd, zone=a",
        "fine",
        made["ID"],
    ]


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (b.node("n", manager="leader"), "Leader"),
        (b.node("n", manager="reachable"), "Reachable"),
        (b.node("n", manager="unreachable"), "Unreachable"),
        (b.node("n", manager="unknown"), "Unreachable"),
        (b.node("n", role="manager"), "Joining"),
        (b.node("n", manager="reachable", role="worker"), "Leaving"),
        (b.node("n"), "-"),
    ],
)
def test_what_a_node_is_in_the_raft(made: b.Json, text: str) -> None:
    assert cell(row_of(made), "manager").text == text


def test_the_raft_sorts_the_leader_first_and_workers_last() -> None:
    made = [
        b.node("w"),
        b.node("u", manager="unreachable"),
        b.node("r", manager="reachable"),
        b.node("l", manager="leader"),
    ]
    rows = node_rows(b.snapshot(made))
    ordered = sorted(rows.values(), key=lambda row: cell(row, "manager").sort)
    assert [row[0].text for row in ordered] == ["l", "r", "u", "w"]


@pytest.mark.parametrize(
    ("days", "text", "style"),
    [(90.5, "90d", ""), (13.5, "13d", "warn"), (1.5, "1d", "bad"), (0.5, "0d", "bad"), (-0.5, "expired", "bad")],
)
def test_what_is_left_of_a_certificate(days: float, text: str, style: str) -> None:
    made = b.node("m", manager="leader")
    found = cell(row_of(made, b.snapshot([made], certificates={made["ID"]: NOW + days * DAY})), "certificate")
    assert (found.text, found.style) == (text, style)


def test_tasks_are_counted_that_live_there_and_unknown_is_not_none() -> None:
    on, other, of = b.node("on"), b.node("other"), b.service("s", replicas=5)
    tasks = [b.task(of, on, 1), b.task(of, on, 2, state="preparing"), b.task(of, other, 3)]
    tasks += [b.task(of, on, 4, state="shutdown", desired="shutdown"), b.task(of, on, 5, state="failed")]
    assert cell(row_of(on, b.snapshot([on, other], [of], tasks)), "tasks").text == "2"
    assert cell(row_of(on, b.snapshot([on, other], [of], unread=["tasks"])), "tasks").text == "?"


HOSTILE = "a\nb\t[red]x[/]\x1b[31m"


def test_hostile_names_stay_in_their_cell_on_one_line() -> None:
    made = b.node(HOSTILE, id="id\n1", labels={"zone": HOSTILE, HOSTILE: HOSTILE}, engine=HOSTILE, message=HOSTILE)
    made["Status"]["Addr"] = made["Status"]["State"] = made["Spec"]["Availability"] = HOSTILE
    made["Description"]["Platform"] = {"OS": HOSTILE, "Architecture": HOSTILE}
    row = row_of(made, b.snapshot([made]))
    assert all(cell.text.isprintable() for cell in row)
    assert row[0].text == "a b [red]x[/]\ufffd[31m"  # markup is text


def test_an_unknown_state_is_shown_and_never_looks_good() -> None:
    found = cell(row_of(b.node("n", state="confused")), "state")
    assert (found.text, found.style) == ("confused", "warn")
    assert cell(row_of(b.node("n", state="")), "state").text == "?"


def test_a_node_that_did_not_change_yields_the_very_same_row() -> None:
    rows, one, two, of = NodeRows(), b.node("one"), b.node("two"), b.service("s")

    def make(*nodes: b.Json, on: b.Json | None = None, through: str = "", now: float = NOW) -> Mapping[str, Row]:
        return rows(b.snapshot(nodes, [of], [b.task(of, on)] if on else []), Env(now=now, through=through))

    first = make(one, two)
    again = make(one, b.node("two", version=99), now=NOW + 60)
    assert again[one["ID"]] is first[one["ID"]]
    changed = make(one, b.node("two", state="down"))
    assert changed[one["ID"]] is first[one["ID"]] and changed[two["ID"]] != first[two["ID"]]
    busy = make(one, two, on=two)
    assert busy[one["ID"]] is first[one["ID"]] and cell(busy[two["ID"]], "tasks").text == "1"
    through = make(one, two, through=one["ID"])
    assert through[one["ID"]][0].text == "one ←" and through.keys() == first.keys()
    assert make(one).keys() == {one["ID"]}


# -- services --------------------------------------------------------------------------------------------------------


def service_cells(
    of: b.Json, *tasks: b.Json, nodes: list[b.Json] | None = None, unread: list[str] | None = None
) -> dict[str, Cell]:
    now = b.snapshot(nodes if nodes is not None else [ON, DEAD], [of], tasks, unread=unread or [])
    (row,) = ServiceRows()(now, Env()).values()
    return {column.key: cell for column, cell in zip(services_pane.COLUMNS, row, strict=True)}


ON, DEAD = b.node("on"), b.node("dead", state="down")


def test_only_what_runs_on_nodes_that_are_ready_counts() -> None:
    """`docker service ls` says 4/4 with nothing alive (swarm-dr.md, trap 4)."""
    of = b.service("api", replicas=4)
    tasks = [b.task(of, ON, 1), b.task(of, ON, 2, state="preparing"), b.task(of, DEAD, 3), b.task(of, DEAD, 4)]
    found = service_cells(of, *tasks)
    assert (found["running"].text, found["running"].style) == ("1/4", "warn")
    assert service_cells(of, *tasks[2:])["running"] == Cell("0/4", "bad", -4)
    assert service_cells(b.service("api"), b.task(of, ON))["running"].style == "good"


def test_a_service_scaled_to_nothing_is_fine() -> None:
    assert service_cells(b.service("api", replicas=0))["running"] == Cell("0/0", "good", 0)


@pytest.mark.parametrize("part", ["tasks", "nodes"])
def test_what_was_never_read_does_not_show_as_a_service_that_is_down(part: str) -> None:
    of = b.service("api", replicas=4)
    found = service_cells(of, nodes=[] if part == "nodes" else None, unread=[part])
    assert found["running"].style != "bad" and not found["running"].text.startswith("0/")


@pytest.mark.parametrize(
    ("mode", "text"),
    [("replicated", "replicated"), ("global", "global"), ("job", "replicated-job"), ("global-job", "global-job")],
)
def test_modes(mode: str, text: str) -> None:
    assert service_cells(b.service("s", mode=mode))["mode"].text == text


def test_a_global_service_wants_as_many_as_were_started() -> None:
    of = b.service("agent", mode="global")
    assert service_cells(of, b.task(of, ON), b.task(of, DEAD))["running"].text == "1/2"


def test_a_job_counts_what_runs_of_it() -> None:
    of = b.service("batch", replicas=3, mode="job")
    done = b.task(of, ON, 2, state="complete")
    assert service_cells(of, b.task(of, ON, 1), done)["running"].text == "1/3"


def test_a_job_that_is_not_complete_is_nothing_bad() -> None:
    assert service_cells(b.service("batch", replicas=3, mode="job"))["running"].style == "good"


def test_image_update_and_ports() -> None:
    of = b.service("web", image="shop/web:1@sha256:ab", update="paused", ports=[b.port(8080), b.port(0, mode="host")])
    found = service_cells(of)
    assert (found["image"].text, found["update"].text, found["ports"].text) == ("shop/web:1", "paused", "8080->80/tcp")
    plugin = b.service("plugin")
    del plugin["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert service_cells(plugin)["image"].text == "-"


def test_hostile_services_stay_in_their_cells() -> None:
    found = service_cells(b.service(HOSTILE, image=HOSTILE, update=HOSTILE))
    assert all(cell.text.isprintable() for cell in found.values())


def test_a_service_that_did_not_change_yields_the_very_same_row() -> None:
    rows, api, db = ServiceRows(), b.service("api"), b.service("db")
    first = rows(b.snapshot([ON], [api, db], [b.task(api, ON)]), Env())
    later = rows(b.snapshot([ON], [api, db], [b.task(api, ON), b.task(db, ON)]), Env())
    assert later[api["ID"]] is first[api["ID"]] and later[db["ID"]] != first[db["ID"]]
    assert rows(b.snapshot([ON], [db], [b.task(db, ON)]), Env()).keys() == {db["ID"]}


# -- all together ----------------------------------------------------------------------------------------------------


def test_all_that_is_shown_of_a_snapshot() -> None:
    made = [b.node("mgr1", id="1", manager="leader"), b.node("mgr2", id="2", manager="unreachable", state="down")]
    now = b.snapshot([*made, b.node("mgr3", id="3", manager="reachable")], [b.service("api")])
    derived = Deriver()(now, Env(through="1"), ("nodes", "services"))
    assert (derived.leader, derived.ready, str(derived.quorum)) == ("mgr1", 2, "2/3 managers, survives no loss")
    assert derived.rows["nodes"]["1"][0].text == "mgr1 ←" and len(derived.rows["services"]) == 1
    rules = [finding.rule for finding in derived.findings]
    assert {"manager-unreachable", "no-slack", "service-down"} <= set(rules)
    assert derived.alarms == len([f for f in derived.findings if f.severity > 0]) > 0


def test_before_anything_was_read_nothing_is_claimed() -> None:
    derived = Deriver()(Snapshot(), Env())
    assert (derived.leader, derived.ready, derived.findings, derived.rows["nodes"]) == ("", 0, (), {})
