"""The views and the ways between them, on the simulated cluster over SSH on loopback, driven by keys."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import pytest
from textual import events

from swarmtui import config
from swarmtui.demo.serve import Demo
from swarmtui.model.snapshot import Snapshot
from swarmtui.opening import find
from swarmtui.runbooks import registry
from swarmtui.ui import app, habits
from swarmtui.ui.cells import Rows
from swarmtui.ui.habits import Habits, Sort
from swarmtui.ui.keys import ACTIONS, LOOK, ONLY
from swarmtui.ui.panes.services import ServiceRows
from swarmtui.ui.views import ENTRIES, TITLES, Env
from tests.driver import driven
from tests.ui.test_console import SPEED, opened


async def test_every_view_is_there_by_its_name_and_its_short_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        for entry in ENTRIES:
            for name in (entry.name, *entry.aliases[:1]):
                await console.here().press("colon").type(name).press("enter").title(entry.title)
            table = console.app.main.table(entry.name)
            await console.until(f"{entry.name} derived", lambda t=table: t is not None and not t.dim)
            await console.here().press("question_mark").sees(f"Keys of {entry.title.lower()}").leave()
        await console.here().view("secrets").sees("shop_db-password", "shop_db")
        await console.here().view("networks").sees("shop_back", "overlay", "local ones: of root@mgr1")
        await console.here().view("volumes").title("only of the engine in use, root@mgr1")
        await console.here().view("stacks").shows("shop", "7", "27/27").shows("mon", "4")
        await console.here().view("journal").sees("Nothing was done yet.")


async def test_from_a_node_to_its_tasks_to_their_service_and_back(tmp_path: Path) -> None:
    async with opened(tmp_path, size=(80, 24)) as (_, console):
        await console.nodes().select("mgr2").press("t").title("Tasks (3 of", "filter: node=mgr2")
        await console.here().contains("edge_traefik.mgr2").lacks("edge_traefik.mgr1").select("mon_logs.mgr2")
        await console.here().press("s").title("Services").cursor_on("mon_logs")
        await console.here().press("t").title("filter: service=mon_logs").contains("mon_logs.wrk1", "mon_logs.mgr2")
        await console.here().select("mon_logs.wrk1").press("n").title("Nodes").cursor_on("wrk1")
        # Back over view, filter and row; and forward again.
        await console.here().press("left_square_bracket").title("service=mon_logs").cursor_on("mon_logs.wrk1")
        await console.here().press("left_square_bracket").title("Services").cursor_on("mon_logs")
        await console.here().press("left_square_bracket").title("node=mgr2").cursor_on("mon_logs.mgr2")
        await console.here().press("left_square_bracket").title("Nodes").cursor_on("mgr2")
        await console.here().press("left_square_bracket").told("nothing before this")
        await console.here().press("right_square_bracket").title("node=mgr2").cursor_on("mon_logs.mgr2")
        # The filter is there to be edited; esc drops it, then goes back.
        await console.here().press("slash", "backspace").type("3").press("enter").title("node=mgr3")
        await console.here().contains("edge_traefik.mgr3").press("escape").title("Tasks (").lacks("node=")
        assert "filter" not in console.lines[2]
        await console.here().press("escape").title("Nodes").cursor_on("mgr2")


async def test_a_key_of_another_view_says_where_it_works(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.nodes().press("R").told("This key works on backups and services and ucp and dtr and journal.")
        await console.here().view("tasks").press("D").told("This key works on nodes and dtr.").press("t").told("stacks")
        await console.here().view("services").press("n").told("This key works on tasks and dtr.")
        bar = "\n".join(console.lines[-3:])
        assert "R Restart" in bar and "l Logs" in bar and "Drain" not in bar and "h History" not in bar


async def test_the_same_key_does_in_each_view_what_that_view_says(tmp_path: Path) -> None:
    keys = {"service.scale": "ctrl+e", "node.drain": "B"}
    async with Demo("calm", speed=SPEED, seed=1) as demo:
        opening = find("simulated", config.load(demo.config), bundles=tmp_path / "bundle")
        async with driven(opening, tmp_path / "journal", keys=keys) as console:
            await console.nodes().live().contains("wrk1").select("wrk1").press("S").dialog("Pause wrk1").leave()
            await console.nodes().press("B").dialog("Drain wrk1").leave()
            await console.here().view("services").contains("shop_web").select("shop_web")
            await console.here().press("S").told("This key works on nodes and dtr.")
            await console.here().press("ctrl+e").answer("3").dialog("Scale shop_web to 3").confirm().until_done()
            await console.here().shows("shop_web", "3/3")
            await console.here().press("B").at("confirm").leave()  # rolls back: a drain is for nodes


async def test_an_update_is_asked_for_in_words_and_checked(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.here().view("services").contains("shop_web").select("shop_web").press("U").at("ask")
        await console.here().type("nonsense").press("enter").sees('"nonsense" is no KEY=VALUE')
        await console.here().press("ctrl+u").type("label=tier=front").press("enter")
        await console.here().dialog("--label-add tier=front").confirm().until_done()
        await console.here().press("slash").type("label=tier=front").press("enter").title("Services (1 of")
        assert "shop_web" in console.text and "shop_db" not in console.text


async def test_secrets_and_networks_are_made_and_removed(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("hunter2")
    async with opened(tmp_path) as (_, console):
        await console.here().view("secrets").contains("shop_db-password").press("N").answer("edge_new")
        await console.here().at("ask").type("-").press("enter").sees("no standard input").press("ctrl+u")
        await console.here().type(str(tmp_path / "cert")).press("enter").dialog("docker secret create")
        assert "hunter2" not in console.text
        await console.here().confirm().until_done()
        await console.here().contains("edge_new").shows("edge_new", "nobody").select("edge_new").press("X")
        await console.here().confirm("edge_new").until_done()
        await console.here().lacks("edge_new").select("shop_db-password").press("X").told("shop_db")
        await console.here().view("networks").contains("shop_back").press("N").answer("edge_test")
        await console.here().at("ask").sees("Anything else?").press("enter").confirm().until_done()
        await console.here().contains("edge_test").shows("edge_test", "overlay", "swarm")


async def test_marked_services_are_restarted_and_a_scale_takes_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.here().view("services").contains("shop_web").mark("shop_cache", "shop_web").press("S")
        await console.here().told("Scale takes one service at a time, and 2 are marked.").press("R")
        await console.here().dialog("Restart shop_cache, shop_web").leave().mark_is(2).press("escape").mark_is(0)


async def test_stacks_are_deployed_from_a_file_and_removed_by_name(tmp_path: Path) -> None:
    file = tmp_path / "hello.yml"
    file.write_text('version: "3.8"\nservices:\n  web:\n    image: nginx:1.25\n    deploy:\n      replicas: 2\n')
    async with opened(tmp_path) as (_, console):
        await console.here().view("stacks").contains("shop").press("N").answer("hello").answer(str(file))
        await console.here().dialog("hello_web", "docker stack deploy").leave()
        await console.here().select("mon").press("enter").at("reading").sees("mon_grafana 1/1", "mon_net").leave()
        await console.here().press("t").title("filter: stack=mon").contains("mon_grafana.1").lacks("shop_db.1")
        await console.here().press("left_square_bracket").title("Stacks").cursor_on("mon").press("X")
        await console.here().dialog('Type "mon"').leave()


async def test_rebalance_is_planned_from_the_nodes(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.nodes().press("E")
        await console.until("a plan, or why there is none", lambda: console.screen == "confirm" or console.app.told)
        assert "spread" in (console.text + " ".join(console.app.told)).lower()


async def test_faults_only_history_and_what_a_lost_node_leaves(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        demo.world.crash(demo.world.hosts["wrk1"])
        await console.nodes().shows("wrk1", "down", within=40).press("f").title("Nodes (1 of 8, faults only)")
        await console.here().press("f").title("Nodes (8)")
        await console.here().select("wrk1").press("t").title("node=wrk1").sees("running? node down", within=40)
        await console.here().press("f").title("node=wrk1, faults only")
        await console.here().press("enter").at("reading").sees("proves nothing: node down", "Its slot").leave()
        await console.here().press("escape").title("Tasks (").press("h").title("with what came before (h)")


async def test_an_object_as_json_and_as_yaml(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.here().view("services").contains("shop_web").select("shop_web").press("y").at("reading")
        await console.here().sees("Service shop_web").press("G").sees("Endpoint").press("g").sees('"ID":')
        await console.here().sees('"Spec": {').press("y").sees("Spec:", "Name: shop_web").press("y").sees('"Spec": {')
        await console.here().leave().view("stacks").contains("shop").press("y").told("No engine has a stack")
        await console.here().view("services").press("enter").sees("updates", "networks", "Tasks").leave()


async def test_a_table_is_written_as_it_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened(tmp_path) as (_, console):
        await console.nodes().press("slash").type("^wrk[12]").press("enter").title("2 of 8")
        await console.here().press("e").at("ask").press("enter").told("2 rows of nodes are in", "nodes.csv").at("main")
        await console.here().press("e").at("ask").press("enter").sees("not overwritten").press("ctrl+u")
        await console.here().type(str(tmp_path / "n.json")).press("enter").told("n.json").at("main")
    rows = list(csv.DictReader((tmp_path / "nodes.csv").read_text("utf-8").splitlines()))
    assert [row["NODE"] for row in rows] == ["wrk1", "wrk2"] and rows[0]["AVAIL"] == "active"
    assert [row["name"] for row in json.loads((tmp_path / "n.json").read_text())] == ["wrk1", "wrk2"]
    assert stat.S_IMODE((tmp_path / "nodes.csv").stat().st_mode) == 0o600


async def test_sort_and_pane_are_kept_but_no_filter(tmp_path: Path) -> None:
    file = tmp_path / habits.FILE
    async with opened(tmp_path) as (_, console):
        await console.here().sees("First time here?").press("down")
        assert "First time here?" not in console.text
        await console.nodes().press("greater_than_sign", "r").sees("STATE▼")
        await console.here().view("services").contains("shop_web").press("slash").type("web").press("enter")
        await console.here().title("filter: web")
    kept = habits.load(file)
    assert kept is not None and kept.pane == "services"
    assert kept.sorts["nodes"] == Sort("state", True) and kept.sorts["services"] == Sort("name", False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    async with Demo("calm", speed=SPEED, seed=1) as demo:
        opening = find("simulated", config.load(demo.config), bundles=tmp_path / "bundle")
        async with driven(opening, tmp_path / "journal") as console:
            await console.here().live().title("Services (").contains("shop_web", "shop_db")
            assert "filter" not in console.lines[2] and "First time here?" not in console.text
            await console.nodes().sees("STATE▼")


async def test_damaged_habits_are_told_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / habits.FILE).write_text("{")
    async with opened(tmp_path) as (_, console):
        await console.here().told("habits.json cannot be read").title("Nodes (8)")
    assert habits.load(tmp_path / habits.FILE) == Habits("nodes", {"nodes": Sort("name", False)})


async def test_wide_screens_show_four_panes_and_every_other_view_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, size=(160, 48)) as (_, console):
        await console.here().sees("Nodes (8)", "Services (", "DTR replicas", "Backups")
        await console.here().press("colon").type("tasks").press("enter").title("Tasks (")
        assert "DTR replicas" not in console.text and "Services (" not in console.text
        await console.here().press("left_square_bracket").sees("Nodes (8)", "Services (", "DTR replicas")
        await console.here().press("tab").press("R").at("confirm").leave()  # the services have the keys now
        assert console.app.main.current == "services"


async def test_a_wide_screen_that_begins_with_the_services_has_every_pane_in_its_place(tmp_path: Path) -> None:
    habits.save(tmp_path / habits.FILE, Habits("services"))
    async with opened(tmp_path, size=(160, 48)) as (_, console):
        await console.here().sees("Nodes (8)", "Services (13)", "DTR replicas", "Backups")
        assert console.lines[2].index("Nodes") < console.lines[2].index("Services")


async def test_a_screen_that_grows_has_every_pane_in_its_place(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.here().view("services").title("Services (13)")
        await console.pilot.resize_terminal(160, 48)
        await console.here().sees("Nodes (8)", "Services (13)", "DTR replicas", "Backups")
        assert console.lines[2].index("Nodes") < console.lines[2].index("Services")
        below = next(line for line in console.lines if "DTR replicas" in line)
        assert below.index("DTR replicas") < below.index("Backups")
        assert console.app.main.current == "services"


async def test_what_was_never_read_is_not_said_to_be_empty(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        for name in ("mgr1", "mgr2", "mgr3"):
            demo.world.crash(demo.world.hosts[name])
        await console.here().header("NOT CONNECTED", within=40).view("secrets")
        await console.here().sees("The secrets are not known, and nobody can be asked now.")
        assert "Secrets (" not in console.text, "0 would be a claim"
        await console.nodes().contains("mgr1", "wrk5")


async def test_a_view_that_cannot_be_made_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: ServiceRows, snapshot: Snapshot, env: Env) -> Rows:
        raise ZeroDivisionError("planted")

    went_on: list[str] = []
    monkeypatch.setattr(ServiceRows, "__call__", broken)
    monkeypatch.setattr(app, "AGE_SECONDS", 0.2)
    with pytest.raises(AssertionError, match="ZeroDivisionError: planted"):
        async with opened(tmp_path) as (_, console):
            await console.here().press("colon").type("services").press("enter").told("Internal error")
            await console.nodes().select("wrk1").press("S").confirm().until_done()
            await console.nodes().shows("wrk1", "pause")
            went_on.append("wrk1")
    assert went_on == ["wrk1"]


async def test_events_are_shown_as_they_come(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.nodes().select("wrk1").press("S").confirm().until_done()
        await console.here().view("events").sees("node", "update", "wrk1")
        await console.here().view("journal").sees("Pause wrk1", "done").press("enter").at("reading")
        await console.here().sees("Pause wrk1", "docker node update --availability pause wrk1").leave()


async def test_the_log_of_a_service_and_of_a_task(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.here().view("services").contains("shop_web").select("shop_web").press("l").at("logs")
        await console.here().sees("Log of service shop_web").leave().press("t").title("service=shop_web")
        await console.here().contains("shop_web.1").press("l").at("logs").sees("Log of task shop_web.").leave()


@pytest.mark.parametrize("name", ["dark", "light", "contrast"])
async def test_themes(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path) as (_, console):
        await console.here().press("colon").type(f"theme {name}").press("enter")
        background = {"dark": "#101418", "light": "#fbfbf8", "contrast": "#000000"}[name]
        await console.until(name, lambda: console.app.screen.styles.background.hex.lower() == background)
        await console.here().press("colon").type("theme pink").press("enter").told('There is no theme "pink"')


async def test_without_colours_nothing_is_coloured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(tmp_path) as (_, console):
        await console.here().sees("Reachable")
        shades = {
            tuple(triplet)
            for line in console.painted
            for segment in line
            for colour in ((segment.style.color, segment.style.bgcolor) if segment.style else ())
            if colour is not None and (triplet := colour.triplet) is not None
        }
        assert shades and all(red == green == blue for red, green, blue in shades)


def test_every_key_that_changes_something_has_a_runbook_that_takes_what_it_asks_for() -> None:
    for action in ACTIONS:
        if action.tends:
            continue  # on this machine only: tests/ui/test_backups_pane.py presses them all
        known = {param.name: param for param in registry.runbook(action.runbook).params}
        asked = {*action.asks, *action.words, *filter(None, (action.on, action.here))}
        assert asked <= set(known), action
        needed = {name for name, param in known.items() if param.required}
        assert needed <= asked, action
        assert action.view in TITLES
    ids = [action.called for action in ACTIONS]
    assert len(ids) == len(set(ids))
    keys = [(action.view, action.key) for action in ACTIONS]
    assert len(keys) == len(set(keys))


def test_keys_that_work_in_some_views_are_declared() -> None:
    assert set(ONLY) <= {getattr(binding, "action", "") for binding in LOOK}
    assert {name for names in ONLY.values() for name in names} <= set(TITLES)


async def test_what_comes_in_one_read_with_the_key_is_for_the_line(tmp_path: Path) -> None:
    """Over a slow line, or pasted: no letter behind `:` or `/` is taken for a key of the table."""

    def at_once(keys: str) -> None:
        for key in keys:
            named = {":": "colon", "/": "slash", "\r": "enter"}.get(key, key)
            console.app.post_message(events.Key(named, key))

    async with opened(tmp_path) as (_, console):
        await console.nodes()
        at_once(":tasks\r")
        await console.here().at("main").title("Tasks (")
        at_once("/shop_d:/\r")
        await console.here().at("main").title("filter: shop_d:/")
