"""A simulated UCP, the secrets that its operator has, and a run on it that something strikes in the middle."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.demo.serve import Demo
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import params, registry, render
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runner import Event, Outcome, Runner
from swarmtui.session import Session
from tests.faults.faulty import Killed
from tests.faults.strikes import Strike

PASSPHRASE = "planted-ucp-passphrase-4711"


def secrets(demo: Demo, folder: Path, monkeypatch: pytest.MonkeyPatch, passphrase: str = PASSPHRASE) -> None:
    """What the operator keeps: systemd's credentials, read by their names."""
    folder.mkdir(mode=0o700, exist_ok=True)
    assert demo.world.ucp is not None
    cluster = demo.world.ucp.cluster.id
    kept = {"ucp-passphrase": passphrase, "ucp-password": demo.platform["admin"]["password"]}
    for kind, value in kept.items():
        (folder / f"swarmtui.{kind}.{cluster}").write_text(value)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))


def accounts(demo: Demo) -> list[str]:
    """The accounts that UCP has, asked of the simulator itself."""
    assert demo.world.ucp is not None
    return sorted(demo.world.ucp.accounts.by_name)


def stopped(demo: Demo) -> list[str]:
    """UCP's containers that should run and do not, on any host."""
    return [
        f"{host.name}/{container.name}"
        for host in demo.world.hosts.values()
        for container in host.containers.values()
        if container.name.startswith("ucp-") and container.restart and container.state != "running"
    ]


def left_on_hosts(demo: Demo) -> list[str]:
    """What is still in the folders of jobs, locks and secrets, and containers that have the name of UCP's command."""
    files = [
        f"{name}:{path}"
        for name, host in demo.world.hosts.items()
        for path in sorted({*host.files, *host.links})
        if path.startswith(("/var/lib/swarmtui/jobs/", "/run/swarmtui"))
    ]
    names = [f"{h.name}:{c.name}" for h in demo.world.hosts.values() for c in h.containers.values() if c.name == "ucp"]
    return files + names


def kept() -> list[Path]:
    """The backups of UCP that are whole."""
    root = Path(os.environ["XDG_DATA_HOME"]) / "swarmtui" / "backups"
    return sorted(path.parent for path in root.glob("*/*-ucp-*/manifest.json"))


async def run(
    demo: Demo,
    folder: Path,
    run_id: str,
    name: str,
    /,
    case: str = "",
    strike: Strike | None = None,
    *,
    steps: Sequence[str] = (),
    told: list[str] | None = None,
    **given: str,
) -> Outcome | None:
    """Runs a runbook until the case strikes: a line that is said, or STEP/POINT; None where that killed it."""
    struck: list[str] = []

    def observe(event: Event) -> None:
        if told is not None:
            told.append(f"{event.step} {event.kind} {event.text}")
        here = event.text if event.kind == "said" else f"{event.step}/{event.point}"
        if strike is not None and here == case and not struck:
            struck.append(here)
            strike(demo)

    opening = find("simulated", config.load(demo.config), bundles=folder / "bundle")
    journal = Journal(config.state_dir() / "journal")
    runbook = registry.runbook(name)
    try:
        async with _session(Session(opening, Nobody()), begun=not runbook.on_hosts) as session:
            plan = await runbook.prepare(session, params.parse(runbook.name, runbook.params, given))
            if told is not None:
                told += [render.script(plan), render.markdown(plan), str(render.plan_json(plan))]
            if steps:
                assert tuple(step.id for step in plan.steps) == tuple(steps)
            with journal.writer(run_id) as writer:
                return await Runner(session, plan, writer, observe=observe).run()
    except Killed:
        return None
    finally:
        assert struck or strike is None, f"nothing struck at {case}"


@contextlib.asynccontextmanager
async def _session(session: Session, *, begun: bool) -> AsyncIterator[Session]:
    """As the command line opens one: of a cluster, or of hosts only."""
    if not begun:
        try:
            yield session
        finally:
            await session.close()
        return
    async with session.opened():
        await session.until_tried(30)
        yield session


def on_host(name: str, do: Callable[[Demo, str], None]) -> Strike:
    """A strike on one host."""
    return lambda demo: do(demo, name)
