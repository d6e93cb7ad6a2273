"""What is run on services: every runbook, on the same simulated Swarm as the scenes on nodes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from swarmtui.demo.world.objects import Service
from swarmtui.demo.world.world import World
from tests.faults.scenes import Scene

After = tuple[str, int, int]
"""Image, tasks that run it, ForceUpdate."""


@dataclass(frozen=True, eq=False)
class ServiceScene(Scene):
    """An operation on services.

    Attributes:
        after: what the services that it is for are afterwards; None for one that is gone.
        env: the environment of the tasks that run afterwards, where the operation is about it.
    """

    after: Mapping[str, After | None] = field(default_factory=dict)
    env: Mapping[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def scene(
    name: str, runbook: str, given: Mapping[str, str], effects: tuple[str, ...], after: Mapping[str, After | None],
    **more: Any,
) -> ServiceScene:  # fmt: skip
    """A scene that changes no node."""
    return ServiceScene(name, runbook, given, {}, effects, after=after, **more)


def service(world: World, name: str) -> Service:
    """A service of the simulated world."""
    return next(s for s in world.clusters[0].services.values() if s.name == name)


def update(world: World, name: str, image: str = "", **changes: Any) -> None:
    """What an operator does to a service: another image, other parts of its Spec."""
    found = service(world, name)
    spec = {**copy.deepcopy(found.spec), **changes}
    if image:
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = image
    world.control(world.clusters[0]).update_service(found, found.index, spec, "")


def cache_updated(world: World) -> None:
    update(world, "cache", "redis:7.4")
    world.kernel.advance(200.0)


def cache_rolls_back_by_itself(world: World) -> None:
    update(world, "cache", UpdateConfig={"Parallelism": 1, "FailureAction": "rollback"})


def write(name: str) -> str:
    return f"POST /services/{name}/update"


SERVICE_SCENES = (
    scene(
        "scale-up", "service.scale", {"service": "web", "replicas": "6"}, (write("web"),),
        {"web": ("nginx:1.25", 6, 0)},
    ),
    scene(
        "scale-down", "service.scale", {"service": "web", "replicas": "1"}, (write("web"),),
        {"web": ("nginx:1.25", 1, 0)},
    ),
    scene(
        "update", "service.update", {"service": "cache", "image": "redis:7.4", "env": "A=1", "order": "stop-first"},
        (write("cache"),), {"cache": ("redis:7.4", 2, 0)}, env={"cache": ["A=1"]},
    ),
    scene(
        "update-global", "service.update", {"service": "agent", "constraint": "node.role==worker"}, (write("agent"),),
        {"agent": ("agent:1.7", 4, 0)},
    ),
    scene("restart", "service.restart", {"service": "db"}, (write("db"),), {"db": ("postgres:15", 1, 1)}),
    scene(
        "restart-two", "service.restart", {"service": "db,cache"}, (write("db"), write("cache")),
        {"db": ("postgres:15", 1, 1), "cache": ("redis:7.2", 2, 1)},
    ),
    scene(
        "rollback", "service.rollback", {"service": "cache"}, (write("cache"),), {"cache": ("redis:7.2", 2, 0)},
        before=cache_updated,
    ),
    scene("remove", "service.remove", {"service": "web"}, ("DELETE /services/web",), {"web": None}),
)  # fmt: skip
