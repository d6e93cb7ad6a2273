"""The mistakes of the other tools, each done as their users do it; what their users ask for; Swarm's own pains."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.binding import Binding

from swarmtui.ui.keys import ACTIONS, CHANGE, LOOK, NODE_ACTIONS
from swarmtui.ui.table_keys import BINDINGS as TABLE
from swarmtui.ui.views import ENTRIES
from tests.driver import Driver
from tests.peers.support import Docker, needs_docker
from tests.ui.snapshots import stage
from tests.ui.test_console import opened

VIEWS = [entry.name for entry in ENTRIES]
OWN = ("backups", "journal")
"""Views of what is kept on this machine."""
GONE = ("mgr1", "mgr2", "mgr3")


# -- the target of a dangerous action re-read from the cursor after the dialog -----------------------------------------


@needs_docker
async def test_what_is_removed_is_what_the_question_named_wherever_the_cursor_is_by_then(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        docker = Docker(demo)
        for name in ("aaa", "mmm", "zzz"):
            await docker("service", "create", "-d", "-q", "--name", name, "alpine", "sleep", "1000")
            await docker("network", "create", "-d", "overlay", name)
            await docker("secret", "create", name, str(_file(tmp_path)))
        before = {kind: await docker.names(kind) for kind in ("service", "network", "secret")}
        for kind in before:
            view = f"{kind}s"
            await console.here().view(view).select("mmm").press("X").dialog("mmm")
            table = console.app.main.table(view)
            assert table is not None
            aimed = table.cursor_key
            table.set_sort("name", reverse=True)
            table.action_first()
            assert table.cursor_key != aimed
            await console.here().confirm("mmm").until_done()
            assert before[kind] - await docker.names(kind) == {"mmm"}


def _file(folder: Path) -> Path:
    file = folder / "content"
    file.write_text("x")
    return file


# -- a key that changes something without a question -------------------------------------------------------------------


@needs_docker
async def test_no_key_changes_anything_by_itself(tmp_path: Path) -> None:
    """dry drains a node at one key, others step active → pause → drain. Here all keys are pressed."""
    leave = {"quit", "app.clusters", "back"}
    every = [
        key.key
        for binding in (*LOOK, *TABLE, *CHANGE)
        if isinstance(binding, Binding) and binding.action not in leave
        for key in Binding.make_bindings([binding])
    ]
    async with opened(tmp_path) as (demo, console):
        docker = Docker(demo)
        before = await docker.everything()
        for view in VIEWS:
            mine = [action.key for action in ACTIONS if action.view == view]
            for key in dict.fromkeys(every if view == "nodes" else mine):
                await _press_and_leave(console, view, key)
        assert await docker.everything() == before
        assert not list((tmp_path / "journal").glob("*.jsonl"))


async def _press_and_leave(console: Driver, view: str, key: str) -> None:
    """Presses a key, and esc until the view is back, as somebody does who did not mean it."""
    await console.here().view(view).press(key)

    def settled() -> bool:
        planning = any(worker.group == "operate" and worker.is_running for worker in console.app.workers)
        return console.screen != "main" or not planning

    await console.until(f"{view}: {key} asks or tells", settled)
    for _ in range(4):
        if console.screen == "main" and not console.app.main.query("#line.asking"):
            return
        await console.pilot.press("escape")
        await console.until(f"{view}: {key} is left", settled)
    raise AssertionError(f"{view}: {key} leads to where esc does not lead back\n{console.text}")


# -- remove that always forces -----------------------------------------------------------------------------------------


@needs_docker
async def test_a_live_node_leaves_by_itself_and_is_not_forced_out(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        docker = Docker(demo)
        await console.nodes().select("wrk5").press("X").dialog("docker swarm leave", "docker node rm wrk5")
        assert "--force" not in console.words and "-f " not in console.words
        await console.here().confirm("wrk5").until_done()
        await console.nodes().lacks("wrk5")
        assert "wrk5" not in (await docker("node", "ls", "--format", "{{.Hostname}}")).split()
        host = demo.world.hosts["wrk5"]
        assert host.swarm is None, "the host itself still believes that it is in the Swarm"


# -- an empty table when the connection died ---------------------------------------------------------------------------


async def test_in_no_view_the_rows_go_with_the_connection_and_they_come_back_by_themselves(tmp_path: Path) -> None:
    async with opened(tmp_path) as (demo, console):
        before: dict[str, set[str]] = {}
        for view in VIEWS:
            await console.here().view(view)
            table = console.app.main.table(view)
            assert table is not None
            await console.until(f"{view} is there", lambda table=table: not table.dim)
            before[view] = set(table.rows)
        assert all(before[view] for view in ("nodes", "services", "tasks", "stacks", "networks", "secrets", "configs"))
        for name in GONE:
            demo.world.crash(demo.world.hosts[name])
        await console.here().header("NOT CONNECTED", within=40)
        for view in VIEWS:
            table = console.app.main.table(view)
            assert table is not None
            await console.here().view(view)
            if view in OWN:
                assert not table.dim, f"{view} comes from this machine, and is as good as before"
            else:
                await console.until(f"{view} is dimmed", lambda table=table: table.dim)
            assert before[view] <= set(table.rows), f"{view} lost rows with the connection"
            # Keys go on: what is known can be looked at, and nothing can be changed.
            await console.here().press("end", "home", "greater_than_sign")
        await console.nodes().press("D").told("There is no connection to the cluster now.").at("main")
        for name in GONE:
            demo.world.boot(demo.world.hosts[name])
        await console.here().live(within=60)
        for view in ("nodes", "secrets"):
            table = console.app.main.table(view)
            assert table is not None
            await console.here().view(view)
            await console.until(f"{view} is live", lambda table=table: not table.dim, 30)
            assert set(table.rows) == before[view]


# -- what their users ask for ------------------------------------------------------------------------------------------


async def test_a_cluster_that_is_read_only_in_the_configuration_has_no_key_that_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.freeze(monkeypatch)
    async with stage.console(tmp_path, read_only=True) as driver:
        assert "read-only" in driver.header
        for view in VIEWS:
            await driver.here().view(view)
            bound = {binding.action for _, binding, _, _ in driver.app.screen.active_bindings.values()}
            assert bound and not [action for action in bound if action.startswith("act(")], view
        await driver.nodes()
        for action in NODE_ACTIONS:
            await driver.here().press(action.key).at("main")


async def test_what_cannot_be_had_back_wants_its_name_typed(tmp_path: Path) -> None:
    rows = {"nodes": "wrk5", "services": "shop_web", "stacks": "shop", "configs": "shop_nginx-conf"}
    async with opened(tmp_path) as (_, console):
        for view, name in rows.items():
            await console.here().view(view).select(name).press("X").dialog(f'Type "{name}" and press enter')
            await console.here().type("y").press("enter").told(f'That is not "{name}"').at("confirm").leave()


# -- Swarm's own pains -------------------------------------------------------------------------------------------------


async def test_a_node_that_joined_again_is_told_from_its_old_entry(tmp_path: Path) -> None:
    """moby#30059: two rows of one name, and `docker node ls` does not say which one is alive."""
    async with opened(tmp_path, "stale-nodes") as (_, console):
        await console.until("both", lambda: len(console.rows("wrk2")) == 2)
        old, new = sorted(console.rows("wrk2"), key=lambda row: "ready" in row)
        assert "stale" in old and "ready" in new and "stale" not in new
        await console.nodes().press("f").title("faults only")
        assert [row for row in console.rows("wrk2") if "ready" in row] == []
        await console.here().press("a").at("reading").sees("wrk2", "down").leave()


async def test_a_task_of_a_node_that_was_removed_is_not_taken_for_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moby#37320: `docker service ps` says Running of a task whose node is gone."""
    stage.freeze(monkeypatch)
    async with stage.console(tmp_path, size=(120, 36)) as driver:
        await driver.here().view("tasks").press("f").title("faults only").sees("running? node gone")
        await driver.here().view("services").sees("edge_proxy")
        # Four run where they should; the fifth is the ghost, which the Swarm goes on wanting.
        assert "4/5" in driver.row("edge_proxy").split()
