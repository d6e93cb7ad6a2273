"""The steps that unlock managers, for any plan in which Docker restarts on one. Sources: swarm-dr.md §3 and §5."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swarmtui.errors import EngineError, SwarmtuiError
from swarmtui.link.person import KeyPerson
from swarmtui.link.reasons import LinkError
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.runbooks.node_waits import wait_line
from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.cluster_steps import read_key
from swarmtui.runbooks.swarm.managers import BUSY_SECONDS, STATE_SECONDS, Seen, info_of, look, lost, reached
from swarmtui.session import Session
from swarmtui.vault import Kind, Secret, UnlockKey, Vault, VaultError, fingerprint

if TYPE_CHECKING:
    from swarmtui.link.engine import Engine

POLL_SECONDS = 1.0
TAKEN_SECONDS = 6.0
"""A wrong key is refused within a second; a right one is answered only when the manager has found the others (0.5 to
7 s, and never while they are gone). After this long without an answer the manager's state tells."""
LOST_SECONDS = 5.0
"""How long a way that was lost is looked for again, at least."""
TRIES = 4
"""How often the way to a manager may be lost under one step."""
ASKED_TIMES = 3
"""How often a person may mistype the key."""
PEERS_GONE = (
    "A manager whose key was right finds no majority of the others. Unlock or start those too; if they are gone for "
    "good it waits for ever: then its key file is unlocked offline and a new cluster forced from it, as in a restore."
)


def on_host(target: str, line: str, feed: Shown | None = None) -> Shown:
    """A command on the host of a manager; here, where it is not reached over SSH."""
    if not target.startswith("ssh://"):
        return Shown(line, feed=feed)
    parsed = parse_target(target)
    assert isinstance(parsed, SshTarget)
    return Shown(line, parsed.destination, parsed.port, feed)


async def keys_of(vault: Vault, cluster_id: str) -> tuple[list[UnlockKey], str]:
    """The vault's keys to try, and why it cannot be read ("" where it can): a person may have the key all the same.

    Args:
        cluster_id: "" for the keys of all clusters that the vault knows.

    Returns:
        The newest first, previous ones last.
    """
    try:
        clusters = [cluster_id]
        if not cluster_id:
            clusters = [entry.about for entry in await vault.entries() if entry.kind is Kind.UNLOCK_KEY]
        found = [key for cluster in dict.fromkeys(clusters) for key in await vault.unlock_keys(cluster)]
    except VaultError as error:
        return [], str(error)
    return sorted(found, key=lambda key: (key.state == "previous", -key.stored_at)), ""


@dataclass(frozen=True, kw_only=True)
class ManagerStep(Step):
    """A step about one manager, over its own way.

    Attributes:
        name: what people call it.
        target: where it is reached.
        sudo: whether docker needs `sudo -n` there.
        patience: seconds its engine may take to answer at all; for one that is restarted just before.
    """

    name: str
    target: str
    sudo: bool = False
    patience: int = 0

    @property
    def docker(self) -> str:
        return "sudo -n docker" if self.sudo else "docker"

    async def state(self, session: Session, seconds: float = STATE_SECONDS) -> str:
        """LocalNodeState of the engine there (pending where it is busy finding the others), as long as patience lasts.

        Raises:
            StepError: it cannot be asked.
        """
        end = time.monotonic() + max(self.patience, LOST_SECONDS)
        while True:
            try:
                async with reached(session, self.target) as engine:
                    info = await info_of(engine, seconds)
                    return info.swarm.local_node_state if info is not None else "pending"
            except LinkError as failed:
                if not lost(failed) or time.monotonic() >= end:
                    raise StepError(f"{self.name} cannot be asked: {failed.what}", failed.next_step) from failed
            await asyncio.sleep(POLL_SECONDS)


