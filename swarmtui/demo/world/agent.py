"""What the engine of a host does with the tasks it was given: pull, start, stop, and report.

A host that is cut off goes on running its containers and reports once it is back, as real ones do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarmtui.demo.world.host import Container, Host
from swarmtui.demo.world.images import Behaviour, behaviour
from swarmtui.demo.world.objects import RANK, Task
from swarmtui.demo.world.paths import in_session

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World

DEFAULT_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL where the service says nothing."""
_HOP = 0.05


@dataclass(slots=True)
class Report:
    """A task's new state, on its way to the managers."""

    state: str
    message: str
    error: str = ""
    exit_code: int = 0
    when: float = 0.0


class Agent:
    """The engine side of one host's tasks."""

    def __init__(self, world: World, host: Host) -> None:
        self.world = world
        self.host = host
        self._unsent: dict[str, Report] = {}
        self._stopping: set[str] = set()
        self._epoch = 0

    def connected(self) -> bool:
        """Does this host have a session with the leader of its Swarm?"""
        swarm = self.host.swarm
        return (
            self.host.running
            and swarm is not None
            and not swarm.locked
            and not swarm.error
            and swarm.node_id in swarm.cluster.nodes
            and (
                swarm.raft.leads_for(self.host)
                if swarm.node_id in swarm.raft.members
                else in_session(self.world, self.host)
            )
        )

    def task_changed(self, task: Task) -> None:
        """The managers changed something about a task of this host."""
        if self.connected():
            self._drive(task)

    def sync(self) -> None:
        """A session begins: send what could not be sent, and catch up with what was decided meanwhile."""
        if not self.connected():
            return
        swarm = self.host.swarm
        assert swarm is not None
        for task_id, report in list(self._unsent.items()):
            self._unsent.pop(task_id)
            task = swarm.cluster.tasks.get(task_id)
            if task is not None and not task.over:
                self._apply(task, report)
        for task in list(swarm.cluster.tasks_on(swarm.node_id)):
            if not task.over:
                self._check_container(task)
                self._drive(task)
        for container in list(self.host.containers.values()):
            if container.task and container.task not in swarm.cluster.tasks:
                self._discard(container)

    def stopped(self, *, graceful: bool) -> None:
        """Docker or the machine has stopped; no container survives that."""
        self._epoch += 1
        self._stopping.clear()
        for container in self.host.containers.values():
            if container.state == "running":
                container.state = "exited"
                container.exit_code = 0 if graceful else 137
                container.finished = self.world.kernel.now()
                container.pid = 0

    def forget_all(self) -> None:
        """The host left its Swarm: its tasks' containers go."""
        self._epoch += 1
        self._unsent.clear()
        self._stopping.clear()
        for container in [c for c in self.host.containers.values() if c.task]:
            self._discard(container)

    def _later(self, delay: float, task: Task, action: Callable[[Task], None]) -> None:
        epoch = self._epoch

        def run() -> None:
            if epoch == self._epoch and self.host.running:
                action(task)

        self.world.kernel.after(delay, run)

    def _drive(self, task: Task) -> None:
        if task.over:
            if task.desired == "remove":
                self._discard_of(task)
            return
        if not task.wanted:
            self._stop(task)
        elif task.state == "assigned":
            self._later(_HOP, task, self._accept)
        elif task.state == "ready" and task.may_start:
            self._start(task)

    def _accept(self, task: Task) -> None:
        if task.state != "assigned" or not task.wanted:
            return
        self._send(task, "accepted", "accepted")
        self._later(_HOP, task, self._prepare)

    def _prepare(self, task: Task) -> None:
        if not task.wanted or task.over:
            return
        does = self._does(task)
        self._send(task, "preparing", "preparing")
        image = str(task.spec["ContainerSpec"]["Image"])
        pull = 0.0 if image in self.host.images or does.missing else does.pull
        self._later(pull + _HOP, task, self._prepared)

    def _prepared(self, task: Task) -> None:
        if not task.wanted or task.over:
            return
        container = task.spec["ContainerSpec"]
        image = str(container["Image"])
        if self._does(task).missing:
            self._send(task, "rejected", "preparing", error=f"No such image: {image}")
            return
        self.world.remember_image(self.host, image, self._does(task).size)
        self._create(task)
        self._send(task, "ready", "prepared")
        if task.may_start:
            self._start(task)

    def _create(self, task: Task, *, quiet: bool = False) -> None:
        swarm = self.host.swarm
        assert swarm is not None
        service = swarm.cluster.services.get(task.service_id)
        name = service.name if service else task.service_id
        spec = task.spec["ContainerSpec"]
        full = f"{name}.{task.slot or task.node_id}.{task.id}"
        container = Container(
            id=self.world.ids.container(),
            name=full,
            image=str(spec["Image"]),
            command=[*(spec.get("Command") or []), *(spec.get("Args") or [])],
            created=self.world.kernel.now(),
            task=task.id,
            service=task.service_id,
            labels={
                **(spec.get("Labels") or {}),
                "com.docker.swarm.node.id": swarm.node_id,
                "com.docker.swarm.service.id": task.service_id,
                "com.docker.swarm.service.name": name,
                "com.docker.swarm.task": "",
                "com.docker.swarm.task.id": task.id,
                "com.docker.swarm.task.name": full,
            },
        )
        for mount in spec.get("Mounts") or []:
            if mount.get("Type") == "volume" and mount.get("Source"):
                self.world.remember_volume(self.host, str(mount["Source"]))
            container.mounts.append(mount)
        for attachment in task.attachments:
            network = attachment["Network"]
            address = (attachment.get("Addresses") or [""])[0]
            container.networks[network["Spec"]["Name"]] = address.partition("/")[0]
        if not container.networks:
            container.networks["bridge"] = ""
        if service is not None:
            container.ports = [p for p in service.ports if p.get("PublishMode") == "host"]
        self.host.containers[container.id] = container
        task.container = container.id
        if not quiet:
            self._tell(container, "create")

    def _start(self, task: Task) -> None:
        self._send(task, "starting", "starting")
        self._later(self._does(task).start, task, self._running)

    def _running(self, task: Task) -> None:
        container = self.host.containers.get(task.container)
        if not task.wanted or task.over or container is None:
            return
        now = self.world.kernel.now()
        container.state, container.started, container.pid = "running", now, self.host.next_pid()
        task.pid, task.started = container.pid, now
        service = self.host.swarm.cluster.services.get(task.service_id) if self.host.swarm else None
        if service is not None:
            task.host_ports = [p for p in service.ports if p.get("PublishMode") == "host"]
        self._tell(container, "start")
        self._send(task, "running", "started")
        does = self._does(task)
        if does.lives is not None:
            self._later(does.lives, task, self._ends)

    def _ends(self, task: Task) -> None:
        container = self.host.containers.get(task.container)
        if container is None or container.state != "running" or task.id in self._stopping:
            return
        self.crash(task, self._does(task).exit_code)

    def adopt(self, task: Task, since: float) -> None:
        """Take a task as running since a moment in the past: how worlds begin."""
        self._create(task, quiet=True)
        container = self.host.containers[task.container]
        container.created, container.started, container.state = since - 1.5, since, "running"
        container.pid = task.pid = self.host.next_pid()
        task.state, task.message, task.started, task.when = "running", "started", since, since
        image = str(task.spec["ContainerSpec"]["Image"])
        self.world.remember_image(self.host, image, self._does(task).size)
        service = self.host.swarm.cluster.services.get(task.service_id) if self.host.swarm else None
        if service is not None:
            task.host_ports = [p for p in service.ports if p.get("PublishMode") == "host"]
        does = self._does(task)
        if does.lives is not None:
            self._later(does.lives, task, self._ends)

    def crash(self, task: Task, exit_code: int) -> None:
        """A running container ends by itself."""
        container = self.host.containers.get(task.container)
        if container is None or container.state != "running":
            return
        self._exited(container, exit_code)
        if exit_code:
            self._send(task, "failed", "started", error=f"task: non-zero exit ({exit_code})", code=exit_code)
        else:
            self._send(task, "complete", "finished")

    def _stop(self, task: Task) -> None:
        container = self.host.containers.get(task.container)
        if container is None or container.state != "running":
            self._send(task, "shutdown", "shutdown")
            if task.desired == "remove":
                self._discard_of(task)
            return
        if task.id in self._stopping:
            return
        self._stopping.add(task.id)
        grace = task.spec["ContainerSpec"].get("StopGracePeriod")
        limit = DEFAULT_GRACE if grace is None else grace / 1e9
        wants = self._does(task).stop
        code = 137 if wants > limit else 0
        self._later(min(wants, limit), task, lambda t: self._stopped(t, code))

    def _stopped(self, task: Task, exit_code: int) -> None:
        self._stopping.discard(task.id)
        container = self.host.containers.get(task.container)
        if container is not None and container.state == "running":
            self._exited(container, exit_code)
        if not task.over:
            self._send(task, "shutdown", "shutdown", code=exit_code)
        if task.desired == "remove":
            self._discard_of(task)

    def _check_container(self, task: Task) -> None:
        if task.state not in ("starting", "running", "ready"):
            if RANK[task.state] > RANK["assigned"]:
                task.state = "assigned"
            return
        container = self.host.containers.get(task.container)
        if container is None or (task.state == "running" and container.state != "running"):
            service = self.host.swarm.cluster.services.get(task.service_id) if self.host.swarm else None
            name = f"{service.name if service else task.service_id}.{task.slot or task.node_id}.{task.id}"
            self._send(task, "failed", "started", error=f"No such container: {name}")
            self._discard_of(task)
        elif task.state == "starting":
            self._later(self._does(task).start, task, self._running)

    def _exited(self, container: Container, exit_code: int) -> None:
        container.state, container.exit_code, container.pid = "exited", exit_code, 0
        container.finished = self.world.kernel.now()
        self._tell(container, "die", {"exitCode": str(exit_code)})

    def _discard_of(self, task: Task) -> None:
        container = self.host.containers.get(task.container)
        if container is not None:
            self._discard(container)

    def _discard(self, container: Container) -> None:
        if container.state == "running":
            self._exited(container, 137)
        self.host.containers.pop(container.id, None)
        self._tell(container, "destroy")

    def _tell(self, container: Container, action: str, more: dict[str, str] | None = None) -> None:
        now = self.world.kernel.now()
        attributes = {**container.labels, "image": container.image, "name": container.name, **(more or {})}
        self.host.events.publish(
            {
                "status": action,
                "id": container.id,
                "from": container.image,
                "Type": "container",
                "Action": action,
                "Actor": {"ID": container.id, "Attributes": dict(sorted(attributes.items()))},
                "scope": "local",
                "time": int(now),
                "timeNano": int(now * 1e9),
            }
        )

    def _does(self, task: Task) -> Behaviour:
        spec = task.spec["ContainerSpec"]
        return behaviour(str(spec["Image"]), [*(spec.get("Command") or []), *(spec.get("Args") or [])])

    def _send(self, task: Task, state: str, message: str, error: str = "", code: int = 0) -> None:
        report = Report(state, message, error, code, self.world.kernel.now())
        if self.connected():
            self._apply(task, report)
        else:
            self._unsent[task.id] = report

    def _apply(self, task: Task, report: Report) -> None:
        swarm = self.host.swarm
        if swarm is None or task.id not in swarm.cluster.tasks:
            return
        task.state, task.message, task.error = report.state, report.message, report.error
        task.exit_code, task.when = report.exit_code, report.when
        if task.over:
            task.pid = 0
        swarm.cluster.commit(task)
        self.world.control(swarm.cluster).task_changed(task)
