"""Runs a command of the image docker/ucp on a host: as a job that survives us, or at once where it only asks.

Exit status is not documented for these commands (ucp-dtr.md §1.9): a command has succeeded when it exited with 0, said
nothing fatal, and the step that ran it finds there what it was to make.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from swarmtui.link import jobs
from swarmtui.link.jobs import Job, JobError, JobState
from swarmtui.link.reasons import LinkError
from swarmtui.link.ssh import SshHost
from swarmtui.model.text import one_line
from swarmtui.model.ucp import facts, logs
from swarmtui.model.ucp.facts import Version
from swarmtui.model.ucp.logs import Line
from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp import image_scripts, places
from swarmtui.runbooks.ucp.image import Command
from swarmtui.session import Session
from swarmtui.vault.secret import Secret

QUESTION_SECONDS: Final = 60.0
"""For a command of the image that only asks; it starts a container each time."""
POLL_SECONDS: Final = 1.0
LOST_SECONDS: Final = 900.0
"""How long a host may be away while its job runs: a reboot of a large machine takes ten minutes."""
CONTAINER_SECONDS: Final = 900.0
"""How long a container is waited for whose job was killed."""
MOST_LINES: Final = 5000
"""Lines of a log that are read; an install says some hundreds."""
NOT_RUN: Final = 125
"""What the docker CLI exits with where the container could not be started."""
_NO_IMAGE: Final = ("Unable to find image", "pull access denied", "manifest unknown", "No such image")
HIDDEN: Final = "(hidden)"


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended.

    Attributes:
        exit: its status; -1 where nobody knows it.
        lines: what it said.
        path: the file on the host with what it wrote on standard output; "" where it was no job.
        size, digest: of that file: bytes, and sha256 in hex.
        out: what it wrote, of a command that was only asked.
    """

    exit: int
    lines: tuple[Line, ...]
    path: str = ""
    size: int = 0
    digest: str = ""
    out: str = ""

    @property
    def ok(self) -> bool:
        """It exited with 0, and said nothing fatal. That it did its work is for the step to see."""
        return self.exit == 0 and not any(line.fatal for line in self.lines)

    def must(self, command: Command, at: Where, next_step: str) -> None:
        """Raises StepError where it failed: one sentence, with its own last words."""
        if self.ok:
            return
        what, way = _not_run(self.lines, command, at) if self.exit == NOT_RUN else ("", "")
        if not what:
            why = logs.why_failed(self.lines)
            code = f"it ended with code {self.exit}" if self.exit else "it said so and ended with code 0"
            what = f"`{command.name}` of {command.version.product} failed on {at.name}: {why or code}."
        raise StepError(what, way or next_step)


def _not_run(lines: Iterable[Line], command: Command, at: Where) -> tuple[str, str]:
    """What the docker CLI meant where it could not start the container, and what to do; ("", "") for unknown words."""
    said = " ".join(line.text for line in lines)
    if "is already in use" in said:
        return (
            f"Another command of UCP runs on {at.name}: its container has the name {facts.CONTAINER}.",
            f"Wait until it is over: docker wait {facts.CONTAINER}. What it is: docker inspect {facts.CONTAINER}.",
        )
    if any(
        sign in said for sign in ("Unable to find image", "pull access denied", "manifest unknown", "No such image")
    ):
        return (f"The image {command.version.image} is not on {at.name}, and cannot be pulled there.", LOAD)
    if "permission denied" in said.lower():
        return (f"Docker on {at.name} does not let us use it: {one_line(said)[-200:]}.", "Is sudo = true missing?")
    return "", ""


LOAD: Final = "Bring it there, and retry: docker image load -i FILE, or docker image pull where there is a registry."


async def run_image(
    session: Session,
    at: Where,
    command: Command,
    secrets: Mapping[str, Secret],
    voice: Voice,
    *,
    job_id: str,
    seconds: float = 3600.0,
    files: Mapping[str, bytes] | None = None,
) -> Result:
    """Runs a command as a job on the host, or goes on with it where it was begun before, until it is over.

    Args:
        secrets: variable → value, for each of `command.variables`.
        job_id: from `jobs.new_id`, made with the plan: so a run that is resumed finds its own job again.
        seconds: how long it is waited for; the job itself goes on after that.
        files: what lies in the job's folder before it begins, by name.

    Raises:
        StepError: it could not be started, or nobody knows how it ended. A command that failed is a `Result`.
        LinkError: the host cannot be reached at all.
    """
    work = ImageJob(at, command, job_id)
    state = await work.state(session)
    if state.alive:
        voice.say(f"The job on {at.name} still runs: it went on without us.")
    elif not state.done:
        await work.over(session, state, voice)
        await work.start(session, secrets, files)
    await work.follow(session, voice, secrets.values(), seconds)
    return await work.result(session, secrets.values())


