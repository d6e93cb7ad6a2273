"""Keeps services as their Specs say: creates tasks, restarts them, moves them, and forgets old ones.

Nothing here happens while the cluster has no leader; everything is looked at again after an election.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.kernel import Timer
from swarmtui.demo.world.objects import Json, Node, Service, Task
from swarmtui.demo.world.raft import Raft
from swarmtui.demo.world.restarts import Restarts
from swarmtui.demo.world.scheduler import Scheduler
from swarmtui.demo.world.updater import Update

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World

RESTART_DELAY = 5.0
OLD_TASK_TIMEOUT = 60.0
"""How long a replacement waits for the task it replaces, in seconds."""
_SOON = 0.05


class Orchestrator:
    """The control loops of one cluster. `Control` tells it of every change."""

    def __init__(self, world: World, cluster: Cluster, raft: Raft) -> None:
        self.world = world
        self.cluster = cluster
        self.raft = raft
        self.scheduler = Scheduler(cluster)
        self.updates: dict[str, Update] = {}
        self.pending: dict[str, Task] = {}
        self._dirty: set[str] = set()
        self._timer: Timer | None = None
        self._waiting: dict[str, list[str]] = defaultdict(list)
        self._templates: dict[tuple[str, int], tuple[Json, msgspec.Raw]] = {}
        self._restarts = Restarts(world.kernel)

    # -- what others tell it

    def touch(self, *service_ids: str) -> None:
        """Look at these services soon."""
        self._dirty.update(service_ids)
        if self._timer is None:
            self._timer = self.world.kernel.after(_SOON, self._run)

    def touch_all(self) -> None:
        """Look at all services soon: a node came, went or changed, or there is a new leader."""
        self.touch(*self.cluster.services)

    def task_changed(self, task: Task) -> None:
        """A task reported a new state."""
        self.scheduler.count(task)
        if task.over:
            for waiting in self._waiting.pop(task.id, []):
                self._let_run(waiting)
            if task.desired == "remove":
                self._forget(task)
            self.touch(task.service_id)
            if self.pending:
                self.touch()
        update = self.updates.get(task.service_id)
        if update is not None:
            update.task_changed(task)

    def service_gone(self, service: Service) -> None:
        """A service was removed: its tasks follow, but not those of a job that are complete (so in 20.10)."""
        self._stop_update(service.id)
        for task in [t for t in self.cluster.tasks_in(service.id) if t.desired != "complete" or not t.over]:
            self.set_desired(task, "remove")
            if task.over or not task.node_id or task.node_id not in self.cluster.nodes:
                self._forget(task)

    def restart_update(self, service: Service) -> None:
        """The Spec changed: whatever rollout was under way is replaced by the new one."""
        self._stop_update(service.id)
        service.ended.clear()
        self.touch(service.id)

    def _stop_update(self, service_id: str) -> None:
        update = self.updates.pop(service_id, None)
        if update is not None:
            update.stop()

    # -- the loop

    def _run(self) -> None:
        self._timer = None
        if self.raft.leader is None or self.raft.losing:
            return
        dirty, self._dirty = self._dirty, set()
        for service_id in sorted(dirty):
            service = self.cluster.services.get(service_id)
            if service is not None:
                self.reconcile(service)
        self.schedule()

    def reconcile(self, service: Service) -> None:
        """Bring one service nearer to its Spec."""
        if service.mode == "Global":
            self._global(service)
        elif service.mode == "Replicated":
            self._replicated(service)
        else:
            self._job(service)
            return
        update = self.updates.get(service.id)
        if update is None:
            update = Update(self, service)
            if update.begin():
                self.updates[service.id] = update
        self._reap(service)

    def _replicated(self, service: Service) -> None:
        slots: dict[int, list[Task]] = defaultdict(list)
        for task in list(self.cluster.tasks_in(service.id)):
            if not task.wanted:
                continue
            if task.over or self._misplaced(service, task):
                replacement = self._restart(service, task)
                if replacement is None:
                    continue
                task = replacement
            slots[task.slot].append(task)
        missing = service.replicas - len(slots) - len(service.ended)
        if missing > 0:
            slot = 0
            created = []
            while missing:
                slot += 1
                if slot not in slots and slot not in service.ended:
                    created.append(self.new_task(service, slot=slot))
                    missing -= 1
            self._admit(created)
        elif missing < 0:
            self._shrink(service, slots, -missing)

    def _shrink(self, service: Service, slots: dict[int, list[Task]], number: int) -> None:
        """Drop slots: first those that do not run, then those on the fullest nodes."""
        load: dict[str, int] = defaultdict(int)
        for tasks in slots.values():
            load[tasks[0].node_id] += 1
        order = []
        for slot, tasks in sorted(slots.items()):
            running = any(task.state == "running" for task in tasks)
            order.append((running, -load[tasks[0].node_id] if running else 0, -slot, slot))
            load[tasks[0].node_id] -= 1
        for *_, slot in sorted(order)[:number]:
            for task in slots[slot]:
                self.set_desired(task, "remove")
                if not task.node_id or task.over:
                    self._forget(task)

    def _global(self, service: Service) -> None:
        there: dict[str, list[Task]] = defaultdict(list)
        for task in list(self.cluster.tasks_in(service.id)):
            if task.wanted:
                there[task.fixed_node].append(task)
        for node_id in set(there) - set(self.cluster.nodes):
            for task in there[node_id]:
                self.set_desired(task, "shutdown")
        created = []
        for node in self.cluster.nodes.values():
            tasks = there.get(node.id, [])
            may = (
                node.state != "down"
                and node.availability != "drain"
                and self.scheduler.fits(service, service.template, node)
            )
            if not may:
                for task in tasks:
                    self.set_desired(task, "shutdown")
                continue
            for task in tasks:
                if task.over:
                    self._restart(service, task)
            if not tasks and node.availability == "active" and node.id not in service.ended:
                created.append(self.new_task(service, node=node.id))
        self._admit(created)

    def _job(self, service: Service) -> None:
        mode = service.spec["Mode"]
        iteration = int((service.job or {}).get("JobIteration", {}).get("Index", 0))
        tasks = [t for t in self.cluster.tasks_in(service.id) if t.job_iteration == iteration]
        live = [t for t in tasks if not t.over]
        for task in tasks:
            if task.over and task.desired == "complete" and task.state != "complete":
                self.set_desired(task, "shutdown")
        created = []
        if service.mode == "ReplicatedJob":
            body = mode["ReplicatedJob"]
            done = sum(task.state == "complete" for task in tasks)
            free = min(body["MaxConcurrent"], body["TotalCompletions"] - done) - len(live)
            used = {task.slot for task in tasks}
            for slot in range(1, body["TotalCompletions"] + len(tasks) + 1):
                if free <= 0:
                    break
                if slot not in used:
                    created.append(self.new_task(service, slot=slot, iteration=iteration))
                    free -= 1
        else:
            covered = {task.fixed_node for task in tasks if not task.over or task.state == "complete"}
            for node in self.cluster.nodes.values():
                fits = self.scheduler.fits(service, service.template, node)
                if node.id not in covered and node.availability == "active" and fits:
                    created.append(self.new_task(service, node=node.id, iteration=iteration))
        self._admit(created)

    # -- tasks

    def template_of(self, service: Service) -> tuple[Json, msgspec.Raw]:
        """The service's template as tasks carry it, and its JSON; one for all tasks of a version."""
        key = (service.id, service.spec_version)
        if key not in self._templates:
            template = {k: v for k, v in service.template.items() if k != "Runtime"}
            if "Networks" not in template and service.spec.get("Networks"):
                template["Networks"] = service.spec["Networks"]
            self._templates[key] = (template, self.encode(template))
        return self._templates[key]

    @staticmethod
    def encode(template: Json) -> msgspec.Raw:
        """A template in JSON, once for all the tasks that share it."""
        return msgspec.Raw(msgspec.json.encode(template))

    def new_task(self, service: Service, *, slot: int = 0, node: str = "", iteration: int | None = None) -> Task:
        """A task of the service's present Spec, not yet in the store."""
        spec, encoded = self.template_of(service)
        now = self.world.kernel.now()
        return Task(
            id=self.cluster.ids.object(),
            service_id=service.id,
            spec=spec,
            spec_json=encoded,
            spec_version=service.spec_version,
            slot=slot,
            fixed_node=node,
            state="pending",
            message="pending task scheduling",
            when=now,
            desired="running" if iteration is None else "complete",
            job_iteration=iteration,
        )

    def _admit(self, tasks: Iterable[Task]) -> None:
        admitted = list(tasks)
        if admitted:
            self.cluster.commit(*admitted)
            self.pending.update((task.id, task) for task in admitted)

    def admit(self, task: Task) -> None:
        """Take in one new task."""
        self._admit([task])
        self.touch()

    def set_desired(self, task: Task, desired: str) -> None:
        """Change what a task is meant to be, and tell its host."""
        if task.desired == desired or (task.desired == "remove" and desired == "shutdown"):
            return
        task.desired = desired
        self.pending.pop(task.id, None)
        if not task.node_id and desired in ("shutdown", "remove"):
            task.state, task.message = "shutdown", "shutdown"
        self.cluster.commit(task)
        self.scheduler.count(task)
        self.world.tell_host(self.cluster, task)

    def _misplaced(self, service: Service, task: Task) -> bool:
        """Is it on a node where it may not stay? Pausing a node moves nothing; new constraints do."""
        if not task.node_id:
            return False
        node = self.cluster.nodes.get(task.node_id)
        if node is None or node.state == "down" or node.availability == "drain":
            return True
        return not self.scheduler.fits(service, task.spec, node)

    def _restart(self, service: Service, task: Task) -> Task | None:
        """Replace a task that ended or may not stay, if the restart policy allows."""
        policy = task.spec.get("RestartPolicy") or {}
        failed_node = self.cluster.nodes.get(task.node_id)
        was_over = task.over
        self.set_desired(task, "shutdown")
        if was_over and not self._restarts.allow(service, task, policy):
            service.ended.add(task.place)
            return None
        replacement = self.new_task(service, slot=task.slot, node=task.fixed_node)
        replacement.desired = "ready"
        self._admit([replacement])
        delay = float(policy.get("Delay", RESTART_DELAY * 1e9)) / 1e9
        if failed_node is not None and failed_node.availability == "drain":
            delay = 0.0
        dead = was_over or failed_node is None or failed_node.state == "down"
        self.start_later(replacement, delay, None if dead else task)
        return replacement

    def start_later(self, task: Task, delay: float, after: Task | None) -> None:
        """Let a task in `ready` run after a delay, and not before another one has ended."""

        def due() -> None:
            if after is not None and not after.over:
                self._waiting[after.id].append(task.id)
                self.world.kernel.after(OLD_TASK_TIMEOUT, lambda: self._let_run(task.id))
            else:
                self._let_run(task.id)

        if delay > 0:
            self.world.kernel.after(delay, due)
        else:
            due()

    def _let_run(self, task_id: str) -> None:
        task = self.cluster.tasks.get(task_id)
        if task is not None and task.desired == "ready":
            task.desired = "running"
            self.cluster.commit(task)
            self.world.tell_host(self.cluster, task)

    def schedule(self) -> None:
        """Give waiting tasks a node."""
        groups: dict[tuple[str, int], list[Task]] = defaultdict(list)
        for task in self.pending.values():
            groups[task.service_id, task.spec_version].append(task)
        for (service_id, _), tasks in groups.items():
            service = self.cluster.services.get(service_id)
            if service is None:
                for task in tasks:
                    self._forget(task)
                continue
            if tasks[0].fixed_node:
                self._schedule_fixed(service, tasks)
                continue
            placed, waiting, why = self.scheduler.place(service, tasks)
            self._assign(service, placed)
            for task in waiting:
                self._explain(task, why)

    def _schedule_fixed(self, service: Service, tasks: list[Task]) -> None:
        for task in tasks:
            node: Node | None = self.cluster.nodes.get(task.fixed_node)
            if node is None:
                self.set_desired(task, "shutdown")
                continue
            why = self.scheduler.check_one(service, task, node)
            if why:
                self._explain(task, why)
            else:
                task.node_id = node.id
                self.scheduler.count(task)
                self._assign(service, [task])

    def _explain(self, task: Task, why: str) -> None:
        if task.error != why:
            task.error, task.when = why, self.world.kernel.now()
            self.cluster.commit(task)

    def _assign(self, service: Service, tasks: list[Task]) -> None:
        now = self.world.kernel.now()
        for task in tasks:
            self.pending.pop(task.id, None)
            task.state, task.message = "assigned", "scheduler assigned task to node"
            task.error, task.when = "", now
            task.attachments = self.world.networks_of(self.cluster, service, task)
        if tasks:
            self.cluster.commit(*tasks)
        for task in tasks:
            self.world.tell_host(self.cluster, task)

    def _reap(self, service: Service) -> None:
        """Forget old tasks beyond the history limit of each slot."""
        limit = int(self.cluster.spec["Orchestration"].get("TaskHistoryRetentionLimit", 5))
        slots: dict[int | str, list[Task]] = defaultdict(list)
        for task in self.cluster.tasks_in(service.id):
            slots[task.place].append(task)
        for tasks in slots.values():
            excess = len(tasks) - max(limit, 1)
            if excess > 0:
                old = sorted((t for t in tasks if t.over and not t.wanted), key=lambda t: t.created)
                for task in old[:excess]:
                    self._forget(task)

    def _forget(self, task: Task) -> None:
        self.pending.pop(task.id, None)
        self.scheduler.forget(task)
        self.cluster.delete(task)
        task.desired = "remove"
        self.world.tell_host(self.cluster, task)
