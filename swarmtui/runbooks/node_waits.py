"""The steps of plans on nodes that only wait. Sources of the conditions: swarm-dr.md §6."""

from __future__ import annotations

import asyncio
import shlex
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from swarmtui.model.snapshot import COLLECTIONS, Snapshot
from swarmtui.runbooks import node_steps
from swarmtui.runbooks.node_steps import NodeStep
from swarmtui.runbooks.runbook import Facts, Shown, StepError, Voice
from swarmtui.session import Session

RUNNING_STATES = "New|Allocated|Pending|Assigned|Accepted|Preparing|Ready|Starting|Running"


def wait_line(condition: str, seconds: int) -> str:
    """A bounded wait in sh: asks once a second, fails when the time is over."""
    return f"i=0; until {condition}; do i=$((i+1)); [ $i -lt {seconds} ] || exit 1; sleep 1; done"


def waiting(title: str, condition: str, seconds: int) -> Shown:
    """A bounded wait as it is shown: the line in sh, and the same in words, from the title of its step."""
    return Shown(wait_line(condition, seconds), words=f"{title[:1].lower()}{title[1:]}, at most {seconds} s")


async def waited(
    missing: Callable[[], Awaitable[str]], seconds: float, voice: Voice, *, poll: float, more: str = ""
) -> str:
    """Waits until nothing is missing; returns what still is after that time, "" for nothing.

    Args:
        missing: what is missing now, one sentence; told whenever it changes.
        poll: seconds between two looks.
        more: what is told with it.
    """
    end = time.monotonic() + seconds
    said = ""
    while still := await missing():
        if still != said:
            voice.progress(0, 1, still + more)
            said = still
        if time.monotonic() >= end:
            return still
        await asyncio.sleep(poll)
    voice.progress(1, 1, "done")
    return ""


@dataclass(frozen=True, kw_only=True)
class WaitStep(NodeStep):
    """Waits until something is so. `seconds`: when it gives up."""

    seconds: int = 600

    @property
    @abstractmethod
    def condition(self) -> str:
        """The same question in sh."""

    @abstractmethod
    async def missing(self, session: Session, before: Facts) -> tuple[str, int]:
        """What is still missing, one sentence, and how much of it; ("", 0) when nothing is."""

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (waiting(self.title, self.condition, self.seconds),)

    async def already_done(self, session: Session, before: Facts) -> str:
        missing, _ = await self.missing(session, before)
        return "" if missing else "There is nothing left to wait for."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        end = time.monotonic() + self.seconds
        most = 0
        said = ""
        while True:
            missing, left = await self.missing(session, before)
            most = max(most, left)
            if not missing:
                voice.progress(most, most, "done")
                return
            if missing != said:
                voice.progress(most - left, most, missing)
                said = missing
            if time.monotonic() >= end:
                raise StepError(
                    f"{missing} This was waited for {self.seconds} seconds.",
                    "Look why, then retry; or stop here: what was done so far stays as it is.",
                )
            await asyncio.sleep(node_steps.POLL_SECONDS)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        missing, _ = await self.missing(session, before)
        if missing:
            raise StepError(missing, "It was so a moment ago: look at the cluster, then retry.")


@dataclass(frozen=True, kw_only=True)
class WaitEmpty(WaitStep):
    """Waits until no task of the Swarm runs, stops or starts on the node."""

    @property
    def condition(self) -> str:
        # An error of docker is no answer: only a list that was given can be empty.
        states = f"s=$(docker node ps --format '{{{{.CurrentState}}}}' {shlex.quote(self.name)})"
        return f"{states} && ! printf '%s\\n' \"$s\" | grep -Eq '^({RUNNING_STATES})'"

    async def missing(self, session: Session, before: Facts) -> tuple[str, int]:
        snapshot = await fresh_tasks(session)
        tasks = [task for task in snapshot.tasks_on(self.node_id) if not task.is_terminal]
        if not tasks:
            return "", 0
        names: dict[str, int] = {}
        for task in tasks:
            service = snapshot.services.get(task.service_id)
            name = service.name if service else task.service_id[:12]
            names[name] = names.get(name, 0) + 1
        told = ", ".join(f"{name} ({n})" if n > 1 else name for name, n in sorted(names.items()))
        return f"{len(tasks)} {'task' if len(tasks) == 1 else 'tasks'} still on {self.name}: {told}.", len(tasks)


