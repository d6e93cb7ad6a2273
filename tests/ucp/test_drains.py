"""A manager that runs UCP is never drained unasked: its agents are global services, and a drain takes them away."""

from __future__ import annotations

import pytest

from swarmtui.model.health import findings
from tests import builders as b
from tests.runbooks.support import plan
from tests.runbooks.test_build_plans import plan as build_plan
from tests.runbooks.test_build_plans import spec
from tests.runbooks.test_node_plans import managers
from tests.ucp import seen as s

AGENTS = ("ucp-agent", "ucp-manager-agent", "ucp-cluster-agent")
"""Of 2.2, and of 3.2 and later (reference/ucp-dtr.md §4.1)."""


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize(
    ("runbook", "refused"),
    [("node.drain", True), ("node.remove", True), ("node.pause", False), ("node.demote", False)],
)
async def test_every_runbook_that_drains_one_breaks_the_rule(name: str, runbook: str, refused: bool) -> None:
    agent = b.service(name, mode="global", image="docker/ucp-agent:3.2.7")
    made = await plan(runbook, b.snapshot([*managers(), b.node("wrk1", addr="10.0.1.1")], [agent]), node="mgr3")
    assert ("ucp-drain=mgr3" in {str(rule) for rule in made.rules}) is refused
    without = await plan(runbook, b.snapshot(managers()), node="mgr3")
    assert not [rule for rule in without.rules if rule.id == "ucp-drain"]


async def test_a_manager_that_is_joining_now_is_one_too() -> None:
    joining = b.node("mgr4", role="manager", addr="10.0.0.4")
    now = b.snapshot([*managers(), joining], [s.agent()])
    assert [str(rule) for rule in (await plan("node.drain", now, node="mgr4")).rules] == ["ucp-drain=mgr4"]


def test_building_on_under_ucp_does_not_advise_a_drain() -> None:
    notes = build_plan(spec("m", "m", drain_managers=True), inside=(1,), ucp=True).notes
    assert not any("node.drain" in note for note in notes)
    assert any("h1 goes on taking tasks: a manager under UCP is never drained." in note for note in notes)


def test_no_advice_to_drain_managers_under_ucp() -> None:
    made = s.nodes()
    rules = {finding.rule for finding in findings(s.under_ucp(made), now=s.NOW)}
    plain = {finding.rule for finding in findings(s.under_ucp(made, services=[]), now=s.NOW)}
    assert "managers-take-tasks" in plain and "managers-take-tasks" not in rules
