"""A simulated Swarm on which time passes only when a run waits, and a hand that strikes at one exact point of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

from docker import APIClient

from swarmtui import config
from swarmtui.cli.main import main as command_line
from swarmtui.demo.api.endpoints import Router
from swarmtui.demo.api.http import Request, Response
from swarmtui.demo.hosts import ssh
from swarmtui.demo.hosts.commands import HostShell
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.serve import Demo
from swarmtui.link.person import Nobody
from swarmtui.opening import find
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runbook import Plan, Step
from swarmtui.runbooks.runner import Event, Outcome, Runner
from swarmtui.session import Session
from tests.faults.faulty import Fault, Faulty
from tests.faults.lies import Answer, truth
from tests.faults.scenes import SEED, SMALL, Scene, led_by, plan_of
from tests.faults.state import State, read_state

SPEED = 500.0
"""Simulated seconds in a real one, once time passes by itself."""
TICK = 10.0
"""Simulated seconds that pass at every question of a waiting step, until somebody struck."""
RUN = "20261121T090203Z-faults-0001"
SETTLED_SECONDS = 8.0
"""How long heartbeats and elections may take at this speed on a loaded machine, in real seconds."""

_VERSION = re.compile(r"^/v[0-9.]+")
_WAITS = re.compile(r"^/(tasks$|nodes/.)")


@dataclass
class Written:
    """A request that changes something, as an engine got it. status 0: it was never carried out."""

    what: str
    status: int = 0
    told: bytes = b""


@dataclass
class Stage:
    """One simulated Swarm, the engine's record of what was asked of it, and a journal.

    Attributes:
        writes: what was to be changed, through whichever engine or host.
        struck: whether the fault has happened.
        logins: how many SSH connections there were, to all hosts.
        events: what the run told.
        lie: answers in the engine's place, or not (None).
        commands: what a host answers to a command line, in place of running it.
        patience: how long a run waits for a lost connection, in seconds.
        ticking: whether a step says that it waits, so that time passes at its questions.
        middle_reached: set when the step of the fault is in the middle of its effect.
        door: opens for the request that waits at it.
        watch: sees every event of a run, before anything else happens.
    """

    scene: Scene
    demo: Demo
    writes: list[Written] = field(default_factory=list)
    struck: bool = False
    logins: int = 0
    lie: Answer = truth
    commands: dict[str, Output] = field(default_factory=dict)
    patience: float = SETTLED_SECONDS
    events: list[Event] = field(default_factory=list)
    watch: Callable[[Event], None] = lambda event: None
    _hold: str = ""
    _meet: str = ""
    ticking: bool = False
    _frozen: bool = False
    middle_reached: asyncio.Event = field(default_factory=asyncio.Event)
    door: asyncio.Event = field(default_factory=asyncio.Event)

    # -- time ------------------------------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Time stands still, but for the ticks at the questions of a waiting step."""
        self.demo.world.kernel.detach()
        self._frozen = True

    def thaw(self) -> None:
        """Time passes by itself."""
        if self._frozen:
            self._frozen = False
            self.demo.world.kernel.attach(asyncio.get_running_loop())

    # -- the engines -----------------------------------------------------------------------------------------------

    async def answer(self, router: Router, request: Request, original: Any) -> Response:
        """Stands in front of every simulated engine."""
        path = _VERSION.sub("", request.path)
        if (lied := self.lie(request)) is not None:
            return lied
        if request.method == "GET":
            response: Response = await original(router, request)
            if self._frozen and self.ticking and _WAITS.match(path):
                self.demo.world.kernel.advance(TICK)
            return response
        written = Written(self._named(router, request.method, path))
        self.writes.append(written)
        if self._hold in ("asked", "door") and self._meets(written):
            await self._wait_at(asyncio.Event() if self._hold == "asked" else self.door)
        response = await original(router, request)
        written.status, written.told = response.status, response.body
        if self._hold == "effect" and self._meets(written):
            await self._wait_at(self.door)
        return response

    def _meets(self, written: Written) -> bool:
        return self._meet in ("", written.what)

    async def meets(self, what: str, point: str, *, within: float) -> None:
        """Waits until an engine or a host has such a request, which then stays without an answer."""
        self._meet, self._hold = what, point
        async with asyncio.timeout(within):
            await self.middle_reached.wait()

    async def _wait_at(self, door: asyncio.Event) -> None:
        self._hold = ""
        self.middle_reached.set()
        await door.wait()

    def _named(self, router: Router, method: str, path: str) -> str:
        if path == "/swarm/leave":
            return f"leave {router.host.name}"
        if match := re.fullmatch(r"/nodes/(\w+)(/update)?", path):
            # A node that was removed is remembered by the host that was it.
            names = {node.id: node.hostname for node in self.demo.world.clusters[0].nodes.values()}
            return f"{'update' if match[2] else method.lower()} {names.get(match[1], match[1])}"
        return f"{method} {path}"

    @property
    def done(self) -> list[str]:
        """What the engines carried out."""
        return [written.what for written in self.writes if 200 <= written.status < 300]

    # -- the run ---------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A new connection, as a new start of the program makes it."""
        opening = find("simulated", config.load(self.demo.config), bundles=self.demo.folder / "bundle")
        async with Session(opening, Nobody()).opened() as session:
            await session.until_tried(30)
            yield session

    @property
    def journal(self) -> Journal:
        """Where the command line keeps its journals too."""
        return Journal(config.state_dir() / "journal")

    async def prepare(self, session: Session) -> Plan:
        runbook = registry.runbook(self.scene.runbook)
        return await runbook.prepare(session, params.parse(runbook.name, runbook.params, self.scene.given))

    async def run(self, fault: Fault | None = None) -> Outcome:
        """Runs the plan once, with a fault. The plan must be the one that the tests were made from."""
        async with self.session() as session:
            plan = await self.prepare(session)
            assert [step.id for step in plan.steps] == [step.id for step in plan_of(self.scene).steps]
            steps = [
                Faulty(step, self, fault if fault is not None and place == fault.place else None)
                for place, step in enumerate(plan.steps, 1)
            ]
            with self.journal.writer(RUN) as writer:
                runner = Runner(
                    session,
                    replace(plan, steps=cast("tuple[Step, ...]", tuple(steps))),
                    writer,
                    observe=self._observe,
                    accepted=[str(rule) for rule in plan.rules],
                    settle_seconds=self.patience,
                )
                return await runner.run()

    def _observe(self, event: Event) -> None:
        self.events.append(event)
        self.watch(event)

    async def resume(self) -> int:
        """`swarmtui run --resume`, the whole of it, in a thread and with an event loop of its own."""
        self.thaw()
        return await self.command("run", "--resume", RUN, "--yes")

    async def command(self, *words: str) -> int:
        """A command line of ours."""
        return await asyncio.to_thread(command_line, [*words, "--config", str(self.demo.config)])

    async def in_the_middle(self, work: asyncio.Future[Any], hold: str) -> bool:
        """Waits until a step is in the middle of its effect; False where it ended without one."""
        self._hold = hold
        waiting = asyncio.ensure_future(self.middle_reached.wait())
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        self._hold = ""
        return self.middle_reached.is_set()

    # -- faults ----------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Cuts every SSH connection there is, as a network that drops does."""
        for server in self.demo._servers.values():
            for connection in list(server.connections):
                connection.abort()

    async def crash(self, *names: str, back_after: float | None = None) -> None:
        """The power of hosts goes, and comes back after so many simulated seconds; returns once they are silent."""
        world = self.demo.world
        for name in names:
            world.crash(world.hosts[name])
            if back_after is not None:
                world.kernel.after(back_after, partial(world.boot, world.hosts[name]))
        await asyncio.gather(*self.demo._changes)

    def boot(self, *names: str) -> None:
        """The power of hosts comes back."""
        for name in names:
            self.demo.world.boot(self.demo.world.hosts[name])

    async def whole(self) -> None:
        """Waits until all managers are there, and one leads."""
        raft = self.demo.world.control(self.demo.world.clusters[0]).raft
        end = asyncio.get_running_loop().time() + SETTLED_SECONDS
        while raft.leader is None or raft.losing or not all(raft.alive(member) for member in raft.members.values()):
            assert asyncio.get_running_loop().time() < end, "no leader was elected"
            await asyncio.sleep(0.01)

    def lead(self, name: str) -> None:
        """This manager is the leader."""
        led_by(self.demo.world, name)

    # -- the truth -------------------------------------------------------------------------------------------------

    async def other_operator(self, work: Callable[[APIClient], Any]) -> Any:
        """Somebody with the stock SDK on a manager's own socket, who knows nothing of our code."""
        world = self.demo.world
        cluster = world.clusters[0]
        raft = world.control(cluster).raft
        host = next(m.host for m in raft.members.values() if raft.alive(m) and m.host != "mgr1")
        socket = next(entry["docker"] for entry in self.demo.hosts if entry["name"] == host)

        def ask() -> Any:
            client = APIClient(base_url=socket, version="1.41")
            try:
                return work(client)
            finally:
                client.close()

        return await asyncio.to_thread(ask)

    async def state(self) -> State:
        """The Swarm as the stock SDK reads it."""
        return cast(State, await self.other_operator(read_state))

    async def settled(self, expected: State) -> None:
        """Waits until the Swarm is as it shall be; fails with what is different."""
        end = asyncio.get_running_loop().time() + SETTLED_SECONDS
        while wrong := (await self.state()).unlike(expected):
            assert asyncio.get_running_loop().time() < end, wrong
            await asyncio.sleep(0.03)


