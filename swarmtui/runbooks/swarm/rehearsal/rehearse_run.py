"""One rehearsal from beginning to end, and what it found. Whatever happens, everything is taken down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from swarmtui.backups.crypt import NoIdentityError, WrongIdentityError
from swarmtui.backups.errors import BackupError
from swarmtui.backups.records import TierResult
from swarmtui.errors import EngineError, SwarmtuiError
from swarmtui.link.reasons import LinkError
from swarmtui.link.ssh import Completed
from swarmtui.model.text import one_line
from swarmtui.runbooks.swarm.rehearsal.rehearse_archive import opened
from swarmtui.runbooks.swarm.rehearsal.rehearse_commands import INIT_SECONDS, READY_SECONDS, Commands
from swarmtui.runbooks.swarm.rehearsal.rehearse_judge import (
    Objects,
    inventory_of,
    is_locked,
    judge,
    restorable,
    unlocked,
)
from swarmtui.runbooks.swarm.rehearsal.rehearse_place import Place
from swarmtui.vault.secret import Secret

if TYPE_CHECKING:
    from swarmtui.backups.archive import ArchiveFiles
    from swarmtui.backups.catalogue import Entry
    from swarmtui.link.engine import Engine
    from swarmtui.runbooks.swarm.rehearsal.rehearse_facts import RehearsalFacts

COMMAND_SECONDS = 60.0
BEAT_SECONDS = 20.0
LEADER_SECONDS = 40.0
"""How long a restored manager may take to lead: an election with itself, seconds as a rule."""
PAUSE_SECONDS = 0.3
DOWN_TRIES = 3
AGAIN_SECONDS = 1.0
ANOTHER = "Take another backup, and look at what `swarmtui backups verify` says of this one."
LOG_LINES = 2
LINE_LENGTH = 240
_MESSAGE = re.compile(r'\bmsg="((?:[^"\\]|\\.)*)"')


class UnableError(SwarmtuiError):
    """It could not be rehearsed here: that says nothing about the backup."""


class WouldNotRestoreError(SwarmtuiError):
    """The backup cannot be restored as it is."""


@dataclass(frozen=True)
class Rehearsed:
    """What a rehearsal found.

    Attributes:
        result: tier 5 of a verification. ok None: it could not be rehearsed here, and nothing is proved.
        objects: of the restored Swarm, as its API gave them, by "swarm" (one), "nodes", "services", "networks",
            "secrets", "configs"; empty unless `result.ok`.
        seconds: how long it took.
        error: what stood in the way, for people; None where it was restored and compared.
    """

    result: TierResult
    objects: Objects = field(default_factory=dict)
    seconds: float = 0.0
    error: SwarmtuiError | None = None


@dataclass
class Rehearsal:
    """A rehearsal that is to be done.

    Attributes:
        say: what goes on, one sentence each.
        running: told of each command before it runs.
    """

    place: Place
    facts: RehearsalFacts
    entry: Entry
    keys: Sequence[Secret]
    identity: Secret | None
    say: Callable[[str], None] = lambda line: None
    running: Callable[[str], None] = lambda line: None

    @property
    def commands(self) -> Commands:
        return self.facts.commands

    async def run(self) -> Rehearsed:
        """Does it, takes everything down, and tells what was found. Raises only when it is cancelled."""
        began = time.monotonic()
        try:
            ok, what, objects = await self._tried()
        except SwarmtuiError as error:
            return result_of(error, time.monotonic() - began, self._where)
        told = (*what, *self._where)
        return Rehearsed(TierResult(5, ok, told, time.time()), objects if ok else {}, time.monotonic() - began)

    @property
    def _where(self) -> tuple[str, ...]:
        """Sentences on where it was, and what that means."""
        host = self.facts.host
        at = f"Rehearsed on {host.label} with engine {host.version or 'of an unknown version'}."
        return (at, *(warning for warning in self.facts.warnings if warning.startswith("The engine on")))

    async def _tried(self) -> tuple[bool, tuple[str, ...], Objects]:
        if self.facts.unable[0]:
            raise UnableError(*self.facts.unable)
        async with opened(self.entry, self.identity) as files:
            if not self.keys and is_locked(files):
                raise UnableError(*self.facts.hopeless)
            key_file = await asyncio.to_thread(unlocked, files, self.keys)
            for line in self.commands.sweeps(self.facts.dead):
                await self._must(line, "What an earlier rehearsal left cannot be removed")
            async with self._isolated():
                await self._control()
                await self._send(files, key_file)
                return await self._restore()

    # -- up and down ---------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _isolated(self) -> AsyncIterator[None]:
        """The isolated place, for the length of a block."""
        beating: asyncio.Task[None] | None = None
        try:
            await self._must(self.commands.prepare, "No folder can be made")
            beating = asyncio.create_task(self._beat())
            done = await self._must(self.commands.isolate, "No isolated place can be made")
            cards = sorted({line.split()[1] for line in done.out.splitlines() if len(line.split()) > 1})
            self.say(f"{self.place.label} has an isolated place; its network has {', '.join(cards)} and no way out.")
            yield
        finally:
            if beating is not None:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
            # Also when we are cancelled: what was begun on the host ends first.
            down = asyncio.ensure_future(self._down())
            try:
                await asyncio.shield(down)
            except asyncio.CancelledError:
                await asyncio.gather(down, return_exceptions=True)
                raise

    async def _beat(self) -> None:
        """Tells the guard again and again that somebody wants the place."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            with contextlib.suppress(LinkError):
                await self.place.run(self.commands.beat, timeout=COMMAND_SECONDS)

    async def _down(self) -> None:
        """Takes everything down. Says so where it cannot: then the guard on the host does, in a short while."""
        why = ""
        for attempt in range(DOWN_TRIES):
            if attempt:
                await asyncio.sleep(AGAIN_SECONDS)
            try:
                completed = await self._run(self.commands.down)
            except LinkError as error:
                why = error.what
                continue
            if completed.code == 0:
                self.say(f"Everything on {self.place.label} is taken down.")
                return
            why = completed.words
        self.say(
            f"The rehearsal on {self.place.label} could not be taken down: {why} A guard there ends it within three "
            f"minutes; else: {self.commands.down}"
        )

    # -- the steps -----------------------------------------------------------------------------------------------------

    async def _control(self) -> None:
        """Starts dockerd with nothing to restore: what fails here is not the backup's fault."""
        completed = await self._run(self.commands.start(1), READY_SECONDS + COMMAND_SECONDS)
        if completed.code != 0:
            said = await self._log(1)
            raise UnableError(
                f"An isolated dockerd does not start on {self.place.label}, with nothing to restore: {said}",
                "Name another host.",
            )
        await self._must(self.commands.stop(1), "The isolated dockerd does not stop")
        self.say("An isolated dockerd runs there.")

    async def _send(self, files: ArchiveFiles, key_file: bytes | None) -> None:
        """Sends the Swarm's directory, unlocked where it was locked."""
        chunks = restorable(files, files.folders, key_file)
        self.running(self.commands.send)
        completed = await self.place.feed(self.commands.send, chunks)
        if completed.code != 0:
            raise UnableError(f"The archive cannot be unpacked on {self.place.label}: {completed.words}.", "Retry.")
        locked = " Its key file was unlocked here." if key_file is not None else ""
        self.say(f"The Swarm's directory is in the isolated place.{locked}")

    async def _restore(self) -> tuple[bool, tuple[str, ...], Objects]:
        completed = await self._run(self.commands.start(2), READY_SECONDS + COMMAND_SECONDS)
        if completed.code != 0:
            raise WouldNotRestoreError(
                f"With the backup in place dockerd does not start: {await self._log(2)}", ANOTHER
            )
        completed = await self._run(self.commands.init, INIT_SECONDS + COMMAND_SECONDS)
        if completed.code != 0:
            # What the engine answers says it all; anything else means that it is gone.
            answered = "Error response from daemon" in completed.words
            why = f"{completed.words}." if answered else f"dockerd crashes; {await self._log(2)}"
            raise WouldNotRestoreError(f"`docker swarm init --force-new-cluster` fails on it: {why}", ANOTHER)
        try:
            async with self.place.engine(self.commands) as engine:
                node_id, objects, tasks = await self._read(engine)
        except EngineError as error:
            raise WouldNotRestoreError(
                f"Docker said that it was restored, but no Swarm works there: {error.what}", ANOTHER
            ) from error
        manifest = self.entry.whole
        ok, what = judge(
            inventory_of(objects, tasks),
            node_id,
            expected_node=self.facts.node_id,
            cluster_id=self.entry.cluster_id,
            before=manifest.inventory,
            after=manifest.inventory_after,
        )
        self.say(what[0])
        return ok, what, objects

    async def _read(self, engine: Engine) -> tuple[str, Objects, int]:
        """What the restored Swarm has: the manager's id, all objects, and how many tasks.

        Raises:
            EngineError: it does not tell.
            LinkError: the connection was lost.
        """
        for line in self.commands.reads:
            self.running(line)
        end = time.monotonic() + LEADER_SECONDS
        while True:
            swarm = (await engine.info()).swarm
            try:
                if not swarm.control_available:
                    raise EngineError(one_line(swarm.error) or f"its state is {one_line(swarm.local_node_state)}.")
                cluster = _decoded(await engine.get("/swarm"))
                break
            except EngineError:
                if time.monotonic() >= end:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
        cluster.pop("JoinTokens", None)  # secrets, and worth nothing after a restore
        objects: dict[str, list[dict[str, Any]]] = {"swarm": [cluster]}
        for kind in ("nodes", "services", "networks", "secrets", "configs"):
            params = {"filters": json.dumps({"scope": ["swarm"]})} if kind == "networks" else None
            objects[kind] = _decoded(await engine.get(f"/{kind}", params=params)) or []
        tasks = _decoded(await engine.get("/tasks")) or []
        return swarm.node_id, objects, len(tasks)

    # -- how -----------------------------------------------------------------------------------------------------------

    async def _run(self, line: str, seconds: float = COMMAND_SECONDS) -> Completed:
        self.running(line)
        return await self.place.run(line, timeout=seconds)

    async def _must(self, line: str, what: str) -> Completed:
        completed = await self._run(line)
        if completed.code != 0:
            raise UnableError(f"{what} on {self.place.label}: {completed.words}.", "Name another host.")
        return completed

    async def _log(self, number: int) -> str:
        """What dockerd said last of errors, as a sentence."""
        try:
            completed = await self.place.run(self.commands.log(number), timeout=COMMAND_SECONDS)
        except LinkError:
            return "its log cannot be read."
        lines = dict.fromkeys(said_in(line) for line in completed.out.splitlines() if line.strip())
        return f"its log says: {'; '.join(list(lines)[-LOG_LINES:])}." if lines else "its log has no error."


def said_in(line: str) -> str:
    """What a line of dockerd's log says, without time, level and the fields after."""
    found = _MESSAGE.search(line)
    return one_line(found[1].replace('\\"', '"') if found else line)[:LINE_LENGTH].rstrip(". ")


def result_of(error: SwarmtuiError, seconds: float = 0.0, where: tuple[str, ...] = ()) -> Rehearsed:
    """What follows from an error: is it the backup's, or does it prove nothing?"""
    of_backup = isinstance(error, (WouldNotRestoreError, BackupError))
    if of_backup and not isinstance(error, (NoIdentityError, WrongIdentityError)):
        what: tuple[str, ...] = (error.what, *where)
        return Rehearsed(TierResult(5, False, what, time.time()), {}, seconds, error)
    what = (f"It could not be rehearsed: {error.what}",)
    return Rehearsed(TierResult(5, None, what, time.time()), {}, seconds, error)


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.MsgspecError as error:
        raise EngineError(f"The restored engine's answer cannot be read: {one_line(str(error))[:120]}.") from None
