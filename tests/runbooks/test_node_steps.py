"""The steps that change nodes and wait for them, against an engine in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from swarmtui.errors import EngineError
from swarmtui.link.target import SocketTarget
from swarmtui.model.swarm import Availability, NodeSpec
from swarmtui.opening import Opening
from swarmtui.runbooks import node_steps, params, registry
from swarmtui.runbooks.node_steps import LeaveSwarm, MoveConnection, RemoveNode, UpdateNode
from swarmtui.runbooks.node_waits import (
    WaitDown,
    WaitEmpty,
    WaitLeftRaft,
    WaitReachable,
    WaitReplaced,
    WaitStep,
)
from swarmtui.runbooks.runbook import ConflictError, StepError, Voice
from swarmtui.session import Session
from tests import builders as b
from tests.link.support import Events, FakeEngine
from tests.runbooks.support import Completed, Host, fake, session

WORKER = b.node("wrk1", labels={"zone": "a"}, version=41)
ID: str = WORKER["ID"]
ABOUT: dict[str, Any] = {"id": "x", "title": "t", "why": "w", "node_id": ID, "name": "wrk1"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_steps, "POLL_SECONDS", 0.001)


class Heard:
    """What a step said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shown: list[tuple[int, int, str]] = []
        self.voice = Voice(self.lines.append, lambda *progress: self.shown.append(progress))


def opened(*nodes: b.Json, tasks: list[b.Json] | None = None, services: list[b.Json] | None = None) -> Session:
    return session(b.snapshot(nodes, services or [], tasks or []), nodes=nodes)


def update(made: b.Json = WORKER, **wanted: Any) -> UpdateNode:
    spec = b.one_node(made).spec
    return UpdateNode(**ABOUT, expected=spec, wanted=replace(spec, **(wanted or {"availability": Availability.DRAIN})))


def out_of_sequence() -> EngineError:
    return EngineError(
        "changed meanwhile", status=500, message="rpc error: code = Unknown desc = update out of sequence"
    )


# -- changing a Spec -------------------------------------------------------------------------------------------------


async def test_the_engines_own_spec_goes_back_with_what_we_change_and_its_version() -> None:
    made = WORKER | {"Spec": WORKER["Spec"] | {"Name": "annotated", "FieldOfTomorrow": {"x": [1]}}}
    on, step = opened(made), update(made, labels={"zone": "b"})
    await step.run(on, {}, Heard().voice)
    assert fake(on).posted == [
        (
            f"/nodes/{ID}/update",
            {"version": "41"},
            {
                "Labels": {"zone": "b"},
                "Role": "worker",
                "Availability": "active",
                "Name": "annotated",
                "FieldOfTomorrow": {"x": [1]},
            },
        )
    ]
    await step.verify(on, {}, Heard().voice)
    assert await step.already_done(on, {})


async def test_a_spec_that_somebody_else_changed_is_left_alone() -> None:
    on = opened(b.node("wrk1", labels={"zone": "b"}))
    with pytest.raises(ConflictError, match="labelled zone=b"):
        await update().run(on, {}, Heard().voice)
    assert fake(on).posted == []


async def test_a_version_that_grew_by_itself_is_no_conflict() -> None:
    on = opened(WORKER | {"Version": {"Index": 77}})
    await update().run(on, {}, Heard().voice)
    assert [query for _, query, _ in fake(on).posted] == [{"version": "77"}]


async def test_out_of_sequence_is_tried_again_with_the_newest_version() -> None:
    """A promotion right after a demotion meets it (swarm-dr.md §6)."""
    on = opened(WORKER)
    fake(on).refusals = [out_of_sequence(), out_of_sequence()]
    await update().run(on, {}, Heard().voice)
    assert len(fake(on).posted) == 1


async def test_out_of_sequence_for_ever_is_a_failure() -> None:
    on = opened(WORKER)
    fake(on).refusals = [out_of_sequence() for _ in range(99)]
    with pytest.raises(EngineError):
        await update().run(on, {}, Heard().voice)
    assert 3 <= 99 - len(fake(on).refusals) <= 20