class PutOn(Protocol):
    """Puts a scene on, with so many simulated seconds in a real one once time passes by itself."""

    def __call__(self, scene: Scene, speed: float = SPEED) -> contextlib.AbstractAsyncContextManager[Stage]: ...


@contextlib.asynccontextmanager
async def staged(scene: Scene, patch: Any, speed: float) -> AsyncIterator[Stage]:
    """Puts a scene on: served over SSH on loopback, with time standing still."""
    demo = Demo(SMALL, speed=speed, seed=SEED)
    scene.world(demo.world)
    async with demo:
        # OpenSSH's other default cipher is one call of the library instead of five: half the time of these tests.
        demo.ssh_config.write_text(f"Ciphers aes128-gcm@openssh.com\n{demo.ssh_config.read_text()}")
        stage = Stage(scene, demo)
        routed, ran, logged_in = Router.__call__, HostShell.run, ssh._Server.connection_made

        async def answer(router: Router, request: Request) -> Response:
            return await stage.answer(router, request, routed)

        async def run(shell: HostShell, line: str, stdin: bytes = b"") -> Output:
            return stage.commands.get(line) or await ran(shell, line, stdin)

        def log_in(server: Any, connection: Any) -> None:
            stage.logins += 1
            logged_in(server, connection)

        with patch.context() as patched:
            patched.setattr(Router, "__call__", answer)
            patched.setattr(HostShell, "run", run)
            patched.setattr(ssh._Server, "connection_made", log_in)
            stage.freeze()
            try:
                yield stage
            finally:
                stage.thaw()


def lines(path: Path) -> list[dict[str, Any]]:
    """Every line of a journal; all of them must be whole."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]
