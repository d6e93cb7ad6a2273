"""The steps of swarm.backup on the manager's host: the job that archives, UCP, and what is left behind."""

from __future__ import annotations

import asyncio
import shlex
import time
from dataclasses import dataclass, field

import msgspec

from swarmtui.errors import EngineError
from swarmtui.link import jobs
from swarmtui.link.job_scripts import START_SECONDS, STOP_SECONDS, Archiving
from swarmtui.link.jobs import Job, JobState
from swarmtui.link.ssh import SshHost
from swarmtui.runbooks.image.following import LOST_SECONDS, follow
from swarmtui.runbooks.node_waits import WaitStep, wait_line
from swarmtui.runbooks.runbook import Danger, Facts, Shown, StepError, Voice
from swarmtui.runbooks.swarm.backups.backup_objects import read_contents, write_as_it_is
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import swarm_state
from swarmtui.runbooks.swarm.rejoining.rejoin_steps import OnHost, WaitBack
from swarmtui.session import Session

POLL_SECONDS = 0.5
WORDS = {
    "begin": "The job has begun.",
    "stopping": "Docker is being stopped.",
    "stopped": "Docker is stopped.",
    "archiving": "The Swarm directory is being archived.",
    "archived": "The archive is written; Docker is being started.",
    "started": "Docker runs again.",
}
COMMIT_SECONDS = 2.0
"""For an entry of the raft log to be on the disk of every manager: swarmkit's heartbeat is one second."""
FULL = ("No space left", "Wrote only", "Disk quota exceeded")
"""What tar says on a full disk."""
WHY = {
    "not-running": "Docker did not run there when the job began; it was left as it is",
    "units": "the job could not write into its folder: is the disk full? Docker was not stopped",
    "stop": "Docker did not stop",
    "start": "Docker did not start again",
    "digest": "the archive's digest could not be made: is the disk full?",
    "interrupted": "the job was interrupted on the host",
}


def tar_trouble(code: str, words: str, seconds: int) -> str:
    """Why there is no archive.

    Args:
        code: exit code of `timeout`, and so of tar; words: what it said; seconds: how long it was given.
    """
    if code == "124":
        return f"tar took longer than {seconds} s"
    full = "the disk is full: " if any(sign in words for sign in FULL) else ""
    return f"{full}tar failed ({words or f'code {code}'})"


@dataclass(frozen=True, kw_only=True)
class JobStep(OnHost):
    """A step about a job on the manager's host.

    Attributes:
        job_id: its name.
    """

    job_id: str

    async def job(self, session: Session) -> Job:
        """The job, over the connection as it is now. Raises LinkError."""
        return self.on(await self.at.reach(session))

    def on(self, host: SshHost, job_id: str = "") -> Job:
        return Job(job_id or self.job_id, host, self.at.sudo, self.at.systemd)

    @property
    def folder(self) -> str:
        return f"{jobs.FOLDER}/{self.job_id}"


