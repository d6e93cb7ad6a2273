"""Building a Swarm on six simulated hosts: cut off or killed at every step, and it still ends as it was asked for.

Three points each: the intent is on disk and nothing was done; an engine has done it and its answer is lost; it was done
and is not yet recorded. Cut: every SSH connection ends, and the same run goes on. Kill: nothing more is executed, and a
new session goes on from the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from swarmtui import config
from swarmtui.contact import line
from swarmtui.demo.api.endpoints import Router
from swarmtui.demo.api.http import Request, Response
from swarmtui.demo.serve import Demo
from swarmtui.link import hosts
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.journal import Journal, RunRecord
from swarmtui.runbooks.runbook import Facts, Plan, Step, Voice
from swarmtui.runbooks.runner import Outcome, Runner
from swarmtui.runbooks.swarm.building import build_steps, preflight
from swarmtui.session import Session
from swarmtui.vault import Vault

RUN = "20261121T000000Z-swarm.build-0000"
SPEC = """
autolock = true
[[hosts]]
ssh = "ssh://mgr1"
role = "manager"
zone = "a"
[[hosts]]
ssh = "ssh://mgr2"
role = "manager"
[[hosts]]
ssh = "ssh://wrk1"
"""
STEPS = ["init", "keep-key", "join-ssh://mgr2", "join-ssh://wrk1", "label-ssh://mgr1", "read-back"]
ASKS = ("/swarm/init", "/swarm/join", "/update")
"""What engines are asked for that changes something."""
POINTS = ("intent", "effect", "unrecorded")
CASES = [
    pytest.param(place, point, id=f"{step}-{point}")
    for place, step in enumerate(STEPS)
    for point in POINTS
    if point != "effect" or step not in ("keep-key", "read-back")  # they ask no engine for a change: no middle
]

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:coroutine 'SSHConnection:RuntimeWarning"),
]


class Killed(BaseException):
    """The program dies here."""


class Bare:
    """Simulated hosts without a Swarm, a journal, and a fault that happens once."""

    def __init__(self, demo: Demo, folder: Path) -> None:
        self.demo = demo
        self.journal = Journal(folder / "journal")
        self.vault = Vault.in_memory()
        self.given = {"spec": str(folder / "swarm.toml"), "wait": "60"}
        self.asked: list[str] = []
        self.on_answer: Callable[[], None] | None = None

    def cut(self) -> None:
        for server in self.demo._servers.values():
            for connection in list(server.connections):
                connection.abort()

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        opening = find("simulated", config.load(self.demo.config), bundles=self.demo.folder / "bundle")
        made = Session(dataclasses.replace(opening, targets=()), Nobody(), self.vault)
        try:
            yield made
        finally:
            await made.close()

    async def plan(self, session: Session) -> Plan:
        runbook = registry.runbook("swarm.build")
        return await runbook.prepare(session, params.parse(runbook.name, runbook.params, self.given))

    async def run(self, session: Session, plan: Plan, record: RunRecord | None = None) -> Outcome:
        with self.journal.writer(RUN) as writer:
            return await Runner(session, plan, writer, record=record, settle_seconds=20).run()


class Struck:
    """A step to which something happens once. All else is the step's own."""

    def __init__(self, step: Step, bare: Bare, point: str, strike: Callable[[], None]) -> None:
        self._step, self._bare, self._point, self._strike = step, bare, point, strike
        self.struck = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        if self.struck:
            return await self._step.run(session, before, voice)
        if self._point == "intent":
            self.struck = True
            self._strike()
        if self._point != "effect":
            await self._step.run(session, before, voice)
            if self._point == "unrecorded":
                self.struck = True
                self._strike()
            return None
        reached = asyncio.Event()
        self._bare.on_answer = reached.set
        work = asyncio.ensure_future(self._step.run(session, before, voice))
        waiting = asyncio.ensure_future(reached.wait())
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        self._bare.on_answer = None
        if reached.is_set():
            self.struck = True
            try:
                self._strike()
            except Killed:
                work.cancel()
                await asyncio.wait({work})
                raise
        return await work


