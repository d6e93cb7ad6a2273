"""DTR as a survey of a runbook found it, for tests of what is planned from that."""

from __future__ import annotations

from typing import Any

from swarmtui.model.dtr.facts import Version
from swarmtui.model.url import https_url
from swarmtui.runbooks.dtr.commanding import Work
from swarmtui.runbooks.dtr.found import Replica
from swarmtui.runbooks.dtr.hosts import ReplicaOnHost
from swarmtui.runbooks.dtr.way import UcpWay
from swarmtui.runbooks.runbook import Plan
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.places import Place
from tests.dtr.seen import ONE, THREE, TWO, held

IDS = (ONE, TWO, THREE)
URL = "https://dtr.example.com"


def place(number: int) -> Place:
    at = Where(f"w{number}", f"ssh://root@10.0.0.{number}", f"root@10.0.0.{number}")
    return Place(id=f"node{number}", name=f"w{number}", at=at, address=f"10.0.0.{number}")


def replica(number: int, **more: Any) -> Replica:
    """The replica on the node of this number: healthy, and counted in, where nothing else is said."""
    node, replica_id = place(number), IDS[(number - 1) % 3] if number < 4 else f"{number:012x}"
    there = held(replica_id, volumes=more.pop("volumes", True))
    on = ReplicaOnHost(id=replica_id, node=node, parts=there.parts, volumes=tuple(there.volumes))
    given: dict[str, Any] = {
        "node": node.name,
        "url": https_url(node.address),
        "on": on,
        "member": True,
        "health": "OK",
    } | more
    return Replica(id=replica_id, **given)


def work(version: str = "2.4.1", *, insecure: bool = False) -> Work:
    at = Where("m1", "ssh://root@10.0.0.100", "root@10.0.0.100")
    way = UcpWay(product="UCP 2.2.5", url="https://ucp.example.com:443", well=("m1",), insecure=insecure)
    return Work(version=Version.parse(version), at=at, way=way, job_id="20261122T000000Z-00000001")


def line_of(plan: Plan, step: str) -> str:
    """The command of a step, as it is shown; what comes before it fetches only what it reads."""
    return next(one for one in plan.steps if one.id == step).shown[-1].line


def steps_of(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps]
