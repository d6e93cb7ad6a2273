"""Steps of node.rejoin on a host that is not what it was when the plan was made."""

from __future__ import annotations

import json

import pytest

from swarmtui.runbooks.runbook import ConflictError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.swarm.rejoining.rejoin_join import LeaveByForce
from tests import builders as b
from tests.runbooks.support import Completed, Host, fake, session

AT = Where("mgr3", "ssh://root@10.0.0.3", "root@10.0.0.3")
THEN, NOW = "t" * 25, "n" * 25
LEAVE = "docker swarm leave --force"


def leaving(node_id: str, *, believed: str = THEN) -> tuple[LeaveByForce, Host]:
    step = LeaveByForce(id="leave", title="Leave", why="", node_id=THEN, name="mgr3", at=AT, believed=believed)
    state = json.dumps({"NodeID": node_id, "LocalNodeState": "active"})
    return step, Host({LEAVE: Completed(out="Node left the swarm."), "json .Swarm": Completed(out=state)})


@pytest.mark.parametrize(
    ("node_id", "believed", "leaves"),
    [(THEN, THEN, True), (NOW, THEN, False), (NOW, "", True), ("", THEN, True)],
)
async def test_only_what_the_plan_saw_is_taken_out_by_force(node_id: str, believed: str, leaves: bool) -> None:
    """Somebody may have let it join meanwhile: as that node it works, and may count for quorum."""
    step, host = leaving(node_id, believed=believed)
    opened = session(b.snapshot([b.node("mgr1", manager="leader")]))
    fake(opened).hosts[AT.target] = host
    said: list[str] = []
    voice = Voice(said.append, lambda done, total, text: None)
    before = await step.before(opened)
    if leaves:
        await step.run(opened, before, voice)
        assert said == ["Node left the swarm."]
    else:
        with pytest.raises(ConflictError, match=f"is node {NOW} by now"):
            await step.run(opened, before, voice)
    assert (LEAVE in host.ran) is leaves
