"""swarm.recover-quorum on the simulated Swarm: killed, cut off, or its survivor booted, at each point of each step.

Whatever strikes, `resume` finishes: the cluster was forced once, it has all that it had, and nothing is left behind.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.contact import line
from swarmtui.demo.hosts.commands import HostShell
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.scenarios import Scenario, Size
from swarmtui.demo.scenarios.builder import DAY, Builder
from swarmtui.demo.serve import Demo
from swarmtui.demo.world.world import World
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.journal import Journal, RunRecord
from swarmtui.runbooks.runner import Event, Outcome, Runner
from swarmtui.runbooks.swarm.backups import backup_steps
from swarmtui.runbooks.swarm.building import build_steps
from swarmtui.runbooks.swarm.recovery import after_force, force_steps, forced_checks
from swarmtui.session import Session
from swarmtui.vault import Secret, Vault
from tests.faults.faulty import Killed
from tests.faults.strikes import Strike, strikes
from tests.lab.fixtures import FULL
from tests.runbooks.locked import durable_vault

RUN = "20261121T090203Z-faults-0007"
NAME = "swarm.recover-quorum"
SPEED = 100.0
POINTS = ("intent", "effect", "proof")
MOST_RESUMES = 4


def _world(managers: int) -> Callable[[World, Size], None]:
    def build_it(world: World, size: Size) -> None:
        build = Builder(world)
        leading = [world.add_host(f"mgr{n}", f"10.0.1.{10 + n}") for n in range(1, managers + 1)]
        working = [world.add_host(f"wrk{n}", f"10.0.1.{20 + n}") for n in (1, 2)]
        build.swarm(leading, working, age=3 * DAY)
        build.labels("mgr2", zone="b")
        build.service("web", "nginx:1.25", 4, age=DAY)
        build.service("agent", "agent:1.7", None, age=DAY)
        build.settle()

    return build_it


class Scene:
    """Managers are lost, and one is to go on.

    Attributes:
        steps: of its plan, without the ids of nodes; written down by hand.
    """

    def __init__(
        self, managers: int, lost: tuple[str, ...], *, autolock: bool, steps: tuple[str, ...], promoted: str = ""
    ) -> None:
        self.managers, self.lost, self.autolock, self.steps, self.promoted = managers, lost, autolock, steps, promoted
        self.fenced = tuple(f"mgr{n}" for n in range(2, managers + 1) if f"mgr{n}" not in lost)

    @property
    def given(self) -> dict[str, str]:
        more = {"promote": self.promoted} if self.promoted else {}
        return {"survivor": "mgr1", "dead": ",".join(self.lost)} | more


SCENES = {
    "2-of-3": Scene(
        3,
        ("mgr2", "mgr3"),
        autolock=False,
        promoted="wrk1",
        steps=(
            *("last-look", "force", "compare", "remove", "remove", "promote", "reachable"),
            *("one-leader", "replicas", "backup", "clear"),
        ),
    ),
    "3-of-5-locked": Scene(
        5,
        ("mgr3", "mgr4", "mgr5"),
        autolock=True,
        steps=(
            *("last-look", "fence", "stop", "state-aside", "unlock-key-file", "force", "compare"),
            *("remove", "remove", "remove", "remove", "start", "join", "labels"),
            *("one-leader", "replicas", "rotate-key", "backup", "clear"),
        ),
    ),
}


STRIKES = strikes("mgr1")
ALL = [
    (scene, place, point, strike)
    for scene in SCENES
    for place, point, strike in itertools.product(range(len(SCENES[scene].steps)), POINTS, STRIKES)
]
CASES = ALL if FULL else [case for number, case in enumerate(ALL) if number % 17 == 0]
"""Each seventeenth: every point and every strike comes, with every kind of step; the full matrix: make faults."""


TYPED: list[str] = []
"""Every command that a host was given."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    TYPED.clear()
    ran = HostShell.run

    async def run(shell: HostShell, line: str, stdin: bytes = b"") -> Output:
        TYPED.append(line)
        return await ran(shell, line, stdin)

    monkeypatch.setattr(HostShell, "run", run)
    for module in (after_force, backup_steps, build_steps, force_steps, forced_checks):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(line, "BACK_OFF_SECONDS", (0.05, 0.1, 0.2))


