"""A manager's files made fit to force a cluster from: its key file unlocked here, docker-state.json set aside.

Source: swarm-dr.md §3. Docker is stopped meanwhile.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass

from swarmtui.backups.errors import RaftError
from swarmtui.link.person import KeyPerson
from swarmtui.runbooks.runbook import Facts, Shown, StepError, Voice
from swarmtui.runbooks.swarm.managers import read_file
from swarmtui.runbooks.swarm.recovery.fence_steps import (
    FILE_SECONDS,
    ROOT,
    docker_runs,
    exists,
    must,
    stop_docker,
    stop_line,
)
from swarmtui.runbooks.swarm.recovery.kept_file import KeptFile
from swarmtui.runbooks.swarm.rejoining.rejoin_steps import OnHost
from swarmtui.runbooks.swarm.unlock_steps import keys_of
from swarmtui.session import Session
from swarmtui.vault import Secret, UnlockKey, fingerprint

KEY = "swarm/certificates/swarm-node.key"
STATE = "swarm/docker-state.json"
ASKED_TIMES = 3


def opened_with(pem: bytes, keys: list[UnlockKey]) -> tuple[bytes, UnlockKey | None] | None:
    """A key file in clear, and the key that opened it (None where it was not locked); None where none of them does.

    Raises:
        RaftError: it is no key file.
    """
    from swarmtui.backups.raft.keyfile import KeyFileError, parse
    from swarmtui.backups.raft.unlock import unlocked_key

    try:
        if not parse(pem).locked:
            return pem, None
    except KeyFileError as problem:
        raise RaftError(f"This is no key file of a Swarm node: {problem}.", "Take another manager.") from None
    for key in keys:
        try:
            return unlocked_key(pem, key.secret), key
        except RaftError:
            continue
    return None


@dataclass(frozen=True, kw_only=True)
class UnlockKeyFile(KeptFile):
    """Unlocks a manager's key file here, with the vault's key, and writes it back in clear.

    Docker is stopped for it. `SetStateAside` belongs before it: then a boot of the host in between does no harm.

    The locked original stays beside the Swarm directory until all is well.
    """

    file = KEY
    kept = "swarm.key"
    mode = "600"

    @property
    def shown(self) -> tuple[Shown, ...]:
        read = self.there(self.at.root(f"cat {shlex.quote(self.aside)}"))
        opened = Shown(f"swarmtui secrets open-key-file {self.cluster_id}", feed=read, here=True)
        return (
            self.there(stop_line(self.at)),
            self.there(self.keep_line),
            Shown(self.write_line, self.at.host, self.at.port, feed=opened),
        )

    async def _pem(self, session: Session) -> bytes:
        """The key file as it is. Its text is in clear only where it is not locked, and then it is not looked at."""
        text = await read_file(session, self.at.ssh, self.path)
        if not text:
            raise StepError(f"{self.path} on {self.name} cannot be read.", "Is that Docker's data root? Then retry.")
        return text.encode()

    async def already_done(self, session: Session, before: Facts) -> str:
        line = self.at.root(f"head -n 1 {shlex.quote(self.path)}")
        told = await (await self.at.reach(session)).run(line, timeout=FILE_SECONDS)
        if told.code != 0 or "ENCRYPTED" in told.out:
            return ""
        # Of before Docker 18.09: it says so in a header.
        line = self.at.root(f"grep -c ^DEK-Info: {shlex.quote(self.path)}")
        old = await (await self.at.reach(session)).run(line, timeout=FILE_SECONDS)
        return "" if old.out.strip() not in ("", "0") else f"The key file of {self.name} is not locked."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await self.stopped(session)
        await self.replace(session, await self._opened(session, voice))

    async def _opened(self, session: Session, voice: Voice) -> bytes:
        pem = await self._pem(session)
        keys, trouble = await keys_of(session.vault, self.cluster_id)
        if trouble:
            voice.say(f"The vault's keys cannot be read: {trouble}")
        found = await asyncio.to_thread(opened_with, pem, keys)
        if found is not None:
            clear, key = found
            voice.say(f"The {key.state} key {key.fingerprint} opens it." if key is not None else "It is not locked.")
            return clear
        person, why = session.person, "none of the vault's keys opens its key file" if keys else "the vault has no key"
        for _ in range(ASKED_TIMES):
            typed = await person.unlock_key(f"{self.name}: {why}") if isinstance(person, KeyPerson) else None
            if not typed or not typed.strip():
                break
            secret = Secret(typed.strip())
            tried = UnlockKey(secret, time.time(), "previous", None, fingerprint(secret))
            found = await asyncio.to_thread(opened_with, pem, [tried])
            if found is not None:
                await session.vault.store_unlock_key(self.cluster_id, secret, "previous", time.time())
                voice.say(f"The key {fingerprint(secret)} opens it, and is kept in {session.vault.where}.")
                return found[0]
            why = "that key does not open it"
        raise StepError(
            f"The key file of {self.name} stays locked: {why}.",
            f"Give the unlock key to the vault, then retry: swarmtui secrets set unlock-key {self.cluster_id}",
        )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"The key file of {self.name} is still locked.", "Retry.")
        voice.say(f"The key file is unlocked; the locked one is {self.aside}.")


@dataclass(frozen=True, kw_only=True)
class SetStateAside(OnHost):
    """Moves docker-state.json out of the Swarm directory, with Docker stopped: it then starts in no Swarm within a
    second, and never calls its old peers (swarm-dr.md §3)."""

    job: str
    root: str = ROOT

    @property
    def aside(self) -> str:
        return f"{self.root}/swarm.state-{self.job}"

    def _move(self, back: bool = False) -> str:
        places = [shlex.quote(f"{self.root}/{STATE}"), shlex.quote(self.aside)]
        return self.at.root(f"mv {' '.join(reversed(places) if back else places)}")

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.there(stop_line(self.at)), self.there(self._move()))

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (self.there(self._move(back=True)),)

    async def already_done(self, session: Session, before: Facts) -> str:
        there = await exists(await self.at.reach(session), self.at, f"{self.root}/{STATE}")
        return "" if there else f"There is no docker-state.json in the Swarm directory of {self.name}."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        host = await self.at.reach(session)
        if await docker_runs(host, self.at):
            await stop_docker(host, self.at)  # its host was booted since it was stopped, say
        await must(host, self.at, self._move())

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"docker-state.json is still in the Swarm directory of {self.name}.", "Retry.")