@pytest.fixture
async def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Bare]:
    monkeypatch.setattr(build_steps, "POLL_SECONDS", 0.04)
    monkeypatch.setattr(preflight, "ARRIVE_SECONDS", 0.05)
    monkeypatch.setattr(hosts, "AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(line, "BACK_OFF_SECONDS", (0.05, 0.1, 0.2))
    (tmp_path / "swarm.toml").write_text(SPEC)
    routed = Router.__call__
    async with Demo("bare", speed=20, seed=1) as demo:
        made = Bare(demo, tmp_path)

        async def answer(router: Router, request: Request) -> Response:
            response = await routed(router, request)
            if request.method == "POST" and request.path.endswith(ASKS):
                if response.status < 300:
                    # A node is updated through whichever manager is in use by then.
                    joins = request.path.endswith(("/init", "/join"))
                    made.asked.append(f"{router.host.name} /{request.path[-4:]}" if joins else "update")
                if made.on_answer is not None:
                    made.on_answer()
                    # What it says must not get through before the strike.
                    await asyncio.sleep(0.1)
            return response

        monkeypatch.setattr(Router, "__call__", answer)
        yield made


def check(bare: Bare, outcome: Outcome) -> None:
    """The Swarm is as it was asked for, made once, and the journal tells it all."""
    assert outcome.ok, outcome
    (cluster,) = bare.demo.world.clusters
    nodes = {node.hostname: node for node in cluster.nodes.values()}
    assert {name: node.role for name, node in nodes.items()} == {"mgr1": "manager", "mgr2": "manager", "wrk1": "worker"}
    assert nodes["mgr1"].labels == {"zone": "a"}
    assert sorted(set(bare.asked)) == ["mgr1 /init", "mgr2 /join", "update", "wrk1 /join"]
    assert [asked for asked in bare.asked if asked != "update"] == ["mgr1 /init", "mgr2 /join", "wrk1 /join"]
    record = bare.journal.read(RUN)
    assert record.outcome == "done"
    assert list(record.steps) == STEPS
    text = bare.journal.path(RUN).read_text()
    assert not [s for s in (cluster.unlock_key, cluster.worker_token, cluster.manager_token) if s in text]


async def kept(bare: Bare) -> list[str]:
    (cluster,) = bare.demo.world.clusters
    assert cluster.unlock_key
    return [k.state for k in await bare.vault.unlock_keys(cluster.id) if k.secret.reveal() == cluster.unlock_key]


async def run_struck(bare: Bare, session: Session, place: int, point: str, strike: Callable[[], None]) -> Any:
    plan = await bare.plan(session)
    assert [step.id for step in plan.steps] == STEPS
    assert [rule.id for rule in plan.rules] == ["key-without-custody"]
    steps: list[Any] = list(plan.steps)
    struck = steps[place] = Struck(plan.steps[place], bare, point, strike)
    outcome = await bare.run(session, dataclasses.replace(plan, steps=cast("tuple[Step, ...]", tuple(steps))))
    assert struck.struck, "the run never came to that point"
    return outcome


async def test_undisturbed_and_then_nothing_is_left_to_do(bare: Bare) -> None:
    async with bare.session() as session:
        plan = await bare.plan(session)
        assert not session.begun, "a session of hosts does not look for managers"
        outcome = await bare.run(session, plan)
        check(bare, outcome)
        assert await kept(bare) == ["current"]
        assert session.live
    async with bare.session() as session:
        plan = await bare.plan(session)
        assert plan.nothing.startswith("Nothing to do: Swarm ")
        assert not plan.steps
    assert not bare.demo.world.listeners, "nothing that listened is left"


@pytest.mark.parametrize(("place", "point"), CASES)
async def test_cut_off(bare: Bare, place: int, point: str) -> None:
    async with bare.session() as session:
        outcome = await run_struck(bare, session, place, point, bare.cut)
    check(bare, outcome)
    assert await kept(bare) == ["current"]


@pytest.mark.parametrize(("place", "point"), CASES)
async def test_killed(bare: Bare, place: int, point: str) -> None:
    def kill() -> None:
        raise Killed

    async with bare.session() as session:
        with pytest.raises(Killed):
            await run_struck(bare, session, place, point, kill)
    record = bare.journal.read(RUN)
    assert record.outcome == ""
    assert record.steps[STEPS[place]].state == "intended"
    runbook = registry.runbook(record.runbook)
    async with bare.session() as session:
        outcome = await bare.run(session, runbook.plan(record.params, record.facts), record)
    check(bare, outcome)
    assert await kept(bare) == ["current"]