class Stage:
    """One Swarm whose quorum is lost, and runs on it."""

    def __init__(self, demo: Demo, scene: Scene, folder: Path) -> None:
        self.demo, self.scene, self.folder = demo, scene, folder
        self.vault: Vault = durable_vault()
        self.events: list[str] = []
        self.before: dict[str, list[str]] = {}
        self.key = ""

    @property
    def journal(self) -> Journal:
        return Journal(config.state_dir() / "journal")

    async def lose(self) -> None:
        world = self.demo.world
        cluster = world.clusters[0]
        if self.scene.autolock:
            command = ["docker", "-H", self.demo.hosts[0]["docker"], "swarm", "update", "--autolock=true"]
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
            assert await process.wait() == 0
            self.key = cluster.unlock_key
            await self.vault.store_unlock_key(cluster.id, Secret(self.key), "current", 1.0)
        self.before = self.content()
        for name in self.scene.lost:
            world.crash(world.hosts[name])

    def content(self) -> dict[str, list[str]]:
        cluster = self.demo.world.clusters[-1]
        return {kind: sorted(cluster.table(kind)) for kind in ("service", "network", "secret", "config")}

    async def run(self, case: tuple[int, str], strike: Strike | None) -> Outcome | None:
        """Runs it until it is struck; None where that killed it."""
        struck: list[int] = []

        def observe(event: Event) -> None:
            self.events.append(f"{event.step} {event.kind} {event.state} {event.point} {event.text}")
            if event.point == case[1] and event.step == plan.steps[case[0]].id and not struck:
                struck.append(1)
                if strike is not None:
                    strike(self.demo)

        session = self.session()
        try:
            runbook = registry.runbook(NAME)
            plan = await runbook.prepare(session, params.parse(NAME, runbook.params, self.scene.given))
            assert tuple(step.id.rpartition("-")[0] if _about(step.id) else step.id for step in plan.steps) == (
                self.scene.steps
            )
            assert not plan.rules, plan.rules
            with self.journal.writer(RUN) as writer:
                return await Runner(session, plan, writer, observe=observe, settle_seconds=5.0).run()
        except Killed:
            return None
        finally:
            await session.close()
            # A step that only waits finds sometimes that there is nothing left to wait for: then nothing can strike it.
            already = any(event.startswith(f"{plan.steps[case[0]].id} state already") for event in self.events)
            assert struck or (already and plan.steps[case[0]].id.startswith("reachable")), f"nothing struck at {case}"

    def session(self) -> Session:
        return Session(
            find("simulated", config.load(self.demo.config), bundles=self.folder / "b"), Nobody(), self.vault
        )

    async def resume(self) -> Outcome:
        """As `swarmtui run --resume` goes on: the plan is made again from the journal."""
        record: RunRecord = self.journal.read(self.journal.find(RUN))
        plan = registry.runbook(NAME).plan(record.params, record.facts)
        session = self.session()

        def observe(event: Event) -> None:
            self.events.append(f"resumed: {event.step} {event.kind} {event.state} {event.point} {event.text}")

        try:
            with self.journal.writer(RUN) as writer:
                return await Runner(session, plan, writer, record=record, observe=observe, settle_seconds=5.0).run()
        finally:
            await session.close()

    def check(self) -> None:
        """The end is right, whatever came in between; and no secret was typed on a host, told or journalled."""
        assert any("docker swarm init --force-new-cluster" in line for line in TYPED)
        told = "\n".join((*TYPED, *self.events, *(path.read_text() for path in self.journal.folder.glob("*"))))
        assert not any(word in told for word in ("SWMKEY-", "SWMTKN-", "BEGIN PRIVATE", "BEGIN ENCRYPTED"))
        world, scene = self.demo.world, self.scene
        forced = [entry for entry in world.journal.entries if entry.kind == "swarm.force"]
        assert len(forced) == 1, forced
        assert self.content() == self.before
        cluster = world.clusters[-1]
        managers = sorted(node.hostname for node in cluster.nodes.values() if node.role == "manager")
        wanted = {"mgr1", *scene.fenced, *filter(None, [scene.promoted])}
        assert managers == sorted(wanted)
        assert {node.hostname for node in cluster.nodes.values()} == {*wanted, "wrk1", "wrk2"}
        survivor = world.hosts["mgr1"]
        assert survivor.docker and survivor.socket
        left = [path for path in (*survivor.files, *survivor.aside) if path.startswith("/var/lib/docker/swarm.")]
        assert left == []
        assert not [path for host in world.hosts.values() for path in host.links if path.startswith("/run/swarmtui/")]
        for name in scene.fenced:
            host = world.hosts[name]
            assert host.docker and [path for path in host.aside if "swarm.fenced-" in path]
        if scene.autolock:
            assert cluster.unlock_key and cluster.unlock_key != self.key
        else:
            assert not cluster.unlock_key
        backups = list((Path(os.environ["XDG_DATA_HOME"]) / "swarmtui" / "backups").glob("*/*/manifest.json"))
        assert len([path for path in backups if not path.parent.name.startswith(".")]) == 1


def _about(step_id: str) -> bool:
    """The id of a step ends with that of a node."""
    return len(step_id.rpartition("-")[2]) == 25


@pytest.mark.parametrize(("name", "place", "point", "strike"), CASES)
async def test_struck(name: str, place: int, point: str, strike: str, tmp_path: Path) -> None:
    scene = SCENES[name]
    async with Demo(Scenario("lost", "the quorum is lost", "", _world(scene.managers)), speed=SPEED, seed=1) as demo:
        stage = Stage(demo, scene, tmp_path)
        await stage.lose()
        outcome = await stage.run((place, point), STRIKES[strike])
        for _ in range(MOST_RESUMES):
            if outcome is not None and outcome.ok:
                break
            outcome = await stage.resume()
        assert outcome is not None and outcome.ok, (outcome, stage.events[-12:])
        stage.check()


def half_joined(demo: Demo) -> None:
    """A manager got its certificate, and never said a word: its join was cut off, and it began another."""
    nodes = demo.world.clusters[-1].nodes
    ghost = copy.copy(next(node for node in nodes.values() if node.hostname == "wrk1"))
    ghost.id, ghost.hostname, ghost.role, ghost.wanted_role = "g" * 25, "", "manager", "manager"
    ghost.described, ghost.state = False, "unknown"
    ghost.forget()
    nodes[ghost.id] = ghost


async def test_an_entry_that_a_join_left_behind_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(after_force, "GHOST_SECONDS", 0.2)
    scene = SCENES["3-of-5-locked"]
    async with Demo(Scenario("lost", "the quorum is lost", "", _world(scene.managers)), speed=SPEED, seed=1) as demo:
        stage = Stage(demo, scene, tmp_path)
        await stage.lose()
        outcome = await stage.run((scene.steps.index("join"), "intent"), half_joined)
        assert outcome is not None and outcome.ok, (outcome, stage.events[-12:])
        assert any(f"an entry without a name: {'g' * 25} is removed" in told for told in stage.events)
        stage.check()


def test_every_point_of_every_step_is_in_the_matrix() -> None:
    assert len(ALL) == 3 * 3 * sum(len(scene.steps) for scene in SCENES.values()) == 270