async def test_a_change_by_somebody_else_between_two_tries_is_seen() -> None:
    on = opened(WORKER)

    class Meddled(list[EngineError]):
        def pop(self, index: int = -1) -> EngineError:  # type: ignore[override]
            fake(on).bodies[ID] = b.node("wrk1", labels={"zone": "a"}, availability="pause")
            return super().pop(index)

    fake(on).refusals = Meddled([out_of_sequence()])
    with pytest.raises(ConflictError):
        await update().run(on, {}, Heard().voice)
    assert fake(on).posted == []


async def test_any_other_refusal_is_told_at_once() -> None:
    on = opened(WORKER)
    fake(on).refusals = [EngineError("No.", status=400, message="loss of quorum"), out_of_sequence()]
    with pytest.raises(EngineError, match="No"):
        await update().run(on, {}, Heard().voice)
    assert fake(on).posted == []


async def test_a_manager_is_never_told_of_its_own_demotion() -> None:
    """The connection may have failed over to it since the plan was made: it moves away before, and only then."""
    mgr = b.node("wrk1", manager="reachable")
    on = opened(mgr)
    await update(mgr, role="worker").run(on, {}, Heard().voice)
    assert fake(on).moves == [ID] and len(fake(on).posted) == 1
    other = opened(mgr)
    await update(mgr, availability="drain").run(other, {}, Heard().voice)
    assert fake(other).moves == []


async def test_an_update_that_did_not_take_effect_does_not_verify() -> None:
    with pytest.raises(StepError):
        await update().verify(opened(WORKER), {}, Heard().voice)


async def test_labels_come_back_from_the_engine_and_go_back_to_it_byte_for_byte(tmp_path: Path) -> None:
    """A drain must not rewrite a label because our own display finds a character in it hostile (emoji have joiners)."""
    family, lines = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "one\r\ntwo"
    mgr = b.node("mgr1", id="n1", manager="leader")
    wrk = b.node("wrk1", labels={"team": family, "note": lines})
    engine = FakeEngine(
        {
            ("GET", "/nodes"): (200, [mgr, wrk]),
            ("GET", "/services"): (200, []),
            ("GET", "/tasks"): (200, []),
            ("GET", f"/nodes/{wrk['ID']}"): (200, wrk),
            ("GET", "/events"): Events(),
            ("POST", f"/nodes/{wrk['ID']}/update"): (200, {}),
        }
    )
    await engine.on(tmp_path / "docker.sock")
    try:
        target = SocketTarget(str(tmp_path / "docker.sock"))
        async with Session(Opening("x", (target,)), cast(Any, None)).opened() as real:
            await real.until_live(10.0)
            runbook = registry.runbook("node.pause")
            made = await runbook.prepare(real, params.parse("node.pause", runbook.params, {"node": "wrk1"}))
            await made.steps[0].run(real, {}, Heard().voice)
        (posted,) = [request for request in engine.requests if request.method == "POST"]
    finally:
        await engine.stop()
    assert json.loads(posted.body)["Labels"] == {"team": family, "note": lines}


# -- waiting ---------------------------------------------------------------------------------------------------------


async def missing(step: WaitStep, on: Session) -> tuple[str, int]:
    return await step.missing(on, {})


async def test_empty_is_when_nothing_runs_stops_or_starts() -> None:
    api, db = b.service("api"), b.service("db")
    ended = [
        b.task(api, WORKER, i, state=s, desired="shutdown") for i, s in enumerate(("shutdown", "failed", "complete"))
    ]
    elsewhere = b.task(api, b.node("wrk2"), 9)
    step = WaitEmpty(**ABOUT)
    assert await missing(step, opened(WORKER, services=[api, db], tasks=[*ended, elsewhere])) == ("", 0)
    stopping = [b.task(api, WORKER, i, desired="shutdown") for i in (5, 6)]
    starting = b.task(db, WORKER, 7, state="preparing")
    told, count = await missing(step, opened(WORKER, services=[api, db], tasks=[*ended, *stopping, starting]))
    assert (told, count) == ("3 tasks still on wrk1: api (2), db.", 3)


