"""The steps that install UCP on the first manager (U2, ucp-dtr.md §1.4)."""

from __future__ import annotations

import asyncio
import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from swarmtui.link import jobs
from swarmtui.model.text import one_line
from swarmtui.model.ucp import facts, status
from swarmtui.model.ucp.facts import Version
from swarmtui.runbooks.image.job import ImageJob, Result, run_image
from swarmtui.runbooks.runbook import Danger, Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp import by_hand, own_certificates, places
from swarmtui.runbooks.ucp.access import access, opened
from swarmtui.runbooks.ucp.image import Command
from swarmtui.runbooks.ucp.install_facts import licence_of
from swarmtui.runbooks.ucp.own_certificates import OwnCertificates
from swarmtui.runbooks.ucp.uninstall_steps import look_at_all
from swarmtui.session import Session
from swarmtui.vault import Kind, Secret

INSTALL_SECONDS: Final = 3600.0
"""How long an installation is waited for; its images are pulled in it."""
LICENCE_NAME: Final = "docker_subscription.lic"


@dataclass(frozen=True, kw_only=True)
class PutCertificates(Step):
    """Puts the operator's certificates where UCP looks for them."""

    at: Where
    own: OwnCertificates

    @property
    def shown(self) -> tuple[Shown, ...]:
        make = Shown(self.at.root(f"docker volume create {facts.CERTS_VOLUME} >/dev/null"), self.at.host, self.at.port)
        puts = []
        for name in facts.CERT_FILES:
            feed = Shown(f"cat {shlex.quote(str(Path(self.own.folder) / name))}", here=True)
            find = f"docker volume inspect -f '{{{{.Mountpoint}}}}' {facts.CERTS_VOLUME}"
            line = self.at.root(f"sh -c {shlex.quote(_write(f'$({find})', name, quoted=False))}")
            puts.append(Shown(line, self.at.host, self.at.port, feed=feed))
        return (make, *puts)

    async def already_done(self, session: Session, before: Facts) -> str:
        folder = await places.mountpoint(session, self.at, facts.CERTS_VOLUME)
        if not folder:
            return ""
        contents = await own_certificates.as_planned(self.own)
        line = self.at.root(f"sha256sum {' '.join(shlex.quote(f'{folder}/{name}') for name in contents)}")
        completed = await (await self.at.reach(session)).run(line, timeout=jobs.SECONDS)
        there = [each.split()[0] for each in completed.out.splitlines() if each.strip()]
        same = there == [hashlib.sha256(content).hexdigest() for content in contents.values()]
        return f"They are in the volume {facts.CERTS_VOLUME} on {self.at.name}." if same else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        contents = await own_certificates.as_planned(self.own)
        engine = await session.engine_of(self.at.ssh)
        await engine.post("/volumes/create", json={"Name": facts.CERTS_VOLUME})
        folder = await places.mountpoint(session, self.at, facts.CERTS_VOLUME)
        host = await self.at.reach(session)
        for name, content in contents.items():
            line = self.at.root(f"sh -c {shlex.quote(_write(folder, name))}")
            completed = await host.run(line, stdin=content, timeout=jobs.SECONDS)
            if completed.code != 0:
                raise StepError(f"{name} cannot be written on {self.at.name}: {completed.words}.", "Retry.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"The certificates on {self.at.name} are not those that were put there.", "Retry.")


def _write(folder: str, name: str, *, quoted: bool = True) -> str:
    """Writes standard input into a file; the key is its owner's alone."""
    path = shlex.quote(f"{folder}/{name}") if quoted else f'"{folder}/{name}"'
    return f"umask {'077' if name == 'key.pem' else '022'}; cat > {path}"


@dataclass(frozen=True, kw_only=True)
class Install(Step):
    """Runs `install` on the manager, as a job that survives us.

    Attributes:
        licence: path here; "" without. licence_digest: of its content, as the plan knew it.
    """

    at: Where
    command: Command
    job_id: str
    cluster_id: str
    licence: str = ""
    licence_digest: str = ""
    danger: Danger = Danger.DISRUPTIVE

    @property
    def shown(self) -> tuple[Shown, ...]:
        line = self.command.shown(self.at)
        if not self.licence:
            return (line,)
        folder = f"{jobs.FOLDER}/{self.job_id}"
        make = Shown(self.at.root(f"mkdir -p -m 0700 {jobs.BASE} {jobs.FOLDER} {folder}"), self.at.host, self.at.port)
        feed = Shown(f"cat {shlex.quote(self.licence)}", here=True)
        tee = self.at.root(f"tee {folder}/{LICENCE_NAME}")
        return (make, Shown(f"{tee} > /dev/null", self.at.host, self.at.port, feed=feed), line)

    @property
    def work(self) -> ImageJob:
        return ImageJob(self.at, self.command, self.job_id)

    async def already_done(self, session: Session, before: Facts) -> str:
        if (await self.work.state(session)).alive:
            return ""
        snapshot = await session.refresh()
        if status.version_of(snapshot) != self.command.version:
            return ""
        there = await places.look(session, self.at)
        runs = any(part.name == "ucp-controller" and part.runs for part in there.parts)
        return f"{self.command.version.product} is installed on {self.at.name}." if runs else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        password = await session.vault.get(Kind.UCP_PASSWORD, self.cluster_id)
        if password is None:
            raise StepError(
                "The vault does not have the administrator's password any more.",
                f"Keep one, then retry: swarmtui secrets set {Kind.UCP_PASSWORD} {self.cluster_id}",
            )
        state = await self.work.state(session)
        last = await self._last(session, password) if state.there and not state.alive else None
        if not state.alive and (last is None or not last.ok):
            # Also of a container whose job was killed: what it leaves is only known when it has ended.
            await self.work.over(session, state, voice)
            if left := await self.left(session):
                raise StepError(f"An installation that was broken off left {left}.", CLEAN)
        files = {}
        if self.licence:
            files[LICENCE_NAME] = await asyncio.to_thread(licence_of, self.licence, self.licence_digest)
        given = dict.fromkeys(self.command.variables, password)
        result = await run_image(
            session, self.at, self.command, given, voice, job_id=self.job_id, seconds=INSTALL_SECONDS, files=files
        )
        if not result.ok:
            left = await self.left(session)
            told = f"It left {left}. {CLEAN}" if left else "It left nothing. Mend that, then retry."
            await self.work.end_of(session)
            result.must(self.command, self.at, told)

    async def _last(self, session: Session, password: Secret) -> Result | None:
        """How an earlier try ended; None where nobody knows."""
        try:
            return await self.work.result(session, (password,))
        except StepError:
            return None

    async def left(self, session: Session) -> str:
        """What of UCP is on the nodes now, for a sentence; "" for nothing."""
        snapshot = await session.refresh()
        nodes = places.places(session, snapshot)
        found, _ = await look_at_all(session, nodes)
        told = places.left_words([(node, found[node.id]) for node in nodes if node.id in found])
        services = ", ".join(one_line(service.name) for service in status.agents(snapshot))
        return "; ".join(part for part in (told, f"the service {services}" if services else "") if part)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            left = await self.left(session)
            raise StepError(
                f"The command ended, and {self.command.version.product} does not run on {self.at.name}"
                f"{f'; it left {left}' if left else ''}.",
                f"Look there: docker logs {facts.ONCE}. {CLEAN}",
            )
        voice.say(f"UCP's instance is {status.instance_of(session.snapshot)}.")


CLEAN: Final = (
    "Take it off with: swarmtui run ucp.uninstall (by hand, on each node: docker ps -aq --filter name=ucp- | xargs "
    "docker rm -f)."
)


@dataclass(frozen=True, kw_only=True)
class FirstLogin(Step):
    """Logs in as the administrator, by the authority that the manager itself tells.

    Attributes:
        name: of the manager. url: where its web server is expected.
    """

    at: Where
    version: Version
    name: str
    url: str
    admin: str
    cluster_id: str

    @property
    def shown(self) -> tuple[Shown, ...]:
        command = Command(version=self.version, name="dump-certs", options=(("ca", ""),))
        authority = Shown(f"{command.shown(self.at).as_sh} > {by_hand.CA}", here=True)
        return (authority, *by_hand.login(self.url, self.admin), by_hand.logout(self.url))

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        # The authority is a new one: what was remembered of an earlier UCP is not it.
        await session.refresh()
        await access(session, fresh=True)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        password = await session.vault.get(Kind.UCP_PASSWORD, self.cluster_id)
        known = msgspec.structs.replace(await access(session), username=self.admin)
        client = await opened(session, known, username=self.admin, password=password, node=self.name)
        async with client:
            account = await client.login()
            if not account.is_admin:
                raise StepError(f"{one_line(account.name)} is no administrator of this UCP.", "Is it the right one?")
            voice.say(f"UCP is at {client.url}. {one_line(account.name)} can log in there, as an administrator.")
