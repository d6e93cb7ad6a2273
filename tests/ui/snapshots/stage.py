"""Puts the product on the hand-written cluster, at one moment of time, and takes its picture."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from textual.widgets import Input

from swarmtui import session
from swarmtui.backups import freshness
from swarmtui.config import ClusterConfig
from swarmtui.errors import EngineError
from swarmtui.link.decode import decode_one
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.target import SshTarget, Target
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Info
from swarmtui.opening import Opening
from swarmtui.runbooks import journal
from swarmtui.ui import habits
from swarmtui.ui.layout import TablePane
from swarmtui.vault import Secret, Vault, holding
from swarmtui.vault.keeper import Keeper
from tests import builders as b
from tests.driver import Driver, Recorded
from tests.ui.snapshots import cluster
from tests.vault.stores import Durable

NOW = 1_795_230_000.0
"""2026-11-21 03:00:00 UTC: at 3 a.m."""
REST_SECONDS = 0.03
SIZES = ((80, 24), (120, 36), (200, 60))
SMALL, MIDDLE, LARGE = SIZES


class Engine:
    """Answers from `cluster`, and never changes.

    Attributes:
        refuses: path → what this engine says instead of answering.
        lost: set when the connection is.
    """

    def __init__(self) -> None:
        self.refuses: dict[str, str] = {}
        self.lost = asyncio.Event()

    async def get(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout: float | None = None, clean: bool = True
    ) -> bytes:
        found = cluster.answer(path)
        if path in self.refuses or found is None:
            what = self.refuses.get(path, f"There is nothing at {path}.")
            raise EngineError(what, "", status=500 if path in self.refuses else 404, message=what)
        return json.dumps(found).encode()

    async def events(self, filters: Mapping[str, list[str]]) -> AsyncIterator[bytes]:
        for event in cluster.EVENTS:
            yield json.dumps(event).encode()
        await asyncio.Event().wait()


class Manager:
    """Stands where `swarmtui.link.manager.Manager` would."""

    host = None
    via = "forward"

    def __init__(self, target: SshTarget, engine: Engine) -> None:
        self.target = target
        self.label = f"{target.user or 'root'}@{target.host}"
        self.engine = engine

    async def info(self) -> Info:
        return decode_one(await self.engine.get("/info"), Info, "itself")

    async def wait_lost(self) -> None:
        await self.engine.lost.wait()

    async def close(self) -> None:
        self.engine.lost.set()


class Stage:
    """The world around the product.

    Attributes:
        engines: those that were connected to, the newest last.
        broken: why no manager can be reached (any more); None while they can.
        silent: hosts that never answer.
        refused: hosts that refuse every key.
        vault: of the console; a keyring that is empty at first.
    """

    def __init__(self) -> None:
        self.vault = Vault(Keeper(Durable))
        self.engines: list[Engine] = []
        self.refuses: dict[str, str] = {}
        self.broken: Reason | None = None
        self.silent: set[str] = set()
        self.refused: set[str] = set()

    async def open(self, target: Target, *_: object) -> Manager:
        """Connects, as `swarmtui.link.manager.Manager.open` does."""
        assert isinstance(target, SshTarget)
        where = f"root@{target.host}"
        if target.host in self.silent:
            await asyncio.Event().wait()
        if target.host in self.refused:
            raise LinkError(Reason.AUTH_FAILED, where)
        if self.broken is not None:
            raise LinkError(self.broken, where)
        engine = Engine()
        engine.refuses = self.refuses
        self.engines.append(engine)
        return Manager(target, engine)

    def lose(self) -> None:
        """The connection ends, and no manager can be reached any more."""
        self.broken = Reason.UNREACHABLE
        for engine in self.engines:
            engine.lost.set()


async def keep_key(vault: Vault) -> None:
    """Has a vault keep the cluster's unlock key."""
    await vault.store_unlock_key(b.CLUSTER, Secret(cluster.UNLOCK_KEY), "current", NOW)


