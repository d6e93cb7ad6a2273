"""Logs in the console on the simulated cluster, over SSH on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.demo.serve import Demo
from swarmtui.opening import find
from swarmtui.ui.screens.logs import LogScreen, log_screen
from tests.driver import driven


async def test_a_service_of_the_simulated_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with Demo("calm", speed=20, seed=1) as demo:
        opening = find("simulated", config.load(demo.config), bundles=tmp_path / "bundle")
        async with driven(opening, tmp_path / "journal") as console:
            await console.here().live()
            session = console.app.session
            assert session is not None
            await session.until_complete(10)
            service = next(service for service in session.snapshot.services.values() if (service.replicas or 0) > 1)
            await console.here().view("services").sees(service.name).press("l").at("logs").sees("following").leave()
            console.app.push_screen(log_screen(session, "services", service.id))
            await console.here().at("logs").sees(f"Log of service {service.name}", "following", "1@", "2@")
            await console.here().press("slash").type("zzz").press("enter").told("No line matches /zzz/")
            await console.here().press("ctrl+s", "enter").told("lines are in", "only you can read it")
            demo.world.crash(demo.world.hosts[session.snapshot.nodes[session.connection.node_id].name])
            await console.here().sees("Connected again.", within=30)
            screen = console.app.screen
            assert isinstance(screen, LogScreen)
            seen = len(screen.buffer)
            await console.until("more lines", lambda: len(screen.buffer) > seen + 2, 30)
            lines = [(line.when, line.origin, line.text) for line in screen.buffer.shown() if line.when]
            assert len(set(lines)) == len(lines)
            await console.here().press("escape").at("main")
            task = next(task for task in session.snapshot.tasks.values() if task.service_id == service.id)
            console.app.push_screen(log_screen(session, "tasks", task.id))
            await console.here().at("logs").sees(f"Log of task {service.name}.{task.slot}", "following")
            await console.here().leave()
            console.app.push_screen(log_screen(session, "services", "gone"))
            await console.here().at("logs").sees("The service gone does not exist in this Swarm (any more).", "ended")
            await console.here().leave()
