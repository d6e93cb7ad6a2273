"""Rows and descriptions of tasks, stacks, events and the journal, from snapshots."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from swarmtui.model.objects import SwarmEvent
from swarmtui.model.snapshot import Snapshot
from swarmtui.runbooks.journal import Journal
from swarmtui.ui.cells import Cell, Row, natural
from swarmtui.ui.derive import Derived, Deriver
from swarmtui.ui.filters import parse
from swarmtui.ui.panes.nodes import THROUGH
from swarmtui.ui.rows import Made
from swarmtui.ui.views import ENTRIES, HISTORY, NO_FACETS, Env, view
from tests import builders as b

NOW = 1_714_651_200.0  # 2024-05-02 12:00 UTC: two hours after what the builders make
ON, DEAD = b.node("on"), b.node("dead", state="down")
WEB = b.service("web", replicas=2)


def derived(snapshot: Snapshot, name: str, **env: Any) -> Derived:
    return Deriver()(snapshot, Env(now=NOW, **env), [name])


def cells(found: Derived, name: str, key: str) -> dict[str, Cell]:
    return {column.key: cell for column, cell in zip(view(name).columns, found.rows[name][key], strict=True)}


def tasks(*made: b.Json, nodes: Iterable[b.Json] = (ON, DEAD), **env: Any) -> Derived:
    return derived(b.snapshot(nodes, [WEB], made), "tasks", **env)


def ended(slot: int, when: str, *, error: str = "", code: int = 0, state: str = "failed") -> b.Json:
    made = b.task(WEB, ON, slot, state=state, desired="shutdown", id=f"old{slot}at{when[14:16]}")
    made["CreatedAt"] = when
    made["Status"] |= {"Err": error, "ContainerStatus": {"ContainerID": "c", "ExitCode": code}}
    return made


def test_a_task_is_called_by_service_and_slot_or_node() -> None:
    agent = b.service("agent", mode="global")
    made = [b.task(WEB, ON, 2, id="w"), b.task(agent, ON, 0, id="a"), b.task(WEB, None, 3, id="p", state="pending")]
    found = derived(b.snapshot([ON], [WEB, agent], made), "tasks")
    assert {key: row[0].text for key, row in found.rows["tasks"].items()} == {
        "w": "web.2",
        "a": "agent.on",
        "p": "web.3",
    }
    assert (cells(found, "tasks", "p")["state"], cells(found, "tasks", "p")["node"].text) == (
        Cell("pending", "warn"),
        "-",
    )
    assert cells(found, "tasks", "w")["age"].text == "2 h"


def test_what_runs_on_a_node_that_is_down_or_gone_only_seems_to_run() -> None:
    gone = b.node("gone")
    made = [b.task(WEB, DEAD, 1, id="ghost"), b.task(WEB, gone, 2, id="lost"), b.task(WEB, ON, 3, id="fine")]
    made += [b.task(WEB, DEAD, 4, id="left", desired="shutdown"), b.task(WEB, DEAD, 5, id="orphan", state="orphaned")]
    found = tasks(*made)
    states = {key: (c.text, c.style) for key in found.rows["tasks"] for c in (cells(found, "tasks", key)["state"],)}
    assert states == {
        "ghost": ("running? node down", "bad"), "lost": ("running? node gone", "bad"), "fine": ("running", "good"),
        "left": ("running? node down", "warn"), "orphan": ("orphaned", "bad"),
    }  # fmt: skip
    told = view("tasks").describe(found, "ghost")
    assert told[1][0] == "bad" and "proves nothing: node down" in told[1][1]


def test_nothing_seems_lost_before_the_nodes_are_known() -> None:
    found = derived(b.snapshot([], [WEB], [b.task(WEB, ON, 1, id="t")], unread=["nodes"]), "tasks")
    assert cells(found, "tasks", "t")["state"] == Cell("running", "good")


def test_what_came_before_in_a_slot_is_hidden_until_it_is_asked_for() -> None:
    old, older = ended(1, "2024-05-02T09:30:00Z", error="exit (1)", code=1), ended(1, "2024-05-02T09:20:00Z")
    made = [older, b.task(WEB, ON, 1, id="now"), old, ended(2, "2024-05-02T09:40:00Z", code=137)]
    found = tasks(*made)
    assert set(found.rows["tasks"]) == {"now", "old2at40"}
    assert view("tasks").note(found) == "2 that came before hidden (h)"
    whole = tasks(*made, options=frozenset({HISTORY}))
    by_name = sorted(whole.rows["tasks"], key=lambda key: whole.rows["tasks"][key][0].sort)
    assert by_name == ["now", old["ID"], older["ID"], made[3]["ID"]]
    first = cells(whole, "tasks", old["ID"])
    assert (first["name"].text, first["exit"].text, first["error"]) == ("\\_ web.1", "1", Cell("exit (1)", "dim"))
    assert cells(whole, "tasks", made[3]["ID"])["exit"] == Cell("137", "", 137)
    assert view("tasks").note(whole) == "with what came before (h)"


def test_a_task_that_did_not_change_yields_the_very_same_row() -> None:
    deriver, made = Deriver(), [b.task(WEB, ON, 1, id="1"), b.task(WEB, ON, 2, id="2")]
    first = deriver(b.snapshot([ON], [WEB], made), Env(now=NOW), ["tasks"]).rows["tasks"]
    made[1] = b.task(WEB, ON, 2, id="2", state="failed")
    later = deriver(b.snapshot([ON], [WEB], made), Env(now=NOW + 60), ["tasks"]).rows["tasks"]
    assert later["1"] is first["1"] and later["2"] != first["2"]


def test_rows_say_how_they_differ_from_those_before() -> None:
    deriver, made = Deriver(), [b.task(WEB, ON, 1, id="1"), b.task(WEB, ON, 2, id="2")]
    first = deriver(b.snapshot([ON], [WEB], made), Env(now=NOW), ["tasks"]).rows["tasks"]
    assert deriver(b.snapshot([ON], [WEB], made), Env(now=NOW + 1), ["tasks"]).rows["tasks"] is first
    made = [made[0] | {"Version": {"Index": 99}}, b.task(WEB, ON, 3, id="3")]
    later = deriver(b.snapshot([ON], [WEB], made), Env(now=NOW + 2), ["tasks"]).rows["tasks"]
    assert isinstance(later, Made) and later.follows(first)
    assert (later.changed.keys(), later.removed) == ({"3"}, {"2"}), "a new version that looks the same is no change"


def test_another_view_of_the_same_snapshot_needs_no_other_findings() -> None:
    deriver, snapshot = Deriver(), b.snapshot([ON, DEAD], [WEB], [b.task(WEB, ON, 1)])
    nodes = deriver(snapshot, Env(now=NOW), ["nodes"])
    both = deriver(snapshot, Env(now=NOW, through=ON["ID"]), ["nodes", "services"])
    assert both.findings is nodes.findings is both.env.findings and nodes.findings
    assert set(both.rows) == {"nodes", "services"} and both.rows["nodes"] != nodes.rows["nodes"]
    assert deriver(b.snapshot([ON], [WEB]), Env(now=NOW), ["nodes"]).findings != nodes.findings


def test_tasks_are_sorted_by_their_whole_name() -> None:
    odd = b.service("Web-2.x10")
    made = [b.task(odd, ON, slot, id=str(slot)) for slot in (1, 2, 10)] + [b.task(odd, ON, 0, id="0")]
    names = [row[0] for row in derived(b.snapshot([ON], [odd], made), "tasks").rows["tasks"].values()]
    assert {cell.text for cell in names} == {f"Web-2.x10.{which}" for which in ("1", "2", "10", "on")}
    assert all(cell.sort == natural(cell.text) + "\0" + "000" for cell in names)


@pytest.mark.parametrize("word", ["shop_WEB1", "web1", "10.1", "registry/shop", "reg", "ready", "Web-2", "x,y", "rs"])
def test_a_word_that_only_means_itself_finds_what_it_would_as_a_regular_expression(word: str) -> None:
    rows: list[Row] = [
        (Cell(name), Cell(state), Cell("registry/shop/web:1.2.3"))
        for name in ("shop_web1.10", "SHOP_WEB19.1", "web-2", f"mgr{THROUGH}", "x,y", "10.1.2.3")
        for state in ("Ready", "down")
    ]
    same = parse(f"(?:{word})", lambda key: NO_FACETS)
    plain = parse(word, lambda key: NO_FACETS)
    assert plain is not None and same is not None
    assert [plain("", row) for row in rows] == [same("", row) for row in rows]


def test_filters_find_tasks_by_node_service_stack_and_label() -> None:
    labelled = b.service("shop_api")
    labelled["Spec"]["Labels"] = {"com.docker.stack.namespace": "shop", "tier": "front"}
    found = b.snapshot([ON], [labelled], [b.task(labelled, ON, 1, id="t")])
    facets = view("tasks").facets(found, "t")
    assert "on" in facets.node and "shop_api" in facets.service and facets.stack == ("shop",)
    assert facets.labels["tier"] == "front"
    services = view("services").facets(found, labelled["ID"])
    assert "on" in services.node and services.stack == ("shop",)


def test_a_stack_counts_its_services_and_names_those_that_are_short() -> None:
    api, db = b.service("shop_api", replicas=2), b.service("shop_db", replicas=1)
    for made in (api, db):
        made["Spec"]["Labels"] = {"com.docker.stack.namespace": "shop"}
    running = [b.task(api, ON, 1), b.task(api, DEAD, 2), b.task(db, ON, 1)]
    found = derived(b.snapshot([ON, DEAD], [api, db, WEB], running), "stacks")
    assert list(found.rows["stacks"]) == ["shop"]
    row = cells(found, "stacks", "shop")
    assert [row[key].text for key in ("services", "running", "short")] == ["2", "2/3", "shop_api"]
    assert row["running"].style == "warn"
    unknown = derived(b.snapshot([ON], [api], unread=["tasks"]), "stacks")
    assert cells(unknown, "stacks", "shop")["running"].text == "?"


def test_events_say_what_changed_and_where_some_are_missing() -> None:
    events = (
        SwarmEvent(NOW, "node", "update", "wrk1", "n1", {"state.old": "ready", "state.new": "down"}, "mgr1"),
        SwarmEvent(NOW + 1, "service", "remove", "web", "s1"),
        SwarmEvent(NOW + 2, gap="Nobody listened for 5 s.", through="mgr1"),
    )
    found = derived(b.snapshot([ON]), "events", events=events)
    lost, removed, gap = (row for row in found.rows["events"].values())
    assert lost[4] == Cell("state ready → down", "bad") and removed[2].style == "warn"
    assert (gap[1].text, gap[4].text) == ("gap", "Nobody listened for 5 s.")
    assert any("state.new" in line for _, line in view("events").describe(found, next(iter(found.rows["events"]))))


def test_the_journal_lists_runs_and_reports_one(tmp_path: Path) -> None:
    with Journal(tmp_path).writer("20240502T100000Z-node.drain-ab12") as writer:
        writer.begin(
            runbook="node.drain", version=1, title="Drain wrk1", params={}, facts={}, cluster_id="c", target="prod",
            accepted=[],
        )  # fmt: skip
        writer.write("intent", step="drain", before={}, commands=["docker node update …"])
        writer.write("done", step="drain")
    (tmp_path / "20240501T100000Z-node.pause-cd34.jsonl").write_text("garbage\n")
    (tmp_path / "20240401T100000Z-odd-ef56.jsonl").write_text('{"kind": "run", "runbook": "x", "title": ["y"]}\n')
    found = derived(b.snapshot([ON]), "journal", journal=tmp_path)
    cut, damaged, odd = (cells(found, "journal", key) for key in sorted(found.rows["journal"], reverse=True))
    assert (cut["outcome"], cut["title"].text, cut["steps"].text) == (Cell("cut off", "warn"), "Drain wrk1", "1/1")
    assert damaged["outcome"] == odd["outcome"] == Cell("damaged", "bad")
    with Journal(tmp_path).writer("20240502T100000Z-node.drain-ab12") as writer:
        writer.write("end", outcome="done")
    now = derived(b.snapshot([ON]), "journal", journal=tmp_path)
    assert cells(now, "journal", "20240502T100000Z-node.drain-ab12")["outcome"] == Cell("done", "good")
    assert ("title", "Drain wrk1") in view("journal").describe(now, "20240502T100000Z-node.drain-ab12")


HOSTILE = "a\nb\t[red]x[/]\x1b[31m"


def test_every_view_has_one_row_maker_and_cells_of_one_line() -> None:
    """What a cluster calls its things is data, in every view and description."""
    of = b.service(HOSTILE, image=HOSTILE, update=HOSTILE)
    of["Spec"]["Labels"] = {"com.docker.stack.namespace": HOSTILE, HOSTILE: HOSTILE}
    task = b.task(of, ON, 1, state=HOSTILE, id="t")
    task["Status"] |= {"Err": HOSTILE, "Message": HOSTILE}
    found = b.snapshot([b.node(HOSTILE, id=ON["ID"])], [of], [task])
    event = SwarmEvent(NOW, HOSTILE, HOSTILE, HOSTILE, "i", {HOSTILE: HOSTILE})
    seen: list[Row] = []
    for entry in ENTRIES:
        assert view(entry.name).name == entry.name
        shown = derived(found, entry.name, events=(event,))
        assert all(len(row) == len(view(entry.name).columns) for row in shown.rows[entry.name].values())
        seen += shown.rows[entry.name].values()
        for key in shown.rows[entry.name]:
            for _, line in view(entry.name).describe(shown, key):
                assert line.isprintable(), (entry.name, line)
    assert len(seen) >= 5 and all(cell.text.isprintable() for row in seen for cell in row)


def test_an_object_that_is_gone_is_told_so() -> None:
    for entry in ENTRIES:
        assert view(entry.name).describe(derived(b.snapshot([ON]), entry.name), "gone")[0][0] == "bad"


def test_a_node_that_joined_again_marks_its_old_entry() -> None:
    old = b.node("wrk1", id="old", state="down", addr="10.0.0.5")
    found = derived(b.snapshot([b.node("wrk1", id="new", addr="10.0.0.5"), old]), "nodes")
    assert cells(found, "nodes", "old")["state"].text == "down, stale"
    assert cells(found, "nodes", "new")["state"].text == "ready"
