"""Rolling updates and rollbacks of one service."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from swarmtui.demo.world.ids import stamp
from swarmtui.demo.world.kernel import Timer
from swarmtui.demo.world.objects import Json, Service, Task

if TYPE_CHECKING:
    from swarmtui.demo.world.orchestrator import Orchestrator

MONITOR = 5.0
"""Seconds a new task is watched where the Spec says nothing."""


class Update:
    """One rollout: replaces tasks made from an older Spec, some at a time, and watches the new ones."""

    def __init__(self, orchestrator: Orchestrator, service: Service) -> None:
        self.orchestrator = orchestrator
        self.kernel = orchestrator.world.kernel
        self.service = service
        rollback = service.update is not None and service.update["State"] == "rollback_started"
        self.rollback = rollback
        config: Json = service.spec.get("RollbackConfig" if rollback else "UpdateConfig") or {"Parallelism": 1}
        self.parallelism = int(config.get("Parallelism", 1))
        self.delay = float(config.get("Delay") or 0) / 1e9
        self.monitor = float(config.get("Monitor") or MONITOR * 1e9) / 1e9
        self.action = str(config.get("FailureAction") or "pause")
        self.ratio = float(config.get("MaxFailureRatio") or 0)
        self.start_first = config.get("Order") == "start-first"
        self.todo: deque[int | str] = deque()
        self.total = 0
        self.busy: dict[str, list[Task]] = {}
        self.started: dict[str, float | None] = {}
        self.failed: set[str] = set()
        self.timers: list[Timer] = []
        self.delaying = 0
        self.ended = False

    def begin(self) -> bool:
        """Start if anything is out of date. Returns whether there is anything to follow."""
        state = self.service.update["State"] if self.service.update else ""
        if state in ("paused", "rollback_paused"):
            return False
        dirty = [place for place, tasks in self._places().items() if self._dirty(tasks)]
        self.total = len(dirty)
        if not dirty:
            if state in ("updating", "rollback_started"):
                self._finish()
            return False
        self.todo.extend(dirty)
        if self.service.update is None or state in ("completed", "rollback_completed"):
            self.orchestrator.cluster.change_update_state(
                self.service,
                {
                    "State": "updating",
                    "StartedAt": stamp(self.kernel.now()),
                    "Message": "update in progress",
                },
            )
        self._step()
        return True

    def stop(self) -> None:
        """Another update takes over, or the service is gone."""
        self.ended = True
        for timer in self.timers:
            timer.cancel()

    def task_changed(self, task: Task) -> None:
        """A task of this service reported a new state."""
        if self.ended or task.id not in self.started:
            return
        if task.state == "running" and self.started[task.id] is None:
            self.started[task.id] = self.kernel.now()
            old = self.busy.pop(task.id, [])
            if self.start_first:
                for previous in old:
                    self.orchestrator.set_desired(previous, "shutdown")
            self._worker_done()
        elif task.over and task.id not in self.failed:
            since = self.started[task.id]
            if task.id in self.busy:
                del self.busy[task.id]
                self.started[task.id] = self.kernel.now()
                if not self._failure(task):
                    self._worker_done()
            elif since is None or self.kernel.now() - since <= self.monitor / self.kernel.speed:
                self._failure(task)

    def _places(self) -> dict[int | str, list[Task]]:
        places: dict[int | str, list[Task]] = defaultdict(list)
        for task in self.orchestrator.cluster.tasks_in(self.service.id):
            if task.wanted:
                places[task.place].append(task)
        return places

    def _dirty(self, tasks: list[Task]) -> bool:
        return any(task.spec_version != self.service.spec_version for task in tasks)

    def _step(self) -> None:
        width = self.parallelism or self.total
        while self.todo and len(self.busy) + self.delaying < width and not self.ended:
            self._replace(self.todo.popleft())
        if not self.todo and not self.busy and not self.delaying and not self.ended:
            watch = self.delay + 1 if self.delay >= self.monitor else self.monitor
            self.timers.append(self.kernel.after(watch, self._finish))

    def _replace(self, place: int | str) -> None:
        old = self._places().get(place, [])
        if not old or not self._dirty(old):
            return
        orchestrator = self.orchestrator
        first = old[0]
        new = orchestrator.new_task(self.service, slot=first.slot, node=first.fixed_node)
        new.desired = "ready"
        self.started[new.id] = None
        self.busy[new.id] = old
        orchestrator.admit(new)
        if self.start_first:
            orchestrator.start_later(new, 0, None)
            return
        for task in old:
            orchestrator.set_desired(task, "shutdown")
        running = next((task for task in old if not task.over), None)
        orchestrator.start_later(new, 0, running)

    def _worker_done(self) -> None:
        if not self.delay:
            self._step()
            return
        self.delaying += 1

        def go_on() -> None:
            self.delaying -= 1
            self._step()

        self.timers.append(self.kernel.after(self.delay, go_on))

    def _failure(self, task: Task) -> bool:
        """Count a failed new task. Returns whether the rollout ends here."""
        self.failed.add(task.id)
        if self.action == "continue" or len(self.failed) / max(self.total, 1) <= self.ratio:
            return False
        cause = f"due to failure or early termination of task {task.id}"
        self.stop()
        self.orchestrator.updates.pop(self.service.id, None)
        cluster = self.orchestrator.cluster
        update = dict(self.service.update or {})
        if self.action == "rollback" and not self.rollback:
            if self.service.previous_spec is not None:
                self.service.spec = self.service.previous_spec
                self.service.spec_version = self.service.previous_version
                self.service.previous_spec = None
            message = f"update rolled back {cause}"
            cluster.change_update_state(self.service, {**update, "State": "rollback_started", "Message": message})
            self.orchestrator.touch(self.service.id)
        else:
            word = "rollback" if self.rollback else "update"
            state = "rollback_paused" if self.rollback else "paused"
            cluster.change_update_state(self.service, {**update, "State": state, "Message": f"{word} paused {cause}"})
        return True

    def _finish(self) -> None:
        self.stop()
        self.orchestrator.updates.pop(self.service.id, None)
        if self.service.update is None:
            return
        rollback = self.service.update["State"] == "rollback_started"
        self.orchestrator.cluster.change_update_state(
            self.service,
            {
                "State": "rollback_completed" if rollback else "completed",
                "StartedAt": self.service.update.get("StartedAt", stamp(self.kernel.now())),
                "CompletedAt": stamp(self.kernel.now()),
                "Message": "rollback completed" if rollback else "update completed",
            },
        )
        self.orchestrator.touch(self.service.id)
