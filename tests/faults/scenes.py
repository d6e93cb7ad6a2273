"""What is run: every runbook on nodes, on a simulated Swarm that was brought into the right state first.

The steps of a scene are those of its plan. The plan is made when the tests are collected, from the simulated world
itself, so that a step added to a runbook gets its faults without anybody writing a test.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from swarmtui.demo.api.endpoints import Router
from swarmtui.demo.api.http import Request
from swarmtui.demo.scenarios import Scenario, Size
from swarmtui.demo.scenarios.builder import DAY, Builder
from swarmtui.demo.world import agent
from swarmtui.demo.world.images import Behaviour, behaviour
from swarmtui.demo.world.objects import Node
from swarmtui.demo.world.world import World
from swarmtui.link.decode import Collection
from swarmtui.model.services import Service, Task
from swarmtui.model.snapshot import Reading, Snapshot
from swarmtui.model.swarm import Info
from swarmtui.model.swarm import Node as ModelNode
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.runbook import Plan, Step
from tests.runbooks.support import fake, session

SEED = 1
START_SECONDS = 40.0
"""How long the tasks of these worlds take to start: longer than any takes to stop, so that no wait is over at once."""

Change = dict[str, Any]


def _small(world: World, size: Size) -> None:
    """Three managers, four workers, five services: all that the runbooks on nodes care for, and no more."""
    build = Builder(world)
    managers = [world.add_host(f"mgr{n}", f"10.0.1.{10 + n}") for n in (1, 2, 3)]
    workers = [world.add_host(f"wrk{n}", f"10.0.1.{20 + n}") for n in (1, 2, 3, 4)]
    build.swarm(managers, workers, age=3 * DAY)
    labels: tuple[dict[str, str], ...] = ({"disk": "ssd"}, {"disk": "ssd"}, {"db": "true"}, {})
    for host, zone, more in zip(workers, "abca", labels, strict=True):
        build.labels(host.name, zone=zone, **more)
    build.service("web", "nginx:1.25", 4, age=DAY, constraints=["node.role==worker"])
    build.service("cache", "redis:7.2", 2, age=DAY, constraints=["node.labels.disk==ssd"], max_per_node=1)
    build.service("db", "postgres:15", 1, age=DAY, constraints=["node.labels.db==true"], volumes=[("data", "/data")])
    build.service("agent", "agent:1.7", None, age=DAY)
    build.service("proxy", "traefik:v2.10", None, age=DAY, constraints=["node.role==manager"])
    build.settle()


SMALL = Scenario("small", "a healthy Swarm: 3 managers, 4 workers, 5 services", "", _small)


def node(world: World, name: str) -> Node:
    """The node of a host."""
    swarm = world.hosts[name].swarm
    assert swarm is not None
    return world.clusters[0].nodes[swarm.node_id]


def update(world: World, name: str, **changes: Any) -> None:
    """What an operator does to a node: Role, Availability, Labels."""
    found = node(world, name)
    spec = {"Role": found.wanted_role, "Availability": found.availability, "Labels": dict(found.labels), **changes}
    world.control(world.clusters[0]).nodes.update(found.id, found.index, spec)


def drained(world: World) -> None:
    update(world, "wrk1", Availability="drain")


def led_by(world: World, name: str) -> None:
    world.control(world.clusters[0]).raft.elect_now(node(world, name).id)


def led_by_mgr2(world: World) -> None:
    led_by(world, "mgr2")


def wrk2_down(world: World) -> None:
    world.crash(world.hosts["wrk2"])


def one_more_disk(world: World) -> None:
    update(world, "wrk4", Labels={"zone": "a", "disk": "ssd"})


def unlabelled(world: World) -> None:
    update(world, "wrk4", Labels={})


@dataclass(frozen=True, eq=False)
class Scene:
    """One operation on one state of the Swarm, and what must be so afterwards, written by hand.

    Attributes:
        given: its parameters, as a person types them.
        before: brings the world into the state it starts from.
        nodes: what is different afterwards, by hostname; None for a node that is gone.
        services: how many tasks of a service run afterwards, where that is different.
        emptied: hosts on which no task is left.
        effects: what it takes, once each: (method and kind of path) per target.
    """

    name: str
    runbook: str
    given: Mapping[str, str]
    nodes: Mapping[str, Change | None]
    effects: tuple[str, ...]
    before: Callable[[World], None] = lambda world: None
    services: Mapping[str, int] = field(default_factory=dict)
    emptied: tuple[str, ...] = ()

    def world(self, world: World) -> None:
        """Brings a new world into the state this starts from, with nothing left under way."""
        self.before(world)
        world.kernel.advance(120.0)

    def __str__(self) -> str:
        return self.name


DRAINED = {"Availability": "drain"}
WORKER = {"Role": "worker", "Member": False}
MANAGER = {"Role": "manager", "Member": True}
WITHOUT_WRK1 = {"cache": 1, "agent": 6}

SCENES = (
    Scene(
        "drain", "node.drain", {"node": "wrk1"}, {"wrk1": DRAINED}, ("update wrk1",),
        services=WITHOUT_WRK1, emptied=("wrk1",),
    ),
    Scene("pause", "node.pause", {"node": "wrk1"}, {"wrk1": {"Availability": "pause"}}, ("update wrk1",)),
    Scene(
        "activate", "node.activate", {"node": "wrk1"}, {"wrk1": {"Availability": "active"}}, ("update wrk1",),
        before=drained, services={"cache": 2, "agent": 7},
    ),
    Scene("promote", "node.promote", {"node": "wrk4"}, {"wrk4": MANAGER}, ("update wrk4",), services={"proxy": 4}),
    Scene(
        "promote-two", "node.promote", {"node": "wrk4,wrk3"}, {"wrk4": MANAGER, "wrk3": MANAGER},
        ("update wrk4", "update wrk3"), services={"proxy": 5},
    ),
    Scene(
        "demote-in-use", "node.demote", {"node": "mgr1"}, {"mgr1": WORKER}, ("update mgr1",),
        before=led_by_mgr2, services={"proxy": 2},
    ),
    Scene(
        "demote-leader", "node.demote", {"node": "mgr2"}, {"mgr2": WORKER}, ("update mgr2",),
        before=led_by_mgr2, services={"proxy": 2},
    ),
    Scene("demote-other", "node.demote", {"node": "mgr3"}, {"mgr3": WORKER}, ("update mgr3",), services={"proxy": 2}),
    Scene(
        "remove-worker", "node.remove", {"node": "wrk1"}, {"wrk1": None}, ("update wrk1", "leave wrk1", "delete wrk1"),
        services=WITHOUT_WRK1,
    ),
    # This one is the manager in use and the leader as well.
    Scene(
        "remove-manager", "node.remove", {"node": "mgr1"}, {"mgr1": None},
        ("update mgr1", "update mgr1", "leave mgr1", "delete mgr1"), services={"proxy": 2, "agent": 6},
    ),
    Scene("remove-down", "node.remove", {"node": "wrk2"}, {"wrk2": None}, ("delete wrk2",), before=wrk2_down),
    Scene(
        "label", "node.label", {"node": "wrk4", "label": "rack=7,zone-"}, {"wrk4": {"Labels": {"rack": "7"}}},
        ("update wrk4",),
    ),
    Scene(
        "label-moves", "node.label", {"node": "wrk1", "label": "disk-"}, {"wrk1": {"Labels": {"zone": "a"}}},
        ("update wrk1",), before=one_more_disk,
    ),
)  # fmt: skip


def slow_to_start(image: str, command: Any) -> Behaviour:
    """What an image does in these worlds."""
    return dataclasses.replace(behaviour(image, command), start=START_SECONDS)


@functools.cache
def plan_of(scene: Scene) -> Plan:
    """The plan, made from the simulated engine's own answers but without a connection."""
    with ThreadPoolExecutor(1) as aside, pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent, "behaviour", slow_to_start)
        # Aside, because the thread that collects or runs the tests may have an event loop that runs.
        return aside.submit(asyncio.run, _plan(scene)).result()