@dataclass(frozen=True)
class ImageJob:
    """A command of the image as a job on a host."""

    at: Where
    command: Command
    id: str

    async def job(self, session: Session) -> Job:
        """The job, over the connection as it is now. Raises LinkError."""
        return Job(self.id, await self.at.reach(session), self.at.sudo, self.at.systemd)

    async def state(self, session: Session) -> JobState:
        return await (await self.job(session)).state()

    async def start(
        self, session: Session, secrets: Mapping[str, Secret], files: Mapping[str, bytes] | None = None
    ) -> None:
        """Starts it, after a look whether it can be.

        Args:
            files: what lies in its folder before it begins, by name; no secrets.

        Raises:
            StepError: another command of UCP runs there, the image is not there, or a secret cannot be handed over.
            JobError: the job could not be started.
            LinkError: the connection was lost.
        """
        host = await self.at.reach(session)
        await check_free(session, self.at)
        await check_image(session, self.at, self.command.version)
        given = _lines_of(self.command, secrets)
        job = await self.job(session)
        if given:
            await _must(host, self.at, self.at.root(f"mkdir -p -m 0700 {image_scripts.MEMORY}"))
            file = image_scripts.secrets_file(self.id)
            await _must(host, self.at, self.at.root(f"sh -c 'umask 077; cat > {file}'"), given)
        await job.begin(image_scripts.job(self.command, self.id, job.folder), image_scripts.after(self.id), files or {})

    async def follow(self, session: Session, voice: Voice, secrets: Iterable[Secret], seconds: float) -> None:
        """Says what it says, until it is over; a connection that is lost meanwhile is made again.

        Raises:
            StepError: the host stays away, or the time is up: the job goes on.
        """
        hidden = tuple(secrets)
        end = time.monotonic() + seconds
        told, pulls = 0, 0
        lost_at, why = 0.0, ""
        never = time.monotonic() + jobs.SECONDS
        while time.monotonic() < end:
            try:
                job = await self.job(session)
                state = await job.state()
                lines = await self._said(job, hidden)
            except (LinkError, JobError) as error:
                lost_at = lost_at or time.monotonic()
                if isinstance(error, LinkError) and why != error.what:
                    why = error.what
                    voice.say(f"{why} The job goes on by itself; we come back to it.")
                if time.monotonic() - lost_at > LOST_SECONDS:
                    break
                await asyncio.sleep(2 * POLL_SECONDS)
                continue
            lost_at = 0.0
            for line in lines[told:]:
                voice.say(str(line))
                if (progress := logs.progress(line, pulls)) is not None:
                    pulls += progress.of == 0
                    voice.progress(progress.done, progress.of or progress.done, progress.what)
            told = max(told, len(lines))
            # A unit that was only just asked for has not written anything yet.
            if state.over and (state.there or time.monotonic() > never):
                return
            await asyncio.sleep(POLL_SECONDS)
        raise StepError(
            f"{self.at.name} does not tell how `{self.command.name}` of UCP ended{f': {why}' if why else '.'}",
            "The job goes on by itself: go on with this run later.",
        )

    async def _said(self, job: Job, hidden: tuple[Secret, ...]) -> tuple[Line, ...]:
        line = self.at.root(f"cat {job.folder}/{image_scripts.LOG}")
        completed = await job.host.run(line, timeout=jobs.SECONDS)
        # Before it runs there is no such file.
        return _read(completed.out, hidden) if completed.code == 0 else ()

    async def result(self, session: Session, secrets: Iterable[Secret] = ()) -> Result:
        """How it ended.

        Raises:
            StepError: it never began, or was killed in the middle.
        """
        job = await self.job(session)
        state = await job.state()
        lines = await self._said(job, tuple(secrets))
        ended = state.note("ended")
        if ended is None or not state.done:
            raise StepError(
                f"{await self._why_not(job, state)}, so nobody knows how `{self.command.name}` of UCP ended on "
                f"{self.at.name}.",
                f"Look there: docker ps -a --filter name={facts.CONTAINER}. Then go on with this run: it looks first.",
            )
        code = int(ended.more) if ended.more.isdigit() else -1
        return Result(code, lines, job.archive, state.size, await job.digest())

    async def _why_not(self, job: Job, state: JobState) -> str:
        failed = state.note("failed")
        if failed is not None:
            why = "its secrets were not there any more" if failed.more == "secrets" else "is the disk full?"
            return f"The job on {self.at.name} failed ({one_line(failed.more)}: {why})"
        if not state.there:
            return f"The job on {self.at.name} never began"
        return f'The job on {self.at.name} was killed, or the host was booted ("{state.phase}")'

    async def over(self, session: Session, state: JobState, voice: Voice) -> None:
        """Makes room for a new try, where an earlier one left something: its container, too, has to end first.

        A container goes on when the job that started it was killed; ended in the middle, a command of UCP would leave
        its components stopped.

        Raises:
            StepError: the container does not end.
            JobError, LinkError: the host cannot be asked, or does not do it.
        """
        if not state.there:
            return
        end = time.monotonic() + CONTAINER_SECONDS
        while state.note("running") is not None and not state.has("ended"):
            try:
                await check_free(session, self.at)
                break
            except BusyError as error:
                if time.monotonic() > end or not error.runs:
                    raise
                voice.progress(0, 1, f"What was begun on {self.at.name} before still runs there.")
                await asyncio.sleep(POLL_SECONDS)
        await self.end_of(session)

    async def end_of(self, session: Session) -> None:
        """Removes what an earlier try of this job left, once nothing of it runs. Raises JobError, LinkError."""
        job = await self.job(session)
        await job.host.run(self.at.root(f"rm -f {image_scripts.secrets_file(self.id)}"), timeout=jobs.SECONDS)
        await job.remove()


