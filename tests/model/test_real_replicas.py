"""Real replicas (swarm-dr.md, trap 4): what the engine counts after a forced cluster, and what really runs, everywhere.

`docker service ls` says 4/4 of this service on 20.10 and 26.1 alike; one task runs.
"""

from __future__ import annotations

from swarmtui.model.health import findings
from swarmtui.model.impact import impact_of, with_availability
from swarmtui.model.rollout import removal_of
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.spread import spread_of
from swarmtui.model.swarm import Availability
from swarmtui.runbooks.swarm.recovery.forced_checks import live_replicas
from swarmtui.ui.panes.services import counts
from swarmtui.ui.panes.stacks import StackRows
from swarmtui.ui.views import Env
from tests import builders as b

LEFT = b.node("mgr1", manager="leader")
DEAD = [b.node("mgr2", state="down"), b.node("mgr3", state="unknown")]
REMOVED = b.node("wrk9")
WEB = b.service("shop_web", replicas=4)
WEB["Spec"]["Labels"] = {"com.docker.stack.namespace": "shop"}


def forced() -> Snapshot:
    """One task lives; two read "running" on dead nodes, one on a node that is no entry any more, one is to end."""
    tasks = [
        b.task(WEB, LEFT, 1),
        b.task(WEB, DEAD[0], 2),
        b.task(WEB, DEAD[1], 3),
        b.task(WEB, REMOVED, 4),
        b.task(WEB, LEFT, 2, desired="shutdown", id="old"),
    ]
    return b.snapshot([LEFT, *DEAD], [WEB], tasks)


def test_only_a_task_on_a_ready_node_is_live() -> None:
    now = forced()
    assert [task.slot for task in now.tasks.values() if now.is_live(task)] == [1]


def test_every_count_of_a_service_is_of_what_really_runs() -> None:
    now = forced()
    (service,) = now.services.values()
    assert counts(now).of(service) == (1, 4), "the pane of services"
    (row,) = StackRows()(now, Env()).values()
    assert "1/4" in [cell.text for cell in row], "the pane of stacks"
    assert "Service shop_web runs 1 of 4 tasks." in [f.what for f in findings(now, now=1_700_000_000.0)], "doctor"
    assert live_replicas(now) == {"shop_web": (1, 4)}, "after a forced cluster"
    assert removal_of(now, service).running == 1, "the plan of a change"
    drained = impact_of(now, {LEFT["ID"]: with_availability(now.nodes[LEFT["ID"]], Availability.DRAIN)})
    assert [(s.name, s.running_before) for s in drained.services] == [("shop_web", 1)], "the plan of a drain"


def test_a_service_that_lacks_real_tasks_is_not_rebalanced() -> None:
    nodes = [b.node("a"), b.node("b"), b.node("c", state="down")]
    tasks = [b.task(WEB, nodes[at], slot) for slot, at in enumerate((0, 0, 0, 2), 1)]
    spread = spread_of(b.snapshot(nodes, [WEB], tasks), only=frozenset({WEB["ID"]}))
    assert dict(spread.left) == {"shop_web": "only 3 of 4 tasks run"}
