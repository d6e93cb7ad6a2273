"""Runs a command of an image on a host: as a job that survives us, or at once where it only asks.

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
from swarmtui.link.jobs import Job, JobState
from swarmtui.link.ssh import SshHost
from swarmtui.model.text import one_line
from swarmtui.model.ucp import logs
from swarmtui.model.ucp.logs import Line
from swarmtui.runbooks.image import host as engine
from swarmtui.runbooks.image import scripts
from swarmtui.runbooks.image.command import ImageCommand, Tagged
from swarmtui.runbooks.image.following import follow
from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session
from swarmtui.vault.secret import Secret

QUESTION_SECONDS: Final = 60.0
"""For a command of the image that only asks; it starts a container each time."""
POLL_SECONDS: Final = 1.0
CONTAINER_SECONDS: Final = 900.0
"""How long a container is waited for whose job was killed."""
ENDED_SECONDS: Final = 5.0
"""How long one that has ended may still be there before somebody has to remove it."""
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

    def must(self, command: ImageCommand, at: Where, next_step: str) -> None:
        """Raises StepError where it failed: one sentence, with its own last words."""
        if self.ok:
            return
        what, way = _not_run(self.lines, command, at) if self.exit == NOT_RUN else ("", "")
        if not what:
            why = logs.why_failed(self.lines)
            code = f"it ended with code {self.exit}" if self.exit else "it said so and ended with code 0"
            what = f"`{command.name}` of {command.version.product} failed on {at.name}: {why or code}."
        raise StepError(what, way or next_step)


def _not_run(lines: Iterable[Line], command: ImageCommand, at: Where) -> tuple[str, str]:
    """What the docker CLI meant where it could not start the container, and what to do; ("", "") for unknown words."""
    said = " ".join(line.text for line in lines)
    if "is already in use" in said:
        return (
            f"Another command of {command.OF} runs on {at.name}: its container has the name {command.container}.",
            f"Wait until it is over: docker wait {command.container}. What it is: docker inspect {command.container}.",
        )
    if any(sign in said for sign in _NO_IMAGE):
        return (f"The image {command.version.image} is not on {at.name}, and cannot be pulled there.", LOAD)
    if "permission denied" in said.lower():
        return (f"Docker on {at.name} does not let us use it: {one_line(said)[-200:]}.", "Is sudo = true missing?")
    return "", ""


LOAD: Final = "Bring it there, and retry: docker image load -i FILE, or docker image pull where there is a registry."


async def run_image(
    session: Session,
    at: Where,
    command: ImageCommand,
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
    command: ImageCommand
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
            StepError: another command runs there, the image is not there, or a secret cannot be handed over.
            JobError: the job could not be started.
            LinkError: the connection was lost.
        """
        host = await self.at.reach(session)
        await check_free(session, self.at, self.command)
        await check_image(session, self.at, self.command.version)
        given = _lines_of(self.command, secrets)
        job = await self.job(session)
        if given:
            await _must(host, self.at, self.at.root(f"mkdir -p -m 0700 {scripts.MEMORY}"))
            file = scripts.secrets_file(self.id)
            await _must(host, self.at, self.at.root(f"sh -c 'umask 077; cat > {file}'"), given)
        await job.begin(scripts.job(self.command, self.id, job.folder), scripts.after(self.id), files or {})

    async def follow(self, session: Session, voice: Voice, secrets: Iterable[Secret], seconds: float) -> None:
        """Says what it says, until it is over; a connection that is lost meanwhile is made again.

        Raises:
            StepError: the host stays away, or the time is up: the job goes on.
        """
        hidden = tuple(secrets)
        told, pulls = 0, 0

        async def heard(job: Job, state: JobState) -> None:
            nonlocal told, pulls
            lines = await self._said(job, hidden)
            for line in lines[told:]:
                voice.say(str(line))
                if (progress := logs.progress(line, pulls)) is not None:
                    pulls += progress.of == 0
                    voice.progress(progress.done, progress.of or progress.done, progress.what)
            told = max(told, len(lines))

        why = await follow(lambda: self.job(session), heard, voice, seconds=seconds, poll=POLL_SECONDS)
        if why is not None:
            raise StepError(
                f"{self.at.name} does not tell how `{self.command.name}` of {self.command.OF} ended"
                f"{f': {why}' if why else '.'}",
                "The job goes on by itself: go on with this run later.",
            )

    async def _said(self, job: Job, hidden: tuple[Secret, ...]) -> tuple[Line, ...]:
        line = self.at.root(f"cat {job.folder}/{scripts.LOG}")
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
                f"{await self._why_not(job, state)}, so nobody knows how `{self.command.name}` of "
                f"{self.command.OF} ended on {self.at.name}.",
                f"Look there: docker ps -a --filter name={self.command.container}. Then go on with this run: it looks "
                "first.",
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

        A container goes on when the job that started it was killed; ended in the middle, it
        would leave components stopped.

        Raises:
            StepError: the container does not end.
            JobError, LinkError: the host cannot be asked, or does not do it.
        """
        if not state.there:
            return
        end = time.monotonic() + CONTAINER_SECONDS
        while state.note("running") is not None and not state.has("ended"):
            try:
                await check_free(session, self.at, self.command)
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
        await job.host.run(self.at.root(f"rm -f {scripts.secrets_file(self.id)}"), timeout=jobs.SECONDS)
        await job.remove()


async def ask_image(session: Session, at: Where, command: ImageCommand) -> Result:
    """Runs a command that only asks (id, images --list, dump-certs), and waits for it.

    Raises:
        StepError: another command of the product runs there, or the image is not there.
        LinkError: the host cannot be reached.
    """
    if command.variables:
        raise ValueError(f"`{command.name}` has secrets: it must run as a job")
    host = await at.reach(session)
    await check_free(session, at, command)
    await check_image(session, at, command.version)
    completed = await host.run(at.root(command.plain), timeout=QUESTION_SECONDS)
    return Result(completed.code, logs.read(completed.err), out=completed.out)


async def check_free(session: Session, at: Where, command: ImageCommand) -> None:
    """Raises BusyError where a container has the name that the command's must have: says what, and since when."""
    name = command.container
    held = await engine.holder(session, at, name)
    end = time.monotonic() + ENDED_SECONDS
    while held is not None and not held.runs and time.monotonic() < end:
        # Docker removes what was run with --rm by itself, a moment after it has ended.
        await asyncio.sleep(POLL_SECONDS)
        held = await engine.holder(session, at, name)
    if held is None:
        return
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(held.created))
    way = f"Wait until it is over: docker wait {name}" if held.runs else f"docker rm {name}"
    raise BusyError(
        f"A container named {name} is on {at.name} already: {held.image}, {held.status or 'not started'}, "
        f"made {since}. Only one command of {command.OF} can run on a host at a time.",
        f"{way}. Then retry.",
        runs=held.runs,
    )


class BusyError(StepError):
    """The name is taken. runs: whether what has it still runs."""

    def __init__(self, what: str, next_step: str, *, runs: bool) -> None:
        super().__init__(what, next_step)
        self.runs = runs


async def check_image(session: Session, at: Where, version: Tagged) -> None:
    """Raises StepError where the image is not on the host: docker would pull it, or another one, by itself."""
    if not await engine.has_image(session, at, version.image):
        raise StepError(f"The image {version.image} is not on {at.name}.", LOAD)


def _lines_of(command: ImageCommand, secrets: Mapping[str, Secret]) -> bytes:
    """The values of a command, as its shell reads them. Raises StepError for one that cannot be handed on."""
    missing = [name for name in command.variables if name not in secrets]
    if missing:
        raise ValueError(f"no value for {missing[0]}")
    found = []
    for value in command.hidden:
        try:
            found.append(value.lines(secrets[value.variable].reveal()))
        except ValueError as error:
            raise StepError(
                f"The secret for {value.variable} {error}, which no shell can hand on.", "Use one without them."
            ) from None
    return "".join(found).encode()


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
        line = self.at.root(f"rm -rf {jobs.FOLDER}/{self.job_id} {scripts.secrets_file(self.job_id)}")
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
