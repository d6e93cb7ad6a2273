"""The confirmation of every action, by the key a person presses for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from swarmtui.ui.keys import ACTIONS
from tests.ui.snapshots.conftest import Compare
from tests.ui.snapshots.stage import SIZES, SMALL, Stage, console

HERE = "/proc/self/cwd"
"""The current folder under a name that is the same everywhere: plans show the path."""
ROWS = {
    "node.activate": "wrk2",
    "node.promote": "wrk1",
    "node.demote": "mgr2",
    "node.remove": "wrk2",
    "service.rollback": "shop_web",
    "service.update": "shop_web",
    "stack.deploy": "shop",
    "stack.remove": "shop",
    "network.remove": "left-over",
    "secret.remove": "tls-2025.key",
    "config.remove": "prometheus.yml",
}
"""Where the cursor is, if not on the first of these."""
FIRST = {"nodes": "wrk1", "services": "shop_api", "stacks": "shop"}
ANSWERS = {
    "node.label": ("rack=7,zone-",),
    "service.scale": ("5",),
    "service.update": ("image=registry.example/shop/web:1.6.0 env=LOG_LEVEL=debug delay=10s",),
    "stack.new": ("fresh", f"{HERE}/compose.yml"),
    "stack.deploy": (f"{HERE}/compose.yml",),
    "network.create": ("shop_front", "subnet=10.9.0.0/24 encrypted=true"),
    "secret.create": ("tls-2027.key", f"{HERE}/content"),
    "config.create": ("grafana.ini", f"{HERE}/content"),
    "swarm.autolock": ("false",),
    "swarm.rotate-tokens": ("both",),
}
THREE = ("node.demote", "service.update", "stack.deploy")
"""These are looked at in all sizes: a safety rule, a long command, a difference."""
NO_PLAN = {
    "volume.remove": "asks the host, and there is none",
    "swarm.backup": "asks the managers' hosts, and there is none",
    "swarm.backup-from": "asks the managers' hosts, and there is none",
    "swarm.rehearse": "asks the host; see test_backups for its question",
    "swarm.restore": "asks the hosts; see test_restore_by_keys",
    **{action.called: "is no runbook: see test_backups" for action in ACTIONS if action.tends},
    **{action.called: "asks UCP, and there is none" for action in ACTIONS if action.called.startswith("ucp.")},
    **{action.called: "asks DTR, and there is none" for action in ACTIONS if action.called.startswith("dtr.")},
    "platform.backup": "asks UCP and the hosts, and there are none",
    "swarm.unlock": "asks every manager itself; see test_swarm",
    "swarm.unlock-all": "asks every manager itself; see test_swarm",
}
"""Actions that make no plan on this cluster, and why."""
COMPOSE = """\
version: "3.8"
services:
  web:
    image: registry.example/shop/web:1.6.0
    deploy:
      replicas: 5
"""


@pytest.mark.parametrize("called", [action.called for action in ACTIONS if action.called not in NO_PLAN])
async def test_plan(
    called: str, stage: Stage, compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yml").write_text(COMPOSE)
    (tmp_path / "content").write_text("not so secret")
    action = next(action for action in ACTIONS if action.called == called)
    async with console(tmp_path) as driver:
        await driver.here().view(action.view)
        row = ROWS.get(called) or (FIRST.get(action.view, "") if action.on else "")
        if row:
            await driver.here().select(row)
        await driver.here().press(action.key)
        for answer in ANSWERS.get(called, ()):
            await driver.here().at("ask")
            asking = driver.app.screen
            driver.app.screen.query_one(Input).value = answer
            await driver.here().press("enter")
            await driver.until("the answer is taken", lambda before=asking: driver.app.screen is not before)
        await driver.here().at("confirm")
        await compare(driver, sizes=SIZES if called in THREE else (SMALL,))