@dataclass(frozen=True, kw_only=True)
class Archive(JobStep):
    """Has the host stop Docker, archive the Swarm's directory and start Docker again, in a job that survives us.

    Attributes:
        root: the daemon's data root.
        hot: leave Docker alone.
        units: those of Docker that are stopped and started, for the commands as they are shown.
        raw_holes: whether tar looks for holes by reading: some file systems do not tell them of preallocated files.
        seconds: how long tar may take.
    """

    root: str
    hot: bool = False
    units: tuple[str, ...] = ("docker",)
    raw_holes: bool = False
    seconds: int = 900
    danger: Danger = Danger.DISRUPTIVE

    @property
    def work(self) -> Archiving:
        return Archiving(self.folder, self.root, self.seconds, self.hot, self.at.systemd, self.raw_holes)

    @property
    def shown(self) -> tuple[Shown, ...]:
        made, *there = (self.there(line) for line in self._lines())
        write = f"docker node update {shlex.quote(self.name)} >/dev/null && sleep {COMMIT_SECONDS:.0f}"
        return made, *((Shown(write),) if self.hot else ()), *there

    def _lines(self) -> tuple[str, ...]:
        """The same as one command that is safe to type: Docker starts again also when it is cut off."""
        make = self.at.root(f"mkdir -p -m 0700 {jobs.BASE} {jobs.FOLDER} {self.folder}")
        tar = self.work.tar
        if self.hot:
            return make, self.at.root(f"sh -c {shlex.quote(f'umask 077; {tar} || [ $? -eq 1 ]')}")
        units = " ".join(self.units)
        if self.at.systemd:
            unit = jobs.run_as_unit(f"swarmtui-job-{self.job_id}", f"systemctl start {units}")
            inner = f"umask 077 && systemctl stop {units} && {tar}"
            return make, self.at.root(f"{unit} --wait sh -c {shlex.quote(inner)}")
        inner = f"trap 'service docker start' EXIT; umask 077; service docker stop && {tar}"
        return make, self.at.root(f"setsid -w sh -c {shlex.quote(inner)}")

    async def before(self, session: Session) -> Facts:
        return {"at": time.time()}

    async def already_done(self, session: Session, before: Facts) -> str:
        state = await (await self.job(session)).state()
        return "The archive is made, and lies on the host." if state.done else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        end = time.monotonic() + self.seconds + STOP_SECONDS + 2 * START_SECONDS + LOST_SECONDS
        job = await self.job(session)
        state = await job.state()
        if state.alive:
            voice.say(f"The job on {self.name} still runs: it went on without us.")
        else:
            if state.there:
                await self._tell_end(job, state, voice)
                await job.remove()
            contents = await read_contents(session)
            if self.hot:
                await write_as_it_is(session, self.node_id)
                await asyncio.sleep(COMMIT_SECONDS)
            await job.start(self.work, await asyncio.to_thread(msgspec.json.encode, contents.inventory))
        state = await self._follow(session, voice, end)
        if not state.done:
            job = await self.job(session)
            raise StepError(
                await self._tell_end(job, state, voice), "Nothing of it is kept as a backup. Mend it, then retry."
            )

    async def _follow(self, session: Session, voice: Voice, end: float) -> JobState:
        """Waits until the job is over; a connection that is lost meanwhile is made again."""
        said: set[tuple[str, float]] = set()

        async def heard(_job: Job, state: JobState) -> None:
            for note in state.notes:
                if (note.word, note.up) not in said and note.word in WORDS:
                    said.add((note.word, note.up))
                    voice.say(WORDS[note.word])

        seconds = end - time.monotonic()
        why = await follow(lambda: self.job(session), heard, voice, seconds=seconds, poll=POLL_SECONDS)
        if why is None:
            # Its last words may have come between the two questions.
            return await (await self.job(session)).state()
        raise StepError(
            f"{self.name} cannot be asked how its job stands{f': {why}' if why else '.'}",
            "The job starts Docker again by itself. Go on with this run when the host answers again.",
        )

    async def _tell_end(self, job: Job, state: JobState, voice: Voice) -> str:
        """Makes sure that Docker runs after a job that failed; returns what happened, one sentence."""
        words = await job.words()
        failed = state.note("failed")
        if failed is not None and failed.more.startswith("tar"):
            why = tar_trouble(failed.more.partition(" ")[2], words, self.seconds)
        elif failed is not None:
            why = WHY.get(failed.more, failed.more) + (f" ({words})" if words else "")
        elif not state.there:
            why = "the job never began"
        else:
            why = f'the job ended in the middle of its work ("{state.phase}"): it was killed, or the host was booted'
        docker = "Docker was not stopped by it."
        if state.stopped_docker:
            mended = await job.mend()
            runs = mended.code == 0 and (await job.state()).has("started")
            docker = (
                "Docker was started again."
                if runs
                else f"Docker does NOT run there ({await job.words() or mended.words}): see journalctl -u docker -n 50."
            )
        elif state.has("started"):
            docker = "Docker runs again."
        sentence = f"No archive was made on {self.name}: {why.rstrip('.')}. {docker}"
        voice.say(sentence)
        return sentence

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        state = await (await self.job(session)).state()
        if not state.done or (not self.hot and not state.has("started")):
            raise StepError(f"The job on {self.name} did not come to its end.", "Retry.")
        size = f"{state.size / 1e6:.1f} MB"
        voice.say(
            f"The archive has {size}. Docker on {self.name} was down for {state.downtime:.1f} s."
            if not self.hot
            else f"The archive has {size}. Docker went on running: it may be inconsistent."
        )


@dataclass(frozen=True, kw_only=True)
class WaitWorks(WaitBack):
    """Waits until the managers hear from it, and until it says of itself that it takes part: the others may take a
    manager for reachable that was away for a few seconds only."""

    @property
    def condition(self) -> str:
        own = self.there(self.at.root("docker info -f '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}'")).as_sh
        return f'[ "$({own})" = "active true" ] && {super().condition}'

    async def missing(self, session: Session, before: Facts) -> tuple[str, int]:
        try:
            own = await swarm_state(await self.at.reach(session), self.at)
        except EngineError as error:
            return error.what, 2
        if own.local_node_state != "active" or not own.control_available:
            return f"{self.name} says that it is {own.local_node_state}.", 2
        return await super().missing(session, before)