async def test_replacements_count_where_they_run_on_other_nodes_that_are_ready() -> None:
    two, dead, api = b.node("wrk2"), b.node("dead", state="down"), b.service("api", replicas=3)
    step = WaitReplaced(**ABOUT, running={"api": 3})
    on_node, on_dead = b.task(api, WORKER, 1), b.task(api, dead, 2)
    preparing, running = b.task(api, two, 3, state="preparing"), b.task(api, two, 4)
    short = opened(WORKER, two, dead, services=[api], tasks=[on_node, on_dead, preparing, running])
    assert await missing(step, short) == ("Replacements are still starting: api 1/3.", 2)
    whole = opened(WORKER, two, dead, services=[api], tasks=[b.task(api, two, slot) for slot in (5, 6, 7)])
    assert await missing(step, whole) == ("", 0)


async def test_what_is_wanted_now_counts_and_not_what_was_wanted_then() -> None:
    two, scaled = b.node("wrk2"), b.service("api", replicas=1)
    step = WaitReplaced(**ABOUT, running={"api": 3, "gone": 5})
    assert await missing(step, opened(WORKER, two, services=[scaled], tasks=[b.task(scaled, two)])) == ("", 0)


@pytest.mark.parametrize("step", [WaitEmpty(**ABOUT), WaitReplaced(**ABOUT, running={"api": 1})])
async def test_old_data_proves_nothing(step: WaitStep) -> None:
    on = session(b.snapshot([WORKER], troubles={"tasks": "no answer"}), nodes=(WORKER,))
    with pytest.raises(StepError, match="no answer"):
        await missing(step, on)


@pytest.mark.parametrize(
    ("step", "not_yet", "done"),
    [
        (WaitReachable(**ABOUT), b.node("wrk1", role="manager"), b.node("wrk1", manager="reachable")),
        (WaitReachable(**ABOUT), b.node("wrk1", manager="unreachable"), b.node("wrk1", manager="leader")),
        (WaitLeftRaft(**ABOUT), b.node("wrk1", manager="reachable", role="worker"), b.node("wrk1")),
        (WaitLeftRaft(**ABOUT), b.node("wrk1", manager="unreachable"), b.node("wrk1", role="manager")),
        (WaitDown(**ABOUT), b.node("wrk1"), b.node("wrk1", state="down")),
        (WaitDown(**ABOUT), b.node("wrk1", state="unknown"), b.node("wrk1", state="down")),
    ],
)
async def test_waits_ask_the_engine_itself(step: WaitStep, not_yet: b.Json, done: b.Json) -> None:
    told, count = await missing(step, opened(not_yet))
    assert "wrk1" in told and told.endswith(".") and count == 1
    assert not await step.already_done(opened(not_yet), {})
    with pytest.raises(StepError):
        await step.verify(opened(not_yet), {}, Heard().voice)
    assert await missing(step, opened(done)) == ("", 0)
    assert await step.already_done(opened(done), {})
    await step.verify(opened(done), {}, Heard().voice)


async def test_a_wait_goes_on_until_it_is_so_and_tells_how_far() -> None:
    api = b.service("api", replicas=2)
    stages = [b.snapshot([WORKER], [api], [b.task(api, WORKER, i) for i in range(n)]) for n in (2, 1, 1, 0)]
    on, heard = opened(WORKER), Heard()

    async def refresh() -> Any:
        return stages.pop(0)

    fake(on).refresh = refresh  # type: ignore[method-assign]
    await WaitEmpty(**ABOUT).run(on, {}, heard.voice)
    assert [(done, total) for done, total, _ in heard.shown] == [(0, 2), (1, 2), (2, 2)]


async def test_a_wait_gives_up_and_says_what_is_missing() -> None:
    with pytest.raises(StepError, match=r"wrk1 is not yet a reachable manager\. This was waited for 0 seconds"):
        await WaitReachable(**ABOUT, seconds=0).run(opened(WORKER), {}, Heard().voice)


# -- leaving, removing, moving ---------------------------------------------------------------------------------------


def leave(**options: Any) -> LeaveSwarm:
    return LeaveSwarm(**ABOUT, host="root@10.0.0.1", **options)


