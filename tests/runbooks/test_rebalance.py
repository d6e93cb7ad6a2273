"""The plan of a rebalance, made from a cluster in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swarmtui.errors import RefusedError, SwarmtuiError, UsageError
from swarmtui.runbooks import registry, render
from swarmtui.runbooks.params import parse
from swarmtui.runbooks.rebalance import WaitSpread
from swarmtui.runbooks.runbook import Danger, Plan
from swarmtui.runbooks.service_steps import UpdateService
from tests.builders import Json, node, service, task
from tests.runbooks.service_support import Services
from tests.runbooks.support import commands

NODES = [node("mgr1", manager="leader", availability="drain"), node("a"), node("b")]


def on(of: Json, *names: str) -> list[Json]:
    return [task(of, node(name), slot) for slot, name in enumerate(names, 1)]


def cluster(*services: tuple[Json, str]) -> Services:
    return Services(NODES, [of for of, _ in services], [one for of, names in services for one in on(of, *names)])


async def plan(session: Services, /, **given: str) -> Plan:
    runbook = registry.runbook("swarm.rebalance")
    return await runbook.prepare(session, parse(runbook.name, runbook.params, given))  # type: ignore[arg-type]


async def test_each_service_restarts_and_converges_before_the_next_and_none_may_be_skipped() -> None:
    session = cluster((service("api", replicas=2), "aa"), (service("web", replicas=4), "aaaa"))
    made = await plan(session)
    assert [type(step) for step in made.steps] == [UpdateService, WaitSpread, UpdateService, WaitSpread]
    assert commands(made)[::2] == [
        "docker service update --detach --force web",
        "docker service update --detach --force api",
    ] or commands(made) == [
        "docker service update --detach --force web",
        "docker service update --detach --force api",
    ]
    assert not any(step.skippable for step in made.steps)
    assert (made.danger, made.typed) == (Danger.DISRUPTIVE, "")
    assert [line.strip() for _, line in made.changes] == [
        "web: 4 tasks restart, 2 move",
        "a 4 → 2, b 0 → 2",
        "api: 2 tasks restart, 1 move",
        "a 2 → 1, b 0 → 1",
        "all tasks of the Swarm",
        "a 6 → 3, b 0 → 3",
    ]
    assert made.why.startswith(
        "6 tasks restart, so that 3 of them come to other nodes; clients of a task may be cut off"
    )
    assert "Where the tasks come to, the scheduler decides" in made.notes[0]
    resumed = registry.runbook("swarm.rebalance").plan(made.params, json.loads(json.dumps(made.facts)))
    assert (resumed.steps, resumed.binding) == (made.steps, made.binding)


async def test_a_load_that_changes_elsewhere_asks_nobody_anew_but_another_spec_does() -> None:
    web = service("web", replicas=4)
    session = cluster((web, "aaaa"))
    first = await plan(session)
    other = service("other", replicas=2)
    session.services[other["ID"]] = other
    session.tasks += on(other, "a", "b")
    assert (await plan(session)).binding == first.binding
    session.services[web["ID"]]["Spec"]["Labels"] = {"a": "b"}
    assert (await plan(session)).binding != first.binding


async def test_single_replicas_come_last_with_a_warning_and_only_on_request() -> None:
    many = [(service(f"s{n}"), "a") for n in range(4)]
    session = cluster(*many, (service("web", replicas=2), "aa"))
    left = await plan(session)
    assert left.touches == ("web",)
    assert "s0 is left alone: its only replica would restart." in left.notes
    asked = await plan(session, single="true")
    assert asked.touches == ("web", "s0")
    assert "s0 has one replica: it is down from the moment its task stops until the new one runs." in asked.warnings
    assert asked.impact is not None
    assert any("s0: its only replica: a short outage" in line for _, line in render.plan_lines(asked))


async def test_data_on_the_node_is_moved_away_from_only_by_name_and_with_a_warning() -> None:
    data = service("data", replicas=2, mounts=[{"Type": "volume", "Source": "d", "Target": "/d"}])
    session = cluster((data, "aa"))
    unasked = await plan(session)
    assert unasked.nothing == (
        "Nothing to do: no service can be spread more evenly (data: its data is on its nodes: volume d)."
    )
    named = await plan(session, service="data")
    assert "data keeps data on its nodes; a task that moves does not find it: volume d." in named.warnings


async def test_nothing_to_do_is_said_so() -> None:
    session = cluster((service("web", replicas=2), "ab"))
    assert (await plan(session)).nothing.startswith("Nothing to do: every service is spread as evenly")
    assert (await plan(session, service="web")).nothing.endswith("(web: as even as it can be).")
    with pytest.raises(UsageError, match='There is no service "none"'):
        await plan(session, service="none")


async def test_what_cannot_be_read_is_no_reason_to_restart_anything() -> None:
    session = cluster((service("web", replicas=4), "aaaa"))
    session.troubles = {"tasks": "The engine did not answer."}
    with pytest.raises(SwarmtuiError, match="The tasks cannot be read now: The engine did not answer"):
        await plan(session)


async def test_without_quorum_nothing_is_planned() -> None:
    nodes: list[Any] = [
        node("m1", manager="leader"),
        node("m2", manager="unreachable"),
        node("m3", manager="unreachable"),
    ]
    web = service("web", replicas=4)
    session = Services([*nodes, node("a"), node("b")], [web], on(web, *"aaaa"))
    with pytest.raises(RefusedError, match="no quorum"):
        await plan(session)