@dataclass(frozen=True, kw_only=True)
class UnlockNode(ManagerStep):
    """Unlocks one manager with the vault's keys, the newest first; asks a person for a key that is not among them.

    Attributes:
        cluster_id: whose keys are tried; "" for those of every cluster that the vault knows.
        live: another manager answers, and tells the present key to whoever types the commands.
    """

    cluster_id: str = ""
    live: bool = False

    @property
    def shown(self) -> tuple[Shown, ...]:
        line = f"{self.docker} swarm unlock"
        if self.live:
            # It reads the key from its standard input. One that missed a rotation needs an older key, typed by hand.
            return (on_host(self.target, line, Shown("docker swarm unlock-key -q")),)
        there = on_host(self.target, line)
        if not there.host:
            return (there,)
        port = f"-p {there.port} " if there.port else ""
        return (Shown(f"ssh -t {port}-- {shlex.quote(there.host)} {shlex.quote(line)}"),)

    async def already_done(self, session: Session, before: Facts) -> str:
        # With patience: what counts as done here is never looked at again.
        state = await self.state(session, BUSY_SECONDS)
        return "" if state == "locked" else f"{self.name} is not locked (its state is {state})."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        for place in range(TRIES):
            try:
                async with reached(session, self.target) as engine:
                    await self._unlock(session, engine, voice)
                return
            except LinkError as error:
                # Here, and not by the runner: that waits for a manager of the Swarm, and there may be none before this.
                if place == TRIES - 1 or not lost(error):
                    raise StepError(f"{self.name} cannot be unlocked: {error.what}", error.next_step) from error
                voice.say(f"{error.what} Once more.")
            await asyncio.sleep(POLL_SECONDS)

    async def _unlock(self, session: Session, engine: Engine, voice: Voice) -> None:
        info = await info_of(engine)
        if info is not None and info.swarm.local_node_state != "locked":
            return
        keys, trouble = await keys_of(session.vault, self.cluster_id)
        if trouble:
            voice.say(f"The vault's keys cannot be read: {trouble}")
        for place, key in enumerate(keys):
            word = await self._try(engine, key.secret)
            if word is None:
                voice.say(f"{self.name} is not locked any more.")
                return
            if not word:
                voice.say(f"{self.name} took the {key.state} key {key.fingerprint}.")
                return
            following = (
                f"next: the {keys[place + 1].state} key {keys[place + 1].fingerprint}" if place + 1 < len(keys) else ""
            )
            voice.say(
                f"{self.name} refuses the {key.state} key {key.fingerprint}: {word}"
                + f"; {following}." * bool(following)
            )
        tried = ", ".join(key.fingerprint for key in keys)
        await self._ask(session, engine, voice, {key.fingerprint for key in keys}, tried)

    async def _ask(self, session: Session, engine: Engine, voice: Voice, known: set[str], tried: str) -> None:
        person = session.person
        why = f"none of the vault's keys is right ({tried})" if tried else "the vault has no key for it"
        if isinstance(person, KeyPerson):
            for _ in range(ASKED_TIMES):
                typed = await person.unlock_key(f"{self.name}: {why}")
                if not typed or not typed.strip():
                    break
                secret = Secret(typed.strip())
                word = await self._try(engine, secret)
                if word is None:
                    voice.say(f"{self.name} is not locked any more; what was typed is not kept, nobody tried it.")
                    return
                if not word:
                    voice.say(f"{self.name} took the key {fingerprint(secret)}.")
                    await self._keep(session, secret, voice)
                    return
                why = word
                voice.say(f"{self.name} refuses the key that was typed: {word}.")
        raise StepError(
            f"{self.name} stays locked: {why}.",
            "One that was down during a rotation needs the key from before it. Any unlocked manager shows the present "
            "one: docker swarm unlock-key; give it at the prompt, or on standard input.",
        )

    async def _keep(self, session: Session, secret: Secret, voice: Voice) -> None:
        """What worked is kept: as the cluster's key where that can be compared, else as one that was."""
        if not self.cluster_id:
            voice.say(
                "It is not kept in the vault: which Swarm this is could not be told. Do it later: swarmtui secrets set."
            )
            return
        current = False
        with contextlib.suppress(SwarmtuiError):
            current = session.live and await read_key(session) == secret
        try:
            await session.vault.store_unlock_key(
                self.cluster_id, secret, "current" if current else "previous", time.time()
            )
        except SwarmtuiError as error:
            # It is unlocked, which is what mattered.
            voice.say(f"The key is not kept: {error}")
            return
        voice.say(f"The key {fingerprint(secret)} is kept in {session.vault.where}.")

    async def _try(self, engine: Engine, key: Secret) -> str | None:
        """Tries one key; returns "" when it was taken, else why not; None where there was no lock to try it on.

        Raises:
            LinkError, StepError: it is not known whether it was taken.
        """
        posting = asyncio.ensure_future(engine.post("/swarm/unlock", json={"UnlockKey": key.reveal()}))
        try:
            async with asyncio.timeout(TAKEN_SECONDS):
                await asyncio.shield(posting)
            return ""
        except TimeoutError:
            info = await info_of(engine)
            if info is not None and info.swarm.local_node_state == "locked":
                raise StepError(
                    f"{self.name} neither took the key nor refused it within {TAKEN_SECONDS:g} s.",
                    "Look at its log: journalctl -u docker -n 50. Then retry.",
                ) from None
            return ""
        except EngineError as error:
            if error.status == 409 or "is not locked" in error.message:
                return None
            if error.status == 401 or "invalid key provided" in error.message:
                return "it is not the key that this manager was locked with"
            if "invalid key string" in error.message:
                return "it is no unlock key (those begin with SWMKEY-1-)"
            raise StepError(f"{self.name} cannot be unlocked: {error.what}", error.next_step) from error
        finally:
            # Nobody hears a late answer; the engine goes on all the same.
            posting.cancel()
            await asyncio.gather(posting, return_exceptions=True)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if (state := await self.state(session)) == "locked":
            raise StepError(f"{self.name} is still locked.", "Retry.")
        voice.say(f"{self.name} is unlocked; its state is {state}.")