async def ask_image(session: Session, at: Where, command: Command) -> Result:
    """Runs a command that only asks (id, images --list, dump-certs), and waits for it.

    Raises:
        StepError: another command of UCP runs there, or the image is not there.
        LinkError: the host cannot be reached.
    """
    if command.variables:
        raise ValueError(f"`{command.name}` has secrets: it must run as a job")
    host = await at.reach(session)
    await check_free(session, at)
    await check_image(session, at, command.version)
    completed = await host.run(at.root(command.plain), timeout=QUESTION_SECONDS)
    return Result(completed.code, logs.read(completed.err), out=completed.out)


async def check_free(session: Session, at: Where) -> None:
    """Raises BusyError where a container has the name that the image's must have: says what, and since when."""
    held = await places.holder(session, at)
    if held is None:
        return
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(held.created))
    way = f"Wait until it is over: docker wait {facts.CONTAINER}" if held.runs else f"docker rm {facts.CONTAINER}"
    raise BusyError(
        f"A container named {facts.CONTAINER} is on {at.name} already: {held.image}, {held.status or 'not started'}, "
        f"made {since}. Only one command of UCP can run on a host at a time.",
        f"{way}. Then retry.",
        runs=held.runs,
    )


class BusyError(StepError):
    """The name is taken. runs: whether what has it still runs."""

    def __init__(self, what: str, next_step: str, *, runs: bool) -> None:
        super().__init__(what, next_step)
        self.runs = runs


async def check_image(session: Session, at: Where, version: Version) -> None:
    """Raises StepError where the image is not on the host: docker would pull it, or another one, by itself."""
    if not await places.has_image(session, at, version.image):
        raise StepError(f"The image {version.image} is not on {at.name}.", LOAD)


def _lines_of(command: Command, secrets: Mapping[str, Secret]) -> bytes:
    """The secrets of a command, one a line. Raises StepError for one that is not one line."""
    missing = [name for name in command.variables if name not in secrets]
    if missing:
        raise ValueError(f"no value for {missing[0]}")
    values = [secrets[name].reveal() for name in command.variables]
    for name, value in zip(command.variables, values, strict=True):
        if not value.isprintable():
            raise StepError(
                f"The secret for {name} has line breaks or control characters, which no shell can hand on.",
                "Use one without them.",
            )
    return "".join(f"{value}\n" for value in values).encode()


async def _must(host: SshHost, at: Where, line: str, stdin: bytes | None = None) -> None:
    completed = await host.run(line, stdin=stdin, timeout=jobs.SECONDS)
    if completed.code != 0:
        raise StepError(
            f"The job's secrets cannot be handed to {at.name}: {completed.words}.",
            "Nothing was started. Look at what sudo allows there, then retry.",
        )


def _read(output: str, hidden: Iterable[Secret]) -> tuple[Line, ...]:
    """The lines of a log, in which no secret of ours stands."""
    text = output
    for secret in hidden:
        text = text.replace(secret.reveal(), HIDDEN)
    return logs.read("\n".join(text.splitlines()[:MOST_LINES]))


@dataclass(frozen=True, kw_only=True)
class ClearJob(Step):
    """Removes what a job left on the host: its scripts, its log, what it wrote.

    Attributes:
        job_id: its name.
    """

    at: Where
    job_id: str
    skippable: bool = field(default=True)

    @property
    def shown(self) -> tuple[Shown, ...]:
        line = self.at.root(f"rm -rf {jobs.FOLDER}/{self.job_id} {image_scripts.secrets_file(self.job_id)}")
        return (Shown(line, self.at.host, self.at.port),)

    async def already_done(self, session: Session, before: Facts) -> str:
        left = await jobs.leftovers(await self.at.reach(session), sudo=self.at.sudo)
        return "" if self.job_id in left else "Nothing of the job is on the host."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        host = await self.at.reach(session)
        (shown,) = self.shown
        completed = await host.run(shown.line, timeout=jobs.SECONDS)
        if completed.code != 0:
            raise StepError(f"The job's folder on {self.at.name} cannot be removed: {completed.words}.", "Retry.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"The job's folder is still on {self.at.name}.", "Retry.")
