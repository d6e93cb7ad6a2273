"""The steps of ucp.restore: the archive onto the manager, UCP's own restore as a job, and proof that UCP is back."""

from __future__ import annotations

import asyncio
import json
import shlex
from dataclasses import dataclass
from typing import Final

from swarmtui.backups.manifest import UcpAccount
from swarmtui.errors import EngineError, RefusedError, SwarmtuiError
from swarmtui.link.together import together
from swarmtui.link.ucp.errors import Trouble, UcpError
from swarmtui.model.text import listed, one_line
from swarmtui.runbooks.image.job import ImageJob, run_image
from swarmtui.runbooks.node_waits import wait_line, waited
from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.cluster_steps import read_key
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp import by_hand, logins, places
from swarmtui.runbooks.ucp.access import Access, access, dump_certs, opened, pings
from swarmtui.runbooks.ucp.backup_facts import ill, told_of
from swarmtui.runbooks.ucp.image import PASSPHRASE, UNLOCK_KEY, Command
from swarmtui.runbooks.ucp.places import Place
from swarmtui.runbooks.ucp.restore_facts import passphrase_for
from swarmtui.runbooks.ucp.uninstall_steps import NO_JOIN, ClearHosts, ClearServices, ucp_services
from swarmtui.session import Session
from swarmtui.vault import Secret

SECONDS: Final = 3600.0
POLL_SECONDS = 3.0
MOST: Final = 12
"""Names that a sentence tells."""


@dataclass(frozen=True, kw_only=True)
class RestoreUcp(Step):
    """Runs `restore` on the manager, as a job that survives us, with the archive on its standard input.

    Attributes:
        backup: its name; cluster_id: under which the catalogue has it.
        nodes: those that are cleaned before another try.
    """

    at: Where
    command: Command
    job_id: str
    cluster_id: str
    backup: str
    nodes: tuple[Place, ...]

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.command.shown(self.at),)

    @property
    def _work(self) -> ImageJob:
        return ImageJob(self.at, self.command, self.job_id)

    async def already_done(self, session: Session, before: Facts) -> str:
        state = await self._work.state(session)
        if state.alive or not state.done or not (await self._work.result(session)).ok:
            return ""
        return "UCP is restored: its agents are on the Swarm." if await ucp_services(session) else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        given = await self._secrets(session)
        state = await self._work.state(session)
        if not state.alive:
            await self._work.over(session, state, voice)
            await self._clean(session, voice)
        result = await run_image(session, self.at, self.command, given, voice, job_id=self.job_id, seconds=SECONDS)
        result.must(self.command, self.at, f"Mend it, then retry: what this try left is removed first. Now {NO_JOIN}.")

    async def _secrets(self, session: Session) -> dict[str, Secret]:
        given: dict[str, Secret] = {}
        if PASSPHRASE.variable in self.command.variables:
            entry = await asyncio.to_thread(session.backups.entry, self.cluster_id, self.backup, "ucp")
            secret = await passphrase_for(session, entry)
            if secret is None:
                raise StepError(
                    f"The vault has no passphrase any more that opens {self.backup}.",
                    f"Keep it again, then retry: swarmtui secrets set ucp-passphrase {self.cluster_id}",
                )
            given[PASSPHRASE.variable] = secret
        if UNLOCK_KEY.variable in self.command.variables:
            key = await read_key(session)
            if key is None:
                raise StepError("The Swarm is not autolocked any more.", "Make a new plan.")
            given[UNLOCK_KEY.variable] = key
        return given

    async def _clean(self, session: Session, voice: Voice) -> None:
        """Removes what an earlier try left: UCP refuses to be restored beside a part of itself."""
        services = ClearServices(id=self.id, title=self.title, why=self.why)
        for step in (services, ClearHosts(id=self.id, title=self.title, why=self.why, nodes=self.nodes)):
            if not await step.already_done(session, {}):
                await step.run(session, {}, voice)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        result = await self._work.result(session)
        if not result.ok or not await ucp_services(session):
            raise StepError(
                f"UCP is not restored: {'its agents are not on the Swarm' if result.ok else 'the command failed'}.",
                f"Look at what the command said above, then retry. Now {NO_JOIN}.",
            )
        voice.say("UCP's agents are on the Swarm again.")