@dataclass(frozen=True, kw_only=True)
class WaitContainers(OnHost, WaitStep):
    """Waits until UCP's containers on the host run again, and none says that it is unhealthy.

    Attributes:
        containers: names of those that ran before.
    """

    containers: tuple[str, ...]
    skippable: bool = field(default=True)

    @property
    def condition(self) -> str:
        ps = self.at.root("docker ps --filter name=^ucp- --format '{{.Names}} {{.Status}}'")
        well = f"{ps} | grep ' Up ' | grep -vcE 'unhealthy|health: starting|Restarting'"
        return f'[ "$({well})" -ge {len(self.containers)} ]'

    @property
    def shown(self) -> tuple[Shown, ...]:
        words = f"{self.title[:1].lower()}{self.title[1:]}, at most {self.seconds} s"
        return (Shown(wait_line(self.condition, self.seconds), self.at.host, self.at.port, words=words),)

    async def missing(self, session: Session, before: Facts) -> tuple[str, int]:
        host = await self.at.reach(session)
        line = self.at.root("docker ps --format '{{.Names}} {{.Status}}'")
        completed = await host.run(line, timeout=30.0)
        if completed.code != 0:
            return f"Docker on {self.name} does not answer yet.", len(self.containers)
        states = dict(line.partition(" ")[::2] for line in completed.out.splitlines())
        bad = [name for name in self.containers if not _well(states.get(name, ""))]
        return (f"UCP on {self.name}: not yet well are {', '.join(bad)}.", len(bad)) if bad else ("", 0)


def _well(status: str) -> bool:
    """What `docker ps` says of a container that runs, and is healthy where it can tell."""
    return status.startswith("Up") and "unhealthy" not in status and "health: starting" not in status


@dataclass(frozen=True, kw_only=True)
class Tidy(JobStep):
    """Cleans up what earlier backups left behind on the host, once Docker runs there.

    Attributes:
        job_ids: names of those jobs.
        drafts: whether there are unfinished backups here too.
        cluster_id: whose.
    """

    job_ids: tuple[str, ...]
    cluster_id: str
    drafts: bool = False

    @property
    def shown(self) -> tuple[Shown, ...]:
        folders = [f"{jobs.FOLDER}/{each}" for each in self.job_ids]
        return tuple(
            self.there(self.at.root(f"sh -c {shlex.quote(f'sh {folder}/after.sh; rm -rf {folder}')}"))
            for folder in folders
        )

    async def already_done(self, session: Session, before: Facts) -> str:
        there = await jobs.leftovers(await self.at.reach(session), sudo=self.at.sudo)
        drafts = await asyncio.to_thread(lambda: len(session.backups.leftovers(self.cluster_id)))
        if self.drafts and drafts:
            return ""
        return "" if set(there) & set(self.job_ids) else "Nothing is left behind any more."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        host = await self.at.reach(session)
        for each in self.job_ids:
            job = self.on(host, each)
            state = await job.state()
            if state.alive:
                raise StepError(
                    f"The job {each} still runs on {self.name}: another backup is under way there.",
                    f"Wait until it is over. It is followed with: cat {job.folder}/status",
                )
            if state.stopped_docker:
                mended = await job.mend()
                if mended.code != 0:
                    raise StepError(
                        f"The job {each} had stopped Docker on {self.name}, and it does not start: {mended.words}.",
                        "Look there: journalctl -u docker -n 50",
                    )
                voice.say(f"The job {each} had stopped Docker on {self.name}: it is started again.")
            await job.remove()
            voice.say(f"What the job {each} left on {self.name} is removed ({_ended(state)}).")
        if self.drafts:
            for left in await asyncio.to_thread(session.backups.sweep, self.cluster_id):
                voice.say(f"Removed: {left}")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"Something is still left behind on {self.name}.", "Retry.")


def _ended(state: JobState) -> str:
    failed = state.note("failed")
    if state.done:
        return "its archive was never fetched"
    return (
        f"it had failed: {WHY.get(failed.more, failed.more)}"
        if failed
        else f"it had ended at: {state.phase or 'nothing'}"
    )


@dataclass(frozen=True, kw_only=True)
class Clear(JobStep):
    """Removes the job's folder, with the archive in it, from the host."""

    skippable: bool = field(default=True)

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (self.there(self.at.root(f"rm -rf {self.folder}")),)

    async def already_done(self, session: Session, before: Facts) -> str:
        left = await jobs.leftovers(await self.at.reach(session), sudo=self.at.sudo)
        return "" if self.job_id in left else "Nothing of the job is on the host."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await (await self.job(session)).remove()

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        if not await self.already_done(session, before):
            raise StepError(f"{self.folder} is still on {self.name}.", "Retry.")