def freeze(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Time stands still, no cursor blinks, and every connection leads to the hand-written cluster."""
    stage = Stage()

    class Managers:
        open = stage.open

    async def certificates(self: session.Session, _: object) -> None:
        self.snapshot = replace(self.snapshot, certificates=dict(cluster.CERTIFICATES))

    async def no_host(*_: object, **__: object) -> None:
        raise LinkError(Reason.UNREACHABLE, "the host")

    monkeypatch.setattr(session, "Manager", Managers)
    monkeypatch.setattr(session, "shared", lambda: stage.vault)
    monkeypatch.setattr(holding, "LOOK_SECONDS", REST_SECONDS)
    monkeypatch.setattr(freshness, "FIRST_SECONDS", REST_SECONDS)
    monkeypatch.setattr(session.Session, "host", no_host)
    monkeypatch.setattr(session.Session, "_read_certificates", certificates)
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setattr(Input, "_toggle_cursor", lambda self: None)
    monkeypatch.setattr(journal, "new_run_id", lambda runbook: f"20261121T030000Z-{runbook}-c0de")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(time, "localtime", time.gmtime)
    return stage


@asynccontextmanager
async def console(
    folder: Path,
    *,
    size: tuple[int, int] = SMALL,
    first_start: bool = False,
    theme: str = "dark",
    settled: bool = True,
    keeps_key: bool = True,
    **settings: Any,
) -> AsyncIterator[Driver]:
    """A console on the hand-written cluster.

    Args:
        first_start: nobody used it before.
        settled: wait until the first rows are on the screen.
        keeps_key: the vault has the cluster's unlock key.
        settings: of the cluster in the configuration, such as `production=True`.
    """
    opening = Opening("prod", (SshTarget("mgr1", "root"),), ClusterConfig(managers=("ssh://root@mgr1",), **settings))
    if keeps_key:
        await keep_key(session.shared())
    if not first_start:
        habits.save(folder / habits.FILE, habits.Habits())
    app = Recorded(opening, journal=folder / "journal", theme=theme)
    async with app.run_test(size=size, notifications=True) as pilot:
        driver = Driver(app, pilot)
        if settled:
            await driver.here().live().sees("mgr1")
            await driver.until("all of it", lambda: app.derived and _whole(app.derived.snapshot))
            await driver.until("the alarms", lambda: app.derived and f"! {app.derived.alarms} alarms" in driver.header)
        yield driver
        assert not driver.forgotten
        internal = [text for text in app.told if text.startswith("Internal error")]
        assert not internal, internal


def _whole(snapshot: Snapshot) -> bool:
    return bool(snapshot.tasks) and snapshot.unlock_key is not None and snapshot.backups is not None


def journals(folder: Path) -> None:
    """Writes the journals of three runs: done, failed and cut off."""
    folder.mkdir()
    for name, lines in cluster.RUNS.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


async def drawn(driver: Driver) -> str:
    """The screen as SVG, once it is as it will stay: rows are made, and nothing changed for a moment."""

    def complete() -> bool:
        main = getattr(driver.app, "main", None)
        if main is None or driver.app.session is None or driver.app.derived is None:
            return True
        session, shown = driver.app.session, driver.app.derived.snapshot
        if session.live:
            told = [shown.readings.get(name) for name in session._line.wanted]
            if not all(reading is not None and (reading.known or reading.trouble) for reading in told):
                return False
            if shown.seq != session.snapshot.seq:
                return False
        if driver.app.screen is not main:
            return True
        panes = [main.pane(name) for name in main.on_screen]
        stale = driver.app._stale()
        return all(isinstance(p, TablePane) and p.table.dim == (stale and not p.view.own) for p in panes)

    before: object = None
    for _ in range(100):
        await driver.until("all rows", complete)
        await driver.pilot.pause(REST_SECONDS)
        now = driver.painted
        if now == before:
            return driver.app.export_screenshot(title="swarmtui")
        before = now
    raise AssertionError(f"The screen never comes to rest:\n{driver.text}")