async def test_a_node_leaves_over_ssh_and_proves_it() -> None:
    on = opened(WORKER)
    answers = {"swarm leave": Completed(out="Node left the swarm.\n"), "docker info": Completed(out="inactive\n")}
    host = fake(on).hosts[ID] = Host(answers)
    await leave().run(on, {}, Heard().voice)
    await leave().verify(on, {}, Heard().voice)
    assert host.ran[0] == "docker swarm leave"
    await leave(sudo=True).run(on, {}, Heard().voice)
    assert host.ran[-1] == leave(sudo=True).shown[0].line == "sudo -n docker swarm leave"


async def test_a_node_that_has_left_already_is_no_error_but_a_refusal_is() -> None:
    on = opened(WORKER)
    host = fake(on).hosts[ID] = Host({"swarm leave": Completed(1, err="Error: This node is not part of a swarm\n")})
    await leave().run(on, {}, Heard().voice)
    host.answers = {"swarm leave": Completed(1, err="permission denied\n")}
    with pytest.raises(StepError, match="permission denied"):
        await leave().run(on, {}, Heard().voice)


async def test_a_node_that_says_it_is_still_in_does_not_verify() -> None:
    on = opened(WORKER)
    fake(on).hosts[ID] = Host({"docker info": Completed(out="active\n")})
    with pytest.raises(StepError, match="active"):
        await leave().verify(on, {}, Heard().voice)


async def test_a_host_out_of_reach_says_what_to_type_there() -> None:
    with pytest.raises(StepError, match="docker swarm leave"):
        await leave().run(opened(WORKER), {}, Heard().voice)


async def test_a_node_that_is_down_needs_not_leave() -> None:
    assert await leave().already_done(opened(b.node("wrk1", state="down")), {})
    assert not await leave().already_done(opened(b.node("wrk1", state="unknown")), {})


@pytest.mark.parametrize(("force", "query"), [(False, {}), (True, {"force": "true"})])
async def test_an_entry_is_removed_by_its_id_and_looked_for_afterwards(force: bool, query: dict[str, str]) -> None:
    on, step = opened(WORKER), RemoveNode(**ABOUT, force=force)
    assert not await step.already_done(on, {})
    with pytest.raises(StepError):
        await step.verify(on, {}, Heard().voice)
    await step.run(on, {}, Heard().voice)
    assert fake(on).deleted == [(f"/nodes/{ID}", query)]
    await step.verify(on, {}, Heard().voice)
    assert await step.already_done(on, {})


async def test_an_engine_in_trouble_is_no_proof_that_an_entry_is_gone() -> None:
    on = opened(WORKER)

    async def broken(node_id: str) -> Any:
        raise EngineError("No leader.", status=503, message="The swarm does not have a leader")

    fake(on).node = broken  # type: ignore[method-assign]
    with pytest.raises(EngineError):
        await RemoveNode(**ABOUT).already_done(on, {})


async def test_the_connection_moves_only_when_it_runs_through_the_node() -> None:
    step = MoveConnection(**ABOUT)
    elsewhere = session(b.snapshot([WORKER]), through="another")
    assert await step.already_done(elsewhere, {})
    here = session(b.snapshot([WORKER]), through=ID)
    assert not await step.already_done(here, {})
    await step.run(here, {}, Heard().voice)
    assert fake(here).moves == [ID]
    with pytest.raises(StepError):
        await step.verify(here, {}, Heard().voice)  # the fake stays where it is


# -- as commands ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ({}, {"availability": "drain"}, "docker node update --availability drain wrk1"),
        ({}, {"role": "manager"}, "docker node promote wrk1"),
        ({"role": "manager"}, {"role": "worker"}, "docker node demote wrk1"),
        (
            {"role": "manager"},
            {"role": "worker", "availability": "drain"},
            "docker node update --availability drain --role worker wrk1",
        ),
        ({"labels": {"a": "1"}}, {"labels": None}, "docker node update --label-rm a wrk1"),
        ({}, {"labels": {"a": "x y"}}, "docker node update --label-add 'a=x y' wrk1"),
        ({}, {"labels": {"a": "it's"}}, """docker node update --label-add 'a=it'"'"'s' wrk1"""),
    ],
)
def test_specs_as_commands(before: dict[str, Any], after: dict[str, Any], line: str) -> None:
    old = NodeSpec(**before)
    assert node_steps.spec_command("wrk1", old, replace(old, **after)) == line
