"""What a Swarm looks like to somebody with the stock SDK, and what a scene shall make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from docker import APIClient

from tests.faults.scenes import Scene

LIVE = ("assigned", "accepted", "preparing", "ready", "starting", "running")


@dataclass
class State:
    """What must be the same however often a run was cut off.

    Attributes:
        nodes: by hostname: Role, Availability, Labels, State, and whether it is a member of the raft.
        services: how many tasks of each run.
    """

    nodes: dict[str, dict[str, Any]]
    services: dict[str, int]
    tasks: dict[str, int] = field(compare=False)

    def after(self, scene: Scene) -> State:
        """What a scene shall make of it."""
        nodes = {name: {**was, **(scene.nodes.get(name) or {})} for name, was in self.nodes.items()}
        for name, change in scene.nodes.items():
            if change is None:
                del nodes[name]
        return State(nodes, {**self.services, **scene.services}, {})

    def unlike(self, expected: State) -> list[str]:
        """What is not as it shall be, one line each."""
        return [
            f"{name}: {mine.get(name)} instead of {theirs.get(name)}"
            for mine, theirs in ((self.nodes, expected.nodes), (self.services, expected.services))
            for name in sorted({*mine, *theirs})
            if mine.get(name) != theirs.get(name)
        ]

    def told(self, scene: Scene) -> dict[str, Any]:
        """What a run says it has proved: the nodes it was for, without what heartbeats make of them."""
        told: dict[str, Any] = {}
        for name in scene.nodes:
            node = self.nodes.get(name)
            told[name] = None if node is None else {k: v for k, v in node.items() if k != "State"}
        return told


def read_state(client: APIClient) -> State:
    nodes, running, tasks = {}, {}, {}
    ids = {}
    for node in client.nodes():
        ids[node["ID"]] = name = node["Description"]["Hostname"]
        nodes[name] = {
            "Role": node["Spec"]["Role"],
            "Availability": node["Spec"]["Availability"],
            "Labels": node["Spec"].get("Labels") or {},
            "State": node["Status"]["State"],
            "Member": "ManagerStatus" in node,
        }
        tasks[name] = 0
    names = {service["ID"]: service["Spec"]["Name"] for service in client.services()}
    running = dict.fromkeys(names.values(), 0)
    for task in client.tasks():
        name = ids.get(task.get("NodeID", ""), "")
        if name and task["Status"]["State"] in LIVE:
            tasks[name] += 1
        if name and nodes[name]["State"] == "ready" and task["Status"]["State"] == "running":
            running[names[task["ServiceID"]]] += 1
    return State(nodes, running, tasks)
