"""A Swarm where something happens all the time."""

from __future__ import annotations

from swarmtui.demo.scenarios.base import Scenario, Size
from swarmtui.demo.scenarios.builder import DAY, Builder
from swarmtui.demo.scenarios.shop import shop
from swarmtui.demo.world.objects import Service
from swarmtui.demo.world.world import World

_ROLLOUT = (12.0, 28.0)
_CRASH = (6.0, 20.0)
_SCALE = (40.0, 90.0)
_BAD_RELEASE = 5
"""One rollout in so many is of an image that crashes."""
_STEADY = ("shop_db", "shop_cache", "edge_traefik", "mon_exporter", "mon_logs")


class Bustle:
    """Rolls out, scales and crashes, for ever, by the world's own dice."""

    def __init__(self, build: Builder) -> None:
        self.world = build.world
        self.control = build.control
        self.dice = build.world.ids.random
        self._again(_ROLLOUT, self._rollout)
        self._again(_CRASH, self._crash)
        self._again(_SCALE, self._scale)

    def _again(self, bounds: tuple[float, float], action: object) -> None:
        def run() -> None:
            assert callable(action)
            if self.control.raft.leader is not None:
                action()
            self._again(bounds, action)

        self.world.kernel.after(self.dice.uniform(*bounds), run)

    def _choose(self) -> Service | None:
        services = [
            service
            for service in self.control.cluster.services.values()
            if service.name not in _STEADY and service.mode == "Replicated" and service.replicas
        ]
        services.sort(key=lambda service: service.name)
        return self.dice.choice(services) if services else None

    def _rollout(self) -> None:
        service = self._choose()
        if service is None or service.id in self.control.orchestrator.updates:
            return
        name, _, tag = service.template["ContainerSpec"]["Image"].rpartition(":")
        bare = tag.partition("-")[0]
        head, dot, last = bare.rpartition(".")
        following = f"{head}{dot}{int(last) + 1 if last.isdigit() else last}"
        if self.dice.randrange(_BAD_RELEASE) == 0:
            following += "-broken"
        spec = service.spec
        template = spec["TaskTemplate"]
        container = {**template["ContainerSpec"], "Image": f"{name}:{following}"}
        changed = {**spec, "TaskTemplate": {**template, "ContainerSpec": container}}
        self.control.update_service(service, service.index, changed, "")

    def _crash(self) -> None:
        service = self._choose()
        if service is None:
            return
        running = [t for t in self.control.cluster.tasks_in(service.id) if t.state == "running" and t.wanted]
        if not running:
            return
        task = self.dice.choice(sorted(running, key=lambda t: t.id))
        host = self.world.host_of(self.control.cluster, task.node_id)
        if host is not None:
            self.world.agents[host.name].crash(task, self.dice.choice((1, 2, 137, 139)))

    def _scale(self) -> None:
        service = self._choose()
        if service is None or (service.template.get("Placement") or {}).get("MaxReplicas"):
            return
        replicas = max(1, min(10, service.replicas + self.dice.choice((-2, -1, 1, 2))))
        changed = {**service.spec, "Mode": {"Replicated": {"Replicas": replicas}}}
        self.control.update_service(service, service.index, changed, "")


def _busy(world: World, size: Size) -> None:
    build = shop(world, workers=max((size.nodes or 8) - 3, 2))
    build.service(
        "feeds",
        "shop/flaky:0.9",
        2,
        stack="shop",
        age=3 * DAY,
        constraints=["node.role==worker"],
        memory=64,
    )
    build.settle_new()
    Bustle(build)


BUSY = Scenario("busy", "rollouts, scaling and crashing tasks all the time", "", _busy)
