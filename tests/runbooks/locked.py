"""A simulated Swarm with a vault, and runs on it: for the runbooks about locks, tokens and certificates."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarmtui import config
from swarmtui.demo.serve import Demo
from swarmtui.demo.world.cluster import Cluster
from swarmtui.link.person import Nobody, Person
from swarmtui.link.reasons import LinkError
from swarmtui.opening import find
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.journal import Journal, new_run_id
from swarmtui.runbooks.runbook import Plan
from swarmtui.runbooks.runner import Event, Outcome, Runner
from swarmtui.session import Session
from swarmtui.vault import Vault
from swarmtui.vault.keeper import Keeper
from swarmtui.vault.store import MemoryStore
from tests.faults.scenes import SEED, SMALL

MANAGERS = ("mgr1", "mgr2", "mgr3")
Change = Callable[[], Any]


class Durable(MemoryStore):
    """A keyring of a test: its items outlive the vault that wrote them."""

    label = "a keyring of a test"
    durable = True


def durable_vault() -> Vault:
    return Vault(Keeper(Durable))


class Typist(Nobody):
    """Somebody who types these keys, one after the other, and what was asked."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)
        self.asked: list[str] = []

    async def unlock_key(self, about: str) -> str | None:
        self.asked.append(about)
        return self.keys.pop(0) if self.keys else None


@dataclass
class Locked:
    """The simulated Swarm, and what was said while things were done to it.

    Attributes:
        vault: of every session that is opened.
        said: what the steps of the last run said.
        written: everything that went into journals.
    """

    demo: Demo
    folder: Path
    vault: Vault = field(default_factory=durable_vault)
    said: list[str] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        return self.demo.world.clusters[0]

    @property
    def key(self) -> str:
        """The cluster's key, as the simulator has it."""
        return self.cluster.unlock_key

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "journal")

    @property
    def written(self) -> str:
        return "".join(self.journal.path(run_id).read_text() for run_id in self.journal.ids())

    def locked(self) -> list[str]:
        """The managers that are locked."""
        hosts = (self.demo.world.hosts[name] for name in MANAGERS)
        return [host.name for host in hosts if host.swarm is not None and host.swarm.locked]

    def restart(self, *names: str) -> None:
        world = self.demo.world
        for name in names:
            world.stop_docker(world.hosts[name])
            world.start_docker(world.hosts[name])

    @contextlib.asynccontextmanager
    async def session(self, person: Person | None = None) -> AsyncIterator[Session]:
        opening = find("simulated", config.load(self.demo.config), bundles=self.folder / "bundle")
        async with Session(opening, person or Nobody(), self.vault).opened() as session:
            with contextlib.suppress(LinkError):  # all of them may be locked
                await session.until_tried(30)
            yield session

    async def plan(self, session: Session, name: str, **given: str) -> Plan:
        runbook = registry.runbook(name)
        return await runbook.prepare(session, params.parse(name, runbook.params, given))

    async def until(self, session: Session, name: str, **facts: list[str]) -> None:
        """Waits until the survey of a runbook finds this."""
        async with asyncio.timeout(10):
            while True:
                found = (await self.plan(session, name)).facts
                if all(list(found[key]) == wanted for key, wanted in facts.items()):
                    return
                await asyncio.sleep(0.05)

    async def run(
        self, session: Session, plan: Plan, *, watch: Callable[[Event], None] = lambda event: None
    ) -> Outcome:
        self.said.clear()

        def observe(event: Event) -> None:
            if event.kind in ("said", "progress"):
                self.said.append(event.text)
            watch(event)

        with self.journal.writer(new_run_id(plan.runbook)) as writer:
            return await Runner(session, plan, writer, observe=observe).run()

    async def do(self, session: Session, name: str, **given: str) -> Plan:
        """Plans and runs; it must end well."""
        plan = await self.plan(session, name, **given)
        assert not plan.nothing, plan.nothing
        # A resume makes the very same plan from what the journal holds.
        again = registry.runbook(name).plan(
            json.loads(json.dumps(dict(plan.params))), json.loads(json.dumps(plan.facts))
        )
        assert again.steps == plan.steps
        outcome = await self.run(session, plan)
        assert outcome.ok, (outcome.error, self.said)
        return plan


@contextlib.asynccontextmanager
async def locked_swarm(folder: Path, *, speed: float = 40.0) -> AsyncIterator[Locked]:
    """Three managers and four workers, served over SSH on loopback."""
    async with Demo(SMALL, speed=speed, seed=SEED) as demo:
        yield Locked(demo, folder)