@dataclass(frozen=True, kw_only=True)
class PingAll(Step):
    """Waits until UCP is healthy on every manager of the Swarm.

    Attributes:
        managers: those that are up. port: of UCP's web server, as ":443"; "" for the usual one.
        seconds: when it gives up.
    """

    managers: tuple[Place, ...]
    seconds: int
    port: str = ""

    @property
    def shown(self) -> tuple[Shown, ...]:
        line = wait_line(f"curl -fsk -o /dev/null https://localhost{self.port}/_ping", self.seconds)
        return tuple(
            Shown(line, one.at.host, one.at.port, words=f"wait for UCP on {one.name}, at most {self.seconds} s")
            for one in self.managers
        )

    async def _missing(self, session: Session) -> str:
        await session.refresh()
        try:
            known = await _trusted(session)
        except (RefusedError, UcpError) as error:
            return error.what
        answers = await pings(known)
        if any(answer.trouble == Trouble.NOT_TRUSTED for answer in answers.values()):
            answers = await pings(await access(session, fresh=True))

        async def one(place: Place) -> str:
            try:
                there = await places.look(session, place.at)
            except SwarmtuiError as error:
                return f"{place.name}: {error.what.rstrip('.')}"
            why = ill(answers.get(one_line(place.name)), there)
            return f"{place.name}: {why}" if why else ""

        found = await together(*(one(place) for place in self.managers))
        return f"UCP is not healthy yet on {'; '.join(filter(None, found))}." if any(found) else ""

    async def already_done(self, session: Session, before: Facts) -> str:
        return "" if await self._missing(session) else "UCP is healthy on every manager."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        async def missing() -> str:
            try:
                return await self._missing(session)
            except EngineError as error:
                return error.what

        if still := await waited(missing, self.seconds, voice, poll=POLL_SECONDS):
            raise StepError(
                f"{still} This was waited for {self.seconds} seconds.",
                "Look there: docker ps -a --filter name=ucp-, docker logs ucp-reconcile. Then retry: it waits on.",
            )

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if still := await self._missing(session):
            raise StepError(still, "It was healthy a moment ago: look at it, then retry.")
        voice.say(f"/_ping is well on {', '.join(one.name for one in self.managers)}. Watch it for 15 minutes.")


async def _trusted(session: Session) -> Access:
    return await access(session)


@dataclass(frozen=True, kw_only=True)
class CompareAccounts(Step):
    """Logs in as the administrator of the backup's time, and compares the accounts with those that UCP had then.

    Attributes:
        url: of the manager, for what is shown. accounts: None where nobody noted them.
    """

    at: Where
    known: Access
    url: str
    accounts: tuple[UcpAccount, ...] | None

    @property
    def shown(self) -> tuple[Shown, ...]:
        names = json.dumps([account.name for account in self.accounts or ()])
        listed = by_hand.call(self.url, "/accounts/?filter=all&limit=1000")
        check = f"jq -e --argjson was {shlex.quote(names)} '($was - [.accounts[].name]) == []'"
        certs = dump_certs(self.known.release).shown(self.at)
        return (
            Shown(f"{certs.as_sh} > {by_hand.CA}", here=True),
            *by_hand.login(self.url, self.known.username),
            Shown(f"{listed.line} | {check}", here=True),
            by_hand.logout(self.url),
        )

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        voice.say(f"Logging in as {one_line(self.known.username)}, with the password of the backup's time.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        known = await _trusted(session)
        secret = await logins.password_of(session, known, known.username)
        try:
            async with await opened(session, known, username=known.username, password=secret) as client:
                now = told_of(await client.accounts())
        except UcpError as error:
            if error.trouble is Trouble.LOGIN:
                logins.forget_typed(session, known, known.username)
                raise StepError(
                    f"{error.what} UCP has the passwords of the backup's time again.",
                    f"Keep the one of that time, then retry: swarmtui secrets set ucp-password {known.cluster}",
                ) from None
            raise StepError(error.what, error.next_step) from None
        voice.say(f"The login as {one_line(known.username)} works; UCP has {len(now)} accounts.")
        if self.accounts is None:
            voice.say("Nobody noted the accounts when the backup was taken: look through them yourself.")
            return
        missing, other = compared(self.accounts, now)
        if missing:
            raise StepError(
                f"Accounts that the backup should have are not in UCP: {listed(missing, MOST)}.",
                "Look at them in UCP; another backup may have them: swarmtui backups list",
            )
        if other:
            voice.say(f"Not as they were when the backup was taken: {listed(other, MOST)}.")
        voice.say(f"All {len(self.accounts)} accounts of the backup are there.")


def compared(then: tuple[UcpAccount, ...], now: tuple[UcpAccount, ...]) -> tuple[list[str], list[str]]:
    """Names of accounts that are missing, and of those that are new or have other rights."""
    before = {account.name: account for account in then}
    after = {account.name: account for account in now}
    return sorted(before.keys() - after.keys()), sorted(
        name for name, account in after.items() if before.get(name) != account
    )