@dataclass(frozen=True, kw_only=True)
class WaitUnlocked(Step):
    """Waits until managers that were unlocked work again: active, and reachable for the leader.

    Attributes:
        managers: (name, target, node id or "") of each.
        seconds: when it gives up; without a majority nothing ever comes of it.
    """

    managers: tuple[tuple[str, str, str], ...]
    seconds: int = 120
    sudo: bool = False
    skippable: bool = field(default=True)

    @property
    def shown(self) -> tuple[Shown, ...]:
        docker = "sudo -n docker" if self.sudo else "docker"
        state = f"$({docker} info -f '{{{{.Swarm.LocalNodeState}}}}')"
        line = wait_line(f'[ "{state}" = active ]', self.seconds)
        return tuple(on_host(target, line) for _, target, _ in self.managers)

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await self._missing(session) else "All of them are active."

    async def _missing(self, session: Session) -> list[str]:
        """What is still missing, one word for each manager."""
        seen = {one.target: one for one in await look(session, [target for _, target, _ in self.managers])}
        return [word for manager in self.managers if (word := await _not_yet(session, manager, seen.values()))]

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        end = time.monotonic() + self.seconds
        said: list[str] = []
        while missing := await self._missing(session):
            if missing != said:
                done = len(self.managers) - len(missing)
                voice.progress(
                    done, len(self.managers), f"{done} of {len(self.managers)} unlocked and back: {', '.join(missing)}"
                )
                said = missing
            if time.monotonic() >= end:
                raise StepError(
                    f"Unlocked, but after {self.seconds} s not back in the Swarm: {', '.join(missing)}.", PEERS_GONE
                )
            session.look_now()
            await asyncio.sleep(POLL_SECONDS)
        voice.progress(len(self.managers), len(self.managers), "all are back")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if missing := await self._missing(session):
            raise StepError(f"Not back in the Swarm: {', '.join(missing)}.", "It was so a moment ago: retry.")
        session.look_now()


def after_restart(
    name: str, target: str, *, node_id: str, cluster_id: str, sudo: bool = False, patience: int = 90, seconds: int = 120
) -> tuple[Step, Step]:
    """What belongs behind every step that restarts Docker on a manager: unlock it if it is locked, and wait for it.

    Both find nothing to do where autolock is off.

    Args:
        target: where its host is reached, as `str(session.host_label(node))` gives it.
        patience: seconds its engine may take to answer at all; without a leader, 20 of them (swarm-dr.md §4).
        seconds: how long it may take to be back in the Swarm.
    """
    unlock = UnlockNode(
        id=f"unlock-{name}",
        title=f"Unlock {name} if it is locked",
        why="With autolock on, a manager whose Docker was restarted waits for the unlock key.",
        name=name,
        target=target,
        sudo=sudo,
        patience=patience,
        cluster_id=cluster_id,
    )
    wait = WaitUnlocked(
        id=f"unlocked-{name}",
        title=f"Wait until {name} works again",
        why="It counts for quorum only once the leader hears from it.",
        managers=((name, target, node_id),),
        seconds=seconds,
        sudo=sudo,
    )
    return unlock, wait


async def _not_yet(session: Session, manager: tuple[str, str, str], seen: Iterable[Seen]) -> str:
    name, target, node_id = manager
    mine = next((one for one in seen if one.target == target), None)
    if mine is None or mine.state != "active":
        return f"{name} ({mine.state if mine is not None and mine.state else 'no answer'})"
    node_id = node_id or mine.node_id
    if not session.live or not node_id:
        return ""
    try:
        node, _ = await session.node(node_id)
    except (EngineError, LinkError):
        return f"{name} (the Swarm does not answer)"
    return "" if node.is_reachable else f"{name} (not reachable yet)"