@dataclass(frozen=True, kw_only=True)
class WaitReplaced(WaitStep):
    """Waits until the services that lost tasks run as many as before, on nodes that are ready.

    Attributes:
        running: service name → how many tasks must run.
    """

    running: Mapping[str, int]

    @property
    def condition(self) -> str:
        return " && ".join(
            f"[ $(docker service ps -f desired-state=running --format '{{{{.CurrentState}}}}' {shlex.quote(name)}"
            f" | grep -c ^Running) -ge {count} ]"
            for name, count in sorted(self.running.items())
        )

    async def missing(self, session: Session, before: Facts) -> tuple[str, int]:
        snapshot = await fresh_tasks(session)
        ready = {node.id for node in snapshot.nodes.values() if node.is_ready and node.id != self.node_id}
        by_name = {service.name: service.id for service in snapshot.services.values()}
        short: dict[str, tuple[int, int]] = {}
        for name, wanted in self.running.items():
            if name not in by_name:
                continue  # removed meanwhile by somebody else
            live = sum(t.runs and t.node_id in ready for t in snapshot.tasks.values() if t.service_id == by_name[name])
            service = snapshot.services[by_name[name]]
            # Scaled down meanwhile: what is wanted now counts.
            wanted = min(wanted, service.replicas) if service.replicas is not None else wanted
            if live < wanted:
                short[name] = (live, wanted)
        if not short:
            return "", 0
        told = ", ".join(f"{name} {live}/{wanted}" for name, (live, wanted) in sorted(short.items()))
        return f"Replacements are still starting: {told}.", sum(w - live for live, w in short.values())


async def fresh_tasks(session: Session) -> Snapshot:
    """A snapshot whose nodes, services and tasks were all read just now. Raises StepError where they could not be."""
    snapshot = await session.refresh()
    for name in ("info", *COLLECTIONS):  # what somebody looks at besides (volumes, say) may fail
        reading = snapshot.readings.get(name)
        if reading is not None and reading.trouble:
            raise StepError(f"The {name} cannot be read now: {reading.trouble}", "Retry when the Swarm answers again.")
    return snapshot


@dataclass(frozen=True, kw_only=True)
class WaitReachable(WaitStep):
    """Waits until the node is a raft member that the leader hears from."""

    @property
    def condition(self) -> str:
        question = "{{with .ManagerStatus}}{{.Reachability}}{{end}}"
        return f"[ \"$(docker node inspect -f '{question}' {shlex.quote(self.name)})\" = reachable ]"

    async def missing(self, session: Session, before: Facts) -> tuple[str, int]:
        node, _ = await session.node(self.node_id)
        if node.is_reachable:
            return "", 0
        return f"{self.name} is not yet a reachable manager.", 1


@dataclass(frozen=True, kw_only=True)
class WaitLeftRaft(WaitStep):
    """Waits until the node is no raft member any more; until then it still counts for quorum."""

    @property
    def condition(self) -> str:
        question = "{{with .ManagerStatus}}member{{else}}left{{end}}"
        return f"[ \"$(docker node inspect -f '{question}' {shlex.quote(self.name)})\" = left ]"

    async def missing(self, session: Session, before: Facts) -> tuple[str, int]:
        node, _ = await session.node(self.node_id)
        return (f"{self.name} is still a member of the raft.", 1) if node.is_voter else ("", 0)


@dataclass(frozen=True, kw_only=True)
class WaitDown(WaitStep):
    """Waits until the Swarm takes the node for down; a node that is not cannot be removed."""

    @property
    def condition(self) -> str:
        return f"[ \"$(docker node inspect -f '{{{{.Status.State}}}}' {shlex.quote(self.name)})\" = down ]"

    async def missing(self, session: Session, before: Facts) -> tuple[str, int]:
        node, _ = await session.node(self.node_id)
        return ("", 0) if node.status.state == "down" else (f"{self.name} is still {node.status.state}.", 1)
