"""Following a rollout to its end: task by task, with the reason where one cannot be placed or keeps failing."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from swarmtui.link.decode import Collection
from swarmtui.model.rollout import may_run, wanted_tasks
from swarmtui.model.services import Service, Task
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.runbooks import node_steps
from swarmtui.runbooks.node_waits import RUNNING_STATES, fresh_tasks, waiting
from swarmtui.runbooks.runbook import Facts, Shown, StepError, Voice
from swarmtui.runbooks.service_steps import ServiceStep, rolled_back
from swarmtui.session import Session

STEADY_SECONDS = 5.0
"""How long tasks that nobody watches must go on running; the docker CLI looks as long."""
SAID_TASKS = 200
"""Of how many changes of tasks a line is said; beyond that only the progress tells."""
REASONS = 3
READY_NODES = (
    "l=$(docker node ls --format '{{.ID}} {{.Status}}') && "
    "n=$(printf '%s\\n' \"$l\" | grep ' Ready$' | cut -d' ' -f1 | paste -s -d '|' -)"
)
"""In sh: the ids of the nodes that answer, as "one|two": what is on the others nobody can tell."""
ENDED_BADLY = frozenset({"failed", "rejected"})


@dataclass(frozen=True, kw_only=True)
class Missing:
    """How far something is. `what`: one sentence, "" when nothing is missing."""

    what: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, kw_only=True)
class ServiceWait(ServiceStep):
    """Waits until something is so with a service. `seconds`: when it gives up."""

    seconds: int = 600

    @property
    @abstractmethod
    def condition(self) -> str:
        """The same question in sh."""

    @abstractmethod
    async def look(self, session: Session) -> tuple[Missing, list[Task]]:
        """What is still missing, and the tasks it was seen from. Raises StepError where it never will be so."""

    def steady_for(self) -> float:
        """How long it must stay so, in seconds."""
        return 0.0

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (waiting(self.title, self.condition, self.seconds),)

    async def already_done(self, session: Session, before: Facts) -> str:
        missing, _ = await self.look(session)
        return "" if missing.what else "There is nothing left to wait for."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        end = time.monotonic() + self.seconds
        so_since: float | None = None
        told = Told(self.name, voice)
        said = ""
        while True:
            missing, tasks = await self.look(session)
            now = time.monotonic()
            told.tasks(session.snapshot, tasks)
            if missing.what:
                so_since = None
                what = missing.what
            else:
                so_since = now if so_since is None else so_since
                if now - so_since >= self.steady_for():
                    voice.progress(missing.total, missing.total, "done")
                    return
                what = f"All {missing.total} tasks of {self.name} run; watching whether they go on running."
            if what != said:
                voice.progress(min(missing.done, max(missing.total - 1, 0)), max(missing.total, 1), what)
                said = what
            if now >= end:
                raise StepError(
                    f"{what} This was waited for {self.seconds} seconds.",
                    "Look why, then retry; or stop here: what was done so far stays as it is.",
                )
            await asyncio.sleep(node_steps.POLL_SECONDS)

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        missing, _ = await self.look(session)
        if missing.what:
            raise StepError(missing.what, "It was so a moment ago: look at the service, then retry.")


class Told:
    """Says of each task once that it runs, or that it failed and why."""

    def __init__(self, name: str, voice: Voice) -> None:
        self._name = name
        self._voice = voice
        self._states: dict[str, str] | None = None
        self._left = SAID_TASKS

    def tasks(self, snapshot: Snapshot, tasks: Iterable[Task]) -> None:
        states = {task.id: task.status.state for task in tasks}
        if self._states is not None:  # what was so before we looked is nobody's news
            for task in tasks:
                if self._states.get(task.id) != task.status.state:
                    self._say(snapshot, task)
        self._states = states

    def _say(self, snapshot: Snapshot, task: Task) -> None:
        if task.status.state not in ENDED_BADLY | {"running"} or not self._left:
            return
        self._left -= 1
        self._voice.say(f"{task_name(self._name, snapshot, task)}: {state_of(task)}")


def task_name(service: str, snapshot: Snapshot, task: Task) -> str:
    """What to call a task: service.slot and its node."""
    node = snapshot.nodes.get(task.node_id)
    return f"{service}{f'.{task.slot}' if task.slot else ''}{f' on {one_line(node.name)}' if node else ''}"


def state_of(task: Task) -> str:
    """State and reason of a task."""
    error = one_line(task.status.err)
    return f"{task.status.state}: {error}" if error else task.status.state


@dataclass(frozen=True, kw_only=True)
class WaitRollout(ServiceWait):
    """Waits until every task is of the newest Spec and runs, and the engine has ended its watch over them.

    Attributes:
        rollback: whether going back is what is waited for; else it is a failure.
        unwatched: whether tasks start that the engine itself does not watch (those of a scale).
        replicas: how many must run, for the question in sh; None for a global service.
    """

    rollback: bool = False
    unwatched: bool = False
    replicas: int | None = None

    def steady_for(self) -> float:
        return STEADY_SECONDS if self.unwatched else 0.0

    @property
    def condition(self) -> str:
        name = shlex.quote(self.name)
        bad, going = ("*paused", "updating|rollback_started") if self.rollback else ("paused|rollback*", "updating")
        told = shlex.quote(f"{self.name}: its rollout did not end well:")
        lines = "grep -c ."
        # An error of docker is no answer: each list must have been given before it is counted.
        wanted = (
            f'[ "$(printf \'%s\' "$w" | {lines})" -eq {self.replicas} ]' if self.replicas is not None else '[ -n "$w" ]'
        )
        steps = (
            f"u=$(docker service inspect -f '{{{{with .UpdateStatus}}}}{{{{.State}}}}{{{{end}}}}' {name})",
            f'case "$u" in {bad}) echo {told} "$u" >&2; exit 1;; {going}) false;; esac',
            f"w=$(docker service ps -q -f desired-state=running {name})",
            "r=$(docker service ps -f desired-state=running -f _up-to-date=true "
            f"--format '{{{{.CurrentState}}}}' {name})",
            wanted,
            f'[ "$(printf \'%s\' "$w" | {lines})" -eq "$(printf \'%s\' "$r" | grep -c ^Running)" ]',
            # What was to stop has stopped, wherever anybody can tell.
            "s=$(docker service ps --no-resolve "
            f"--format '{{{{.Node}}}} {{{{.DesiredState}}}} {{{{.CurrentState}}}}' {name})",
            READY_NODES,
            f'! printf \'%s\\n\' "$s" | grep -Eq "^($n) (Shutdown|Remove) ({RUNNING_STATES})"',
        )
        return f"{{ {' && '.join(steps)}; }}"

    async def look(self, session: Session) -> tuple[Missing, list[Task]]:
        snapshot, service, tasks = await self._read(session)
        if self._given_up(service):
            # Services and tasks are not read at one moment: now the tasks are no older than the news about them.
            snapshot, service, tasks = await self._read(session)
            self._judge(snapshot, service, tasks)
        newest = await up_to_date(session, self.service_id)
        wanted = wanted_tasks(snapshot, self.service_id)
        ready = {node.id for node in snapshot.nodes.values() if node.is_ready}
        good = [task for task in wanted if task.id in newest and task.runs and task.node_id in ready]
        if service.is_global:
            there = {task.node_id for task in wanted}
            total = len(there | {node.id for node in snapshot.nodes.values() if may_run(service, node)})
        else:
            total = service.replicas or 0
        stopping = sum(not t.is_wanted and not t.is_terminal and t.node_id in ready for t in tasks)
        missing = self._told(service, wanted, len(good), total, [t for t in tasks if t.id in newest], stopping)
        return Missing(what=missing, done=min(len(good), total), total=total), tasks

    async def _read(self, session: Session) -> tuple[Snapshot, Service, list[Task]]:
        snapshot = await fresh_tasks(session)
        service = snapshot.services.get(self.service_id)
        if service is None:
            raise StepError(
                f"{self.name} is no service any more: somebody removed it.", "There is nothing to wait for."
            )
        return snapshot, service, [t for t in snapshot.tasks.values() if t.service_id == self.service_id]

    def _given_up(self, service: Service) -> bool:
        state = service.update_status.state if service.update_status is not None else ""
        return state.endswith("paused") or (state.startswith("rollback") and not self.rollback)

    def _judge(self, snapshot: Snapshot, service: Service, tasks: list[Task]) -> None:
        """Raises StepError where the engine has given up on the rollout."""
        update = service.update_status
        state = update.state if update is not None else ""
        message = one_line(update.message) if update is not None else ""
        # The engine names the task that was one too many by its id, which tells a person nothing.
        named = [task for task in tasks if task.id and task.id in message]
        how = "; ".join(f"{task_name(self.name, snapshot, task)} {state_of(task)}" for task in named)
        why = f" ({how})" if how else ""
        if state in ("paused", "rollback_paused"):
            what = "rollback" if state == "rollback_paused" else "rollout"
            raise StepError(
                f"The engine paused the {what} of {self.name}: {message or 'it does not say why'}{why}.",
                "Mend what is wrong and update it again, or go back with "
                f"`swarmtui run service.rollback service={shlex.quote(self.name)}`.",
            )
        if state.startswith("rollback") and not self.rollback:
            raise rolled_back(self.name, service, why)

    def _told(
        self, service: Service, wanted: list[Task], good: int, total: int, newest: list[Task], stopping: int
    ) -> str:
        """What is missing: of the tasks wanted so many are good, those are made from the newest Spec, and so many of
        the others have not stopped yet."""
        state = service.update_status.state if service.update_status is not None else ""
        under_way = state in ("updating", "rollback_started")
        surplus = sum(task.desired_state == "running" for task in wanted) - total
        if good >= total and surplus <= 0 and not under_way and not stopping:
            return ""
        word = "rolling back" if state == "rollback_started" else "updating" if under_way else "converging"
        parts = [f"{min(good, total)} of {total} tasks run as they shall"]
        fresh = {task.id for task in newest}
        if old := sum(task.id not in fresh for task in wanted):
            parts.append(f"{old} still as before")
        elif surplus > 0:
            parts.append(f"{surplus} too many still run")
        if stopping:
            parts.append(f"{stopping} still stopping")
        elif good >= total and under_way and not old:
            parts.append("the engine watches them")
        return f"{self.name} is {word}: {'; '.join([*parts, *reasons(newest)])}."


def reasons(tasks: Iterable[Task]) -> list[str]:
    """Why tasks do not run: what has no place, and how the last attempt in each slot ended that has none running."""
    slots: dict[object, list[Task]] = {}
    for task in tasks:
        slots.setdefault(task.slot or task.node_id, []).append(task)
    told: Counter[str] = Counter()
    for attempts in slots.values():
        attempts.sort(key=lambda task: task.created_at, reverse=True)
        newest = attempts[0]
        ended = next((task for task in attempts if task.status.state in ENDED_BADLY), None)
        if newest.status.state == "pending" and newest.status.err:
            told[f"waiting for a place: {one_line(newest.status.err)}"] += 1
        elif not newest.runs and ended is not None:
            told[state_of(ended)] += 1
    return [f"{_tasks(count)} {line}".rstrip(".") for line, count in told.most_common(REASONS)]


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


async def up_to_date(session: Session, service_id: str) -> frozenset[str]:
    """Ids of the tasks that are of the newest Spec. Only the engine knows which; the docker CLI asks it so, too."""
    filters = json.dumps({"service": [service_id], "_up-to-date": ["true"]})
    body = await session.get("/tasks", {"filters": filters})
    return frozenset(Collection("tasks", Task)(body))


@dataclass(frozen=True, kw_only=True)
class WaitGone(ServiceWait):
    """Waits until no task of a removed service runs on a node that answers."""

    @property
    def condition(self) -> str:
        ready = "$(printf '%s' \"$n\" | tr '|' ' ')"
        tasks = f"s=$(docker node ps --no-resolve --format '{{{{.Name}}}} {{{{.CurrentState}}}}' {ready})"
        live = shlex.quote(f"^{re.escape(self.service_id)}[.].* ({RUNNING_STATES})")
        return f"{READY_NODES} && {tasks} && ! printf '%s\\n' \"$s\" | grep -Eq {live}"

    async def look(self, session: Session) -> tuple[Missing, list[Task]]:
        snapshot = await fresh_tasks(session)
        ready = {node.id for node in snapshot.nodes.values() if node.is_ready}
        tasks = [task for task in snapshot.tasks.values() if task.service_id == self.service_id]
        live = [task for task in tasks if not task.is_terminal and task.node_id in ready]
        if not live:
            return Missing(total=len(tasks)), []
        nodes = sorted({one_line(snapshot.nodes[task.node_id].name) for task in live})
        told = ", ".join(nodes[:8]) + (" and others" if len(nodes) > 8 else "")
        return Missing(what=f"{_tasks(len(live))} of {self.name} still there, on {told}.", total=len(live)), []