async def _plan(scene: Scene) -> Plan:
    world = World(SEED)
    SMALL.build(world, Size())
    scene.world(world)
    router = Router(world, world.hosts["mgr1"])

    async def ask(path: str) -> bytes:
        return (await router(Request("GET", f"/v1.41{path}", {}, {}, b""))).body

    info = json.loads(await ask("/info"))
    now = Snapshot(
        cluster_id=info["Swarm"]["Cluster"]["ID"],
        info=Info(),
        nodes=Collection("nodes", ModelNode)(await ask("/nodes")),
        services=Collection("services", Service)(await ask("/services")),
        tasks=Collection("tasks", Task)(await ask("/tasks")),
        readings={name: Reading(1.0) for name in ("nodes", "services", "tasks")},
    )
    runbook = registry.runbook(scene.runbook)
    values = params.parse(runbook.name, runbook.params, scene.given)
    asked = session(now, through=info["Swarm"]["NodeID"])
    fake(asked).get = lambda path, clean=True: ask(path)  # type: ignore[attr-defined]
    return await runbook.prepare(asked, values)


def steps_of(scene: Scene) -> list[tuple[str, Step]]:
    """The steps of its plan, each with a short name: its place and what it does."""
    steps = plan_of(scene).steps
    return [(f"step{number}-{step.id.rpartition('-')[0]}", step) for number, step in enumerate(steps, 1)]
